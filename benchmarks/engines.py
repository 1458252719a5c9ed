"""What a durable step that does nothing costs here, in LangGraph and in DBOS, each over one bare commit of one row.

All of them keep SQLite in WAL with `synchronous=FULL`. Each measure has a process of its own, warmed up by one step.
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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import anyio
from durability import bare, chain, fan_out, steps


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
    from langgraph.graph import START, StateGraph

    async def run(saver: AsyncSqliteSaver, nodes: int) -> float:
        graph: Any = StateGraph(Count)
        for n in range(nodes):
            graph.add_node(f"n{n}", one)
            graph.add_edge(f"n{n - 1}" if shape == "chain" and n else START, f"n{n}")
        compiled = graph.compile(checkpointer=saver)
        config = {"configurable": {"thread_id": str(nodes)}, "recursion_limit": nodes + 10}
        started = time.perf_counter()
        ended = await compiled.ainvoke({"done": 0}, config, durability="sync")
        took = time.perf_counter() - started
        assert ended["done"] == nodes
        return took / nodes

    async with aiosqlite.connect(home / "langgraph.sqlite") as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute("PRAGMA synchronous=FULL")
        await run(saver, 1)
        return await run(saver, size)


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


ENGINES: dict[str, Callable[[Path, str, int], Awaitable[float]]] = {"ours": ours, "langgraph": langgraph, "dbos": dbos}


def ratio(engine: str, shape: str, size: int) -> float:
    """A step in a process of its own over a bare commit just before."""
    with tempfile.TemporaryDirectory() as folder:
        commit = bare(Path(folder), 1000)
    command = [sys.executable, __file__, "--engine", engine, "--shape", shape, "--size", str(size)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout) / commit


def compare(rounds: int, wide: int) -> None:
    """Print the table."""
    ratios: dict[str, list[float]] = {}
    for _ in range(rounds):
        for shape, size in (("chain", 200), ("fan-out", wide)):
            for engine in ENGINES:
                ratios.setdefault(f"{shape} of {size:,}, {engine}", []).append(ratio(engine, shape, size))
    print("| a durable step over one bare commit | median | worst |")
    print("| --- | --- | --- |")
    for name, each in ratios.items():
        print(f"| {name} | {statistics.median(each):.2f} | {max(each):.2f} |")


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
