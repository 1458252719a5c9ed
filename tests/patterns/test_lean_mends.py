"""What small planners leave out or word otherwise than the goal is mended before their plans are judged."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from tests.patterns.linting import TOOLS

from forethought_patterns import Brief
from forethought_patterns.lean import lean_steps
from forethought_tools import JSON

TEAM = {"team.csv": "name,points\nAnn,3\nBob,5"}


def _steps(
    goal: str, script: str, *, files: Mapping[str, str] = TEAM, new: Sequence[str] = ()
) -> list[tuple[str, Mapping[str, JSON]]]:
    steps = lean_steps(script, Brief(goal, files=files, new_files=new), TOOLS)
    read = [cast("Mapping[str, JSON]", step) for step in steps]
    return [(str(step["tool"]), cast("Mapping[str, JSON]", step["arguments"])) for step in read]


@pytest.mark.parametrize(
    ("sql", "meant", "tables"),
    [
        ("SELECT points * rate AS points, 'rate' AS \"rate\" FROM team", "SELECT points * {{1}} AS points, 'rate'", []),
        ("SELECT name FROM team WHERE points > mean", "SELECT name FROM team WHERE points > (FROM mean)", ["mean"]),
        (
            "SELECT t.rate, name AS rate FROM team t ORDER BY rate",
            "SELECT t.rate, name AS rate FROM team t ORDER BY",
            [],
        ),
        ("SELECT * FROM mean", "SELECT * FROM mean", ["mean"]),
        ("SELECT points AS p FROM team", "SELECT points AS p", []),
    ],
)
def test_a_result_that_is_one_value_is_that_value_in_sql(sql: str, meant: str, tables: list[str]) -> None:
    script = (
        'rate = calculate("30 / 8")\npoints = calculate("7")\n'
        "mean = query_table(\"SELECT avg(points) AS mean FROM 'team.csv'\")\n"
        f"result = query_table({sql!r})\ntell(result)"
    )
    *_, (tool, arguments), _ = _steps("Tell me", script)
    assert tool == "query_table"
    assert str(arguments["sql"]).startswith(meant)
    assert [*cast("Mapping[str, JSON]", arguments.get("tables", {}))] == tables


@pytest.mark.parametrize(
    ("goal", "selected", "meant"),
    [
        ("the columns name, old and new", "name, a.p AS old_price, b.p AS new_price", "name, a.p AS old, b.p AS new"),
        ("two columns: name, and missing for what is", "name, 5 - points AS gap", "name, 5 - points AS missing"),
        ("with columns: name, Score", "name, sum(points) AS total", "name, sum(points) AS Score"),
        ("the columns name and points", "name, sum(x) AS y, points", "name, sum(x) AS y, points"),  # another number
        (
            "the columns name, old and new",
            "name, x AS a, y AS b",
            "name, x AS a, y AS b",
        ),  # nobody knows which is which
        ("the columns name and when", "name, x AS points", "name, x AS points"),  # a file has a column of that name
        ("add a column total and save it", "name, x AS y", "name, x AS y"),
        ("keep the columns in the same order", "name, x AS y", "name, x AS y"),
    ],
)
def test_columns_have_the_names_that_the_goal_lists(goal: str, selected: str, meant: str) -> None:
    script = f"rows = query_table(\"SELECT {selected} FROM 'team.csv'\")\nwrite_table('out.csv', rows)"
    (_, arguments), _ = _steps(f"Make out.csv with {goal}", script, new=["out.csv"])
    assert arguments["sql"] == f"SELECT {meant} FROM 'team.csv'"


@pytest.mark.parametrize(
    ("goal", "path", "tools"),
    [
        ("Turn team.csv into team.json, an object for each", "team.json", ["query_table", "write_table"]),
        ("Classify each member of team.csv, into team.json", "team.json", ["query_table", "write", "write_file"]),
        ("Write a letter about team.csv to letter.txt", "letter.txt", ["query_table", "write", "write_file"]),
    ],
)
def test_rows_that_are_to_be_data_are_no_work_for_a_model(goal: str, path: str, tools: list[str]) -> None:
    script = (
        "rows = query_table(\"SELECT * FROM 'team.csv'\")\n"
        f"text = write('As JSON, an object for each row', rows)\nwrite_file({path!r}, text)"
    )
    steps = _steps(goal, script, new=[path])
    assert [tool for tool, _ in steps] == tools
    if len(tools) == 2:
        assert steps[-1][1] == {"path": path, "rows": "{{1}}"}


@pytest.mark.parametrize(
    ("length", "written"),
    [("60 words at the very most", 1), ("at most 60 words", 1), ("in the usual form", 2)],
)
def test_a_text_of_a_certain_length_is_written_as_one(length: str, written: int) -> None:
    script = (
        'note = read_file("note.txt")\ndose = write("The new dose", note)\ncall = write("Whom to call", note)\n'
        'write_file("brief.txt", f"Dose: {dose}\\n\\nCall: {call}")'
    )
    goal = f"A brief of note.txt, {length}, into brief.txt"
    steps = _steps(goal, script, files={"note.txt": "..."}, new=["brief.txt"])
    assert [tool for tool, _ in steps] == ["read_file", *["write"] * written, "write_file"]
    if written == 1:
        assert str(steps[1][1]["brief"]).startswith("The new dose; Whom to call. It is for this goal: A brief")
        assert steps[2][1]["content"] == "{{2}}"


def test_what_is_asked_is_told_the_goal_and_no_number_of_a_recipe() -> None:
    goal = "who has to do what? note.txt"
    for asked, question in (
        ("Who does what?", f"Who does what?. It is for this goal: {goal}"),
        ("Name the three most important tasks", goal),
        (goal, goal),
    ):
        script = f'note = read_file("note.txt")\nanswer = analyze({asked!r}, note)\ntell(answer)'
        _, (_, arguments), _ = _steps(goal, script, files={"note.txt": "..."})
        assert arguments["question"] == question


@pytest.mark.parametrize(
    ("goal", "path", "heading"),
    [
        ('with the heading "Our team" and a table', "team.html", "Our team"),
        ("with the title “Our team”, then a table", "team.md", "Our team"),
        ('"Our team" as the headline', "team.txt", "Our team"),
        ('with the heading "Our team"', "team.csv", None),
        ('of the members of "Our team"', "team.md", None),
    ],
)
def test_a_table_in_a_text_has_the_heading_that_the_goal_has(goal: str, path: str, heading: str | None) -> None:
    script = f"rows = query_table(\"SELECT * FROM 'team.csv'\")\nwrite_table({path!r}, rows)"
    *_, (_, arguments) = _steps(f"Make {path} of team.csv {goal}", script, new=[path])
    assert arguments.get("heading") == heading


def test_a_heading_that_is_written_is_not_written_twice() -> None:
    script = "rows = query_table(\"SELECT * FROM 'team.csv'\")\nwrite_table('team.md', rows, 'Our Team')"
    *_, (_, arguments) = _steps('team.md of team.csv, heading "Our team"', script, new=["team.md"])
    assert arguments["heading"] == "Our Team"


def test_what_only_reads_what_a_query_reads_itself_is_left_out() -> None:
    script = (
        "team = query_table(\"SELECT name, points FROM 'team.csv'\")\n"
        "best = query_table(\"SELECT name FROM 'team.csv' ORDER BY points DESC LIMIT 1\")\ntell(best)"
    )
    assert [tool for tool, _ in _steps("Who is best?", script)] == ["query_table", "tell"]
    for kept in (script.replace("tell(best)", "tell(team)"), script.replace("name, points", "max(points)")):
        assert [tool for tool, _ in _steps("Who is best?", kept)] == ["query_table", "query_table", "tell"]


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        ("SELECT line FROM 'todo.md' WHERE line LIKE '- [ ]%'", "SELECT text FROM 'todo.md' WHERE text LIKE '- [ ]%'"),
        (
            "SELECT line FROM 'a.log' WHERE line NOT LIKE '%line%' ORDER BY line",
            "SELECT text FROM 'a.log' WHERE text NOT LIKE '%line%' ORDER BY line",
        ),
        ("SELECT line FROM 'a.txt' WHERE text LIKE 'x%'", "SELECT line FROM 'a.txt' WHERE text LIKE 'x%'"),
        ("SELECT line FROM 'lines.csv' WHERE line LIKE 'U%'", "SELECT line FROM 'lines.csv' WHERE line LIKE 'U%'"),
    ],
)
def test_what_a_line_is_like_is_its_text(sql: str, meant: str) -> None:
    steps = _steps("Which lines are of that kind? Tell me", f'found = query_table("{sql}")\ntell(found)')
    assert steps[0][1]["sql"] == meant


@pytest.mark.parametrize(
    ("goal", "figure", "meant"),
    [
        ("the median of each sample", "ROUND(MEDIAN(value), 2)", "ROUND(MEDIAN(value), 3)"),
        ("the median of each sample, with two decimals", "ROUND(MEDIAN(value), 2)", "ROUND(MEDIAN(value), 2)"),
        ("the mean of each sample", "round(avg(value), 4)", "round(avg(value), 4)"),
        ("the price of each sample", "ROUND(value * 1.19, 2)", "ROUND(value * 1.19, 2)"),
    ],
)
def test_a_figure_has_the_decimals_of_its_file(goal: str, figure: str, meant: str) -> None:
    script = f"found = query_table(\"SELECT sample, {figure} AS m FROM 'plate.csv' GROUP BY sample\")\ntell(found)"
    steps = _steps(goal, script, files={"plate.csv": "sample,value\nS-A,1.137\nS-B,0.38"})
    assert f" {meant} AS m" in str(steps[0][1]["sql"])
