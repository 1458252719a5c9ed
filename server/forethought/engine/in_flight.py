"""Calls in flight that must not be cut off: whether they took effect would not be known."""

__all__ = ["InFlight"]

import anyio


class InFlight:
    """By the keys that say what the calls are for."""

    def __init__(self) -> None:
        self._calls: set[str] = set()
        self._landed = anyio.Event()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def begin(self, key: str) -> None:
        self._calls.add(key)

    def land(self, key: str) -> None:
        self._calls.discard(key)
        self._landed.set()
        self._landed = anyio.Event()

    async def all_landed(self) -> None:
        """Returns once none is in flight."""
        while self._calls:
            await self._landed.wait()
