"""Queries of a script that find one value: who names such a result in a text or a calculation means the value."""

__all__ = ["the_value"]

import re
from collections.abc import Mapping, Sequence

from forethought_patterns.references import Reference, find
from forethought_tools import JSON

_READ = 2_000  # characters of a query
_ONE = re.compile(
    r"\s*select\s+(?P<what>.+?)\s+as\s+\"?(?P<name>[a-z_]\w*)\"?\s+from\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_WORKS_OUT = re.compile(r"\b(?:sum|avg|mean|median|count|min|max|stddev|string_agg|any_value|mode)\s*\(", re.IGNORECASE)
_ROWS = re.compile(r"\bgroup\s+by\b|\bover\s*\(|\bunion\b|\bunnest\s*\(", re.IGNORECASE)
_INNER = re.compile(r"\([^()]*\)|'[^']*'")
_NESTED = 10  # brackets in brackets


def the_value(result: Reference, steps: Sequence[Mapping[str, JSON]]) -> Reference:
    """The one value that a query finds, where it finds one; else the result as it is."""
    step = next((step for step in steps if step["id"] == result.step), None)
    arguments = step["arguments"] if step and step["tool"] == "query_table" else None
    if not isinstance(arguments, Mapping) or result.path:
        return result
    found = _ONE.fullmatch(str(arguments.get("sql"))[:_READ])
    if found is None or "," in _flat(found["what"]) or _ROWS.search(found[0]):
        return result
    if not (_WORKS_OUT.search(found["what"]) or _is_of_one(arguments, result, steps)):
        return result
    return Reference(result.step, ("rows", "0", found["name"]))


def _flat(selected: str) -> str:
    """What is selected, without what stands in brackets."""
    for _ in range(_NESTED):
        selected = _INNER.sub("", selected)
    return selected


def _is_of_one(arguments: Mapping[str, JSON], result: Reference, steps: Sequence[Mapping[str, JSON]]) -> bool:
    """Whether all that a query reads is one earlier result of one value."""
    tables = arguments.get("tables")
    if not isinstance(tables, Mapping) or len(tables) != 1 or not (of := find(list(tables.values()))):
        return False
    return all(each.step < result.step and the_value(each, steps) != each for each in of)
