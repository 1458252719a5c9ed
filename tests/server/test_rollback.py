"""What a run has written is undone byte for byte."""

import os
import random
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import approve, view
from tests.server.undoing import ran, tree, verdicts, write
from tests.serving import NEVER
from tests.stores import Cluster, everything_in

from forethought.app import open_store, pruned
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_a_run_is_undone_in_reverse_after_a_person_agrees(
    make_settings: Callable[..., Settings], work: Path, era: str
) -> None:
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    (work / "a.txt").chmod(0o640)
    before = tree(work)
    steps = [
        write(1, "a.txt", "one"),
        write(2, "a.txt", "two", after=1),
        write(3, "new/deep/b.txt", "x", after=2),
        {"id": 4, "tool": "run_command", "arguments": {"command": "true"}, "depends_on": [3]},
    ]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=agree) as client:
        run = await ran(client, steps)
        after = tree(work)
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        assert tree(work) == after, "a dry run changes nothing"
        done = view(await client.call_tool("rollback", {"run_id": run}))
        again = view(await client.call_tool("rollback", {"run_id": run}))
        assert tree(work) == before
        (work / "a.txt").write_text("since then", encoding="utf-8")
        (latest,) = (await client.read_resource(f"run://{run}")).contents
        nothing = await client.call_tool("rollback", {"run_id": run, "dry_run": True})
        step = await client.call_tool("rollback", {"run_id": run, "step": 2})
    assert verdicts(dry, "would_do") == [(3, "would be undone"), (2, "would be undone"), (1, "would be undone")]
    assert dry["cannot_be_undone"] == ["step 4 run_command"]
    assert done["status"] == "succeeded"
    assert verdicts(done) == [(3, "undone"), (2, "undone"), (1, "undone")]
    assert "put back the earlier content of a.txt" in asked[1]
    assert "cannot be undone: step 4 run_command" in asked[1]
    assert again == done, "asked once more it is the same rollback"
    assert len(asked) == 2
    assert f"{done['run_id']} (succeeded)" in str(latest)
    assert "Nothing is left to undo" in str(nothing.content)
    assert f"Step 2 of {run} was undone already" in str(step.content)


async def test_secrets_are_put_back_though_the_journal_never_saw_them(
    make_settings: Callable[..., Settings], work: Path, tmp_path: Path
) -> None:
    (work / "a.txt").write_text("key=sk-very-secret-1", encoding="utf-8")
    configured = make_settings(api_key="sk-very-secret-1")
    async with Client(build_server(configured), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "gone")])
        assert view(await client.call_tool("rollback", {"run_id": run}))["status"] == "succeeded"
    assert (work / "a.txt").read_text(encoding="utf-8") == "key=sk-very-secret-1"
    assert "sk-very-secret-1" not in everything_in(configured)
    (kept,) = (configured.home / "undo").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700 or os.name == "nt"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(["a", "b", "d/c", "d/e/f"]), st.sampled_from(["", "1", "2"])), min_size=1, max_size=6
    ),
    seed=st.integers(0, 10**6),
    fails=st.booleans(),
    meddles=st.booleans(),
)
@pytest.mark.takes(20)
async def test_whatever_was_written_the_tree_is_as_before(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    writes: list[tuple[str, str]],
    seed: int,
    fails: bool,
    meddles: bool,
) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "work-of-all"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("a", "d/c"):
        if chance.random() < 0.5:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(chance.randbytes(chance.randint(0, 5)))
            (folder / name).chmod(chance.choice([0o600, 0o644, 0o755]))
    before = tree(folder)
    steps = [write(n, path, text, after=n - 1 or None) for n, (path, text) in enumerate(writes, 1)]
    if fails:
        steps.append({"id": 99, "tool": "read_file", "arguments": {"path": "none"}, "depends_on": [len(writes)]})
    configured = make_settings(folders=(folder,), terms=NEVER)
    async with Client(build_server(configured), elicitation_callback=approve) as client:
        run = await ran(client, steps, "failed" if fails else "succeeded")
        meddled = chance.choice([path for path, _ in writes]) if meddles else ""
        if meddled:
            (folder / meddled).write_bytes(b"somebody else")
        done = view(await client.call_tool("rollback", {"run_id": run}))
    if meddled:
        assert (folder / meddled).read_bytes() == b"somebody else"
        assert done["status"] == "failed"
    else:
        assert tree(folder) == before
        assert done["status"] == "succeeded"


async def test_steps_that_write_the_same_file_at_once_are_undone_all_the_same(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """The plan says that they are independent; they never overlap, so each keeps what the one before has left."""
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(number, "a.txt", f"text {number}") for number in range(1, 9)])
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert tree(work) == before
    assert [verdict for _, verdict in verdicts(done)] == ["undone"] * 8


