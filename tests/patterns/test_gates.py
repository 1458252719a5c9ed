"""Which calls wait for a person. Unknown means high."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns import Decision, Model, Slot, Step
from forethought_patterns.gates import Gate, Policy, call_gate, decision_faults, digest, visible
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


@pytest.mark.parametrize(("limit", "fine"), [(99, False), (100, False), (100.5, True), ("200", False), (True, False)])
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
