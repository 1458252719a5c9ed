"""Only a person decides, about one concrete call, once. Nothing else opens a gate."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.client.session import ElicitationFnT
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult

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
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

Asked = list[str]
TOOLS = builtin(Folders([]))

DELETE: list[dict[str, Any]] = [
    {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}},
    {"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}},
    {"id": 3, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [1]},
]
APPROVE: dict[str, Any] = {"decision": "approve"}


def _answering(asked: Asked, action: str, content: Mapping[str, Any] | None = None) -> ElicitationFnT:
    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content=dict(content) if content else None)  # type: ignore[arg-type]

    return elicit


def _view(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def _plan(client: Client, steps: list[dict[str, Any]], goal: str = "tidy up") -> str:
    return str(_view(await client.call_tool("create_plan", {"goal": goal, "steps": steps}))["plan_id"])


async def _states(client: Client, plan_id: str) -> dict[int, str]:
    full = _view(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "full"}))
    return {step["id"]: step["state"] for step in full["steps"]}


async def test_a_risky_call_is_made_once_a_person_approves_it(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    asked: Asked = []
    settings = make_settings()
    async with Client(
        build_server(settings), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        done = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, DELETE)}))
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
    answer = _answering([], "accept", {"decision": "reject", "reason": "still needed"})
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(build_server(settings), mode=era, elicitation_callback=answer) as client:
        plan_id = await _plan(client, DELETE)
        done = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert await _states(client, plan_id) == {1: "rejected", 2: "succeeded", 3: "skipped"}
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
        build_server(make_settings()), mode=era, elicitation_callback=_answering(asked, action, content)
    ) as client:
        plan_id = await _plan(client, DELETE)
        with anyio.fail_after(10):
            waiting = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert waiting["status"] == "waiting"
        assert f"forethought decide {waiting['run_id']}" in waiting["next"]
        assert await _states(client, plan_id) == {1: "waiting", 2: "succeeded", 3: "pending"}
    assert len(asked) == 1, "one call asks once"
    assert (work / "old.txt").exists()


async def test_a_client_that_never_answers_gets_the_run_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async def silent(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async with Client(build_server(make_settings(patience=0.3)), mode="legacy", elicitation_callback=silent) as client:
        plan_id = await _plan(client, DELETE)
        with anyio.fail_after(10):
            waiting = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
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

    steps: list[dict[str, Any]] = []
    for number in range(1, 7):
        (work / f"f{number}.txt").write_text("x", encoding="utf-8")
        steps.append(
            {
                "id": number,
                "tool": "delete_file",
                "arguments": {"path": f"f{number}.txt"},
                "depends_on": [number - 1] if number > 1 else [],
            }
        )
    async with Client(
        build_server(make_settings(patience=3.0, silence=20)), mode="legacy", elicitation_callback=slow
    ) as client:
        waiting = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)}))
    assert waiting["status"] == "waiting"
    assert 1 <= len(asked) <= 4


async def test_where_nobody_can_be_asked_the_run_waits_and_goes_on_when_a_person_decides_elsewhere(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await _plan(client, DELETE)
        waiting = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
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
            while (done := _view(await client.call_tool("execute_plan", {"plan_id": plan_id})))[
                "status"
            ] != "succeeded":
                assert done["status"] in ("waiting", "running")
        used = other.queries.message(gate["gate"])
        other.close()
    assert (used.state, used.by, used.channel) == ("used", "person at the terminal", "terminal")
    assert not (work / "old.txt").exists()


async def test_several_gates_are_asked_together_and_each_answer_reaches_its_own(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps: list[dict[str, Any]] = []
    for number in range(1, 13):
        (work / f"f{number}.txt").write_text("x", encoding="utf-8")
        steps.append({"id": number, "tool": "delete_file", "arguments": {"path": f"f{number}.txt"}})
    together = 0
    all_asked = anyio.Event()

    async def odd_ones(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        nonlocal together
        together += 1
        if together == len(steps):
            all_asked.set()
        await all_asked.wait()
        number = int(params.message.split("path: f")[1].split(".txt")[0])
        return ElicitResult(action="accept", content={"decision": "approve" if number % 2 else "reject"})

    async with Client(build_server(make_settings()), mode=era, elicitation_callback=odd_ones) as client:
        plan_id = await _plan(client, steps)
        with anyio.fail_after(20):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
        states = await _states(client, plan_id)
    assert states == {n: "succeeded" if n % 2 else "rejected" for n in range(1, 13)}
    assert {f"f{n}.txt" for n in range(1, 13) if (work / f"f{n}.txt").exists()} == {
        f"f{n}.txt" for n in range(2, 13, 2)
    }


async def test_gates_one_after_another_stay_within_the_rounds_of_a_client(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps: list[dict[str, Any]] = []
    for number in range(1, 12):
        (work / f"f{number}.txt").write_text("x", encoding="utf-8")
        steps.append(
            {
                "id": number,
                "tool": "delete_file",
                "arguments": {"path": f"f{number}.txt"},
                "depends_on": [number - 1] if number > 1 else [],
            }
        )
    asked: Asked = []
    async with Client(
        build_server(make_settings(silence=30)), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        plan_id = await _plan(client, steps)
        first = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert first["status"] == "waiting"
        assert len(asked) == 8, "after eight rounds the id is handed back"
        assert _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"
    assert len(asked) == 11


async def test_no_tool_of_the_model_can_decide_a_gate(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan_id = await _plan(client, DELETE)
        waiting = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        gate = waiting["waiting_on"][0]["gate"]
        for answer in (APPROVE, True, "approve", {"approved": True, "reason": "", "by": "", "channel": ""}):
            answers = [{"order": gate, "answer": answer}]
            result = await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            assert result.is_error
        assert _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "waiting"
    assert (work / "old.txt").exists()


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
        build_server(settings), mode="2026-07-28", elicitation_callback=_answering([], "cancel")
    ) as client:
        one = await _plan(client, DELETE[:1])
        two = await _plan(client, [{"id": 1, "tool": "delete_file", "arguments": {"path": "other.txt"}}])
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
        assert _view(done)["status"] == "succeeded"
        assert not (work / "old.txt").exists()
        (work / "old.txt").write_text("again", encoding="utf-8")
        await client.call_tool("execute_plan", {"plan_id": one, "again": True})
        replay = await call(client, one, request_state=asked_one.request_state, input_responses=accept(gate_one))
        assert isinstance(replay, CallToolResult)
        assert _view(replay)["run_id"] == _view(done)["run_id"], (
            "the old answer belongs to the old run, which has ended"
        )
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
        build_server(settings), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        run = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)}))
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
        build_server(make_settings()), mode=era, elicitation_callback=_answering(asked, "decline")
    ) as client:
        await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)})
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
        build_server(settings), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        waiting = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)}))
    assert asked == []
    assert waiting["status"] == "waiting"
    assert "forethought decide" in waiting["next"]
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    assert " evil " in gate_text(gate, store.queries.run(waiting["run_id"]))
    store.close()


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
        plan_id = await _plan(client, [DELETE[0], *chain])
        with anyio.fail_after(30):
            done = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded"
    assert states[0] < 20, "asked in the middle of the chain, not at its end"


async def test_a_question_that_was_decided_elsewhere_is_taken_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(patience=60)

    async def elsewhere(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        store = open_store(settings)
        (gate,) = store.queries.open_messages(kind="gate")
        store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
        store.close()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async with Client(build_server(settings), mode="legacy", elicitation_callback=elsewhere) as client:
        plan_id = await _plan(client, DELETE)
        with anyio.fail_after(15):
            assert _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"


async def test_a_gate_after_an_order_is_asked_within_the_same_report(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "analyze", "arguments": {"question": "which file?"}},
        {"id": 2, "tool": "delete_file", "arguments": {"path": "{{1}}"}},
    ]
    asked: Asked = []
    async with Client(
        build_server(make_settings(silence=30)), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        waiting = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)}))
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "old.txt"}]
        done = _view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
    assert len(asked) == 1
    assert not (work / "old.txt").exists()


async def test_starting_anew_starts_once_however_often_the_call_is_repeated(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """In the 2026 era the client repeats `again=true` with its answers; the run may have ended meanwhile."""
    settings = make_settings()

    async def slow(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        store = open_store(settings)
        (gate,) = store.queries.open_messages(kind="gate")
        store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
        with anyio.fail_after(10):
            while store.queries.run(gate.run).state != "succeeded":
                await anyio.lowlevel.checkpoint()
        store.close()
        return ElicitResult(action="accept", content=APPROVE)

    async with Client(build_server(settings), mode="2026-07-28", elicitation_callback=slow) as client:
        plan_id = await _plan(client, DELETE)
        done = _view(await client.call_tool("execute_plan", {"plan_id": plan_id, "again": True}))
    store = open_store(settings)
    runs = store.queries.runs(plan=plan_id)
    store.close()
    assert [run.id for run in runs] == [done["run_id"]]


async def test_a_run_goes_on_only_where_the_same_folders_are_granted(
    make_settings: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "old.txt").write_text("not this one", encoding="utf-8")
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = await _plan(client, DELETE)
        run_id = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
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
            while _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] != "succeeded":
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
        build_server(settings), mode=era, elicitation_callback=_answering(asked, "accept", APPROVE)
    ) as client:
        done = _view(await client.call_tool("execute_plan", {"plan_id": await _plan(client, steps)}))
    assert done["status"] == "failed"
    assert "run_command cannot use these arguments" in done["error"]
    assert asked == []


async def test_decisions_survive_the_server(make_settings: Callable[..., Settings], era: str, work: Path) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await _plan(client, DELETE)
        run_id = _view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
    store = open_store(settings)
    gates: list[MessageRow] = store.queries.open_messages(run_id, "gate")
    store.commit(run_id, *decision_facts(gates[0], Decision("approve", by="p", channel="terminal"), TOOLS))
    store.close()
    async with Client(build_server(settings), mode=era) as client:
        with anyio.fail_after(10):
            while (done := _view(await client.call_tool("execute_plan", {"plan_id": plan_id})))[
                "status"
            ] != "succeeded":
                pass
        full = _view(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "full"}))
    assert done["run_id"] == run_id
    assert json.dumps(full).count('"attempt": 1') == 3, "finished steps were not run again"
    assert not (work / "old.txt").exists()
