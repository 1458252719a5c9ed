"""What a step that does nothing costs here, in LangGraph and in DBOS: durable, and only scheduled where they can.

Whoever keeps it has SQLite in WAL with `synchronous=FULL`, and is told over one bare commit of one row, too. Each
measure has a process of its own, warmed up by one step.
Needs `pip install -e '.[distributed]' langgraph langgraph-checkpoint-sqlite`.
"""

import argparse
import asyncio
import operator
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

import anyio
from durability import bare, chain, fan_out, steps
from scheduler import ours as scheduled

from forethought_patterns import Plan, Slot, Step
from forethought_tools import JSON


async def ours_unkept(home: Path, shape: str, size: int) -> float:
    """Seconds a step of the scheduler alone."""
    del home

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        del arguments, slot
        return step.id

    async def run(steps: int) -> float:
        needs = [(n - 1,) if shape == "chain" and n > 1 else () for n in range(1, steps + 1)]
        plan = Plan("benchmark", tuple(Step(id=n, tool="t", depends_on=need) for n, need in enumerate(needs, 1)))
        started = time.perf_counter()
        await scheduled(plan, call)
        return (time.perf_counter() - started) / steps

    await run(1)
    return await run(size)


async def ours(home: Path, shape: str, size: int) -> float:
    """Seconds a step: what has started and what has ended is on disk."""
    plan = chain if shape == "chain" else fan_out
    await steps(home / "warm", plan(1))
    return await steps(home / "measured", plan(size))


class Count(TypedDict):
    """The least a graph can hold whose nodes may write at once."""

    done: Annotated[int, operator.add]


async def one(_: Count) -> Count:
    """Do no work."""
    return {"done": 1}


async def langgraph(home: Path, shape: str, size: int) -> float:
    """Seconds a node."""
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(home / "langgraph.sqlite") as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute("PRAGMA synchronous=FULL")
        await graph(shape, 1, saver)
        return await graph(shape, size, saver)


async def langgraph_unkept(home: Path, shape: str, size: int) -> float:
    """Seconds a node of a graph that nobody keeps."""
    del home
    await graph(shape, 1, None)
    return await graph(shape, size, None)


async def graph(shape: str, nodes: int, saver: Any) -> float:
    """Seconds a node of LangGraph, to build the graph not counted."""
    from langgraph.graph import START, StateGraph

    made: Any = StateGraph(Count)
    for n in range(nodes):
        made.add_node(f"n{n}", one)
        made.add_edge(f"n{n - 1}" if shape == "chain" and n else START, f"n{n}")
    compiled = made.compile(checkpointer=saver)
    config = {"configurable": {"thread_id": str(nodes)}, "recursion_limit": nodes + 10}
    started = time.perf_counter()
    ended = await compiled.ainvoke({"done": 0}, config, **({"durability": "sync"} if saver else {}))
    took = time.perf_counter() - started
    assert ended["done"] == nodes
    return took / nodes


async def dbos(home: Path, shape: str, size: int) -> float:
    """Seconds a step of one workflow, which draws the ids of its steps in order."""
    from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def durable(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    config: DBOSConfig = {
        "name": "engines",
        "system_database_url": f"sqlite:///{home / 'dbos.sqlite'}",
        "application_version": "1",
        "max_executor_threads": 4,
        "log_level": "ERROR",
        "serializer": DBOSPortableJSONSerializer(),
    }
    DBOS(config=config)

    @DBOS.step()
    async def step() -> int:
        return 1

    @DBOS.workflow()
    async def workflow(count: int) -> int:
        if shape == "chain":
            return sum([await step() for _ in range(count)])
        return sum(await asyncio.gather(*[DBOS.reserve_step().run_async(None, step) for _ in range(count)]))

    DBOS.launch()
    try:
        await workflow(1)
        started = time.perf_counter()
        assert await workflow(size) == size
        return (time.perf_counter() - started) / size
    finally:
        DBOS.destroy()


ENGINES: Mapping[str, Callable[[Path, str, int], Awaitable[float]]] = {
    "ours": ours,
    "LangGraph": langgraph,
    "DBOS": dbos,
    "ours, only scheduled": ours_unkept,
    "LangGraph, only scheduled": langgraph_unkept,
}


def measured(engine: str, shape: str, size: int) -> tuple[float, float]:
    """Seconds of a step, in a process of its own, and of a bare commit just before."""
    with tempfile.TemporaryDirectory() as folder:
        commit = bare(Path(folder), 1000)
    command = [sys.executable, __file__, "--engine", engine, "--shape", shape, "--size", str(size)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout), commit


def compare(rounds: int, wide: int) -> None:
    """Print the table."""
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for shape, size in (("chain", 200), ("fan-out", wide)):
            for engine in ENGINES:
                found.setdefault(f"{shape} of {size:,}, {engine}", []).append(measured(engine, shape, size))
    print("| a step that does nothing | ms, median | worst | over one bare commit | worst |")
    print("| --- | --- | --- | --- | --- |")
    for name, each in found.items():
        steps, ratios = [step for step, _ in each], [step / commit for step, commit in each]
        over = ["", ""] if "only" in name else [f"{statistics.median(ratios):.2f}", f"{max(ratios):.2f}"]
        print("|", " | ".join([name, f"{1e3 * statistics.median(steps):.3f}", f"{1e3 * max(steps):.3f}", *over]), "|")


def main() -> None:
    """Read the options, and compare, or measure one."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--wide", action="store_true", help="a fan-out of 2,000 instead of 200")
    options.add_argument("--engine", choices=ENGINES, help="measure one, and print seconds a step")
    options.add_argument("--shape", choices=("chain", "fan-out"), default="chain")
    options.add_argument("--size", type=int, default=200)
    chosen = options.parse_args()
    if chosen.engine:
        with tempfile.TemporaryDirectory() as folder:
            print(anyio.run(ENGINES[chosen.engine], Path(folder), chosen.shape, chosen.size))
    else:
        compare(chosen.rounds, 2000 if chosen.wide else 200)


if __name__ == "__main__":
    main()
