"""A server that keeps dying is started again by who calls it, but less and less often, until it works."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from tests.servers.conftest import PROGRAM

from forethought.configured import Configured, Transport
from forethought.servers.connection import Connection
from forethought_tools import ToolError

pytestmark = pytest.mark.anyio

PAUSES = (1, 5, 15, 60, 60)  # seconds after each failure
_PROGRAM = f"""
import pathlib, runpy, sys
place = pathlib.Path(sys.argv[1])
with (place / "tries").open("a") as tries:
    tries.write("x")
if not (place / "fine").exists():
    sys.exit(1)
runpy.run_path({str(PROGRAM)!r}, run_name="__main__")
"""


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected(place: Path, clock: Clock, transport: Transport = "stdio") -> AsyncGenerator[Connection]:
    """A connection to a server that dies at once as long as there is no file called `fine`."""
    where = "http://127.0.0.1:9/mcp" if transport != "stdio" else ""
    server = Configured("dying", transport, sys.executable, ["-c", _PROGRAM, str(place)], url=where)

    async def listed(client: Client, _: bool) -> None:
        await client.list_tools()

    connection = Connection(server, inherited={}, redact=str, listed=listed, sampling=False, clock=clock)
    with anyio.fail_after(300):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.serve)
            yield connection
            tasks.cancel_scope.cancel()


def tries(place: Path) -> int:
    return len((place / "tries").read_text(encoding="utf-8"))


async def fails(connection: Connection) -> None:
    with pytest.raises(ToolError, match="The server dying cannot be reached: "):
        await connection.reached()


async def test_the_longer_a_server_keeps_dying_the_less_often_it_is_started(place: Path) -> None:
    clock = Clock()
    async with connected(place, clock) as connection:
        await fails(connection)
        for count, pause in enumerate(PAUSES, 1):
            for _ in range(3):
                await fails(connection)
            clock.now += pause - 0.1
            await fails(connection)
            assert tries(place) == count, "it is left alone meanwhile, and who calls it is told at once"
            clock.now += 0.2
            await fails(connection)
            assert tries(place) == count + 1


async def test_many_who_call_a_dying_server_at_once_start_it_once(place: Path) -> None:
    async with connected(place, Clock()) as connection:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(fails, connection)
        assert tries(place) == 1


async def test_a_server_that_works_again_is_started_at_once_when_it_dies_the_next_time(place: Path) -> None:
    clock = Clock()
    async with connected(place, clock) as connection:
        await fails(connection)
        clock.now += 1.1
        await fails(connection)
        (place / "fine").touch()
        clock.now += 5.1
        assert await connection.reached() is await connection.reached()
        assert tries(place) == 3
        os.kill(int((place / "starts").read_text(encoding="utf-8").split()[-1]), signal.SIGKILL)
        await connection.reached()
        assert tries(place) == 4


async def test_an_address_that_is_tried_in_two_manners_has_failed_once(place: Path) -> None:
    clock, told = Clock(), "cannot be reached: "
    async with connected(place, clock, "http or sse") as connection:
        await fails(connection)
        connection.problem = "it was tried"
        clock.now += 0.9
        with pytest.raises(ToolError, match=f"{told}it was tried"):
            await connection.reached()
        clock.now += 0.2
        with pytest.raises(ToolError) as tried:
            await connection.reached()
        assert "it was tried" not in str(tried.value)
