"""JSON files as rows: what a document lists, whatever it is wrapped in. Part of the child program of `query_table`."""

__all__ = ["JSONRows", "json_rows"]

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from forethought_tools.filling import QueryError
from forethought_tools.grids import unique

if TYPE_CHECKING:
    from forethought_tools.tool import JSON

Rows: TypeAlias = "Sequence[Mapping[str, JSON]]"

BETWEEN = re.compile(r"[\s\x1e]*")  # documents that stand one after the other
HALF = re.compile(r"\\u[dD][89a-fA-F]")
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
    if HALF.search(text) and (mended := _whole(value)) != value:
        value = mended
        found.assumed.append("halves of characters in it are shown as \ufffd")
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
    """The document; where there are several, the list of them."""

    def nothing(name: str) -> None:
        if (said := f"{name[:40]} is read as no value") not in found.assumed:
            found.assumed.append(said)

    def number(text: str) -> float | None:
        if math.isfinite(read := float(text)):
            return read
        nothing(text)
        return None

    def pairs(of: "list[tuple[str, JSON]]") -> "dict[str, JSON]":
        made = dict(of)
        if len(made) < len(of) and not any("stands twice" in said for said in found.assumed):
            names = [name for name, _ in of]
            twice = next(name for name in names if names.count(name) > 1)
            found.assumed.append(f"{twice!r} stands twice in one object; the last one is taken")
        return made

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=nothing, parse_float=number)

    if not text.strip():
        found.assumed.append("it is empty")
        return []
    try:
        return cast("JSON", decoder.decode(text))
    except RecursionError:
        raise QueryError(f"{shown} cannot be loaded: it is nested too deeply.") from None
    except json.JSONDecodeError as error:
        whole = error
    first, _, more = text.strip(" \t\r\n").partition("\n")
    if more and _is_document(first):
        return _lines(text, shown, decoder)
    try:
        several = _one_after_the_other(text, decoder)
    except json.JSONDecodeError as error:
        whole = error
    except RecursionError:
        raise QueryError(f"{shown} cannot be loaded: it is nested too deeply.") from None
    else:
        found.assumed.append(f"it holds {len(several)} documents, one after the other")
        return several
    raise QueryError(f"{shown} cannot be loaded: line {whole.lineno}, column {whole.colno}: {whole.msg}. Mend it.")


def _lines(text: str, shown: str, decoder: json.JSONDecoder) -> "JSON":
    listed: list[JSON] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                listed.append(cast("JSON", decoder.decode(line)))
            except json.JSONDecodeError as error:
                place = f"line {number}, column {error.colno}: {error.msg}"
                raise QueryError(f"{shown} cannot be loaded: {place}. Mend it.") from None
            except RecursionError:
                raise QueryError(f"{shown} cannot be loaded: line {number} is nested too deeply.") from None
    return listed


def _one_after_the_other(text: str, decoder: json.JSONDecoder) -> "Sequence[JSON]":
    """Objects and lists of which each may take several lines. Raises JSONDecodeError."""
    listed: list[JSON] = []
    at = _next(text, 0)
    while at < len(text):
        if text[at] not in "[{":
            raise json.JSONDecodeError("Extra data" if listed else "Expecting value", text, at)
        value, end = decoder.raw_decode(text, at)
        listed.append(cast("JSON", value))
        at = _next(text, end)
    return listed


def _next(text: str, at: int) -> int:
    found = BETWEEN.match(text, at)
    return found.end() if found else at


def _whole(value: "JSON") -> "JSON":
    """A value whose texts hold no halves of characters."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {str(_whole(key)): _whole(part) for key, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value


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
