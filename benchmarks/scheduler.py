"""Makespan over critical path, and scheduler overhead per step as plans grow. One table, side by side in one run.

Beside ours: a bare topological loop without limits, retries, gates or time-outs, and one that looks every 100 ms.
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

import anyio

from forethought_patterns import Plan, Slot, Step, Watcher, execute
from forethought_patterns.loops import turns_of, with_ids
from forethought_patterns.watcher import Unfolded
from forethought_tools import JSON, Limits

SLOT = Slot()


def random_plan(size: int, rng: random.Random, *, window: int = 15, chance: float = 0.15) -> Plan:
    """A random DAG: each step may need any of the `window` steps before it."""
    needs = [[n for n in range(max(1, i - window), i) if rng.random() < chance] for i in range(1, size + 1)]
    return Plan("benchmark", tuple(Step(id=i, tool="t", depends_on=tuple(n)) for i, n in enumerate(needs, 1)))


Call: TypeAlias = Callable[[Step, Mapping[str, JSON], Slot], Awaitable[JSON]]
Scheduler: TypeAlias = Callable[[Plan, Call], Awaitable[object]]


async def ours(plan: Plan, call: Call, *, at_most: float | None = None) -> None:
    """This project's scheduler."""
    limits = Limits(timeout=at_most)
    await execute(plan, call, limits=lambda _: limits, max_parallel=100)


async def bare(plan: Plan, call: Call) -> None:
    """Start a step when its last input is there, and nothing else."""
    missing = {step.id: len(step.needs) for step in plan.steps}
    after: dict[int, list[Step]] = {step.id: [] for step in plan.steps}
    for step in plan.steps:
        for need in step.needs:
            after[need].append(step)

    async def run(step: Step) -> None:
        await call(step, step.arguments, SLOT)
        for each in after[step.id]:
            missing[each.id] -= 1
            if not missing[each.id]:
                tasks.start_soon(run, each)

    async with anyio.create_task_group() as tasks:
        for step in plan.steps:
            if not step.needs:
                tasks.start_soon(run, step)


async def polling(plan: Plan, call: Call, *, seconds: float) -> None:
    """Look now and then which steps can start."""
    done: set[int] = set()
    waiting = list(plan.steps)

    async def run(step: Step) -> None:
        await call(step, step.arguments, SLOT)
        done.add(step.id)

    async with anyio.create_task_group() as tasks:
        while waiting:
            for step in [step for step in waiting if done.issuperset(step.needs)]:
                waiting.remove(step)
                tasks.start_soon(run, step)
            await anyio.sleep(seconds)


def makespan_ratio(scheduler: Scheduler, seed: int) -> float:
    """Wall time of 100 steps of 20 to 80 ms over the length of the longest chain."""
    rng = random.Random(seed)
    plan = random_plan(100, rng)
    seconds = {step.id: rng.uniform(0.02, 0.08) for step in plan.steps}
    ends: dict[int, float] = {}
    for step_id in plan.order:
        ends[step_id] = seconds[step_id] + max((ends[n] for n in plan.by_id[step_id].needs), default=0.0)

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del arguments, slot
        await anyio.sleep(seconds[step.id])
        return step.id

    started = time.perf_counter()
    anyio.run(scheduler, plan, call)
    return (time.perf_counter() - started) / max(ends.values())


def overhead(scheduler: Scheduler, size: int, repeats: int) -> float:
    """Microseconds of CPU per step that does nothing, over `repeats` runs of one plan."""
    plan = random_plan(size, random.Random(size), window=20, chance=0.1)
    plan.height  # noqa: B018 - the plan's own shape is not the scheduler's work

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del arguments, slot
        return step.id

    async def run() -> float:
        await scheduler(plan, call)
        gc.collect()  # what was there before is not for the scheduler to clear away
        started = time.process_time()
        for _ in range(repeats):
            await scheduler(plan, call)
        return time.process_time() - started

    return anyio.run(run) / size / repeats * 1e6


class Wide(Watcher):
    """Lets a loop go over as many items as it likes."""

    async def unfold(self, loop: Step, results: Mapping[int, JSON], slot: Slot) -> Unfolded:
        return with_ids(await turns_of(loop, results, 10_000), 2)


def over_by_hand(items: int, repeats: int) -> float:
    """CPU of a loop over so many items, over that of the same steps written out."""
    loop = Step(id=1, tool="t", for_each=tuple(range(items)), arguments={"n": "{{item}}", "at": "{{index}}"})
    by_hand = [Step(id=at + 2, tool="t", arguments={"n": at, "at": at}) for at in range(items)]
    all_of_it = Step(id=1, tool="t", depends_on=tuple(step.id for step in by_hand))
    plans = (Plan("benchmark", (loop,)), Plan("benchmark", (*by_hand, all_of_it)))

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del arguments, slot
        return step.id

    async def run(plan: Plan) -> float:
        await execute(plan, call, max_parallel=100, watcher=Wide())
        started = time.process_time()
        for _ in range(repeats):
            await execute(plan, call, max_parallel=100, watcher=Wide())
        return time.process_time() - started

    looped, written = (anyio.run(run, plan) for plan in plans)
    return looped / written


def main() -> None:
    """Print the table."""
    rounds = argparse.ArgumentParser(description=__doc__)
    rounds.add_argument("--rounds", type=int, default=5)
    count: int = rounds.parse_args().rounds
    print(f"makespan / critical path, {count} random DAGs of 100 steps of 20 to 80 ms (goal: at most 1.05)")
    for name, scheduler in (("ours", ours), ("bare", bare), ("every 100 ms", partial(polling, seconds=0.1))):
        ratios = [makespan_ratio(scheduler, seed) for seed in range(count)]
        print(f"  {name}: median {statistics.median(ratios):.3f}   worst {max(ratios):.3f}")
    print("scheduler overhead per no-op step, microseconds of CPU (goal: at most 1.2 times at 10,000 of that at 100)")
    for name, scheduler in (("ours", ours), ("ours, with time-outs", partial(ours, at_most=60)), ("bare", bare)):
        pairs = [(overhead(scheduler, 100, 100), overhead(scheduler, 10_000, 1)) for _ in range(count)]
        small, large = zip(*pairs, strict=True)
        growth = [b / a for a, b in pairs]
        print(
            f"  {name}: 100 steps {statistics.median(small):.0f}   10,000 steps {statistics.median(large):.0f}", end=""
        )
        print(f"   ratio: median {statistics.median(growth):.2f}, worst {max(growth):.2f}")
    for items in (100, 1000):
        shares = [over_by_hand(items, 5) for _ in range(count)]
        print(f"a loop of {items} items over the same steps by hand: median {statistics.median(shares):.2f}")


if __name__ == "__main__":
    main()
