"""Plain in what goes out: short texts, orders told once, plans that show what they touch, calls that can be made."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import COPY, DELETE, make_plan, text, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

CALL = re.compile(r"\b(create_plan|execute_plan|reflect|lats_search|get_plan|update_plan|report|rollback|stop)\(")


def _properties(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every schema inside a schema."""
    inside: list[Mapping[str, Any]] = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inside += [schema[key] for key in ("items", "additionalProperties") if schema.get(key) not in (None, False)]
    for part in inside:
        yield part
        yield from _properties(part)


async def test_no_property_of_any_tool_is_untyped(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        for schema in (tool.input_schema, tool.output_schema or {}):
            assert all(part.get("type") or part.get("anyOf") for part in _properties(schema)), tool.name
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(json.dumps(wire, separators=(",", ":"))) < 9000, "what an agent reads before it begins"


async def test_an_order_is_told_in_full_once_and_again_when_asked(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        first = await client.call_tool("create_plan", {"goal": "tidy up"})
        (order,) = view(first)["waiting_on"]
        assert order["instructions"]
        for line in order["instructions"].splitlines():
            assert f"      | {line}" in text(first), "texts of several lines are shown as such"
        plan_id, run_id = view(first)["plan_id"], view(first)["run_id"]
        calls: list[tuple[str, dict[str, Any]]] = [
            ("get_plan", {"plan_id": plan_id}),
            ("execute_plan", {"plan_id": plan_id}),
            ("report", {"run_id": run_id, "answers": []}),
        ]
        for name, arguments in calls:
            again = await client.call_tool(name, arguments)
            (short,) = view(again)["waiting_on"]
            assert short["order"] == order["order"]
            assert "instructions" not in short
            assert len(text(again)) < 700
            assert f'get_plan(plan_id="{plan_id}", view="full")' in short["told_before"]
        for asked in (plan_id, run_id):
            full = view(await client.call_tool("get_plan", {"plan_id": asked, "view": "full"}))
            assert full["waiting_on"] == [order]
    async with Client(build_server(make_settings()), mode=era) as client:
        other = view(await client.call_tool("get_plan", {"plan_id": plan_id}))
        assert other["waiting_on"] == [order], "another session has not seen it"


async def test_an_order_of_a_run_without_a_plan_can_be_seen_again(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        asked = view(await client.call_tool("reflect", {"task": "a haiku"}))
        short = view(await client.call_tool("report", {"run_id": asked["run_id"], "answers": []}))["waiting_on"][0]
        assert f'get_plan(plan_id="{asked["run_id"]}", view="full")' in short["told_before"]
        full = view(await client.call_tool("get_plan", {"plan_id": asked["run_id"], "view": "full"}))
        assert full["waiting_on"] == asked["waiting_on"]


async def test_a_plan_in_chat_shows_what_each_risky_step_touches(make_settings: Callable[..., Settings]) -> None:
    steps: list[dict[str, Any]] = [
        {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}, "description": "d\nnext: approve"},
        {"id": 2, "tool": "run_command", "arguments": {"command": f"echo {'x' * 300}; rm -rf build"}},
        {"id": 3, "tool": "write_file", "arguments": {"content": "y" * 5000, "path": "report.md"}},
        *({"id": n, "tool": "wait", "arguments": {"seconds": 0}} for n in range(4, 14)),
        {"id": 14, "tool": "delete_file", "arguments": {"path": "late.txt"}},
    ]
    async with Client(build_server(make_settings())) as client:
        made = await client.call_tool("create_plan", {"goal": "g", "steps": steps})
        plan_id = view(made)["plan_id"]
        looks = [await client.call_tool("get_plan", {"plan_id": plan_id, "view": each}) for each in ("brief", "list")]
    shown = [text(each) for each in (made, *looks)]
    for each in shown:
        assert 'delete_file (high) {"path": "old.txt"}: d\\u000anext: approve' in each
        assert "rm -rf build" in each
        assert '"path": "report.md"' in each
        assert '{"path": "late.txt"}' in each
        assert len(each) < 3500
    assert f'get_plan(plan_id="{plan_id}", view="list")' in shown[0]


async def test_a_flowchart_is_fenced_readable_on_any_ground_and_cut_with_an_ellipsis(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{**COPY[0], "description": "read " * 40 + "```"}]
    async with Client(build_server(make_settings())) as client:
        plan_id = await make_plan(client, steps)
        shown = await client.call_tool("get_plan", {"plan_id": plan_id, "view": "graph"})
    chart = view(shown)["graph"]
    assert chart.startswith("```mermaid\nflowchart TD\n")
    assert chart.endswith("\n```")
    assert chart.count("```") == 2
    assert '..."]' in chart
    styles = [line for line in chart.splitlines() if "classDef" in line]
    assert all("color:#111" in line for line in styles)
    assert "\n```mermaid\n" in text(shown)


async def test_next_is_a_call_whatever_has_happened(make_settings: Callable[..., Settings], work: Path) -> None:
    (work / "old.txt").write_text("x", encoding="utf-8")
    async with Client(build_server(make_settings())) as client:
        told = [await client.call_tool("create_plan", {"goal": "tidy", "steps": DELETE})]
        plan_id = view(told[0])["plan_id"]
        waiting = await client.call_tool("execute_plan", {"plan_id": plan_id})
        assert view(waiting)["for_a_person"] == f"forethought decide {view(waiting)['run_id']}"
        copied = await make_plan(client, COPY)
        run_id = view(await client.call_tool("execute_plan", {"plan_id": copied}))["run_id"]
        told += [
            waiting,
            await client.call_tool("stop", {"run_id": view(waiting)["run_id"]}),
            await client.call_tool("create_plan", {"goal": "g"}),
            await client.call_tool("reflect", {"task": "t"}),
            await client.call_tool("lats_search", {"goal": "g"}),
            await client.call_tool("get_plan", {}),
            await client.call_tool("get_plan", {"plan_id": copied, "view": "full"}),
            await client.call_tool("rollback", {"run_id": run_id}),
            await client.call_tool("get_plan", {"plan_id": "plan_x"}),
            await client.call_tool("stop", {"run_id": "run_" + "x" * 5000}),
            await client.call_tool("rollback", {"run_id": "nothing"}),
            await client.call_tool("execute_plan", {"plan_id": copied, "goal": "g"}),
            await client.call_tool("report", {"answers": 5}),
        ]
    for each in told:
        assert each.structured_content
        assert CALL.match(each.structured_content["next"]), each.structured_content["next"]
        assert len(text(each)) < 25_000


async def test_a_run_whose_server_died_is_gone_on_with_by_a_call(make_settings: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 2}}]
    settings = make_settings(silence=0.2)
    async with Client(build_server(settings)) as client:
        plan_id = await make_plan(client, steps)
        assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "running"
    async with Client(build_server(settings)) as client:
        again = view(await client.call_tool("get_plan", {"plan_id": plan_id}))
        assert CALL.match(again["next"])
        assert "forethought " not in again["next"]


async def test_errors_do_not_tell_where_the_server_keeps_its_own(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_plan", {"plan_id": "plan_x"}),
        ("execute_plan", {"plan_id": "plan_x"}),
        ("stop", {"run_id": "run_x"}),
        ("report", {"run_id": "run_x", "answers": []}),
        ("rollback", {"run_id": "run_x"}),
    ]
    async with Client(build_server(settings)) as client:
        for name, arguments in calls:
            refused = await client.call_tool(name, arguments)
            assert refused.is_error
            assert str(settings.home) not in text(refused)
            assert settings.journal not in text(refused)
            assert "forethought runs" not in text(refused)
