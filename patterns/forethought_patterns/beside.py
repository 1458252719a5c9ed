"""A question of the run itself, beside which steps go on: what a person has agreed to waits for no other answer."""

__all__ = ["Asking"]

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from forethought_patterns.signals import Paused
from forethought_patterns.slots import Slot

T = TypeVar("T")


class Asking:
    """One question, and its seat. While it is open the run is put aside only where the steps beside it wait too."""

    def __init__(self, run: Slot) -> None:
        """`run` is the slot of the run itself."""
        self.waits = False
        """Whether somebody has the question before them."""
        self._run = run
        self._asked = anyio.Event()
        self._is_alone = False
        self._is_left = False
        self._scope = anyio.CancelScope()

    async def beside(self, question: Callable[[Slot], Awaitable[T]], work: Callable[[], Awaitable[object]]) -> T:
        """The answer to a question. The work is done unless it is answered at once, and ends once it is.

        Raises:
            Paused: the work has to pause; or it waits for someone outside though the question is answered, and what is
                recorded can go on anew.
        """
        answers: list[T] = []

        async def ask() -> None:
            try:
                answers.append(await question(Slot(seat=self)))
            finally:
                self.waits = False
                self._asked.set()

        async with anyio.create_task_group() as tasks:
            self._scope = tasks.cancel_scope
            tasks.start_soon(ask)
            await self._asked.wait()
            if self.waits:
                try:
                    await work()
                except Paused:
                    self._leave()
            self._is_alone = True
            if self.waits and not self._is_left:
                self._run.stalled()
        if self._is_left:
            raise Paused
        return answers[0]

    def stalled(self) -> None:
        """All that has begun beside the question waits for someone outside."""
        if self.waits:
            self._run.stalled()
        else:
            self._leave()

    def _leave(self) -> None:
        self._is_left = True
        self._scope.cancel()

    def leave(self) -> None:
        self.waits = True
        self._asked.set()
        if self._is_alone:
            self._run.stalled()

    async def rejoin(self) -> None:
        self.waits = False

    def abandon(self) -> None:
        self.waits = False
