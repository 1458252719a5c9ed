"""A person pauses, resumes and cancels a run from a terminal, while a server drives it, or while nobody does."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp.client import Client
from tests.server.asking import approve, view
from tests.serving import registry, runs_over, serving, until
from tests.stores import environment, owned

from forethought.app import open_store, tools_for
from forethought.engine.kinds import plan as plans
from forethought.gates.decisions import decision_facts
from forethought.journal.database import StaleError
from forethought.journal.rows import Fact
from forethought.models import Models
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision
from forethought_tools import JSON, Answerer, Registry, Risk, Tool

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
STEPS = [
    {"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects; until [ -e go ]; do :; done"}},
    {"id": 2, "tool": "write_file", "arguments": {"path": "done.txt", "content": "x"}, "depends_on": [1]},
]


async def forethought(configured: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in another process."""
    call = partial(
        subprocess.run, [COMMAND, *arguments], env=environment(configured), capture_output=True, text=True, timeout=300
    )
    return await anyio.to_thread.run_sync(call)


async def status(client: Client, plan: str, wanted: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        while (now := view(await client.call_tool("get_plan", {"plan_id": plan, "view": "full"})))["status"] != wanted:
            await anyio.lowlevel.checkpoint()
    return now


async def test_a_paused_run_drains_holds_and_goes_on(make_settings: Callable[..., Settings], work: Path) -> None:
    configured = make_settings()
    async with Client(build_server(configured), elicitation_callback=approve) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": STEPS}))["plan_id"]
        run, held = "", dict[str, Any]()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan})
            while not (work / "effects").exists():
                await anyio.lowlevel.checkpoint()
            run = (await status(client, plan, "running"))["run_id"]
            told = await forethought(configured, "pause", run)
            assert "once what is in flight has ended" in told.stdout, told.stderr
            (work / "go").touch()
            held = await status(client, plan, "paused")
        assert [step["state"] for step in held["steps"]] == ["succeeded", "pending"]
        assert f"forethought resume {run}" in held["next"]
        again = view(await client.call_tool("execute_plan", {"plan_id": plan, "again": "all"}))
        assert (again["run_id"], again["status"]) == (run, "paused"), "a model cannot let it go on"
        assert (await forethought(configured, "pause", run)).returncode == 1
        assert (await forethought(configured, "resume", run)).returncode == 0
        await status(client, plan, "succeeded")
        assert (await forethought(configured, "resume", run)).returncode == 1
    assert (work / "effects").read_text(encoding="utf-8") == "once\n"


async def test_what_waits_is_paused_at_once_and_keeps_its_questions(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    configured = make_settings()
    async with Client(build_server(configured)) as client:
        wanted = {"goal": "gold", "n_candidates": 2}
        waiting = view(await client.call_tool("lats_search", wanted))
        run = waiting["run_id"]
        assert "It is paused" in (await forethought(configured, "pause", run)).stdout
    async with Client(build_server(configured)) as client:
        held = view(await client.call_tool("report", {"run_id": run, "answers": []}))
        assert held["status"] == "paused"
        assert (await forethought(configured, "resume", run)).returncode == 0
        with anyio.fail_after(60):
            while (now := view(await client.call_tool("report", {"run_id": run, "answers": []})))[
                "status"
            ] != "waiting":
                await anyio.lowlevel.checkpoint()
        assert now["waiting_on"] == waiting["waiting_on"]
        assert (await forethought(configured, "pause", run)).returncode == 0
        assert (await forethought(configured, "cancel", run)).returncode == 0
        with anyio.fail_after(60):
            while view(await client.call_tool("report", {"run_id": run, "answers": []}))["status"] != "cancelled":
                await anyio.lowlevel.checkpoint()
    assert (await forethought(configured, "cancel", run)).returncode == 1


async def test_a_call_that_cannot_be_cut_off_is_waited_for_and_recorded(make_settings: Callable[..., Settings]) -> None:
    """A thread cannot be stopped: what it has done by then must not be forgotten, nor called in doubt."""
    begun, go_on = threading.Event(), threading.Event()
    sent: list[Mapping[str, JSON]] = []

    async def send(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        def deliver() -> None:
            begun.set()
            go_on.wait(60)
            sent.append(arguments)

        await anyio.to_thread.run_sync(deliver)
        return "sent"

    tools = Registry([Tool("send", "", {"type": "object"}, send, Risk.LOW)])
    configured = make_settings()
    with owned(configured) as store:
        runs = runs_over(store, tools, Models(configured))
        async with runs.supervisor.serving():
            run = await plans.start(runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "send"}]))
            await anyio.to_thread.run_sync(begun.wait, 60)
            await runs.stop(run.id)
            go_on.set()
            with anyio.fail_after(60):
                while store.queries.run(run.id).ended is None:
                    await runs.watchers.changed(run.id, 0.05)
        (step,) = store.queries.steps(run.id)
        assert store.queries.run(run.id).state == "cancelled"
    assert len(sent) == 1
    assert (step.state, step.result) == ("succeeded", "sent")


