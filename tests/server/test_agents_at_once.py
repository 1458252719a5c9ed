"""Agents in processes of their own on one home: each piece of work is done once, whoever is killed meanwhile."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.types import ElicitRequestParams, ElicitResult
from tests.endpoints.fake import Body, Endpoint, Reply
from tests.endpoints.test_acting import native
from tests.server.asking import view
from tests.stores import COMMAND, environment

from forethought.settings import Settings

pytestmark = pytest.mark.anyio

TEN: list[dict[str, Any]] = [
    {"id": number, "tool": "delegate", "arguments": {"task": f"task {number}"}} for number in range(1, 11)
]


class Server:
    """A server process of a client, which can be killed."""

    def __init__(self, settings: Settings, **more: str) -> None:
        self._pid = settings.home.parent / f"pid-{id(self)}"
        script = f'echo $$ > "{self._pid}"; exec "{COMMAND}" serve --folder "{settings.folders[0]}"'
        env = {**environment(settings), "FORETHOUGHT_GO_ON": "no", **more}
        self.parameters = StdioServerParameters(command="sh", args=["-c", script], env=env)

    @asynccontextmanager
    async def client(self, **more: Any) -> AsyncGenerator[Client]:
        async with Client(self.parameters, **more) as client:
            yield client

    def kill(self) -> None:
        os.kill(int(self._pid.read_text(encoding="utf-8")), signal.SIGKILL)


def in_hand(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [order for order in told.get("waiting_on", ()) if "instructions" in order]


async def until_none_is_left(client: Client, run_id: str, done: Counter[str]) -> dict[str, Any]:
    """Take one piece of work after the other, and do it."""
    told = view(await client.call_tool("report", {"run_id": run_id, "answers": [], "take": 1}))
    while told["status"] == "waiting" or told["status"] == "running":
        answers = [{"order": order["order"], "answer": f"did {order['context']}"} for order in in_hand(told)]
        done.update(order["context"] for order in in_hand(told))
        told = view(await client.call_tool("report", {"run_id": run_id, "answers": answers, "take": 1}))
    return told


CLIENT = """
import json, sys, anyio
from mcp import StdioServerParameters
from mcp.client import Client

async def main():
    async with Client(StdioServerParameters(**json.loads(sys.argv[1]))) as client:
        plan = await client.call_tool("create_plan", {"goal": "g", "steps": json.loads(sys.argv[2])})
        taken = {}
        while len(taken) < 3:
            given = {"plan_id": plan.structured_content["plan_id"], "take": 3}
            run = (await client.call_tool("execute_plan", given)).structured_content
            taken |= {each["order"]: each for each in run.get("waiting_on", ()) if "instructions" in each}
        print(json.dumps([run["run_id"], list(taken)]), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
"""A client that takes three pieces of work, says so, and does none of them."""


@pytest.mark.takes(30)
async def test_three_clients_do_ten_pieces_of_work_once_each_though_a_fourth_is_killed_with_its_server(
    make_settings: Callable[..., Settings],
) -> None:
    settings, done = make_settings(), Counter[str]()
    host = {"FORETHOUGHT_MODEL": "host"}
    doomed = Server(settings, **host, FORETHOUGHT_LEASE_SECONDS="2")
    with anyio.fail_after(300):
        command = [sys.executable, "-c", CLIENT, doomed.parameters.model_dump_json(), json.dumps(TEN)]
        async with await anyio.open_process(command, stderr=None) as process:
            assert process.stdout is not None
            said = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100_000)
            doomed.kill()
            process.kill()
        run_id, taken = json.loads(said)
        assert len(taken) == 3
        ended: list[dict[str, Any]] = []

        async def worker() -> None:
            async with Server(settings, **host).client() as client:
                ended.append(await until_none_is_left(client, run_id, done))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(worker)
    assert [each["status"] for each in ended] == ["succeeded"] * 3
    assert len(done) == 10, "none is lost"
    assert set(done.values()) == {1}, "each was handed out once, but for those of the client that died"


@pytest.mark.takes(20)
async def test_a_loop_that_is_killed_goes_on_where_it_was_and_repeats_no_call(
    make_settings: Callable[..., Settings], endpoint: Endpoint, work: Path
) -> None:
    settings = make_settings(model="m", base_url=endpoint.base_url)
    effects = work / "effects.txt"
    asked: list[str] = []

    async def person(_: object, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        verb = "again" if "was cut off" in params.message else "approve"
        return ElicitResult(action="accept", content={"decision": verb})

    slow = "echo two >> effects.txt; test -e go || sleep 60"

    def reply(body: Body) -> Reply:
        turns = len([turn for turn in body["messages"] if turn["role"] == "tool"])
        if turns == 0:
            return native(("run_command", {"command": "echo one >> effects.txt"}))
        return native(("run_command", {"command": slow})) if turns == 1 else native("all is done")

    endpoint.reply = reply
    step = {"id": 1, "tool": "delegate", "arguments": {"task": "t", "tools": ["run_command"]}}
    more = {"FORETHOUGHT_MODEL": "m", "FORETHOUGHT_BASE_URL": endpoint.base_url}
    with anyio.fail_after(300):
        first = Server(settings, **more)
        plan_id = ""
        try:
            async with first.client(elicitation_callback=person) as client, anyio.create_task_group() as tasks:
                plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": [step]}))["plan_id"]
                tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan_id})
                while not effects.exists() or "two" not in effects.read_text(encoding="utf-8"):  # noqa: ASYNC110 - by a child
                    await anyio.sleep(0.05)
                first.kill()
        except BaseExceptionGroup as group:
            assert not group.split(AssertionError)[0], group
        assert effects.read_text(encoding="utf-8").split() == ["one", "two"]
        requests = len(endpoint.asked)
        (work / "go").touch()
        async with Server(settings, **more).client(elicitation_callback=person) as client:
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
            while done["status"] not in ("succeeded", "failed"):
                done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded", done
    assert effects.read_text(encoding="utf-8").split() == ["one", "two", "two"], "a person said: again"
    assert any("was cut off" in each for each in asked), "what may not be done twice is a person's to decide"
    assert len(endpoint.asked) == requests + 1, "what the model had said is not asked again"
