"""Servers at an address: by streamable HTTP, and by SSE where that is what they speak."""

import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import make_plan, run_steps, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).parent / "program.py"


@contextmanager
def serving(place: Path, transport: str) -> Generator[int]:
    """The small server on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    quiet = subprocess.DEVNULL
    command = [sys.executable, str(PROGRAM), str(place), transport, str(port)]
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            yield port
        finally:
            process.kill()


async def until_there(port: int) -> None:
    with anyio.fail_after(60):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            except OSError:
                await anyio.lowlevel.checkpoint()
            else:
                return


@pytest.mark.parametrize(("transport", "path"), [("streamable-http", "mcp"), ("sse", "sse")])
async def test_a_server_at_an_address_is_reached_though_no_type_is_given(
    with_servers: Callable[..., Settings], place: Path, transport: str, path: str
) -> None:
    with serving(place, transport) as port:
        await until_there(port)
        settings = with_servers({"far": {"url": f"http://127.0.0.1:{port}/{path}"}})
        async with Client(build_server(settings)) as client:
            steps = [{"id": 1, "tool": "far/look", "arguments": {"what": "it"}}]
            run = await run_steps(client, steps, replan="never")
    assert run["status"] == "succeeded", str(run)


@pytest.mark.parametrize("transport", ["stdio", "streamable-http", "sse"])
async def test_progress_is_relayed_and_stopping_a_run_cancels_its_call_in_the_server(
    with_servers: Callable[..., Settings], place: Path, small: Mapping[str, Any], transport: str
) -> None:
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with AsyncExitStack() as stack:
        entry = small
        if transport != "stdio":
            port = stack.enter_context(serving(place, transport))
            await until_there(port)
            entry = {"url": f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"}
        settings = with_servers({"small": entry}, SILENCE_SECONDS="0.5")
        client = await stack.enter_async_context(Client(build_server(settings)))
        asked = {"plan_id": await make_plan(client, [{"id": 1, "tool": "small/slow", "arguments": {}}])}
        run: dict[str, Any] = {}
        with anyio.fail_after(240):
            while not any("small is at 1 of 4: a quarter" in each for each in heard):
                run = view(await client.call_tool("execute_plan", asked, progress_callback=hear))
            assert view(await client.call_tool("stop", {"run_id": run["run_id"]}))["status"] == "cancelled"
            while not (place / "cancelled").exists():
                await client.call_tool("get_plan", asked)


@pytest.mark.takes(10)
@pytest.mark.parametrize(
    ("packed", "told"), [("", "a message of over 32,000,000 bytes"), ("gzip", "packed its answer, though asked not to")]
)
async def test_an_answer_that_could_become_any_size_is_not_read_to_its_end(
    with_servers: Callable[..., Settings], packed: str, told: str
) -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if packed:
                self.send_header("Content-Encoding", packed)
            self.end_headers()
            with suppress(OSError):  # nobody reads any more
                while True:
                    self.wfile.write(b"x" * 1_000_000)

    page = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    Thread(target=page.serve_forever, daemon=True).start()
    try:
        settings = with_servers({"far": {"type": "http", "url": f"http://127.0.0.1:{page.server_port}/mcp"}})
        async with Client(build_server(settings)) as client:
            steps: list[dict[str, Any]] = [{"id": 1, "tool": "far/look", "arguments": {}}]
            refused = await client.call_tool("create_plan", {"goal": "x", "steps": steps})
    finally:
        page.shutdown()
        page.server_close()
    assert told in str(refused.content)
