"""A client that starts a server for each call, and ends it with the call: its runs go on to their end all the same."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import DELETE, make_plan, view
from tests.stores import COMMAND

from forethought.app import open_store
from forethought.journal.rows import RunRow
from forethought.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        sys.platform == "win32", reason="Windows ends what a process leaves behind; docs/mcp.md says so"
    ),
]


HELLO: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "one-call-each", "version": "1"},
}


class Page:
    """A page that comes blank by blank until it is let go: a reader who hears nothing for long would give up."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = threading.Event()
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page.asked += 1
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                with suppress(ConnectionError):  # the server that asked was ended
                    while not page.let_go.wait(1):
                        self.wfile.write(b" ")
                    self.wfile.write(b"slow")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def page() -> Generator[Page]:
    page = Page()
    thread = threading.Thread(target=page.server.serve_forever)
    thread.start()
    yield page
    page.let_go.set()
    page.server.shutdown()
    thread.join()
    page.server.server_close()


@pytest.fixture
def settings(tmp_path: Path, work: Path) -> Settings:
    return Settings(home=tmp_path / "home", folders=(work,), silence=0.5)


def _server(settings: Settings, **more: str) -> StdioServerParameters:
    set_here = {
        "PATH": os.environ["PATH"],
        "FORETHOUGHT_HOME": str(settings.home),
        "FORETHOUGHT_MODEL": "host",
        "FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES": "yes",
        "FORETHOUGHT_SILENCE_SECONDS": str(settings.silence),
    }
    return StdioServerParameters(
        command=COMMAND, args=["serve", "--folder", str(settings.folders[0])], env=set_here | more
    )


def _steps(page: Page, target: str) -> list[dict[str, Any]]:
    return [
        {"id": 1, "tool": "fetch_url", "arguments": {"url": page.url + target}},
        {"id": 2, "tool": "write_file", "arguments": {"path": target, "content": "{{1}}"}},
    ]


async def _begun(settings: Settings, steps: Sequence[dict[str, Any]], **more: str) -> RunRow:
    """One session: a run is begun, and the server is ended. The run as that server drove it: when the session is over,
    another may drive it already."""
    async with Client(_server(settings, **more)) as client:
        plan_id = await make_plan(client, list(steps))
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
        return _run(settings, run_id)


def _run(settings: Settings, run_id: str) -> RunRow:
    with closing(open_store(settings)) as store:
        return store.queries.run(run_id)


async def _until(settings: Settings, met: Callable[[], bool]) -> None:
    with anyio.fail_after(120), closing(open_store(settings)) as store:
        while not met():
            await store.queries.changes(0.1)


def _is_driven(settings: Settings, run_id: str) -> bool:
    with closing(open_store(settings)) as store:
        return store.queries.alive(store.queries.run(run_id).owner)


def _keepers(settings: Settings, ending: str) -> list[Path]:
    return list((settings.home / "keepers").glob(f"*.{ending}"))


def _ended(settings: Settings) -> None:
    """Wait until the keeper is gone: it holds its lock as long as it lives."""
    (lock,) = _keepers(settings, "lock")
    with FileLock(lock, timeout=120):
        pass


async def test_a_run_goes_on_to_its_end_after_its_server_was_ended(settings: Settings, page: Page, work: Path) -> None:
    run = await _begun(settings, _steps(page, "one.txt"))
    await _until(settings, lambda: _run(settings, run.id).owner not in (None, run.owner))
    assert _run(settings, run.id).state == "running"
    async with Client(_server(settings)) as client:  # the next session looks on, and leaves no second keeper
        seen = view(await client.call_tool("execute_plan", {"plan_id": run.plan}))
    assert (seen["run_id"], seen["status"]) == (run.id, "running")
    page.let_go.set()
    await _until(settings, lambda: _run(settings, run.id).ended is not None)
    assert _run(settings, run.id).state == "succeeded"
    assert "slow" in (work / "one.txt").read_text(encoding="utf-8")
    await anyio.to_thread.run_sync(_ended, settings)
    assert _keepers(settings, "log")[0].read_text(encoding="utf-8") == ""


def _said_once(settings: Settings, tool: str, **arguments: Any) -> dict[str, Any]:
    """What one call brings of a server that was started for it, and is then ended by a signal, with its input open."""
    parameters = _server(settings, **({} if settings.go_on else {"FORETHOUGHT_GO_ON": "no"}))
    asked: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    ]
    with subprocess.Popen(
        [parameters.command, *parameters.args], env=parameters.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in asked))
        server.stdin.flush()
        heard = next(said for line in server.stdout if (said := json.loads(line)).get("id") == 2)
        server.terminate()
        server.wait(timeout=120)
    return dict(heard["result"]["structuredContent"])


