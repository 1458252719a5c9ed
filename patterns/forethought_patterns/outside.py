"""Waits for someone outside: whoever waits gives their place to others, and when all wait, the run can be put aside."""

__all__ = ["Slot", "current", "in_step", "together", "waiting"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

import anyio

T = TypeVar("T")

_AT_ONCE = 16  # calls of one `together` that are under way at the same time


class Slot(Protocol):
    """A place among those that work at the same time."""

    def leave(self) -> None:
        """A wait for someone outside begins."""
        ...

    async def rejoin(self) -> None:
        """The wait is over: returns when there is a place again."""
        ...

    def abandon(self) -> None:
        """The wait was cancelled."""
        ...


current: ContextVar[Slot | None] = ContextVar("forethought_slot", default=None)


@asynccontextmanager
async def waiting() -> AsyncGenerator[None]:
    """Around a wait for someone outside: gives the place to others and, in a step, stops its clock."""
    slot = current.get()
    if slot is None:
        yield
        return
    slot.leave()
    try:
        yield
    except BaseException:
        slot.abandon()
        raise
    await slot.rejoin()


def in_step() -> bool:
    """Whether others may go on while this waits: it is part of a step, or of what is done `together`."""
    return current.get() is not None


async def together(calls: Sequence[Callable[[], Awaitable[T]]], stalled: Callable[[], None]) -> list[T]:
    """Do all of it at the same time, and return what came of it in the order given.

    All of it ends before the first error, in that order, is raised. `stalled` is called when all that has not ended
    waits for someone outside; within a step, it is the step that waits then.
    """
    group = _Group(stalled, len(calls))
    results: dict[int, T] = {}
    errors: dict[int, Exception] = {}

    async def work(position: int, call: Callable[[], Awaitable[T]]) -> None:
        branch = _Branch(group)
        current.set(branch)
        await branch.begin()
        try:
            results[position] = await call()
        except Exception as error:  # told once the others have ended: what they do is worth having
            errors[position] = error
        finally:
            branch.end()

    async with anyio.create_task_group() as tasks:
        for position, call in enumerate(calls):
            tasks.start_soon(work, position, call)
    if errors:
        raise errors[min(errors)]
    return [results[position] for position in range(len(calls))]


class _Group:
    """What is done together, and how much of it waits for someone outside."""

    def __init__(self, stalled: Callable[[], None], size: int) -> None:
        self.outer = current.get()
        self.places = anyio.Semaphore(_AT_ONCE)
        self.stalled = stalled
        self.left = size
        self.outside = 0
        self.has_left = False

    def look(self) -> None:
        """Leave the place around this, if all wait."""
        if self.left and self.outside == self.left and not self.has_left:
            if self.outer is None:
                self.stalled()
            else:
                self.has_left = True
                self.outer.leave()

    async def back(self) -> None:
        self.outside -= 1
        if self.outer is not None and self.has_left:
            self.has_left = False
            await self.outer.rejoin()

    def abandon(self) -> None:
        self.outside -= 1
        if self.outer is not None and self.has_left:
            self.has_left = False
            self.outer.abandon()


class _Branch:
    def __init__(self, group: _Group) -> None:
        self._group = group
        self._holds = False

    async def begin(self) -> None:
        await self._group.places.acquire()
        self._holds = True

    def end(self) -> None:
        self._release()
        self._group.left -= 1
        self._group.look()

    def leave(self) -> None:
        self._release()
        self._group.outside += 1
        self._group.look()

    async def rejoin(self) -> None:
        await self._group.back()

    def abandon(self) -> None:
        self._group.abandon()

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            self._group.places.release()
