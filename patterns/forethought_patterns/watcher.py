"""What the scheduler asks and tells about each step. Its defaults ask nobody and keep nothing."""

__all__ = ["Item", "Outcome", "StepState", "Unfolded", "Watcher", "filled"]

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forethought_patterns.plan import Step
from forethought_patterns.problem import Problem
from forethought_patterns.references import fill
from forethought_patterns.slots import Slot
from forethought_tools import JSON

StepState: TypeAlias = Literal[
    "pending", "running", "waiting", "succeeded", "failed", "skipped", "rejected", "in_doubt"
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended."""

    state: StepState
    value: JSON = None
    error: str = ""
    attempts: int = 0

    @property
    def left_out(self) -> bool:
        """Whether it was skipped because a condition does not hold, which is no failure: `value` says which."""
        return self.state == "skipped" and self.value is not None

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to be done."""
        return self.state == "succeeded" or self.left_out

    def passed_on(self, step: int) -> "Outcome":
        """How those end that need the result of a step which has ended so."""
        why = f"it needs step {step}, which {_HOW[self.state]}"
        return Outcome("skipped", value=self.value if self.left_out else None, error=why)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a loop, as a step in its own right."""

    step: Step
    index: int
    label: str
    open: bool = True
    """Whether anything was to be done when its loop unfolded. Not where its condition does not hold, or an earlier loop
    has made the very same call."""
    ended: bool = False
    """Whether it has ended by now."""

    def __str__(self) -> str:
        return f"item {self.index + 1} ({self.label})"


@dataclass(frozen=True, slots=True)
class Unfolded:
    """The items of a loop, in the order of its list, and how those have ended that are not to be done."""

    items: Sequence[Item]
    ended: Mapping[int, Outcome] = field(default_factory=dict[int, Outcome])


def filled(step: Step, results: Mapping[int, JSON]) -> Mapping[str, JSON]:
    """A step's arguments with results in the place of references. Raises ToolError where one leads nowhere."""
    arguments = fill(step.arguments, results)
    assert isinstance(arguments, Mapping)
    return arguments


_HOW: Mapping[StepState, str] = {
    "failed": "failed",
    "skipped": "was skipped",
    "rejected": "was rejected",
    "in_doubt": "is in doubt",
}


class Watcher:
    """Sees what happens to each step, as it happens. What is awaited has ended before the run acts on the fact."""

    async def unfold(self, loop: Step, results: Mapping[int, JSON], slot: Slot) -> Unfolded | None:
        """The items of a loop whose list is there, once they are on record: the same ones whenever it is asked. None:
        nobody keeps them, and the scheduler may unfold it by itself. Raises ToolError."""
        return None

    async def prepare(self, step: Step, results: Mapping[int, JSON], slot: Slot) -> Mapping[str, JSON]:
        """The arguments of the next call, from the results of the steps that it needs."""
        return filled(step, results)

    async def admit(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> Mapping[str, JSON]:
        """Before a call: may wait for a person. Returns the arguments to use; raises `Rejected` to prevent the call."""
        return arguments

    def starting(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> AbstractAsyncContextManager[None]:
        """Around an attempt, outside its time limit. Entering it waits until it may be paid for and nobody is in its
        way, and records that it is about to be made."""
        return nullcontext()

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        """An attempt failed in passing; the next is made after `delay` seconds."""

    def patient(self) -> bool:
        """Whether verdicts may come later than results: what trusts these starts meanwhile."""
        return False

    def trusts(self, step: Step, arguments: Mapping[str, JSON]) -> bool:
        """Whether a call may be made on results that nobody has judged yet. It is made again where they are wrong."""
        return False

    def wanted(self) -> None:
        """A step can only start once what it needs was judged."""

    async def recalled(self, steps: Sequence[Step]) -> None:
        """What these have done rests on a result that was wrong: it does not count."""

    async def judge(self, step: Step, arguments: Mapping[str, JSON], value: JSON, slot: Slot) -> Problem | None:
        """What is wrong with a result, if anything is."""
        return None

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        """An attempt has failed for good. True: prepare another one."""
        return False

    def ended(self, step: Step, outcome: Outcome) -> None:
        """The step has ended, which is about to be recorded."""

    async def settled(self, step: Step, outcome: Outcome) -> None:
        """Record that the step has ended. Its dependents may start while this is awaited, so whoever records must keep
        the order: nothing of a dependent may be on record unless this is on record before it."""

    def goes_on(self) -> bool:
        """Whether more steps may start. If not, what is in flight ends, and the rest stays pending."""
        return True

    def stalled(self) -> None:
        """Every step that has started waits for someone outside, and no other can start."""