async def test_what_one_rollback_has_left_the_next_can_take_up(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one"), write(2, "b.txt", "two")])
        (work / "a.txt").write_text("mine", encoding="utf-8")
        first = view(await client.call_tool("rollback", {"run_id": run}))
        (work / "a.txt").write_text("one", encoding="utf-8")  # what was in the way is mended
        second = view(await client.call_tool("rollback", {"run_id": run}))
    assert sorted(verdicts(first)) == [(1, "conflict"), (2, "undone")]
    assert verdicts(second) == [(1, "undone")]
    assert tree(work) == before


KILLED = """
import hashlib, os, sys
from io import BytesIO
from pathlib import Path
from forethought_tools.held import held
from forethought_tools.writing import replace
setattr(os, {"fsync": "fsync", "rename": "replace"}[sys.argv[1]], lambda *_, **__: os.kill(os.getpid(), 9))
file = Path(sys.argv[2])
with held(file.parent) as folder:
    replace(folder, file.name, BytesIO(b"one"), hashlib.sha256(b"one").hexdigest())
"""


@pytest.mark.parametrize("at", ["fsync", "rename"])
@pytest.mark.parametrize("path", ["a.txt", "made/b.txt"])
async def test_a_server_that_is_killed_while_it_writes_leaves_nothing_behind(
    make_settings: Callable[..., Settings], work: Path, at: str, path: str
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, path, "one")])
        killed = await anyio.run_process([sys.executable, "-c", KILLED, at, str(work / path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(tree(work)) > len(before), "it was killed half-way"
        assert verdicts(view(await client.call_tool("rollback", {"run_id": run}))) == [(1, "undone")]
        assert tree(work) == before
        (work / "made").mkdir()
        await anyio.run_process([sys.executable, "-c", KILLED, at, str(work / path)], check=False)
        await ran(client, [write(1, path, "one")])
    assert {*tree(work)} == {*before, "made", path}


@pytest.mark.parametrize("name", ["f", "x" * 300])
async def test_folders_that_were_made_go_though_the_file_is_gone_or_never_was(
    make_settings: Callable[..., Settings], work: Path, name: str
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings(terms=NEVER)), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, f"n1/n2/{name}", "x")], "succeeded" if len(name) < 200 else "failed")
        shutil.rmtree(work / "n1" / "n2") if len(name) < 200 else None
        (work / "n1" / "n2").mkdir(exist_ok=True)
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(done) == [(1, "nothing to undo")]
    assert tree(work) == before


async def test_undoing_goes_by_the_order_of_the_calls_and_not_by_the_clock(
    make_settings: Callable[..., Settings], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, clock = tree(work), iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr("forethought.journal.store.time.time", lambda: float(next(clock)))
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one"), write(2, "a.txt", "two", after=1)])
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        monkeypatch.undo()
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == [(2, "would be undone"), (1, "would be undone")]
    assert done["status"] == "succeeded"
    assert tree(work) == before


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_folders_that_a_run_has_made_go_with_the_last_of_its_files(
    make_settings: Callable[..., Settings], work: Path, order: tuple[int, int]
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "new/deep/a.txt", "one"), write(2, "new/deep/b.txt", "two", after=1)])
        for step in order:
            assert verdicts(view(await client.call_tool("rollback", {"run_id": run, "step": step}))) == [
                (step, "undone")
            ]
    assert tree(work) == before


async def test_a_file_is_put_back_though_another_folder_has_one_of_its_name_by_now(
    make_settings: Callable[..., Settings], work: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    steps = [write(1, "a.txt", "one"), write(2, str(first / "a.txt"), "two", after=1)]
    async with Client(build_server(make_settings(folders=(first, work))), elicitation_callback=approve) as client:
        run = await ran(client, steps)
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(done) == [(2, "undone"), (1, "undone")]
    assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n"
    assert tree(first) == {}


async def test_pruning_one_journal_leaves_what_another_needs(postgres: Cluster, tmp_path: Path, work: Path) -> None:
    """They share a home: one names its database in the settings of a client, the other is what a terminal opens."""
    here = Settings(home=tmp_path / "home", folders=(work,), model="host")
    there = replace(here, store=postgres.create("undone"))
    before = tree(work)
    async with Client(build_server(there), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one")])
        for kept in (here.home / "undo").rglob("*"):
            os.utime(kept, (1, 1))
        with closing(open_store(here)) as store:
            pruned(store, here, 30)
        assert view(await client.call_tool("rollback", {"run_id": run}))["status"] == "succeeded"
    assert tree(work) == before
