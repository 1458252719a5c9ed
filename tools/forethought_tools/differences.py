"""What differs between two tables, or between two texts. Done in a process of its own: see `worker`."""

__all__ = ["compared"]

import csv
import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

from forethought_tools.text import clipped
from forethought_tools.tool import JSON

MAX_SHOWN = 500
"""Rows or lines of each kind; more are counted in `truncated`."""
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?", re.ASCII)
Row: TypeAlias = Mapping[str, JSON]


class ComparisonError(Exception):
    """The message says why, and what to do."""


def compared(old: JSON, new: JSON, key: str | None, is_csv: Sequence[bool]) -> JSON:
    """What was added, removed and changed, and how much is the same; or an `error`, in words."""
    try:
        before, after = (_read(value, csv_text=text) for value, text in zip((old, new), is_csv, strict=True))
        found = _found(before, after, key)
    except ComparisonError as error:
        return {"error": str(error)}
    cut = any(len(found[part]) > MAX_SHOWN for part in ("added", "removed", "changed"))
    cut = cut or any(isinstance(value, Mapping) and value.get("truncated") is True for value in (old, new))
    same = len(found.pop("same"))
    return {**{part: rows[:MAX_SHOWN] for part, rows in found.items()}, "same": same, "truncated": cut}


def _found(before: Sequence[Row] | str, after: Sequence[Row] | str, key: str | None) -> dict[str, list[JSON]]:
    if isinstance(before, str) and isinstance(after, str):
        if key:
            raise ComparisonError("Texts have no columns. Leave key out, or compare tables.")
        return _lines(before, after)
    if isinstance(before, str) or isinstance(after, str):
        raise ComparisonError("One of them is a table, and the other a text. Compare two of a kind.")
    return _by_key(before, after, key) if key else _by_row(before, after)


def _read(value: JSON, *, csv_text: bool) -> Sequence[Row] | str:
    """The rows of a table, or a text."""
    if isinstance(value, str):
        return _rows(value) if csv_text else value
    if isinstance(value, Mapping):
        tables = [part for part in value.values() if _is_table(part)]
        if len(tables) == 1:
            return cast("Sequence[Row]", tables[0])
        return [{"name": name, "value": part} for name, part in value.items()]
    if isinstance(value, Sequence):
        return cast("Sequence[Row]", value) if _is_table(value) else [{"value": part} for part in value]
    return json.dumps(value)


def _is_table(value: JSON) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value)


def _rows(text: str) -> Sequence[Row]:
    """The rows of a CSV text, numbers as numbers."""
    header = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",;\t|", key=header.count))
    columns = next(lines, list[str]())
    rows: list[Row] = []
    for cells in lines:
        if cells and len(cells) != len(columns):
            raise ComparisonError(
                f"Line {lines.line_num} of a file has {len(cells)} fields, and its header {len(columns)}. Mend the"
                " file, or compare what read_file returns, line by line."
            )
        rows += [dict(zip(columns, map(_cell, cells), strict=True))] if cells else []
    return rows


def _cell(text: str) -> JSON:
    """A number where it is written as one, as a query would return it; 007 and +49 are none."""
    plain = text.strip()
    return json.loads(plain) if _NUMBER.fullmatch(plain) else plain


def _by_row(before: Sequence[Row], after: Sequence[Row]) -> dict[str, list[JSON]]:
    """Whole rows, each as often as it occurs, in whatever order."""
    old, new = [(_mark(row), row) for row in before], [(_mark(row), row) for row in after]
    added, same = _apart(new, Counter(mark for mark, _ in old))
    removed, _ = _apart(old, Counter(mark for mark, _ in new))
    return {"added": added, "removed": removed, "changed": [], "same": same}


def _apart(rows: Sequence[tuple[str, Row]], others: "Counter[str]") -> tuple[list[JSON], list[JSON]]:
    """The rows that the other table does not have, and those that it has, too."""
    missing: list[JSON] = []
    there: list[JSON] = []
    for mark, row in rows:
        (there if others[mark] > 0 else missing).append(row)
        others[mark] -= 1
    return missing, there


def _by_key(before: Sequence[Row], after: Sequence[Row], key: str) -> dict[str, list[JSON]]:
    old, new = _keyed(before, key, "old"), _keyed(after, key, "new")
    changed = {mark: _cells(old[mark], new[mark], key) for mark in old if mark in new}
    return {
        "added": [row for mark, row in new.items() if mark not in old],
        "removed": [row for mark, row in old.items() if mark not in new],
        "changed": [cell for cells in changed.values() for cell in cells],
        "same": [new[mark] for mark, cells in changed.items() if not cells],
    }


def _cells(old: Row, new: Row, key: str) -> list[JSON]:
    """One row for each cell that has changed, under the name of the key where that is free."""
    name = "key" if key in ("column", "old", "new") else key
    return [
        {name: new[key], "column": column, "old": old.get(column), "new": new.get(column)}
        for column in dict.fromkeys([*old, *new])
        if _mark(old.get(column)) != _mark(new.get(column))
    ]


def _keyed(rows: Sequence[Row], key: str, which: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        if key not in row:
            raise ComparisonError(f"The {which} table has no column {key!r}. Its columns: {_listed(row)}.")
        if _mark(row[key]) in found:
            raise ComparisonError(
                f"{clipped(str(row[key]), 80)!r} stands twice under {key!r} in the {which} table. Name a column whose"
                " values differ, or leave key out to compare whole rows."
            )
        found[_mark(row[key])] = row
    return found


def _mark(value: JSON) -> str:
    """By which two values are told to be the same: 2 and 2.0 are."""
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    if isinstance(value, Mapping):
        return repr(sorted((name, _mark(part)) for name, part in value.items()))
    return repr(value)


def _listed(names: Iterable[str]) -> str:
    return clipped(", ".join(map(repr, names)), 300)


def _lines(before: str, after: str) -> dict[str, list[JSON]]:
    """Lines with their numbers: in the old text where they were removed, else in the new one."""
    old, new = before.splitlines(), after.splitlines()
    found: dict[str, list[JSON]] = {"added": [], "removed": [], "changed": [], "same": []}
    for kind, i, i_end, j, j_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        pairs = min(i_end - i, j_end - j)
        if kind == "equal":
            found["same"] += new[j:j_end]
            continue
        found["changed"] += [{"line": j + n + 1, "old": old[i + n], "new": new[j + n]} for n in range(pairs)]
        found["removed"] += [{"line": n + 1, "text": old[n]} for n in range(i + pairs, i_end)]
        found["added"] += [{"line": n + 1, "text": new[n]} for n in range(j + pairs, j_end)]
    return found
