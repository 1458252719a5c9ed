"""Who asks or calls, and their seat among those that are at work at the same time.

Whoever waits for someone outside gives their seat to others; when all wait, the run can be put aside.
"""

__all__ = ["Seat", "Slot", "together"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio

from forethought_patterns.signals import Signal

T = TypeVar("T")

_AT_ONCE = 16  # calls of one `together` that are under way at the same time


class Seat(Protocol):
    """One of a bounded number of seats of those at work."""

    def leave(self) -> None:
        """A wait for someone outside begins."""
        ...

    async def rejoin(self) -> None:
        """The wait is over: returns when there is a seat again."""
        ...

    def abandon(self) -> None:
        """The wait was cancelled."""
        ...


def _is_not_put_aside() -> None:
    """Without a server nobody outside is waited for."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Whoever asks or calls: the run itself, a step, or one of several that are at work `together`.

    Whoever runs a pattern makes one for the run itself; all others come from the scheduler and from `together`.
    """

    step: int | None = None
    """The step that it belongs to. None: the run itself."""
    seat: Seat | None = None
    """None: nobody else is at work beside it."""
    stalled: Callable[[], None] = _is_not_put_aside
    """Of the run itself: called when nothing can go on until someone outside answers."""

    @property
    def alone(self) -> bool:
        """Whether nothing of the run goes on while this waits."""
        return self.seat is None

    @asynccontextmanager
    async def waiting(self) -> AsyncGenerator[None]:
        """Around a wait for someone outside: gives the seat to others and, in a step, stops its clock."""
        if self.seat is None:
            yield
            return
        self.seat.leave()
        try:
            yield
        except BaseException:
            self.seat.abandon()
            raise
        await self.seat.rejoin()


async def together(slot: Slot, calls: Sequence[Callable[[Slot], Awaitable[T]]]) -> list[T]:
    """Do all of it at the same time, each in a slot of its own, and return what came of it in the order given.

    All of it ends before the first error, in that order, is raised. When all that has not ended waits for someone
    outside, it is `slot` that waits.
    """
    group = _Group(slot, len(calls))
    results: dict[int, T] = {}
    errors: dict[int, Exception | Signal] = {}

    async def work(position: int, call: Callable[[Slot], Awaitable[T]]) -> None:
        branch = _Branch(group)
        await branch.begin()
        try:
            results[position] = await call(Slot(slot.step, branch))
        except (Exception, Signal) as error:  # raised once the others have ended: what they do is worth having
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

    def __init__(self, slot: Slot, size: int) -> None:
        self.seats = anyio.Semaphore(_AT_ONCE)
        self._slot = slot
        self._at_work = size
        self._outside = 0
        self._has_left = False

    def ended(self) -> None:
        self._at_work -= 1
        self._look()

    def leave(self) -> None:
        self._outside += 1
        self._look()

    async def rejoin(self) -> None:
        self._outside -= 1
        if self._slot.seat is not None and self._has_left:
            self._has_left = False
            await self._slot.seat.rejoin()

    def abandon(self) -> None:
        self._outside -= 1
        if self._slot.seat is not None and self._has_left:
            self._has_left = False
            self._slot.seat.abandon()

    def _look(self) -> None:
        """Leave the seat around this, if all wait."""
        if not self._at_work or self._outside < self._at_work or self._has_left:
            return
        if self._slot.seat is None:
            self._slot.stalled()
        else:
            self._has_left = True
            self._slot.seat.leave()


class _Branch:
    """The seat of one of those that are at work together."""

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._is_taken = False

    async def begin(self) -> None:
        await self._group.seats.acquire()
        self._is_taken = True

    def end(self) -> None:
        self._give_back()
        self._group.ended()

    def leave(self) -> None:
        self._give_back()
        self._group.leave()

    async def rejoin(self) -> None:
        await self._group.rejoin()

    def abandon(self) -> None:
        self._group.abandon()

    def _give_back(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._group.seats.release()
