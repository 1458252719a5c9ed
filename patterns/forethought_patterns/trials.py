"""Work that may turn out to be void: of a step that was begun on results which nobody has judged yet."""

__all__ = ["Awaiting", "Trial", "resting_on"]

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


class Trial:
    """The work of one step, which can be taken back. It is cut off only where it waits for someone outside: a call that
    has begun ends first, so that nothing of it is left half done."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.is_void = False
        self._is_outside = False
        self._scope = anyio.CancelScope()

    async def unless_void(self, work: Awaitable[T]) -> T | None:
        """What came of the work, or none if it was taken back."""
        with self._scope:
            done = await work
            return None if self.is_void else done
        return None

    async def take_back(self) -> None:
        """The work is void. Returns once nothing of it goes on."""
        self.is_void = True
        if self._is_outside:
            self._scope.cancel()
        await self.ended.wait()

    def leaves(self) -> None:
        """A wait for someone outside begins."""
        self._is_outside = True
        if self.is_void:
            self._scope.cancel()

    def returns(self) -> None:
        """The wait is over."""
        self._is_outside = False


def resting_on(step: int, dependents: Mapping[int, Sequence[int]], trusting: Collection[int]) -> Sequence[int]:
    """The steps of those that are `trusting` that may have been given a result, or what came of it, before it was
    judged."""
    found: dict[int, None] = {}
    queue = deque([step])
    while queue:
        for after in dependents[queue.popleft()]:
            if after in trusting and after not in found:
                found[after] = None
                queue.append(after)
    return list(found)


class Awaiting:
    """Which steps wait for nothing but verdicts: all that they need is there, judged or not."""

    def __init__(self) -> None:
        self._steps: set[int] = set()
        self._lacking: dict[int, list[int]] = {}
        """What each of them needs and was not seen yet. Of many inputs each is looked at once."""

    def __bool__(self) -> bool:
        return bool(self._steps)

    def look(self, step: int, needs: Callable[[], Sequence[int]], there: Container[int]) -> None:
        """See what of its needs is there."""
        if step not in self._lacking:
            self._lacking[step] = [*needs()]
        lacking = self._lacking[step]
        while lacking and lacking[-1] in there:
            lacking.pop()
        if not lacking:
            self._steps.add(step)

    def forget(self, steps: Iterable[int]) -> None:
        """These wait for something else from now on, or for nothing."""
        for step in steps:
            self._steps.discard(step)
            self._lacking.pop(step, None)
