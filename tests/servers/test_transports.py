"""Servers at an address: by streamable HTTP, and by SSE where that is what they speak."""

import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import run_steps

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
