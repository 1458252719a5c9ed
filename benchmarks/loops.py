"""What an item of a loop costs, beside the same steps written out by hand, with the journal on disk.

    .venv/bin/python benchmarks/loops.py [100 1000 5000]

What is called does no work, so that what is counted is the engine: its processor time, all threads and their commits
included, for each item. With items that claim a file each, the table has a second pair of columns.
"""

import argparse
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from forethought.engine import Engine
from forethought.engine.kinds import plan as plans
from forethought.engine.records import Records
from forethought.engine.runs import Runs
from forethought.engine.supervisor import Supervisor
from forethought.journal.sqlite import SQLite
from forethought.journal.store import Store
from forethought.models import Models
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_tools import JSON, Answerer, Claim, Registry, Risk, Tool

SIZES = (100, 1000, 5000)


async def nothing(_: Mapping[str, JSON], __: Answerer) -> JSON:
    """Do no work."""
    return None


def own_place(arguments: Mapping[str, JSON]) -> Claim:
    """A file of its own for each item."""
    return Claim(writes=frozenset({("work", f"{arguments['n']}.txt")}))


ANYTHING: Mapping[str, JSON] = {"type": "object"}
TOOLS = Registry(
    [
        Tool("nothing", "", ANYTHING, nothing, Risk.LOW, repeatable=True),
        Tool("claims", "", ANYTHING, nothing, Risk.LOW, repeatable=True, claims=own_place),
    ]
)


def looped(tool: str, items: int) -> list[JSON]:
    """One step over a list of numbers."""
    return [{"id": 1, "tool": tool, "for_each": list(range(items)), "arguments": {"n": "{{item}}"}}]


def by_hand(tool: str, items: int) -> list[JSON]:
    """The same calls, each in a step."""
    return [{"id": 1 + n, "tool": tool, "arguments": {"n": n}} for n in range(items)]


@asynccontextmanager
async def serving(home: Path) -> AsyncGenerator[Runs]:
    """A journal, and a process that drives its runs."""
    settings = Settings(home=home, model="host")
    store = Store(SQLite(settings.database))
    store.database.hold()
    engine = Engine(store, Records(store.queries, TOOLS), Models(settings))
    runs = Runs(engine, Supervisor(engine), terms=Terms(max_items=max(SIZES)))
    try:
        async with runs.supervisor.serving():
            yield runs
    finally:
        store.close()


async def measured(steps: Sequence[JSON], items: int) -> float:
    """Milliseconds of processor time for each item."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder)) as runs:
            plan_id = await plans.save(runs, "g", "", steps)
            begun = time.process_time()
            run = await plans.start(runs, plan_id)
            while runs.queries.run(run.id).ended is None:
                await runs.watchers.changed(run.id, 5)
            spent = time.process_time() - begun
            assert runs.queries.run(run.id).state == "succeeded", runs.queries.run(run.id).error
    return spent * 1000 / items


async def main(sizes: Sequence[int]) -> None:
    """Print the table."""
    print("| items | loop, ms CPU an item | by hand | loop, each claims a file | by hand |")
    print("| --- | --- | --- | --- | --- |")
    for items in sizes:
        told = [
            await measured(form(tool, items), items) for tool in ("nothing", "claims") for form in (looped, by_hand)
        ]
        print(f"| {items:,} | " + " | ".join(f"{each:.2f}" for each in told) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    anyio.run(main, parser.parse_args().sizes)
