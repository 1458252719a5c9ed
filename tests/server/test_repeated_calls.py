"""A call that is repeated, because its client gave up on it, attaches to what it has started: nothing is done twice."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.types import Implementation
from tests.server.asking import view

from forethought.app import open_store
from forethought.journal.rows import RunRow
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("create_plan", {"goal": "tidy up"}),
    ("execute_plan", {"goal": "tidy up", "max_parallel": 2}),
    ("reflect", {"task": "tidy up", "criteria": ["short"]}),
    ("lats_search", {"goal": "tidy up", "n_candidates": 2}),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("create_plan", {"goal": "tidy up", "context": "only the attic"}),
    ("execute_plan", {"goal": "tidy up", "max_parallel": 3}),
    ("reflect", {"task": "tidy up", "criteria": ["long"]}),
    ("lats_search", {"goal": "tidy up", "n_candidates": 3}),
]


def _runs(settings: Settings) -> list[RunRow]:
    with closing(open_store(settings)) as store:
        return store.queries.runs(limit=100)


def _client(settings: Settings, name: str = "agent", **more: Any) -> Client:
    return Client(build_server(settings), client_info=Implementation(name=name, version="1"), **more)


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
async def test_the_same_call_attaches_to_its_open_run_also_from_another_session(
    make_settings: Callable[..., Settings], era: str, tool: str, arguments: dict[str, Any]
) -> None:
    settings = make_settings()
    async with _client(settings, mode=era) as client:
        first = view(await client.call_tool(tool, arguments))
        again = view(await client.call_tool(tool, arguments))
    async with _client(settings, mode=era) as client:
        later = view(await client.call_tool(tool, arguments))
    assert first["run_id"] == again["run_id"] == later["run_id"]
    assert "attached" not in first
    assert "another=true" in again["attached"]
    assert len(_runs(settings)) == 1


async def test_calls_that_are_made_at_the_same_moment_start_one_run_also_by_two_servers(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(store=None)  # one process can be one server of a cluster, and no more
    began: set[str] = set()

    async def call(client: Client) -> None:
        began.add(view(await client.call_tool("execute_plan", {"goal": "tidy up"}))["run_id"])

    async with _client(settings) as one, _client(settings) as other, anyio.create_task_group() as tasks:
        for client in (one, other) * 4:
            tasks.start_soon(call, client)
    assert len(began) == len(_runs(settings)) == 1


@pytest.mark.parametrize(("same", "other"), list(zip(CALLS, OTHERS, strict=True)))
async def test_another_wish_or_another_client_starts_a_run_of_its_own(
    make_settings: Callable[..., Settings], same: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]
) -> None:
    settings = make_settings()
    async with _client(settings) as client:
        ids = {view(await client.call_tool(*call))["run_id"] for call in (same, other)}
    async with _client(settings, "somebody else") as stranger:
        ids.add(view(await stranger.call_tool(*same))["run_id"])
    assert len(ids) == 3


async def test_spaces_and_spelled_out_defaults_make_no_other_wish(make_settings: Callable[..., Settings]) -> None:
    async with _client(make_settings()) as client:
        first = view(await client.call_tool("lats_search", {"goal": "tidy up"}))
        same = view(
            await client.call_tool("lats_search", {"goal": " tidy\nup ", "iterations": 30, "world": "simulate"})
        )
    assert first["run_id"] == same["run_id"]


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
async def test_another_starts_a_second_run_on_purpose_and_once(
    make_settings: Callable[..., Settings], tool: str, arguments: dict[str, Any]
) -> None:
    settings = make_settings()
    async with _client(settings) as client:
        first = view(await client.call_tool(tool, arguments))
        second = view(await client.call_tool(tool, {**arguments, "another": True}))
        repeated = view(await client.call_tool(tool, {**arguments, "another": True}))
        plain = view(await client.call_tool(tool, arguments))
        await client.call_tool("stop", {"run_id": first["run_id"]})
        left = view(await client.call_tool(tool, arguments))
    assert first["run_id"] != second["run_id"]
    assert second["run_id"] == repeated["run_id"] == plain["run_id"] == left["run_id"]
    assert len(_runs(settings)) == 2


async def test_what_has_ended_is_begun_anew(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    async with _client(settings) as client:
        first = view(await client.call_tool("execute_plan", {"goal": "tidy up"}))
        assert view(await client.call_tool("stop", {"run_id": first["run_id"]}))["status"] == "cancelled"
        second = view(await client.call_tool("execute_plan", {"goal": "tidy up"}))
    assert first["run_id"] != second["run_id"]


async def test_an_answer_that_is_handed_in_twice_is_no_mistake(make_settings: Callable[..., Settings]) -> None:
    async with _client(make_settings()) as client:
        asked = view(await client.call_tool("reflect", {"task": "tidy up"}))
        order = asked["waiting_on"][0]["order"]
        report: dict[str, Any] = {"run_id": asked["run_id"], "answers": [{"order": order, "answer": "A text."}]}
        first = view(await client.call_tool("report", report))
        again = view(await client.call_tool("report", report))
        assert [each["order"] for each in again["waiting_on"]] == [each["order"] for each in first["waiting_on"]]
        report["answers"][0]["answer"] = "Another text."
        refused = await client.call_tool("report", report)
    assert refused.is_error
