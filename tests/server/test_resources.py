"""Plans and runs are resources, and who looks at them is told when they change."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents
from tests.server.asking import COPY, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_plans_and_runs_are_resources_with_completions(make_settings: Callable[..., Settings], era: str) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "copy", "steps": COPY}))["plan_id"]
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]

        async def read(uri: str) -> str:
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            return content.text

        assert json.loads(await read(f"plan://{plan_id}"))["steps"][0]["tool"] == "read_file"
        assert "s1 --> s2" in await read(f"plan://{plan_id}/graph")
        assert ":::succeeded" in await read(f"plan://{plan_id}/graph")
        assert json.loads(await read(f"run://{run_id}"))["status"] == "succeeded"
        kinds = [json.loads(line)["fact"] for line in (await read(f"run://{run_id}/journal")).splitlines()]
        looked = ["step_started", "claimed", "freed", "step_settled"]
        written = ["step_started", "claimed", "kept", "freed", "step_settled"]
        kinds = [kind for kind in kinds if kind != "run_claimed"]  # which servers of a cluster record
        assert kinds == ["run_created", *looked, *written, "run_ended"]
        index = json.loads(await read("forethought://index"))
        assert index["plans"][0]["uri"] == f"plan://{plan_id}"
        templates = {str(t.uri_template) for t in (await client.list_resource_templates()).resource_templates}
        assert templates == {
            "plan://{plan_id}",
            "plan://{plan_id}/graph",
            "run://{run_id}",
            "run://{run_id}/journal",
            "run://{run_id}/rounds",
            "run://{run_id}/steps/{step}/result",
            "run://{run_id}/steps/{step}/transcript",
            "run://{run_id}/tree",
            "run://{run_id}/tree/graph",
            "run://{run_id}/tree/outline",
        }
        for template, name, whole in (
            ("plan://{plan_id}", "plan_id", plan_id),
            ("run://{run_id}", "run_id", run_id),
        ):
            reference = ResourceTemplateReference(type="ref/resource", uri=template)
            found = await client.complete(reference, {"name": name, "value": whole[:7]})
            assert found.completion.values == [whole]
        with pytest.raises(MCPError, match="plan_x"):
            await read("plan://plan_x")


async def test_a_changed_run_is_noticed_from_2026_on(make_settings: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "?"}}]
    async with Client(build_server(make_settings()), mode="2026-07-28") as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        uri = f"run://{waiting['run_id']}"
        async with client.listen(resource_subscriptions=[uri]) as events:
            answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "ok"}]
            await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            with anyio.fail_after(60):
                async for event in events:
                    assert uri in str(event)
                    break


async def test_a_plan_that_is_handed_in_or_made_is_noticed(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings()), mode="2026-07-28") as client:
        async with client.listen(resource_subscriptions=["forethought://index"]) as events:
            await client.call_tool("create_plan", {"goal": "copy", "steps": COPY})
            with anyio.fail_after(60):
                async for event in events:
                    assert "forethought://index" in str(event)
                    break
        waiting = view(await client.call_tool("create_plan", {"goal": "g"}))
        async with client.listen(resource_subscriptions=[f"plan://{waiting['plan_id']}"]) as events:
            draft: dict[str, Any] = {
                "reasoning": "",
                "steps": [{**COPY[0], "description": "", "depends_on": [], "expected_output": ""}],
            }
            answers = [{"order": waiting["waiting_on"][0]["order"], "answer": draft}]
            made = await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            with anyio.fail_after(60):
                async for event in events:
                    assert waiting["plan_id"] in str(event)
                    break
    assert view(made)["status"] == "ready"


async def test_results_hold_text_and_no_links(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await client.call_tool("create_plan", {"goal": "g"})
        made = await client.call_tool("create_plan", {"goal": "copy", "steps": COPY})
    assert [content.type for content in waiting.content] == ["text"]
    assert [content.type for content in made.content] == ["text"]


async def test_a_changed_run_is_noticed_by_subscribers_before_2026(
    make_settings: Callable[..., Settings],
) -> None:
    noticed = anyio.Event()
    uri = ""

    async def heard(message: object) -> None:
        if uri and uri in str(message):
            noticed.set()

    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "?"}}]
    async with Client(build_server(make_settings()), mode="legacy", message_handler=heard) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        uri = f"run://{waiting['run_id']}"
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]  # clients of that era do
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "ok"}]
        await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
        with anyio.fail_after(60):
            await noticed.wait()
        with pytest.warns(MCPDeprecationWarning):
            await client.unsubscribe_resource(uri)  # pyright: ignore[reportDeprecated]  # clients of that era do
