"""What a value means where a schema says what is due: at every depth, in linear time, and never more than it says."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_tools import JSON, schema_faults
from forethought_tools.meant import as_meant

SCHEMA: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "flag": {"type": "boolean"},
        "text": {"type": "string"},
        "choice": {"type": "string", "enum": ["a", "b"]},
        "alike": {"enum": ["On", "ON", "off_line"]},
        "choices": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        "words": {"type": "array", "items": {"type": "string"}},
        "ids": {"type": "array", "items": {"type": "integer"}},
        "limits": {"type": "object", "additionalProperties": {"type": "number"}},
        "either": {"anyOf": [{"type": "object", "properties": {"at": {"type": "integer"}}}, {"type": "boolean"}]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "any": {},
        "inner": {"$ref": "#/$defs/inner"},
        "many": {"type": "array", "items": {"$ref": "#/$defs/inner"}},
    },
    "additionalProperties": False,
    "$defs": {
        "inner": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "size": {"type": "integer"}, "more": {"$ref": "#/$defs/inner"}},
            "additionalProperties": False,
        }
    },
}


def _inner(draw: st.DrawFn, depth: int = 0) -> dict[str, JSON]:
    made: dict[str, JSON] = {}
    if draw(st.booleans()):
        made["name"] = draw(st.text("ab{}[]1"))
    if draw(st.booleans()):
        made["size"] = draw(st.integers(-5, 5))
    if depth < 2 and draw(st.booleans()):
        made["more"] = _inner(draw, depth + 1)
    return made


@st.composite
def _calls(draw: st.DrawFn) -> dict[str, JSON]:
    whole: dict[str, JSON] = {
        "count": draw(st.integers()),
        "share": draw(st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=32)),
        "flag": draw(st.booleans()),
        "text": draw(st.text() | st.sampled_from(["null", "4", "true", "[1]", "{}", ""])),
        "choice": draw(st.sampled_from(["a", "b"])),
        "ids": draw(st.lists(st.integers(), max_size=3)),
        "limits": draw(st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)),
        "either": draw(st.booleans()) or {"at": draw(st.integers())},
        "maybe": draw(st.integers()),
        "any": draw(st.text() | st.integers() | st.none()),
        "inner": _inner(draw),
        "many": [_inner(draw) for _ in range(draw(st.integers(0, 2)))],
    }
    return {name: value for name, value in whole.items() if draw(st.booleans())}


def _typed(schema: JSON) -> bool:
    return isinstance(schema, dict) and schema != {} and schema.get("type") != "string"


def _garbled(schema: JSON, value: JSON, draw: st.DataObject) -> JSON:
    """The same value as some client would send it: text here and there, and null for what is not given."""
    assert isinstance(schema, dict)
    defs = SCHEMA["$defs"]
    assert isinstance(defs, dict)
    rule = defs["inner"] if "$ref" in schema else schema
    assert isinstance(rule, dict)
    if isinstance(value, dict):
        properties, more = rule.get("properties"), rule.get("additionalProperties")
        known: dict[str, JSON] = properties if isinstance(properties, dict) else {}
        value = {name: _garbled(known.get(name, more or {}), part, draw) for name, part in value.items()}
        absent = [name for name, part in known.items() if name not in value and part and "anyOf" not in str(part)]
        value |= dict.fromkeys(draw.draw(st.lists(st.sampled_from(absent), unique=True)) if absent else [])
    elif isinstance(value, list):
        value = [_garbled(rule["items"], part, draw) for part in value]
    return json.dumps(value) if _typed(schema) and draw.draw(st.booleans()) else value


@given(plain=_calls(), data=st.data())
def test_what_fits_stays_and_the_same_as_text_or_with_nulls_means_the_same(
    plain: dict[str, JSON], data: st.DataObject
) -> None:
    assert not schema_faults(SCHEMA, plain)
    assert as_meant(SCHEMA, plain) == plain
    assert as_meant(SCHEMA, _garbled({**SCHEMA, "type": "object"}, plain, data)) == plain


@pytest.mark.parametrize(
    ("name", "sent", "meant"),
    [
        ("count", "4", 4),
        ("count", " 4.0 ", 4),
        ("count", 4.0, 4),
        ("share", ".5", 0.5),
        ("share", "1e3", 1000.0),
        ("flag", "False", False),
        ("flag", "TRUE", True),
        ("ids", '["1", 2, null]', [1, 2]),
        ("ids", '"[1]"', [1]),
        ("limits", '{"seconds": "5", "tokens": null}', {"seconds": 5}),
        ("either", '{"at": "3"}', {"at": 3}),
        ("either", "true", True),
        ("inner", '{"more": "{\\"size\\": \\"7\\", \\"name\\": null}"}', {"more": {"size": 7}}),
        ("inner", '```json\n{"name": "a"}\n```', {"name": "a"}),
        ("inner", '{"name": "a\nb"}', {"name": "a\nb"}),
        ("many", {"name": "a", "size": "2"}, [{"name": "a", "size": 2}]),
        ("many", '{"name": "a"}', [{"name": "a"}]),
        ("ids", "1, 2", [1, 2]),
        ("ids", "1; 2 3", [1, 2, 3]),
        ("ids", 4, [4]),
        ("ids", "4", [4]),
        ("words", "be short", ["be short"]),
        ("words", '["a"]', ["a"]),
        ("choice", "A", "a"),
        ("choice", " b ", "b"),
        ("choices", "A", ["a"]),
        ("choices", ["B", "a"], ["b", "a"]),
        ("alike", "ON", "ON"),
        ("alike", "off-LINE", "off_line"),
        ("many", {"unheard_of": 1}, {"unheard_of": 1}),
        ("any", "[1]", "[1]"),
        ("text", "[1]", "[1]"),
        ("maybe", "7", 7),
        ("maybe", None, None),
        ("any", None, None),
    ],
)
def test_text_and_null_are_read_by_what_is_due(name: str, sent: JSON, meant: JSON) -> None:
    assert as_meant(SCHEMA, {name: sent}) == {name: meant}


@pytest.mark.parametrize("name", ["count", "flag", "ids", "limits", "choice", "inner", "unheard_of"])
@pytest.mark.parametrize("nothing", [None, "null", "", "None"])
def test_what_is_not_given_is_left_out(name: str, nothing: JSON) -> None:
    if name in ("choice", "unheard_of") and nothing not in (None, ""):
        return  # a text is a text
    left = {} if name != "unheard_of" or nothing is None else {name: nothing}
    assert as_meant(SCHEMA, {name: nothing}) == left


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("count", "four"),
        ("count", "4.5"),
        ("count", "{{1}}"),
        ("count", "{{1.rows}}"),
        ("count", "NaN"),
        ("share", "Infinity"),
        ("share", "1e999"),
        ("ids", "{{1}}"),
        ("ids", "1, two"),
        ("ids", "1 " * 2_000),
        ("ids", [1, "1, 2"]),
        ("words", "{{1.rows}}"),
        ("words", '["a", "b"'),
        ("words", {"a": 1}),
        ("choice", "c"),
        ("choice", "A and B"),
        ("alike", "on"),
        ("flag", "yes"),
        ("flag", 1),
        ("limits", '["a"]'),
        ("limits", ["a"]),
        ("ids", {"a": 1}),
        ("limits", '{"a": "\\ud800"}'),
        ("text", 4),
    ],
)
def test_what_means_nothing_that_is_due_stays_as_it_was_sent(name: str, sent: JSON) -> None:
    assert as_meant(SCHEMA, {name: sent}) == {name: sent}


@pytest.mark.parametrize(
    "text",
    ["[" * 1_000_000, "[]" * 500_000, '"' + '\\"' * 500_000, "9" * 1_000_000, "1" * 500_000 + "x", '{"a":' * 200_000],
)
def test_hostile_text_is_bounded_before_it_is_read(text: str) -> None:
    worked = time.process_time()
    assert as_meant(SCHEMA, {"ids": text, "count": text, "inner": text}) == {"ids": text, "count": text, "inner": text}
    assert time.process_time() - worked < 20, "quadratic time would be hours"


def test_a_schema_that_refers_to_itself_or_nowhere_is_no_trap() -> None:
    for schema in ({"$ref": "#"}, {"$ref": "#/$defs/none"}, {"$ref": "http://127.0.0.1:9/"}, {"type": 5}):
        assert as_meant(schema, {"a": "1"}) == {"a": "1"}
    deep: JSON = 1
    for _ in range(500):
        deep = [deep]
    tree: dict[str, JSON] = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "boolean"}]}
    assert as_meant(tree, deep) == deep
