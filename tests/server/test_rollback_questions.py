"""A person agrees to a rollback, and is told what it cannot undo."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import approve, view
from tests.server.undoing import ran, verdicts, write

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_tools import Risk

pytestmark = pytest.mark.anyio


async def test_nobody_agrees_nothing_is_undone(make_settings: Callable[..., Settings], work: Path, era: str) -> None:
    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"decision": "reject"})

    async with Client(build_server(make_settings()), mode=era, elicitation_callback=refuse) as client:
        run = await ran(client, [write(1, "a.txt", "one")])
        refused = view(await client.call_tool("rollback", {"run_id": run}))
    assert refused["status"] == "failed"
    assert (work / "a.txt").read_text(encoding="utf-8") == "one"
    async with Client(build_server(make_settings()), mode=era) as client:
        waiting = view(await client.call_tool("rollback", {"run_id": run}))
    assert waiting["status"] == "waiting"
    assert (work / "a.txt").read_text(encoding="utf-8") == "one"


async def test_what_cannot_be_rolled_back_says_why(make_settings: Callable[..., Settings], work: Path) -> None:
    steps = [{"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}]
    async with Client(build_server(make_settings())) as client:
        run = await ran(client, steps)
        nothing = await client.call_tool("rollback", {"run_id": run})
        unknown = await client.call_tool("rollback", {"run_id": "run_none"})
        plan = view(
            await client.call_tool(
                "create_plan",
                {"goal": "g", "steps": [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]},
            )
        )
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        going_on = await client.call_tool("rollback", {"run_id": waiting["run_id"]})
    assert "nothing that can be undone" in str(nothing.content)
    assert "no run" in str(unknown.content)
    assert "Stop it first" in str(going_on.content)


async def test_nobody_is_asked_where_nothing_can_be_done(make_settings: Callable[..., Settings], work: Path) -> None:
    async with Client(build_server(make_settings())) as client:  # which cannot ask
        run = await ran(client, [write(1, "a.txt", "one")])
        (work / "a.txt").write_text("mine", encoding="utf-8")
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert done["status"] == "failed"
    assert verdicts(done) == [(1, "conflict")]


async def test_who_asks_again_joins_the_rollback_that_waits(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        run = await ran(client, [write(1, "a.txt", "one")])
        asked = [view(await client.call_tool("rollback", {"run_id": run})) for _ in range(2)]
    assert asked[0]["run_id"] == asked[1]["run_id"]


async def test_what_the_call_of_a_check_has_done_is_told_too(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    checked = {"check": {"tool": "run_command", "arguments": {"command": "echo x >> made"}}}
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one") | checked, write(2, "b.txt", "two")])
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
    assert (work / "made").exists()
    assert dry["cannot_be_undone"] == ["step 1 run_command"]


async def test_a_rollback_that_is_asked_for_twice_at_once_is_one(make_settings: Callable[..., Settings]) -> None:
    asked: set[str] = set()
    async with Client(build_server(make_settings())) as client:
        run = await ran(client, [write(1, "a.txt", "one")])

        async def ask() -> None:
            asked.add(str(view(await client.call_tool("rollback", {"run_id": run}))["run_id"]))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
    assert len(asked) == 1


async def test_what_a_command_has_done_is_told_though_it_failed_or_counts_as_medium(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    command = {"id": 2, "tool": "run_command", "arguments": {"command": "echo x >> made; exit 3"}, "depends_on": [1]}
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    terms = Terms(replan="never", ask_from=Risk.MEDIUM)
    configured = make_settings(terms=terms, risks={"run_command": Risk.MEDIUM})
    async with Client(build_server(configured), elicitation_callback=agree) as client:
        run = await ran(client, [write(1, "a.txt", "one"), command], "failed")
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
    assert (work / "made").exists()
    assert "Undo: what it replaces is kept" in asked[0]
    assert "Undo: none: it cannot be undone" in asked[1]
    assert dry["cannot_be_undone"] == ["step 2 run_command"]
