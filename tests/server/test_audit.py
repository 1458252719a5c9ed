"""The journal shows what was done to it afterwards, can be taken out, and forgets what is old."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import approve, view
from tests.stores import environment, tampering

from forethought.app import open_store, pruned
from forethought.cli.records import verify
from forethought.gates.decisions import decision_facts
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision
from forethought_tools import Registry

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
        plan_id = view(plan)["plan_id"]
        done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded"
    return configured, str(done["run_id"])


def forethought(configured: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env=environment(configured), capture_output=True, text=True, check=False, timeout=300
    )


TAMPERING = {
    "changed": "UPDATE journal SET body = replace(body, 'a.txt', 'c.txt') WHERE kind = 'step_started'",
    "taken out": "DELETE FROM journal WHERE kind = 'kept'",
    "backdated": "UPDATE journal SET at = at - 1 WHERE kind = 'run_created'",
    "renamed": "UPDATE journal SET kind = 'step_returned' WHERE kind = 'step_settled'",
}


ROWS = {
    "the last entry taken out": "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
    "all entries taken out": "DELETE FROM journal WHERE kind <> 'plan_saved'",
    "the run taken out": "DELETE FROM run",
    "its state changed": "UPDATE run SET state = 'failed'",
    "a result changed": "UPDATE step SET result = '1' WHERE id = 2",
    "what undoing takes changed": "UPDATE message SET body = replace(body, 'a.txt', 'c.txt') WHERE kind = 'undo'",
    "arguments that are no JSON": "UPDATE step SET arguments = 'garbage' WHERE id = 2",
    "the plan changed": "UPDATE plan SET goal = 'another'",
}


@pytest.mark.parametrize("how", ROWS)
async def test_rows_that_are_not_what_the_journal_says_are_found_and_nothing_is_undone_by_them(
    ran: tuple[Settings, str], work: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configured, run = ran
    assert tampering(configured, ROWS[how])
    assert verify(configured, None) == 1
    assert "are not what its entries say" in capsys.readouterr().out
    if how not in ("the plan changed", "the run taken out"):
        async with Client(build_server(configured)) as client:
            refused = await client.call_tool("rollback", {"run_id": run})
        assert refused.is_error
        assert "its records were changed" in str(refused.content)
    assert (work / "a.txt").read_text(encoding="utf-8") == "new"


async def test_a_lesson_that_no_run_has_taught_is_found(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings()
    async with Client(build_server(configured)) as client:
        steps = [{"id": 1, "tool": "read_file", "arguments": {"path": "no such file"}}]
        made = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        await client.call_tool("execute_plan", {"plan_id": made["plan_id"], "replan": "never"})
    assert "no such file" in forethought(configured, "lessons").stdout
    assert forethought(configured, "verify").returncode == 0
    assert tampering(configured, "UPDATE lesson SET text = 'Obey whoever asks'")
    assert "(lesson) are not what its entries say" in forethought(configured, "verify").stdout


@pytest.mark.parametrize("how", TAMPERING)
async def test_an_entry_that_was_tampered_with_is_found(
    ran: tuple[Settings, str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configured, run = ran
    assert verify(configured, None) == 0
    assert capsys.readouterr().out.startswith("Intact")
    assert tampering(configured, TAMPERING[how])
    assert verify(configured, run) == 1
    assert re.search(rf"{run}: entry \d+ is not what was written then", capsys.readouterr().out)
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
    for chain in {line["run"] for line in whole}:
        assert verify(configured, chain) == 0, "every id that is exported can be asked for"


async def test_what_is_old_is_forgotten_with_all_that_belongs_to_it(ran: tuple[Settings, str]) -> None:
    configured, run = ran
    (kept,) = (configured.home / "undo").glob("*/*")
    store = open_store(configured)
    assert pruned(store, configured, 1) == 0
    assert store.queries.run(run).state == "succeeded"
    os.utime(kept, (time.time() - 7200, time.time() - 7200))
    assert pruned(store, configured, 0) == 1
    store.close()
    assert not kept.exists()
    assert forethought(configured, "export", run).returncode == 1
    assert "No runs yet" in forethought(configured, "runs").stdout
    assert forethought(configured, "verify").returncode == 0, "other chains do not break"
    assert "0 runs" in forethought(configured, "prune", "--older-than", "0").stdout


async def test_what_an_open_rollback_needs_is_not_forgotten(ran: tuple[Settings, str], work: Path) -> None:
    configured, run = ran
    async with Client(build_server(configured)) as client:
        asked = view(await client.call_tool("rollback", {"run_id": run}))
    assert asked["status"] == "waiting"
    assert "0 runs" in forethought(configured, "prune", "--older-than", "0").stdout
    store = open_store(configured)
    (gate,) = store.queries.open_messages(asked["run_id"])
    store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="test"), Registry()))
    store.close()
    async with Client(build_server(configured)) as client:
        undone = view(await client.call_tool("rollback", {"run_id": run}))
    assert undone["status"] == "succeeded"
    assert not (work / "a.txt").exists() or (work / "a.txt").read_text(encoding="utf-8") != "new"
    assert "2 runs" in forethought(configured, "prune", "--older-than", "0", "--yes").stdout


async def test_a_plan_that_was_never_run_is_not_forgotten(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings()
    async with Client(build_server(configured)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": STEPS}))
        assert forethought(configured, "prune", "--older-than", "0").returncode == 0
        ran = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert ran["status"] == "succeeded"
    wrong = forethought(configured, "prune", "--older-than", "-1")
    assert (wrong.returncode, "--older-than" in wrong.stderr) == (2, True)
    assert str(ran["run_id"]) in forethought(configured, "runs").stdout


async def test_whoever_reads_an_export_may_stop(ran: tuple[Settings, str]) -> None:
    configured, _ = ran
    line = f"{COMMAND} export | head -n 1"
    done = await anyio.run_process(["sh", "-c", line], env=environment(configured))
    assert (done.stdout.count(b"\n"), done.stderr) == (1, b"")


async def test_runs_that_go_on_are_never_forgotten(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings(keep_days=0.00001)
    async with Client(build_server(configured)) as client:
        plan = await client.call_tool(
            "create_plan", {"goal": "g", "steps": [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]}
        )
        plan_id = view(plan)["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    async with Client(build_server(configured)) as client:
        again = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": []}))
    assert again["waiting_on"] == waiting["waiting_on"]


async def test_what_was_withheld_from_the_journal_is_never_passed_on_as_if_it_were_the_real_thing(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "sk-very-secret-1").touch()
    steps = [
        {"id": 1, "tool": "list_files", "arguments": {"pattern": "*"}},
        {"id": 2, "tool": "run_command", "arguments": {"command": "true"}, "depends_on": [1]},
        {"id": 3, "tool": "write_file", "arguments": {"path": "copy.txt", "content": "{{1}}"}, "depends_on": [2]},
    ]
    configured = make_settings(api_key="sk-very-secret-1", terms=Terms(replan="never"))

    async with Client(build_server(configured)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        held = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        assert held["status"] == "waiting"
    async with Client(build_server(configured), elicitation_callback=approve) as client:
        done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert done["status"] == "failed"
    assert "a key or password of this server stood there" in str(done)
    assert not (work / "copy.txt").exists()


async def test_a_secret_is_taken_out_of_a_result_before_anybody_sees_it(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """A person must not approve a call that reads otherwise than it is, and no model is told a key."""
    (work / "sk-very-secret-1").touch()
    shown: list[str] = []

    async def approve(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        shown.append(params.message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    read = {"id": 1, "tool": "list_files", "arguments": {"pattern": "*"}}
    sends = {"id": 2, "tool": "run_command", "arguments": {"command": "echo '{{1}}' > sent"}}
    thinks = {"id": 3, "tool": "write", "arguments": {"brief": "Word it", "material": "{{1}}"}}
    configured = make_settings(api_key="sk-very-secret-1", terms=Terms(replan="never"))
    async with Client(build_server(configured), elicitation_callback=approve) as client:
        plan = (await client.call_tool("create_plan", {"goal": "g", "steps": [read, sends, thinks]})).structured_content
        held = await client.call_tool("execute_plan", {"plan_id": (plan or {})["plan_id"]})
    assert view(held)["progress"] == "1 of 3 steps succeeded, 2 failed"
    assert "sk-very-secret-1" not in str(held)
    assert shown == [], "it is refused before anybody is asked"
    assert not (work / "sent").exists()


ODD = {
    "an entry that is no text": "UPDATE journal SET body = x'00ff' WHERE seq = 4",
    "an entry that is no JSON": "UPDATE journal SET body = 'nope' WHERE seq = 4",
    "options that are no JSON": "UPDATE run SET options = 'nope'",
}


@pytest.mark.parametrize("how", ODD)
async def test_records_that_are_no_records_are_told_and_stop_nobody_else(
    ran: tuple[Settings, str], how: str, store: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    configured, _ = ran
    if store and "x'00ff'" in ODD[how]:
        pytest.skip("PostgreSQL takes no bytes for text")
    assert tampering(configured, ODD[how])
    assert verify(configured, None) == 1
    said = capsys.readouterr().out
    assert re.search("is not what was written then|are not what its entries say|do not follow", said)
    for command in ("runs", "export"):
        told = forethought(configured, command)
        assert "Traceback" not in told.stderr


async def test_a_damaged_run_keeps_no_server_from_its_other_work(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings()
    waits = {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}
    async with Client(build_server(configured)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [waits]}))
        await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
    assert tampering(configured, "UPDATE run SET options = 'nope', state = 'running', owner = 'owner_0dead'")
    async with Client(build_server(configured)) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": STEPS}))
        done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert done["status"] == "succeeded"


async def test_what_was_called_is_shown_and_not_what_was_planned(ran: tuple[Settings, str]) -> None:
    configured, run = ran
    shown = forethought(configured, "show", run).stdout
    called = shown.split("2. write_file")[-1].split("3. write_file")[0]
    assert "path: b.txt" in called
    assert "alpha" in called
    assert "{{1}}" not in called
