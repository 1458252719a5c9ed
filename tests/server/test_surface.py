"""What any MCP client gets, in both protocol eras: small strict tools, plans, runs, answers that say what is next."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import COPY, text, view
from tests.stores import environment

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio
COMMAND = str(Path(sys.executable).parent / "forethought")


async def test_the_tool_list_is_small_flat_and_honest(make_settings: Callable[..., Settings], era: str) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        tools = (await client.list_tools()).tools
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert [tool.name for tool in tools] == [
        "create_plan",
        "execute_plan",
        "reflect",
        "lats_search",
        "get_plan",
        "update_plan",
        "report",
        "rollback",
        "stop",
    ]
    assert len(json.dumps(wire, separators=(",", ":"))) < 9000
    assert "$ref" not in json.dumps(wire)
    for tool in wire:
        assert tool["title"]
        hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert hints <= set(tool["annotations"])
        assert not {"anyOf", "oneOf", "allOf"} & set(tool["inputSchema"])
        assert tool["outputSchema"] == wire[0]["outputSchema"]


async def test_steps_of_the_caller_become_a_plan_that_runs(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "copy a.txt", "steps": COPY}))
        assert plan["status"] == "ready"
        assert "longest chain 2 (1, 2)" in plan["shape"]
        assert plan["levels"] == "1 | 2"
        assert "medium: 2 (writes)" in plan["risk"]
        assert not (work / "b.txt").exists()
        done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert done["status"] == "succeeded"
    assert done["progress"] == "2 of 2 steps succeeded"
    assert (work / "b.txt").read_text(encoding="utf-8") == "alpha\n!"


async def test_default_answers_are_short_and_say_what_to_call_next(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [
        {**COPY[0], "id": i, "description": "Read the file that everybody talks about " * 3} for i in range(1, 200)
    ]
    async with Client(build_server(make_settings())) as client:
        created = view(await client.call_tool("create_plan", {"goal": "x " * 400, "steps": steps}))
        done = view(await client.call_tool("execute_plan", {"plan_id": created["plan_id"]}))
        asked = {"plan_id": created["plan_id"], "view": "list"}
        whole, real = [view(await client.call_tool("get_plan", {**asked, "page": page})) for page in (1, 1.0)]
        assert whole == real, "to JSON both are integers"
        beyond = view(await client.call_tool("get_plan", {**asked, "page": 1e15}))["steps"]
        assert beyond == [f"There is no page {10**15}: the last is 4."]
        brief = view(await client.call_tool("get_plan", {"plan_id": created["plan_id"]}))
        pages = [
            view(await client.call_tool("get_plan", {"plan_id": created["plan_id"], "view": "list", "page": page}))
            for page in (1, 4)
        ]
    for answer in (created, done, brief):
        assert answer["next"]
    assert len(json.dumps(created)) < 2000
    assert [len(page["steps"]) for page in pages] == [50, 49]
    assert "page=2" in pages[0]["next"]


async def test_running_a_plan_again_shows_the_result_and_repeats_nothing(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "copy", "steps": COPY}))["plan_id"]
        first = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        (work / "b.txt").unlink()
        second = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert second == first
        assert not (work / "b.txt").exists()
        third = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "again": "all"}))
    assert third["run_id"] != first["run_id"]
    assert (work / "b.txt").exists()


async def test_a_call_that_is_repeated_at_once_does_not_do_the_work_twice(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    settings = make_settings()
    # Two servers over one journal, and two calls to each.
    other = StdioServerParameters(
        command=COMMAND,
        args=["serve", "--folder", str(work)],
        env={**environment(settings), "FORETHOUGHT_MODEL": "host"},
    )
    async with Client(build_server(settings), mode=era) as one, Client(other, mode=era) as two:
        steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 0.5}}]
        plan_id = view(await one.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]

        async def call(client: Client) -> None:
            with anyio.fail_after(60):
                seen.append(view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"])

        async with anyio.create_task_group() as tasks:
            for client in (one, two, one, two):
                tasks.start_soon(call, client)
    assert len(seen) == 4
    assert len(set(seen)) == 1


async def test_a_plan_of_two_thousand_steps_is_run_and_told_about_in_fair_time(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{"id": i, "tool": "wait", "arguments": {"seconds": 0}} for i in range(1, 2001)]
    worked = time.process_time()
    async with Client(build_server(make_settings(silence=300))) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.fail_after(300):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "max_parallel": 64}))
    assert time.process_time() - worked < 30, "of this process, whatever else the machine does"
    assert done["progress"] == "2000 of 2000 steps succeeded"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("create_plan", {"goal": "g", "steps": [{"id": 1, "tool": "reed_file"}]}, "Did you mean read_file"),
        ("create_plan", {"goal": "g", "plan": 1}, "'plan' was unexpected"),
        ("create_plan", {}, "it needs a goal, from_search or recipe"),
        ("reflect", {}, "'task' is a required property"),
        ("execute_plan", {"plan_id": "plan_x"}, "There is no plan 'plan_x'. get_plan() lists"),
        ("get_plan", {"plan_id": 5, "view": "all"}, "'all' is not one of"),
        ("report", {"run_id": "run_x", "answers": []}, "There is no run 'run_x'"),
        ("stop", {"run_id": "run_x"}, "There is no run 'run_x'"),
    ],
)
async def test_what_a_caller_can_mend_is_a_tool_error_that_says_how(
    make_settings: Callable[..., Settings], era: str, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert says in text(result)


async def test_a_call_returns_after_some_silence_and_the_run_goes_on(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 4}}]
    async with Client(build_server(make_settings(silence=0.3)), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        running = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert running["status"] == "running"
        assert "execute_plan" in running["next"]
        with anyio.fail_after(60):
            while running["status"] == "running":
                running = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert running["status"] == "succeeded"


async def test_a_run_outlives_the_call_and_the_call_that_gives_up(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 4}}]
    async with Client(build_server(make_settings(silence=60)), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.move_on_after(0.2):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
        assert view(await client.call_tool("get_plan", {"plan_id": plan_id}))["status"] == "running"
        with anyio.fail_after(60):
            assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"


async def test_stop_cuts_off_what_is_in_flight(make_settings: Callable[..., Settings], era: str) -> None:
    steps = [
        {"id": 1, "tool": "wait", "arguments": {"seconds": 3000}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [1]},
    ]
    async with (
        Client(build_server(make_settings(silence=60)), mode=era) as client,
        anyio.create_task_group() as tasks,
    ):
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        full = {"plan_id": plan_id, "view": "full"}
        with anyio.fail_after(60):
            tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan_id})
            while (now := view(await client.call_tool("get_plan", full)))["steps"][0].get("state") != "running":
                pass
            stopped = view(await client.call_tool("stop", {"run_id": now["run_id"]}))
            assert view(await client.call_tool("stop", {"run_id": now["run_id"]})) == stopped
        ended = view(await client.call_tool("get_plan", full))
        assert stopped["status"] == "cancelled"
        assert [step["state"] for step in ended["steps"]] == ["failed", "skipped"]


async def test_a_file_name_that_is_no_text_does_not_stop_a_run(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / os.fsdecode(b"Gr\xfc\xdfe.txt")).write_text("x", encoding="utf-8")
    steps = [
        {"id": 1, "tool": "list_files"},
        {"id": 2, "tool": "analyze", "arguments": {"question": "?", "data": "{{1}}"}},
    ]
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert "Gr??e.txt" in waiting["waiting_on"][0]["context"]
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "one file"}]
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
