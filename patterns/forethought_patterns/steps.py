"""The steps of a run: arguments by the executor, gates by risk, results judged, every fact through the journal."""

__all__ = ["Steps"]

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property

import anyio

from forethought_patterns.agent import delegated
from forethought_patterns.beside import Asking
from forethought_patterns.callers import calling
from forethought_patterns.evaluator import evaluate
from forethought_patterns.executor import arguments_for
from forethought_patterns.gates import call_gate, digest, doubt_gate
from forethought_patterns.plain import plainly_judged
from forethought_patterns.plan import Step, Strategy
from forethought_patterns.problem import Problem
from forethought_patterns.references import unknown
from forethought_patterns.roles import OWN
from forethought_patterns.rules import Ports, Rules
from forethought_patterns.signals import Happened, Rejected
from forethought_patterns.slots import Slot
from forethought_patterns.strategies import strategy_of, think, writer_of
from forethought_patterns.tool_calls import Admitted, ToolCalls, keep, look_again
from forethought_patterns.unfolding import Unfolding
from forethought_patterns.watcher import Outcome, Unfolded, Watcher
from forethought_tools import JSON, ChangedError, Claim, Question, Role, ToolError
from forethought_tools.delegating import DELEGATE
from forethought_tools.text import as_text

_ROUNDS = 1  # tries with what was wrong, before the plan has to change
_CALLED = 1500  # characters of the arguments that are quoted in feedback


