"""The child program of `query_table`: one query over data files (through DuckDB, in memory) or one SQLite database.

Of ours it imports only what takes no time: the whole package would take longer than most queries.
"""

import json
import math
import os
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from forethought_tools.answering import bound_by_the_system, serve

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from forethought_tools.tool import JSON

MAX_ROWS = 500
MAX_CHARACTERS = 100_000
MAX_CELL = 4_000
MAX_SQLITE_VALUE = 10_000_000
HEAP = 512 << 20
"""Bytes that each engine allows itself."""
NEEDS_MEMORY = "The query needs more memory than a query may have (512 MB). Filter or aggregate earlier."
READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}
DUCKDB = {
    "memory_limit": f"{HEAP >> 20}MiB",
    "threads": "2",
    "temp_directory": "",
    "python_enable_replacements": "false",  # else a table name could mean a variable of this program
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}
SQLITE_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION}
UNSAFE_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
OPEN_FILES = Path("/dev/fd")


@dataclass(frozen=True)
class DataFile:
    """A file that can be queried, and the descriptor by which our parent holds it open."""

    real: Path
    descriptor: int

    @property
    def is_sqlite(self) -> bool:
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return os.read(self.descriptor, 16) == b"SQLite format 3\0"

    def status(self) -> os.stat_result | None:
        """Which file it is; it is let go with that, so that whoever has it open afterwards has opened it anew. None
        where descriptors are not handed on."""
        if sys.platform == "win32":
            return None
        status = os.fstat(self.descriptor)
        os.close(self.descriptor)
        return status

    @property
    def place(self) -> str:
        """Where a library finds it: through the descriptor on Linux, else by its path."""
        place = Path(f"/proc/self/fd/{self.descriptor}")
        return str(place if place.exists() else self.real)


class QueryError(Exception):
    """The query cannot be answered; the message says why, and what to do."""


class Cursor(Protocol):
    """What a DuckDB result and an SQLite cursor have in common."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None: ...

    def fetchone(self) -> Sequence[object] | None: ...


def main() -> None:
    """Answer the one question that our parent asks."""
    serve(_answered)


def _answered(request: Mapping[str, Any]) -> "Mapping[str, JSON]":
    sql, files = request["sql"], [DataFile(Path(path), descriptor) for path, descriptor in request["files"]]
    try:
        return {"result": query_sqlite(files[0], sql) if request["is_sqlite"] else query_files(files, sql)}
    except QueryError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": NEEDS_MEMORY}
    except Exception as error:  # whatever a file or a query brings about is told, and is no fault of the server
        return {"error": f"The query failed: {type(error).__name__}: {brief(error)}"}


def query_files(files: Sequence[DataFile], sql: str) -> "JSON":
    import duckdb  # slow to import, and SQLite does without

    memory = duckdb.connect(":memory:", config=dict(DUCKDB))
    memory.execute("SELECT 1")  # it takes its address space with the first query
    bound_by_the_system()
    for name, file in named(files):
        try:
            memory.execute(
                f"CREATE TABLE {quoted(name)} AS SELECT * FROM {READERS[file.real.suffix.lower()]}(?, {OPTIONS})",  # noqa: S608 - both are ours
                [re.sub(r"([*?\[])", r"[\1]", file.place)],  # the path of one file, not a glob
            )
        except duckdb.Error as error:
            said = brief(error).replace(file.place, file.real.name)
            raise QueryError(f"{file.real.name} cannot be loaded: {said}") from None
    memory.execute("SET enable_external_access = false")
    memory.execute("SET lock_configuration = true")
    try:
        statements = memory.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError("Only one statement that begins with SELECT or WITH can run here.")
        return collected(cast("Cursor", memory.execute(statements[0])))
    except duckdb.OutOfMemoryException:
        raise QueryError(NEEDS_MEMORY) from None
    except duckdb.Error as error:
        raise QueryError(f"{brief(error)}\n{outline(duckdb_columns(memory))}") from None


OPTIONS = "hive_partitioning = false"  # else folders named a=b would become columns


def duckdb_columns(memory: "DuckDBPyConnection") -> list[tuple[str, str]]:
    rows = memory.execute(
        "SELECT table_name, column_name || ' ' || data_type FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY table_oid, column_index"
    ).fetchall()
    return [(str(table), str(column)) for table, column in rows]


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


def query_sqlite(file: DataFile, sql: str) -> "JSON":
    bound_by_the_system()
    with closing(open_sqlite(file)) as base:
        return _queried(base, sql)


def _queried(base: sqlite3.Connection, sql: str) -> "JSON":
    tables = ""
    try:
        base.execute("PRAGMA temp_store = MEMORY")  # else a query can fill the disk with temporary files
        base.execute(f"PRAGMA hard_heap_limit = {HEAP}")
        base.execute("PRAGMA trusted_schema = OFF")  # the file's own views may not call unsafe functions
        tables = outline(sqlite_columns(base))  # it also opens virtual tables, which the authorizer would not let in
        base.set_authorizer(reads_only)
        return collected(cast("Cursor", base.execute(sql)))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise QueryError(f"{brief(error)}\n{tables}") from None


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


def collected(cursor: Cursor) -> "JSON":
    names = unique([str(column[0]) for column in cursor.description or ()])
    rows: list[JSON] = []
    room = MAX_CHARACTERS
    while (row := cursor.fetchone()) is not None:
        record = {name: plain(value) for name, value in zip(names, row, strict=True)}
        room -= len(json.dumps(record, ensure_ascii=False))
        if room < 0 and not rows:
            raise QueryError(f"One row has more than {MAX_CHARACTERS:,} characters. Select fewer or shorter columns.")
        if room < 0 or len(rows) == MAX_ROWS:
            return {"rows": rows, "count": len(rows), "truncated": True}
        rows.append(record)
    return {"rows": rows, "count": len(rows), "truncated": False}


def plain(value: object) -> "JSON":
    """A value as JSON has it. What is not a number (NaN, infinity) is null."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return plain(int(value) if value == value.to_integral_value() else float(value)) if value.is_finite() else None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"0x{value[:32].hex()}" + (f"… ({len(value)} bytes)" if len(value) > 32 else "")
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in cast("Sequence[object]", value)]
    text = str(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}… ({len(text)} characters)"


def named(files: Sequence[DataFile]) -> Iterator[tuple[str, DataFile]]:
    """Each file with its table's name: the stem as an identifier, numbered where two are alike."""
    stems = [re.sub(r"\W", "_", file.real.stem) or "table" for file in files]
    return zip(unique([f"t_{stem}" if stem[0].isdigit() else stem for stem in stems]), files, strict=True)


def unique(names: Sequence[str]) -> list[str]:
    """The names, numbered where one would be the same as an earlier one (SQL ignores case)."""
    taken: set[str] = set()
    result: list[str] = []
    for name in names:
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        result.append(free)
    return result


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def brief(error: Exception) -> str:
    return str(error).strip()[:600]


def outline(columns: Sequence[tuple[str, str]]) -> str:
    """The tables and their columns, for whoever has to mend the SQL."""
    tables: dict[str, list[str]] = {}
    for table, column in columns:
        tables.setdefault(table, []).append(column)
    listed = "; ".join(f"{quoted(table)} ({', '.join(names)})" for table, names in tables.items())
    return f"Tables: {listed[:3000] or 'none'}."
