"""Who opens a page: a terminal, or a client that can open an address."""

import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.client.session import ClientSession
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    UrlElicitationCapability,
)
from tests.server.asking import DELETE, run_steps, view
from tests.server.pages import token_in
from tests.stores import environment
from tests.terminal import converse

from forethought.app import open_journal
from forethought.gates.decisions import record_decision
from forethought.gates.desk import Desk, codes
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio
GATE = r'href="/[\w-]+/(gate/\w+)"'
COMMAND = str(Path(sys.executable).parent / "forethought")


class _OnlyOpens(Client):
    """A client that can have a person open an address, and cannot show a form."""

    async def _build_session(self, exit_stack: AsyncExitStack) -> ClientSession:
        session = await super()._build_session(exit_stack)
        build = session._build_capabilities  # pyright: ignore[reportPrivateUsage]  # the SDK always offers forms as well

        def narrowed(version: str) -> ClientCapabilities:
            opens = ElicitationCapability(url=UrlElicitationCapability())
            return build(version).model_copy(update={"elicitation": opens})

        session._build_capabilities = narrowed  # type: ignore[method-assign]  # the SDK always offers forms as well
        return session


async def test_a_client_that_can_only_open_an_address_is_given_the_servers_own_page(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """The code is nowhere in what the client sees: a person reads it in a terminal."""
    settings = make_settings(silence=15)
    opened: list[str] = []

    async def person(url: str) -> None:
        with anyio.fail_after(60):
            while not (shown := codes(settings.home)):
                await anyio.lowlevel.checkpoint()
        ((address, code),) = shown
        assert address == url
        (kept,) = (settings.home / "pages").rglob("*.json")
        assert [stat.S_IMODE(each.stat().st_mode) for each in (kept, kept.parent)] == [0o600, 0o700] or os.name == "nt"
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=True, timeout=60) as http:
            at_the_door = {"token": token_in((await http.get(url)).text), "code": code}
            (path,) = re.findall(GATE, (await http.post(url, data=at_the_door)).text)
            target = url + path
            token = token_in((await http.get(target)).text)
            sent = await http.post(target, data={"token": token, "code": code, "decision": "approve"})
            assert sent.status_code == 200

    async with anyio.create_task_group() as tasks:

        async def browser(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            assert isinstance(params, ElicitRequestURLParams)
            opened.append(params.url)
            tasks.start_soon(person, params.url)
            return ElicitResult(action="accept")

        async with _OnlyOpens(build_server(settings), mode=era, elicitation_callback=browser) as client:
            steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]
            plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
            with anyio.fail_after(60):
                done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
            assert done["status"] == "succeeded"
    assert not (work / "old.txt").exists()
    assert len(opened) == 1
    assert codes(settings.home) == []


def test_the_code_of_a_page_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        file = tmp_path / "pages" / socket.gethostname() / "1.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"url": address, "code": "AAAA-BBBB"}), encoding="utf-8")
        assert codes(tmp_path) == [(address, "AAAA-BBBB")]
    assert codes(tmp_path) == []
    assert not file.exists()


async def test_a_page_whose_journal_breaks_is_closed_and_its_code_goes(
    make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings()
    if settings.store:
        pytest.skip("a table is taken out of the file")
    async with Client(build_server(settings)) as client:
        await run_steps(client, DELETE)
    with open_journal(settings) as journal:
        record = partial(record_decision, journal.store, journal.records.tools)
        async with anyio.create_task_group() as tasks:
            desk = Desk(settings.home, journal.store, tasks, record=record, seconds=60)
            url = await desk.url()
            with anyio.fail_after(60):
                while [address for address, _ in codes(settings.home)] != [url]:
                    await anyio.lowlevel.checkpoint()
                with closing(sqlite3.connect(settings.database)) as other:
                    other.execute("ALTER TABLE message RENAME TO gone")
        # The group ends with the page, which ends nothing else.
    assert codes(settings.home) == []
    assert "the approval page is closed: " in caplog.text


def test_the_page_needs_a_terminal(tmp_path: Path) -> None:
    env = {**os.environ, "FORETHOUGHT_HOME": str(tmp_path)}
    for flag in ("--page", "--code"):
        done = subprocess.run(
            [COMMAND, "decide", flag], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 3
        assert "needs a terminal" in done.stderr


async def test_decide_page_in_a_terminal_lets_the_run_go_on(make_settings: Callable[..., Settings], work: Path) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        status, screen = await anyio.to_thread.run_sync(_in_a_terminal, settings, "interrupt")
        assert status == 3, screen
        assert "Left waiting: 1" in screen
        status, screen = await anyio.to_thread.run_sync(_in_a_terminal, settings, "decide")
        assert status == 0, screen
        assert "approve: recorded" in screen
        with anyio.fail_after(60):
            while True:
                run = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
                if run["status"] == "succeeded":
                    break
    assert not (work / "old.txt").exists()


def _in_a_terminal(settings: Settings, then: str) -> tuple[int, str]:
    """`forethought decide --page`, and once it shows a code a decision with it, or Ctrl-C."""
    folders = os.pathsep.join(map(str, settings.folders))
    told = {**environment(settings), "TERM": "xterm", "COLUMNS": "60", "FORETHOUGHT_FOLDERS": folders}
    done: list[str] = []

    def react(screen: str) -> str | None:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
        found = re.search(r"Decide at (http://\S+) with this code, once: (\w{4}-\w{4})", plain)
        if not found or done:
            return None
        done.append(found[2])
        if then == "interrupt":
            return "\x03"
        _send(found[1], found[2])
        return None

    return converse([COMMAND, "decide", "--page"], told, react)


def _send(url: str, code: str) -> None:
    with httpx2.Client(trust_env=False, follow_redirects=True, timeout=60) as http:
        at_the_door = {"token": token_in(http.get(url).text), "code": code}
        (path,) = re.findall(GATE, http.post(url, data=at_the_door).text)
        target = url + path
        form = {"token": token_in(http.get(target).text), "code": code, "decision": "approve"}
        assert http.post(target, data=form).status_code == 200