async def test_a_run_that_is_being_stopped_is_not_paused(make_settings: Callable[..., Settings]) -> None:
    with closing(open_store(make_settings())) as store:
        body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, "revision": 1, "budget": {}, "owner": "a"}
        store.commit("run_1", Fact("run_created", {**body, "steps": []}), Fact("stop_asked"))
        with pytest.raises(StaleError):
            store.commit("run_1", Fact("pause_asked"))


async def test_a_run_can_be_cancelled_where_its_folders_are_not_granted(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "a.txt"}}]
    async with Client(build_server(make_settings())) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        run = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    (tmp_path / "other").mkdir()
    async with Client(build_server(make_settings(folders=(tmp_path / "other",)))) as client:
        await client.call_tool("stop", {"run_id": run["run_id"]})
        with anyio.fail_after(60):
            while "cancelled" not in str(await client.read_resource(f"run://{run['run_id']}")):
                await client.list_tools()


async def test_a_run_that_waits_for_money_is_in_nobodys_way(make_settings: Callable[..., Settings], work: Path) -> None:
    write = {"id": 1, "tool": "write_file", "arguments": {"path": "b.txt", "content": "x"}}
    change = {"id": 2, "tool": "write_file", "arguments": {"path": "a.txt", "content": "x"}, "depends_on": [1]}
    read = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}

    async with Client(build_server(make_settings())) as client:

        async def executed(*steps: dict[str, Any], **terms: Any) -> dict[str, Any]:
            plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": list(steps)}))
            return view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], **terms}))

        with anyio.fail_after(60):
            assert (await executed(write, change, budget={"tool_calls": 1}))["status"] == "waiting"
            assert (await executed(read))["status"] == "succeeded"


async def test_a_rollback_that_was_approved_elsewhere_goes_on_with_the_command_that_is_shown(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    configured = make_settings()
    write = {"id": 1, "tool": "write_file", "arguments": {"path": "b.txt", "content": "x"}}
    async with Client(build_server(configured)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [write]}))
        done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        waits = view(await client.call_tool("rollback", {"run_id": done["run_id"]}))
    assert waits["status"] == "waiting"
    with closing(open_store(configured)) as store:
        (gate,) = store.queries.open_messages(waits["run_id"], "gate")
        decision = Decision("approve", by="p", channel="test")
        store.commit(waits["run_id"], *decision_facts(gate, decision, tools_for(configured)))
    went_on = await forethought(configured, "run", "--resume", waits["run_id"], "--folder", str(work))
    assert went_on.returncode == 0, went_on.stderr
    assert "undone: delete b.txt" in went_on.stdout
    assert not (work / "b.txt").exists()


