"""The scheduler: runs a plan's steps in parallel, each the moment its last input is ready. Where verdicts may come
late, what does no harm starts on results that nobody has judged, and starts again where one of them was wrong.

After LLMCompiler (Kim et al., arXiv 2312.04511, section 3.2, the task fetching unit), without its polling and waves.
Nothing here knows of MCP, models or storage: a `DoStep` does the work of a step, a `Watcher` sees what happens.
"""

__all__ = ["Add", "DoStep", "Grow", "execute"]

import heapq
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from forethought_patterns.attempts import TROUBLE, DoStep, LimitsOf, attempted
from forethought_patterns.conditions import left_out
from forethought_patterns.loops import collected, unfold
from forethought_patterns.plan import Plan, Step
from forethought_patterns.seats import CallSeat
from forethought_patterns.signals import Happened, Rejected
from forethought_patterns.slots import Slot
from forethought_patterns.trials import Awaiting, Trial, resting_on
from forethought_patterns.watcher import Item, Outcome, Unfolded, Watcher
from forethought_tools import (
    JSON,
    BudgetError,
    ForethoughtError,
    Limits,
    ModelError,
    PlanError,
    SettingsError,
)

Add: TypeAlias = Callable[[Step], None]
Grow: TypeAlias = Callable[[Add], Awaitable[Plan]]
"""Brings a plan that is still being written: adds the steps that may start at once, and returns the whole."""

_FAILED = Outcome("failed")
_TROUBLE_WITH_THE_PLAN = (PlanError, ModelError, BudgetError, SettingsError)


async def execute(
    plan: Plan | Grow,
    call: DoStep,
    *,
    max_parallel: int = 8,
    limits: LimitsOf | None = None,
    watcher: Watcher | None = None,
    finished: Mapping[int, Outcome] | None = None,
) -> dict[int, Outcome]:
    """Run a plan and return how each step ended.

    Args:
        plan: What to run. Or what brings it step by step: a step that was added starts as soon as its inputs are
            ready, all others once the plan is whole. An added step that the whole plan has not, or not as it was,
            is forgotten, unless it has started: then it is the plan's business to keep it as it was.
        call: Does the work of one step; `arguments` have their references filled in. What it returns is the step's
            result; what it raises fails the step, skips its dependents with the reason, and touches nobody else.
        max_parallel: Calls in flight at once. Steps on the longest remaining chain go first.
        limits: Time-out, attempts and parallel calls of each step's tool. Default: one attempt, no time-out.
        watcher: Sees every fact before it is acted on.
        finished: Outcomes of steps that ended in an earlier activation of the same run; they are not run again.
    """
    if max_parallel < 1:
        raise ValueError(f"max_parallel must be at least 1, not {max_parallel}")
    execution = _Execution(call, max_parallel, limits or (lambda _: Limits(timeout=None)), watcher or Watcher())
    return await execution.run(plan, finished or {})


