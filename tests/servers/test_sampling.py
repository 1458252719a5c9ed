"""A server that wants a model to answer it in the middle of a call gets one only where a setting says so, and once."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import in_full, journal_of, make_plan, run_steps, view
from tests.stores import COMMAND

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import JSON

pytestmark = pytest.mark.anyio

IMAGINE: list[dict[str, Any]] = [{"id": 1, "tool": "small/imagine", "arguments": {}}]
ERAS = pytest.mark.parametrize("theirs", ["2026-07-28", "legacy"])
Entry = Mapping[str, Any]


def saying(tmp_path: Path, *said: JSON) -> str:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"executor": said}), encoding="utf-8")
    return f"scripted:{script}"


@ERAS
async def test_a_model_answers_a_server_through_the_journal(
    with_servers: Callable[..., Settings], small: Entry, tmp_path: Path, theirs: str
) -> None:
    servers = {"small": {**small, "env": {"ONLY": theirs}}}
    settings = with_servers(servers, SAMPLING="allow", MODEL=saying(tmp_path, "blue", "plum"))
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, IMAGINE, replan="never")
        full = await in_full(client, run)
    assert full["steps"][0]["result"] == "blue plum", full
    asked = [entry.body for entry in journal_of(settings, run, "asked")]
    assert [body["kind"] for body in asked] == ["question", "question"]
    assert "user: Name a colour." in str(asked[0])
    assert "The MCP server small asks you this" in str(asked[0])


@ERAS
async def test_without_the_setting_it_is_refused_with_a_clear_word(
    with_servers: Callable[..., Settings], small: Entry, tmp_path: Path, theirs: str
) -> None:
    servers = {"small": {**small, "env": {"ONLY": theirs}}}
    settings = with_servers(servers, MODEL=saying(tmp_path, "blue", "plum"))
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, IMAGINE, replan="never")
    assert run["status"] == "failed"
    refused = "Sampling not supported" if theirs == "legacy" else "FORETHOUGHT_SAMPLING=allow"
    assert refused in str(run), run
    assert journal_of(settings, run, "asked") == []


@ERAS
async def test_in_host_mode_it_is_a_work_order(
    with_servers: Callable[..., Settings], small: Entry, theirs: str
) -> None:
    servers = {"small": {**small, "env": {"ONLY": theirs}}}
    async with Client(build_server(with_servers(servers, SAMPLING="allow"))) as client:
        run = await run_steps(client, IMAGINE, replan="never")
        answered: list[str] = []
        with anyio.fail_after(120):
            while run["status"] == "waiting":
                for order in run["waiting_on"]:
                    answered.append(str(order))
                    said = {"order": order["order"], "answer": "blue" if "colour" in str(order) else "plum"}
                    run = view(await client.call_tool("report", {"run_id": run["run_id"], "answers": [said]}))
        full = await in_full(client, run)
    assert full["steps"][0]["result"] == "blue plum", (run, answered)
    assert len(answered) == 2


@ERAS
async def test_it_counts_against_the_budget(
    with_servers: Callable[..., Settings], small: Entry, tmp_path: Path, theirs: str
) -> None:
    servers = {"small": {**small, "env": {"ONLY": theirs}}}
    settings = with_servers(
        servers, SAMPLING="allow", MODEL=saying(tmp_path, "blue", "plum"), BUDGET="model_calls=1", SILENCE_SECONDS="1"
    )
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, IMAGINE, replan="never")
        with anyio.fail_after(120):
            while run["status"] == "running" and "budget" not in str(run).lower():
                run = view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"]}))
    assert run["status"] != "succeeded"
    assert "budget" in str(run).lower(), run


@ERAS
async def test_what_was_answered_is_not_asked_again_after_a_kill(
    with_servers: Callable[..., Settings], small: Entry, tmp_path: Path, place: Path, work: Path, theirs: str
) -> None:
    servers = {"small": {**small, "env": {"ONLY": theirs}}}
    settings = with_servers(servers, SAMPLING="allow", TRUST_SERVERS="small", MODEL=saying(tmp_path, "blue"))
    (place / "hold").touch()
    environment = {"PATH": os.environ["PATH"], "FORETHOUGHT_HOME": str(settings.home)}
    environment |= {"FORETHOUGHT_SAMPLING": "allow", "FORETHOUGHT_TRUST_SERVERS": "small"}
    environment |= {"FORETHOUGHT_MODEL": saying(tmp_path, "blue"), "FORETHOUGHT_SILENCE_SECONDS": "0.1"}
    serve = ["serve", "--folder", str(work), "--servers", str(tmp_path / "mcp.json")]
    run: dict[str, Any] = {}
    try:
        async with Client(StdioServerParameters(command=COMMAND, args=serve, env=environment)) as client:
            plan_id = await make_plan(client, IMAGINE)
            run = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "replan": "never"}))
            with anyio.fail_after(120):
                while not (place / "held").exists():
                    await client.call_tool("get_plan", {"plan_id": plan_id})
            os.kill(int((place / "held").read_text(encoding="utf-8")), signal.SIGKILL)
    except Exception:  # noqa: S110 - its server is gone
        pass
    (place / "hold").unlink()
    saying(tmp_path, "plum")  # whoever asked for the colour again would get that
    settings = with_servers(
        servers, SAMPLING="allow", TRUST_SERVERS="small", MODEL=f"scripted:{tmp_path / 'script.json'}"
    )
    async with Client(build_server(settings)) as client:
        run = view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"]}))
        full = await in_full(client, run)
    assert full["steps"][0]["result"] == "blue plum", full
    assert len(journal_of(settings, run, "asked")) == 2
