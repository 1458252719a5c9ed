"""Answers that mean the right thing in another shape, brought into the shape that their schema names.

Only what a reader would not doubt: a number written as text, a list without the object around it, a key too many.
Nothing that a schema asks for is made up.
"""

__all__ = ["fitted", "nulled"]

import json
import re
from collections.abc import Mapping
from typing import TypeAlias, cast

from forethought_tools import JSON, schema_faults
from forethought_tools.text import as_text

Schema: TypeAlias = Mapping[str, JSON]

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_SHARE = re.compile(rf"\s*({_NUMBER})\s*(?:(?:/|of|out of)\s*({_NUMBER})|(%))?\s*", re.IGNORECASE)
_TRUTH: Mapping[str, bool] = {"true": True, "yes": True, "false": False, "no": False}
_NESTED = 12


def fitted(value: JSON, schema: Schema, *, alone: bool = True) -> JSON:
    """The value as its schema wants it, where that is plain. One that does not stand `alone` is never put into a
    frame: it may be a part of the answer."""
    value = nulled(value, schema)
    if not schema_faults(schema, value, 1):
        return value
    shaped = _shaped(value, schema, schema, _NESTED)
    if alone and schema_faults(schema, shaped, 1):
        inner = _unframed(value)
        for other in (*_framed(value, schema), *inner, *(frame for part in inner for frame in _framed(part, schema))):
            framed = _shaped(nulled(other, schema), schema, schema, _NESTED)
            if not schema_faults(schema, framed, 1):
                return framed
    return shaped


def nulled(value: JSON, schema: Schema) -> JSON:
    """The value with null for what its schema asks for and lets be null, where it is not there: neither is given."""
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Schema]", schema.get("properties", {}))
        asked = [name for name in cast("list[str]", schema.get("required", [])) if name in parts]
        blank = {name: None for name in asked if name not in value and "null" in _kinds(parts[name])}
        return {**{name: nulled(part, parts.get(name, {})) for name, part in value.items()}, **blank}
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [nulled(part, items) for part in value]
    return value


def _framed(value: JSON, schema: Schema) -> list[JSON]:
    """The value as the one part of an object that can hold it; what else is text or list there stays empty."""
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    frames: list[JSON] = []
    for name, part in properties.items():
        if ("array" in _kinds(part)) == isinstance(value, list) and "string" not in _kinds(part):
            empty = {other: _EMPTY[kind] for other, kind in _plain(properties).items() if other != name}
            frames.append({**empty, name: value})
    return frames if len(frames) == 1 else []


def _unframed(value: JSON) -> list[JSON]:
    """What an object with one key holds: some put the answer into an object of their own."""
    inner = list(value.values()) if isinstance(value, Mapping) and len(value) == 1 else []
    return [
        part for part in inner if isinstance(part, Mapping | list)
    ]  # a number by another name may mean another thing


_EMPTY: Mapping[str, JSON] = {"string": "", "array": []}


def _plain(properties: Mapping[str, Schema]) -> dict[str, str]:
    kinds = {name: next(iter(_kinds(part)), "") for name, part in properties.items()}
    return {name: kind for name, kind in kinds.items() if kind in _EMPTY}


def _shaped(value: JSON, schema: Schema, root: Schema, left: int) -> JSON:
    schema = _resolved(schema, root)
    if not left:
        return value
    options = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(options, list):
        shaped = [_shaped(value, cast("Schema", option), root, left - 1) for option in options]
        whole = [{**cast("Schema", option), "$defs": root.get("$defs", {})} for option in options]
        return next(
            (each for each, option in zip(shaped, whole, strict=True) if not schema_faults(option, each, 1)), value
        )
    kinds = _kinds(schema)
    if isinstance(value, str) and "string" not in kinds:
        value = _read(value, kinds, schema)
    elif "string" in kinds:
        return _worded(value, kinds, schema)
    if isinstance(value, Mapping) and "object" in kinds:
        return _object(value, schema, root, left)
    if "array" in kinds and "object" not in kinds and isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list) and "array" in kinds and isinstance(items := schema.get("items"), Mapping):
        return [_shaped(part, items, root, left - 1) for part in value]
    return value


def _object(value: Mapping[str, JSON], schema: Schema, root: Schema, left: int) -> JSON:
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    required = cast("list[str]", schema.get("required", []))
    closed = schema.get("additionalProperties") is False
    shaped: dict[str, JSON] = {}
    for name, part in value.items():
        if name not in properties:
            shaped |= {} if closed else {name: part}
        elif part is None and "null" not in (kinds := _kinds(_resolved(properties[name], root))):
            shaped |= {name: _EMPTY.get(next(iter(kinds), ""))} if name in required else {}
        else:
            shaped[name] = _shaped(part, properties[name], root, left - 1)
    return shaped


def _read(text: str, kinds: frozenset[str], schema: Schema) -> JSON:
    """A text where something else is wanted."""
    if kinds & {"number", "integer"} and (share := _SHARE.fullmatch(text)):
        return _number(share, schema)
    if "boolean" in kinds and text.strip().casefold() in _TRUTH:
        return _TRUTH[text.strip().casefold()]
    if "null" in kinds and text.strip().casefold() in ("", "null", "none"):
        return None
    if kinds & {"object", "array"}:
        try:
            return cast("JSON", json.loads(text))
        except (ValueError, RecursionError):
            return text
    return text


def _number(share: re.Match[str], schema: Schema) -> JSON:
    """A score, also as a share of a whole: `8/10` is 8 where 10 is the most, and 0.8 where 1 is."""
    number = float(share[1])
    whole = float(share[2]) if share[2] else 100.0 if share[3] else 0.0
    most = schema.get("maximum", 1)
    if whole and isinstance(most, int | float):
        number *= most / whole
    return int(number) if number.is_integer() else round(number, 6)


def _worded(value: JSON, kinds: frozenset[str], schema: Schema) -> JSON:
    """Something where a text is wanted."""
    choices = schema.get("enum")
    if isinstance(value, str) and isinstance(choices, list):
        return next((each for each in choices if str(each).casefold() == value.strip().casefold()), value)
    if isinstance(value, bool | int | float) and "string" in kinds and len(kinds) == 1:
        return as_text(value)
    return value


def _resolved(schema: Schema, root: Schema) -> Schema:
    for _ in range(_NESTED):
        where = schema.get("$ref")
        if not isinstance(where, str) or not where.startswith("#/"):
            break
        part: JSON = dict(root)
        for name in where[2:].split("/"):
            part = part.get(name) if isinstance(part, Mapping) else None
        schema = part if isinstance(part, Mapping) else {}
    return schema


def _kinds(schema: Schema) -> frozenset[str]:
    kind = schema.get("type", "")
    if isinstance(kind, list):
        return frozenset(map(str, kind))
    if kind:
        return frozenset([str(kind)])
    return frozenset(["string"] if "enum" in schema else [])
