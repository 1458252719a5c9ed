"""A journal in memory, for patterns without a server: one model answers everything, a function decides gates."""

__all__ = ["InMemoryJournal"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from forethought_patterns.agent import told_by_agents
from forethought_patterns.gates import Decision, Gate
from forethought_patterns.plan import Plan, Step
from forethought_patterns.ports import Again, Dialect, Heard, Model, Tried
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Item, Outcome, Unfolded
from forethought_tools import JSON, Kept, Place, Question, Role, ToolError

Decide: TypeAlias = Callable[[Gate], Decision]


def _nobody(_: Gate) -> Decision:
    return Decision("reject", reason="there is nobody to ask")


@dataclass
class InMemoryJournal:
    """A `Journal`, a `PlanJournal` and an `Approver` in one, whose fields hold what was recorded.

    Without `decide_gate` nobody approves.
    """

    model: Model
    decide_gate: Decide = _nobody
    spoken: Dialect | None = None
    """How the model is asked. None: as it is best asked."""
    answers: dict[str, JSON] = field(default_factory=dict[str, JSON])
    """Every answer, and what came of every call that was no step, by what it was for."""
    failures: dict[str, str] = field(default_factory=dict[str, str])
    """Why calls that were no steps have failed."""
    questions: list[Question] = field(default_factory=list[Question])
    gates: list[Gate] = field(default_factory=list[Gate])
    unasked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Calls that nobody was asked about because of a rule: tool, and rule."""
    calls: list[tuple[int, Mapping[str, JSON]]] = field(default_factory=list[tuple[int, Mapping[str, JSON]]])
    """Every attempt at a call: step and arguments, in order."""
    outcomes: dict[int, Outcome] = field(default_factory=dict[int, Outcome])
    plans: list[Plan] = field(default_factory=list[Plan])
    """The revisions that the run has gone through."""
    kept: dict[str, Kept] = field(default_factory=dict[str, Kept])
    notes: dict[str, Mapping[str, JSON]] = field(default_factory=dict[str, Mapping[str, JSON]])
    _tried: dict[int, Tried] = field(default_factory=dict[int, Tried])
    _early: dict[int, Step] = field(default_factory=dict[int, Step])
    _items: dict[int, Sequence[Item]] = field(default_factory=dict[int, Sequence[Item]])
    _highest: int = 0

    def dialect(self, role: Role) -> Dialect:
        return self.spoken or ("lean" if self.model.lean else "flat")

    async def ask(self, key: str, question: Question, *, slot: Slot, heard: Heard | None = None) -> JSON:
        if key not in self.answers:
            self.questions.append(question)
            self.answers[key] = (await self.model.answer(question, heard=heard)).value
        return self.answers[key]

    async def judge(self, key: str, question: Question, *, slot: Slot) -> float | None:
        if key not in self.answers:
            self.questions.append(question)
            self.answers[key] = (await self.model.verdict(question)).value
        sure = self.answers[key]
        return float(sure) if isinstance(sure, int | float) else None

    def asked(self, purpose: str) -> bool:
        return False

    async def spared(self, step: int | None, tool: str, digest: str, rule: str) -> None:
        self.unasked.append((tool, rule))

    async def ruled(self, gate: Gate, *, among: str = "") -> bool:
        return False

    async def decide(self, gate: Gate, *, key: str, slot: Slot) -> Decision:
        self.gates.append(gate)
        return self.decide_gate(gate)

    def tried(self, step: Step) -> Tried:
        return self._tried.setdefault(step.id, Tried())

    async def arrived(self, step: Step) -> None:
        if not self.plans:
            self._early[step.id] = step
        self._highest = max(self._highest, step.id)

    def early(self) -> Mapping[int, Step]:
        return self._early

    def items(self, loop: Step | None = None) -> Sequence[Item]:
        if loop is not None:
            return self._items.get(loop.id, ())
        return [item for items in self._items.values() for item in items]

    async def unfold(self, loop: Step, unfolded: Unfolded, *, slot: Slot) -> None:
        self._items[loop.id] = unfolded.items
        self._highest = max(self._highest, *(item.step.id for item in unfolded.items))
        self.outcomes |= unfolded.ended

    @asynccontextmanager
    async def starting(
        self, step: Step, arguments: Mapping[str, JSON], place: Place, *, slot: Slot
    ) -> AsyncGenerator[None]:
        async with place.held():
            self.calls.append((step.id, arguments))
            yield

    async def returned(self, step: Step, value: JSON) -> None:
        """It is judged at once: nothing is resumed from memory."""

    async def retrying(self, step: Step, error: str, delay: float, *, feedback: str = "") -> None:
        tried = self.tried(step)
        again = Tried(tried.attempt + 1, tried.round + 1, feedback)
        self._tried[step.id] = again if feedback else replace(tried, attempt=tried.attempt + 1)

    async def redone(self, step: Step) -> None:
        """Nothing is cut off in memory."""

    async def recalled(self, steps: Sequence[Step]) -> None:
        for step in steps:
            tried = self.tried(step)
            self._tried[step.id] = replace(tried, attempt=tried.attempt + 1)

    async def settled(self, step: Step, outcome: Outcome) -> None:
        self.outcomes[step.id] = outcome

    async def once(
        self,
        key: str,
        body: Mapping[str, JSON],
        place: Place,
        act: Callable[[], Awaitable[JSON]],
        *,
        slot: Slot,
        again: Again | None = None,
    ) -> JSON:
        if key in self.failures:
            raise ToolError(self.failures[key])
        if key not in self.answers:
            try:
                async with place.held():
                    self.answers[key] = await act()
            except ToolError as error:
                self.failures[key] = str(error)
                raise
        return self.answers[key]

    async def keep(self, key: str, kept: Callable[[], Awaitable[Kept]], *, slot: Slot) -> Kept | None:
        known = self.kept.get(key)
        if known is None:
            self.kept[key] = await kept()
        return known

    def tell(self, text: str) -> None:
        """Nobody looks on."""

    async def note(self, key: str, body: Mapping[str, JSON]) -> None:
        self.notes.setdefault(key, body)

    async def revised(self, plan: Plan, why: str) -> None:
        self.plans.append(plan)
        self._highest = max(self._highest, *plan.by_id)

    def told(self) -> Mapping[int, Sequence[str]]:
        return told_by_agents(self.notes.items())

    def superseded(self) -> bool:
        return False

    def pausing(self) -> bool:
        return False

    def next_step(self) -> int:
        return self._highest + 1
