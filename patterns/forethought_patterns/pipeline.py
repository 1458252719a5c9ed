"""Runs one plan: the compiler for the DAG, gates for risk, every question and fact through the journal."""

__all__ = ["run_plan"]

from collections.abc import Mapping
from dataclasses import dataclass

from forethought_patterns.compiler import Outcome, Rejected, Watcher, execute
from forethought_patterns.gates import gate_for
from forethought_patterns.plan import Plan, Step
from forethought_patterns.ports import Approver, Journal
from forethought_tools import JSON, Question, Registry, Risk, ToolError


async def run_plan(
    plan: Plan,
    *,
    tools: Registry,
    journal: Journal,
    approver: Approver,
    max_parallel: int = 8,
    ask_from: Risk = Risk.HIGH,
    finished: Mapping[int, Outcome] | None = None,
) -> dict[int, Outcome]:
    """Run a plan's steps and return how each ended. `finished` steps, from an earlier activation, are not run again."""

    async def call(step: Step, arguments: Mapping[str, JSON]) -> JSON:
        asked = 0

        async def ask(question: Question) -> JSON:
            nonlocal asked
            if not tools.repeatable(step.tool):
                raise ToolError(f"{step.tool} may not ask a model: after the wait it would be done again.")
            asked += 1
            key = f"step/{step.id}/{journal.attempt(step)}/{asked}"
            return await journal.ask(key, question, step=step.id)

        return await tools.call(step.tool, arguments, ask)

    return await execute(
        plan,
        call,
        max_parallel=max_parallel,
        limits=lambda step: tools.limits(step.tool),
        watcher=_Recorded(tools, journal, approver, ask_from),
        finished=finished,
    )


@dataclass
class _Recorded(Watcher):
    tools: Registry
    journal: Journal
    approver: Approver
    ask_from: Risk

    async def admit(self, step: Step, arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
        # A person is asked only about a call that can be made.
        self.tools.check(step.tool, arguments)
        gate = gate_for(step, arguments, self.tools, threshold=self.ask_from)
        if gate is not None:
            decision = await self.approver.decide(gate)
            if not decision.approved:
                raise Rejected(f"Rejected by a person: {decision.reason or 'no reason given'}")
        return arguments

    async def started(self, step: Step, arguments: Mapping[str, JSON]) -> None:
        await self.journal.started(step, arguments)

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        await self.journal.retrying(step, error, delay)

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self.journal.settled(step, outcome)

    def stalled(self) -> None:
        self.journal.stalled()
