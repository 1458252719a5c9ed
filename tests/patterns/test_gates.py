"""Which calls wait for a person. Unknown means high."""

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns import Decision, Model, Plan, Slot, Step
from forethought_patterns.gate_lines import in_brief
from forethought_patterns.gates import (
    Gate,
    Policy,
    call_gate,
    decision_faults,
    digest,
    doubt_gate,
    edited,
    plan_gate,
    visible,
)
from forethought_patterns.in_memory import InMemoryJournal
from forethought_patterns.tool_calls import keep
from forethought_tools import JSON, Answerer, Registry, Risk, Tool, ToolError, Undo


async def _nothing(_: object, __: Answerer) -> JSON:
    return None


def _registry(**risks: Risk) -> Registry:
    return Registry(
        [
            *(
                Tool(name, "", {"type": "object"}, _nothing, risk, reads_only=risk == Risk.LOW)
                for name, risk in risks.items()
            ),
            Tool("undeclared", "", {"type": "object"}, _nothing),
        ]
    )


def _gate(tool: str, tools: Registry, policy: Policy | None = None) -> Gate | None:
    return call_gate(Step(id=1, tool=tool), {}, tools, policy or Policy())


def test_high_asks_and_the_rest_does_not_unless_told_to() -> None:
    tools = _registry(low=Risk.LOW, medium=Risk.MEDIUM, high=Risk.HIGH)
    asked = {name: _gate(name, tools) is not None for name in ("low", "medium", "high")}
    assert asked == {"low": False, "medium": False, "high": True}
    assert _gate("medium", tools, Policy(ask_from=Risk.MEDIUM)) is not None


def test_a_tool_that_declares_no_risk_and_one_that_nobody_knows_are_high() -> None:
    undeclared = _gate("undeclared", _registry())
    unknown = _gate("nonsense", _registry())
    assert undeclared is not None
    assert undeclared.risk == Risk.HIGH
    assert unknown is not None
    assert unknown.risk == Risk.HIGH
    assert "Nobody knows" in unknown.reason


def test_a_person_is_told_why_by_what_the_tool_does_and_not_by_what_it_counts_as() -> None:
    async def before(_: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {}

    def keeps(_: Mapping[str, JSON]) -> bool:
        return True

    undone = SimpleNamespace(before=before, keeps=keeps)
    tools = Registry(
        [
            Tool("reads", "", {"type": "object"}, _nothing, Risk.LOW, reads_only=True),
            Tool("writes", "", {"type": "object"}, _nothing, Risk.MEDIUM, undo=cast("Undo", undone)),
            Tool("sends", "", {"type": "object"}, _nothing, Risk.HIGH, trusted=True),
        ],
        risks={"reads": Risk.HIGH, "writes": Risk.HIGH, "sends": Risk.MEDIUM},
    )
    gates = [_gate(name, tools, Policy(ask_from=Risk.MEDIUM)) for name in ("reads", "writes", "sends")]
    told = [gate.reason for gate in gates if gate]
    assert told == ["It only reads.", "It changes something.", "What it does cannot be undone."]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), json_values, max_size=3), st.dictionaries(st.text(), json_values, max_size=3))
