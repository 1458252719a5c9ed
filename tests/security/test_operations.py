"""A run that hangs or kills its server does not do the same to the next one; everybody else's servers go on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import view
from tests.stores import COMMAND, environment, owned

from forethought.engine.deaths import died_twice
from forethought.journal.audit import fault
from forethought.journal.rows import OPEN, Fact, RunRow
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

SERVER = """
import sys, time
from dataclasses import replace
from pathlib import Path

import anyio
from forethought import app
from forethought.engine.kinds import plan as plans
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_tools import Limits, Registry, Risk, Tool

home, work, store, calm, *steps = sys.argv[1:]
poison = Path(work) / "poison"


async def look(arguments, ask):
    print("in the call", flush=True)
    if poison.exists():
        time.sleep(3600)  # the whole process hangs, and not only this call
    while Path(work, "slow").exists():
        await anyio.sleep(0.05)
    return "seen"


async def main():
    settings = Settings(home=Path(home), folders=(Path(work),), model="host", store=store or None)
    anything = {"type": "object"}
    look_around = Tool("look", "", anything, look, Risk.LOW, reads_only=True, repeatable=True)
    fine = replace(look_around, name="fine", run=seen)
    app.tools_for = lambda *_: Registry([look_around, fine])
    async with app.open_app(settings) as here:
        if steps:
            plan = await plans.save(here.runs, "g", "", __import__("json").loads(steps[0]))
            await plans.start(here.runs, plan, Terms(replan="never"))
        print("up", flush=True)
        if calm:
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        await anyio.sleep_forever() if not calm else None


async def seen(arguments, ask):
    return "seen"

anyio.run(main)
"""
IN_A_STEP = '[{"id": 1, "tool": "fine"}, {"id": 2, "tool": "look", "depends_on": [1]}]'
IN_A_CHECK = '[{"id": 1, "tool": "fine", "check": {"tool": "look", "matches": "seen"}}]'


def _server(settings: Settings, *, steps: str = "", calm: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SERVER, str(settings.home), str(settings.folders[0]), settings.store or ""]
    return subprocess.Popen(
        [*command, "calm" if calm else "", *([steps] if steps else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORETHOUGHT_HOME": str(settings.home)},
    )


def _until(server: "subprocess.Popen[str]", line: str) -> None:
    assert server.stdout
    for said in server.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"the server has ended, and never said {line!r}")


def _killed_in_the_call(settings: Settings, steps: str = "") -> None:
    """A server that begins, or takes over, and is killed once it hangs."""
    with _server(settings, steps=steps) as server:
        _until(server, "in the call")
        server.send_signal(signal.SIGKILL)


async def _hung_twice(settings: Settings, work: Path, steps: str = IN_A_STEP) -> RunRow:
    """A run that has hung the server that began it, and the one that took it over."""
    (work / "poison").touch()
    await anyio.to_thread.run_sync(_killed_in_the_call, settings, steps)
    await anyio.to_thread.run_sync(_killed_in_the_call, settings)
    return await anyio.to_thread.run_sync(_the_run, settings)


def _the_run(settings: Settings) -> RunRow:
    with owned(settings) as store:
        return store.queries.runs(limit=1)[0]


async def _ended(settings: Settings) -> RunRow:
    with anyio.fail_after(60):
        while (run := await anyio.to_thread.run_sync(_the_run, settings)).state in OPEN:
            await anyio.lowlevel.checkpoint()
    return run


def _forethought(settings: Settings, *words: str) -> str:
    done = subprocess.run([COMMAND, *words], env=environment(settings), capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("steps", [IN_A_STEP, IN_A_CHECK])
async def test_a_run_that_has_hung_two_servers_is_not_resumed_by_a_third_until_a_person_says_so(
    make_settings: Callable[..., Settings], work: Path, steps: str
) -> None:
    settings = make_settings()
    run = await _hung_twice(settings, work, steps)
    (work / "poison").unlink()
    async with Client(build_server(settings)) as client:  # it answers
        told = view(await client.call_tool("report", {"run_id": run.id, "answers": []}))
        assert told["status"] == "waiting"
        assert "died twice" in told["error"]
        assert f"forethought resume {run.id}" in told["next"]
        assert f"forethought cancel {run.id}" in told["next"]
        assert (await anyio.to_thread.run_sync(_the_run, settings)).epoch == run.epoch, "nobody has taken it"
        assert "not resumed" in await anyio.to_thread.run_sync(_forethought, settings, "runs")
    with _server(settings, calm=True) as server:
        await anyio.to_thread.run_sync(_until, server, "up")
        await anyio.to_thread.run_sync(_forethought, settings, "resume", run.id)
        assert (await _ended(settings)).state == "succeeded"
        server.communicate()
    with owned(settings) as store:
        assert not fault(store.queries, run.id)


async def test_a_run_that_has_hung_two_servers_can_be_cancelled_and_hangs_nobody_more(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings()
    run = await _hung_twice(settings, work)
    await anyio.to_thread.run_sync(_forethought, settings, "cancel", run.id)
    with _server(settings, calm=True) as server:
        await anyio.to_thread.run_sync(_until, server, "up")
        assert (await _ended(settings)).state == "cancelled"
        server.communicate()


async def test_each_word_of_a_person_lets_one_more_server_try(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings()
    run = await _hung_twice(settings, work)
    await anyio.to_thread.run_sync(_forethought, settings, "resume", run.id)
    await anyio.to_thread.run_sync(_killed_in_the_call, settings)
    with owned(settings) as store:
        assert died_twice(store.queries, store.queries.run(run.id))


async def test_servers_that_end_in_good_order_are_no_deaths(make_settings: Callable[..., Settings], work: Path) -> None:
    settings = make_settings()
    (work / "slow").touch()
    steps = IN_A_STEP
    for _ in range(3):
        with _server(settings, steps=steps, calm=True) as server:
            await anyio.to_thread.run_sync(_until, server, "in the call")
            server.communicate()
        steps = ""
    (work / "slow").unlink()
    with _server(settings, calm=True) as server:
        assert (await _ended(settings)).state == "succeeded"
        server.communicate()


DEAD = {"revision": 1, "budget": {}, "plan": "", "kind": "plan", "options": {"goal": "g"}, "steps": [1, 2]}


@pytest.mark.parametrize(
    ("since", "aside"),
    [
        ([], True),
        ([Fact("step_started", {"step": 1, "arguments": {}})], True),
        ([Fact("step_started", {"step": 2, "arguments": {}})], False),
        ([Fact("step_settled", {"step": 1, "state": "succeeded", "result": 1, "error": ""})], False),
        ([Fact("run_left")], False),
        ([Fact("drive_asked")], False),
        ([Fact("stop_asked")], False),
        ([Fact("pause_asked")], True),
    ],
)
async def test_only_what_is_new_counts_as_getting_further(
    make_settings: Callable[..., Settings], since: list[Fact], aside: bool
) -> None:
    with owned(make_settings()) as store:
        started = Fact("step_started", {"step": 1, "arguments": {}})
        created: dict[str, Any] = {**DEAD, "owner": "owner_a"}
        await store.write("run_1", Fact("run_created", created), started)
        assert not died_twice(store.queries, store.queries.run("run_1")), "it died once"
        claim: dict[str, Any] = {"owner": "owner_b", "previous": "owner_a", "oldest": 0}
        await store.write("run_1", Fact("run_claimed", claim), *since)
        assert died_twice(store.queries, store.queries.run("run_1")) is aside
