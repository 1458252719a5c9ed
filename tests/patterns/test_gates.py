"""Which calls wait for a person. Unknown means high."""

import json

from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns import Step
from forethought_patterns.gates import Gate, Policy, call_gate, digest, visible
from forethought_tools import JSON, Answerer, Registry, Risk, Tool


async def _nothing(_: object, __: Answerer) -> JSON:
    return None


def _registry(**risks: Risk) -> Registry:
    return Registry([
        *(Tool(name, "", {"type": "object"}, _nothing, risk) for name, risk in risks.items()),
        Tool("undeclared", "", {"type": "object"}, _nothing),
    ])  # fmt: skip


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
