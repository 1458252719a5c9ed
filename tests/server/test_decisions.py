"""When a decision counts, for what, and how long."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult
from pydantic import TypeAdapter
from tests.server.asking import TOOLS, delete, in_full, names_in, person, run_steps, view, write
from tests.serving import NEVER

from forethought.app import open_store
from forethought.gates.decisions import Overtaken, Refused, decision_facts, record_decision, take_decision
from forethought.journal.database import StaleError
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision
from forethought_tools import AnswerError, Risk

pytestmark = pytest.mark.anyio


async def test_a_caller_can_make_a_run_stricter_and_never_looser(make_settings: Callable[..., Settings]) -> None:
    terms = TypeAdapter(Terms)
    strict = Terms(ask_from=Risk.LOW, ask_below=0.8, approve_plan=True, budget={"tokens": 10})
    loose = strict.tightened(ask_from="high", ask_below=0.1, approve_plan=False, budget={"tokens": 99, "dollars": 1})
    assert loose.policy == strict.policy
    assert loose.budget == {"tokens": 10, "dollars": 1}
    assert terms.validate_python(terms.dump_python(loose, mode="json")) == loose
    async with Client(build_server(make_settings())) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")], risks={"delete_*": "low"})
        assert waiting["status"] == "waiting", "a pattern of the caller raises, and never lowers"
        raised = await run_steps(client, [write(1, "w.txt")], risks={"write_*": "high"})
        assert raised["status"] == "waiting"
        refused = await client.call_tool("execute_plan", {"goal": "g", "budget": {"patience": 1}})
    assert refused.is_error
    assert "tool_calls" in str(refused.content)


async def test_the_users_own_patterns_lower_the_risk_of_trusted_tools(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(risks={"*_file": Risk.HIGH, "delete_*": Risk.MEDIUM})
    async with Client(build_server(settings)) as client:
        assert (await run_steps(client, [delete(1, "old.txt")]))["status"] == "succeeded"
        assert (await run_steps(client, [write(1, "w.txt")]))["status"] == "waiting"
    assert not (work / "old.txt").exists()


async def test_an_approval_that_was_not_used_in_time_is_void(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(decision_seconds=0.000_001)
    async with Client(build_server(settings)) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")])
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
    store.close()
    async with Client(build_server(settings)) as client:
        again = view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
        assert again["status"] == "waiting"
        assert [each["gate"] for each in again["waiting_on"]] == [gate.id], "the same question is open again"
    assert (work / "old.txt").exists()
    async with Client(build_server(make_settings())) as client:
        store = open_store(settings)
        store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
        store.close()
        with anyio.fail_after(60):
            while (
                view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))["status"] != "succeeded"
            ):
                pass
    assert not (work / "old.txt").exists()


async def test_a_form_answered_too_late_changes_nothing(make_settings: Callable[..., Settings], work: Path) -> None:
    """The seal of the 2026 rounds is good as long as the question is."""
    settings = make_settings(decision_seconds=0.01)

    async def late(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        until = time.time() + 0.01
        while time.time() <= until:
            await anyio.lowlevel.checkpoint()
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with Client(build_server(settings), mode="2026-07-28", elicitation_callback=late) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [delete(1, "old.txt")]}))
        with pytest.raises(MCPError, match="requestState"):
            await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        assert view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"]}))["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_a_decision_reaches_its_own_gate_and_no_other(make_settings: Callable[..., Settings], work: Path) -> None:
    """Of another run, another plan, a gate that is closed, decided or never was."""
    settings = make_settings(terms=NEVER)
    approve = Decision("approve", by="p", channel="terminal")
    async with Client(build_server(settings)) as client:
        one = await run_steps(client, [delete(1, "old.txt")])
        two = await run_steps(client, [delete(1, "a.txt")])
        store = open_store(settings)
        (gate_one,), (gate_two,) = (store.queries.open_messages(run["run_id"], "gate") for run in (one, two))
        with pytest.raises(StaleError):  # the gate of one run, in the name of another
            store.commit(two["run_id"], *decision_facts(gate_one, approve, TOOLS))
        await client.call_tool("stop", {"run_id": two["run_id"]})
        with pytest.raises(StaleError):
            store.commit(gate_two.run, *decision_facts(gate_two, approve, TOOLS))
        for wrong in (
            Decision("approve_tool"),
            Decision("edit"),
            Decision("edit", arguments={"path": 5}),
            Decision("edit", arguments={"path": "old.txt", "force": True}),
        ):
            with pytest.raises(AnswerError):
                decision_facts(gate_one, wrong, TOOLS)
        store.commit(gate_one.run, *decision_facts(gate_one, Decision("reject", reason="no"), TOOLS))
        with pytest.raises(StaleError):  # whoever is second
            store.commit(gate_one.run, *decision_facts(gate_one, approve, TOOLS))
        record = partial(record_decision, store, TOOLS)
        for filled, becomes in (({"decision": "approve"}, Overtaken), ({"decision": "yes"}, Refused)):
            assert isinstance(await take_decision(gate_one, filled, by="p", channel="page", record=record), becomes)
        store.close()
        with anyio.fail_after(60):
            while (done := view(await client.call_tool("execute_plan", {"plan_id": one["plan_id"]})))["status"] in (
                "waiting",
                "running",
            ):
                pass
    assert done["status"] == "failed"
    assert (work / "old.txt").exists()
    assert (work / "a.txt").exists()


async def test_a_plan_runs_only_where_the_folders_it_was_made_for_are_granted(
    make_settings: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    other = tmp_path / "other place"
    other.mkdir()
    async with Client(build_server(make_settings())) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [write(1, "w.txt")]}))
    async with Client(build_server(make_settings(folders=(other,)))) as client:
        refused = await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
    assert refused.is_error
    assert f"--folder {work}" in str(refused.content)
    assert names_in(other, "*") == []


async def test_work_orders_are_not_held_up_by_a_person_who_thinks(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    steps = [delete(1, "old.txt"), {"id": 2, "tool": "analyze", "arguments": {"question": "q"}}]
    approve = person({"decision": "approve"}, seen=seen)
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        waiting = await run_steps(client, steps)
        assert seen == []
        (order,) = [each for each in waiting["waiting_on"] if "order" in each]
        answers = [{"order": order["order"], "answer": "an answer"}]
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
    assert len(seen) == 1


async def test_a_run_that_has_ended_leaves_nothing_pending(make_settings: Callable[..., Settings]) -> None:
    reject = person({"decision": "reject", "reason": "enough"})
    settings = make_settings(terms=NEVER)
    steps = [write(n, f"w{n}.txt", depends_on=[n - 1] if n > 1 else []) for n in range(1, 5)]
    async with Client(build_server(settings), elicitation_callback=reject) as client:
        for terms in ({"approve_plan": True}, {"budget": {"tool_calls": 2}}):
            full = await in_full(client, await run_steps(client, steps, **terms))
            assert full["status"] == "failed"
            assert {step["state"] for step in full["steps"]} <= {"succeeded", "failed", "skipped"}
