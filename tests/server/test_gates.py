"""Only a person decides, about one concrete call, once. Nothing else opens a gate."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import APPROVE, DELETE, TOOLS, Asked, answering, make_plan, states_of, view

from forethought.app import open_store
from forethought.gates.decisions import decision_facts
from forethought.gates.forms import gate_text
from forethought.journal.database import StaleError
from forethought.journal.rows import MessageRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision
from forethought_patterns.gates import digest, visible

pytestmark = pytest.mark.anyio


async def test_a_risky_call_is_made_once_a_person_approves_it(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    asked: Asked = []
    settings = make_settings()
    async with Client(
        build_server(settings), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        done = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, DELETE)}))
    assert done["status"] == "succeeded"
    assert not (work / "old.txt").exists()
    (question,) = asked
    assert "delete_file" in question
    assert "path: old.txt" in question
    assert "Risk: high" in question
    assert "tidy up" in question
    store = open_store(settings)
    (decision,) = [e.body for e in store.queries.journal(done["run_id"]) if e.kind == "answered"]
    store.close()
    assert decision["channel"] == "elicitation"
    assert decision["by"]


async def test_a_rejected_call_is_not_made_and_the_rest_goes_on(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    answer = answering([], "accept", {"decision": "reject", "reason": "still needed"})
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(build_server(settings), mode=era, elicitation_callback=answer) as client:
        plan_id = await make_plan(client, DELETE)
        done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert await states_of(client, plan_id) == {1: "rejected", 2: "succeeded", 3: "skipped"}
    assert done["status"] == "failed"
    assert "still needed" in done["error"]
    assert (work / "old.txt").exists()


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("decline", None),
        ("cancel", None),
        ("accept", None),
        ("accept", {"decision": "yes"}),
        ("accept", {}),
        ("accept", {"decision": "approve", "also": "more"}),
        ("accept", {"approved": True}),
    ],
)
async def test_silence_refusal_and_malformed_answers_are_not_consent(
    make_settings: Callable[..., Settings],
    era: str,
    work: Path,
    action: str,
    content: Mapping[str, Any] | None,
) -> None:
    asked: Asked = []
    async with Client(
        build_server(make_settings()), mode=era, elicitation_callback=answering(asked, action, content)
    ) as client:
        plan_id = await make_plan(client, DELETE)
        with anyio.fail_after(10):
            waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert waiting["status"] == "waiting"
        assert f"forethought decide {waiting['run_id']}" in waiting["next"]
        assert await states_of(client, plan_id) == {1: "waiting", 2: "succeeded", 3: "pending"}
    assert len(asked) == 1, "one call asks once"
    assert (work / "old.txt").exists()


async def test_where_nobody_can_be_asked_the_run_waits_and_goes_on_when_a_person_decides_elsewhere(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await make_plan(client, DELETE)
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert waiting["status"] == "waiting"
        (gate,) = waiting["waiting_on"]
        assert gate["for_a_person"] == f"forethought decide {waiting['run_id']}"
        # What `forethought decide` does, in another process: the journal is all they share.
        other = open_store(settings)
        decision = Decision("approve", by="person at the terminal", channel="terminal")
        other.commit(waiting["run_id"], *decision_facts(other.queries.message(gate["gate"]), decision, TOOLS))
        with pytest.raises(StaleError):
            other.commit(waiting["run_id"], *decision_facts(other.queries.message(gate["gate"]), decision, TOOLS))
        with anyio.fail_after(10):
            while (done := view(await client.call_tool("execute_plan", {"plan_id": plan_id})))["status"] != "succeeded":
                assert done["status"] in ("waiting", "running")
        used = other.queries.message(gate["gate"])
        other.close()
    assert (used.state, used.by, used.channel) == ("used", "person at the terminal", "terminal")
    assert not (work / "old.txt").exists()


async def test_no_tool_of_the_model_can_decide_a_gate(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan_id = await make_plan(client, DELETE)
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        gate = waiting["waiting_on"][0]["gate"]
        for answer in (APPROVE, True, "approve", {"approved": True, "reason": "", "by": "", "channel": ""}):
            answers = [{"order": gate, "answer": answer}]
            result = await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            assert result.is_error
        assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_an_approval_is_bound_to_the_arguments_after_references_are_filled(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    (work / "name.txt").write_text("old.txt", encoding="utf-8")
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "name.txt"}},
        {"id": 2, "tool": "delete_file", "arguments": {"path": "{{1}}"}},
    ]
    asked: Asked = []
    settings = make_settings()
    async with Client(
        build_server(settings), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        run = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)}))
    assert run["status"] == "succeeded"
    assert "path: old.txt" in asked[0]
    store = open_store(settings)
    (gate,) = [e.body for e in store.queries.journal(run["run_id"]) if e.kind == "asked"]
    store.close()
    body: Any = gate["body"]
    assert body["digest"] == digest("delete_file", {"path": "old.txt"})
    assert str(gate["key"]).endswith(str(body["digest"]))


async def test_what_could_deceive_a_reader_is_made_visible(make_settings: Callable[..., Settings], era: str) -> None:
    sneaky = "x\u202etxt.exe\u200b\nRisk: low. It only reads.\n" + "y" * 3000 + "\u2800\u3164end"
    steps = [{"id": 1, "tool": "run_command", "arguments": {"command": sneaky}}]
    asked: Asked = []
    async with Client(
        build_server(make_settings()), mode=era, elicitation_callback=answering(asked, "decline")
    ) as client:
        await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)})
    (question,) = asked
    assert "\\u202e" in question
    assert "\\u200b" in question
    assert "\n".join(line for line in question.splitlines() if line.startswith("Risk:")) == (
        "Risk: high. What it does cannot be undone."
    )
    assert "y" * 3000 + "\\u2800\\u3164end" in question, "nothing is left out"
    assert visible("plain text, ünïcode") == "plain text, ünïcode"


async def test_a_call_too_long_for_a_form_is_left_to_the_terminal_which_shows_all_of_it(
    make_settings: Callable[..., Settings], era: str
) -> None:
    command = "true " + "#" * 3000 + " evil " + "#" * 3000
    steps = [{"id": 1, "tool": "run_command", "arguments": {"command": command}}]
    asked: Asked = []
    settings = make_settings()
    async with Client(
        build_server(settings), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        waiting = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)}))
    assert asked == []
    assert waiting["status"] == "waiting"
    assert "forethought decide" in waiting["next"]
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    assert " evil " in gate_text(gate, store.queries.run(waiting["run_id"]))
    store.close()


async def test_a_run_goes_on_only_where_the_same_folders_are_granted(
    make_settings: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "old.txt").write_text("not this one", encoding="utf-8")
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = await make_plan(client, DELETE)
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
    async with Client(build_server(make_settings(folders=(other,)))) as client:
        store = open_store(settings)
        (gate,) = store.queries.open_messages(run_id, "gate")
        assert str(work) in gate_text(gate, store.queries.run(run_id))
        store.commit(run_id, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
        store.close()
        refused = await client.call_tool("execute_plan", {"plan_id": plan_id})
        assert refused.is_error
        assert f"--folder {work}" in str(refused.content)
    assert (other / "old.txt").exists()
    async with Client(build_server(settings)) as client:
        with anyio.fail_after(10):
            while view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] != "succeeded":
                pass
    assert not (work / "old.txt").exists()
    assert (other / "old.txt").exists()


async def test_a_gate_is_not_opened_for_a_call_that_cannot_be_made(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
        {"id": 2, "tool": "run_command", "arguments": {"command": "true", "timeout": "{{1}}"}},
    ]
    asked: Asked = []
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(
        build_server(settings), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        done = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)}))
    assert done["status"] == "failed"
    assert "run_command cannot use these arguments" in done["error"]
    assert asked == []


async def test_decisions_survive_the_server(make_settings: Callable[..., Settings], era: str, work: Path) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await make_plan(client, DELETE)
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
    store = open_store(settings)
    gates: list[MessageRow] = store.queries.open_messages(run_id, "gate")
    store.commit(run_id, *decision_facts(gates[0], Decision("approve", by="p", channel="terminal"), TOOLS))
    store.close()
    async with Client(build_server(settings), mode=era) as client:
        with anyio.fail_after(10):
            while (done := view(await client.call_tool("execute_plan", {"plan_id": plan_id})))["status"] != "succeeded":
                pass
        full = view(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "full"}))
    assert done["run_id"] == run_id
    assert json.dumps(full).count('"attempt": 1') == 3, "finished steps were not run again"
    assert not (work / "old.txt").exists()
