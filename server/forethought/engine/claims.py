"""When a call of a run may begin: once no other is in its way, in this process or another, and nobody wants a pause."""

__all__ = ["Claims"]

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from forethought.journal.codec import claim_body
from forethought.journal.database import ChangedError, HeldError
from forethought.journal.rows import Fact
from forethought.journal.store import Store
from forethought_patterns import Slot
from forethought_tools import JSON, Claim, Place

_LOOK = 1.0  # seconds after which a call that waits for another process looks whether that is still alive


class _Record(Protocol):
    def __call__(self, *facts: Fact) -> Awaitable[None]: ...


class Claims:
    """What the calls of one activation claim while they are in flight."""

    def __init__(self, run: str, *, store: Store, record: _Record, write: _Record, holding: Callable[[], bool]) -> None:
        """`record` also tells what is `over`, `write` only what it is given."""
        self.aside = 0
        """Calls that wait for the end of a pause, or for whoever goes on with a changed plan."""
        self._run = run
        self._store = store
        self._record = record
        self._write = write
        self._holding = holding
        self._noticed = anyio.Event()
        self._held: set[str] = set()  # by calls in flight
        self._freed: list[Fact] = []

    def over(self) -> list[Fact]:
        """Which calls are over, as far as that is not on record yet."""
        freed, self._freed = self._freed, []
        return freed

    def notice(self) -> None:
        """Somebody may want a pause, or no pause any more."""
        self._noticed.set()
        self._noticed = anyio.Event()

    @asynccontextmanager
    async def taken(self, key: str, place: Place, *facts: Fact, slot: Slot) -> AsyncGenerator[None]:
        """Around a call: it starts, which these facts tell, once no other is in its way, here or in another process."""
        if not place.claim:
            await self.begun(*facts, slot=slot)
            yield
            return
        while True:
            with place.line() as first_in_line:
                try:
                    if await self._unless_pausing(first_in_line) and await self._unless_changed(
                        key, place.claim, *facts
                    ):
                        yield
                        return
                finally:
                    self.free(key)
            await self._record()
            await self.until_resumed(slot)

    async def begun(self, *facts: Fact, slot: Slot) -> None:
        """Record that a call starts which is in nobody's way. Does not return where its plan has changed."""
        while True:
            await self.until_resumed(slot)
            try:
                await self._record(*facts)
            except ChangedError:
                if not self._holding():
                    raise
            else:
                return

    async def until_resumed(self, slot: Slot) -> None:
        """If a person wants a pause, a call that has not begun is in nobody's way until they do not any more. Where the
        plan has changed, whoever goes on with that makes it."""
        if not self._holding():
            return
        self.aside += 1
        try:
            async with slot.waiting():
                while self._holding():
                    with anyio.move_on_after(_LOOK):
                        await self._noticed.wait()
        finally:
            self.aside -= 1

    def free(self, key: str) -> None:
        """A call is over: what it claimed is free with whatever is recorded next."""
        if key in self._held:
            self._held.remove(key)
            self._freed.append(Fact("freed", {"key": key}))

    async def _unless_pausing(self, event: anyio.Event) -> bool:
        """Wait for an event. False once a person wants a pause."""
        while not self._holding():
            with anyio.move_on_after(_LOOK):
                await event.wait()
                return True
        return False

    async def _unless_changed(self, key: str, claim: Claim, *facts: Fact) -> bool:
        try:
            return await self._claimed(key, claim, *facts)
        except ChangedError:
            if self._holding():
                return False
            raise

    async def _claimed(self, key: str, claim: Claim, *facts: Fact) -> bool:
        """Record a claim with these facts, once no other process claims what clashes. False if nothing is to start."""
        if self._freed:
            await self._record()
        if await self._written(key, claim, *facts):
            self._held.add(key)
            return True
        self._held.add(key)
        if await self._first_among_processes(key):
            await self._record(*facts)
            return True
        return False

    async def _written(self, key: str, claim: Claim, *facts: Fact) -> bool:
        """Write the claim with these facts. False, and it is only in line, where another process holds what clashes."""
        body: dict[str, JSON] = {"key": key, "claim": claim_body(claim)}
        try:
            await self._write(*facts, Fact("claimed", {**body, "waits": False}))
        except ChangedError:
            raise
        except HeldError:
            await self._write(Fact("claimed", {**body, "waits": True}))
            return False
        return True

    async def _first_among_processes(self, key: str) -> bool:
        """Wait until no claim of another process is before this one. False once a person wants a pause."""
        while True:
            news = self._store.queries.news
            if not self._store.queries.has_to_wait(self._run, key):
                return True
            with anyio.move_on_after(_LOOK):
                await news.wait()
            if self._holding():
                return False
