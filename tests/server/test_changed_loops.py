"""A loop that is changed while its run is open: what has begun of it stays, and nobody loses an item by it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import APPROVE, in_full, person, view
from tests.serving import NEVER, good, registry, runs_over
from tests.stores import owned

from forethought.engine.changing import change
from forethought.engine.kinds import plan as plans
from forethought.engine.runs import Runs
from forethought.journal.audit import fault
from forethought.journal.rows import Fact
from forethought.journal.store import Store
from forethought.models import Models
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import JSON, Answerer, PlanError, Registry, Risk, Tool

pytestmark = pytest.mark.anyio


@pytest.fixture
def make_settings(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """On a busy machine a step takes longer than a client waits in silence."""
    return partial(make_settings, silence=600.0)


LOOP: dict[str, Any] = {"id": 1, "tool": "good", "for_each": ["a", "b"], "arguments": {"it": "{{item}}"}}
FEWER: dict[str, Any] = {**LOOP, "for_each": ["c"]}


class Interrupted(Store):
    """A journal into which somebody else writes just before one kind of fact is written."""

    kind = ""

    def __init__(self, store: Store, first: Callable[[], Awaitable[object]]) -> None:
        super().__init__(store.database)
        self._first: Callable[[], Awaitable[object]] | None = first

    async def write(self, run: str, *facts: Fact, epoch: int | None = None) -> None:
        if self._first and any(fact.kind == self.kind for fact in facts):
            first, self._first = self._first, None
            await first()
        await super().write(run, *facts, epoch=epoch)


class BeforeItems(Interrupted):
    kind = "step_added"


class BeforeTheChange(Interrupted):
    kind = "run_changed"


async def until_ended(runs: Runs, run_id: str) -> None:
    with anyio.fail_after(120):
        while runs.queries.run(run_id).ended is None:
            await runs.watchers.changed(run_id, 0.05)
    assert fault(runs.queries, run_id) is None


async def test_a_loop_that_unfolds_while_its_plan_is_changed_is_done_as_the_change_says(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    with owned(settings) as store:

        async def somebody_changes_it() -> None:
            (run,) = runs.queries.runs()
            await change(runs, run.plan, 1, steps=[FEWER, {"id": 2, "tool": "good", "arguments": {"all": "{{1}}"}}])

        runs = runs_over(BeforeItems(store, somebody_changes_it), registry(), Models(settings), NEVER)
        async with runs.supervisor.serving():
            run = await plans.start(runs, await plans.save(runs, "g", "", [LOOP]))
            await until_ended(runs, run.id)
        assert runs.queries.run(run.id).state == "succeeded", runs.queries.run(run.id).error
        results = {row.id: row.result for row in runs.queries.steps(run.id) if not row.dropped}
        assert results[1] == [{"got": {"it": "c"}}]
        assert results[2] == {"got": {"all": [{"got": {"it": "c"}}]}}


async def test_a_change_that_comes_while_a_loop_unfolds_sees_that_its_items_have_begun(
    make_settings: Callable[..., Settings],
) -> None:
    settings, unfolds, begun, goes_on = make_settings(), anyio.Event(), anyio.Event(), anyio.Event()

    async def gate(_: Mapping[str, JSON], __: Answerer) -> JSON:
        await unfolds.wait()
        return "now"

    async def slow(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        begun.set()
        await goes_on.wait()
        return await good(arguments, ask)

    async def it_unfolds() -> None:
        unfolds.set()
        await begun.wait()

    anything: dict[str, JSON] = {"type": "object"}
    tools = Registry(
        [
            Tool("gate", "", anything, gate, Risk.LOW, repeatable=True),
            Tool("slow", "", anything, slow, Risk.LOW, repeatable=True),
        ]
    )
    loop = {**LOOP, "id": 2, "tool": "slow", "depends_on": [1]}
    with owned(settings) as store:
        runs = runs_over(BeforeTheChange(store, it_unfolds), tools, Models(settings), NEVER)
        async with runs.supervisor.serving():
            plan_id = await plans.save(runs, "g", "", [{"id": 1, "tool": "gate", "arguments": {}}, loop])
            run = await plans.start(runs, plan_id)
            with anyio.fail_after(120), pytest.raises(PlanError, match="step 2: its items have begun"):
                await change(runs, plan_id, 1, steps=[{**loop, "for_each": ["c"]}])
            goes_on.set()
            await until_ended(runs, run.id)
        assert [row.state for row in runs.queries.steps(run.id)] == ["succeeded"] * 4


async def test_a_loop_is_seen_to_run_while_its_items_do(make_settings: Callable[..., Settings], work: Path) -> None:
    # It names no file, since one that changes would have a person asked again.
    wait = {"command": "until ls | grep -q ^g.$; do sleep 0.1; done"}
    loop = {"id": 1, "tool": "run_command", "for_each": ["a"], "arguments": wait}
    async with Client(build_server(make_settings()), elicitation_callback=person(APPROVE)) as client:
        made = view(await client.call_tool("create_plan", {"goal": "g", "steps": [loop]}))
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": made["plan_id"]})
                while (shown := (await in_full(client, made))["steps"])[-1].get("state") != "running" or len(shown) < 2:
                    pass
                assert shown[0]["state"] == "running"
                listed = view(await client.call_tool("get_plan", {"plan_id": made["plan_id"], "view": "list"}))
                assert listed["steps"][0].endswith("for each of 1 values x 1, 0 done [running]"), listed["steps"]
                (work / "go").touch()
