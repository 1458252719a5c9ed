"""A run ends well only where what its goal names is so; what nobody could judge is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import view
from tests.terminal import piped, scripted, surroundings

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

DONE = {"done": True, "answer": "It is written.", "missing": ""}


def draft(*steps: tuple[str, dict[str, Any]], first: int = 1) -> dict[str, Any]:
    """What a planner of an endpoint writes."""
    plain: dict[str, Any] = {
        "description": "",
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    flat = [
        {**plain, "id": n, "tool": tool, "arguments": [{"name": key, "value": value} for key, value in given.items()]}
        for n, (tool, given) in enumerate(steps, first)
    ]
    return {"reasoning": "", "steps": flat}


async def test_a_run_that_has_not_done_what_its_goal_names_is_planned_anew(scripted: Callable[..., Settings]) -> None:
    wrong = draft(("write_file", {"path": "other.md", "content": "fine"}))
    right = draft(("write_file", {"path": "b.md", "content": "fine"}), first=2)
    settings = scripted({"planner": [wrong, right], "joiner": [DONE]})
    async with Client(build_server(settings)) as client:
        done = view(await client.call_tool("execute_plan", {"goal": "Write b.md"}))
        diff = view(await client.call_tool("get_plan", {"plan_id": done["plan_id"], "view": "diff"}))
    assert done["status"] == "succeeded", done
    assert (settings.folders[0] / "b.md").read_text(encoding="utf-8") == "fine"
    assert "b.md is not there, and the goal names it" in diff["why"]
    assert "unverified" not in done


async def test_a_run_that_may_not_change_its_plan_fails_with_what_is_not_so(scripted: Callable[..., Settings]) -> None:
    settings = scripted({"planner": [draft(("write_file", {"path": "b.csv", "content": "a,b\n1\n"}))]})
    async with Client(build_server(settings)) as client:
        done = view(await client.call_tool("execute_plan", {"goal": "Write b.csv", "replan": "never"}))
    assert done["status"] == "failed"
    assert "b.csv is no table: row 2 has 1 columns, and its header 2" in done["error"]


async def test_what_nobody_could_judge_is_told_now_and_later(scripted: Callable[..., Settings]) -> None:
    answer = {**DONE, "answer": "There are 4711 words."}
    settings = scripted({"planner": [draft(("read_file", {"path": "a.txt"}))], "joiner": [answer]})
    async with Client(build_server(settings)) as client:
        result = await client.call_tool("execute_plan", {"goal": "Count the words of a.txt"})
        done = view(result)
        later = view(await client.call_tool("get_plan", {"plan_id": done["plan_id"]}))
    doubt = "the answer says 4711, which stands in no result and no file that was read"
    assert done["status"] == "succeeded"
    assert done["unverified"] == later["unverified"] == [doubt]
    assert done["answer"] == f"There are 4711 words.\n\nNot verified: {doubt}."
    assert doubt in str(result.content)


async def test_a_text_of_a_model_that_nobody_has_looked_at_is_told(scripted: Callable[..., Settings]) -> None:
    write = {"id": 1, "tool": "write", "arguments": {"brief": "a slogan"}}
    checked = {**write, "check": {"matches": "right"}}
    settings = scripted({"executor": ["just right", "just right"]})
    async with Client(build_server(settings)) as client:
        for step, told in ((write, True), (checked, False)):
            plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [step]}))
            done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
            assert ("unverified" in done) is told


async def test_in_host_mode_the_agent_is_not_told_to_doubt_its_own_words(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{"id": 1, "tool": "write", "arguments": {"brief": "a slogan"}}]
    async with Client(build_server(make_settings())) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        waits = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        answers = [{"order": waits["waiting_on"][0]["order"], "answer": "just right"}]
        done = view(await client.call_tool("report", {"run_id": waits["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
    assert "unverified" not in done


def test_the_terminal_says_what_was_not_verified_and_ends_with_4(work: Path, tmp_path: Path) -> None:
    answer = {**DONE, "answer": "There are 4711 words."}
    model = scripted(tmp_path, {"planner": draft(("read_file", {"path": "a.txt"})), "joiner": answer})
    environment = surroundings(tmp_path / "home", FORETHOUGHT_FOLDERS=str(work), FORETHOUGHT_MODEL=model)
    done = piped(environment, "run", "Count the words of a.txt", "--yes")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "succeeded (1 of 1 steps succeeded), not all of it verified" in done.stdout
    assert "answer, not verified" in done.stdout
    assert "not verified: the answer says 4711" in done.stdout
