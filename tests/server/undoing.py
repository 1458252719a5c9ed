"""Runs that write, and how their folder looks before and after."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp.client import Client
from tests.server.asking import view

Tree = dict[str, tuple[int, bytes] | None]


def tree(folder: Path) -> Tree:
    """Every file with its mode and content, and every folder."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


def write(number: int, path: str, content: str, after: int | None = None) -> dict[str, Any]:
    step = {"id": number, "tool": "write_file", "arguments": {"path": path, "content": content}}
    return step | ({"depends_on": [after]} if after else {})


async def ran(client: Client, steps: list[dict[str, Any]], status: str = "succeeded") -> str:
    plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
    done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert done["status"] == status, done
    return str(done["run_id"])


def verdicts(done: Mapping[str, Any], key: str = "undone") -> list[tuple[int, str]]:
    return [(each["step"], each["verdict"]) for each in done[key]]
