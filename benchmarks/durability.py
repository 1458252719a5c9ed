"""What durability costs: a step over one bare commit of the same SQLite, taking over, and waiting runs.

Told twice: all that a recorded step takes, with our own work in it, and how much more that is than over the same
journal where it does not wait for the disk. Everything is on disk (`synchronous=FULL`) before it is acted on. Rounds
are interleaved; trust the ratios.
"""

import argparse
import resource
import sqlite3
import statistics
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
from forethought.journal.rows import Fact
from forethought.journal.sqlite import SQLite
from forethought.journal.store import Store
from forethought.models import Models
from forethought.settings import Settings
from forethought_tools import JSON, Answerer, Registry, Risk, Tool


async def nothing(_: Mapping[str, JSON], __: Answerer) -> JSON:
    """Do no work."""
    return None


TOOLS = Registry(
    Tool(name, "", {"type": "object"}, nothing, risk, repeatable=True)
    for name, risk in (("nothing", Risk.LOW), ("risky", Risk.HIGH))
)


class Forgetful(SQLite):
    """The same journal, which does not wait for the disk: no power loss is survived."""

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA synchronous=OFF")
        return connection


@asynccontextmanager
async def serving(home: Path, kind: type[SQLite] = SQLite) -> AsyncGenerator[Runs]:
    """A journal, and a process that drives its runs."""
    settings = Settings(home=home, model="host")
    store = Store(kind(settings.database))
    store.database.hold()
    engine = Engine(store, Records(store.queries, TOOLS), Models(settings))
    runs = Runs(engine, Supervisor(engine))
    try:
        async with runs.supervisor.serving():
            yield runs
    finally:
        store.close()


async def finished(runs: Runs, run_ids: Sequence[str]) -> None:
    """Wait until all have ended."""
    for run_id in run_ids:
        while runs.queries.run(run_id).ended is None:
            await runs.watchers.changed(run_id, 0.05)
            await anyio.sleep(0.02)  # as whoever watches does


def chain(size: int) -> list[JSON]:
    """One step after the other."""
    return [{"id": n, "tool": "nothing", "depends_on": [n - 1] if n > 1 else []} for n in range(1, size + 1)]


def fan_out(size: int) -> list[JSON]:
    """All steps at once."""
    return [{"id": n, "tool": "nothing"} for n in range(1, size + 1)]


async def steps(home: Path, plan: list[JSON], kind: type[SQLite] = SQLite) -> float:
    """Seconds a step."""
    async with serving(home, kind) as runs:
        plan_id = await plans.save(runs, "g", "", plan)
        started = time.perf_counter()
        await finished(runs, [(await plans.start(runs, plan_id)).id])
        return (time.perf_counter() - started) / len(plan)


def bare(home: Path, count: int) -> float:
    """Seconds for one commit of one row."""
    connection = sqlite3.connect(home / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body TEXT)")
    started = time.perf_counter()
    for n in range(count):
        connection.execute("INSERT INTO row VALUES (?, ?)", (n, "x" * 200))
    took = (time.perf_counter() - started) / count
    connection.close()
    return took


async def recovery(home: Path, count: int) -> float:
    """Seconds until runs that a dead process has left behind have ended, nobody asking for them."""
    async with serving(home) as runs:
        saved = [await plans.save(runs, "g", "", chain(20)) for _ in range(count)]
    store = Store(SQLite(Settings(home=home).database))
    for n, plan_id in enumerate(saved):
        body: dict[str, JSON] = {
            "plan": plan_id,
            "kind": "plan",
            "revision": 1,
            "owner": "owner_dead",
            "budget": {},
            "steps": list(range(1, 21)),
            "options": {"goal": "g", "folders": [], "terms": {}},
        }
        store.commit(f"run_{n}", Fact("run_created", body))
        for step in range(1, 11):
            settled: dict[str, JSON] = {"step": step, "state": "succeeded", "result": None, "error": ""}
            store.commit(f"run_{n}", Fact("step_settled", settled))
    store.close()
    started = time.perf_counter()
    async with serving(home) as runs:
        await finished(runs, [f"run_{n}" for n in range(count)])
    return time.perf_counter() - started


def resident() -> float:
    """Megabytes of this process in memory; Linux tells."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def waiting(home: Path, count: int) -> float:
    """Megabytes that so many runs add to a process while each waits for a person."""
    async with serving(home) as runs:
        before = resident()
        for _ in range(count):
            plan_id = await plans.save(runs, "g", "", [{"id": 1, "tool": "risky"}])
            run_id = (await plans.start(runs, plan_id)).id
            while runs.queries.run(run_id).state != "waiting":
                await runs.watchers.changed(run_id, 0.05)
        return resident() - before


async def compare(rounds: int) -> None:
    """Print the table."""
    plans = {"chain of 200": chain(200), "fan-out of 2,000": fan_out(2000)}
    whole: dict[str, list[float]] = {name: [] for name in plans}
    durability: dict[str, list[float]] = {name: [] for name in plans}
    commits: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            commits.append(commit := bare(home, 200))
            for name, plan in plans.items():
                durable = await steps(home / name, plan)
                forgetful = await steps(home / f"{name}, forgetful", plan, Forgetful)
                whole[name].append(durable / commit)
                durability[name].append((durable - forgetful) / commit)
    print(f"One bare commit: {statistics.median(commits) * 1000:.2f} ms\n")
    print("| a recorded step over one bare commit | all of it | worst | for durability | worst |")
    print("| --- | --- | --- | --- | --- |")
    for name in plans:
        told = [f"{figure(each[name]):.2f}" for each in (whole, durability) for figure in (statistics.median, max)]
        print(f"| {name} | {' | '.join(told)} |")
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"\n100 interrupted runs, 10 of 20 steps left each: {await recovery(Path(folder), 100):.1f} s to their end"
        )
    with tempfile.TemporaryDirectory() as folder:
        print(f"1,000 runs that wait for a person: {await waiting(Path(folder), 1000):.1f} MB more in memory")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    anyio.run(compare, options.parse_args().rounds)


if __name__ == "__main__":
    main()
