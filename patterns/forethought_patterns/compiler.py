"""The scheduler: runs a plan's steps in parallel, each the moment its last input is ready.

After LLMCompiler (Kim et al., arXiv 2312.04511, section 3.2, the task fetching unit), without its polling and waves.
Nothing here knows of MCP, models or storage: `call` does the work of a step, a `Watcher` sees what happens.
"""

__all__ = ["Add", "DoStep", "Grow", "Outcome", "StepState", "Watcher", "execute", "filled"]

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from forethought_patterns.outside import current
from forethought_patterns.plan import Plan, Step
from forethought_patterns.references import fill
from forethought_patterns.signals import Happened, Rejected
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

StepState: TypeAlias = Literal[
    "pending", "running", "waiting", "succeeded", "failed", "skipped", "rejected", "in_doubt"
]
DoStep: TypeAlias = Callable[[Step, Mapping[str, JSON]], Awaitable[JSON]]
Add: TypeAlias = Callable[[Step], None]
Grow: TypeAlias = Callable[[Add], Awaitable[Plan]]
"""Brings a plan that is still being written: adds the steps that may start at once, and returns the whole."""

_TROUBLE = (ToolError, ModelError, BudgetError, SettingsError)  # fails a step, where anything else would stop the run
_TROUBLE_WITH_THE_PLAN = (PlanError, ModelError, BudgetError, SettingsError)
_BACKOFF = 0.5  # seconds before the second attempt; doubles with each further one


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended."""

    state: StepState
    value: JSON = None
    error: str = ""
    attempts: int = 0


def filled(step: Step, results: Mapping[int, JSON]) -> Mapping[str, JSON]:
    """A step's arguments with results in the place of references. Raises ToolError where one leads nowhere."""
    arguments = fill(step.arguments, results)
    assert isinstance(arguments, Mapping)
    return arguments


class Watcher:
    """Sees what happens to each step, as it happens. What is awaited is so before the run acts on the fact."""

    async def prepare(self, step: Step, results: Mapping[int, JSON]) -> Mapping[str, JSON]:
        """The arguments of the next call, from the results of the steps that it needs."""
        return filled(step, results)

    async def admit(self, step: Step, arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
        """Before a call: may wait for a person. Returns the arguments to use; raises `Rejected` to prevent the call."""
        return arguments

    def turn(self, step: Step, arguments: Mapping[str, JSON]) -> AbstractAsyncContextManager[None]:
        """Around an attempt, outside its time limit. Entering it waits until it may be paid for and nobody is in its
        way, and records that it is about to be made."""
        return nullcontext()

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        """An attempt failed in passing; the next is made after `delay` seconds."""

    async def judge(self, step: Step, arguments: Mapping[str, JSON], value: JSON) -> str:
        """What is wrong with a result; nothing, if it is as expected."""
        return ""

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        """An attempt has failed for good. True: prepare another one."""
        return False

    def ended(self, step: Step, outcome: Outcome) -> None:
        """The step has ended, which is about to be recorded."""

    async def settled(self, step: Step, outcome: Outcome) -> None:
        """Record that the step has ended. Meanwhile its dependents may start: of them nothing may be recorded before
        this is, and without it nothing at all."""

    def goes_on(self) -> bool:
        """Whether more steps may start. If not, what is in flight ends, and the rest stays pending."""
        return True

    def stalled(self) -> None:
        """Every step that has started waits for someone outside, and no other can start."""


class _Bounds(Protocol):
    def __call__(self, step: Step, /) -> Limits: ...


async def execute(
    plan: Plan | Grow,
    call: DoStep,
    *,
    max_parallel: int = 8,
    limits: _Bounds | None = None,
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
    def __init__(self, call: DoStep, max_parallel: int, limits: _Bounds, watcher: Watcher) -> None:
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
            tool, at_once, turn = self.returning.popleft()
            if self.free and (at_once is None or self.using[tool] < at_once):
                self.free -= 1
                self.using[tool] += 1
                turn.set()
            else:
                self.returning.append((tool, at_once, turn))
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
        slot = _Slot(self, step, self._limits(step).at_once)
        current.set(slot)
        outcome = await self._outcome(step, slot)
        slot.close()
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

    async def _outcome(self, step: Step, slot: "_Slot") -> Outcome:
        """How a step ends, after as many tries as the watcher wants."""
        arguments: Mapping[str, JSON] = step.arguments
        try:
            while True:
                outcome = Outcome("failed")
                try:
                    arguments = await self._watcher.prepare(step, {n: self._values[n] for n in step.needs})
                    arguments = await self._watcher.admit(step, arguments)
                    outcome = await self._attempts(step, arguments, slot)
                    if outcome.state == "succeeded":
                        problem = await self._watcher.judge(step, arguments, outcome.value)
                        outcome = replace(outcome, state="failed", error=problem) if problem else outcome
                except _TROUBLE as error:  # around the call
                    outcome = replace(outcome, state="failed", error=str(error))
                if outcome.state != "failed" or not await self._watcher.again(step, arguments, outcome.error):
                    return outcome
        except Rejected as decision:
            return Outcome("rejected", error=str(decision))
        except Happened as known:
            return Outcome("succeeded", value=known.value)

    async def _attempts(self, step: Step, arguments: Mapping[str, JSON], slot: "_Slot") -> Outcome:
        limits = self._limits(step)
        attempt = 1
        while True:
            async with self._watcher.turn(step, arguments):
                try:
                    with anyio.fail_after(limits.timeout) as slot.scope:
                        value = await self._call(step, arguments)
                except TimeoutError:
                    problem, transient = f"{step.tool} did not finish within {limits.timeout:g} s.", True
                except (StoreError, FencedError):
                    raise
                except Exception as failure:  # a failing tool is data: it must not stop its siblings
                    problem, transient = _describe(step, failure), getattr(failure, "transient", False)
                else:
                    return Outcome("succeeded", value=value, attempts=attempt)
                finally:
                    slot.scope = None
            if not transient or attempt >= limits.attempts:
                return Outcome("failed", error=problem, attempts=attempt)
            delay = _BACKOFF * 2 ** (attempt - 1)
            await self._watcher.retrying(step, problem, delay)
            await anyio.sleep(delay)
            attempt += 1


class _Slot:
    """One step's place among those that run. `leave` and `rejoin` bracket a wait for someone outside."""

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
        turn = anyio.Event()
        self._execution.outside -= 1
        self._execution.returning.append((self._tool, self._at_once, turn))
        self._execution.dispatch()
        await turn.wait()
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
