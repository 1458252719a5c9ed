"""Every recipe that we ship can be read, and its plan runs on files of the shape that it names."""

import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from anyio import to_thread

from forethought_patterns import Recipe, Step, parse_plan
from forethought_patterns.recipe import library, read_recipe, suggested_tools
from forethought_patterns.references import Turn, fill
from forethought_patterns.script import read_script
from forethought_tools import JSON, Question, Registry
from forethought_tools.builtin import builtin
from forethought_tools.files import matching
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

OUTSIDE: dict[str, JSON] = {
    "fetch_url": "# A page",
    "web_search": [{"title": "One", "url": "https://one.example", "snippet": "of many"}],
    "run_command": {"exit_status": 0, "stdout": "200", "stderr": ""},
    "send_email": {"sent_to": ["a@x.net"], "refused": []},
}
"""What stands for the tools that reach out."""
KNOWN = {tool.name for tool in builtin(Folders([]))}


def test_there_are_recipes_for_every_kind_of_ordinary_work() -> None:
    assert len(library()) >= 60
    assert len({recipe.goal.lower() for recipe in library()}) == len(library())


@pytest.mark.parametrize("recipe", library(), ids=lambda recipe: str(recipe.name))
def test_a_recipe_says_what_it_is_for(recipe: Recipe) -> None:
    assert recipe.about
    assert recipe.tools


def test_a_recipe_is_read_from_its_file() -> None:
    text = "# Sums\ngoal: Sum a.csv: all of it\nfiles: a.csv: x,y | 1,2\nfiles: b.txt:\n\ns = sums('a.csv')\nkeep(s)\n"
    read = read_recipe("sums", text)
    assert (read.name, read.about, read.goal) == ("sums", "Sums", "Sum a.csv: all of it")
    assert read.files == {"a.csv": "x,y\n1,2", "b.txt": ""}
    assert (read.script, read.tools) == ("s = sums('a.csv')\nkeep(s)", ("sums", "keep"))


def test_a_small_planner_sees_what_the_recipes_call_what_the_goal_names_and_what_most_plans_need() -> None:
    def names(goal: str, *recipes: str) -> set[str]:
        shown = [recipe for recipe in library() if recipe.name in recipes]
        return {tool.name for tool in suggested_tools(goal, ["a.csv"], shown, builtin(Folders([])))}

    assert {"query_table", "write_file", "tell"} <= names("anything at all", "top-n")
    assert not names("anything at all", "top-n") & {"run_command", "send_email", "delete_file", "web_search"}
    assert "delete_file" in names("drop the scratch notes", "delete-one")
    assert "send_email" in names("emails for Bo about lunch", "top-n")
    assert len(names("anything at all")) == len(builtin(Folders([]))) - 1, "a small planner does without `delegate`"


def test_recipes_call_only_tools_that_there_are() -> None:
    assert {name for recipe in library() for name in recipe.tools} <= KNOWN


@pytest.mark.parametrize("recipe", library(), ids=lambda recipe: str(recipe.name))
async def test_the_plan_of_a_recipe_runs(recipe: Recipe, tmp_path: Path) -> None:
    folders = Folders([tmp_path])
    tools = builtin(folders)
    for path, shape in recipe.files.items():
        if path.endswith(".xlsx"):
            rows: JSON = [dict(row) for row in csv.DictReader(shape.splitlines())]
            await tools.call("write_table", {"path": path, "rows": rows}, answered)
        else:
            make(tmp_path / path, shape.splitlines())

    def files_of(pattern: str) -> list[str]:
        return sorted(name for _, name, _ in matching(folders, pattern, "."))

    steps = await to_thread.run_sync(read_script, recipe.script, tools, files_of)
    await run(parse_plan(recipe.goal, steps, tools).steps, tools)


async def run(steps: Sequence[Step], tools: Registry) -> None:
    results: dict[int, JSON] = {}
    for step in steps:
        items = fill(step.for_each, results) if step.for_each is not None else [None]
        assert isinstance(items, Sequence)
        made = [await call(step, fill(step.arguments, results, Turn(item, at)), tools) for at, item in enumerate(items)]
        results[step.id] = made if step.is_loop else made[0]


async def call(step: Step, arguments: JSON, tools: Registry) -> JSON:
    assert isinstance(arguments, dict)
    return OUTSIDE[step.tool] if step.tool in OUTSIDE else await tools.call(step.tool, arguments, answered)


async def answered(question: Question) -> JSON:
    if question.schema["type"] == "array":  # a short text, in parts
        return ["A few words."]
    return "2026-04-03" if "YYYY-MM-DD" in question.instructions else "A few words."


def make(file: Path, lines: Sequence[str]) -> None:
    """A file of this shape."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in (".sqlite", ".db"):
        with closing(sqlite3.connect(file)) as database:
            for table in lines:
                name, _, columns = table.rstrip(")").partition("(")
                values = [
                    {"INTEGER": "1", "REAL": "1.5"}.get(column.split()[1], "'a'") for column in columns.split(", ")
                ]
                database.execute(f"CREATE TABLE {table}")
                database.execute(f"INSERT INTO {name} VALUES ({', '.join(values)})")
            database.commit()
    else:
        file.write_bytes(b"\0" if lines == ["(binary)"] else "".join(f"{line}\n" for line in lines).encode())
