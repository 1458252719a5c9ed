"""The scheduler: runs a plan's steps in parallel, each the moment its last input is ready.

After LLMCompiler (Kim et al., arXiv 2312.04511, section 3.2, the task fetching unit), without its polling and waves.
Nothing here knows of MCP, models or storage: a `DoStep` does the work of a step, a `Watcher` sees what happens.
"""

__all__ = ["Add", "DoStep", "Grow", "execute"]

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from forethought_patterns.plan import Plan, Step
from forethought_patterns.signals import Happened, Rejected
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Outcome, Watcher
from forethought_tools import (
    JSON,
    BudgetError,
    FencedError,
    ForethoughtError,
    Limits,
    ModelError,
    PlanError,
    SettingsError,
    StoreError,
    ToolError,
)

DoStep: TypeAlias = Callable[[Step, Mapping[str, JSON], Slot], Awaitable[JSON]]
"""Does the work of a step with these arguments, in this slot."""
Add: TypeAlias = Callable[[Step], None]
Grow: TypeAlias = Callable[[Add], Awaitable[Plan]]
"""Brings a plan that is still being written: adds the steps that may start at once, and returns the whole."""

# Fails a step, where anything else would stop the run. Values from outside can be too large, too deep, or no value.
_TROUBLE = (ToolError, ModelError, BudgetError, SettingsError, ArithmeticError, RecursionError, ValueError)
_TROUBLE_WITH_THE_PLAN = (PlanError, ModelError, BudgetError, SettingsError)
_BACKOFF = 0.5  # seconds before the second attempt; doubles with each further one


class _LimitsOf(Protocol):
    def __call__(self, step: Step, /) -> Limits: ...


