"""Real servers from the package registries: one plan that uses three at once, as they are configured for clients."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.clients.environments import node, node_with, python_with
from tests.server.asking import in_full, person, run_steps

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
