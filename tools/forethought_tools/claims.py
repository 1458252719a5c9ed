"""What calls read and write. Two calls never overlap where one writes what the other reads or writes."""

__all__ = ["Claim", "Claims", "Place"]

from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass

import anyio


@dataclass(frozen=True, slots=True)
class Claim:
    """The paths that a call reads and writes, each as its parts: a path that is the beginning of another is a folder
    that holds it."""

    reads: frozenset[tuple[str, ...]] = frozenset()
    writes: frozenset[tuple[str, ...]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.reads or self.writes)

    def clashes(self, other: "Claim") -> bool:
        """Whether the two must not overlap."""
        return _meet(self.writes, other.reads | other.writes) or _meet(self.reads, other.writes)


class Claims:
    """The claims of one process: first come, first served."""

    def __init__(self) -> None:
        self._queue: list[tuple[Claim, anyio.Event]] = []

    @contextmanager
    def line(self, claim: Claim) -> Generator[anyio.Event]:
        """Stand in line. The event is set once nothing that came before clashes with the claim."""
        admitted = anyio.Event()
        self._queue.append((claim, admitted))
        self._admit()
        try:
            yield admitted
        finally:
            self._queue = [(other, its) for other, its in self._queue if its is not admitted]
            self._admit()

    @asynccontextmanager
    async def held(self, claim: Claim) -> AsyncGenerator[None]:
        """Stand in line until nothing that came before clashes."""
        with self.line(claim) as admitted:
            await admitted.wait()
            yield

    def _admit(self) -> None:
        for place, (claim, admitted) in enumerate(self._queue):
            if not admitted.is_set() and not any(claim.clashes(before) for before, _ in self._queue[:place]):
                admitted.set()


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one call among those that claim something."""

    claim: Claim
    _claims: Claims

    def held(self) -> AbstractAsyncContextManager[None]:
        """Around the call, which begins once it is admitted. A call that claims nothing never waits."""
        return self._claims.held(self.claim) if self.claim else nullcontext()

    def line(self) -> AbstractContextManager[anyio.Event]:
        """Around the call and the wait until it is admitted, for a caller that does something else while it waits."""
        return self._claims.line(self.claim)


def _meet(some: Iterable[tuple[str, ...]], others: Iterable[tuple[str, ...]]) -> bool:
    return any(one[: len(other)] == other[: len(one)] for one in some for other in others)
