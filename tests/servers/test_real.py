"""Real servers from the package registries: one plan that uses three at once, as they are configured for clients."""

import os
import signal
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.clients.environments import node, node_with, python_with
from tests.server.asking import approve, in_full, person, run_steps

from forethought.app import tools_for
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = [pytest.mark.anyio, pytest.mark.takes(60)]

_NODE = (
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
)
_PYTHON = ("mcp-server-git==2026.10.19", "mcp-server-time==2026.10.19", "mcp-server-fetch==2026.10.24")


def _node(package: str, *arguments: str) -> Mapping[str, Any]:
    program = node_with(*_NODE) / f"node_modules/@modelcontextprotocol/server-{package}/dist/index.js"
    return {"command": str(node()), "args": [str(program), *arguments]}


def _python(name: str, *arguments: str) -> Mapping[str, Any]:
    return {"command": str(python_with(*_PYTHON)), "args": ["-m", f"mcp_server_{name}", *arguments]}


async def test_one_plan_uses_three_servers_and_a_person_is_asked_what_they_may_write(
    with_servers: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    seen: list[str] = []
    servers = {
        "fs": _node("filesystem", str(work)),
        "memory": {**_node("memory"), "env": {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}},
        "time": _python("time", "--local-timezone", "Etc/UTC"),
    }
    steps = [
        {"id": 1, "tool": "fs/read_text_file", "arguments": {"path": str(work / "a.txt")}},
        {
            "id": 2,
            "tool": "time/convert_time",
            "arguments": {"source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        },
        {
            "id": 3,
            "tool": "memory/create_entities",
            "arguments": {"entities": [{"name": "a", "entityType": "file", "observations": ["{{1.content}}"]}]},
        },
        {
            "id": 4,
            "tool": "fs/write_file",
            "arguments": {"path": str(work / "b.txt"), "content": "{{2.target.datetime}} {{3.entities.0.name}}"},
            "depends_on": [2, 3],
        },
    ]
    settings = with_servers(servers)
    approving = person({"decision": "approve"}, seen=seen)
    async with Client(build_server(settings), elicitation_callback=approving) as client:
        run = await run_steps(client, steps, replan="never")
        full = await in_full(client, run)
    tools = {tool.name: tool for tool in tools_for(settings)}
    assert {"fs/write_file", "memory/create_entities", "time/get_current_time"} <= tools.keys()
    assert run["status"] == "succeeded", str(full)
    assert any("fs/write_file" in text for text in seen)


async def test_the_servers_everything_git_and_fetch_are_called(
    with_servers: Callable[..., Settings], work: Path
) -> None:
    _repository(work)
    servers = {
        "every": _node("everything"),
        "git": _python("git", "--repository", str(work)),
        "fetch": _python("fetch", "--ignore-robots-txt", "--allow-private-ips"),
    }
    with _page("<html><body><p>Fresh from loopback.</p></body></html>") as address:
        steps: list[dict[str, Any]] = [
            {"id": 1, "tool": "every/get-sum", "arguments": {"a": 20, "b": 22}},
            {"id": 2, "tool": "every/echo", "arguments": {"message": "{{1}}"}},
            {"id": 3, "tool": "every/get-tiny-image", "arguments": {}},
            {"id": 4, "tool": "git/git_log", "arguments": {"repo_path": str(work)}},
            {"id": 5, "tool": "fetch/fetch", "arguments": {"url": address, "raw": True}},
        ]
        async with Client(build_server(with_servers(servers)), elicitation_callback=approve) as client:
            run = await run_steps(client, steps, replan="never")
            full = await in_full(client, run)
    assert run["status"] == "succeeded", str(full)
    results = {step["id"]: step["result"] for step in full["steps"]}
    assert "42" in results[2]
    (image,) = results[3]["files"]
    assert image["type"] == "image/png"
    assert _start(image["file"]) == b"\x89PNG"
    assert "The first" in str(results[4])
    assert "Fresh from loopback." in str(results[5])


async def test_a_real_server_that_is_killed_in_the_middle_of_a_plan_is_started_again(
    with_servers: Callable[..., Settings], tmp_path: Path
) -> None:
    real, pids = _python("time", "--local-timezone", "Etc/UTC"), tmp_path / "pids"
    noon = {"source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    told = f'echo $$ >> "{pids}"; exec "$0" "$@"'
    server = {"command": "sh", "args": ["-c", told, real["command"], *real["args"]]}
    steps = [
        {"id": 1, "tool": "time/convert_time", "arguments": noon},
        {"id": 2, "tool": "run_command", "arguments": {"command": "echo between"}, "depends_on": [1]},
        {"id": 3, "tool": "time/convert_time", "arguments": noon, "depends_on": [2]},
    ]

    async def killing(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert "echo between" in params.message
        os.kill(int(_lines(pids)[-1]), signal.SIGKILL)
        return await approve(context, params)

    async with Client(build_server(with_servers({"time": server})), elicitation_callback=killing) as client:
        run = await run_steps(client, steps, replan="never")
        full = await in_full(client, run)
    assert run["status"] == "succeeded", str(full)
    assert "21:00" in str(full["steps"][2]["result"])
    assert len(_lines(pids)) == 2, "one that was killed, and one after it"


async def test_a_real_server_whose_description_changes_between_runs_is_asked_about(
    with_servers: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, seen = with_servers({"time": _python("time")}, TRUST_SERVERS="time"), list[str]()
    steps = [{"id": 1, "tool": "time/get_current_time", "arguments": {"timezone": "Etc/UTC"}}]
    for zone, asked in (("Etc/UTC", 0), ("Asia/Tokyo", 1)):  # the server names its own time zone to planners
        monkeypatch.setenv("TZ", zone)
        approving = person({"decision": "approve"}, seen=seen)
        async with Client(build_server(settings), elicitation_callback=approving) as client:
            run = await run_steps(client, steps, replan="never")
        assert run["status"] == "succeeded", str(run)
        assert len(seen) == asked
    assert "is not what it was when you saw it first: its schema was" in seen[0]
    assert "Asia/Tokyo" in seen[0]


def _repository(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, "commit", "-qm", "The first", "--allow-empty"], check=True)


@contextmanager
def _page(content: str) -> Generator[str]:
    """The address of a page on loopback."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split()


def _start(file: str) -> bytes:
    return Path(file).read_bytes()[:4]