class _Execution:
    def __init__(self, call: DoStep, max_parallel: int, limits: LimitsOf, watcher: Watcher) -> None:
        self._call = call
        self._limits = limits
        self._watcher = watcher
        self._whole = False
        self._steps: dict[int, Step] = {}
        self._dependents: defaultdict[int, list[int]] = defaultdict(list)
        self._height: dict[int, int] = {}
        self._begun: set[int] = set()
        self._outcomes: dict[int, Outcome] = {}
        self._values: dict[int, JSON] = {}
        self._items: dict[int, Sequence[Item]] = {}
        self._without: set[int] = set()
        """Steps that were left out: what merely comes after them does not wait for a result."""
        self._unjudged: set[int] = set()
        """Whose results those who trust them have been given."""
        self._trusting: set[int] = set()
        self._trials: dict[int, Trial] = {}
        self._awaiting = Awaiting()
        self._sure: defaultdict[int, anyio.Event] = defaultdict(anyio.Event)
        self._missing: dict[int, int] = {}
        self._ready: list[tuple[int, int]] = []
        self._held: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.returning: deque[tuple[str, int | None, anyio.Event]] = deque()
        self.free = max_parallel
        self.using: defaultdict[str, int] = defaultdict(int)
        self._in_flight = self.outside = 0
        self._tasks: TaskGroup

    async def run(self, plan: Plan | Grow, finished: Mapping[int, Outcome]) -> dict[int, Outcome]:
        self._outcomes = dict(finished)
        self._values = {step_id: outcome.value for step_id, outcome in finished.items() if outcome.state == "succeeded"}
        self._without = {step_id for step_id, outcome in finished.items() if outcome.left_out}
        trouble: ForethoughtError | None = None
        async with anyio.create_task_group() as self._tasks:
            try:
                whole = plan if isinstance(plan, Plan) else await plan(self._arrive)
            except _TROUBLE_WITH_THE_PLAN as error:
                trouble = error  # what has started ends first: it is worth having
                self._whole = True
                self._ready.clear()
                self._missing.clear()
                self.dispatch()
            else:
                await self._complete(whole)
        if trouble:
            raise trouble
        return self._outcomes

    def _arrive(self, step: Step) -> None:
        """Take up a step of a plan that is not whole yet. One that is known by its id already is not taken twice."""
        if step.id in self._steps or step.id in self._outcomes:
            return
        self._add(step)
        self.dispatch()

    async def _complete(self, plan: Plan) -> None:
        """The plan is whole: start over with its graph, and keep what has started."""
        self._whole = True
        self._height = {**plan.height}
        self._steps = {step: self._steps[step] for step in self._begun if step not in plan.by_id}
        self._dependents.clear()
        self._missing.clear()
        self._ready.clear()
        self._held.clear()
        for step in plan.steps:
            if step.id in self._begun or step.id in self._outcomes:
                self._connect(step)
            else:
                self._add(step)
        for step_id, outcome in list(self._outcomes.items()):
            if outcome.state != "succeeded":
                await self._pass_on(step_id, outcome, release=False)
        self.dispatch()

    def _connect(self, step: Step) -> None:
        self._steps[step.id] = step
        for needed in step.needs:
            self._dependents[needed].append(step.id)

    def _add(self, step: Step) -> None:
        self._connect(step)
        self._trusting.discard(step.id)
        if not (step.when or step.is_loop) and self._watcher.trusts(step, step.arguments):
            self._trusting.add(step.id)
        self._missing[step.id] = self._lacks(step)
        if not self._missing[step.id]:
            self._enqueue(step.id)

    def _lacks(self, step: Step) -> int:
        """How many inputs are not there yet."""
        if not (self._values or self._without):
            return len(step.needs)
        unjudged = set[int]() if step.id in self._trusting else self._unjudged
        return sum((need not in self._values and need not in self._without) or need in unjudged for need in step.needs)

    def _enqueue(self, step_id: int) -> None:
        heapq.heappush(self._ready, (-self._height.get(step_id, 0), step_id))

    def dispatch(self) -> None:
        for _ in range(len(self.returning)):
            tool, at_once, seated = self.returning.popleft()
            if self.free and (at_once is None or self.using[tool] < at_once):
                self.free -= 1
                self.using[tool] += 1
                seated.set()
            else:
                self.returning.append((tool, at_once, seated))
        while self.free and self._ready and self._watcher.goes_on():
            entry = heapq.heappop(self._ready)
            step = self._steps[entry[1]]
            if step.id in self._begun or step.id in self._outcomes or self._missing.get(step.id):
                continue  # one of its inputs was taken back since, or left out
            limits = self._limits(step)
            if limits.at_once is not None and self.using[step.tool] >= limits.at_once:
                heapq.heappush(self._held[step.tool], entry)
                continue
            self.free -= 1
            self.using[step.tool] += 1
            self._in_flight += 1
            self._begun.add(step.id)
            if step.id in self._trusting:
                self._trials[step.id] = Trial()
            self._tasks.start_soon(self._work, step, limits)
        if self._whole and self._in_flight and self._in_flight == self.outside:
            self._watcher.stalled()

    def release_tool(self, tool: str) -> None:
        self.using[tool] -= 1
        if self._held[tool]:
            heapq.heappush(self._ready, heapq.heappop(self._held[tool]))

    async def _work(self, step: Step, limits: Limits) -> None:
        trial = self._trials.get(step.id)
        seat = CallSeat(self, step, limits.at_once, trial)
        work = self._turns(step, seat) if step.is_loop else self._outcome(step, seat, limits)
        outcome = await (work if trial is None else trial.unless_void(work))
        seat.close()
        if outcome is not None:
            await self._settle(step, outcome)
        self._in_flight -= 1
        if trial is not None:
            trial.ended.set()
        self.dispatch()

    async def _settle(self, step: Step, outcome: Outcome) -> None:
        self._outcomes[step.id] = outcome
        self._watcher.ended(step, outcome)
        if outcome.state == "succeeded":
            self._values[step.id] = outcome.value
            self._release_dependents(step.id)
            if sure := self._sure.pop(step.id, None):
                sure.set()
            self.look_who_waits()
        elif outcome.left_out:
            self._without.add(step.id)
        self.dispatch()  # what starts now is recorded together with this end
        await self._watcher.settled(step, outcome)
        if self._trials:
            await anyio.lowlevel.checkpoint()  # who has waited for this is not outside any more
        if outcome.state != "succeeded" and self._whole:
            await self._pass_on(step.id, outcome)

    def _release_dependents(self, step_id: int) -> None:
        was_given = step_id in self._unjudged
        self._unjudged.discard(step_id)
        for after in self._dependents[step_id]:
            if not (was_given and after in self._trusting):
                self._release(after)

    def _release(self, after: int) -> None:
        if after not in self._missing or after in self._outcomes:
            return
        self._missing[after] -= 1
        if not self._missing[after]:
            self._awaiting.forget([after])
            self._enqueue(after)
        elif self._watcher.patient():
            self._expect(after)

    def _expect(self, after: int) -> None:
        if after not in self._begun:
            self._awaiting.look(after, lambda: self._inputs(after), self._values)

    def _inputs(self, after: int) -> Sequence[int]:
        """What a step waits for: a loop that has unfolded for its items."""
        return [item.step.id for item in self._items.get(after, ())] or self._steps[after].needs

    def look_who_waits(self) -> None:
        """Have what is not judged yet judged, where a step waits for nothing else."""
        if self._awaiting:
            self._watcher.wanted()

    # Results that nobody has judged yet

    def _return(self, step: Step, value: JSON) -> None:
        """Give a result to those who trust it."""
        trial = self._trials.get(step.id)
        if not self._watcher.patient() or (trial is not None and trial.is_void):
            return
        self._values[step.id] = value
        self._unjudged.add(step.id)
        for after in self._dependents[step.id]:
            if after in self._trusting:
                self._release(after)
            elif after in self._missing:
                self._expect(after)
        self.dispatch()

    async def _all_sure(self, step: Step, slot: Slot) -> None:
        """Wait until all that a step was given is judged, and good: else its work is void."""
        for needed in step.needs if step.id in self._trials else ():
            if needed not in self._outcomes:
                async with slot.waiting():
                    await self._sure[needed].wait()

    async def _take_back(self, step: Step) -> None:
        """A result was wrong: what rests on it is void, and begins again once there is another."""
        if step.id not in self._unjudged:
            return
        resting = resting_on(step.id, self._dependents, self._trusting - self._outcomes.keys())
        void = [self._steps[after] for after in resting]
        for each in (step, *void):
            self._values.pop(each.id, None)
            self._unjudged.discard(each.id)
            self._awaiting.forget(self._dependents[each.id])
        for each in void:
            if trial := self._trials.get(each.id):
                await trial.take_back()
                self._trials.pop(each.id, None)
        if void:
            await self._watcher.recalled(void)
        for each in void:
            self._begun.discard(each.id)
            self._missing[each.id] = self._lacks(each)

    async def _pass_on(self, step_id: int, outcome: Outcome, *, release: bool = True) -> None:
        """What follows where a step has not succeeded: what needs its result is skipped. A loop still waits for its
        other items, and what merely comes after a step that was left out goes on."""
        skipped, queue = outcome.passed_on(step_id), deque([step_id])
        while queue:
            ended = queue.popleft()
            for after in self._dependents[ended]:
                if after in self._outcomes or after in self._begun:
                    continue
                if after in self._items or (outcome.left_out and ended not in self._steps[after].refers):
                    if release:
                        self._release(after)
                    continue
                self._outcomes[after] = skipped
                self._without.update([after] if skipped.left_out else [])
                self._awaiting.forget([after])
                await self._watcher.settled(self._steps[after], skipped)
                queue.append(after)

    # Loops

    async def _turns(self, loop: Step, seat: CallSeat) -> Outcome | None:
        """Unfold a loop; once its items have ended, how it ends itself."""
        if items := self._items.get(loop.id):
            return collected(items, self._outcomes)
        slot = Slot(loop.id, seat)
        unfolded = await unfold(loop, self._given(loop), slot, self._watcher, lambda: max(self._steps) + 1)
        if isinstance(unfolded, Outcome):
            return unfolded
        self._take_up(loop, unfolded)
        return None

    def _take_up(self, loop: Step, unfolded: Unfolded) -> None:
        """The items are steps like others now, and the loop waits for all of them."""
        self._items[loop.id] = unfolded.items
        self._awaiting.forget([loop.id])
        self._begun.discard(loop.id)
        self._outcomes.update(unfolded.ended)
        self._values |= {n: each.value for n, each in unfolded.ended.items() if each.state == "succeeded"}
        for each in unfolded.items:
            item = each.step
            self._height[item.id] = self._height.get(loop.id, 0)
            self._dependents[item.id].append(loop.id)
            self._steps[item.id] = item
            if item.id not in self._outcomes:
                self._add(item)
        self._missing[loop.id] = sum(each.step.id not in self._outcomes for each in unfolded.items)
        if not self._missing[loop.id]:
            self._enqueue(loop.id)

    def _given(self, step: Step) -> Mapping[int, JSON]:
        """The results that a step can use."""
        return {needed: self._values[needed] for needed in step.needs if needed in self._values}

    async def _outcome(self, step: Step, seat: CallSeat, limits: Limits) -> Outcome:
        """How a step ends, after as many tries as the watcher wants."""
        try:
            if step.when and (skipped := await left_out(step, self._given(step))):
                return skipped
        except TROUBLE as error:
            return Outcome("failed", error=str(error))
        slot = Slot(step.id, seat)
        arguments: Mapping[str, JSON] = step.arguments
        try:
            while True:
                outcome = _FAILED
                try:
                    arguments = await self._watcher.prepare(step, self._given(step), slot)
                    if not self._watcher.trusts(step, arguments):
                        await self._all_sure(step, slot)
                    arguments = await self._watcher.admit(step, arguments, slot)
                    outcome = await attempted(self._call, step, arguments, slot, seat, limits, self._watcher)
                    if outcome.state == "succeeded":
                        self._return(step, outcome.value)
                        problem = await self._watcher.judge(step, arguments, outcome.value, slot)
                        outcome = replace(outcome, state="failed", error=problem.text) if problem else outcome
                except TROUBLE as error:  # around the call
                    outcome = replace(outcome, state="failed", error=str(error))
                await self._all_sure(step, slot)
                if outcome.state != "failed":
                    return outcome
                await self._take_back(step)
                if not await self._watcher.again(step, arguments, outcome.error):
                    return outcome
        except Rejected as decision:
            await self._take_back(step)
            return Outcome("rejected", error=str(decision))
        except Happened as known:
            return Outcome("succeeded", value=known.value)
