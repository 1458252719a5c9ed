"""The real thing: a server process over standard input and output, in both eras."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view
from tests.stores import environment

from forethought.app import open_store
from forethought.journal.audit import fault
from forethought.settings import Settings

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")


def _server(home: Path, work: Path, **more: str) -> StdioServerParameters:
    env = {"FORETHOUGHT_HOME": str(home), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"], **more}
    return StdioServerParameters(command=COMMAND, args=["serve", "--folder", str(work)], env=env)


async def test_the_main_job_over_stdio(tmp_path: Path, work: Path, era: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
        {"id": 2, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{1}}"}},
        {"id": 3, "tool": "run_command", "arguments": {"command": "echo noise; cat b.txt"}, "depends_on": [2]},
        {"id": 4, "tool": "delete_file", "arguments": {"path": "old.txt"}, "depends_on": [3]},
    ]
    async with Client(_server(tmp_path / "home", work), mode=era, elicitation_callback=approve) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.fail_after(30):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}, progress_callback=progress))
    assert done["status"] == "succeeded"
    assert not (work / "old.txt").exists()
    assert heard
    values = [value for value, _ in heard]
    assert values == sorted(set(values)), "progress only grows"


@pytest.mark.takes(25)
async def test_progress_keeps_a_silent_call_open(tmp_path: Path, work: Path) -> None:
    async def call(era: str) -> None:
        heard: list[float] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 22}}]
        async with Client(_server(tmp_path / era, work), mode=era) as client:
            plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
            with anyio.fail_after(60):
                done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}, progress_callback=progress))
        assert done["status"] == "succeeded", "longer than the 20 s after which a call without progress returns"
        assert len(heard) >= 4, "a heartbeat every five seconds"
        assert heard == sorted(set(heard))

    async with anyio.create_task_group() as tasks:
        for era in ("2026-07-28", "legacy"):
            tasks.start_soon(call, era)


def test_standard_output_carries_nothing_but_the_protocol(tmp_path: Path, work: Path) -> None:
    step = {"id": 1, "tool": "run_command", "arguments": {"command": "echo loud"}}
    calls: list[dict[str, Any]] = [
        {
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "0"},
            },
        },
        {"method": "tools/list"},
        {"method": "tools/call", "params": {"name": "create_plan", "arguments": {"goal": "g", "steps": [step]}}},
        {"method": "tools/call", "params": {"name": "nonsense", "arguments": {}}},
    ]
    lines = [json.dumps({"jsonrpc": "2.0", "id": n, **call}) for n, call in enumerate(calls)]
    lines.insert(1, json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    environment = {**os.environ, "FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "host"}
    server = subprocess.Popen(
        [COMMAND, "serve", "--folder", str(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    seen: list[Mapping[str, Any]] = []
    server.stdin.write("".join(line + "\n" for line in lines))
    server.stdin.flush()
    while {answer.get("id") for answer in seen} < set(range(len(calls))):
        seen.append(json.loads(server.stdout.readline()))
    server.stdin.close()
    for rest in server.stdout:
        json.loads(rest)
    assert server.wait(timeout=20) == 0
    assert server.stderr
    server.stderr.close()
    server.stdout.close()
    assert all(answer["jsonrpc"] == "2.0" for answer in seen)


async def test_a_killed_server_loses_nothing_and_repeats_nothing(tmp_path: Path, work: Path, era: str) -> None:
    """A finished effect is not made again; a run that its process left behind is taken over by the next one."""
    steps = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects.txt"}},
        {"id": 2, "tool": "wait", "arguments": {"seconds": 2}, "depends_on": [1]},
        {"id": 3, "tool": "read_file", "arguments": {"path": "effects.txt"}, "depends_on": [2]},
    ]
    parameters = _server(tmp_path / "home", work)
    plan_id = ""
    with anyio.fail_after(60):
        try:
            async with Client(parameters, mode=era, elicitation_callback=approve) as client:
                plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan_id})
                    while not (work / "effects.txt").exists():
                        await client.call_tool("get_plan", {"plan_id": plan_id})
                    full = {"plan_id": plan_id, "view": "full"}
                    while view(await client.call_tool("get_plan", full))["steps"][1].get("state") != "running":
                        pass
                    _kill_children()
        except BaseExceptionGroup:
            pass  # the connection is gone, as it should be
        async with Client(parameters, mode=era, elicitation_callback=approve) as client:
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded", done
    assert (work / "effects.txt").read_text(encoding="utf-8") == "once\n"


def _kill_children() -> None:
    listed = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "forethought"], capture_output=True, text=True)
    for line in listed.stdout.split():
        os.kill(int(line), signal.SIGKILL)


def _knows(order: Mapping[str, Any]) -> Any:
    """A calling agent that finds gold behind two doors on the right."""
    way = (
        order["context"].split("The way so far:\n")[-1].split("\n\n")[0] if "The way so far" in order["context"] else ""
    )
    match order["role"]:
        case "proposer" if way.count("go ") == 2:
            result = "gold" if way.count("go right") == 2 else "dust"
            return {"candidates": [{"action": "look", "result": result, "final": True}]}
        case "proposer":
            return {
                "candidates": [{"action": f"go {side}", "result": "on", "final": False} for side in ("left", "right")]
            }
        case "evaluator":
            return {number: {"score": 5, "solved": False} for number in order["schema"]["properties"]}
        case _:
            return {"lesson": "do not go left"}


@pytest.mark.takes(14)
async def test_a_killed_search_goes_on_with_the_same_orders_and_asks_nothing_twice(tmp_path: Path, work: Path) -> None:
    """The server is killed after each round; the next one finds the same open orders, and the tree is kept."""
    parameters = _server(tmp_path / "home", work)
    wanted = {"goal": "gold", "verifier": {"matches": "gold"}, "n_candidates": 2, "parallel": 2}
    asked: list[str] = []
    step: dict[str, Any] = {}
    with anyio.fail_after(120):
        while step.get("status", "waiting") == "waiting":
            try:
                async with Client(parameters) as client:
                    again: dict[str, Any] = {"run_id": step.get("run_id"), "answers": []}
                    name, arguments = ("report", again) if step else ("lats_search", wanted)
                    now = view(await client.call_tool(name, arguments))
                    if step and now["status"] == "waiting":
                        assert now["waiting_on"] == step["waiting_on"]
                    step = now
                    if now["status"] == "waiting":
                        asked += [order["role"] + order["context"] for order in now["waiting_on"]]
                        answers = [{"order": each["order"], "answer": _knows(each)} for each in now["waiting_on"]]
                        step = view(await client.call_tool("report", {"run_id": now["run_id"], "answers": answers}))
                    _kill_children()
            except BaseExceptionGroup:
                pass  # the connection is gone, as it should be
    assert (step["status"], step["answer"]) == ("succeeded", "gold")
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("processes", [2, 8])
def test_every_write_of_several_processes_survives(make_settings: Callable[..., Settings], processes: int) -> None:
    """So many processes write thirty plans each to one journal at the same time."""
    script = """
import sys
from forethought.app import open_store
from forethought.journal.rows import Fact
from forethought.settings import Settings

store = open_store(Settings.read())
for n in range(30):
    body = {"plan": f"plan_{sys.argv[1]}_{n}", "revision": 1, "goal": "g", "body": {}}
    store.commit("", Fact("plan_saved", body))
"""
    settings = make_settings()
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(n)], env=environment(settings)) for n in range(processes)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * processes
    with closing(open_store(settings)) as store:
        assert len(store.queries.plans(limit=1000)) == 30 * processes
        assert not fault(store.queries, "")
