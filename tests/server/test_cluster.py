"""Several servers over one journal: whatever waits can be answered through any of them, and all hear of it."""

import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import anyio
import psycopg
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view
from tests.stores import COMMAND, Cluster, environment

from forethought.app import open_app, open_store
from forethought.engine.cluster import Cluster as Servers
from forethought.engine.kinds import plan as plans
from forethought.journal.postgres import Postgres
from forethought.settings import Settings

pytestmark = pytest.mark.anyio


def server(settings: Settings, work: Path, name: str = "") -> StdioServerParameters:
    """`name` tells its process from others."""
    script = settings.home.with_name(f"{settings.home.name}-{name}.json")
    script.write_text("{}", encoding="utf-8")
    arguments = ["serve", "--folder", str(work), "--model", f"scripted:{script}" if name else "host"]
    return StdioServerParameters(command=COMMAND, args=arguments, env=environment(settings))


def waits(count: int, seconds: float) -> list[dict[str, Any]]:
    """Steps that do nothing, one after the other."""
    return [
        {"id": n, "tool": "wait", "arguments": {"seconds": seconds}, "depends_on": [n - 1] if n > 1 else []}
        for n in range(1, count + 1)
    ]


async def planned(client: Client, *steps: dict[str, Any]) -> str:
    return str(view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"])


async def until_step(client: Client, plan_id: str, state: str) -> None:
    with anyio.fail_after(60):
        while state not in str(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "list"})):
            await client.list_tools()


