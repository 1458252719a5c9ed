"""JSON files as rows: what a document lists, whatever it is wrapped in. Part of the child program of `query_table`."""

__all__ = ["JSONRows", "json_rows"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from forethought_tools.filling import QueryError
from forethought_tools.grids import unique

if TYPE_CHECKING:
    from forethought_tools.tool import JSON

Rows: TypeAlias = "Sequence[Mapping[str, JSON]]"

DEEPEST = 5  # objects around a list
MOST_LISTS = 50  # that are tables of their own


@dataclass
class JSONRows:
    """The rows of a document, and what had to be assumed."""

    columns: Sequence[str] = ()
    rows: Rows = ()
    assumed: list[str] = field(default_factory=list[str])
    lists: "Mapping[str, Rows]" = field(default_factory=dict[str, "Rows"])
    """The lists of objects in an object, where it holds several."""


def json_rows(text: str, shown: str) -> JSONRows:
    """The rows of a JSON document, or of one document a line. Raises QueryError with the line that is none."""
    found = JSONRows()
    value = _document(text.removeprefix("\ufeff"), shown, found)
    listed = value if isinstance(value, list) else _listed(value, found) or [value]
    if listed == [value] and isinstance(value, Mapping):
        found.lists = _several(value)
    if _is_grid(listed):
        listed = _from_grid(cast("Sequence[Sequence[JSON]]", listed), found)
    rows = [row if isinstance(row, Mapping) else {"value": row} for row in listed]
    found.columns = list(dict.fromkeys(key for row in rows for key in row))
    found.rows = rows
    return found


def _document(text: str, shown: str, found: JSONRows) -> "JSON":
    """The document; where there is one a line, the list of them."""

    def pairs(of: "list[tuple[str, JSON]]") -> "dict[str, JSON]":
        made = dict(of)
        if len(made) < len(of) and not found.assumed:
            names = [name for name, _ in of]
            twice = next(name for name in names if names.count(name) > 1)
            found.assumed.append(f"{twice!r} stands twice in one object; the last one is taken")
        return made

    if not text.strip():
        found.assumed.append("it is empty")
        return []
    try:
        return cast("JSON", json.loads(text, object_pairs_hook=pairs))
    except RecursionError:
        raise QueryError(f"{shown} cannot be loaded: it is nested too deeply.") from None
    except json.JSONDecodeError as error:
        whole = error
    first, _, more = text.strip().partition("\n")
    if more and _is_document(first):
        return _lines(text, shown, pairs)
    raise QueryError(f"{shown} cannot be loaded: line {whole.lineno}, column {whole.colno}: {whole.msg}. Mend it.")


def _lines(text: str, shown: str, pairs: object) -> "JSON":
    listed: list[JSON] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                listed.append(cast("JSON", json.loads(line, object_pairs_hook=cast("None", pairs))))
            except (json.JSONDecodeError, RecursionError) as error:
                raise QueryError(f"{shown} cannot be loaded: line {number}: {error}. Mend it.") from None
    return listed


def _is_document(line: str) -> bool:
    try:
        json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _listed(value: "JSON", found: JSONRows, path: str = "", depth: int = 0) -> "Sequence[JSON] | None":
    """The one list of objects in an object that else holds plain values, also of objects around it."""
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return None
    nested = {key: part for key, part in value.items() if isinstance(part, Mapping | list)}
    if len(nested) != 1:
        return None
    ((key, part),) = nested.items()
    if isinstance(part, list):
        if not part or not all(isinstance(row, Mapping) for row in part):
            return None
        found.assumed.append(f"its rows are the list {path + key!r}")
        return part
    return _listed(part, found, f"{path}{key}.", depth + 1)


def _several(value: "Mapping[str, JSON]") -> "Mapping[str, Rows]":
    """The lists of objects in an object, by their keys."""
    lists = {key: part for key, part in value.items() if isinstance(part, list) and part}
    rows = {key: [row for row in part if isinstance(row, Mapping)] for key, part in lists.items()}
    whole = {key: each for key, each in rows.items() if len(each) == len(lists[key])}
    return whole if 1 < len(whole) <= MOST_LISTS else {}


def _is_grid(listed: "Sequence[JSON]") -> bool:
    """Whether it is lists of plain values, all as long as the first, which holds names."""
    widths = {len(row) if isinstance(row, list) else 0 for row in listed}
    plain = all(not isinstance(cell, Mapping | list) for row in listed if isinstance(row, list) for cell in row)
    first = listed[0] if listed else None
    named = isinstance(first, list) and all(isinstance(cell, str) and cell for cell in first)
    return len(listed) > 1 and len(widths) == 1 and 0 not in widths and plain and named


def _from_grid(listed: "Sequence[Sequence[JSON]]", found: JSONRows) -> "Sequence[JSON]":
    found.assumed.append("its first list is taken for the header of the others")
    names = unique([str(cell) for cell in listed[0]])
    return [dict(zip(names, row, strict=True)) for row in listed[1:]]
