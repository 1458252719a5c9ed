"""Makespan over critical path, and scheduler overhead per step as plans grow. One table, side by side in one run."""

import argparse
import random
import statistics
import time
from collections.abc import Mapping

import anyio

from forethought_patterns import Plan, Slot, Step, execute
from forethought_tools import JSON


def random_plan(size: int, rng: random.Random, *, window: int = 15, chance: float = 0.15) -> Plan:
    """A random DAG: each step may need any of the `window` steps before it."""
    needs = [[n for n in range(max(1, i - window), i) if rng.random() < chance] for i in range(1, size + 1)]
    return Plan("benchmark", tuple(Step(id=i, tool="t", depends_on=tuple(n)) for i, n in enumerate(needs, 1)))


def makespan_ratio(seed: int) -> float:
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

    async def run() -> None:
        await execute(plan, call, max_parallel=100)

    started = time.perf_counter()
    anyio.run(run)
    return (time.perf_counter() - started) / max(ends.values())


def overhead(size: int, repeats: int) -> float:
    """Microseconds of CPU per step that does nothing, over `repeats` runs of one plan."""
    plan = random_plan(size, random.Random(size), window=20, chance=0.1)
    plan.height  # noqa: B018 - the plan's own shape is not the scheduler's work

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del arguments, slot
        return step.id

    async def run() -> float:
        await execute(plan, call)
        started = time.process_time()
        for _ in range(repeats):
            await execute(plan, call)
        return time.process_time() - started

    return anyio.run(run) / size / repeats * 1e6


def main() -> None:
    """Print the table."""
    rounds = argparse.ArgumentParser(description=__doc__)
    rounds.add_argument("--rounds", type=int, default=5)
    count: int = rounds.parse_args().rounds
    ratios = [makespan_ratio(seed) for seed in range(count)]
    print(f"makespan / critical path, {count} random DAGs of 100 steps of 20 to 80 ms (goal: at most 1.05)")
    print(f"  median {statistics.median(ratios):.3f}   worst {max(ratios):.3f}")
    small, large = zip(*((overhead(100, 100), overhead(10_000, 1)) for _ in range(count)), strict=True)
    growth = [b / a for a, b in zip(small, large, strict=True)]
    print("scheduler overhead per no-op step, microseconds of CPU (goal: at most 1.2 times at 10,000 of that at 100)")
    print(f"  100 steps {statistics.median(small):.0f}   10,000 steps {statistics.median(large):.0f}", end="")
    print(f"   ratio: median {statistics.median(growth):.2f}, worst {max(growth):.2f}")


if __name__ == "__main__":
    main()
