"""Goal to result with the same scripted planner: one step at a time, in parallel, and in parallel while it streams.

The planner takes as long to write its plan in each case; the steps wait instead of working. Rounds are interleaved.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from forethought.models.scripted import ScriptedModel
from forethought_patterns import (
    Answer,
    Brief,
    Budget,
    Decision,
    Free,
    Heard,
    InMemoryJournal,
    Meter,
    Ports,
    Rules,
    Spending,
    Usage,
    run_plan,
)
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Tool

SCHEMA: Mapping[str, JSON] = {"type": "object", "properties": {"seconds": {"type": "string"}}}
PIECE = 12  # characters that the planner says at a time, about four tokens
PAUSE = 0.02  # seconds between pieces: 200 tokens a second
FREE = Free()


def plan(width: int, seconds: float) -> dict[str, JSON]:
    """So many independent look-ups, a step for each that works on its result, and one that saves everything."""
    steps: list[JSON] = []

    def add(tool: str, after: list[int]) -> int:
        number = len(steps) + 1
        pairs: list[JSON] = [{"name": "seconds", "value": str(seconds)}]
        steps.append(
            {
                "id": number,
                "description": "A step of the plan",
                "tool": tool,
                "arguments": pairs,
                "depends_on": list(after),
                "expected_output": "",
                "confidence": 1,
                "strategy": "direct",
            }
        )
        return number

    found = [add("look", []) for _ in range(width)]
    add("save", [add("look", [each]) for each in found])
    return {"reasoning": "look things up, work on them, save", "steps": steps}


@dataclass
class Planner:
    """Writes the plan at the speed of an endpoint, heard or not."""

    draft: Mapping[str, JSON]
    streams: bool
    name: str = "planner"
    lean: bool = False

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def answer(self, question: Question, *, meter: Meter = FREE, heard: Heard | None = None) -> Answer:
        if question.role != "planner":
            done: JSON = {"done": True, "answer": "saved", "missing": ""}
            return await ScriptedModel({"joiner": [done]}).answer(question, meter=meter)
        text = json.dumps(self.draft)
        if heard and self.streams:
            heard(None)
        for start in range(0, len(text), PIECE):
            await anyio.sleep(PAUSE)
            if heard and self.streams:
                heard(text[start : start + PIECE])
        return Answer(self.draft, Usage(1), self.name)

    async def verdict(self, question: Question, *, meter: Meter = FREE) -> Answer:
        del meter
        raise AssertionError(question)


async def work(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    """Take so long and do nothing."""
    await anyio.sleep(float(str(arguments["seconds"])))
    return arguments["seconds"]


TOOLS = Registry(
    Tool(name, "", SCHEMA, work, risk, repeatable=True) for name, risk in (("look", Risk.LOW), ("save", Risk.MEDIUM))
)


async def run(draft: Mapping[str, JSON], *, streams: bool, max_parallel: int) -> float:
    """Seconds from the goal to the result."""
    journal = InMemoryJournal(Planner(draft, streams), lambda _: Decision("reject"))

    async def nothing(*_: object) -> None: ...

    started = time.perf_counter()
    ended = await run_plan(
        None,
        Brief("the goal"),
        ports=Ports(TOOLS, journal, journal, journal, Budget({}, Spending(), ask=nothing, tell=nothing)),
        rules=Rules(max_parallel=max_parallel),
    )
    assert not ended.problem, ended.problem
    return time.perf_counter() - started


async def compare(rounds: int) -> None:
    """Print the table."""
    print(f"{'plan':<34}{'one by one':>12}{'parallel':>12}{'streaming':>12}{'ratio to parallel':>20}")
    for width, seconds in ((4, 0.5), (8, 0.5), (8, 1.0), (16, 0.25)):
        draft = plan(width, seconds)
        times = [
            (
                await run(draft, streams=False, max_parallel=1),
                await run(draft, streams=False, max_parallel=32),
                await run(draft, streams=True, max_parallel=32),
            )
            for _ in range(rounds)
        ]
        one, parallel, streaming = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(row[2] / row[1] for row in times)
        name = f"{2 * width + 1} steps of {seconds:g} s, {width} wide"
        print(f"{name:<34}{one:>10.2f} s{parallel:>10.2f} s{streaming:>10.2f} s{ratio:>20.2f}")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    anyio.run(compare, options.parse_args().rounds)


if __name__ == "__main__":
    main()
