"""The schema of another server's tool, read and not obeyed: what of it can be checked here without harm is kept.

References are written out, a few levels deep. Patterns, formats and conditions are left out: they can be made to take
for ever, and the server checks its arguments itself.
"""

__all__ = ["bounded", "harmless_schema", "shallow"]

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from forethought_tools import JSON
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import visible

T = TypeVar("T")

_LEVELS = 8
_PARTS = 10_000  # of one schema: parts, names and choices, each as often as it is referred to
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
_REF = 1000  # characters of a reference


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

    def some(self, parts: Iterable[T], most: int = _PARTS) -> list[T]:
        """The first of these parts, as far as there is room."""
        taken = list(islice(parts, max(0, min(most, _PARTS - self.parts))))
        self.parts += len(taken)
        return taken


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
        kept["description"] = visible(clipped(one_line(said[: 2 * _SAID]), _SAID))
    if isinstance(choices := schema.get("enum"), Sequence) and _are_short(choices):
        kept["enum"] = reading.some(choices) or [choices[0]]
    if isinstance(options := schema.get("anyOf", schema.get("oneOf")), Sequence) and not isinstance(options, str):
        kept["anyOf"] = [_part(option, reading, level + 1) for option in reading.some(options, _CHOICES)] or [{}]
    if isinstance(items := schema.get("items"), Mapping):
        kept["items"] = _part(items, reading, level + 1)
    return kept | _properties(schema, reading, level)


def _properties(schema: Mapping[str, JSON], reading: _Reading, level: int) -> dict[str, JSON]:
    if not isinstance(properties := schema.get("properties"), Mapping):
        return {}
    names = [name for name in reading.some(properties) if len(name) <= _LONG and name.isprintable()]
    kept: dict[str, JSON] = {"properties": {name: _part(properties[name], reading, level + 1) for name in names}}
    needed = schema.get("required")
    if isinstance(needed, Sequence) and not isinstance(needed, str):
        required = {name for name in reading.some(needed) if isinstance(name, str)}
        kept["required"] = [name for name in names if name in required]
    if schema.get("additionalProperties") is False and len(names) == len(properties):
        kept["additionalProperties"] = False
    return kept


def _is_plain(key: str, value: JSON) -> bool:
    if key == "type":
        kinds = [value] if isinstance(value, str) else value
        return isinstance(kinds, Sequence) and 0 < len(kinds) <= len(_TYPES) and all(kind in _TYPES for kind in kinds)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_short(choices: Sequence[JSON]) -> bool:
    if isinstance(choices, str) or not 0 < len(choices) <= _CHOICES:
        return False
    return all(not isinstance(choice, Mapping | list) and len(str(choice)) <= _LONG for choice in choices)


def _referred(root: Mapping[str, JSON], ref: str) -> JSON:
    """The part of the same schema that a reference names; anything, where it leads elsewhere."""
    at: JSON = root
    for name in ref.removeprefix("#/").split("/") if ref.startswith("#/") and len(ref) <= _REF else ["#"]:
        at = at.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(at, Mapping) else None
    return at
