"""The answer of a run whose model is small: what its plan has found and done, in words that no model has chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns import InMemoryJournal, Outcome, Slot, parse_plan
from forethought_patterns.joiner import join
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio
TOOLS = builtin(Folders([]))


async def answer(steps: Sequence[Mapping[str, Any]], *results: JSON) -> str:
    plan = parse_plan("g", [{"id": number, **step} for number, step in enumerate(steps, 1)], TOOLS, planned=True)
    outcomes = {number: Outcome("succeeded", result) for number, result in enumerate(results, 1)}
    return (await join(plan, outcomes, TOOLS, InMemoryJournal(ScriptedModel({}, lean=True)), slot=Slot())).answer


QUERY = {"tool": "query_table", "arguments": {"sql": "SELECT 1"}}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"path": "b.bin"}], "b.bin"),
        ([{"name": "a", "size": 1}, {"name": "b", "size": 2}], "| name | size |\n| --- | --- |\n| a | 1 |\n| b | 2 |"),
        ([], "(no rows)"),
    ],
)
async def test_a_table_that_nothing_uses_is_told_as_one(rows: list[JSON], said: str) -> None:
    assert await answer([QUERY], {"rows": rows, "count": len(rows), "truncated": False}) == said


async def test_what_is_told_is_all_that_is_said() -> None:
    tell = {"tool": "tell", "arguments": {"text": "Two: {{1}}"}}
    assert await answer([QUERY, tell], {"rows": [{"n": 2}]}, "Two: 2") == "Two: 2"


async def test_what_was_done_is_said_with_its_place() -> None:
    save = {"tool": "write_table", "arguments": {"path": "a.csv", "rows": "{{1}}"}}
    assert await answer([QUERY, save], {"rows": [{"n": 2}]}, {"path": "a.csv"}) == "Wrote a.csv."
