"""The seats of the steps of a plan: a bounded number of calls is made at a time, and whoever waits makes room."""

__all__ = ["CallSeat", "Room"]

import math
from collections import defaultdict, deque
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import anyio

from forethought_patterns.plan import Step
from forethought_patterns.trials import Trial


class Room(Protocol):
    """Where seats are counted. The scheduler is one."""

    free: int
    using: defaultdict[str, int]
    """Seats by tool."""
    outside: int
    """How many wait for someone outside."""
    returning: deque[tuple[str, int | None, anyio.Event]]
    """Whose wait is over: tool, how many calls of it may be made at once, and what tells that there is a seat."""

    def dispatch(self) -> None:
        """Give free seats to whoever wants one."""
        ...

    def release_tool(self, tool: str) -> None:
        """One call less of this tool is under way."""
        ...

    def look_who_waits(self) -> None:
        """Have what is not judged yet judged, where a step waits for nothing else."""
        ...


class CallSeat:
    """One step's seat among those that run, and the clock of its call, which stops while it waits."""

    def __init__(self, room: Room, step: Step, at_once: int | None, trial: Trial | None) -> None:
        self._room = room
        self._tool = step.tool
        self._at_once = at_once
        self._trial = trial
        self._held = True
        self._remaining = math.inf
        self.scope: anyio.CancelScope | None = None

    def clock(self, timeout: float | None) -> AbstractContextManager[anyio.CancelScope | None]:
        """What ends a call in time. A scope costs as much as some steps do: none where nothing would end it."""
        return nullcontext() if timeout is None else anyio.fail_after(timeout)

    @property
    def late(self) -> bool:
        """Whether the call was ended by its clock."""
        return self.scope is not None and self.scope.cancelled_caught

    def leave(self) -> None:
        if self.scope is not None:
            self._remaining = self.scope.deadline - anyio.current_time()
            self.scope.deadline = math.inf
        self._room.outside += 1
        if self._trial is not None:
            self._trial.leaves()
        self._room.look_who_waits()
        self.close()
        self._room.dispatch()

    async def rejoin(self) -> None:
        seated = anyio.Event()
        entry = (self._tool, self._at_once, seated)
        self._room.outside -= 1
        self._room.returning.append(entry)
        self._room.dispatch()
        try:
            await seated.wait()
        finally:
            self._held = seated.is_set()
            if not self._held:
                self._room.returning.remove(entry)
        if self._trial is not None:
            self._trial.returns()
        if self.scope is not None:
            self.scope.deadline = anyio.current_time() + self._remaining

    def abandon(self) -> None:
        self._room.outside -= 1

    def close(self) -> None:
        """Free the seat. Nobody has it before the room dispatches."""
        if self._held:
            self._held = False
            self._room.free += 1
            self._room.release_tool(self._tool)
