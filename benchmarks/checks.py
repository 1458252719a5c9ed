"""What it costs that checks are made apart: beside the same checks in this process, and a step with none."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import anyio

from forethought_patterns import Slot, Step, execute, parse_plan
from forethought_patterns.checks import Check, examine
from forethought_tools import JSON, Registry, Risk, Tool
from forethought_tools.worker import unmet

ROUNDS = 500
VALUE: JSON = {"rows": [{"name": f"row {n}", "total": n} for n in range(20)]}
CHECKS: list[dict[str, Any]] = [
    {"equals": 19, "at": "rows.19.total"},
    {"matches": "row 1[0-9]"},
    {"schema": {"type": "object", "properties": {"rows": {"type": "array", "minItems": 1}}, "required": ["rows"]}},
    {"expression": "len(value['rows']) == 20"},
]


async def call(name: str, arguments: Mapping[str, JSON]) -> JSON:
    del name, arguments
    raise AssertionError("these checks call nothing")


async def apart(raw: dict[str, Any]) -> float:
    """Milliseconds of one check as runs make it."""
    check = Check.model_validate(raw)
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        assert await examine(check, VALUE, call) == []
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def here(raw: dict[str, Any]) -> float:
    """Milliseconds of the same in this process."""
    check = Check.model_validate(raw)
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        assert unmet(VALUE, check.shape, check.matches, check.expression) == []
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


async def step_of_a_plan() -> float:
    """Milliseconds for each of many steps that do nothing and have no check."""

    async def nothing(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del step, arguments, slot
        return None

    async def never(arguments: Mapping[str, JSON], ask: object) -> JSON:
        del arguments, ask
        raise AssertionError("the plan is run with another call")

    tools = Registry([Tool("t", "", {"type": "object"}, never, Risk.LOW)])
    plan = parse_plan("benchmark", [{"id": n, "tool": "t"} for n in range(1, 1001)], tools)
    started = time.perf_counter()
    await execute(plan, nothing, max_parallel=1)
    return 1000 * (time.perf_counter() - started) / len(plan.steps)


async def main() -> None:
    print("| check | here (ms) | apart (ms) | added (ms) |")
    print("| --- | --- | --- | --- |")
    before = await step_of_a_plan()
    for raw in CHECKS:
        await apart(raw)  # the process is there, and warm
        alone, beside = here(raw), await apart(raw)
        print(f"| `{next(iter(raw))}` | {alone:.3f} | {beside:.3f} | {beside - alone:.3f} |")
    after = await step_of_a_plan()
    print(f"\nA step without a check: {before:.3f} ms before the process is started, {after:.3f} ms beside it.")


if __name__ == "__main__":
    anyio.run(main)
