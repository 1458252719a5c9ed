"""How much one call may bring: more is refused before anybody looks at it, counts it or keeps it.

What the schemas bound themselves is not repeated here: they are sent to every client, and their bytes are scarce.
"""

__all__ = ["too_much"]

from collections.abc import Mapping, Sequence
from typing import Any

from forethought_tools import JSON

ENTRIES = 1_000  # of a list or a map
TEXT = 20_000  # characters of a text, unless its schema says how many
NAME = 200  # characters of an id or a name, also as the key of a map
_BOUNDED = frozenset({"steps"})  # by the plan, in words of its own
_NAMES = frozenset({"plan_id", "run_id", "from_search", "recipe", "tool", "order"})
_WHOLE = frozenset({"arguments", "answer", "check"})  # bounded as a whole, by those who take them


def too_much(schema: Mapping[str, Any], arguments: Mapping[str, JSON]) -> list[str]:
    """What of these arguments is more than a call may bring, each with its place."""
    faults: list[str] = []
    for name, given in arguments.items():
        rule = schema["properties"].get(name, {})
        if rule.get("type") == "string" and "maxLength" not in rule:
            faults += _text(name, name, given)
        if isinstance(given, Mapping | Sequence) and not isinstance(given, str):
            if len(given) > ENTRIES and name not in _BOUNDED:
                faults.append(f"arguments.{name} has {len(given):,} entries, more than {ENTRIES:,}. Give fewer.")
            else:
                faults += _parts(name, given)
    return faults


def _parts(name: str, given: Mapping[str, JSON] | Sequence[JSON]) -> list[str]:
    """What is too long in a list, a map, or the objects of a list."""
    if isinstance(given, Mapping):
        return [
            fault for key, part in given.items() for fault in [*_key(name, key), *_text(f"{name}.{key}", key, part)]
        ]
    faults: list[str] = []
    for number, part in enumerate(given):
        faults += _text(f"{name}[{number}]", name, part)
        for key, value in part.items() if isinstance(part, Mapping) else ():
            faults += _text(f"{name}[{number}].{key[:NAME]}", key, value)
    return faults


def _key(name: str, key: str) -> list[str]:
    most = f"more than {NAME}. Give fewer."
    return [f"arguments.{name} has a key of {len(key):,} characters, {most}"] if len(key) > NAME else []


def _text(place: str, name: str, given: JSON) -> list[str]:
    most = NAME if name in _NAMES else TEXT
    if not isinstance(given, str) or len(given) <= most or name in _WHOLE:
        return []
    return [f"arguments.{place[:NAME]} has {len(given):,} characters, more than {most:,}. Give fewer."]
