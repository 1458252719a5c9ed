"""A plan is changed by one server while another runs it, and servers are killed meanwhile: never a mix of revisions."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view, write
from tests.stores import COMMAND, environment

from forethought.app import open_store
from forethought.journal.audit import fault
from forethought.settings import Settings

pytestmark = pytest.mark.anyio

STEPS = [
    {"id": 1, "tool": "wait", "arguments": {"seconds": 0.5}},
    write(2, "first.txt", depends_on=[1]),
    {"id": 3, "tool": "wait", "arguments": {"seconds": 0.1}, "depends_on": [2]},
]
CHANGE: dict[str, Any] = {"revision": 1, "steps": [write(4, "second.txt", depends_on=[1])], "drop": [2, 3]}


def _server(settings: Settings, work: Path) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND, args=["serve", "--folder", str(work)], env=environment(settings))


async def _until(client: Client, plan_id: str, state: str) -> None:
    full = {"plan_id": plan_id, "view": "full"}
    while view(await client.call_tool("get_plan", full))["steps"][0].get("state") not in (state, "succeeded"):
        pass


async def test_another_client_changes_a_run_and_whoever_waits_for_it_is_told(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings()
    slow = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "until [ -e go ]; do sleep 0.1; done"}},
        *STEPS[1:],
    ]
    done: dict[str, Any] = {}
    with anyio.fail_after(90):
        server = _server(settings, work)
        async with Client(server, elicitation_callback=approve) as one, Client(_server(settings, work)) as two:
            plan_id = view(await one.call_tool("create_plan", {"goal": "g", "steps": slow}))["plan_id"]

            async def run() -> None:
                while done.get("status") in (None, "running"):
                    done.update(view(await one.call_tool("execute_plan", {"plan_id": plan_id})))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await _until(two, plan_id, "running")
                assert not (await two.call_tool("update_plan", {"plan_id": plan_id, **CHANGE})).is_error
                late = await one.call_tool("update_plan", {"plan_id": plan_id, **CHANGE})
                assert late.is_error
                (work / "go").touch()
    assert (done["status"], done["revision"]) == ("succeeded", 2)
    assert (work / "second.txt").exists()
    assert not (work / "first.txt").exists()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.takes(20)
async def test_a_kill_at_any_moment_of_a_change_leaves_either_revision(
    make_settings: Callable[..., Settings], work: Path, seed: int
) -> None:
    settings, chance = make_settings(), random.Random(seed)
    plan_id, told = "", False
    with anyio.fail_after(120):
        try:
            async with Client(_server(settings, work)) as client:
                plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": STEPS}))["plan_id"]
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan_id})
                    await _until(client, plan_id, "running")
                    tasks.start_soon(_kill, chance.uniform(0, 0.1))
                    told = not (await client.call_tool("update_plan", {"plan_id": plan_id, **CHANGE})).is_error
        except BaseExceptionGroup:
            pass  # the connection is gone, as it should be
        async with Client(_server(settings, work)) as client:
            done: dict[str, Any] = {"status": "running"}
            while done["status"] == "running":
                done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded", done
    store = open_store(settings)
    run = store.queries.run(done["run_id"])
    row = store.queries.plan(plan_id)
    assert row.revision == run.revision
    assert told <= (run.revision == 2), "what was told is so"
    body: Any = row.body["steps"]
    steps = store.queries.steps(run.id)
    assert {step.id for step in steps if not step.dropped} == {step["id"] for step in body}
    assert not fault(store.queries, run.id)
    store.close()
    changed = run.revision == 2
    assert ((work / "second.txt").exists(), (work / "first.txt").exists()) == (changed, not changed)


async def _kill(after: float) -> None:
    await anyio.sleep(after)
    listed = await anyio.run_process(["pgrep", "-P", str(os.getpid()), "-f", "forethought"], check=False)
    for line in listed.stdout.split():
        os.kill(int(line), signal.SIGKILL)
