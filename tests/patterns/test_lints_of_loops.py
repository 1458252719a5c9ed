"""What pretends in the loops of a plan, and what does not."""

from collections.abc import Mapping
from typing import cast

import pytest
from tests.patterns.linting import TOOLS

from forethought_patterns import Brief, Plan, Step
from forethought_patterns.lean import lean_steps
from forethought_patterns.lints import lints
from forethought_tools import JSON

pytestmark = pytest.mark.anyio


async def test_a_loop_that_writes_one_file_again_and_again_keeps_the_last_turn_only() -> None:
    for path, told in (("out.md", True), ("{{item.name}}.md", False), ("{{index}}.md", False)):
        write_it = {"path": path, "content": "{{item.name}}"}
        steps = (
            Step(id=1, tool="query_table", arguments={"sql": "SELECT name FROM 'a.csv'"}),
            Step(id=2, tool="write_file", for_each="{{1.rows}}", arguments=write_it),
        )
        brief = Brief("Write the names of a.csv", files={"a.csv": "name"})
        said = [str(each) for each in await lints(Plan(brief.goal, steps), brief, TOOLS)]
        assert any("only the last one stays" in each for each in said) is told, path


async def test_what_the_items_of_a_loop_bring_is_no_pretence() -> None:
    steps = (
        Step(id=1, tool="query_table", arguments={"sql": "SELECT hours FROM 'time.csv'"}),
        Step(id=2, tool="calculate", for_each="{{1.rows}}", arguments={"expression": "{{item.hours}} * 2 + {{index}}"}),
        Step(id=3, tool="calculate", for_each="{{2}}", arguments={"expression": "{{item}}"}),
        Step(
            id=4,
            tool="write_file",
            for_each=({"name": "a"},),
            arguments={"path": "{{item.name}}.json", "content": '{"n": {{index}}}'},
        ),
        Step(id=5, tool="tell", arguments={"text": "{{3}}"}),
    )
    brief = Brief("Double the hours of time.csv, and a file for each name", files={"time.csv": ""})
    assert not await lints(Plan(brief.goal, steps), brief, TOOLS)


def test_a_file_for_each_item_is_no_answer_that_is_only_told() -> None:
    script = (
        "rows = query_table(\"SELECT a, b FROM 'x.csv'\")\nfor row in rows:\n    write_file(f'out/{row.a}.txt', row.b)"
    )
    brief = Brief("Which of x.csv are due? Write a file in out/ that says it for each of them", files={"x.csv": "a,b"})
    steps = cast("list[Mapping[str, JSON]]", lean_steps(script, brief, TOOLS))
    assert [step["tool"] for step in steps] == ["query_table", "write_file"]
