"""A goal, an endpoint that streams, and a step that has run before the planner has said its last word."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.endpoints.fake import Body, Endpoint, Reply, event, pieces

from forethought.app import open_store
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


def _step(number: int, tool: str, **arguments: str) -> dict[str, Any]:
    pairs = [{"name": name, "value": value} for name, value in arguments.items()]
    return {
        "id": number,
        "description": "",
        "tool": tool,
        "arguments": pairs,
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }


class World:
    """An endpoint that goes on with its plan only once the plan's first step has fetched a page from it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.address = endpoint.base_url.removesuffix("/v1")
        self.fetched = threading.Event()
        self.in_time = False
        endpoint.reply, endpoint.page = self.reply, self.page

    def page(self) -> bytes:
        self.fetched.set()
        return b"<html><body><article><p>" + b"The page tells a long story. " * 20 + b"</p></article></body></html>"

    def reply(self, body: Body) -> Reply:
        if "planner" in body["messages"][0]["content"]:
            return 200, self.plan()
        return 200, pieces(json.dumps({"done": True, "answer": "It is kept.", "missing": ""}))

    def plan(self) -> Iterator[str]:
        steps = [
            _step(1, "fetch_url", url=f"{self.address}/page"),
            _step(2, "write_file", path="kept.md", content="{{1}}"),
        ]
        text = json.dumps({"reasoning": "", "steps": steps})
        cut = text.index('{"id": 2')
        yield event({"delta": {"content": text[:cut]}})
        self.in_time = self.fetched.wait(60)
        yield from pieces(text[cut:])


@pytest.fixture
def world(endpoint: Endpoint) -> World:
    return World(endpoint)


async def test_a_step_runs_while_its_plan_is_still_being_written(
    make_settings: Callable[..., Settings], era: str, world: World, work: Path
) -> None:
    settings = make_settings(model="m", base_url=world.endpoint.base_url, allow_private=True, silence=30)
    async with Client(build_server(settings), mode=era) as client:
        with anyio.fail_after(60):
            result = await client.call_tool("execute_plan", {"goal": "Keep the page"})
    done = dict(result.structured_content or {})
    assert done["status"] == "succeeded", done
    assert done["answer"] == "It is kept."
    assert world.in_time, "the planner was still writing when the page was fetched"
    assert "long story" in (work / "kept.md").read_text(encoding="utf-8")
    store = open_store(settings)
    facts = [(entry.kind, entry.body.get("step")) for entry in store.queries.journal(done["run_id"])]
    store.close()
    assert facts.index(("step_started", 1)) < facts.index(("plan_revised", None)) < facts.index(("step_started", 2))
    assert [fact for fact in facts if fact[0] == "step_started"] == [("step_started", 1), ("step_started", 2)]
