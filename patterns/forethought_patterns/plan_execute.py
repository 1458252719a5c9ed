"""Plan-and-execute: run a plan, judge what comes of it, and have the rest planned anew where it does not work out.

The scheduler runs what can run; then, if something failed, was rejected or is missing, the planner sees goal, finished
results and what went wrong, and returns only the rest. Finished steps keep their ids and results and never run again.
"""

__all__ = ["Ended", "Replan", "run_plan"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from forethought_patterns.arrivals import Arrivals
from forethought_patterns.budget import Budget
from forethought_patterns.compiler import Add, Grow, Outcome, execute
from forethought_patterns.drafts import Brief
from forethought_patterns.gates import Policy, plan_gate
from forethought_patterns.joiner import Joined, join
from forethought_patterns.plan import Plan
from forethought_patterns.planner import make_plan, replan
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.signals import Paused
from forethought_patterns.steps import Steps
from forethought_patterns.strategies import Override
from forethought_patterns.validate import parse_plan
from forethought_tools import BudgetError, ModelError, PlanError, Registry, Role

Replan: TypeAlias = Literal["on_failure", "every_step", "never"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: the revision it ended with, how its steps ended, and the answer or why there is none."""

    plan: Plan
    outcomes: Mapping[int, Outcome]
    answer: str = ""
    error: str = ""


@dataclass
class _Run:
    brief: Brief
    tools: Registry
    journal: Journal
    approver: Approver
    policy: Policy
    budget: Budget
    estimate: Callable[[Plan], str]
    replan: Replan
    replans_left: int
    max_parallel: int
    strategies: Override
    outcomes: dict[int, Outcome]
    failed: dict[str, str]
    plan: Plan = field(init=False)

    async def run_goal(self) -> Ended:
        if self.policy.approve_plan:
            return await self.run(await self._planned(None))  # nothing starts before the person has seen it all
        return await self._carry_on(await self._executed(self._planned))

    async def run(self, plan: Plan) -> Ended:
        self.plan = plan
        return await self._carry_on(await self._approved() or await self._executed(self.plan))

    async def _carry_on(self, problem: str) -> Ended:
        """From the end of one execution to the end of the run."""
        while True:
            if not problem and self._pending():
                if problem := await self._reviewed():
                    return await self._ended(problem)
            else:
                joined = await self._joined() if not problem else Joined()
                problem = problem or (f"Something is missing: {joined.missing}" if joined.missing else "")
                if not problem or self.budget.refused:
                    return await self._ended(self.budget.refused or problem, joined.answer)
                if trouble := await self._replanned(problem):
                    return await self._ended(trouble)
            problem = await self._approved() or await self._executed(self.plan)

    async def _planned(self, add: Add | None) -> Plan:
        """Have the goal planned. With `add`, steps that only read start while the plan is being written."""
        dialect = self.journal.dialect(Role.PLANNER)
        heard = Arrivals(self.tools, self.policy, dialect, add).heard if add else None
        self.plan = await make_plan(self.brief, self.tools, self.journal, dialect=dialect, heard=heard)
        await self.journal.revised(self.plan, "")
        return self.plan

    async def _approved(self) -> str:
        """Put the revision before a person, where that is asked for. Returns why it may not run."""
        if not self.policy.approve_plan or self.plan.approved or not self._pending():
            return ""
        done = [step for step, outcome in self.outcomes.items() if outcome.state == "succeeded"]
        gate = plan_gate(
            self.plan,
            self.tools,
            self.policy,
            estimate=self.estimate(self.plan),
            finished=done,
            next_step=self.journal.next_step(),
        )
        decision = await self.approver.decide(gate, key=f"plan/{self.plan.revision}/{gate.digest}")
        if not decision.approved:
            return f"A person rejected the plan: {decision.reason or 'no reason given'}"
        if decision.verb == "edit" and decision.steps is not None:
            edited = parse_plan(
                self.plan.goal,
                decision.steps,
                self.tools,
                context=self.plan.context,
                reasoning=self.plan.reasoning,
                revision=self.plan.revision + 1,
                planned=self.plan.planned,
            )
            await self._adopt(replace(edited, approved=True), "a person edited the plan")
        return ""

    async def _executed(self, plan: Plan | Grow) -> str:
        """Run what can run. Returns what went wrong. Raises Paused where a person wants a pause."""
        if self.journal.pausing():
            raise Paused
        steps = Steps(
            self.brief.goal,
            self.tools,
            self.journal,
            self.approver,
            self.policy,
            self.budget,
            self.failed,
            self.strategies,
            retries=self.replan != "never",
            every_step=self.replan == "every_step",
        )
        outcomes = await execute(
            plan,
            steps.call,
            max_parallel=self.max_parallel,
            limits=lambda step: self.tools.limits(step.tool),
            watcher=steps,
            finished=self.outcomes,
        )
        self.outcomes = {step: outcome for step, outcome in outcomes.items() if step in self.plan.by_id}
        if self.journal.pausing() and self._pending():
            raise Paused
        if self.budget.refused:
            return self.budget.refused
        return "\n".join(
            f"step {step} {_VERB[outcome.state]}: {outcome.error}"
            for step, outcome in sorted(self.outcomes.items())
            if outcome.state not in ("succeeded", "skipped")
        )

    def _pending(self) -> bool:
        return any(step.id not in self.outcomes for step in self.plan.steps)

    async def _reviewed(self) -> str:
        """After a step, where each is followed by a look at the plan: the planner may write the rest anew."""
        dialect = self.journal.dialect(Role.PLANNER)
        if dialect == "lean" or self.replans_left <= 0:
            return ""  # a small model's second thoughts about a plan are no better than its first
        try:
            plan = await replan(
                self.plan,
                self.outcomes,
                "A step is done. Is the rest still right?",
                self.brief,
                self.tools,
                self.journal,
                key=f"review/{self.plan.revision}/{len(self.outcomes)}",
                failed=self.failed,
                dialect=dialect,
                optional=True,
            )
        except (PlanError, ModelError, BudgetError) as error:
            return f"The plan could not be reviewed. {error}"
        if plan is not None:
            self.replans_left -= 1
            await self._adopt(plan, "after a step")
        return ""

    async def _joined(self) -> Joined:
        if not self.plan.planned:
            return Joined()
        try:
            return await join(self.plan, self.outcomes, self.journal)
        except (ModelError, BudgetError) as error:
            return Joined(answer=f"(No answer could be written: {error} The results are there.)")

    async def _replanned(self, problem: str) -> str:
        """Have the rest planned anew. Returns why that was not to be, with the problem."""
        if self.replan == "never":
            return problem
        if self.replans_left <= 0:
            return f"{problem}\nThe plan was changed as often as it may be."
        self.replans_left -= 1
        try:
            plan = await replan(
                self.plan,
                self.outcomes,
                problem,
                self.brief,
                self.tools,
                self.journal,
                key=f"replan/{self.plan.revision}",
                failed=self.failed,
                dialect=self.journal.dialect(Role.PLANNER),
            )
        except (PlanError, ModelError, BudgetError) as error:
            return f"{problem}\nNo other way was found. {error}"
        assert plan is not None
        await self._adopt(plan, problem)
        return ""

    async def _adopt(self, plan: Plan, why: str) -> None:
        await self.journal.revised(plan, why)
        self.plan = plan
        self.outcomes = {
            step: outcome
            for step, outcome in self.outcomes.items()
            if step in plan.by_id and outcome.state == "succeeded"
        }

    async def _ended(self, error: str, answer: str = "") -> Ended:
        for step in self.plan.steps:
            if step.id not in self.outcomes:
                self.outcomes[step.id] = Outcome("skipped", error="the run ended before it")
                await self.journal.settled(step, self.outcomes[step.id])
        return Ended(self.plan, self.outcomes, answer, error)


async def run_plan(
    plan: Plan | None,
    *,
    brief: Brief,
    tools: Registry,
    journal: Journal,
    approver: Approver,
    policy: Policy,
    budget: Budget,
    estimate: Callable[[Plan], str],
    replan: Replan = "on_failure",
    max_replans: int = 3,
    max_parallel: int = 8,
    strategies: Override | None = None,
    finished: Mapping[int, Outcome] | None = None,
    failed: Mapping[str, str] | None = None,
) -> Ended:
    """Run a plan to its end, through as many as `max_replans` further revisions.

    Args:
        plan: What to run. None: the goal of the brief is planned first, and what only reads starts meanwhile.
        brief: What a planner is told.
        tools: What steps can call.
        journal: Keeps every fact.
        approver: Asks a person.
        policy: When a person is asked.
        budget: What may be spent.
        estimate: Tells what a plan may cost, for a person who approves it.
        replan: When the rest of the plan is planned anew.
        max_replans: How often at most.
        max_parallel: Calls in flight at once.
        strategies: How steps are done, by id or `*`, instead of what the plan says.
        finished: Steps that ended in an earlier activation of the same run.
        failed: What the calls that failed in earlier activations said, by digest.

    Raises:
        PlanError: no valid plan could be made of the goal.
        ModelError: no planner answered.
        BudgetError: a person did not want to pay for a plan.
    """
    run = _Run(
        brief,
        tools,
        journal,
        approver,
        policy,
        budget,
        estimate,
        replan,
        max_replans,
        max_parallel,
        strategies or {},
        dict(finished or {}),
        dict(failed or {}),
    )
    return await (run.run_goal() if plan is None else run.run(plan))


_VERB = {"failed": "failed", "rejected": "was rejected"}