async def test_what_waits_is_answered_through_any_server_and_all_hear_of_it(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    here = server(make_settings(), work)
    async with (
        Client(here, mode="2026-07-28") as one,
        Client(here, mode="2026-07-28", elicitation_callback=approve) as two,
    ):
        asks = {"id": 1, "tool": "analyze", "arguments": {"question": "?"}}
        risky = {"id": 2, "tool": "delete_file", "arguments": {"path": "old.txt"}, "depends_on": [1]}
        plan_id = await planned(one, asks, risky)
        with anyio.fail_after(60):
            waiting = view(await one.call_tool("execute_plan", {"plan_id": plan_id}))
            async with one.listen(resource_subscriptions=[f"run://{waiting['run_id']}"]) as events:
                answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "ok"}]
                done = view(await two.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
                async for event in events:
                    assert waiting["run_id"] in str(event)
                    break
            assert done["status"] == "succeeded", done
            assert view(await one.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"
        async with two.listen(resource_subscriptions=["forethought://index"]) as events:
            await planned(one, asks)
            with anyio.fail_after(60):
                async for event in events:
                    assert "forethought://index" in str(event)
                    break
    assert not (work / "old.txt").exists()


@pytest.mark.takes(9)
async def test_the_runs_of_a_server_that_was_killed_go_on_elsewhere_within_seconds(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    here = server(make_settings(), work)
    async with Client(here) as two:
        plan_id = await planned(two, *waits(8, 0.3))
        with suppress(BaseExceptionGroup):  # the connection is gone, as it should be
            async with Client(server(make_settings(), work, "first")) as one:
                await one.call_tool("get_plan", {"plan_id": plan_id})  # it has opened
                with anyio.move_on_after(0.5):
                    await one.call_tool("execute_plan", {"plan_id": plan_id})
                await until_step(one, plan_id, "running")
                await anyio.to_thread.run_sync(subprocess.run, ["pkill", "-KILL", "-f", f"{work}.*first"])
        with anyio.fail_after(30):  # nobody asks for it: this only looks
            while view(await two.call_tool("get_plan", {"plan_id": plan_id}))["status"] != "succeeded":
                await two.list_tools()
    with closing(open_store(make_settings())) as store:
        (run,) = store.queries.runs(plan=plan_id)
        settled = [entry.body["step"] for entry in store.queries.journal(run.id) if entry.kind == "step_settled"]
    assert settled == [*range(1, 9)]


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    """A PostgreSQL that a test may stop."""
    with Cluster.running(tmp_path / "template") as cluster:
        yield cluster


@pytest.mark.takes(10)
async def test_a_database_that_is_started_anew_stops_nobody(cluster: Cluster, tmp_path: Path, work: Path) -> None:
    settings = Settings(home=tmp_path / "home", store=cluster.create("restarted"))
    async with Client(server(settings, work)) as client:
        plan_id = await planned(client, *waits(6, 0.5))
        with anyio.move_on_after(0.5):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
        await until_step(client, plan_id, "running")
        await anyio.to_thread.run_sync(cluster.stop)
        down = await client.call_tool("get_plan", {"plan_id": plan_id})
        assert down.is_error
        assert "could not be read" in str(down.content)
        await anyio.to_thread.run_sync(cluster.start)
        with anyio.fail_after(120):  # the queue waits longer each time that it finds nobody
            while view(await client.call_tool("get_plan", {"plan_id": plan_id}))["status"] != "succeeded":
                await client.list_tools()


async def test_a_server_that_is_left_at_once_loses_no_record(
    make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """DBOS cancels what it has begun. What is being recorded just then is recorded, for all who wait for it."""
    settings = make_settings()
    for _ in range(3):
        async with open_app(settings) as app:
            runs = [await plans.start(app.runs, await plans.save(app.runs, "g", "", waits(3, 0))) for _ in range(12)]
            with anyio.fail_after(60):
                while not any(app.runs.queries.journal(run.id)[1:] for run in runs):
                    await app.runs.watchers.changed(runs[0].id, 0.01)
    assert "stops here" not in caplog.text


async def test_a_server_is_left_though_a_worker_of_its_queue_is_only_being_started(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, store=postgres.create("left_at_once"))
    listed, starting = threading.enumerate, threading.Thread(name="queue-worker-late")

    async def activate(run_id: str) -> None:
        raise AssertionError(run_id)

    with closing(open_store(settings)) as store:
        with anyio.fail_after(60):
            async with Servers(str(settings.store), cast("Postgres", store.database), []).joined(activate):
                monkeypatch.setattr(threading, "enumerate", lambda: [*listed(), starting])
    assert not [thread for thread in listed() if thread.name.startswith("queue-worker-")]


async def test_what_dbos_cancels_goes_on_until_the_server_itself_ends_it(postgres: Cluster, tmp_path: Path) -> None:
    """Two that cancel the same task from two threads get in each other's way."""
    settings = Settings(home=tmp_path, store=postgres.create("cancelled"))
    said: list[str] = []
    begun, cancelled, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def activate(run_id: str) -> None:
        try:
            begun.set()
            await cancelled.wait()
            said.append("went on")
            ended.set()
            await anyio.sleep_forever()
        finally:
            said.append("cut off")

    with closing(open_store(settings)) as store:
        servers = Servers(str(settings.store), cast("Postgres", store.database), [])
        with anyio.fail_after(60):
            async with servers.joined(activate):
                with start_blocking_portal() as dbos:
                    driven = dbos.start_task_soon(servers.drive, "a run")
                    await begun.wait()
                    driven.cancel()
                await anyio.wait_all_tasks_blocked()
                cancelled.set()
                await ended.wait()
    assert said == ["went on", "cut off"]


async def test_what_an_activation_offers_is_no_part_of_its_workflow(postgres: Cluster, tmp_path: Path) -> None:
    """DBOS refuses a child of a workflow that has ended, and a run that steps aside is offered just then."""
    settings = Settings(home=tmp_path, store=postgres.create("offered"))
    offered = anyio.Event()

    async def activate(run_id: str) -> None:
        if run_id == "first":
            await servers.offer("second")
            await offered.wait()
        else:
            offered.set()
            await anyio.sleep_forever()

    with closing(open_store(settings)) as store:
        servers = Servers(str(settings.store), cast("Postgres", store.database), [])
        with anyio.fail_after(60):
            async with servers.joined(activate):
                await servers.offer("first")
                await offered.wait()
                with psycopg.connect(str(settings.store)) as connection:
                    found = connection.execute("SELECT parent_workflow_id FROM forethought_dbos.workflow_status")
                    assert {parent for (parent,) in found} == {None}


@pytest.mark.takes(15)
async def test_servers_with_another_home_are_refused(postgres: Cluster, tmp_path: Path, work: Path) -> None:
    """What it takes to undo lies in the home, and the key that seals questions."""
    store = postgres.create("homes")
    said: list[str] = []
    for home in ("one", "two"):
        async with Client(server(Settings(home=tmp_path / home, store=store), work)) as client:
            said.append(str((await client.call_tool("get_plan", {})).content))
    assert "FORETHOUGHT_HOME" not in said[0]
    assert "FORETHOUGHT_HOME: the other servers of" in said[1]
    assert "Traceback" not in said[1]


def test_a_database_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    env = environment(Settings(home=tmp_path, store="postgresql://me:hunter22hunter22@127.0.0.1:9/none"))
    ran = subprocess.run([COMMAND, "runs"], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 1
    assert "FORETHOUGHT_STORE: the database cannot be used" in ran.stderr
    assert "hunter22" not in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
