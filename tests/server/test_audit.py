"""The journal shows what was done to it afterwards, can be taken out, and forgets what is old."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.client import Client
from tests.stores import environment, tampering

from forethought.app import open_store, pruned
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
STEPS = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
    {"id": 2, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{1}}"}},
    {"id": 3, "tool": "write_file", "arguments": {"path": "a.txt", "content": "new"}, "depends_on": [2]},
]


@pytest.fixture
async def ran(make_settings: Callable[..., Settings]) -> tuple[Settings, str]:
    """Settings whose journal has a finished run."""
    configured = make_settings()
    async with Client(build_server(configured)) as client:
        plan = await client.call_tool("create_plan", {"goal": "g", "steps": STEPS})
        plan_id = (plan.structured_content or {})["plan_id"]
        done = (await client.call_tool("execute_plan", {"plan_id": plan_id})).structured_content or {}
    assert done["status"] == "succeeded"
    return configured, str(done["run_id"])


def forethought(configured: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env=environment(configured), capture_output=True, text=True, check=False, timeout=60
    )


TAMPERING = {
    "changed": "UPDATE journal SET body = replace(body, 'a.txt', 'c.txt') WHERE kind = 'step_started'",
    "taken out": "DELETE FROM journal WHERE kind = 'kept'",
    "backdated": "UPDATE journal SET at = at - 1 WHERE kind = 'run_created'",
    "renamed": "UPDATE journal SET kind = 'step_returned' WHERE kind = 'step_settled'",
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_an_entry_that_was_tampered_with_is_found(ran: tuple[Settings, str], how: str) -> None:
    configured, run = ran
    intact = forethought(configured, "verify")
    assert (intact.returncode, intact.stdout[:6]) == (0, "Intact"), intact.stdout + intact.stderr
    assert tampering(configured, TAMPERING[how])
    broken = forethought(configured, "verify", run)
    assert broken.returncode == 1
    assert re.search(rf"{run}: entry \d+ is not what was written then", broken.stdout)
    assert forethought(configured, "verify").returncode == 1


async def test_the_journal_is_exported_as_json_lines_that_chain(ran: tuple[Settings, str]) -> None:
    configured, run = ran
    lines = [json.loads(line) for line in forethought(configured, "export", run).stdout.splitlines()]
    facts = [line["fact"] for line in lines if line["fact"] != "run_claimed"]  # which servers of a cluster record
    assert facts[:2] == ["run_created", "step_started"]
    assert lines[-1]["fact"] == "run_ended"
    assert len({line["hash"] for line in lines}) == len(lines)
    whole = [json.loads(line) for line in forethought(configured, "export").stdout.splitlines()]
    assert {line["fact"] for line in whole} >= {"plan_saved", "run_ended"}


async def test_what_is_old_is_forgotten_with_all_that_belongs_to_it(ran: tuple[Settings, str]) -> None:
    configured, run = ran
    (kept,) = (configured.home / "undo").iterdir()
    store = open_store(configured)
    assert pruned(store, configured, 1) == 0
    assert store.run(run).state == "succeeded"
    os.utime(kept, (time.time() - 7200, time.time() - 7200))
    assert pruned(store, configured, 0) == 1
    store.close()
    assert not kept.exists()
    assert forethought(configured, "export", run).returncode == 1
    assert "No runs yet" in forethought(configured, "runs").stdout
    assert forethought(configured, "verify").returncode == 0, "other chains do not break"
    assert "0 runs" in forethought(configured, "prune", "--older-than", "0").stdout


async def test_runs_that_go_on_are_never_forgotten(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings(keep_days=0.00001)
    async with Client(build_server(configured)) as client:
        plan = await client.call_tool("create_plan", {"goal": "g", "steps": [
            {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]})  # fmt: skip
        plan_id = (plan.structured_content or {})["plan_id"]
        waiting = (await client.call_tool("execute_plan", {"plan_id": plan_id})).structured_content or {}
    async with Client(build_server(configured)) as client:
        again = (
            await client.call_tool("report", {"run_id": waiting["run_id"], "answers": []})
        ).structured_content or {}
    assert again["waiting_on"] == waiting["waiting_on"]
