"""The four checkpoints (plan, risk, confidence, budget) and the decisions at them, as an MCP client meets them."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.client.session import ElicitationFnT
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult

from forethought.app import open_store
from forethought.gates.decisions import decision_facts
from forethought.journal.database import StaleError
from forethought.journal.rows import Entry
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision, Policy
from forethought_tools import JSON, AnswerError, Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

TOOLS = builtin(Folders([]))
DONE: dict[str, JSON] = {"done": True, "answer": "It is done.", "missing": ""}
NEVER = Terms(replan="never")

Form = Mapping[str, Any]


def _view(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


def _person(*forms: Form, seen: list[str] | None = None) -> ElicitationFnT:
    """Fills in the forms in this order, and the last one from there on."""
    left = list(forms)

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        if seen is not None:
            seen.append(params.message)
        return ElicitResult(action="accept", content=dict(left.pop(0) if len(left) > 1 else left[0]))

    return elicit


def _write(number: int, path: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "write_file", "arguments": {"path": path, "content": "x"}, **more}


def _delete(number: int, path: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "delete_file", "arguments": {"path": path}, **more}


def _flat(*steps: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "description": "",
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    return {
        "reasoning": "",
        "steps": [
            {**plain, **each, "arguments": [{"name": n, "value": v} for n, v in each["arguments"].items()]}
            for each in steps
        ],
    }


async def _run(client: Client, steps: Sequence[Mapping[str, Any]], **terms: Any) -> dict[str, Any]:
    plan = _view(await client.call_tool("create_plan", {"goal": "tidy up", "steps": list(steps)}))
    return _view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], **terms}))


def _names(folder: Path, pattern: str) -> list[str]:
    return sorted(file.name for file in folder.glob(pattern))


async def _full(client: Client, run: Mapping[str, Any]) -> dict[str, Any]:
    return _view(await client.call_tool("get_plan", {"plan_id": run["plan_id"], "view": "full"}))


def _journal(settings: Settings, run: Mapping[str, Any], kind: str) -> list[Entry]:
    store = open_store(settings)
    entries = [entry for entry in store.queries.journal(run["run_id"], limit=1000) if entry.kind == kind]
    store.close()
    return entries


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[..., str]:
    """The name of a model that says what it is told, by role."""

    def script(**roles: Sequence[JSON]) -> str:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(roles), encoding="utf-8")
        return f"scripted:{file}"

    return script


async def test_a_tool_that_fails_is_tried_again_planned_around_and_the_run_succeeds(
    make_settings: Callable[..., Settings], scripted: Callable[..., str], era: str, work: Path
) -> None:
    read: dict[str, Any] = {"id": 1, "tool": "read_file", "arguments": {"path": "missing.txt"}}
    save: dict[str, Any] = {
        "id": 2,
        "tool": "write_file",
        "arguments": {"path": "copy.txt", "content": "{{1}}"},
        "expected_output": "the file is there",
    }
    model = scripted(
        planner=[
            _flat(read, save, {"id": 3, "tool": "read_file", "arguments": {"path": "a.txt"}}),
            _flat({**save, "id": 4, "arguments": {"path": "copy.txt", "content": "{{3}}"}}),
        ],
        executor=[{"arguments": {"path": "also-missing.txt"}, "confidence": 0.9}],
        evaluator=[{"success": True, "issues": [], "suggestion": ""}],
        joiner=[DONE],
    )
    async with Client(build_server(make_settings(model=model)), mode=era) as client:
        done = _view(await client.call_tool("execute_plan", {"goal": "copy the text"}))
        full = await _full(client, done)
        arguments = {"plan_id": done["plan_id"], "view": "diff"}
        diff = _view(await client.call_tool("get_plan", arguments))
        assert _view(await client.call_tool("get_plan", {**arguments, "revision": 2, "against": 1})) == diff
        none = await client.call_tool("get_plan", {**arguments, "against": 7})
        assert none.is_error
    assert (done["status"], done["answer"], done["revision"]) == ("succeeded", "It is done.", 2)
    assert (work / "copy.txt").read_text(encoding="utf-8") == "alpha\n"
    assert {step["id"]: (step["state"], step["attempt"]) for step in full["steps"]} == {
        3: ("succeeded", 1),
        4: ("succeeded", 1),
    }
    assert full["models"]["planner"] == "scripted"
    assert [line[:4] for line in diff["diff"]] == ["- 1.", "- 2.", "+ 4."]
    assert "also-missing.txt" in diff["why"]


async def test_a_person_approves_rejects_with_a_reason_or_edits_the_whole_plan(
    make_settings: Callable[..., Settings], scripted: Callable[..., str], era: str, work: Path
) -> None:
    seen: list[str] = []
    forms: list[Form] = [
        {"decision": "reject", "reason": "not old.txt"},
        {"decision": "edit", "drop": "3"},
    ]
    model = scripted(planner=[_flat(_write(2, "b.txt"), _write(3, "c.txt"))])
    settings = make_settings(model=model)
    async with Client(build_server(settings), mode=era, elicitation_callback=_person(*forms, seen=seen)) as client:
        done = await _run(client, [_delete(1, "old.txt")], approve_plan=True)
    assert done["status"] == "succeeded"
    assert (work / "old.txt").exists()
    assert (work / "b.txt").exists()
    assert not (work / "c.txt").exists()
    assert "Revision 1 of the plan wants to run: 1 step," in seen[0]
    assert "1. delete_file (high)" in seen[0]
    assert "Estimated: no model calls" in seen[0]
    assert "Revision 2" in seen[1]
    bodies: list[Any] = [entry.body["body"] for entry in _journal(settings, done, "plan_revised")]
    assert [body["why"] for body in bodies] == [
        "A person rejected the plan: not old.txt",
        "a person edited the plan",
    ]


async def test_a_tool_can_be_approved_for_the_rest_of_the_run_but_never_a_high_one(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    for name in ("d1.txt", "d2.txt"):
        (work / name).write_text("x", encoding="utf-8")
    steps = [
        _write(1, "w1.txt"),
        _write(2, "w2.txt", depends_on=[1]),
        _write(3, "w3.txt", depends_on=[2]),
        _delete(4, "d1.txt", depends_on=[3]),
        _delete(5, "d2.txt", depends_on=[4]),
    ]
    forms: list[Form] = [{"decision": "approve_tool"}, {"decision": "approve"}]
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=_person(*forms, seen=seen)) as client:
        done = await _run(client, steps, ask_from="medium")
    assert done["status"] == "succeeded"
    assert [text.split("\n")[0] for text in seen] == [
        "Step 1 wants to call write_file.",
        "Step 4 wants to call delete_file.",
        "Step 5 wants to call delete_file.",
    ]
    assert [entry.body["step"] for entry in _journal(settings, done, "step_allowed")] == [2, 3]
    store = open_store(settings)
    gates = [gate.body["choices"] for gate in store.queries.messages(done["run_id"], "gate")]
    store.close()
    assert gates[0] == ["approve", "approve_tool", "edit", "reject", "cancel"]
    assert gates[1] == gates[2] == ["approve", "edit", "reject", "cancel"]


async def test_high_is_not_approved_for_the_rest_though_the_form_says_so(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    forged = _person({"decision": "approve_tool"})
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=forged) as client:
        waiting = await _run(client, [_delete(1, "old.txt")])
    assert waiting["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_arguments_can_be_edited_and_what_is_wrong_with_them_is_said(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    (work / "older.txt").write_text("x", encoding="utf-8")
    forms: list[Form] = [
        {"decision": "edit", "arguments": "{not json"},
        {"decision": "edit", "arguments": '{"file": "older.txt"}'},
        {"decision": "edit", "arguments": '{"path": "older.txt"}'},
    ]
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=_person(*forms, seen=seen)) as client:
        done = await _run(client, [_delete(1, "old.txt")])
        full = await _full(client, done)
    assert done["status"] == "succeeded"
    assert (work / "old.txt").exists()
    assert not (work / "older.txt").exists()
    assert "this is not JSON" in seen[1]
    assert "'path' is a required property" in seen[2]
    assert full["steps"][0]["result"]["path"] == "older.txt"


async def test_cancel_stops_the_whole_run(make_settings: Callable[..., Settings], era: str, work: Path) -> None:
    cancel = _person({"decision": "cancel", "reason": "wrong folder"})
    steps = [_delete(1, "old.txt"), {"id": 2, "tool": "wait", "arguments": {"seconds": 3000}}]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=cancel) as client:
        with anyio.fail_after(20):
            done = await _run(client, steps)
            while done["status"] == "running":
                done = _view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    assert done["status"] == "cancelled"
    assert done["error"] == "Cancelled by a person. wrong folder"
    assert (work / "old.txt").exists()


async def test_steps_the_planner_is_unsure_of_wait(make_settings: Callable[..., Settings], era: str) -> None:
    seen: list[str] = []
    approve = _person({"decision": "approve"}, seen=seen)
    steps = [_write(1, "w.txt", confidence=0.3), _write(2, "v.txt", confidence=0.9)]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        done = await _run(client, steps, ask_below=0.5)
    assert done["status"] == "succeeded"
    assert len(seen) == 1
    assert "only 30% sure" in seen[0]


async def test_the_text_tells_all_that_a_person_needs(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    approve = _person({"decision": "approve"}, seen=seen)
    steps = [{**_write(1, "w.txt", description="Keep the list"), "arguments": {"path": "w.txt", "content": "y" * 9000}}]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        await _run(client, steps, ask_from="medium")
    (text,) = seen
    for told in (
        "Step 1 wants to call write_file.",
        "path: w.txt",
        "[... 9000 characters in all, SHA-256 ",
        "Risk: medium. It changes something. It is meant to: Keep the list",
        "Undo: ",
        f"Folders: {work}",
        "Spent so far: 0 dollars, 0 tokens, 0 model calls, 0 tool calls",
        "Goal: tidy up",
    ):
        assert told in text, told
    assert len(text) < 2500


@pytest.mark.parametrize(("verb", "status"), [("approve", "succeeded"), ("edit", "succeeded"), ("reject", "failed")])
async def test_beyond_a_budget_a_person_is_asked_and_refusal_keeps_what_was_done(
    make_settings: Callable[..., Settings], era: str, work: Path, verb: str, status: str
) -> None:
    seen: list[str] = []
    form: Form = {"decision": verb, **({"limit": 10} if verb == "edit" else {})}
    steps = [_write(n, f"w{n}.txt", depends_on=[n - 1] if n > 1 else []) for n in range(1, 8)]
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings), mode=era, elicitation_callback=_person(form, seen=seen)) as client:
        done = await _run(client, steps, budget={"tool_calls": 5})
    assert done["status"] == status
    written = _names(work, "w*.txt")
    assert len(written) == (5 if verb == "reject" else 7)
    assert "would go beyond the budget of 5 tool calls" in seen[0]
    assert "tool calls: 5 of 5 are spent" in seen[0]
    assert len(seen) == 1
    assert next(entry.body["spent"] for entry in _journal(settings, done, "budget_nearly_spent")) == 4
    if verb == "reject":
        assert "budget of 5 tool calls is used up" in done["error"]
        assert done["warnings"] == ["5 of 5 tool calls are spent"]


async def test_model_calls_tokens_and_money_are_counted_before_they_are_spent(
    make_settings: Callable[..., Settings], scripted: Callable[..., str], era: str
) -> None:
    steps = [{"id": n, "tool": "analyze", "arguments": {"question": f"q{n}"}} for n in range(1, 7)]
    model = scripted(executor=[{"always": "an answer"}])
    async with Client(build_server(make_settings(model=model, terms=NEVER)), mode=era) as client:
        waiting = await _run(client, steps, budget={"model_calls": 4})
        assert waiting["status"] == "waiting"
        assert waiting["waiting_on"][0]["kind"] == "budget"
        assert waiting["usage"].startswith("model calls: 4,")
        tokens = await _run(client, steps, budget={"tokens": 5})
        assert tokens["status"] == "waiting"
        assert "usage" not in tokens, "nothing was spent before the person was asked"


async def test_a_price_that_nobody_knows_is_said_and_not_taken_for_nothing(
    make_settings: Callable[..., Settings], era: str
) -> None:
    seen: list[str] = []
    settings = make_settings(model="a-model-of-nobody", base_url="http://127.0.0.1:9/v1", terms=NEVER)
    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "q"}}]
    reject = _person({"decision": "reject"}, seen=seen)
    async with Client(build_server(settings), mode=era, elicitation_callback=reject) as client:
        done = await _run(client, steps, budget={"dollars": 1})
    assert "The price of a-model-of-nobody is not known" in seen[0]
    assert done["status"] == "failed"
    assert "did not want to go on" in done["error"]


async def test_a_caller_can_make_a_run_stricter_and_never_looser(make_settings: Callable[..., Settings]) -> None:
    strict = Terms(policy=Policy(ask_from=Risk.LOW, ask_below=0.8, approve_plan=True), budget={"tokens": 10})
    loose = strict.tightened(ask_from="high", ask_below=0.1, approve_plan=False, budget={"tokens": 99, "dollars": 1})
    assert loose.policy == strict.policy
    assert loose.budget == {"tokens": 10, "dollars": 1}
    assert Terms.from_body(loose.body()) == loose
    async with Client(build_server(make_settings())) as client:
        waiting = await _run(client, [_delete(1, "old.txt")], risks={"delete_*": "low"})
        assert waiting["status"] == "waiting", "a pattern of the caller raises, and never lowers"
        raised = await _run(client, [_write(1, "w.txt")], risks={"write_*": "high"})
        assert raised["status"] == "waiting"
        refused = await client.call_tool("execute_plan", {"goal": "g", "budget": {"patience": 1}})
    assert refused.is_error
    assert "tool_calls" in str(refused.content)


async def test_the_users_own_patterns_lower_the_risk_of_trusted_tools(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(risks={"*_file": Risk.HIGH, "delete_*": Risk.MEDIUM})
    async with Client(build_server(settings)) as client:
        assert (await _run(client, [_delete(1, "old.txt")]))["status"] == "succeeded"
        assert (await _run(client, [_write(1, "w.txt")]))["status"] == "waiting"
    assert not (work / "old.txt").exists()


async def test_an_approval_that_was_not_used_in_time_is_void(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(decision_seconds=0.000_001)
    async with Client(build_server(settings)) as client:
        waiting = await _run(client, [_delete(1, "old.txt")])
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
    store.close()
    async with Client(build_server(settings)) as client:
        again = _view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
        assert again["status"] == "waiting"
        assert [each["gate"] for each in again["waiting_on"]] == [gate.id], "the same question is open again"
    assert (work / "old.txt").exists()
    async with Client(build_server(make_settings())) as client:
        store = open_store(settings)
        store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
        store.close()
        with anyio.fail_after(20):
            while (
                _view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))["status"] != "succeeded"
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
        plan = _view(await client.call_tool("create_plan", {"goal": "g", "steps": [_delete(1, "old.txt")]}))
        with pytest.raises(MCPError, match="requestState"):
            await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        assert _view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"]}))["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_a_decision_reaches_its_own_gate_and_no_other(make_settings: Callable[..., Settings], work: Path) -> None:
    """Of another run, another plan, a gate that is closed, decided or never was."""
    settings = make_settings(terms=NEVER)
    approve = Decision("approve", by="p", channel="terminal")
    async with Client(build_server(settings)) as client:
        one = await _run(client, [_delete(1, "old.txt")])
        two = await _run(client, [_delete(1, "a.txt")])
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
        store.close()
        with anyio.fail_after(20):
            while (done := _view(await client.call_tool("execute_plan", {"plan_id": one["plan_id"]})))["status"] in (
                "waiting",
                "running",
            ):
                pass
    assert done["status"] == "failed"
    assert (work / "old.txt").exists()
    assert (work / "a.txt").exists()


async def test_what_has_returned_is_not_done_again_though_its_verdict_takes_days(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """In host mode the verdict is a work order; the server may be another one when it comes."""
    settings = make_settings(risks={"run_command": Risk.MEDIUM})
    steps = [{"id": 1, "tool": "run_command", "arguments": {"command": "echo x >> log"}, "expected_output": "a line"}]
    async with Client(build_server(settings), mode=era) as client:
        waiting = await _run(client, steps)
        (order,) = waiting["waiting_on"]
        assert order["role"] == "evaluator"
    good = [{"order": order["order"], "answer": {"success": True, "issues": [], "suggestion": ""}}]
    async with Client(build_server(settings), mode=era) as client:
        done = _view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": good}))
    assert done["status"] == "succeeded"
    assert (work / "log").read_text(encoding="utf-8") == "x\n"


async def test_without_a_model_mending_and_planning_anew_become_work_orders(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        waiting = await _run(client, [{"id": 1, "tool": "read_file", "arguments": {"path": "b.txt"}}])

        async def hand_in(answer: JSON) -> dict[str, Any]:
            (order,) = waiting["waiting_on"]
            answers = [{"order": order["order"], "answer": answer}]
            return _view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))

        assert waiting["waiting_on"][0]["role"] == "executor"
        waiting = await hand_in({"arguments": {"path": "c.txt"}, "confidence": 1})
        assert waiting["waiting_on"][0]["role"] == "planner"
        fresh: JSON = {
            "id": 2,
            "description": "",
            "tool": "read_file",
            "arguments": {"path": "a.txt"},
            "depends_on": [],
            "expected_output": "",
        }
        waiting = await hand_in({"reasoning": "", "steps": [fresh]})
    assert waiting["status"] == "succeeded"
    assert waiting["answer"] == {"step 2 (read_file)": "alpha\n"}


async def test_a_plan_runs_only_where_the_folders_it_was_made_for_are_granted(
    make_settings: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    other = tmp_path / "other place"
    other.mkdir()
    async with Client(build_server(make_settings())) as client:
        plan = _view(await client.call_tool("create_plan", {"goal": "g", "steps": [_write(1, "w.txt")]}))
    async with Client(build_server(make_settings(folders=(other,)))) as client:
        refused = await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
    assert refused.is_error
    assert f"--folder {work}" in str(refused.content)
    assert _names(other, "*") == []


async def test_work_orders_are_not_held_up_by_a_person_who_thinks(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    steps = [_delete(1, "old.txt"), {"id": 2, "tool": "analyze", "arguments": {"question": "q"}}]
    approve = _person({"decision": "approve"}, seen=seen)
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        waiting = await _run(client, steps)
        assert seen == []
        (order,) = [each for each in waiting["waiting_on"] if "order" in each]
        answers = [{"order": order["order"], "answer": "an answer"}]
        done = _view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
    assert len(seen) == 1


async def test_a_question_about_the_budget_cuts_off_nobody(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """What must not be done twice is waited for before the run is put away."""
    (work / "fifo.sh").write_text("while [ ! -e go ]; do sleep 0.05; done; echo x >> log", encoding="utf-8")
    settings = make_settings(risks={"run_command": Risk.MEDIUM}, terms=NEVER, silence=10)

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        (work / "go").touch()
        return ElicitResult(action="accept", content={"decision": "approve"})

    steps: list[dict[str, Any]] = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "sh fifo.sh"}},
        *(
            {"id": n, "tool": "calculate", "arguments": {"expression": "1"}, "depends_on": [n - 1] if n > 2 else []}
            for n in (2, 3, 4)
        ),
    ]
    async with Client(build_server(settings), mode=era, elicitation_callback=elicit) as client:
        with anyio.fail_after(30):
            done = await _run(client, steps, budget={"tool_calls": 3})
            while done["status"] in ("running", "waiting"):
                done = _view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    assert done["status"] == "succeeded", done
    assert (work / "log").read_text(encoding="utf-8") == "x\n"
    assert len(_journal(settings, done, "step_started")) == 4


async def test_a_run_that_has_ended_leaves_nothing_pending(make_settings: Callable[..., Settings]) -> None:
    reject = _person({"decision": "reject", "reason": "enough"})
    settings = make_settings(terms=NEVER)
    steps = [_write(n, f"w{n}.txt", depends_on=[n - 1] if n > 1 else []) for n in range(1, 5)]
    async with Client(build_server(settings), elicitation_callback=reject) as client:
        for terms in ({"approve_plan": True}, {"budget": {"tool_calls": 2}}):
            full = await _full(client, await _run(client, steps, **terms))
            assert full["status"] == "failed"
            assert {step["state"] for step in full["steps"]} <= {"succeeded", "failed", "skipped"}
