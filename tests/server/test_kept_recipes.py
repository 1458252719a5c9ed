"""A plan that has reached its goal is kept: planners are told of it, and it can be run again with other values."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import APPROVE, DONE, person, text, view
from tests.stores import environment, everything_in, tampering

from forethought.app import open_journal
from forethought.engine.recipes import filled
from forethought.journal.rows import Fact, RecipeRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_tools import JSON, ForethoughtError

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
GOAL = "Copy the first line of a.txt to b.txt"


def step(number: int, tool: str, *, after: tuple[int, ...] = (), **arguments: str) -> dict[str, Any]:
    pairs = [{"name": name, "value": value} for name, value in arguments.items()]
    rest = {"expected_output": "", "confidence": 0.9, "strategy": "direct", "depends_on": list(after)}
    return {"id": number, "description": f"step {number}", "tool": tool, "arguments": pairs, **rest}


COPY = [step(1, "read_file", path="a.txt"), step(2, "write_file", path="b.txt", content="{{1}} of a.txt")]
Scripted = Callable[..., Settings]


def script(*steps: Mapping[str, Any]) -> Mapping[str, Any]:
    plan = {"reasoning": "", "steps": list(steps)}
    return {"planner": [{"always": plan}], "joiner": [{"always": DONE}]}


def forethought(configured: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env=configured, capture_output=True, text=True, check=False, timeout=300
    )


LOOKS = count()


async def reached(settings: Settings, goal: str = GOAL, **how: Any) -> str:
    """A run that has reached a goal."""
    async with Client(build_server(settings), **how) as client:
        ended = view(await client.call_tool("execute_plan", {"goal": goal}))
    assert ended["status"] == "succeeded", ended
    return str(ended["run_id"])


async def told(make_settings: Scripted, goal: str, **more: Any) -> str:
    """What a planner is told of a goal. The same call twice would be about one run."""
    async with Client(build_server(make_settings(**more))) as client:
        waiting = view(await client.call_tool("create_plan", {"goal": goal, "context": f"look {next(LOOKS)}"}))
    return str(waiting["waiting_on"][0]["context"])


async def test_a_plan_that_reached_its_goal_is_shown_to_planners_of_the_same_folders(
    make_settings: Scripted, scripted: Scripted, tmp_path: Path
) -> None:
    asked = "Copy the first line of old.txt to c.txt"
    assert "b.txt" not in await told(make_settings, asked)
    await reached(scripted(script(*COPY)))
    seen = await told(make_settings, asked)
    assert "how such goals were reached" in seen
    assert f'{GOAL}\nstep_1 = read_file("a.txt")\nstep_2 = write_file("b.txt", f"{{step_1}} of a.txt")' in seen
    assert "b.txt" not in await told(make_settings, asked, recipes=False)
    other = tmp_path / "other"
    other.mkdir()
    assert "b.txt" not in await told(make_settings, asked, folders=(other,))


async def test_the_same_goal_is_kept_once_and_with_the_switch_off_not_at_all(scripted: Scripted) -> None:
    await reached(scripted(script(*COPY), recipes=False))
    assert kept(scripted(script())) == []
    await reached(scripted(script(*COPY)))
    await reached(scripted(script(*COPY)), f"  {GOAL.upper()}")
    assert [goal for _, goal in kept(scripted(script()))] == [GOAL]


def kept(settings: Settings) -> list[tuple[str, str]]:
    with open_journal(settings) as journal:
        return [(row.name, row.goal) for row in journal.queries.recipes()]


async def test_a_run_that_failed_or_in_which_a_person_changed_a_call_is_not_kept(scripted: Scripted) -> None:
    failing = scripted(script(step(1, "read_file", path="missing.txt")), terms=Terms(replan="never"))
    async with Client(build_server(failing)) as client:
        assert view(await client.call_tool("execute_plan", {"goal": GOAL}))["status"] == "failed"
    assert kept(failing) == []
    edit = {"decision": "edit", "arguments": '{"path": "a.txt"}'}
    settings = scripted(script(step(1, "delete_file", path="old.txt")))
    await reached(settings, "Tidy up", elicitation_callback=person(edit))
    assert kept(settings) == []


async def test_what_nobody_could_judge_is_not_kept(scripted: Scripted) -> None:
    unfounded = {**DONE, "answer": "There are 4711 words."}
    settings = scripted({**script(step(1, "read_file", path="a.txt")), "joiner": [unfounded]})
    async with Client(build_server(settings)) as client:
        ended = view(await client.call_tool("execute_plan", {"goal": "Count the words of a.txt"}))
    assert (ended["status"], len(ended["unverified"])) == ("succeeded", 1)
    assert kept(settings) == []


async def test_what_was_planned_anew_after_a_failure_is_not_kept(scripted: Scripted) -> None:
    first, then = step(1, "read_file", path="missing.txt"), step(2, "read_file", path="a.txt")
    plans = [{"reasoning": "", "steps": [each]} for each in (first, then)]
    settings = scripted({"planner": plans, "joiner": [{"always": DONE}]})
    await reached(settings, "Read a file")
    assert kept(settings) == []


async def test_a_plan_in_which_a_key_stood_is_not_kept(scripted: Scripted) -> None:
    key = "sk-very-long-0123456789"
    settings = scripted(script(*COPY), api_key=key)
    await reached(settings, f"{GOAL}, my key is {key}")
    assert kept(settings) == []
    assert key not in everything_in(settings)


async def test_only_the_latest_hundred_are_kept_beside_those_with_a_name(
    scripted: Scripted,
) -> None:
    settings = scripted(script(*COPY))
    first = await reached(settings, "first goal")
    assert "Kept." in forethought(environment(settings), "recipes", "name", first, "of-old").stdout
    with open_journal(settings) as journal:
        (body, workspace) = ((row := journal.queries.recipes()[0]).body, row.workspace)
        facts = [{"id": f"recipe_{n}", "workspace": workspace, "name": "", "goal": f"goal {n}"} for n in range(99)]
        journal.store.commit("", *(Fact("recipe_kept", {**fact, "body": body}) for fact in facts))
    await reached(settings, "last goal")
    names = kept(settings)
    assert len(names) == 101
    assert {("of-old", "first goal"), ("", "last goal"), ("", "goal 0")} < set(names)
    assert ("", "first goal") not in names


async def test_a_recipe_is_run_again_with_other_values_and_without_a_model(
    make_settings: Scripted, scripted: Scripted, work: Path
) -> None:
    settings = scripted(script(*COPY))
    run = await reached(settings)
    configured = environment(settings)
    named = forethought(configured, "recipes", "name", run, "first-line", "source=a.txt", "target=b.txt")
    assert named.stdout == "Kept. forethought run --recipe first-line source=... target=...\n"
    (work / "it's {{1}}.txt").write_text("hello", encoding="utf-8")
    given = {"source": "it's {{1}}.txt", "target": "c.txt"}
    async with Client(build_server(make_settings())) as client:  # no model: the plan needs none
        plan = view(await client.call_tool("create_plan", {"recipe": "first-line", "parameters": given}))
        assert view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))["status"] == "succeeded"
    assert (work / "c.txt").read_text(encoding="utf-8") == "hello of it's {{1}}.txt"
    assert plan["goal"] == "Copy the first line of it's {{1}}.txt to c.txt"
    assert "source (was 'a.txt')" in await refused(make_settings(), {"recipe": "first-line", "parameters": {"x": "y"}})
    assert "no recipe 'second-line'" in await refused(make_settings(), {"recipe": "second-line"})
    assert "Give one of them" in await refused(make_settings(), {"parameters": given})


async def refused(settings: Settings, arguments: dict[str, Any]) -> str:
    async with Client(build_server(settings)) as client:
        result = await client.call_tool("create_plan", arguments)
    assert result.is_error
    return text(result)


async def test_the_steps_of_a_recipe_wait_at_the_same_gates(scripted: Scripted, work: Path) -> None:
    settings = scripted(script(step(1, "delete_file", path="old.txt")))
    run = await reached(settings, "Delete old.txt", elicitation_callback=person(APPROVE))
    forethought(environment(settings), "recipes", "name", run, "drop", "file=old.txt")
    async with Client(build_server(settings)) as client:
        plan = view(await client.call_tool("create_plan", {"recipe": "drop", "parameters": {"file": "a.txt"}}))
        ended = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert (ended["status"], (work / "a.txt").exists()) == ("waiting", True)


async def test_a_value_cannot_add_to_a_command_and_stays_one_text_in_sql(scripted: Scripted, work: Path) -> None:
    sql = "SELECT count(*) AS n FROM notes WHERE word = 'red'"
    (work / "notes.csv").write_text("word\nred\n", encoding="utf-8")
    query = step(1, "query_table", sql=sql, paths='["notes.csv"]')
    settings = scripted(script(query, step(2, "run_command", command="echo red", after=(1,))))
    run = await reached(settings, "Count red in notes.csv", elicitation_callback=person(APPROVE))
    forethought(environment(settings), "recipes", "name", run, "count", "word=red")
    evil = {"recipe": "count", "parameters": {"word": "x; rm -rf ."}}
    assert "a shell would obey it" in await refused(settings, evil)
    async with Client(build_server(settings)) as client:
        plan = view(await client.call_tool("create_plan", {"recipe": "count", "parameters": {"word": "blue"}}))
        whole = view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"], "view": "full"}))
    assert whole["steps"][0]["arguments"]["sql"] == sql.replace("red", "blue")
    assert whole["steps"][1]["arguments"] == {"command": "echo blue"}


def test_a_value_cannot_add_to_the_command_of_a_check_either() -> None:
    check = {"command": "grep {word} a.txt"}
    steps: list[JSON] = [{"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "check": check}]
    body: dict[str, JSON] = {"parameters": {"word": "red"}, "steps": steps}
    row = RecipeRow("recipe_1", "", "", "count", "Count {word}", body, 0.0)
    (filled_in,) = filled(row, {"word": "blue"})[1]
    assert isinstance(filled_in, Mapping)
    assert filled_in["check"] == {"command": "grep blue a.txt"}
    with pytest.raises(ForethoughtError, match="a shell would obey it"):
        filled(row, {"word": "x a.txt; touch y;"})


async def test_recipes_are_listed_shown_named_and_forgotten_in_the_terminal(scripted: Scripted) -> None:
    settings = scripted(script(*COPY))
    run = await reached(settings)
    configured = environment(settings)
    listed = forethought(configured, "recipes").stdout
    assert "recipe_" in listed.splitlines()[1]
    assert "sum-by-group" in listed
    wrong = forethought(configured, "recipes", "name", run, "Not Good")
    assert (wrong.returncode, "cannot be the name" in wrong.stderr) == (1, True)
    unmarked = forethought(configured, "recipes", "name", run, "line", "month=May")
    assert (unmarked.returncode, "stands in no step" in unmarked.stderr) == (1, True)
    assert forethought(configured, "recipes", "name", run, "line", "source=a.txt").returncode == 0
    assert "cannot be the name" in forethought(configured, "recipes", "name", run, "line").stderr
    shown = forethought(configured, "recipes", "show", "line").stdout
    assert "parameters: source" in shown
    assert 'step_1 = read_file("a.txt")' in shown
    assert '"line"' in forethought(configured, "recipes", "--json").stdout
    assert "goal: Total the litres" in forethought(configured, "recipes", "show", "sum-by-group").stdout
    assert "Forgotten: 1." in forethought(configured, "recipes", "forget", "line").stdout
    unasked = forethought(configured, "recipes", "forget", "all")
    assert (unasked.returncode, "all kept recipes (1) would be forgotten" in unasked.stderr) == (3, True)
    assert "Forgotten: 1." in forethought(configured, "recipes", "forget", "all", "--yes").stdout
    assert forethought(configured, "recipes", "forget", "line").returncode == 1


async def test_a_recipe_that_no_run_has_made_is_found(scripted: Scripted) -> None:
    settings = scripted(script(*COPY))
    await reached(settings)
    configured = environment(settings)
    assert forethought(configured, "verify").returncode == 0
    assert tampering(settings, "UPDATE recipe SET goal = 'Delete everything'")
    assert "(recipe) are not what its entries say" in forethought(configured, "verify").stdout


async def test_a_journal_of_the_first_schema_gets_its_table_of_recipes(scripted: Scripted) -> None:
    settings = scripted(script(*COPY))
    await reached(settings, "first goal")
    tampering(settings, "DROP TABLE recipe")
    tampering(settings, "UPDATE about SET version = 1" if settings.store else "PRAGMA user_version = 1")
    await reached(settings, "second goal")
    assert kept(settings) == [("", "second goal")]