async def test_a_run_goes_on_though_each_call_of_its_client_has_a_server_that_is_ended_by_a_signal(
    settings: Settings, page: Page, work: Path
) -> None:
    async def call(tool: str, **arguments: Any) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(partial(_said_once, settings, tool, **arguments))

    plan_id = (await call("create_plan", goal="fetch", steps=_steps(page, "one.txt")))["plan_id"]
    begun = await call("execute_plan", plan_id=plan_id)
    assert begun["status"] == "running"
    # A call that is quicker than the keeper would drive the run itself, and its server be ended with it.
    await _until(settings, lambda: _is_driven(settings, begun["run_id"]))
    for _ in range(3):
        seen = await call("execute_plan", plan_id=plan_id)
        assert (seen["run_id"], seen["status"]) == (begun["run_id"], "running")
    assert page.asked <= 2, "the step is not begun anew with each call"
    page.let_go.set()
    await _until(settings, lambda: _run(settings, begun["run_id"]).ended is not None)
    assert _run(settings, begun["run_id"]).state == "succeeded"
    await anyio.to_thread.run_sync(_ended, settings)


async def test_servers_that_are_ended_by_a_signal_are_no_deaths_of_theirs(settings: Settings, page: Page) -> None:
    """Each of them takes the run over from the last, and nobody keeps it."""
    alone = replace(settings, go_on=False)

    async def call(tool: str, **arguments: Any) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(partial(_said_once, alone, tool, **arguments))

    plan_id = (await call("create_plan", goal="fetch", steps=_steps(page, "one.txt")))["plan_id"]
    for _ in range(4):
        assert (await call("execute_plan", plan_id=plan_id))["status"] == "running"
    page.let_go.set()
    alone = replace(alone, silence=120.0)
    assert (await call("execute_plan", plan_id=plan_id))["status"] == "succeeded"


async def test_several_servers_of_one_home_leave_one_keeper_behind(settings: Settings, page: Page) -> None:
    runs: list[RunRow] = []

    async def session(target: str) -> None:
        runs.append(await _begun(settings, _steps(page, target)))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(session, f"{number}.txt")
    left = {run.owner for run in runs}

    def owners() -> set[str | None]:
        return {_run(settings, run.id).owner for run in runs}

    await _until(settings, lambda: not owners() & left)
    assert len(owners()) == 1
    page.let_go.set()
    await _until(settings, lambda: owners() == {None})
    assert {_run(settings, run.id).state for run in runs} == {"succeeded"}
    await anyio.to_thread.run_sync(_ended, settings)


async def test_nothing_is_left_behind_where_a_person_is_waited_for(settings: Settings, work: Path) -> None:
    run = await _begun(settings, DELETE)
    assert _run(settings, run.id).state == "waiting"
    assert not _keepers(settings, "*")
    assert (work / "old.txt").exists()


async def test_a_keeper_asks_a_person_as_any_server_does_and_ends(settings: Settings, page: Page, work: Path) -> None:
    risky = {"id": 3, "tool": "delete_file", "arguments": {"path": "old.txt"}, "depends_on": [2]}
    run = await _begun(settings, [*_steps(page, "one.txt"), risky])
    page.let_go.set()
    await _until(settings, lambda: _run(settings, run.id).state == "waiting")
    await anyio.to_thread.run_sync(_ended, settings)
    assert (work / "old.txt").exists()


async def test_nothing_is_left_behind_where_the_person_does_not_want_it(settings: Settings, page: Page) -> None:
    run = await _begun(settings, _steps(page, "one.txt"), FORETHOUGHT_GO_ON="no")
    left = _run(settings, run.id)
    assert (left.owner, left.state) == (run.owner, "running")
    assert not _keepers(settings, "*")


async def test_a_keeper_is_told_of_secrets_where_no_command_can_read_them(settings: Settings, page: Page) -> None:
    """The redaction of results shows that it knows the key."""
    look = "tr '\\0' '\\n' < /proc/$PPID/environ; cat /proc/$PPID/cmdline; echo very; echo sec''ret-key-1"
    steps = [
        *_steps(page, "one.txt"),
        {"id": 3, "tool": "run_command", "arguments": {"command": look}, "depends_on": [2]},
    ]
    key = {"FORETHOUGHT_API_KEY": "secret-key-1", "FORETHOUGHT_RISKS": "run_command=low"}
    run = await _begun(settings, steps, **key)
    await _until(settings, lambda: _run(settings, run.id).owner not in (None, run.owner))
    page.let_go.set()
    await _until(settings, lambda: _run(settings, run.id).state != "running")
    with closing(open_store(settings)) as store:
        said = str(store.queries.steps(run.id)[2].result)
    assert "FORETHOUGHT_HOME=" in said, "that is the keeper"
    assert "API_KEY" not in said
    assert "secret-key-1" not in said, "what is printed of it is withheld"
    await anyio.to_thread.run_sync(_ended, settings)