def test_a_digest_tells_apart_what_differs_and_nothing_else(one: dict[str, JSON], two: dict[str, JSON]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (digest("t", one) == digest("t", two)) == same
    assert digest("t", one) == digest("t", dict(reversed(one.items())))
    assert digest("t", one) != digest("u", one)


@given(st.text())
def test_what_a_person_reads_holds_no_control_or_direction_characters(text: str) -> None:
    shown = visible(text)
    assert not any(ord(char) < 32 or char in "\u202e\u2066\u200b\u061c\u2028" for char in shown)


@pytest.mark.parametrize(
    ("limit", "fine"), [(99, False), (100, False), (100.5, True), (1e12, False), ("200", False), (True, False)]
)
def test_a_budget_can_only_be_raised(limit: JSON, *, fine: bool) -> None:
    """With the same limit the same question would come again, for ever."""
    gate = Gate(
        kind="budget", subject="", details={}, reason="", digest="d", choices=("approve", "edit", "reject"), limit=100
    )
    faults = decision_faults(gate, Decision("edit", arguments={"limit": limit}), _registry())
    assert bool(faults) != fine
    if not fine:
        assert "Give a number above 100" in str(faults)


@pytest.mark.anyio
async def test_what_undoes_a_call_is_kept_for_the_call_that_is_made_and_not_for_one_before_it_was_edited() -> None:
    async def before(arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return arguments

    async def stands(_: Mapping[str, JSON]) -> str:
        return "as left"

    undo = cast("Undo", SimpleNamespace(before=before, stands=stands))
    tool = Tool("write", "", {"type": "object"}, _nothing, Risk.MEDIUM, undo=undo)
    journal = InMemoryJournal(cast("Model", None))
    for path in ("a.txt", "b.txt", "a.txt"):
        await keep(tool, {"path": path}, journal, key="1/1", slot=Slot(1))
    assert [kept["kept"] for kept in journal.kept.values()] == [{"path": "a.txt"}, {"path": "b.txt"}]


def test_a_call_that_can_be_undone_is_shown_in_part_where_it_is_long_and_one_that_cannot_is_shown_whole() -> None:
    long = "a" * 3000 + "middle" + "b" * 3000
    tools = _registry(medium=Risk.MEDIUM, high=Risk.HIGH)
    policy = Policy(ask_from=Risk.MEDIUM)
    gates = {name: call_gate(Step(id=1, tool=name), {"x": long}, tools, policy) for name in ("medium", "high")}
    medium, high = gates["medium"], gates["high"]
    assert medium is not None
    assert high is not None
    assert "6006 characters in all, SHA-256" in medium.text({})
    assert "middle" not in medium.text({})
    assert medium.fits_a_form
    assert "approve_tool" in medium.choices
    assert long in high.text({})
    assert not high.fits_a_form
    assert "approve_tool" not in high.choices


def test_a_person_is_asked_where_the_model_is_unsure_or_was_asked_before() -> None:
    tools, policy = _registry(low=Risk.LOW), Policy(ask_below=0.5)
    step = Step(id=1, tool="low", confidence=0.5, description="Look")
    assert call_gate(step, {}, tools, policy) is None
    unsure = call_gate(step, {}, tools, policy, confidence=0.49)
    assert unsure is not None
    assert unsure.reason == "It only reads. The model is only 49% sure of this step. It is meant to: Look"
    asked = call_gate(step, {}, tools, policy, asked=True)
    assert asked is not None
    assert asked.reason == "It only reads. It is meant to: Look"
    assert "Undo: nothing to undo" in asked.text({})


def test_nothing_in_the_words_around_a_call_is_raw() -> None:
    gate = Gate(
        kind="budget", subject="a\x1b", details={"b\x1b": "c\x1b"}, reason="d\x1b", digest="", choices=("reject",)
    )
    text = gate.text({"Goal": "e\x1b", "Folders": ""})
    assert text == "a\\u001b\nb\\u001b: c\\u001b\nd\\u001b\nGoal: e\\u001b"


def test_an_edit_needs_the_whole_arguments_and_they_must_fit_the_tool() -> None:
    schema: dict[str, JSON] = {"type": "object", "required": ["path"]}
    tools = Registry([Tool("delete", "", schema, _nothing, Risk.HIGH)])
    gate = call_gate(Step(id=1, tool="delete", confidence=0.0), {"path": "x"}, tools, Policy())
    assert gate is not None
    assert "sure of this step" not in gate.reason
    assert "they are missing" in str(decision_faults(gate, Decision("edit"), tools))
    assert "'path' is a required property" in str(decision_faults(gate, Decision("edit", arguments={}), tools))
    assert decision_faults(gate, Decision("edit", arguments={"path": "y"}), tools) == []
    assert decision_faults(gate, Decision("happened"), tools)


def test_an_edit_to_a_call_that_is_refused_anyway_is_not_taken() -> None:
    def refuse(arguments: Mapping[str, JSON]) -> None:
        raise ToolError("It is outside.")

    tools = Registry([Tool("delete", "", {"type": "object"}, _nothing, Risk.HIGH, refuse=refuse)])
    gate = _gate("delete", tools)
    assert gate is not None
    (fault,) = decision_faults(gate, Decision("edit", arguments={}), tools)
    assert str(fault) == "edit: It is outside. Change it once more, or reject the call"


@pytest.mark.parametrize(("length", "fits"), [(4997, True), (4998, False)])
def test_a_form_shows_five_thousand_characters_and_no_more(length: int, fits: bool) -> None:
    gate = call_gate(Step(id=1, tool="high"), {"x": "a" * length}, _registry(high=Risk.HIGH), Policy())
    assert gate is not None
    assert gate.fits_a_form is fits


def test_twenty_files_that_a_call_names_are_shown_and_the_rest_is_counted() -> None:
    gate = _gate("high", _registry(high=Risk.HIGH))
    assert gate is not None
    for count in (20, 21):
        text = gate.resting_on({f"{number:02}.sh": "0" * 64 for number in range(count)}).text({})
        assert text.count(": SHA-256 ") == 20
        assert ("and 1 more files" in text) == (count == 21)
        assert "and 0 more" not in text


def test_long_values_are_shown_in_part_from_a_length_on() -> None:
    tools, policy = _registry(medium=Risk.MEDIUM), Policy(ask_from=Risk.MEDIUM)
    for length in (1200, 1201):
        gate = call_gate(Step(id=1, tool="medium"), {"x": "a" * length}, tools, policy)
        assert gate is not None
        assert ("a" * 1200 in gate.text({})) == (length == 1200)
    assert in_brief({"x": "a" * 300}) == f'{{"x": "{"a" * 300}"}}'
    assert "301 characters in all" in in_brief({"x": "a" * 301})
    assert "é" * 290 in in_brief({"x": ["é" * 290]}), "a letter counts as one"


def test_an_object_among_the_arguments_of_a_call_is_shown_whole_and_a_description_is_not() -> None:
    step = Step(id=1, tool="high", description="d" * 301)
    gate = call_gate(step, {"x": {"y": "z" * 400}}, _registry(high=Risk.HIGH), Policy())
    assert gate is not None
    assert "z" * 400 in gate.text({})
    assert gate.reason.endswith(" It is meant to: " + "d" * 300)


def test_a_call_that_was_cut_off_is_told_with_what_it_was_meant_to_do() -> None:
    tools = _registry(high=Risk.HIGH)
    meant = doubt_gate(Step(id=3, tool="high", description="Send"), {"x": 1}, tools, Policy())
    assert meant.subject == "Step 3 was cut off in the middle of calling high."
    unknown = "Whether it took effect, or still goes on, is not known. Look before you decide."
    assert meant.reason == f"{unknown} It was meant to: Send"
    assert doubt_gate(Step(id=3, tool="high"), {}, tools, Policy()).reason == unknown
    assert meant.choices == ("happened", "again", "skip", "cancel")


@pytest.mark.parametrize(
    ("keeps", "undo"),
    [(True, "what it replaces is kept; `forethought rollback` puts it back"), (False, "none: it cannot be undone")],
)
def test_a_person_is_told_whether_a_call_can_be_undone(keeps: bool, undo: str) -> None:
    def kept(_: Mapping[str, JSON]) -> bool:
        return keeps

    keeper = cast("Undo", SimpleNamespace(keeps=kept))
    tools = Registry([Tool("write", "", {"type": "object"}, _nothing, Risk.HIGH, undo=keeper)])
    gate = call_gate(Step(id=1, tool="write"), {"path": "a"}, tools, Policy())
    assert gate is not None
    assert f"Undo: {undo}" in gate.text({}).splitlines()


def test_a_risk_is_raised_for_the_tools_that_are_named_and_for_no_other() -> None:
    tools, policy = _registry(low=Risk.LOW, other=Risk.LOW), Policy(risks={"oth*": Risk.HIGH})
    assert policy.risk("other", tools) is Risk.HIGH
    assert policy.risk("low", tools) is Risk.LOW


def test_an_approval_is_bound_to_the_files_that_a_call_names_whatever_they_are_called() -> None:
    assert digest("t", {}, {"a.sh": "1"}) != digest("t", {}, {"a.sh": "2"}) != digest("t", {})
    assert digest("t", {}, {}) == digest("t", {})
    assert digest("t", {"path": "\ud800"}) != digest("t", {"path": "\ud801"})


def _plan_of(tools: Registry) -> Gate:
    """Steps 1 and 2, of which the first has run. Others have used the numbers up to 4."""
    plan = Plan("g", (Step(id=1, tool="low"), Step(id=2, tool="low", depends_on=(1,))))
    return plan_gate(plan, tools, Policy(), estimate="", finished=[1], next_step=5)


def test_an_edited_plan_is_the_old_one_without_what_is_dropped_and_with_what_is_given_anew() -> None:
    gate = _plan_of(_registry(low=Risk.LOW))
    assert gate.subject.startswith("Revision 1 of the plan wants to run: 1 step, ")
    new: JSON = {"id": 5, "tool": "low"}
    anew: JSON = {"id": 2, "tool": "low", "description": "otherwise"}
    assert edited(gate, drop=[], changed=[anew, new]) == [gate.steps[0], anew, new]
    assert edited(gate, drop=[2], changed=[new]) == [gate.steps[0], new]
    assert edited(gate, drop=[2], changed=[]) == [gate.steps[0]]
    assert edited(gate, drop=[], changed=[{"tool": "low"}, 3]) == [*gate.steps, {"tool": "low"}, 3]


@pytest.mark.parametrize(
    ("changed", "drop", "said"),
    [
        ([{"id": 2, "tool": "low", "description": "otherwise"}], [], ""),
        ([{"id": 5, "tool": "low"}], [2], ""),
        (
            [{"id": 1, "tool": "low", "description": "otherwise"}],
            [],
            "step 1: it has run, or goes on by an earlier approval",
        ),
        ([], [1, 2], "step 1: it has run, or goes on"),
        ([{"id": 4, "tool": "low"}], [], "step 4: this id is taken. Number new steps from 5 on"),
        ([{"tool": "low"}], [], "field 'id' is missing"),
        ([{"id": 5, "tool": "nonsense"}], [], "there is no tool 'nonsense'"),
    ],
)
def test_what_has_run_stays_and_new_steps_have_new_numbers(
    changed: Sequence[JSON], drop: Sequence[int], said: str
) -> None:
    tools = _registry(low=Risk.LOW)
    gate = _plan_of(tools)
    faults = decision_faults(gate, Decision("edit", steps=edited(gate, drop=drop, changed=changed)), tools)
    assert bool(faults) == bool(said)
    assert said in "; ".join(map(str, faults))
    assert decision_faults(gate, Decision("approve"), tools) == []


FORGED = "rm -rf build\nRisk: low. It only reads.\nUndo: nothing to undo"


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": FORGED},
        {"command": ["bash", "-c", FORGED]},
        {"jobs": [{"name": "one", "script": FORGED}, {"name": "two", "script": "true"}]},
        {"env": {"Risk: low": FORGED}},
    ],
)
def test_a_text_of_several_lines_is_shown_as_lines_that_cannot_pass_for_ours(arguments: dict[str, Any]) -> None:
    tools = _registry(high=Risk.HIGH)
    step = Step(id=1, tool="high", arguments=arguments, description=f"Tidy up\n{FORGED}")
    call = call_gate(step, arguments, tools, Policy())
    plan = Plan(goal="g", steps=(step,))
    whole = plan_gate(plan, tools, Policy(), estimate="none", finished=(), next_step=2)
    for gate in (call, whole):
        assert gate is not None
        lines = gate.text({}).splitlines()
        assert "| Undo: nothing to undo" in "\n".join(lines)
        assert not [line for line in lines if line.startswith(("Risk: low", "Undo: nothing"))]
        assert "\\u000a" not in gate.text({})
        assert "\\n" not in gate.text({})


def test_where_many_texts_of_several_lines_are_shown_in_part_both_ends_are_there() -> None:
    tools = _registry(medium=Risk.MEDIUM)
    arguments: dict[str, Any] = {"texts": [f"text {number}\nits end" for number in range(500)]}
    step = Step(id=1, tool="medium", arguments=arguments)
    gate = call_gate(step, arguments, tools, Policy(ask_from=Risk.LOW))
    assert gate is not None
    assert gate.fits_a_form
    for shown in ("texts: (SHA-256 ", "texts.0: (2 lines", "lines are not shown here", "| its end"):
        assert shown in gate.text({})
