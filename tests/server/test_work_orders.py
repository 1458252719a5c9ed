"""Without a model, planning and thinking become work orders of the calling agent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import text, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_without_a_model_planning_and_writing_become_work_orders(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    def draft(**changes: Any) -> dict[str, Any]:
        step: dict[str, Any] = {
            "id": 1,
            "description": "Word it",
            "tool": "write",
            "arguments": {"brief": "say hello"},
            "depends_on": [],
            "expected_output": "",
        }
        save: dict[str, Any] = {
            "id": 2,
            "description": "Save it",
            "tool": "write_file",
            "depends_on": [],
            "arguments": {"path": "hello.md", "content": "{{1}}"},
            "expected_output": "",
        }
        return {"reasoning": "two steps", "steps": [step, {**save, **changes}]}

    async with Client(build_server(make_settings()), mode=era) as client:

        async def hand_in(waiting: dict[str, Any], answer: object) -> dict[str, Any]:
            (order,) = waiting["waiting_on"]
            answers = [{"order": order["order"], "answer": answer}]
            return view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))

        waiting = view(await client.call_tool("create_plan", {"goal": "Greet: write hello.md from a.txt"}))
        assert waiting["status"] == "waiting"
        assert waiting["waiting_on"][0]["role"] == "planner"
        assert "alpha" in waiting["waiting_on"][0]["context"], "first lines of a named file are in the prompt"
        faulty = await hand_in(waiting, draft(depends_on=[7]))
        assert "it depends on step 7, which is not in the plan" in faulty["waiting_on"][0]["context"]
        plan = await hand_in(faulty, draft())
        assert plan["status"] == "ready"
        asked = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        assert asked["waiting_on"][0]["role"] == "executor"
        wrong = await client.call_tool(
            "report",
            {
                "run_id": asked["run_id"],
                "answers": [{"order": asked["waiting_on"][0]["order"], "answer": {"a": 1}}],
            },
        )
        assert wrong.is_error
        assert "not of type 'string'" in text(wrong)
        joining = await hand_in(asked, "Hello!")
        assert joining["waiting_on"][0]["role"] == "joiner", "who planned for us also words the answer"
        done = await hand_in(joining, {"done": True, "answer": "It says hello.", "missing": ""})
    assert done["answer"] == "It says hello."
    assert done["status"] == "succeeded"
    assert (work / "hello.md").read_text(encoding="utf-8") == "Hello!"


async def test_the_faults_of_the_last_draft_come_back_when_repair_did_not_help(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = view(await client.call_tool("create_plan", {"goal": "g"}))
        for _ in range(3):
            order = waiting["waiting_on"][0]["order"]
            nothing: dict[str, Any] = {"reasoning": "", "steps": []}
            answers = [{"order": order, "answer": nothing}]
            waiting = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert waiting["status"] == "failed"
    assert "it has no steps" in waiting["error"]


async def test_several_orders_are_offered_together_and_all_or_none_are_taken(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{"id": i, "tool": "analyze", "arguments": {"question": f"q{i}"}} for i in (1, 2, 3)]
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "max_parallel": 1}))
        with anyio.fail_after(30):  # "a step that waits holds no place": else there would never be three
            while len(waiting["waiting_on"]) < 3:
                waiting = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": []}))
        orders = {order["order"]: order["instructions"] for order in waiting["waiting_on"]}
        good = [{"order": order, "answer": f"answer to {told[-2:]}"} for order, told in orders.items()]
        bad = await client.call_tool(
            "report", {"run_id": waiting["run_id"], "answers": [*good, {"order": "order_x", "answer": "?"}]}
        )
        assert bad.is_error
        assert "order_x" in text(bad)
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": good}))
    assert done["status"] == "succeeded"
    assert len(done["answer"]) == 3
