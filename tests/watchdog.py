"""Whoever watches a server while it is given a hard time: it must answer, and must not eat the machine."""

import resource
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from mcp.client import Client

_MOST = 1_200  # times the yardstick, between a question and its answer: about a second of work on an ordinary machine.
# Neither a busy machine nor a slow one is the server's fault: so it is work, and measured by other work
_PATIENCE = 120  # seconds that nobody waits for an answer unless nothing works
_PAUSE = 0.05
_MEMORY = 2**30 // 1024  # KiB


@asynccontextmanager
async def watched(client: Client) -> AsyncGenerator[None]:
    """Asks the server of this process something small, again and again; what slept through it has frozen the server."""
    slowest, at_first = 0.0, _peak()

    async def watch() -> None:
        nonlocal slowest
        while True:
            began = time.process_time()
            with anyio.fail_after(_PATIENCE):
                await anyio.sleep(_PAUSE)  # others' turn; a server that is frozen meanwhile has not answered either
                assert not (await client.call_tool("get_plan", {})).is_error
            slowest = max(slowest, (time.process_time() - began) / _yardstick())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        yield
        tasks.cancel_scope.cancel()
    assert slowest < _MOST, f"the server did not answer while it worked as much as {slowest:.0f} yardsticks take"
    assert _peak() - at_first < _MEMORY


def _yardstick() -> float:
    """How long a little work takes here and now, in seconds of this thread: the least of three times."""
    took: list[float] = []
    for _ in range(3):
        began, total = time.thread_time(), 0
        for number in range(20_000):
            total += number * number % 7
        took.append(time.thread_time() - began)
    return min(took)


def _peak() -> int:
    """The most memory that this process, or one that it has started, ever had."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
