"""What a run may spend, and has. Reserved before a call and settled after it, so that calls in parallel cannot
overshoot together; beyond a limit a person is asked before the call is made.
"""

__all__ = ["MEASURES", "Budget", "Spending"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields

import anyio

from forethought_patterns.problem import Problem
from forethought_patterns.slots import Slot
from forethought_tools import BudgetError

SOFT = 0.8  # the share of a limit at which its end is announced


@dataclass(frozen=True, slots=True)
class Spending:
    """What was, or may be, spent. `seconds` are those in which the run was at work."""

    dollars: float = 0.0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(
            self.dollars + other.dollars,
            self.tokens + other.tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
            self.seconds + other.seconds,
        )

    def __neg__(self) -> "Spending":
        return Spending(-self.dollars, -self.tokens, -self.model_calls, -self.tool_calls, -self.seconds)


MEASURES = tuple(field.name for field in fields(Spending))


class Budget:
    """The limits of one run. `ask` puts going beyond one before a person; `tell` records that one is nearly reached."""

    def __init__(
        self,
        limits: Mapping[str, float],
        spent: Spending,
        *,
        ask: Callable[[str, float, Spending, Slot], Awaitable[float | None]],
        tell: Callable[[str, float, float], Awaitable[None]],
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        """`ask(measure, limit, spent, slot)` returns the new limit, or none where a person refuses."""
        self._limits = dict(limits)
        self._spent = spent
        self._reserved = Spending()
        self._ask = ask
        self._tell = tell
        self._clock = clock
        self._started = clock()
        self._announced = {measure for measure in limits if self._share(measure) >= SOFT}
        self._settled = anyio.Event()
        self._question = anyio.Lock()
        self.refused: Problem | None = None
        """Why nothing more may be spent, once a person has said so."""

    @property
    def limits(self) -> Mapping[str, float]:
        """As they are now, with what people have raised."""
        return self._limits

    @property
    def spent(self) -> Spending:
        """What was spent so far, with the seconds of this activation."""
        return self._spent + Spending(seconds=self._clock() - self._started)

    @asynccontextmanager
    async def reserved(self, wanted: Spending, slot: Slot) -> AsyncGenerator[Callable[[Spending], None]]:
        """Around a call: holds the most that it may cost. Say what it did cost before leaving, if it was not that.

        Raises:
            BudgetError: a person does not want more to be spent.
        """
        await self._reserve(wanted, slot)
        actual: Spending | None = None

        def settle(cost: Spending) -> None:
            nonlocal actual
            actual = cost

        try:
            yield settle
            self._spent += wanted if actual is None else actual
        finally:
            self._reserved += -wanted
            self._settled.set()
            self._settled = anyio.Event()
        await self._announce()

    def room(self, measure: str) -> float | None:
        """What is not spent yet, or none where there is no limit."""
        return self._limits[measure] - getattr(self.spent, measure) if measure in self._limits else None

    async def _reserve(self, wanted: Spending, slot: Slot) -> None:
        while True:
            if self.refused:
                raise BudgetError(self.refused.text)
            over = self._exceeded(wanted, self._reserved)
            if not over:
                self._reserved += wanted
                return
            if not self._exceeded(wanted, Spending()):
                async with slot.waiting():  # it may fit once it is known what the calls in flight really cost
                    await self._settled.wait()
                continue
            async with self.asking(slot):
                # Somebody may have decided meanwhile.
                if not self.refused and (beyond := self._exceeded(wanted, Spending())):
                    await self._extend(beyond[0], slot)

    @asynccontextmanager
    async def asking(self, slot: Slot) -> AsyncGenerator[None]:
        """Around a question to a person about money: one at a time, since its answer may settle the others."""
        try:
            self._question.acquire_nowait()
        except anyio.WouldBlock:
            async with slot.waiting():  # like whoever is being asked
                await self._question.acquire()
        try:
            yield
        finally:
            self._question.release()

    async def _extend(self, measure: str, slot: Slot) -> None:
        limit = self._limits[measure]
        raised = await self._ask(measure, limit, self.spent, slot)
        if raised is None:
            self.refused = Problem(
                f"The budget of {limit:g} {measure.replace('_', ' ')} is used up,"
                " and a person did not want to go beyond."
            )
        else:
            self._limits[measure] = raised

    def _exceeded(self, wanted: Spending, reserved: Spending) -> list[str]:
        total = self.spent + reserved + wanted
        return [measure for measure, limit in self._limits.items() if getattr(total, measure) > limit + _NOISE]

    async def _announce(self) -> None:
        for measure, limit in self._limits.items():
            if measure not in self._announced and self._share(measure) >= SOFT:
                self._announced.add(measure)
                await self._tell(measure, float(getattr(self.spent, measure)), limit)

    def _share(self, measure: str) -> float:
        limit = self._limits[measure]
        return float(getattr(self.spent, measure)) / limit if limit > 0 else 1.0


_NOISE = 1e-9  # of adding up fractions of a cent
