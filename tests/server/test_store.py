"""Writes are all or nothing, a late writer is fenced, and nobody is told a lie."""

import sqlite3
import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier

import anyio
import psycopg
import pytest
from tests.stores import Cluster, owned

from forethought.app import open_store
from forethought.journal.database import BrokenError, StaleError, Transaction
from forethought.journal.rows import Fact
from forethought.journal.sqlite import SQLite
from forethought.journal.store import Store
from forethought.settings import Settings
from forethought_tools import JSON, FencedError, StoreError

pytestmark = pytest.mark.anyio

STARTED: dict[str, JSON] = {"revision": 1, "budget": {}}


async def test_a_driver_that_has_lost_its_run_cannot_write_to_it(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [1]}
    await store.write("r", Fact("run_created", body))
    await store.write("r", Fact("run_claimed", {"owner": "b", "previous": "a", "oldest": 0}))
    with pytest.raises(FencedError):
        await store.write("r", Fact("step_started", {"step": 1, "arguments": {}}), epoch=1)
    assert store.queries.steps("r")[0].state == "pending"
    store.close()


async def test_one_refused_write_undoes_all_of_itself_and_none_of_its_neighbours(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {
        "plan": "p",
        "kind": "plan",
        "options": {},
        **STARTED,
        "owner": "a",
        "steps": [*range(1, 101)],
    }
    await store.write("r", Fact("run_created", body))
    refused = 0

    async def settle(step: int) -> None:
        nonlocal refused
        good = Fact("step_settled", {"step": step, "state": "succeeded", "result": step, "error": ""})
        bad = Fact("used", {"id": "message_of_nobody"})
        try:
            await store.write("r", *([good, bad] if step % 3 == 0 else [good]))
        except StaleError:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for step in range(1, 101):
            tasks.start_soon(settle, step)
    assert refused == 33
    assert store.queries.progress("r") == {"succeeded": 67, "pending": 33}
    assert len([e for e in store.queries.journal("r", limit=1000) if e.kind == "step_settled"]) == 67
    store.close()


async def test_what_cannot_be_recorded_is_refused_alone_and_nobody_is_told_a_lie(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    told: dict[str, str] = {}

    async def create(name: str, value: JSON) -> None:
        body: dict[str, JSON] = {"plan": name, "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [value]}
        try:
            await store.write(name, Fact("run_created", body))
            told[name] = "written"
        except StoreError:
            told[name] = "refused"

    async with anyio.create_task_group() as tasks:
        for name, value in (("a", 1), ("huge", 2**70), ("b", 2), ("c", 3)):
            tasks.start_soon(create, name, value)
    assert told["huge"] == "refused" or store.queries.steps("huge")
    assert {name for name, said in told.items() if said == "written"} == {run.id for run in store.queries.runs()}
    odd: dict[str, JSON] = {"plan": "p", "revision": 1, "goal": "a lone \ud800 surrogate", "body": {"name": "Gr\udcfc"}}
    await store.write("", Fact("plan_saved", odd))
    assert store.queries.plan("p").goal == "a lone ? surrogate"
    store.close()


async def test_what_could_not_be_written_is_told_to_everyone_and_the_next_write_goes_through(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [*range(9)]}
    await store.write("r", Fact("run_created", body))
    told: list[str] = []

    @contextmanager
    def full(runs: Collection[str]) -> Generator[Transaction]:
        with writing(runs) as transaction:
            yield transaction
            raise BrokenError("the disk is full")

    async def settle(step: int) -> None:
        fact = Fact("step_settled", {"step": step, "state": "succeeded", "result": step, "error": ""})
        try:
            await store.write("r", fact)
        except StoreError as error:
            told.append(str(error))

    writing = store.database.writing
    for disk in (full, writing):
        monkeypatch.setattr(store.database, "writing", disk)
        async with anyio.create_task_group() as tasks:
            for step in range(9):
                tasks.start_soon(settle, step)
        assert store.queries.progress("r") == {"pending" if disk is full else "succeeded": 9}
    assert len(told) == 9
    assert all("the disk is full" in each for each in told)
    store.close()


async def test_a_write_that_began_is_finished_though_its_caller_is_cancelled(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": []}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, "r", Fact("run_created", body))
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert store.queries.run("r").state == "running"
    store.close()


def test_secrets_are_kept_out_of_every_table(tmp_path: Path) -> None:
    store = Store(SQLite(tmp_path / "j.sqlite"), redact=lambda text: text.replace("hunter22", "[secret]"))
    body: dict[str, JSON] = {
        "plan": "p",
        "kind": "plan",
        "options": {"goal": "log in with hunter22"},
        **STARTED,
        "owner": "a",
        "steps": [1],
    }
    store.commit("r", Fact("run_created", body))
    store.commit("r", Fact("step_started", {"step": 1, "arguments": {"password": "hunter22"}}))
    store.close()
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"[secret]" in everything
    assert b"hunter22" not in everything


def test_threads_that_read_at_once_share_one_connection(postgres: Cluster, tmp_path: Path) -> None:
    url = postgres.create("shared")
    with closing(open_store(Settings(home=tmp_path, store=url))) as store, ThreadPoolExecutor(8) as threads:
        together = Barrier(8)

        def read(_: int) -> int:
            together.wait()
            return len(store.queries.runs())

        assert list(threads.map(read, range(8))) == [0] * 8
        with psycopg.connect(url) as connection:
            held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            assert connection.execute(held).fetchone() == (3,), "one that writes, one that reads, and this one"


def test_a_file_that_is_no_journal_or_a_newer_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database at all, but long enough to be read as one" * 20)
    before = broken.read_bytes()
    with pytest.raises(StoreError, match="cannot be opened as a journal"):
        SQLite(broken)
    assert broken.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    SQLite(newer).close()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA user_version=99")
        connection.commit()
    newer.chmod(0o640)
    others = tmp_path / "others.sqlite"
    with closing(sqlite3.connect(others)) as connection:
        connection.execute("CREATE TABLE plan (id)")
        connection.commit()
    for file, why in ((newer, "newer forethought"), (others, "another program")):
        before, mode = file.read_bytes(), file.stat().st_mode
        with pytest.raises(StoreError, match=why):
            SQLite(file)
        assert (file.read_bytes(), file.stat().st_mode) == (before, mode)


def test_opening_a_journal_waits_for_nobody(tmp_path: Path) -> None:
    SQLite(tmp_path / "j.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "j.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        SQLite(tmp_path / "j.sqlite").close()


async def test_two_processes_worth_of_stores_lose_no_write(make_settings: Callable[..., Settings]) -> None:
    first, second = open_store(make_settings()), open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [*range(60)]}
    await first.write("r", Fact("run_created", body))
    async with anyio.create_task_group() as tasks:
        for step in range(60):
            fact = Fact("step_settled", {"step": step, "state": "succeeded", "result": None, "error": ""})
            tasks.start_soon((first if step % 2 else second).write, "r", fact)
    assert first.queries.progress("r") == second.queries.progress("r") == {"succeeded": 60}
    first.close()
    second.close()


async def test_who_watches_hears_of_all_that_is_written_after_pruning(make_settings: Callable[..., Settings]) -> None:
    """Numbers of entries that were forgotten are never given again."""
    configured = make_settings()
    with owned(configured) as one, owned(configured) as two:
        for number in range(5):
            two.commit(f"run_{number}", _created(f"plan_{number}"))
            two.commit(f"run_{number}", _ended())
        with anyio.fail_after(60):
            while not await one.queries.changes(0.05):
                pass
        assert two.prune(time.time() + 1) == 5
        two.commit("run_new", _created("plan_new"))
        heard: set[str] = set()
        with anyio.fail_after(60):
            while "run_new" not in heard:
                heard |= set(await one.queries.changes(0.05))
        assert [entry.body["runs"] for entry in two.queries.journal("")] == [5]


async def test_a_driver_whose_write_was_refused_writes_nothing_more(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes after that would not follow from what is there. Whoever takes the run over can write."""
    with owned(make_settings()) as store:
        await store.write("run_1", _created("plan_1"))
        with monkeypatch.context() as broken:
            broken.setattr(store.database, "writing", _refusing)
            with pytest.raises(StoreError, match="the disk is full"):
                await store.write("run_1", Fact("step_waiting", {"step": 1}), epoch=1)
        with pytest.raises(StoreError, match="What came before"):
            await store.write("run_1", Fact("step_waiting", {"step": 2}), epoch=1)
        claim: dict[str, JSON] = {"owner": "owner_2", "previous": store.queries.run("run_1").owner, "oldest": 0.0}
        await store.write("run_1", Fact("run_claimed", claim))
        await store.write("run_1", Fact("step_waiting", {"step": 2}), epoch=2)
        assert [row.state for row in store.queries.steps("run_1")] == ["pending", "waiting"]


@contextmanager
def _refusing(_: Collection[str]) -> Generator[Transaction]:
    raise BrokenError("the disk is full")
    yield


def _created(plan: str) -> Fact:
    body: dict[str, JSON] = {"plan": plan, "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [1, 2]}
    return Fact("run_created", body)


def _ended() -> Fact:
    return Fact("run_ended", {"state": "succeeded", "error": "", "answer": "", "seconds": 0})
