"""A client is asked within its call, in the manner of either era: together, at once, and within its patience."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult
from tests.server.asking import APPROVE, DELETE, TOOLS, Asked, answering, deletions, make_plan, states_of, view

from forethought.app import open_store
from forethought.gates.decisions import decision_facts
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Decision

pytestmark = pytest.mark.anyio


def _approved_in_a_terminal(settings: Settings) -> str:
    """The run whose one gate a person has approved meanwhile."""
    with closing(open_store(settings)) as store:
        (gate,) = store.queries.open_messages(kind="gate")
        store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
    return gate.run


async def test_a_client_that_never_answers_gets_the_run_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async def silent(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async with Client(
        build_server(make_settings(longest_call=5.0)), mode="legacy", elicitation_callback=silent
    ) as client:
        plan_id = await make_plan(client, DELETE)
        with anyio.fail_after(30):
            waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert waiting["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_a_call_stays_within_its_patience_however_many_questions_there_are(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    asked: Asked = []

    async def slow(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        until = anyio.current_time() + 1.2
        while anyio.current_time() < until:
            await anyio.lowlevel.checkpoint()
        return ElicitResult(action="accept", content=APPROVE)

    steps = deletions(work, 6, chained=True)
    async with Client(
        build_server(make_settings(longest_call=3.0, silence=20)), mode="legacy", elicitation_callback=slow
    ) as client:
        waiting = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)}))
    assert waiting["status"] == "waiting"
    assert 1 <= len(asked) <= 4


async def test_unlike_gates_are_asked_at_once_and_each_answer_reaches_its_own(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps: list[dict[str, Any]] = [
        {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}},
        {"id": 2, "tool": "run_command", "arguments": {"command": "touch made"}},
        {"id": 3, "tool": "write_file", "arguments": {"path": ".mcp.json", "content": "{}"}},
    ]
    together = 0
    all_asked = anyio.Event()

    async def odd_ones(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        nonlocal together
        together += 1
        if together == len(steps):
            all_asked.set()
        await all_asked.wait()
        number = int(params.message.split("Step ")[1].split(" wants")[0])
        return ElicitResult(action="accept", content={"decision": "approve" if number % 2 else "reject"})

    async with Client(build_server(make_settings()), mode=era, elicitation_callback=odd_ones) as client:
        plan_id = await make_plan(client, steps)
        with anyio.fail_after(60):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
        states = await states_of(client, plan_id)
    assert states == {1: "succeeded", 2: "rejected", 3: "succeeded"}
    assert not (work / "old.txt").exists()
    assert not (work / "made").exists()


async def test_gates_one_after_another_stay_within_the_rounds_of_a_client(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps = deletions(work, 11, chained=True)
    asked: Asked = []
    async with Client(
        build_server(make_settings(silence=30)), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        plan_id = await make_plan(client, steps)
        first = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert first["status"] == "waiting"
        assert len(asked) == 8, "after eight rounds the id is handed back"
        assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"
    assert len(asked) == 11


async def test_answers_that_were_not_asked_for_change_nothing(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """Forged, replayed and crossed answers of the 2026-07-28 rounds."""
    (work / "other.txt").write_text("x", encoding="utf-8")
    settings = make_settings()

    async def call(client: Client, plan_id: str, **more: Any) -> CallToolResult | InputRequiredResult:
        session: Any = client.session
        result: CallToolResult | InputRequiredResult = await session.call_tool(
            "execute_plan", {"plan_id": plan_id}, allow_input_required=True, **more
        )
        return result

    def accept(*gates: str) -> dict[str, ElicitResult]:
        return {gate: ElicitResult(action="accept", content=APPROVE) for gate in gates}

    async with Client(
        build_server(settings), mode="2026-07-28", elicitation_callback=answering([], "cancel")
    ) as client:
        one = await make_plan(client, DELETE[:1])
        two = await make_plan(client, [{"id": 1, "tool": "delete_file", "arguments": {"path": "other.txt"}}])
        asked_one, asked_two = await call(client, one), await call(client, two)
        assert isinstance(asked_one, InputRequiredResult)
        assert isinstance(asked_two, InputRequiredResult)
        (gate_one,) = asked_one.input_requests or {}
        (gate_two,) = asked_two.input_requests or {}

        # No state: nobody was asked in this call.
        assert isinstance(await call(client, one, input_responses=accept(gate_one)), InputRequiredResult)
        # The state of another call, and a state that was tampered with, are refused by the seal.
        for state in (asked_two.request_state, (asked_one.request_state or "")[:-4] + "AAAA"):
            with pytest.raises(MCPError):
                await call(client, one, request_state=state, input_responses=accept(gate_one))
        # The right state with the key of another run's gate.
        crossed = await call(client, one, request_state=asked_one.request_state, input_responses=accept(gate_two))
        assert isinstance(crossed, CallToolResult)
        assert (work / "old.txt").exists()
        assert (work / "other.txt").exists()

        # The real answer works, once.
        done = await call(client, one, request_state=asked_one.request_state, input_responses=accept(gate_one))
        assert isinstance(done, CallToolResult)
        assert view(done)["status"] == "succeeded"
        assert not (work / "old.txt").exists()
        (work / "old.txt").write_text("again", encoding="utf-8")
        await client.call_tool("execute_plan", {"plan_id": one, "again": "all"})
        replay = await call(client, one, request_state=asked_one.request_state, input_responses=accept(gate_one))
        assert isinstance(replay, CallToolResult)
        assert view(replay)["run_id"] == view(done)["run_id"], "the old answer belongs to the old run, which has ended"
    assert (work / "old.txt").exists()


async def test_a_person_is_asked_at_once_though_the_rest_of_the_run_is_busy(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    chain = [
        {"id": n, "tool": "wait", "arguments": {"seconds": 0.1}, "depends_on": [n - 1] if n > 2 else []}
        for n in range(2, 42)
    ]
    states: list[int] = []

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        store = open_store(settings)
        (run,) = store.queries.runs(open_only=True)
        states.append(store.queries.progress(run.id).get("succeeded", 0))
        store.close()
        return ElicitResult(action="accept", content=APPROVE)

    settings = make_settings(silence=20)
    async with Client(build_server(settings), mode=era, elicitation_callback=elicit) as client:
        plan_id = await make_plan(client, [DELETE[0], *chain])
        with anyio.fail_after(60):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded"
    assert states[0] < 20, "asked in the middle of the chain, not at its end"


async def test_a_question_that_was_decided_elsewhere_is_taken_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(longest_call=600)

    async def elsewhere(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        _approved_in_a_terminal(settings)
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async with Client(build_server(settings), mode="legacy", elicitation_callback=elsewhere) as client:
        plan_id = await make_plan(client, DELETE)
        with anyio.fail_after(60):
            assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"


async def test_a_gate_after_an_order_is_asked_within_the_same_report(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "analyze", "arguments": {"question": "which file?"}},
        {"id": 2, "tool": "delete_file", "arguments": {"path": "{{1}}"}},
    ]
    asked: Asked = []
    async with Client(
        build_server(make_settings(silence=30)), mode=era, elicitation_callback=answering(asked, "accept", APPROVE)
    ) as client:
        waiting = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, steps)}))
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "old.txt"}]
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
    assert len(asked) == 1
    assert not (work / "old.txt").exists()


async def test_starting_anew_starts_once_however_often_the_call_is_repeated(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """In the 2026 era the client repeats `again` with its answers; the run may have ended meanwhile."""
    settings = make_settings()

    async def slow(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        run_id = _approved_in_a_terminal(settings)
        with closing(open_store(settings)) as store, anyio.fail_after(60):
            while store.queries.run(run_id).state != "succeeded":
                await anyio.lowlevel.checkpoint()
        return ElicitResult(action="accept", content=APPROVE)

    async with Client(build_server(settings), mode="2026-07-28", elicitation_callback=slow) as client:
        plan_id = await make_plan(client, DELETE)
        done = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "again": "all"}))
    store = open_store(settings)
    runs = store.queries.runs(plan=plan_id)
    store.close()
    assert [run.id for run in runs] == [done["run_id"]]
