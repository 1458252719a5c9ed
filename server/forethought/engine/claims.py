"""When a call of a run may begin: once no other is in its way, in this process or another, and nobody wants a pause."""

__all__ = ["Turns"]

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from forethought.journal.codec import claim_body
from forethought.journal.database import HeldError
from forethought.journal.rows import Fact
from forethought.journal.store import Store
from forethought_patterns import waiting
from forethought_tools import JSON, Claim, Place

_LOOK = 1.0  # seconds after which a call that waits for another process looks whether that is still alive


class _Record(Protocol):
    def __call__(self, *facts: Fact) -> Awaitable[None]: ...


class Turns:
    """The turns of the calls of one activation."""

    def __init__(self, run: str, *, store: Store, record: _Record, write: _Record, pausing: Callable[[], bool]) -> None:
        """`record` also tells what is `over`, `write` only what it is given."""
        self.aside = 0
        """Calls that wait for the end of a pause."""
        self._run = run
        self._store = store
        self._record = record
        self._write = write
        self._pausing = pausing
        self._noticed = anyio.Event()
        self._claimed: set[str] = set()  # by calls in flight
        self._freed: list[Fact] = []

    def over(self) -> list[Fact]:
        """What nobody was told yet: which calls are over."""
        freed, self._freed = self._freed, []
        return freed

    def notice(self) -> None:
        """Somebody may want a pause, or no pause any more."""
        self._noticed.set()
        self._noticed = anyio.Event()

    @asynccontextmanager
    async def taken(self, key: str, place: Place, *facts: Fact) -> AsyncGenerator[None]:
        """Around a call: it starts, which these facts tell, once no other is in its way, here or in another process."""
        if not place.claim:
            await self.until_resumed()
            await self._record(*facts)
            yield
            return
        while True:
            with place.line() as turn:
                try:
                    if await self._unless_pausing(turn) and await self._its_turn(key, place.claim, *facts):
                        yield
                        return
                finally:
                    self.free(key)
            await self._record()
            await self.until_resumed()

    async def _unless_pausing(self, turn: anyio.Event) -> bool:
        """Wait for a turn. False once a person wants a pause."""
        while not self._pausing():
            with anyio.move_on_after(_LOOK):
                await turn.wait()
                return True
        return False

    async def until_resumed(self) -> None:
        """If a person wants a pause, a call that has not begun is in nobody's way until they do not any more."""
        if not self._pausing():
            return
        self.aside += 1
        try:
            async with waiting():
                while self._pausing():
                    with anyio.move_on_after(_LOOK):
                        await self._noticed.wait()
        finally:
            self.aside -= 1

    async def _its_turn(self, key: str, claim: Claim, *facts: Fact) -> bool:
        """Wait until no other process claims what clashes, then record these facts. False if nothing is to start."""
        if self._freed:
            await self._record()
        claimed: dict[str, JSON] = {"key": key, "claim": claim_body(claim)}
        try:
            await self._write(*facts, Fact("claimed", {**claimed, "waits": False}))
        except HeldError:
            await self._write(Fact("claimed", {**claimed, "waits": True}))
            self._claimed.add(key)
            while True:
                news = self._store.queries.news
                if not self._store.queries.has_to_wait(self._run, key):
                    break
                with anyio.move_on_after(_LOOK):
                    await news.wait()
                if self._pausing():
                    return False
            await self._record(*facts)
        self._claimed.add(key)
        return True

    def free(self, key: str) -> None:
        """A call is over: what it claimed is free with whatever is recorded next."""
        if key in self._claimed:
            self._claimed.remove(key)
            self._freed.append(Fact("freed", {"key": key}))
