"""Whatever stands in a form, it becomes a decision that its gate can take, or a fault that says what is wrong."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought.gates.decisions import decision_facts
from forethought.gates.forms import about, form, read_form
from forethought.journal.codec import gate_body, gate_of
from forethought.journal.rows import MessageRow, RunRow
from forethought_patterns import Gate, Plan, Policy, Step
from forethought_patterns.gates import call_gate, plan_gate
from forethought_patterns.loop_gate import calls_gate
from forethought_tools import JSON, AnswerError, schema_faults
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

TOOLS = builtin(Folders([]))
STEPS = (
    Step(id=1, tool="read_file", arguments={"path": "a"}),
    Step(id=2, tool="delete_file", arguments={"path": "{{1}}"}),
)


def _gates() -> list[Gate]:
    call = call_gate(STEPS[1], {"path": "a"}, TOOLS, Policy())
    assert call
    plan = plan_gate(Plan("g", STEPS), TOOLS, Policy(), estimate="", finished=[1], next_step=5)
    budget = Gate("budget", "s", {}, "r", "d", ("approve", "edit", "reject", "cancel"))
    return [call, plan, budget, calls_gate(STEPS[1], {0: call, 4: call}, 6)]


texts = st.sampled_from(
    [
        "",
        "{}",
        "[]",
        "[[",
        '{"path": "b"}',
        '{"path": 5}',
        "null",
        "3",
        "2",
        "1, 2",
        "x",
        "[" * 5000,
        "9" * 5000,
        '[{"id": ' + "9" * 4000 + "}]",
        '{"path": ' + "9" * 5000 + "}",
        '[{"id": []}]',
        '[{"id": 1, "tool": "wait", "arguments": {"seconds": 0}}]',
        '[{"id": 3, "tool": "wait"}]',
        "٣",
        '[{"id": 7, "tool": "wait", "arguments": {"seconds": 0}}]',
    ],
) | st.text(max_size=20)
values = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers(), max_size=2)
verbs = st.sampled_from(["approve", "approve_tool", "edit", "edit", "edit", "reject", "cancel", "yes", ""])


@settings(max_examples=400, deadline=None)
@given(
    which=st.integers(0, 3),
    verb=verbs | values,
    more=st.dictionaries(
        st.sampled_from(["reason", "arguments", "drop", "steps", "limit", "also"]), values, max_size=3
    ),
)
def test_any_form_is_a_decision_or_a_fault(which: int, verb: JSON, more: dict[str, JSON]) -> None:
    gate = _gates()[which]
    row = MessageRow("gate_1", "run_1", "k", "gate", 1, gate_body(gate), "open", None, 0, "", "", 0.0, None, 1)
    assert gate_of(row).text({}) == gate.text({})
    content: dict[str, JSON] = {"decision": verb, **more}
    with suppress(AnswerError):
        decision = read_form(gate, content, by="p", channel="test")
        fact, *stop = decision_facts(row, decision, TOOLS)
        assert bool(stop) == (decision.verb == "cancel")
        assert decision.verb in gate.choices
        assert "also" not in {name for name, value in content.items() if value not in ("", None)}
        if decision.verb == "edit" and gate.kind == "call":
            assert not schema_faults(TOOLS.known("delete_file").parameters, dict(decision.arguments or {}))
        if decision.verb == "edit" and gate.kind == "plan":
            assert STEPS[0].arguments in [step["arguments"] for step in decision.steps or () if isinstance(step, dict)]
        assert fact.kind == "answered"


@pytest.mark.parametrize(
    "said", ["Approve", "APPROVE", " approve", "approve ", "approve_", '"approve"', "approve-tool", "yes"]
)
def test_only_the_very_word_of_a_choice_is_consent(said: str) -> None:
    for gate in _gates():
        with pytest.raises(AnswerError):
            read_form(gate, {"decision": said}, by="p", channel="test")


def test_a_number_without_end_is_no_id() -> None:
    for gate in _gates()[1:4:2]:
        with pytest.raises(AnswerError, match="no list of ids"):
            read_form(gate, {"decision": "edit", "drop": "1, " + "9" * 5000}, by="p", channel="test")
        assert read_form(gate, {"decision": "edit", "drop": "5"}, by="p", channel="test").verb == "edit"


@pytest.mark.parametrize(
    ("drop", "fault"),
    [("", "no item is named"), ("2", "2 is none of the items"), ("1, 9", "9 is none of the items"), ("5", "")],
)
def test_of_items_only_those_that_were_shown_can_be_left_out(drop: str, fault: str) -> None:
    gate = _gates()[3]
    row = MessageRow("gate_1", "run_1", "k", "gate", 1, gate_body(gate), "open", None, 0, "", "", 0.0, None, 1)
    decision = read_form(gate, {"decision": "edit", "drop": drop}, by="p", channel="test")
    if not fault:
        assert [each.kind for each in decision_facts(row, decision, TOOLS)] == ["answered"]
        return
    with pytest.raises(AnswerError, match=fault):
        decision_facts(row, decision, TOOLS)


def test_a_form_is_flat() -> None:
    for gate in _gates():
        for field in form(gate)["properties"].values():
            assert field["type"] in ("string", "number")
            assert not {"properties", "items", "anyOf", "$ref"} & field.keys()


def test_what_another_server_asks_is_shown_with_its_choices_and_a_text_may_stay_blank() -> None:
    fields: dict[str, dict[str, JSON]] = {
        "a": {"name": "town", "needed": True, "schema": {"type": "string", "title": "Town", "description": "Where to"}},
        "b": {"name": "size", "needed": False, "schema": {"type": "string", "enum": ["s", "m"]}},
        "c": {"name": "number", "needed": True, "schema": {"type": "integer"}},
    }
    gate = Gate("question", "s", {}, "r", "d", ("answer", "reject"), tool="shop/order", fields=fields)
    shown = form(gate)["properties"]
    assert shown["a"] == {"type": "string", "description": f"{gate.tool} wants: Town: Where to.", "default": ""}
    assert shown["b"]["description"] == f"{gate.tool} wants (optional): size. One of: s, m."
    assert "default" not in shown["b"]
    assert "default" not in shown["c"]
    with pytest.raises(AnswerError, match="it is needed"):
        read_form(gate, {"decision": "answer", "a": "Oslo"}, by="p", channel="test")
    given = read_form(gate, {"decision": "answer", "a": "Oslo", "c": 3}, by="p", channel="test")
    assert given.arguments == {"town": "Oslo", "number": 3}


def test_a_person_is_told_what_a_run_has_spent() -> None:
    run = RunRow(
        id="run_1", plan="plan_1", kind="plan", state="waiting", epoch=1, owner=None, revision=1, replans=0, answer="",
        options={"goal": "g" * 400, "folders": ["/a", "/b"]}, error="", stopping=0, pausing=0, undoes="", budget={},
        dollars=0.25, unpriced=0, model_calls=3, input_tokens=1000, output_tokens=200, tool_calls=4, seconds=5.0,
        created=0.0, ended=None,
    )  # fmt: skip # a field for each column
    told = about(run)
    assert "1200 tokens" in told["Spent so far"].replace(",", "")
    assert "unknown price" not in told["Spent so far"]
    assert told["Folders"] == "/a, /b"
    assert told["Goal"] == "g" * 300
    unpriced = about(replace(run, unpriced=2, options={"goal": "g"}))
    assert "(2 calls of unknown price)" in unpriced["Spent so far"]
    assert unpriced["Folders"] == "none"
