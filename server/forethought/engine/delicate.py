"""Calls in flight that must not be cut off: whether they took effect would not be known."""

__all__ = ["Delicate"]

import anyio


class Delicate:
    """By the step whose calls they are, or none for the run itself."""

    def __init__(self) -> None:
        self._steps: set[int | None] = set()
        self._landed = anyio.Event()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def begin(self, step: int | None) -> None:
        self._steps.add(step)

    def land(self, step: int | None) -> None:
        self._steps.discard(step)
        self._landed.set()
        self._landed = anyio.Event()

    async def all_landed(self) -> None:
        """Returns once none is in flight."""
        while self._steps:
            await self._landed.wait()