@dataclass
class Steps(Watcher):
    """What the scheduler is given for one revision of a plan: how a step's call is made, and what is seen of it."""

    goal: str
    ports: Ports
    rules: Rules
    failed: dict[str, str]
    """What each call that has failed in this run said, by digest. None is made again."""
    unfolding: Unfolding
    beside: Asking | None = None
    """The question beside which they go on, and begin only as long as it is open."""
    _unsure: dict[int, float | None] = field(default_factory=dict[int, float | None])
    _called: dict[int, Mapping[str, JSON]] = field(default_factory=dict[int, Mapping[str, JSON]])
    """The arguments of each step's last call."""
    _confirmed: dict[int, str] = field(default_factory=dict[int, str])
    """Calls that a person has just said to make again, by digest."""
    _admitted: dict[int, Admitted] = field(default_factory=dict[int, Admitted])
    """Each step's next call."""
    _changed: dict[int, bool] = field(default_factory=dict[int, bool])
    """Steps whose call was not made, because something has changed since, and whether it has to be thought over."""
    _not_due: list[anyio.Event] = field(default_factory=list[anyio.Event])
    """Verdicts that are not asked for yet."""
    _waking: int = 0
    """Verdicts that are about to be asked for."""
    _news: bool = False
    """Whether a step has ended since the plan was last looked at."""

    async def call(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        """Make a step's call, or take up the result of one that has returned in an earlier activation."""
        tried, journal, tools = self.ports.steps.tried(step), self.ports.journal, self.ports.tools
        if tried.returned is not None:
            return tried.returned.value
        asked = 0

        async def ask(question: Question) -> JSON:
            nonlocal asked
            if not tools.repeatable(step.tool):
                raise ToolError(f"{step.tool} may not ask a model: after the wait it would be done again.")
            asked += 1
            if self._is_own(step):
                told = question.instructions + OWN.format(expected=step.expected_output)
                question = replace(question, instructions=told)
            return await journal.ask(f"step/{step.id}/{tried.attempt}/{asked}", question, slot=slot)

        await self._look_again(step)
        prefix = f"step/{step.id}/{tried.attempt}/"
        try:
            with calling(self.ports.approver, journal, slot, prefix.rstrip("/")):
                if step.tool == DELEGATE:
                    value = await delegated(step, arguments, tried, self._calls(slot), self.rules.agent)
                else:
                    await keep(tools.known(step.tool), arguments, journal, key=f"{step.id}/{tried.attempt}", slot=slot)
                    value = await think(step, self._strategy(step), arguments, self._calls(slot), ask, prefix)
        except ChangedError:  # the tool has become another one: a person is to see how, and nobody else
            self._changed[step.id] = False
            raise
        if step.check or step.expected_output.strip() or (step.needs and self.trusts(step, arguments)):
            # Whoever judges it may take a while, and the call is not repeated.
            await self.ports.steps.returned(step, value)
        return value

    async def unfold(self, loop: Step, results: Mapping[int, JSON], slot: Slot) -> Unfolded:
        return await self.unfolding.of(loop, results, slot)

    async def prepare(self, step: Step, results: Mapping[int, JSON], slot: Slot) -> Mapping[str, JSON]:
        await self.ports.steps.arrived(step)
        tried = self.ports.steps.tried(step)
        if tried.returned is not None:
            return tried.returned.arguments
        if tried.doubt is not None:
            return await self._resolved(step, tried.doubt, slot)
        if step.tool == DELEGATE:  # its agent is told what was wrong: nobody has to find other arguments
            tried = replace(tried, feedback="", round=0)
        call = await arguments_for(step, results, self.goal, self.ports.tools, self.ports.journal, tried, slot)
        self._unsure[step.id] = call.confidence
        return call.arguments

    async def admit(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> Mapping[str, JSON]:
        self._called[step.id] = arguments
        if self.ports.steps.tried(step).returned is not None:
            return arguments
        self.ports.tools.check(step.tool, arguments)  # a person is asked only about a call that can be made
        if self.failed and (said := self.failed.get(digest(step.tool, arguments))):
            raise ToolError(f"This very call has failed before in this run, so it is not made again: {said[:300]}")
        if step.id in self._confirmed and self._confirmed.pop(step.id) == digest(step.tool, arguments):
            self._admitted[step.id] = Admitted(arguments, {})
            return arguments
        purpose, unsure = f"gate/{step.id}/{self.ports.steps.tried(step).attempt}", self._unsure.get(step.id)
        asked = step.id in self.rules.ask_about
        call = self.unfolding.agreed(step, arguments, self.ports.steps.tried(step).attempt)
        if call is None:
            call = await self._calls(slot).admitted(step, arguments, purpose=purpose, confidence=unsure, asked=asked)
        self._admitted[step.id], self._called[step.id] = call, call.arguments
        return call.arguments

    @cached_property
    def _is_patient(self) -> bool:
        return self.ports.journal.dialect(Role.EVALUATOR) == "wire" and self.rules.replan != "every_step"

    def patient(self) -> bool:
        return self._is_patient

    def trusts(self, step: Step, arguments: Mapping[str, JSON]) -> bool:
        if not self._is_patient:
            return False
        tools, unsure = self.ports.tools, self._unsure.get(step.id)
        harmless = tools.reads_only(step.tool) and tools.repeatable(step.tool)
        calls = bool(step.check and step.check.call())
        if not harmless or calls or unknown(step.arguments) or self._strategy(step) != "direct":
            return False
        return call_gate(step, arguments, tools, self.rules.policy, confidence=unsure) is None

    def wanted(self) -> None:
        self._hand_out()

    async def recalled(self, steps: Sequence[Step]) -> None:
        await self.ports.steps.recalled(steps)

    async def judge(self, step: Step, arguments: Mapping[str, JSON], value: JSON, slot: Slot) -> Problem | None:
        if step.check is None and (not step.expected_output.strip() or self._is_own(step)):
            return None
        if step.check is None and (plain := await plainly_judged(step, arguments, self.ports.look)):
            return plain[0]
        if step.check is None and self.patient():
            await self._until_due(slot)
        return await self._evaluated(step, arguments, value, slot)

    async def _evaluated(self, step: Step, arguments: Mapping[str, JSON], value: JSON, slot: Slot) -> Problem | None:
        attempt = self.ports.steps.tried(step).attempt

        async def call(name: str, given: Mapping[str, JSON]) -> JSON:
            why = f"check the result of {step.id}"
            return await self._calls(slot).make(name, given, key=f"checked/{step.id}/{attempt}", why=why)

        key = f"step/{step.id}/{attempt}/verdict"
        return await evaluate(step, arguments, value, self.ports.journal, slot=slot, key=key, call=call)

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        if step.id in self._changed:
            feedback = problem if self._changed.pop(step.id) else ""
            await self.ports.steps.retrying(step, problem, 0, feedback=feedback)
            return True
        if self.rules.replan == "never" or self.ports.budget.refused:
            return False
        # What may not be done twice is for the planner to think over, and for its gate.
        if self.ports.steps.tried(step).round >= _ROUNDS or not self.ports.tools.repeatable(step.tool):
            return False
        called = as_text(arguments)[:_CALLED]
        feedback = problem if step.tool == DELEGATE else f"called with {called}: {problem}"
        await self.ports.steps.retrying(step, problem, 0, feedback=feedback)
        return True

    def starting(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> AbstractAsyncContextManager[None]:
        tools = self.ports.tools
        place = tools.place(tools.known(step.tool), arguments)
        if step.tool == DELEGATE and self.ports.journal.dialect(Role.AGENT) != "wire":
            place = tools.place_for(Claim())  # each call of its agent claims for itself
        return self.ports.steps.starting(step, arguments, place, slot=slot)

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        await self.ports.steps.retrying(step, error, delay)

    def ended(self, step: Step, outcome: Outcome) -> None:
        self._news = True
        if outcome.state in ("failed", "rejected"):
            for arguments in (step.call, self._called.get(step.id, step.call)):
                self.failed.setdefault(digest(step.tool, arguments), outcome.error)

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self.ports.steps.settled(step, outcome)

    def goes_on(self) -> bool:
        to_be_reviewed = self.rules.replan == "every_step" and self._news
        answered = self.beside is not None and not self.beside.waits
        return not (answered or self.ports.steps.pausing() or self.ports.budget.refused or to_be_reviewed)

    def stalled(self) -> None:
        if self.ports.steps.pausing() or not (self._hand_out() or self._waking):
            (self.beside or self.ports.slot).stalled()

    def _is_own(self, step: Step) -> bool:
        """Whether the calling agent writes the result itself, and would have to judge it: it is told both at once."""
        dialect, tools = self.ports.journal.dialect, self.ports.tools
        plays_both = dialect(writer_of(step)) == "wire" and dialect(Role.EVALUATOR) == "wire"
        expects = bool(step.expected_output.strip()) and step.check is None
        return expects and plays_both and tools.asks(step.tool) and self._strategy(step) == "direct"

    async def _until_due(self, slot: Slot) -> None:
        """Wait until verdicts are wanted, so that they are asked for together: each round of an agent costs."""
        due = anyio.Event()
        self._not_due.append(due)
        async with slot.waiting():
            try:
                await due.wait()
            finally:
                if due.is_set():
                    self._waking -= 1
                else:
                    self._not_due.remove(due)

    def _hand_out(self) -> bool:
        """Ask for the verdicts that have waited. Returns whether there are any."""
        due, self._not_due = self._not_due, []
        self._waking += len(due)
        for each in due:
            each.set()
        return bool(due)

    def _strategy(self, step: Step) -> Strategy:
        return strategy_of(step, self.rules.strategies, self.ports.tools)

    async def _look_again(self, step: Step) -> None:
        try:
            await look_again(self.ports.tools.known(step.tool), self._admitted[step.id], self.ports.tools)
        except ChangedError:
            self._changed[step.id] = True
            raise

    async def _resolved(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> Mapping[str, JSON]:
        """A person has looked what came of a call that was cut off. Returns its arguments if it is to be made again."""
        gate = doubt_gate(step, arguments, self.ports.tools, self.rules.policy)
        key = f"doubt/{step.id}/{self.ports.steps.tried(step).attempt}"
        decision = await self.ports.approver.decide(gate, key=key, slot=slot)
        if decision.verb == "happened":
            raise Happened({"confirmed": "a person says that it took effect", "note": decision.reason})
        if decision.verb != "again":
            raise Rejected(f"Cut off, and skipped by a person: {decision.reason or 'no reason given'}")
        await self.ports.steps.redone(step)
        if not await self.ports.tools.rests_on(step.tool, arguments):  # else its files are shown, and asked about
            self._confirmed[step.id] = gate.digest
        return arguments

    def _calls(self, slot: Slot) -> ToolCalls:
        return ToolCalls(self.ports.tools, self.ports.journal, self.ports.approver, self.rules.policy, slot)
