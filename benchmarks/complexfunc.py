"""ComplexFuncBench as NESTFUL ships it: 1,000 tasks with recorded calls, run as plans whose calls answer as recorded.

The plans are the recorded ones, so nothing is said of planners: whether references are filled in as they are meant, and
how soon a plan is through. No latencies are recorded: each call takes as long as `--seconds` says. Needs
`pip install langgraph nestful-wrapper` (Apache-2.0; only its data is read).
"""

import argparse
import importlib
import json
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Annotated, Any, TypeAlias, TypedDict

import anyio
from pydantic import JsonValue

from forethought_patterns import Plan, Slot, Step, execute
from forethought_patterns.references import fill
from forethought_tools import JSON

_REFERENCE = re.compile(r"\$var(\d+)\.([^$]+)\$")


@dataclass(frozen=True)
class Task:
    """Calls that were recorded, by their numbers."""

    tools: Mapping[int, str]
    arguments: Mapping[int, Mapping[str, JsonValue]]
    """As they are written there: `$var1.coordinates.latitude$`."""
    responses: Mapping[int, JSON]

    @property
    def plan(self) -> Plan:
        """The same as a plan of ours: where the referenced response is a list, its first entry is meant."""

        def reference(found: re.Match[str]) -> str:
            first = ".0" if isinstance(self.responses[int(found[1])], list) else ""
            return f"{{{{{found[1]}{first}.{found[2]}}}}}"

        return Plan(
            "task",
            tuple(
                Step(
                    id=number,
                    tool=tool,
                    arguments={
                        name: _REFERENCE.sub(reference, value) if isinstance(value, str) else value
                        for name, value in self.arguments[number].items()
                    },
                )
                for number, tool in self.tools.items()
            ),
        )

    def meant(self, number: int) -> Mapping[str, JSON]:
        """The arguments of a call with all references looked up by hand."""
        return {name: self._looked_up(value) for name, value in self.arguments[number].items()}

    def _looked_up(self, value: JSON) -> JSON:
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return value
        here: JSON = self.responses[int(found[1])]
        if isinstance(here, Sequence) and not isinstance(here, str):
            here = here[0]
        for name in found[2].split("."):
            assert isinstance(here, Mapping)
            here = here[name]
        return here

    @property
    def references(self) -> Iterator[tuple[int, str]]:
        """Each by the call and the argument where it stands."""
        for number, arguments in self.arguments.items():
            yield from ((number, name) for name, value in arguments.items() if _REFERENCE.search(str(value)))


def tasks() -> list[Task]:
    """All that the package has."""
    path = files("data_v1") / "complexfuncbench" / "complexfuncbench-data.json"
    found: list[Task] = []
    for each in json.loads(path.read_text(encoding="utf-8")):
        calls = {int(call["label"].removeprefix("var")): call for call in each["output"]}
        found.append(
            Task(
                {number: call["name"] for number, call in calls.items()},
                {number: call["arguments"] for number, call in calls.items()},
                {number: call["response"] for number, call in calls.items()},
            )
        )
    return found


Called: TypeAlias = dict[int, Mapping[str, JSON]]
Engine: TypeAlias = Callable[[Task, float], Awaitable[Called]]


async def ours(task: Task, seconds: float, *, at_once: int = 8) -> Called:
    """This project's scheduler. Returns the arguments of each call."""
    called: Called = {}

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del slot
        called[step.id] = arguments
        await anyio.sleep(seconds)
        return task.responses[step.id]

    await execute(task.plan, call, max_parallel=at_once)
    return called


def merged(known: dict[int, Any], new: dict[int, Any]) -> dict[int, Any]:
    """All results."""
    return known | new


class Results(TypedDict):
    """What the nodes of a graph know of each other."""

    results: Annotated[dict[int, Any], merged]


async def langgraph(task: Task, seconds: float) -> Called:
    """The same graph in LangGraph, each node with an edge from all that it needs."""
    module: Any = importlib.import_module("langgraph.graph")
    graph: Any = module.StateGraph(Results)
    called: Called = {}

    def node(step: Step) -> Callable[[Results], Awaitable[Results]]:
        async def run(state: Results) -> Results:
            filled = fill(step.arguments, state["results"])
            assert isinstance(filled, dict)
            called[step.id] = filled
            await anyio.sleep(seconds)
            return {"results": {step.id: task.responses[step.id]}}

        return run

    for step in task.plan.steps:
        graph.add_node(str(step.id), node(step))
        graph.add_edge([str(needed) for needed in step.needs] or module.START, str(step.id))
    await graph.compile().ainvoke({"results": {}}, {"recursion_limit": 100})
    return called


ENGINES: Mapping[str, Engine] = {"**ours**": ours, "LangGraph": langgraph, "one at a time": partial(ours, at_once=1)}


async def references(all_tasks: Sequence[Task]) -> None:
    """Print how many references were filled in exactly as they are meant."""
    right = total = whole = 0
    for task in all_tasks:
        called = await ours(task, 0)
        wanted = {number: task.meant(number) for number in task.tools}
        told = [_same(called[number].get(name), wanted[number][name]) for number, name in task.references]
        right += sum(told)
        total += len(told)
        whole += all(_same(called.get(number), arguments) for number, arguments in wanted.items())
    print(f"references filled in as they are meant: {right:,} of {total:,}")
    print(f"tasks of which every call has exactly the arguments that are meant: {whole:,} of {len(all_tasks):,}\n")


def _same(value: JSON, other: JSON) -> bool:
    """With the same types, too."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


async def makespans(chosen: Sequence[Task], seconds: float) -> None:
    """Print how long plans take, engines in turn."""
    ratios: dict[str, list[float]] = {name: [] for name in ENGINES}
    took: dict[str, list[float]] = {name: [] for name in ENGINES}
    for task in chosen:
        least = len(task.plan.levels) * seconds
        for name, engine in ENGINES.items():
            started = time.perf_counter()
            await engine(task, seconds)
            took[name].append(time.perf_counter() - started)
            ratios[name].append(took[name][-1] / least)
    print(
        f"| {len(chosen)} tasks, {1000 * seconds:.0f} ms a call | over critical path, median | worst | seconds, all |"
    )
    print("| --- | --- | --- | --- |")
    for name, each in ratios.items():
        print(f"| {name} | {statistics.median(each):.3f} | {max(each):.3f} | {sum(took[name]):.1f} |")


async def compare(every: int, seconds: float) -> None:
    """Print both."""
    all_tasks = tasks()
    levels = statistics.mean(len(task.plan.levels) for task in all_tasks)
    print(f"calls a task {statistics.mean(len(task.tools) for task in all_tasks):.2f}, critical path {levels:.2f}")
    await references(all_tasks)
    await langgraph(all_tasks[0], 0)  # its import
    await makespans(all_tasks[::every], seconds)


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=10, help="measure every tenth task; 1: all, in half an hour")
    options.add_argument("--seconds", type=float, default=0.1, help="of each call")
    given = options.parse_args()
    anyio.run(compare, given.every, given.seconds)


if __name__ == "__main__":
    main()
