"""Whether the journal is as it was written: the hashes that chain its entries, and the rows that the entries make."""

__all__ = ["fault"]

import operator
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from forethought.journal.database import DamagedError, Row
from forethought.journal.learned import decoded
from forethought.journal.queries import Queries
from forethought.journal.rows import Entry
from forethought.journal.sqlite import SQLite
from forethought.journal.store import Store, link
from forethought_patterns import Problem
from forethought_tools import FencedError, StoreError

_Values: TypeAlias = list[dict[str, object]]


def fault(queries: Queries, chain: str) -> Problem | None:
    """What is wrong with the records of a run or plan. Its entries are replayed into an empty journal, and
    have to give the very same rows. Records that were taken out whole, as pruning does, leave nothing to compare.

    Raises:
        StoreError: they cannot be read.
    """
    found = queries.snapshot(chain)
    before = ""
    for row in found["journal"]:
        parts = [row[name] for name in ("run", "at", "kind", "body")]
        if not all(isinstance(value, str | float) for value in parts) or row["hash"] != link(before, *parts):
            return Problem(f"entry {row['seq']} is not what was written then")
        before = row["hash"]
    with tempfile.TemporaryDirectory() as folder, closing(Store(SQLite(Path(folder) / "replayed.sqlite"))) as replayed:
        try:
            replayed.replay([Entry(**decoded(row)) for row in found["journal"]])
        except (StoreError, FencedError, KeyError, ValueError, TypeError, AttributeError) as error:
            return Problem(f"its entries do not follow from each other: {error}")
        again = replayed.queries.snapshot(chain)
    for table, agree in _TABLES.items():
        if not agree(_values(found[table]), _values(again[table])):
            return Problem(f"the rows ({table}) are not what its entries say")
    return None


def _values(rows: Sequence[Row]) -> _Values:
    return [_value(row) for row in rows]


def _value(row: Row) -> dict[str, object]:
    try:
        return decoded(row)
    except DamagedError:
        return {"": "not what we write"}


def _are_among(some: _Values, others: _Values) -> bool:
    return all(value in others for value in some)


_TABLES: Mapping[str, Callable[[_Values, _Values], bool]] = {
    "run": operator.eq,
    "step": operator.eq,
    "message": operator.eq,
    "plan": lambda found, again: _are_among(again, found),  # there are also revisions that other runs have made
    "lesson": _are_among,  # some may have been forgotten
    "recipe": _are_among,
    "rule": _are_among,
}
