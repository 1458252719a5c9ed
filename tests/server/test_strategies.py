"""Steps of a plan that are reflected upon or searched for."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import ended, view
from tests.server.thinking import read, worth

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms

pytestmark = pytest.mark.anyio


async def test_steps_are_reflected_upon_or_searched_for(scripted: Callable[..., Settings]) -> None:
    steps = [
        {
            "id": 1,
            "description": "Word it",
            "tool": "write",
            "arguments": {"brief": "a slogan", "material": "facts"},
            "strategy": "reflect",
            "check": {"expression": "words(text) == 2"},
        },
        {
            "id": 2,
            "description": "Find out",
            "tool": "analyze",
            "arguments": {"question": "what is in a.txt"},
            "strategy": "search",
            "check": {"matches": "alpha"},
        },
        {"id": 3, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{1}}, {{2}}"}},
    ]
    look = {"thought": "look", "tool": "read_file", "arguments": [{"name": "path", "value": "a.txt"}], "answer": ""}
    tell: dict[str, Any] = {"thought": "tell", "tool": "answer", "arguments": [], "answer": "alpha"}
    good: dict[str, Any] = {"scores": {"1": 9, "2": 9, "3": 9}, "lessons": [], "issues": [], "approved": True}
    script: dict[str, Any] = {
        "executor": ["much too long", "just right"],
        "critic": [good],  # of the draft that passes the check
        # Two trajectories: one goes on from the look, one asks at the start again.
        "proposer": [{"candidates": [look]}, {"candidates": [tell]}, {"candidates": []}],
        "evaluator": [worth(8)],
    }
    settings = scripted(script, terms=Terms(max_parallel=1))
    async with Client(build_server(settings)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        done = await ended(client, view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})))
        rounds = json.loads(await read(client, f"run://{done['run_id']}/rounds"))
        trees = json.loads(await read(client, f"run://{done['run_id']}/tree"))
    assert done["status"] == "succeeded", done
    assert (settings.folders[0] / "b.txt").read_text(encoding="utf-8") == "just right, alpha"
    assert [(each["for"], each["score"]) for each in rounds] == [("step/1/1", None), ("step/1/1", 9)]
    assert list(trees) == ["step/2/1"]


async def test_the_caller_can_override_the_strategy(scripted: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "tool": "write", "arguments": {"brief": "a slogan"}, "strategy": "reflect"}]
    async with Client(build_server(scripted({"executor": ["plain"]}))) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        wanted = {"plan_id": plan["plan_id"], "strategies": {"*": "direct"}}
        done = await ended(client, view(await client.call_tool("execute_plan", wanted)))
    assert done["answer"] == {"step 1 (write)": "plain"}


async def test_a_strategy_for_a_tool_that_asks_no_model_is_a_fault(make_settings: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "strategy": "search"}]
    async with Client(build_server(make_settings())) as client:
        refused = await client.call_tool("create_plan", {"goal": "g", "steps": steps})
    assert "read_file asks no model" in str(refused.content)