class Post:
    """Tools that claim nothing: one is in flight until it is let go, and one posts, where a person agrees."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.let_go = anyio.Event()
        anything: dict[str, JSON] = {"type": "object"}
        self.tools = Registry(
            [Tool("slow", "", anything, self._slow, Risk.LOW), Tool("post", "", anything, self._post, Risk.HIGH)]
        )

    async def _slow(self, _: Mapping[str, JSON], __: Answerer) -> JSON:
        await self.let_go.wait()
        return None

    async def _post(self, _: Mapping[str, JSON], __: Answerer) -> JSON:
        self.done.append("post")
        return None


async def test_a_pause_holds_calls_that_are_in_nobodys_way(make_settings: Callable[..., Settings]) -> None:
    post = Post()
    async with serving(make_settings(), post.tools) as runs:
        store = runs.store
        run = (
            await plans.start(
                runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "slow"}, {"id": 2, "tool": "post"}])
            )
        ).id
        await until(runs, run, lambda: bool(store.queries.open_messages(run)))
        (gate,) = store.queries.open_messages(run)
        await store.write(run, Fact("pause_asked"))
        await runs.decide(gate, Decision("approve", by="p", channel="test"))
        await until(runs, run, lambda: store.queries.message(gate.id).state == "used")
        post.let_go.set()
        await until(runs, run, lambda: store.queries.run(run).state == "paused")
        assert post.done == []
        await store.write(run, Fact("resume_asked"))
        await runs.supervisor.ensure_driven(run)
        await until(runs, run, lambda: store.queries.run(run).ended is not None)
        assert store.queries.run(run).state == "succeeded"
    assert post.done == ["post"]


@pytest.mark.parametrize("paused", [False, True])
async def test_cancel_in_a_gate_ends_the_run_before_anything_else_begins(
    make_settings: Callable[..., Settings], *, paused: bool
) -> None:
    post = Post()
    configured = make_settings(terms=Terms(max_parallel=1))
    async with serving(configured, post.tools) as runs:
        run = (await plans.start(runs, await plans.save(runs, "g", "", [{"id": n, "tool": "post"} for n in (1, 2)]))).id
        await until(
            runs, run, lambda: len(runs.queries.open_messages(run)) == 2 and runs.queries.run(run).owner is None
        )
        one, two = runs.queries.open_messages(run)
    with owned(configured) as store:
        if paused:
            store.commit(run, Fact("pause_asked"))
        store.commit(run, *decision_facts(one, Decision("approve", by="p", channel="test"), post.tools))
        store.commit(
            run, *decision_facts(two, Decision("cancel", reason="no more", by="p", channel="test"), post.tools)
        )
        assert store.queries.open_messages(run) == []
    async with serving(configured, post.tools) as runs:
        await until(runs, run, lambda: runs.queries.run(run).ended is not None)
        ended = runs.queries.run(run)
        assert [row.state for row in runs.queries.steps(run)] == ["skipped", "skipped"]
    assert (ended.state, ended.error) == ("cancelled", "Cancelled by a person. no more")
    assert post.done == []


async def test_what_a_check_was_calling_when_its_run_was_stopped_is_in_doubt(
    make_settings: Callable[..., Settings],
) -> None:
    begun = anyio.Event()

    async def hang(_: Mapping[str, JSON], __: Answerer) -> JSON:
        begun.set()
        await anyio.sleep(3600)
        return None

    tools = Registry([*registry(), Tool("probe", "", {"type": "object"}, hang, Risk.LOW)])
    checked: JSON = {"id": 1, "tool": "good", "check": {"tool": "probe", "matches": "fine"}}
    async with serving(make_settings(), tools) as runs:
        run = (await plans.start(runs, await plans.save(runs, "g", "", [checked]))).id
        with anyio.fail_after(60):
            await begun.wait()
        await runs.stop(run)
        await until(runs, run, lambda: runs.queries.run(run).ended is not None)
        (step,) = runs.queries.steps(run)
    assert step.state == "in_doubt"
    assert step.error.startswith("probe: the call was cut off")
