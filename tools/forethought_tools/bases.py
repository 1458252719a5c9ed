"""SQLite databases, opened so that nothing but reading is possible. Part of the child program of `query_table`."""

__all__ = ["guard", "name_only_table", "open_sqlite", "reads_only", "sqlite_columns"]

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from forethought_tools.filling import QueryError, quoted
from forethought_tools.given import DataFile, Source

HEAP = 512 << 20
"""Bytes that an engine allows itself."""
MAX_SQLITE_VALUE = 10_000_000
SQLITE_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION}
UNSAFE_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
OPEN_FILES = Path("/dev/fd")


def open_sqlite(file: DataFile) -> sqlite3.Connection:
    # SQLite opens by path only, so afterwards we look whether it is this file that is open.
    held = file.status()
    base = sqlite3.connect(f"{file.real.as_uri()}?mode=ro", uri=True)
    if held is not None and not is_open(held):
        base.close()
        raise QueryError(f"{file.real.name} was exchanged just now, so it is not read. Try again.")
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_SQLITE_VALUE)
    base.text_factory = readable
    return base


def is_open(file: os.stat_result) -> bool:
    """Whether this process has this file open; where the platform does not tell, it is taken to be so."""
    if not OPEN_FILES.is_dir():
        return True
    for descriptor in OPEN_FILES.iterdir():
        with suppress(OSError):  # closed since
            if os.path.samestat(os.fstat(int(descriptor.name)), file):
                return True
    return False


def readable(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def guard(base: sqlite3.Connection) -> None:
    """What is set before anything of a database is read."""
    base.execute("PRAGMA temp_store = MEMORY")  # else a query can fill the disk with temporary files
    base.execute(f"PRAGMA hard_heap_limit = {HEAP}")
    base.execute("PRAGMA trusted_schema = OFF")  # the file's own views may not call unsafe functions


def name_only_table(base: sqlite3.Connection, source: Source, tables: Sequence[str]) -> None:
    """A database of one table is that table."""
    if len(set(tables)) == 1:
        for name in source.names:
            if name.lower() != tables[0].lower():
                base.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {quoted(tables[0])}")  # noqa: S608 - quoted


def reads_only(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":  # full-text search asks for it while it reads
        return sqlite3.SQLITE_OK
    allowed = action in SQLITE_READS and second not in UNSAFE_FUNCTIONS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def sqlite_columns(base: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = base.execute(
        "SELECT t.name, trim(c.name || ' ' || c.type) FROM sqlite_schema t, pragma_table_info(t.name) c "
        "WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid"
    ).fetchall()
    return [(str(table), str(column)) for table, column in rows]
