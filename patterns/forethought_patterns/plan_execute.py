"""Plan-and-execute: run a plan, judge what comes of it, and have the rest planned anew where it does not work out.

The scheduler runs what can run; then, if something failed, was rejected or is missing, the planner sees goal, finished
results and what went wrong, and returns only the rest. Finished steps keep their ids and results and never run again.
"""

__all__ = ["Ended", "run_plan"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from forethought_patterns.arrivals import Arrivals
from forethought_patterns.beside import Asking
from forethought_patterns.compiler import Add, Grow, execute
from forethought_patterns.drafts import Brief
from forethought_patterns.gates import Decision, Gate, digest, plan_gate
from forethought_patterns.hints import guesses
from forethought_patterns.joiner import Joined, join
from forethought_patterns.judging import doubted, misdone
from forethought_patterns.plan import Plan, Step
from forethought_patterns.planner import Early, Progress, make_plan, replan
from forethought_patterns.problem import Problem
from forethought_patterns.rules import Ports, Resumed, Rules
from forethought_patterns.signals import Paused
from forethought_patterns.slots import Slot
from forethought_patterns.steps import Steps
from forethought_patterns.strategies import strategy_of, writer_of
from forethought_patterns.unfolding import Unfolding
from forethought_patterns.validate import parse_plan
from forethought_patterns.watcher import Outcome, filled
from forethought_tools import JSON, BudgetError, ModelError, PlanError, Role

_USUAL = Rules()
_BEGINNING = Resumed()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: the revision it ended with, how its steps ended, and the answer or why there is none."""

    plan: Plan
    outcomes: Mapping[int, Outcome]
    answer: str = ""
    problem: Problem | None = None
    unverified: Sequence[str] = ()
    """What nobody could judge, each in a sentence. Empty where the run has failed."""


@dataclass
class _Run:
    brief: Brief
    ports: Ports
    rules: Rules
    replans_left: int
    outcomes: dict[int, Outcome]
    failed: dict[str, str]
    approved: Plan | None
    """The latest revision that a person has approved."""
    plan: Plan = field(init=False)

    async def run_goal(self) -> Ended:
        if self.rules.policy.approve_plan:
            return await self.run(await self._planned(None))  # nothing starts before the person has seen it all
        return await self._carry_on(await self._executed(self._planned))

    async def run(self, plan: Plan) -> Ended:
        self.plan = plan
        return await self._carry_on(await self._approved_and_executed())

    async def _carry_on(self, problem: Problem | None) -> Ended:
        """From the end of one execution to the end of the run."""
        while True:
            if problem is None and self._pending():
                if unreviewed := await self._reviewed():
                    return await self._ended(unreviewed)
            else:
                problem = problem or await self._misdone()
                joined = await self._joined() if problem is None else Joined()
                problem = problem or joined.missing
                if problem is None or self.ports.budget.refused:
                    return await self._ended(self.ports.budget.refused or problem, joined.answer)
                if stuck := await self._replanned(problem):
                    return await self._ended(stuck)
            problem = await self._approved_and_executed()

    async def _planned(self, add: Add | None) -> Plan:
        """Have the goal planned. With `add`, steps that only read start while the plan is being written."""
        tools, journal = self.ports.tools, self.ports.journal
        early: Early | None = None
        if add is not None and journal.dialect(Role.PLANNER) != "lean":  # a script is short: it is judged as a whole
            arrivals = Arrivals(tools, self.rules.policy, add)
            early = Early(arrivals.heard, self.ports.steps)
        self.plan = await make_plan(self.brief, tools, journal, slot=self.ports.slot, early=early)
        await self.ports.steps.revised(self.plan, "")
        return self.plan

    async def _approved_and_executed(self) -> Problem | None:
        """Run what can run, once a person has agreed to it where that is asked for. Returns what went wrong, if so."""
        if not self.rules.policy.approve_plan or self.plan.approved or not self._pending():
            return await self._executed(self.plan)
        same = self._same()
        gate = self._plan_gate(same)
        if any(step not in self.outcomes for step in same):
            asking, goes_on = Asking(self.ports.slot), replace(self.plan, steps=tuple(same.values()))
            decision = await asking.beside(
                lambda slot: self._decided(gate, slot), lambda: self._executed(goes_on, beside=asking)
            )
        else:
            decision = await self._decided(gate, self.ports.slot)
        return await self._taken(decision) or await self._executed(self.plan)

    def _same(self) -> Mapping[int, Step]:
        """What is done already, and what a person has approved in an earlier revision and is the same, with all that it
        rests on."""
        known: Mapping[int, Step] = self.approved.by_id if self.approved else {}
        same: dict[int, Step] = {}
        for number in self.plan.order:
            step = self.plan.by_id[number]
            if self._is_done(step) or (step == known.get(number) and same.keys() >= {*step.needs}):
                same[number] = step
        return same

    def _plan_gate(self, same: Mapping[int, Step]) -> Gate:
        return plan_gate(
            self.plan,
            self.ports.tools,
            self.rules.policy,
            estimate=self.ports.estimate(self.plan),
            finished=list(same),
            next_step=self.ports.steps.next_step(),
            approved=self.approved,
        )

    async def _decided(self, gate: Gate, slot: Slot) -> Decision:
        key = f"plan/{self.plan.revision}/{gate.digest}"
        return await self.ports.approver.decide(gate, key=key, slot=slot)

    async def _taken(self, decision: Decision) -> Problem | None:
        """Do as a person has decided about the plan. Returns why it may not run, if so."""
        if not decision.approved:
            self.approved = None  # what they have agreed to before does not go on by that any more
            return Problem(f"A person rejected the plan: {decision.reason or 'no reason given'}")
        if decision.verb == "edit" and decision.steps is not None:
            await self._adopt(self._edited(decision.steps), "a person edited the plan")
        self.approved = self.plan
        return None

    def _edited(self, steps: Sequence[JSON]) -> Plan:
        """The next revision, as a person has written it."""
        edited = parse_plan(
            self.plan.goal,
            steps,
            self.ports.tools,
            context=self.plan.context,
            reasoning=self.plan.reasoning,
            revision=self.plan.revision + 1,
            planned=self.plan.planned,
        )
        return replace(edited, approved=True)

    async def _executed(self, plan: Plan | Grow, *, beside: Asking | None = None) -> Problem | None:
        """Run what can run; `beside` a question, as long as that is open. Returns what went wrong, if anything did.
        Raises Paused where a person wants a pause."""
        if self.ports.steps.pausing():
            raise Paused
        unfolding = Unfolding(self.ports, self.rules, self._made())
        steps = Steps(self.brief.goal, self.ports, self.rules, self.failed, unfolding, beside)
        outcomes = await execute(
            plan,
            steps.call,
            max_parallel=self.rules.max_parallel,
            limits=lambda step: self.ports.tools.limits(step.tool),
            watcher=steps,
            finished=self.outcomes,
        )
        known = self._all_steps()
        self.outcomes = {step: outcome for step, outcome in outcomes.items() if step in known}
        if self.ports.steps.superseded() or (self.ports.steps.pausing() and self._pending()):
            raise Paused
        return self.ports.budget.refused or self._gone_wrong()

    def _gone_wrong(self) -> Problem | None:
        wrong = [
            f"step {step} {_VERB[outcome.state]}: {outcome.error}"
            for step, outcome in sorted(self.outcomes.items())
            if step in self.plan.by_id and outcome.state not in ("succeeded", "skipped")
        ]
        return Problem("\n".join(wrong)) if wrong else None

    def _pending(self) -> bool:
        return any(step.id not in self.outcomes for step in self.plan.steps)

    async def _reviewed(self) -> Problem | None:
        """After a step, where each is followed by a look at the plan: the planner may write the rest anew."""
        lean = self.ports.journal.dialect(Role.PLANNER) == "lean"
        if lean or self.replans_left <= 0:
            return None  # a small model's second thoughts about a plan are no better than its first
        key = f"review/{self.plan.revision}/{len(self.outcomes)}"
        try:
            plan = await self._rest("A step is done. Is the rest still right?", key, optional=True)
        except (PlanError, ModelError, BudgetError) as error:
            return Problem(f"The plan could not be reviewed. {error}")
        if plan is not None:
            self.replans_left -= 1
            await self._adopt(plan, "after a step")
        return None

    async def _misdone(self) -> Problem | None:
        """What the goal plainly asks for and is not so, though every step has succeeded."""
        look = self.ports.look
        return None if look is None else await misdone(self.plan, self.outcomes, self.ports.tools, look)

    def _left_out(self) -> Sequence[str]:
        """What was not done because a condition does not hold, each in a sentence."""
        ended = [(step, self.outcomes[step.id]) for step in self.plan.steps]
        return [f"step {step.id} ({step.tool}): {outcome.error}" for step, outcome in ended if outcome.left_out]

    async def _doubts(self, answer: str) -> Sequence[str]:
        look, tools = self.ports.look, self.ports.tools
        if look is None:
            return ()
        found = await doubted(self.plan, self.outcomes, answer, tools, look, unjudged=self._unjudged())
        lean = self.plan.planned and self.ports.journal.dialect(Role.PLANNER) == "lean"
        return [*found, *(guesses(self.plan, tools) if lean else ())]

    def _unjudged(self) -> Sequence[Step]:
        """Steps whose words come from a model of ours, and that no check and no other model has looked at."""
        journal, tools = self.ports.journal, self.ports.tools
        joined = self.plan.planned and journal.dialect(Role.JOINER) != "lean"
        if joined:
            return ()
        return [
            step
            for step in self.plan.steps
            if tools.asks(step.tool)
            and journal.dialect(writer_of(step)) != "wire"  # what the calling agent has written, it knows
            and not (step.check or step.expected_output.strip())
            and strategy_of(step, self.rules.strategies, tools) == "direct"
        ]

    async def _joined(self) -> Joined:
        if not self.plan.planned:
            return Joined()
        try:
            tools, journal, slot = self.ports.tools, self.ports.journal, self.ports.slot
            return await join(self.plan, self.outcomes, tools, journal, slot=slot, told=self.ports.steps.told())
        except (ModelError, BudgetError) as error:
            return Joined(answer=f"(No answer could be written: {error} The results are there.)")

    async def _replanned(self, problem: Problem) -> Problem | None:
        """Have the rest planned anew. Where that cannot be, returns the problem with the reason why not."""
        if self.rules.replan == "never":
            return problem
        if self.replans_left <= 0:
            return Problem(f"{problem}\nThe plan was changed as often as it may be.")
        self.replans_left -= 1
        try:
            plan = await self._rest(problem.text, f"replan/{self.plan.revision}")
        except (PlanError, ModelError, BudgetError) as error:
            return Problem(f"{problem}\nNo other way was found. {error}")
        assert plan is not None
        await self._adopt(plan, problem.text)
        return None

    async def _rest(self, reason: str, key: str, *, optional: bool = False) -> Plan | None:
        """The next revision, in which the planner has written anew what is not finished."""
        steps = self.ports.steps
        loops = [step for step in self.plan.steps if step.is_loop and not self._is_done(step)]
        items = [item.step for loop in loops for item in steps.items(loop)]
        progress = Progress(self.plan, self.outcomes, reason, self.failed, steps.next_step(), steps.told(), items)
        tools, journal, slot = self.ports.tools, self.ports.journal, self.ports.slot
        return await replan(progress, self.brief, tools, journal, key=key, slot=slot, optional=optional)

    async def _adopt(self, plan: Plan, why: str) -> None:
        await self.ports.steps.revised(plan, why)
        self.plan = plan
        known = self._all_steps()
        self.outcomes = {step: outcome for step, outcome in self.outcomes.items() if step in known and outcome.done}

    def _is_done(self, step: Step) -> bool:
        return step.id in self.outcomes and self.outcomes[step.id].done

    def _all_steps(self) -> set[int]:
        """The steps of the plan, and the items of its loops."""
        loops = [step for step in self.plan.steps if step.is_loop]
        return {*self.plan.by_id, *(item.step.id for loop in loops for item in self.ports.steps.items(loop))}

    def _made(self) -> Mapping[str, JSON]:
        """What the items of earlier loops have brought, by the digests of their calls."""
        done = [(item.step, self.outcomes.get(item.step.id)) for item in self.ports.steps.items()]
        return {
            digest(step.tool, filled(step, {})): outcome.value
            for step, outcome in done
            if outcome is not None and outcome.state == "succeeded"
        }

    async def _ended(self, problem: Problem | None, answer: str = "") -> Ended:
        if self.ports.steps.superseded():
            raise Paused
        items = [item.step for loop in self.plan.steps if loop.is_loop for item in self.ports.steps.items(loop)]
        for step in (*self.plan.steps, *items):
            if step.id not in self.outcomes:
                self.outcomes[step.id] = Outcome("skipped", error="the run ended before it")
                await self.ports.steps.settled(step, self.outcomes[step.id])
        unverified = await self._doubts(answer) if problem is None else ()
        if answer and problem is None and (spared := self._left_out()):
            answer = f"{answer}\n\nLeft out: {'; '.join(spared)}."
        if answer and unverified:
            answer = f"{answer}\n\nNot verified: {'; '.join(unverified)}."
        outcomes = {step: outcome for step, outcome in self.outcomes.items() if step in self.plan.by_id}
        return Ended(self.plan, outcomes, answer, problem, unverified)


async def run_plan(
    plan: Plan | None, brief: Brief, *, ports: Ports, rules: Rules = _USUAL, resumed: Resumed = _BEGINNING
) -> Ended:
    """Run a plan to its end, through as many further revisions as the rules allow.

    Args:
        plan: What to run. None: the goal of the brief is planned first, and what only reads starts meanwhile.
        brief: What a planner is told.
        ports: What the run works through.
        rules: What it follows.
        resumed: What earlier activations of it have done.

    Raises:
        PlanError: no valid plan could be made of the goal.
        ModelError: no planner answered.
        BudgetError: a person did not want to pay for a plan.
        Paused: a person wants it to pause, and nothing is in flight any more.
    """
    run = _Run(brief, ports, rules, rules.max_replans, dict(resumed.finished), dict(resumed.failed), resumed.approved)
    return await (run.run_goal() if plan is None else run.run(plan))


_VERB = {"failed": "failed", "rejected": "was rejected"}
