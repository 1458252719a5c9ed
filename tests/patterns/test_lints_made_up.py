"""What a small model has taken from what it was shown, and nobody has asked for."""

import pytest
from pydantic import JsonValue
from tests.patterns.linting import TOOLS

from forethought_patterns import Brief, Plan, Step
from forethought_patterns.goal import Goal
from forethought_patterns.lints import lints
from forethought_patterns.sight import Sight


@pytest.mark.parametrize(
    ("goal", "where", "said"),
    [
        ("How much was paid in cash?", "paid = 'cash' AND place = 'clinic'", ["place = 'clinic'"]),
        ("How much was paid in cash at the clinic?", "paid = 'cash' AND place = 'clinic'", []),
        ("How much was paid in cash?", "paid = 'cash' AND place = 'harbour'", []),  # of its own accord: who knows
        ("How many rides were not paid?", "paid = 'cash'", []),  # how values are called only the file tells
    ],
)
@pytest.mark.anyio
async def test_a_condition_for_a_row_that_was_shown_is_not_asked_for(goal: str, where: str, said: list[str]) -> None:
    sql = f"SELECT SUM(fare) AS n FROM 'rides.csv' WHERE {where}"
    plan = Plan(goal, (Step(id=1, tool="query_table", arguments={"sql": sql}),))
    brief = Brief(goal, files={"rides.csv": "place,fare,paid\nclinic,9.5,cash"})
    found = [str(fault) for fault in await lints(plan, brief, TOOLS)]
    assert [each for each in found if "nobody has asked" in each] == [
        f"step 1: nobody has asked for {each}. Leave this condition out" for each in said
    ]


def test_the_files_that_a_loop_may_make_are_told_in_linear_time() -> None:
    path = "{{item}}" * 60 + ".txt"
    step = Step(id=1, tool="write_file", for_each=("a",), arguments={"path": path, "content": "x"})
    sight = Sight(Plan("g", (step,)), Goal(Brief("g")), TOOLS)
    assert sight.makes(step, "a" * 200 + ".txt")
    assert not sight.makes(step, "a" * 200 + ".csv")


FILES = ("access-2023-11.log", "access-2023-12.log", "access-2024-01.log", "error-2023-12.log", "notes-2023.md")


@pytest.mark.parametrize(
    ("goal", "deleted", "said"),
    [
        ("delete the .log files from 2023", FILES[:2], "error-2023-12.log"),
        ("delete the .log files from 2023", (*FILES[:2], FILES[3]), ""),
        ("delete the access .log files from 2023", FILES[:2], ""),
        ("delete access-2023-11.log and access-2023-12.log", FILES[:2], ""),
        ("delete what the list names", FILES[:2], ""),
        ("delete the .log files", FILES[:4], ""),
    ],
)
@pytest.mark.anyio
async def test_files_that_fit_the_goal_as_well_are_not_left_out(goal: str, deleted: tuple[str, ...], said: str) -> None:
    steps = [Step(id=n, tool="delete_file", arguments={"path": path}) for n, path in enumerate(deleted, 1)]
    found = [str(fault) for fault in await lints(Plan(goal, tuple(steps)), Brief(goal, names=FILES), TOOLS)]
    left = [each for each in found if "no step takes it up" in each]
    assert [each.split(" has ")[0].removeprefix("plan: ") for each in left] == [said] * bool(said)


NOTES = ("notes/a.txt", "notes/b.txt", "notes/later.md", "top.md")


@pytest.mark.parametrize(
    ("goal", "pattern", "said"),
    [
        ("delete the .txt files in notes that are empty", "notes/*", "notes/* takes notes/later.md too"),
        ("delete the .txt files in notes that are empty", "notes/*.txt", ""),
        ("delete the .txt and .md files in notes that are empty", "notes/*", ""),
        ("delete the files in notes that are empty", "notes/*", ""),
        ("delete the .md files here that are empty", "*", ""),
    ],
)
@pytest.mark.anyio
async def test_files_of_other_endings_are_not_deleted_too(goal: str, pattern: str, said: str) -> None:
    steps = (
        Step(id=1, tool="list_files", arguments={"pattern": pattern}),
        Step(id=2, tool="delete_file", arguments={"path": "{{item.path}}"}, for_each="{{1.files}}"),
    )
    found = [str(fault) for fault in await lints(Plan(goal, steps), Brief(goal, names=NOTES), TOOLS)]
    assert [said in each for each in found if "files, and" in each] == [True] * bool(said)


@pytest.mark.parametrize(
    ("rows", "refused"), [("{{1}}", True), ("{{1.changed}}", False), ("{{2}}", False), ([{"a": 1}], False)]
)
@pytest.mark.anyio
async def test_what_compare_brings_is_saved_as_no_table(rows: JsonValue, refused: bool) -> None:
    for tool, name in (("write_table", "rows"), ("write_file", "content")):
        steps = (
            Step(id=1, tool="compare", arguments={"old": "a.csv", "new": "b.csv"}),
            Step(id=2, tool="query_table", arguments={"sql": "SELECT n FROM 'a.csv' WHERE n > 3"}),
            Step(id=3, tool=tool, arguments={"path": "c.csv", name: rows}),
        )
        plan = Plan("compare a.csv with b.csv, into c.csv", steps)
        found = await lints(plan, Brief("x", names=("a.csv", "b.csv")), TOOLS)
        assert any("no table of rows" in str(fault) for fault in found) == refused
