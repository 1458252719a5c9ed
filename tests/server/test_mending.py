"""What failed is tried again and planned around, by a model or by work orders; what has returned is not done again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import DONE, flat, in_full, run_steps, view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import JSON, Risk

pytestmark = pytest.mark.anyio


async def test_a_tool_that_fails_is_tried_again_planned_around_and_the_run_succeeds(
    make_settings: Callable[..., Settings], scripted_model: Callable[..., str], era: str, work: Path
) -> None:
    read: dict[str, Any] = {"id": 1, "tool": "read_file", "arguments": {"path": "missing.txt"}}
    save: dict[str, Any] = {
        "id": 2,
        "tool": "write_file",
        "arguments": {"path": "copy.txt", "content": "{{1}}"},
        "expected_output": "the file is there",
    }
    model = scripted_model(
        planner=[
            flat(read, save, {"id": 3, "tool": "read_file", "arguments": {"path": "a.txt"}}),
            flat({**save, "id": 4, "arguments": {"path": "copy.txt", "content": "{{3}}"}}),
        ],
        executor=[{"arguments": {"path": "also-missing.txt"}, "confidence": 0.9}],
        evaluator=[{"success": True, "issues": [], "suggestion": ""}],
        joiner=[DONE],
    )
    async with Client(build_server(make_settings(model=model)), mode=era) as client:
        done = view(await client.call_tool("execute_plan", {"goal": "copy the text"}))
        full = await in_full(client, done)
        arguments = {"plan_id": done["plan_id"], "view": "diff"}
        diff = view(await client.call_tool("get_plan", arguments))
        assert view(await client.call_tool("get_plan", {**arguments, "revision": 2, "against": 1})) == diff
        none = await client.call_tool("get_plan", {**arguments, "against": 7})
        assert none.is_error
    assert (done["status"], done["answer"], done["revision"]) == ("succeeded", "It is done.", 2)
    assert (work / "copy.txt").read_text(encoding="utf-8") == "alpha\n"
    assert {step["id"]: (step["state"], step["attempt"]) for step in full["steps"]} == {
        3: ("succeeded", 1),
        4: ("succeeded", 1),
    }
    assert full["models"]["planner"] == "scripted"
    assert [line[:4] for line in diff["diff"]] == ["- 1.", "- 2.", "+ 4."]
    assert "also-missing.txt" in diff["why"]


async def test_what_has_returned_is_not_done_again_though_its_verdict_takes_days(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """In host mode the verdict is a work order; the server may be another one when it comes."""
    settings = make_settings(risks={"run_command": Risk.MEDIUM})
    steps = [{"id": 1, "tool": "run_command", "arguments": {"command": "echo x >> log"}, "expected_output": "a line"}]
    async with Client(build_server(settings), mode=era) as client:
        waiting = await run_steps(client, steps)
        (order,) = waiting["waiting_on"]
        assert order["role"] == "evaluator"
    good: list[dict[str, Any]] = [
        {"order": order["order"], "answer": {"success": True, "issues": [], "suggestion": ""}}
    ]
    async with Client(build_server(settings), mode=era) as client:
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": good}))
    assert done["status"] == "succeeded"
    assert (work / "log").read_text(encoding="utf-8") == "x\n"


async def test_without_a_model_mending_and_planning_anew_become_work_orders(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        waiting = await run_steps(client, [{"id": 1, "tool": "read_file", "arguments": {"path": "b.txt"}}])

        async def hand_in(answer: JSON) -> dict[str, Any]:
            (order,) = waiting["waiting_on"]
            answers = [{"order": order["order"], "answer": answer}]
            return view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))

        assert waiting["waiting_on"][0]["role"] == "executor"
        waiting = await hand_in({"arguments": {"path": "c.txt"}, "confidence": 1})
        assert waiting["waiting_on"][0]["role"] == "planner"
        fresh: JSON = {
            "id": 2,
            "description": "",
            "tool": "read_file",
            "arguments": {"path": "a.txt"},
            "depends_on": [],
            "expected_output": "",
        }
        waiting = await hand_in({"reasoning": "", "steps": [fresh]})
    assert waiting["status"] == "succeeded"
    assert waiting["answer"] == {"step 2 (read_file)": "alpha\n"}
