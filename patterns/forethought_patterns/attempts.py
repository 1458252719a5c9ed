"""The attempts at one call: each within its time, and another where one has failed in passing."""

__all__ = ["TROUBLE", "DoStep", "LimitsOf", "attempted"]

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import anyio

from forethought_patterns.plan import Step
from forethought_patterns.seats import CallSeat
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Outcome, Watcher
from forethought_tools import (
    JSON,
    BudgetError,
    FencedError,
    ForethoughtError,
    Limits,
    ModelError,
    SettingsError,
    StoreError,
    ToolError,
)

DoStep: TypeAlias = Callable[[Step, Mapping[str, JSON], Slot], Awaitable[JSON]]
"""Does the work of a step with these arguments, in this slot."""
LimitsOf: TypeAlias = Callable[[Step], Limits]
"""Time-out, attempts and parallel calls of a step's tool."""

# Fails a step, where anything else would stop the run. Values from outside can be too large, too deep, or no value.
TROUBLE = (ToolError, ModelError, BudgetError, SettingsError, ArithmeticError, RecursionError, ValueError)
_BACKOFF = 0.5  # seconds before the second attempt; doubles with each further one


async def attempted(
    call: DoStep,
    step: Step,
    arguments: Mapping[str, JSON],
    slot: Slot,
    seat: CallSeat,
    limits: Limits,
    watcher: Watcher,
) -> Outcome:
    """How the call of a step has ended, after as many attempts as its tool allows."""
    attempt = 1
    while True:
        async with watcher.starting(step, arguments, slot):
            try:
                with seat.clock(limits.timeout) as seat.scope:
                    value = await call(step, arguments, slot)
            except (StoreError, FencedError):
                raise
            except Exception as failure:  # a failing tool is data: it must not stop its siblings
                too_long = f"{step.tool} did not finish within {limits.timeout or 0:g} s."
                problem = too_long if seat.late else _describe(step, failure)
                transient = isinstance(failure, TimeoutError) or getattr(failure, "transient", False)
            else:
                return Outcome("succeeded", value=value, attempts=attempt)
            finally:
                seat.scope = None
        if not transient or attempt >= limits.attempts:
            return Outcome("failed", error=problem, attempts=attempt)
        delay = _BACKOFF * 2 ** (attempt - 1)
        await watcher.retrying(step, problem, delay)
        await anyio.sleep(delay)
        attempt += 1


def _describe(step: Step, failure: Exception) -> str:
    if isinstance(failure, ForethoughtError):
        return str(failure)
    return f"{step.tool} failed: {type(failure).__name__}: {failure}"
