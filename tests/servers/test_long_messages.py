"""A message of a server may be as long as anybody can use, and no longer: it freezes nothing, however it comes."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import run_steps
from tests.servers.test_attacked import ended, listed, say, step
from tests.watchdog import watched

from forethought.servers.lengths import Events, Message
from forethought.settings import Settings
from forethought.surface.server import build_server

Entry = Mapping[str, Any]
Made = Callable[..., Settings]

TOOLS = [
    {**tool, "inputSchema": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20)}}}
    for tool in listed(*(f"t{number}" for number in range(10_000)))
]
TOO_MANY = "it has sent a message of over 50,000 values, which is refused: have it say less at once"


@pytest.mark.anyio
@pytest.mark.parametrize("offers", ["tools", "resources"])
async def test_a_list_of_thousands_in_one_answer_is_refused_and_freezes_nothing(
    with_servers: Made, evil: Entry, place: Path, offers: str
) -> None:
    say(place, "tools", TOOLS if offers == "tools" else listed("echo"))
    say(place, "capabilities", {"tools": {}, "resources": {}})
    say(place, "resources", [{"uri": "a:b", "name": "c"}] * 200_000)
    say(place, "page", 200_000)
    async with Client(build_server(with_servers({"evil": evil}))) as client, watched(client):
        refused = await client.call_tool("create_plan", {"goal": "x", "steps": [step(1, "echo", text="one")]})
    assert TOO_MANY in str(refused.content)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "n", "told"),
    [
        ("worthless", 400_000, f"has ended in the middle of the call: {TOO_MANY}"),
        ("worthless", 40_000, "faults in what should be CallToolResult"),
        ("silence", 300_000, "after the silence"),
    ],
)
async def test_whatever_a_call_brings_freezes_nothing(
    with_servers: Made, evil: Entry, tool: str, n: int, told: str
) -> None:
    async with Client(build_server(with_servers({"evil": evil}))) as client, watched(client):
        run = await ended(client, await run_steps(client, [step(1, tool, n=n)], replan="never"))
    assert told in str(run)


@contextmanager
def serving(kind: str) -> Generator[str]:
    """A server at an address that lists thousands of tools. Gives the address."""
    about: dict[str, Any] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "x", "version": "1"},
    }
    many = json.dumps(TOOLS)
    said: Queue[str] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if kind != "sse":
                self.send_error(405)
                return
            self._begin("text/event-stream")
            with suppress(OSError):  # nobody reads any more
                self.wfile.write(b"event: endpoint\r\ndata: /\r\n\r\n")
                while message := said.get():
                    self.wfile.write(f"data: {message}\r\n\r\n".encode())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = f'{{"tools": {many}}}' if asked["method"] == "tools/list" else json.dumps(about)
            message = f'{{"jsonrpc": "2.0", "id": {asked.get("id", 0)}, "result": {result}}}'
            if kind == "sse" or "id" not in asked:
                said.put(message) if "id" in asked else None
                self.send_response(202)
                self.end_headers()
                return
            self._begin("application/json" if kind == "json" else "text/event-stream; charset=utf-7")
            with suppress(OSError):
                self.wfile.write((message if kind == "json" else f": one\n\ndata: {message}\n\n").encode())

        def _begin(self, content: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        said.put("")
        server.shutdown()
        server.server_close()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["json", "events", "sse"])
async def test_a_list_of_thousands_from_an_address_is_refused_and_freezes_nothing(
    with_servers: Made, kind: str
) -> None:
    with serving(kind) as address:
        settings = with_servers({"far": {"type": "sse" if kind == "sse" else "http", "url": address}})
        async with Client(build_server(settings)) as client, watched(client):
            steps: list[dict[str, Any]] = [{"id": 1, "tool": "far/look", "arguments": {}}]
            refused = await client.call_tool("create_plan", {"goal": "x", "steps": steps})
    assert TOO_MANY in str(refused.content)


def told_of(message: Message | Events, text: str, size: int) -> str:
    """What is said of a text that comes in pieces of this size."""
    data = text.encode()
    return next(filter(None, (message.add(data[at : at + size]) for at in range(0, len(data), size))), "")


SIZES = (1, 64_000)
MANY = "0," * 50_001


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", [",[{" * 20_000, "\\", '"', '\\"', '",' * 40_000, "\\," * 40_000, 'a\\\\",' * 20_000])
def test_what_texts_hold_does_not_count_and_hides_nothing_however_a_message_is_cut(text: str, size: int) -> None:
    written = json.dumps([text, {text: text}])
    assert not told_of(Message(), written, size)
    assert "over 50,000 values" in told_of(Message(), f"[{written}, {MANY} 0]", size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_each_event_of_a_stream_is_a_message_of_its_own_however_its_lines_end(end: str, size: int) -> None:
    event = f'event: message{end}data: {{"a": [{"0," * 3_000} 0]}}{end}{end}'
    assert not told_of(Events(), event * 20, size)
    parts = f"data: {'0,' * 3_000}{end}"
    assert "over 50,000 values" in told_of(Events(), parts * 20, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("before", [': "', 'id: "\\', 'data: [ "', "data: [\r"])
def test_nothing_before_it_hides_the_values_of_a_line(before: str, size: int) -> None:
    assert "over 50,000 values" in told_of(Events(), f"{before}\ndata: [{MANY} 0]", size)
