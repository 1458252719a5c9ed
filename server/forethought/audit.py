"""Whether the journal is as it was written: the hashes that chain its entries, and the rows that the entries make."""

__all__ = ["fault"]

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from forethought.database import Row
from forethought.reading import decoded
from forethought.rows import Entry
from forethought.sqlite import SQLite
from forethought.store import Store, link
from forethought_tools import FencedError, StoreError


def fault(store: Store, chain: str) -> str:
    """What is wrong with the records of a run or plan, or nothing. Its entries are replayed into an empty journal, and
    have to give the very same rows. Records that were taken out whole, as pruning does, leave nothing to compare.

    Raises:
        StoreError: they cannot be read.
    """
    found = store.snapshot(chain)
    before = ""
    for row in found["journal"]:
        if row["hash"] != link(before, row["run"], row["at"], row["kind"], row["body"]):
            return f"entry {row['seq']} is not what was written then"
        before = row["hash"]
    with tempfile.TemporaryDirectory() as folder, closing(Store(SQLite(Path(folder) / "replayed.sqlite"))) as replayed:
        try:
            replayed.replay([Entry(**decoded(row)) for row in found["journal"]])
        except (StoreError, FencedError, KeyError) as error:
            return f"its entries do not follow from each other: {error}"
        again = replayed.snapshot(chain)
    for table in ("run", "step", "message"):
        if _values(found[table]) != _values(again[table]):
            return f"the rows ({table}) are not what its entries say"
    plans = _values(found["plan"])  # with revisions that other runs have made
    if any(row not in plans for row in _values(again["plan"])):
        return "the rows (plan) are not what its entries say"
    return ""


def _values(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [decoded(row) for row in rows]