async def execute(
    plan: Plan | Grow,
    call: DoStep,
    *,
    max_parallel: int = 8,
    limits: _LimitsOf | None = None,
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
    def __init__(self, call: DoStep, max_parallel: int, limits: _LimitsOf, watcher: Watcher) -> None:
        self._call = call
        self._limits = limits
        self._watcher = watcher
        self._whole = False
        self._steps: dict[int, Step] = {}
        self._dependents: defaultdict[int, list[int]] = defaultdict(list)
        self._height: Mapping[int, int] = {}
        self._begun: set[int] = set()
        self._outcomes: dict[int, Outcome] = {}
        self._values: dict[int, JSON] = {}
        self._missing: dict[int, int] = {}
        self._ready: list[tuple[int, int]] = []
        self._held: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.returning: deque[tuple[str, int | None, anyio.Event]] = deque()
        self.free = max_parallel
        self.using: defaultdict[str, int] = defaultdict(int)
        self._in_flight = 0
        self.outside = 0
        self._tasks: TaskGroup

    async def run(self, plan: Plan | Grow, finished: Mapping[int, Outcome]) -> dict[int, Outcome]:
        self._outcomes = dict(finished)
        self._values = {step_id: outcome.value for step_id, outcome in finished.items() if outcome.state == "succeeded"}
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
        self._height = plan.height
        self._steps = {step: self._steps[step] for step in self._begun if step not in plan.by_id}
        self._dependents.clear()
        self._missing.clear()
        self._ready.clear()
        self._held.clear()
        for step in plan.steps:
            if step.id in self._begun:
                self._connect(step)
            elif step.id not in self._outcomes:
                self._add(step)
            else:
                self._connect(step)
        for step_id, outcome in list(self._outcomes.items()):
            if outcome.state != "succeeded":
                await self._skip_dependents(step_id, outcome)
        self.dispatch()

    def _connect(self, step: Step) -> None:
        self._steps[step.id] = step
        for needed in step.needs:
            self._dependents[needed].append(step.id)

    def _add(self, step: Step) -> None:
        self._connect(step)
        self._missing[step.id] = sum(needed not in self._values for needed in step.needs)
        if not self._missing[step.id]:
            self._enqueue(step.id)

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
            at_once = self._limits(step).at_once
            if at_once is not None and self.using[step.tool] >= at_once:
                heapq.heappush(self._held[step.tool], entry)
                continue
            self.free -= 1
            self.using[step.tool] += 1
            self._in_flight += 1
            self._begun.add(step.id)
            self._tasks.start_soon(self._work, step)
        if self._whole and self._in_flight and self._in_flight == self.outside:
            self._watcher.stalled()

    def release_tool(self, tool: str) -> None:
        self.using[tool] -= 1
        if self._held[tool]:
            heapq.heappush(self._ready, heapq.heappop(self._held[tool]))

    async def _work(self, step: Step) -> None:
        seat = _Seat(self, step, self._limits(step).at_once)
        outcome = await self._outcome(step, seat)
        seat.close()
        await self._settle(step, outcome)
        self._in_flight -= 1
        self.dispatch()

    async def _settle(self, step: Step, outcome: Outcome) -> None:
        self._outcomes[step.id] = outcome
        self._watcher.ended(step, outcome)
        if outcome.state == "succeeded":
            self._values[step.id] = outcome.value
            self._release_dependents(step.id)
            self.dispatch()  # their starts are recorded together with this end
        await self._watcher.settled(step, outcome)
        if outcome.state != "succeeded" and self._whole:
            await self._skip_dependents(step.id, outcome)

    def _release_dependents(self, step_id: int) -> None:
        for after in self._dependents[step_id]:
            if after in self._missing and after not in self._outcomes:
                self._missing[after] -= 1
                if not self._missing[after]:
                    self._enqueue(after)

    async def _skip_dependents(self, step_id: int, outcome: Outcome) -> None:
        skipped = Outcome("skipped", error=f"it needs step {step_id}, which {_HOW[outcome.state]}")
        queue = deque(self._dependents[step_id])
        while queue:
            after = queue.popleft()
            if after not in self._outcomes and after not in self._begun:
                self._outcomes[after] = skipped
                await self._watcher.settled(self._steps[after], skipped)
                queue.extend(self._dependents[after])

    async def _outcome(self, step: Step, seat: "_Seat") -> Outcome:
        """How a step ends, after as many tries as the watcher wants."""
        slot = Slot(step.id, seat)
        arguments: Mapping[str, JSON] = step.arguments
        try:
            while True:
                outcome = Outcome("failed")
                try:
                    arguments = await self._watcher.prepare(step, {n: self._values[n] for n in step.needs}, slot)
                    arguments = await self._watcher.admit(step, arguments, slot)
                    outcome = await self._attempts(step, arguments, slot, seat)
                    if outcome.state == "succeeded":
                        problem = await self._watcher.judge(step, arguments, outcome.value, slot)
                        outcome = replace(outcome, state="failed", error=problem.text) if problem else outcome
                except _TROUBLE as error:  # around the call
                    outcome = replace(outcome, state="failed", error=str(error))
                if outcome.state != "failed" or not await self._watcher.again(step, arguments, outcome.error):
                    return outcome
        except Rejected as decision:
            return Outcome("rejected", error=str(decision))
        except Happened as known:
            return Outcome("succeeded", value=known.value)

    async def _attempts(self, step: Step, arguments: Mapping[str, JSON], slot: Slot, seat: "_Seat") -> Outcome:
        limits = self._limits(step)
        attempt = 1
        while True:
            async with self._watcher.starting(step, arguments, slot):
                try:
                    # A scope costs as much as some steps do: none where nothing would end it.
                    with nullcontext() if limits.timeout is None else anyio.fail_after(limits.timeout) as seat.scope:
                        value = await self._call(step, arguments, slot)
                except (StoreError, FencedError):
                    raise
                except Exception as failure:  # a failing tool is data: it must not stop its siblings
                    late = seat.scope is not None and seat.scope.cancelled_caught
                    too_long = f"{step.tool} did not finish within {limits.timeout or 0:g} s."
                    problem = too_long if late else _describe(step, failure)
                    transient = isinstance(failure, TimeoutError) or getattr(failure, "transient", False)
                else:
                    return Outcome("succeeded", value=value, attempts=attempt)
                finally:
                    seat.scope = None
            if not transient or attempt >= limits.attempts:
                return Outcome("failed", error=problem, attempts=attempt)
            delay = _BACKOFF * 2 ** (attempt - 1)
            await self._watcher.retrying(step, problem, delay)
            await anyio.sleep(delay)
            attempt += 1


class _Seat:
    """One step's seat among those that run, and the clock of its call, which stops while it waits."""

    def __init__(self, execution: _Execution, step: Step, at_once: int | None) -> None:
        self._execution = execution
        self._tool = step.tool
        self._at_once = at_once
        self._held = True
        self._remaining = math.inf
        self.scope: anyio.CancelScope | None = None

    def leave(self) -> None:
        if self.scope is not None:
            self._remaining = self.scope.deadline - anyio.current_time()
            self.scope.deadline = math.inf
        self._execution.outside += 1
        self._give_back()

    async def rejoin(self) -> None:
        seated = anyio.Event()
        self._execution.outside -= 1
        self._execution.returning.append((self._tool, self._at_once, seated))
        self._execution.dispatch()
        await seated.wait()
        self._held = True
        if self.scope is not None:
            self.scope.deadline = anyio.current_time() + self._remaining

    def abandon(self) -> None:
        self._execution.outside -= 1

    def close(self) -> None:
        if self._held:
            self._give_back()

    def _give_back(self) -> None:
        self._held = False
        self._execution.free += 1
        self._execution.release_tool(self._tool)
        self._execution.dispatch()


_HOW: Mapping[str, str] = {
    "failed": "failed",
    "skipped": "was skipped",
    "rejected": "was rejected",
    "in_doubt": "is in doubt",
}


def _describe(step: Step, failure: Exception) -> str:
    if isinstance(failure, ForethoughtError):
        return str(failure)
    return f"{step.tool} failed: {type(failure).__name__}: {failure}"
