"""Built in: read-only SQL over data files (through DuckDB, in memory) or over one SQLite database.

Files are loaded first; then DuckDB's way out is closed for good, before the caller's SQL runs.
"""

__all__ = ["table_tools"]

import json
import math
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Protocol, TypeVar, cast

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint_if_cancelled
from pydantic import Field

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.text import shortened
from forethought_tools.tool import JSON, Limits, Tool, tool

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
MAX_ROWS = 500
MAX_CHARACTERS = 100_000
MAX_CELL = 4_000
MAX_SQLITE_VALUE = 10_000_000
READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}
DUCKDB = {
    "memory_limit": "512MB",
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


class Cursor(Protocol):
    """What a DuckDB result and an SQLite cursor have in common."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None: ...

    def fetchone(self) -> Sequence[object] | None: ...


def table_tools(folders: Folders) -> list[Tool]:
    async def query_table(
        sql: Annotated[str, Field(description="One SELECT; a table is named like its file: sales.csv is sales")],
        paths: Annotated[
            list[Annotated[str, Field(json_schema_extra={"x-suffixes": [*READERS, ".sqlite", ".sqlite3", ".db"]})]],
            Field(description="CSV, TSV, Parquet or JSON files, or one SQLite file", min_length=1, max_length=20),
        ],
    ) -> JSON:
        """Read data files with SQL. Returns {rows: [{column: value}], count, truncated}; at most 500 rows."""
        with ExitStack() as opened:
            files = await to_thread.run_sync(lambda: [checked(folders, path, opened) for path in paths])
            databases = [file for file in files if file.is_sqlite]
            if databases and len(files) > 1:
                raise ToolError("An SQLite database is read alone. Name it as the only path.")
            if databases:
                with closing(open_sqlite(databases[0])) as base:
                    return await interruptible(partial(query_sqlite, base, sql), base.interrupt)
            with closing(await to_thread.run_sync(open_duckdb)) as memory:
                return await interruptible(partial(query_files, memory, sql, files), memory.interrupt)

    def reads(arguments: Mapping[str, JSON]) -> Claim:
        paths = arguments.get("paths")
        named = map(str, paths) if isinstance(paths, list) else ()
        return Claim(reads=frozenset(place for path in named for place in folders.parts(path)))

    return [tool(query_table, risk=Risk.LOW, repeatable=True, limits=Limits(timeout=60, at_once=2), claims=reads)]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that can be queried, held open: whatever its path leads to by now, this is the file."""

    real: Path
    held: BinaryIO

    @property
    def is_sqlite(self) -> bool:
        self.held.seek(0)
        return self.held.read(16) == b"SQLite format 3\0"

    @property
    def place(self) -> str:
        """Where a library finds it: through the descriptor on Linux, else by its path."""
        place = Path(f"/proc/self/fd/{self.held.fileno()}")
        return str(place if place.exists() else self.real)


def checked(folders: Folders, path: str, held: ExitStack) -> DataFile:
    """A file that can be queried."""
    file = DataFile(folders.resolve(path), held.enter_context(folders.open(path)))
    if file.real.suffix.lower() not in READERS and not file.is_sqlite:
        raise ToolError(f"{path!r} is no data file. query_table reads {', '.join(READERS)} and SQLite files.")
    for beside in (f"{file.real}-wal", f"{file.real}-journal"):  # SQLite reads these too, by itself
        if file.is_sqlite and os.path.lexists(beside):
            folders.open(beside).close()
    return file


async def interruptible(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Do blocking work in a thread; when the caller is cancelled, end the work and wait for the thread."""
    ended = anyio.Event()
    results: list[T] = []
    failures: list[Exception] = []

    async def watch() -> None:
        try:
            await ended.wait()
        finally:
            with anyio.CancelScope(shield=True):
                while not ended.is_set():  # repeated, because an interrupt between two statements is lost
                    interrupt()
                    with anyio.move_on_after(0.05):
                        await ended.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            results.append(await to_thread.run_sync(work))
        except Exception as error:  # kept, so that it does not come out wrapped in an exception group
            failures.append(error)
        finally:
            ended.set()
    await checkpoint_if_cancelled()
    if failures:
        raise failures[0]
    return results[0]


def open_duckdb() -> "DuckDBPyConnection":
    import duckdb  # slow to import, and few runs query tables

    return duckdb.connect(":memory:", config=dict(DUCKDB))


def query_files(memory: "DuckDBPyConnection", sql: str, files: Sequence[DataFile]) -> JSON:
    import duckdb

    for name, file in named(files):
        try:
            memory.execute(
                f"CREATE TABLE {quoted(name)} AS SELECT * FROM {READERS[file.real.suffix.lower()]}(?, {OPTIONS})",  # noqa: S608 - both are ours
                [re.sub(r"([*?\[])", r"[\1]", file.place)],  # the path of one file, not a glob
            )
        except duckdb.Error as error:
            said = brief(error).replace(file.place, file.real.name)
            raise ToolError(f"{file.real.name} cannot be loaded: {said}") from None
    memory.execute("SET enable_external_access = false")
    memory.execute("SET lock_configuration = true")
    try:
        statements = memory.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ToolError("Only one statement that begins with SELECT or WITH can run here.")
        return collected(cast("Cursor", memory.execute(statements[0])))
    except duckdb.OutOfMemoryException:
        raise ToolError("The query needs more than 512 MB of memory. Filter or aggregate earlier.") from None
    except duckdb.Error as error:
        raise ToolError(f"{brief(error)}\n{outline(duckdb_columns(memory))}") from None


OPTIONS = "hive_partitioning = false"  # else folders named a=b would become columns


def duckdb_columns(memory: "DuckDBPyConnection") -> list[tuple[str, str]]:
    rows = memory.execute(
        "SELECT table_name, column_name || ' ' || data_type FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY table_oid, column_index"
    ).fetchall()
    return [(str(table), str(column)) for table, column in rows]


SQLITE_HEAP = 1 << 30


def open_sqlite(file: DataFile) -> sqlite3.Connection:
    # SQLite opens by path only, so afterwards we look whether it is this file that is open.
    checked_file = os.fstat(file.held.fileno())
    file.held.close()
    base = sqlite3.connect(f"{file.real.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    if not is_open(checked_file):
        base.close()
        raise ToolError(f"{file.real.name} was exchanged just now, so it is not read. Try again.")
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


def query_sqlite(base: sqlite3.Connection, sql: str) -> JSON:
    tables = ""
    try:
        # Without these a query can fill the disk with temporary files. The limit is that of the whole process.
        base.execute("PRAGMA temp_store = MEMORY")
        base.execute(f"PRAGMA hard_heap_limit = {SQLITE_HEAP}")
        base.execute("PRAGMA trusted_schema = OFF")  # the file's own views may not call unsafe functions
        tables = outline(sqlite_columns(base))  # it also opens virtual tables, which the authorizer would not let in
        base.set_authorizer(reads_only)
        return collected(cast("Cursor", base.execute(sql)))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise ToolError(f"{brief(error)}\n{tables}") from None


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


def collected(cursor: Cursor) -> JSON:
    names = unique([str(column[0]) for column in cursor.description or ()])
    rows: list[JSON] = []
    room = MAX_CHARACTERS
    while (row := cursor.fetchone()) is not None:
        record = {name: plain(value) for name, value in zip(names, row, strict=True)}
        room -= len(json.dumps(record, ensure_ascii=False))
        if room < 0 and not rows:
            raise ToolError(f"One row has more than {MAX_CHARACTERS:,} characters. Select fewer or shorter columns.")
        if room < 0 or len(rows) == MAX_ROWS:
            return {"rows": rows, "count": len(rows), "truncated": True}
        rows.append(record)
    return {"rows": rows, "count": len(rows), "truncated": False}


def plain(value: object) -> JSON:
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
    return shortened(str(value), MAX_CELL, "… ({whole} characters)")


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
