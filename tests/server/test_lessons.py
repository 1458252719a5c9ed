"""What a run has taught is told to the planner of the next."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms

pytestmark = pytest.mark.anyio


async def test_failures_and_refusals_are_remembered_for_the_next_plan(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"decision": "reject", "reason": "we keep old files"})

    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "missing.txt"}},
        {"id": 2, "tool": "delete_file", "arguments": {"path": "old.txt"}},
    ]
    settings = make_settings(terms=Terms(replan="never"))
    looks = count()  # the same call twice would be about one run

    async def planned(goal: str, **more: Any) -> str:
        async with Client(build_server(make_settings(**more))) as client:
            waiting = view(await client.call_tool("create_plan", {"goal": goal, "context": f"look {next(looks)}"}))
        return str(waiting["waiting_on"][0]["context"])

    assert "lessons" not in await planned("delete old files")
    async with Client(build_server(settings), elicitation_callback=refuse) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "tidy up the files", "steps": steps}))
        assert view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))["status"] == "failed"
    told = await planned("delete the old files")
    assert "lessons of earlier runs" in told
    assert 'A person rejected delete_file {"path": "old.txt"}: we keep old files' in told
    assert "read_file" in told
    assert "missing.txt" in told
    assert "we keep old files" not in await planned("cook a soup")
    assert "we keep old files" not in await planned("delete the old files", lessons=False)
    other = tmp_path / "other"
    other.mkdir()
    assert "we keep old files" not in await planned("delete the old files", folders=(other,))
    # The same lesson again is not kept twice.
    async with Client(build_server(settings), elicitation_callback=refuse) as client:
        await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], "again": "all"})
    assert (await planned("delete the old files")).count("we keep old files") == 1
