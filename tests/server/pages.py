"""An open page, its terminal and its forms."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import httpx2
from mcp.client import Client
from tests.server.asking import view

from forethought.app import Journal, open_journal
from forethought.gates.decisions import record_decision
from forethought.gates.page import Page
from forethought.journal.rows import MessageRow
from forethought.settings import Settings
from forethought.surface.server import build_server


@dataclass
class Opened:
    """An open page, and what its terminal shows."""

    http: httpx2.AsyncClient
    url: str
    codes: list[str]
    journal: Journal
    run_id: str
    now: list[float]
    ended: list[bool] = field(default_factory=list[bool])

    def gates(self) -> list[MessageRow]:
        return self.journal.queries.open_messages(self.run_id, "gate")

    async def look(self, gate: MessageRow) -> str:
        got = await self.http.get(f"{self.url}gate/{gate.id}")
        assert got.status_code == 200
        return got.text

    async def send(self, gate: MessageRow, *, token: str | None = None, **filled: str) -> httpx2.Response:
        """Fill in the form of a gate and send it, with the code that is good now."""
        if token is None:
            token = token_in(await self.look(gate))
        given = {"token": token, "code": self.codes[-1], **filled}
        return await self.http.post(f"{self.url}gate/{gate.id}", data={k: v for k, v in given.items() if v})

    async def fresh(self, count: int) -> None:
        """Wait until so many codes were shown."""
        with anyio.fail_after(60):
            while len(self.codes) < count:
                await anyio.lowlevel.checkpoint()


def token_in(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found[1]


@asynccontextmanager
async def open_page(settings: Settings, *commands: str, seconds: float = 3600) -> AsyncGenerator[Opened]:
    steps = [{"id": n, "tool": "run_command", "arguments": {"command": line}} for n, line in enumerate(commands, 1)]
    async with Client(build_server(settings)) as client:
        made = await client.call_tool("create_plan", {"goal": "try <b>it</b>", "steps": steps})
        plan = view(made)
        waiting = await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        run_id = str(view(waiting)["run_id"])
    shown: list[str] = []
    now = [1000.0]
    with open_journal(settings) as journal:
        page = Page(
            journal.store,
            lambda: journal.queries.open_messages(run_id, "gate"),
            record=partial(record_decision, journal.store, journal.records.tools),
            show_code=lambda _, code: shown.append(code),
            seconds=seconds,
            clock=lambda: now[0],
        )
        async with anyio.create_task_group() as tasks, httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            opened = Opened(http, "", shown, journal, run_id, now)

            async def serve(*, task_status: Any) -> None:
                opened.ended.append(await page.serve(task_status=task_status))

            opened.url = await tasks.start(serve)
            await opened.fresh(1)
            yield opened
            tasks.cancel_scope.cancel()


def decided(opened: Opened, gate: MessageRow) -> Mapping[str, Any]:
    message = opened.journal.queries.message(gate.id)
    assert (message.by, message.channel) == ("person at the page", "page")
    answer: Any = message.answer
    return dict(answer)
