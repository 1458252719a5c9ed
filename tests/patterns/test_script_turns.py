"""Loops over results and conditions on them in a script: what they become, and what they cannot say."""

from typing import Any

import pytest

from forethought_patterns.script import read_script
from forethought_patterns.validate import parse_plan
from forethought_tools import PlanError, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

TOOLS: Registry = builtin(Folders([]))


def _read(text: str) -> list[Any]:
    return [*read_script(text, TOOLS, lambda _: [])]


def test_a_loop_over_a_result_and_a_condition_on_one_are_said_of_their_calls() -> None:
    rows = "rows = query_table(\"SELECT a, b FROM 'x.csv'\")\n"
    (_, made) = _read(rows + 'for row in rows.rows:\n    write_file(f"{row.a}.txt", row.b)')
    assert (made["for_each"], made["arguments"]) == (
        "{{1.rows}}",
        {"path": "{{item.a}}.txt", "content": "{{item.b}}"},
    )
    (_, told, other) = _read(
        rows + 'if rows.count > 2 and not rows.rows[0].a == "x":\n    tell("a")\nelse:\n    tell("b")'
    )
    assert told["when"] == "({{1.count}} > 2 and not {{1.rows.0.a}} == 'x')"
    assert other["when"] == "not (({{1.count}} > 2 and not {{1.rows.0.a}} == 'x'))"
    assert parse_plan("g", _read(rows + 'if len(rows) > 2:\n    tell("a")'), TOOLS).steps[1].when == "{{1.count}} > 2"


@pytest.mark.parametrize(
    "loop",
    [
        "for row in rows:\n    write_file(f'{row.a}.txt', row['b'])",
        "for row in query_table(\"SELECT a, t.b FROM 'x.csv' t\"):\n    write_file(f'{row.a}.txt', row.b)",
        "for a, b in query_table(\"SELECT count(*) AS a, b FROM 'x.csv' GROUP BY b\"):\n    write_file(f'{a}.txt', b)",
        "for _, row in rows.iterrows():\n    write_file(f'{row.a}.txt', row.b)",
        "for number, row in enumerate(rows):\n    write_file(f'{row.a}.txt', row.b)",
        "made = [write_file(f'{a}.txt', b) for a, b in rows]",
    ],
)
def test_a_loop_over_rows_may_be_written_in_many_ways(loop: str) -> None:
    before = "" if "query_table" in loop else "rows = query_table(\"SELECT a, b FROM 'x.csv'\")\n"
    _, made = _read(before + loop)
    assert made["for_each"] == "{{1.rows}}"
    assert made["arguments"] == {"path": "{{item.a}}.txt", "content": "{{item.b}}"}


@pytest.mark.parametrize(
    ("columns", "call", "arguments"),
    [
        ("name", "delete_file(f'old/{row}')", {"path": "old/{{item.name}}"}),
        ("DISTINCT a AS path", "delete_file(row)", {"path": "{{item.path}}"}),
        ("name", "delete_file(row.name)", {"path": "{{item.name}}"}),
        ("name, size", "tell(row)", {"text": "{{item}}"}),
        ("*", "tell(row)", {"text": "{{item}}"}),
    ],
)
def test_a_row_of_one_column_is_meant_by_its_value(columns: str, call: str, arguments: dict[str, str]) -> None:
    _, made = _read(f"rows = query_table(\"SELECT {columns} FROM 'list.txt'\")\nfor row in rows.rows:\n    {call}")
    assert made["arguments"] == arguments


@pytest.mark.parametrize("over", ["rows", "rows.rows"])
def test_a_table_that_is_read_as_text_for_a_loop_alone_is_queried(over: str) -> None:
    table, made = _read(f"rows = read_file('x.csv')\nfor row in {over}:\n    write_file(f'{{row.a}}.txt', row.b)")
    assert (table["tool"], table["arguments"]) == ("query_table", {"sql": "SELECT * FROM 'x.csv'"})
    assert (made["for_each"], made["arguments"]["path"]) == ("{{1.rows}}", "{{item.a}}.txt")


def test_a_text_that_other_calls_use_as_well_stays_one() -> None:
    with pytest.raises(PlanError, match="does not go over files"):
        _read("text = read_file('x.csv')\ntell(text)\nfor row in text:\n    tell(row.a)")


def test_a_loop_may_count_its_turns() -> None:
    rows = "rows = query_table(\"SELECT a, b, c FROM 'x.csv'\")\n"
    _, made = _read(rows + "for n, row in enumerate(rows.rows):\n    write_file(f'{n}.txt', row.c)")
    assert made["arguments"] == {"path": "{{index}}.txt", "content": "{{item.c}}"}
    with pytest.raises(PlanError, match="no columns"):
        _read(rows + "for x, y, z, w in rows:\n    tell(x)")


def test_a_call_in_a_loop_uses_what_another_one_has_brought_in_the_same_turn() -> None:
    _, word, save = _read(
        "rows = query_table(\"SELECT name, sum FROM 'x.csv'\")\n"
        "for row in rows.rows:\n    letter = write(f'A letter to {row.name}', row.sum)\n"
        "    write_file(f'{row.name}.txt', f'{letter}\\nYours')"
    )
    assert word["for_each"] == save["for_each"] == "{{1.rows}}"
    assert save["arguments"] == {"path": "{{item.name}}.txt", "content": "{{2.index}}\nYours"}
    assert 2 not in save["depends_on"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    for each in row.b:\n        tell(each)", "a loop stands in a loop"),
    ],
)
def test_what_a_loop_over_a_result_cannot_say_is_told_with_its_mend(body: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        _read(f"rows = query_table(\"SELECT a FROM 'x.csv'\")\nfor row in rows.rows:\n{body}")
