"""The schema of another server's tool, read and not obeyed: what of it can be checked here without harm is kept.

References are written out, a few levels deep. Patterns, formats and conditions are left out: they can be made to take
for ever, and the server checks its arguments itself.
"""

__all__ = ["bounded", "harmless_schema", "shallow"]

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from forethought_tools import JSON
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import visible

_LEVELS = 8
_PARTS = 1500  # of one schema
_CHOICES = 100
_SAID = 300  # characters of a description
_PLAIN = (
    "type",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_LONG = 200  # characters of a name or a choice


def shallow(value: JSON, levels: int = 40) -> JSON:
    """The value without what lies deeper than anything that is kept or compared of it: no file could hold that."""
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return "..."
    if isinstance(value, Mapping):
        return {key: shallow(part, levels - 1) for key, part in value.items()}
    return [shallow(part, levels - 1) for part in value]


def bounded(value: JSON, most: int) -> JSON:
    """The value where it has at most so many characters, else what tells it from others."""
    text = json.dumps(value)
    if len(text) <= most:
        return value
    told = f"SHA-256 of {len(text)} characters: {hashlib.sha256(text.encode()).hexdigest()}"
    return f"{value[: most // 2]}... ({told})" if isinstance(value, str) else {"too large": told}


@dataclass
class _Reading:
    root: Mapping[str, JSON]
    parts: int = 0


def harmless_schema(schema: JSON) -> dict[str, JSON]:
    """The schema of a tool's arguments, always of an object."""
    root: Mapping[str, JSON] = schema if isinstance(schema, Mapping) else {}
    return {**_part(root, _Reading(root), 0), "type": "object"}


def _part(schema: JSON, reading: _Reading, level: int) -> dict[str, JSON]:
    reading.parts += 1
    if not isinstance(schema, Mapping) or level > _LEVELS or reading.parts > _PARTS:
        return {}
    if isinstance(ref := schema.get("$ref"), str):
        return _part(_referred(reading.root, ref), reading, level + 1)
    kept: dict[str, JSON] = {key: schema[key] for key in _PLAIN if _is_plain(key, schema.get(key))}
    if isinstance(said := schema.get("description"), str):
        kept["description"] = visible(clipped(one_line(said), _SAID))
    if isinstance(choices := schema.get("enum"), Sequence) and _are_short(choices):
        kept["enum"] = list(choices)
    if isinstance(options := schema.get("anyOf", schema.get("oneOf")), Sequence) and not isinstance(options, str):
        kept["anyOf"] = [_part(option, reading, level + 1) for option in options[:_CHOICES]] or [{}]
    if isinstance(items := schema.get("items"), Mapping):
        kept["items"] = _part(items, reading, level + 1)
    return kept | _properties(schema, reading, level)


def _properties(schema: Mapping[str, JSON], reading: _Reading, level: int) -> dict[str, JSON]:
    if not isinstance(properties := schema.get("properties"), Mapping):
        return {}
    room = max(_PARTS - reading.parts, 0)
    names = list(islice((name for name in properties if name.isprintable() and len(name) <= _LONG), room))
    kept: dict[str, JSON] = {"properties": {name: _part(properties[name], reading, level + 1) for name in names}}
    needed = schema.get("required")
    if isinstance(needed, Sequence) and not isinstance(needed, str):
        wanted = {name for name in needed if isinstance(name, str)}
        kept["required"] = [name for name in names if name in wanted]
    if schema.get("additionalProperties") is False and len(names) == len(properties):
        kept["additionalProperties"] = False
    return kept


def _is_plain(key: str, value: JSON) -> bool:
    if key == "type":
        kinds = [value] if isinstance(value, str) else value
        return isinstance(kinds, Sequence) and bool(kinds) and all(kind in _TYPES for kind in kinds)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_short(choices: Sequence[JSON]) -> bool:
    short = [choice for choice in choices if not isinstance(choice, Mapping | list) and len(str(choice)) <= _LONG]
    return not isinstance(choices, str) and 0 < len(choices) == len(short) <= _CHOICES


def _referred(root: Mapping[str, JSON], ref: str) -> JSON:
    """The part of the same schema that a reference names; anything, where it leads elsewhere."""
    at: JSON = root
    for name in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ["#"]:
        at = at.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(at, Mapping) else None
    return at
