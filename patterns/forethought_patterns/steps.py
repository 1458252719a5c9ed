"""The steps of a run: arguments by the executor, gates by risk, results judged, every fact through the journal."""

__all__ = ["Steps"]

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from forethought_patterns.budget import Budget
from forethought_patterns.compiler import Outcome, Watcher
from forethought_patterns.evaluator import evaluate
from forethought_patterns.executor import arguments_for
from forethought_patterns.gates import Decision, Gate, Policy, call_gate, digest, doubt_gate
from forethought_patterns.plan import Step
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.signals import Happened, Rejected
from forethought_patterns.strategies import Override, strategy_of, think
from forethought_patterns.tool_calls import ToolCalls, keep
from forethought_tools import JSON, Question, Registry, ToolError

_ROUNDS = 1  # tries with what was wrong, before the plan has to change
_CALLED = 1500  # characters of the arguments that are quoted in feedback


@dataclass
class Steps(Watcher):
    """What the scheduler is given for one revision of a plan: how a step's call is made, and what is seen of it."""

    goal: str
    tools: Registry
    journal: Journal
    approver: Approver
    policy: Policy
    budget: Budget
    failed: dict[str, str]
    """What each call that has failed in this run said, by digest. None is made again."""
    strategies: Override
    retries: bool = True
    every_step: bool = False
    _unsure: dict[int, float | None] = field(default_factory=dict[int, float | None])
    _calls: dict[int, Mapping[str, JSON]] = field(default_factory=dict[int, Mapping[str, JSON]])
    _confirmed: dict[int, str] = field(default_factory=dict[int, str])
    """Calls that a person has just said to make again, by digest."""
    _news: bool = False

    async def call(self, step: Step, arguments: Mapping[str, JSON]) -> JSON:
        """Make a step's call, or take up the result of one that has returned in an earlier activation."""
        if (known := self.journal.tried(step).returned) is not None:
            return known.value
        asked = 0

        async def ask(question: Question) -> JSON:
            nonlocal asked
            if not self.tools.repeatable(step.tool):
                raise ToolError(f"{step.tool} may not ask a model: after the wait it would be done again.")
            asked += 1
            key = f"step/{step.id}/{self.journal.tried(step).attempt}/{asked}"
            return await self.journal.ask(key, question, step=step.id)

        attempt = self.journal.tried(step).attempt
        strategy = strategy_of(step, self.strategies, self.tools)
        prefix = f"step/{step.id}/{attempt}/"
        await keep(self.tools.known(step.tool), arguments, self.journal, f"{step.id}/{attempt}", step.id)
        value = await think(step, strategy, arguments, self._calls_of(step), ask, prefix)
        if step.check or step.expected_output.strip():
            await self.journal.returned(step, value)  # whoever judges may take a while, and the call is not repeated
        return value

    async def prepare(self, step: Step, results: Mapping[int, JSON]) -> Mapping[str, JSON]:
        await self.journal.arrived(step)
        tried = self.journal.tried(step)
        if tried.returned is not None:
            return tried.returned.arguments
        if tried.doubt is not None:
            return await self._resolved(step, tried.doubt, tried.attempt)
        call = await arguments_for(step, results, self.goal, self.tools, self.journal, tried)
        self._unsure[step.id] = call.confidence
        return call.arguments

    async def admit(self, step: Step, arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
        self._calls[step.id] = arguments
        if self.journal.tried(step).returned is not None:
            return arguments
        self.tools.check(step.tool, arguments)  # a person is asked only about a call that can be made
        if self.failed and (said := self.failed.get(digest(step.tool, arguments))):
            raise ToolError(f"This very call has failed before in this run, so it is not made again: {said[:300]}")
        if step.id in self._confirmed and self._confirmed.pop(step.id) == digest(step.tool, arguments):
            return arguments
        purpose = f"gate/{step.id}/{self.journal.tried(step).attempt}"
        unsure, asked = self._unsure.get(step.id), self.approver.asked(purpose)
        gate = call_gate(step, arguments, self.tools, self.policy, confidence=unsure, asked=asked)
        if gate is None:
            return arguments
        decision = await self._decided(gate, f"{purpose}/{gate.digest}")
        if decision.verb == "edit" and decision.arguments is not None:
            self.tools.check(step.tool, decision.arguments)
            self._calls[step.id] = decision.arguments
            return decision.arguments
        return arguments

    async def judge(self, step: Step, arguments: Mapping[str, JSON], value: JSON) -> str:
        attempt = self.journal.tried(step).attempt

        async def call(name: str, given: Mapping[str, JSON]) -> JSON:
            why = f"check the result of {step.id}"
            return await self._calls_of(step).make(name, given, key=f"checked/{step.id}/{attempt}", why=why)

        key = f"step/{step.id}/{attempt}/verdict"
        return await evaluate(step, arguments, value, self.journal, key=key, call=call)

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        tried = self.journal.tried(step)
        # What may not be done twice is for the planner to think over, and for its gate.
        if not self.retries or self.budget.refused or tried.round >= _ROUNDS or not self.tools.repeatable(step.tool):
            return False
        called = json.dumps(arguments, ensure_ascii=False)[:_CALLED]
        feedback = f"called with {called}: {problem}"
        await self.journal.retrying(step, problem, 0, feedback=feedback)
        return True

    def turn(self, step: Step, arguments: Mapping[str, JSON]) -> AbstractAsyncContextManager[None]:
        return self.journal.starting(step, arguments, self.tools.place(self.tools.known(step.tool), arguments))

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        await self.journal.retrying(step, error, delay)

    def ended(self, step: Step, outcome: Outcome) -> None:
        self._news = True
        if outcome.state in ("failed", "rejected"):
            for arguments in (step.arguments, self._calls.get(step.id, step.arguments)):
                self.failed.setdefault(digest(step.tool, arguments), outcome.error)

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self.journal.settled(step, outcome)

    def goes_on(self) -> bool:
        return not self.journal.pausing() and not self.budget.refused and not (self.every_step and self._news)

    def stalled(self) -> None:
        self.journal.stalled()

    async def _resolved(self, step: Step, arguments: Mapping[str, JSON], attempt: int) -> Mapping[str, JSON]:
        """A person has looked what came of a call that was cut off. Returns its arguments if it is to be made again."""
        gate = doubt_gate(step, arguments, self.tools, self.policy)
        decision = await self.approver.decide(gate, key=f"doubt/{step.id}/{attempt}")
        if decision.verb == "happened":
            raise Happened({"confirmed": "a person says that it took effect", "note": decision.reason})
        if decision.verb != "again":
            raise Rejected(f"Cut off, and skipped by a person: {decision.reason or 'no reason given'}")
        await self.journal.redone(step)
        self._confirmed[step.id] = gate.digest
        return arguments

    def _calls_of(self, step: Step) -> ToolCalls:
        return ToolCalls(self.tools, self.journal, self.approver, self.policy, step.id)

    async def _decided(self, gate: Gate, key: str) -> Decision:
        decision = await self.approver.decide(gate, key=key)
        if not decision.approved:
            raise Rejected(f"Rejected by a person: {decision.reason or 'no reason given'}")
        return decision
