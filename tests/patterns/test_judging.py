"""What came of a run is judged by what its goal names; what nobody could judge is said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forethought_patterns import Outcome, Plan, parse_plan
from forethought_patterns.figures import Figures
from forethought_patterns.goal_files import Wishes, wishes_of
from forethought_patterns.judging import doubted, misdone
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.seen import looking

pytestmark = pytest.mark.anyio
TABLE = "project,hours\na,1\nb,2\n"


def made(goal: str, *steps: Mapping[str, Any], folder: Path) -> Plan:
    some = steps or ({"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},)
    return parse_plan(goal, [dict(step) for step in some], builtin(Folders([folder])), planned=True)


async def problem(folder: Path, goal: str, *steps: Mapping[str, Any], results: Mapping[int, JSON] | None = None) -> str:
    plan = made(goal, *steps, folder=folder)
    outcomes = {step.id: Outcome("succeeded", (results or {}).get(step.id)) for step in plan.steps}
    found = await misdone(plan, outcomes, builtin(Folders([folder])), looking(Folders([folder])))
    return str(found or "")


async def doubts(folder: Path, goal: str, answer: str, *steps: Mapping[str, Any], results: Mapping[int, JSON]) -> str:
    plan = made(goal, *steps, folder=folder)
    outcomes = {step.id: Outcome("succeeded", results.get(step.id)) for step in plan.steps}
    tools, look = builtin(Folders([folder])), looking(Folders([folder]))
    return "; ".join(await doubted(plan, outcomes, answer, tools, look, unjudged=[]))


@pytest.mark.parametrize(
    ("goal", "wishes"),
    [
        ("Write summary.md.", Wishes(["summary.md"])),
        ("Read a.csv and write a short report to out/b.md", Wishes(["out/b.md"])),
        ("Sum up sales.csv into totals.csv and notes.md", Wishes(["totals.csv", "notes.md"])),
        ("Convert orders.csv to orders.json", Wishes(["orders.json"])),
        ("Save the result in x.txt, then delete old.txt and older.log", Wishes(["x.txt"], ["old.txt", "older.log"])),
        ("Shout a.txt into b.txt, delete old.txt", Wishes(["b.txt"], ["old.txt"])),
        ("Rename a.txt to b.txt", Wishes(moved=[("a.txt", "b.txt")])),
        ("Move report.md into archive/", Wishes(moved=[("report.md", "archive/")])),
        ("Create a file named list.txt with the words", Wishes(["list.txt"])),
        ("Compare a.csv to b.csv and tell me what is new", Wishes()),
        ("Delete the last line of notes.txt", Wishes()),
        ("Remove duplicates from a.csv", Wishes()),
        ("Do not delete a.txt. Never write b.txt", Wishes()),
        ("Delete a.txt if it is empty", Wishes()),
        ("How many rows are in a.csv?", Wishes()),
        ("Ask example.com, Node.js or e.g. it", Wishes()),
        ("Write a.md's first line", Wishes()),
        ("a-a." * 5000, Wishes()),
        ("", Wishes()),
    ],
)
def test_only_what_a_goal_plainly_asks_for_is_asked_of_a_run(goal: str, wishes: Wishes) -> None:
    found = wishes_of(goal)
    assert (list(found.there), list(found.gone), list(found.moved)) == (
        list(wishes.there),
        list(wishes.gone),
        list(wishes.moved),
    )


async def test_what_a_goal_names_has_to_be_there_or_gone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    assert "b.md is not there" in await problem(tmp_path, "Write b.md")
    assert "a.txt is still there" in await problem(tmp_path, "Delete a.txt")
    assert not await problem(tmp_path, "Delete gone.txt")
    moved = await problem(tmp_path, "Rename a.txt to c.txt")
    assert "a.txt is still there" in moved
    assert "c.txt is not there" in moved
    (tmp_path / "archive").mkdir()
    (tmp_path / "a.txt").rename(tmp_path / "archive" / "a.txt")
    assert not await problem(tmp_path, "Move a.txt into archive/")
    assert not await problem(tmp_path, "Write /etc/x.md and delete /etc/hosts.conf"), "of what is not granted nothing"


async def test_a_file_may_be_written_in_a_folder_that_the_goal_does_not_name(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.md").write_text("fine", encoding="utf-8")
    write = {"id": 1, "tool": "write_file", "arguments": {"path": "out/b.md", "content": "fine"}}
    assert not await problem(tmp_path, "Write b.md", write, results={1: {"path": "out/b.md", "bytes": 4}})


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("b.csv", TABLE, ""),
        ("b.csv", "a;b\n1,5;2\n", ""),
        ("b.csv", "a,b\n", "no row below its header"),
        ("b.csv", "a,b\n1,2,3\n", "row 2 has 3 columns"),
        ("b.csv", '{"rows": [],\n "count": 0}', "is no table"),
        ("b.json", '{"a": 1}', ""),
        ("b.json", "a: 1", "does not hold JSON"),
        ("b.jsonl", '{"a": 1}\nx\n', "JSON in line 2"),
        ("b.md", '{"rows": [{"a": 1}], "truncated": false}', "raw JSON"),
        ("b.md", "# Total\n\n{{2.rows}} hours", "{{2.rows}}"),
        ("b.txt", "Dear [Your Name],", "[Your Name]"),
        ("b.md", "[TODO LIST](todo.md) and [x]", ""),
        ("b.html", "<p>Fine</p>", ""),
        ("b.html", "no tag", "no HTML tag"),
        ("b.txt", " \n", "is empty"),
        ("b.xlsx", "a,b", "not a xlsx file"),
        ("b.pdf", "%PDF-1.7", ""),
        ("b.md", "fine", ""),
    ],
)
async def test_a_file_is_what_its_ending_says(tmp_path: Path, name: str, content: str, wrong: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = await problem(tmp_path, f"Write {name}")
    assert wrong in found if wrong else not found


async def test_what_stands_in_the_material_is_no_placeholder(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("It says [WARNING] twice.", encoding="utf-8")
    assert "[WARNING]" in await problem(tmp_path, "Write b.md")
    assert not await problem(tmp_path, "Write b.md", results={1: "[WARNING] disk full"})


async def test_a_copy_of_an_input_is_no_result_unless_it_is_asked_for(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(TABLE, encoding="utf-8")
    assert "the same as a.csv" in await problem(tmp_path, "Sum up a.csv into b.csv")
    assert not await problem(tmp_path, "Copy a.csv into b.csv")
    (tmp_path / "b.csv").write_text("project,hours\nall,3\n", encoding="utf-8")
    assert not await problem(tmp_path, "Sum up a.csv into b.csv")


ROWS: JSON = {
    "rows": [{"project": "a", "hours": 1200.5}, {"project": "b", "hours": 800}, {"project": "c", "hours": 19.5}],
    "count": 3,
    "truncated": False,
}


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("a has 1,200.50 hours, b 800", []),
        ("a has about 1,201 hours (1200), not 1202", ["1202"]),
        ("3 projects have 2,020 hours, 673.33 on average", []),
        ("b has 66.6% of a, and 39.6 % of all", []),
        ("12.5% of all", ["12.5%"]),
        ("c has 20 hours, not 21", ["21"]),
        ("1. a\n2. b\n14. z", []),
        ("since 2026-03-14, the 14th", []),
        ("since 2026-03-15", ["2026-03-15"]),
        ("v1.2.3 of x86", []),
        ("-800", []),
        ("no figures", []),
    ],
)
def test_figures_come_from_results_or_follow_from_them(text: str, foreign: list[str]) -> None:
    figures = Figures()
    figures.learn([ROWS, "seen on 2026-03-14"])
    assert figures.foreign(text) == foreign


async def test_a_figure_from_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("All in all 4711 hours.", encoding="utf-8")
    steps = (
        {"id": 1, "tool": "query_table", "arguments": {"sql": "SELECT 1", "paths": ["a.csv"]}},
        {"id": 2, "tool": "write", "arguments": {"brief": "b", "material": "{{1}}"}},
        {"id": 3, "tool": "write_file", "arguments": {"path": "b.md", "content": "{{2}}"}},
    )
    results: dict[int, JSON] = {1: ROWS, 2: "All in all 4711 hours.", 3: {"path": "b.md", "bytes": 22}}
    found = await doubts(tmp_path, "Write b.md", "There are 42 projects", *steps, results=results)
    assert "the answer says 42, which stands in no result" in found
    assert "b.md says 4711" in found
    (tmp_path / "b.md").write_text("All in all 2,020 hours.", encoding="utf-8")
    assert not await doubts(tmp_path, "Write b.md", "There are 3 projects", *steps, results=results)


async def test_an_empty_query_behind_a_file_is_told(tmp_path: Path) -> None:
    steps = (
        {"id": 1, "tool": "query_table", "arguments": {"sql": "SELECT 1", "paths": ["a.csv"]}},
        {"id": 2, "tool": "write", "arguments": {"brief": "b", "material": "{{1}}"}},
        {"id": 3, "tool": "write_file", "arguments": {"path": "b.md", "content": "{{2}}"}},
    )
    results: dict[int, JSON] = {1: {"rows": [], "count": 0}, 2: "None.", 3: {"path": "b.md", "bytes": 5}}
    assert "step 1 found no rows, and step 3 writes" in await doubts(tmp_path, "g", "", *steps, results=results)
    assert not await doubts(tmp_path, "g", "", *steps[:2], results=results), "nothing is written of it"
