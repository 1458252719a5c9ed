"""A goal, an endpoint that streams, and a step that has run before the planner has said its last word."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from forethought.app import open_store
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """An endpoint that goes on with its plan only once the plan's first step has fetched a page from it."""

    address: str
    fetched: threading.Event = field(default_factory=threading.Event)
    in_time: bool = False


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


@pytest.fixture
def world() -> Iterator[World]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.fetched.set()
            page = b"<html><body><article><p>" + b"The page tells a long story. " * 20 + b"</p></article></body></html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            if "planner" in body["messages"][0]["content"]:
                self._say_the_plan()
            else:
                self._say(json.dumps({"done": True, "answer": "It is kept.", "missing": ""}))
            self._send(_event({"delta": {}, "finish_reason": "stop"}))
            self.wfile.write(b"data: [DONE]\n\n")

        def _say_the_plan(self) -> None:
            steps = [
                _step(1, "fetch_url", url=f"{there.address}/page"),
                _step(2, "write_file", path="kept.md", content="{{1}}"),
            ]
            text = json.dumps({"reasoning": "", "steps": steps})
            cut = text.index('{"id": 2')
            self._say(text[:cut])
            there.in_time = there.fetched.wait(60)
            self._say(text[cut:])

        def _say(self, text: str) -> None:
            self._send(_event({"delta": {"content": text}, "finish_reason": None}))

        def _send(self, event: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there = World(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield there
        there.fetched.set()
        server.shutdown()
        serving.join()


def _event(choice: dict[str, Any]) -> dict[str, Any]:
    event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {**event, "choices": [{"index": 0, **choice}], "usage": usage}


async def test_a_step_runs_while_its_plan_is_still_being_written(
    make_settings: Callable[..., Settings], era: str, world: World, work: Path
) -> None:
    settings = make_settings(model="m", base_url=f"{world.address}/v1", allow_private=True, silence=30)
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
