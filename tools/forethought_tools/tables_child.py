"""The child program of `query_table`: one query over files and rows (through DuckDB, in memory) or one SQLite database.

Of ours it imports a few modules only: all of it would take longer than most queries.
"""

import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from forethought_tools import grids
from forethought_tools.answering import bound_by_the_system, serve
from forethought_tools.bases import HEAP, guard, name_only_table, open_sqlite, reads_only, sqlite_columns
from forethought_tools.filling import QueryError, quoted
from forethought_tools.given import DataFile, Options, Rows, Source
from forethought_tools.kinds import AS_ISO
from forethought_tools.loading import READERS, Loader
from forethought_tools.sql_names import columns_of, table_names
from forethought_tools.sql_types import WHOLE, as_typed, with_columns_quoted
from forethought_tools.text_lines import not_found, words_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from forethought_tools.tool import JSON

MAX_ROWS = 20_000
MAX_CHARACTERS = 1_900_000  # less than may go into the arguments of one call
MAX_CELL = 20_000
MAX_ASSUMED = 12
MADE_UP = 20  # rows of a result that is only foreseen
_OF_TYPE: "Mapping[str, JSON]" = {
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?": 1,
    r"DOUBLE|FLOAT|DECIMAL.*": 1.5,
    "BOOLEAN": True,
    "DATE": "2026-01-02",
    r"TIMESTAMP.*": "2026-01-02T10:00:00",
    "TIME": "10:00:00",
    "VARCHAR": "x",
}
SHOWN_ROWS, SHOWN_COLUMNS, SHOWN_CELL = 2, 20, 40  # of a table that is only looked at
NEEDS_MEMORY = "The query needs more memory than a query may have (512 MB). Filter or aggregate earlier."
DUCKDB = {
    "memory_limit": f"{HEAP >> 20}MiB",
    "threads": "2",
    "temp_directory": "",
    "python_enable_replacements": "false",  # else a table name could mean a variable of this program
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}
# What SQLite and `calculate` have and DuckDB lacks: many queries are written for the one and run by the other.
ALIKE = (
    "CREATE MACRO julianday(moment) AS julian(CAST(moment AS TIMESTAMP))",
    "CREATE MACRO days(begins, ends) AS date_diff('day', CAST(begins AS DATE), CAST(ends AS DATE))",
    "CREATE MACRO iif(holds, this, other) AS CASE WHEN holds THEN this ELSE other END",
    "CREATE MACRO total(amount) AS coalesce(sum(amount), 0.0)",
)


class Cursor(Protocol):
    """What a DuckDB result and an SQLite cursor have in common."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None: ...

    def fetchone(self) -> Sequence[object] | None: ...


def main() -> None:
    """Answer the one question that our parent asks."""
    serve(_answered)


def _answered(request: Mapping[str, Any]) -> "Mapping[str, JSON]":
    sources = [
        Source(names, [DataFile(Path(path), descriptor, shown) for path, descriptor, shown in files], united, options)
        for names, files, united, options in request["sources"]
    ]
    results = [Rows(name, columns, rows) for name, columns, rows in request["results"]]
    try:
        return {"result": _JOBS[request["job"]](sources, results, request["sql"])}
    except QueryError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": NEEDS_MEMORY}
    except Exception as error:  # whatever a file or a query brings about is told, and is no fault of the server
        return {"error": f"The query failed: {type(error).__name__}: {brief(error)}"}


def query(sources: Sequence[Source], results: Sequence[Rows], sql: str, *, dry: bool = False) -> "JSON":
    """The rows of the query. Where it is `dry`, it is only looked whether it could run, and there are none."""
    if len(sources) == 1 and sources[0].is_sqlite and not results:
        return query_sqlite(sources[0], sql, dry=dry)
    memory = engine()
    loader = Loader(memory, sql)
    try:
        beside = load(loader, sources, results, sql)
    except MemoryError:
        raise QueryError(NEEDS_MEMORY) from None
    return answered(memory, loader, sql, beside, dry=dry)


def foresee(sources: Sequence[Source], results: Sequence[Rows], sql: str) -> "JSON":
    """A made-up result with the columns of the query, each of its type; null where a type is of many parts."""
    if len(sources) == 1 and sources[0].is_sqlite and not results:
        with closing(open_sqlite(sources[0].files[0])) as base:
            guard(base)
            columns = sqlite_columns(base)
            name_only_table(base, sources[0], [table for table, _ in columns])
            base.set_authorizer(reads_only)
            cursor = base.execute(f"SELECT * FROM ({sql.rstrip('; ')}) LIMIT 0")  # noqa: S608 - it can only read
            row: dict[str, JSON] = {str(column[0]): None for column in cursor.description or ()}
    else:
        memory = engine()
        loader = Loader(memory, sql)
        load(loader, sources, results, sql)
        memory.execute("SET enable_external_access = false")
        statements = memory.extract_statements(as_typed(memory, with_columns_quoted(memory, sql))[0])
        described = memory.execute(f"DESCRIBE {statements[0].query}").fetchall()
        names = grids.unique([str(column[0]) for column in described])
        row = {name: _made_up(str(column[1])) for name, column in zip(names, described, strict=True)}
    return {"rows": [row] * MADE_UP, "count": MADE_UP, "truncated": False} if row else None


def _made_up(kind: str) -> "JSON":
    return next((value for pattern, value in _OF_TYPE.items() if re.fullmatch(pattern, kind)), None)


def shapes(sources: Sequence[Source], _results: Sequence[Rows], _sql: str) -> "JSON":
    """What tables each file holds: columns, how many rows there are, and the first ones. Nothing where it has none."""
    memory = engine()
    return [shape(memory, source) for source in sources]


def shape(memory: "DuckDBPyConnection", source: Source) -> str:
    loader = Loader(memory)
    before = {table for table, _ in duckdb_columns(memory)}
    try:
        load(loader, [source], [], "", every=True)
    except (QueryError, sqlite3.Error):
        return ""
    tables: dict[str, list[str]] = {}
    for table, column in duckdb_columns(memory):
        tables.setdefault(table, []).append(column)
    return "\n".join(shown(memory, table, columns) for table, columns in tables.items() if table not in before)


def shown(memory: "DuckDBPyConnection", table: str, columns: Sequence[str]) -> str:
    """A table in one line."""
    count = memory.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()  # noqa: S608 - quoted
    first = memory.execute(f"SELECT * FROM {quoted(table)} LIMIT {SHOWN_ROWS}").fetchall()  # noqa: S608 - quoted
    rows = "; ".join(", ".join(str(plain(cell))[:SHOWN_CELL] for cell in row[:SHOWN_COLUMNS]) for row in first)
    more = f", and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    return f"{table} ({', '.join(columns[:SHOWN_COLUMNS])}{more}), {count[0] if count else 0} rows: {rows}"


def told(assumed: Sequence[str]) -> list[str]:
    more = len(assumed) - MAX_ASSUMED
    return [*assumed[:MAX_ASSUMED], *([f"and {more} more of this kind"] if more > 0 else [])]


def engine() -> "DuckDBPyConnection":
    """DuckDB, in memory, held to what a query may take."""
    import duckdb  # slow to import, and SQLite does without

    memory = duckdb.connect(":memory:", config=dict(DUCKDB))
    memory.execute("SELECT 1")  # it takes its address space with the first query
    bound_by_the_system()
    for macro in ALIKE:
        memory.execute(macro)
    return memory


def load(
    loader: Loader, sources: Sequence[Source], results: Sequence[Rows], sql: str, *, every: bool = False
) -> Sequence[tuple[str, str]]:
    """Make every source a table. Returns the tables of databases that the query does not name, and so are none; with
    `every` there are no such."""
    import duckdb

    taken = loader.taken
    beside: list[tuple[str, str]] = []
    try:
        for result in results:
            loader.rows(result.name, result.columns, result.rows)
            taken.add(result.name.lower())
        for source in sources:
            if source.is_sqlite:
                with closing(open_sqlite(source.files[0])) as base:
                    guard(base)
                    beside += load_base(loader, base, source, sql, taken, every=every)
            else:
                load_source(loader, source, sql)
    except duckdb.OutOfMemoryException:
        raise QueryError(NEEDS_MEMORY) from None
    return beside


def load_source(loader: Loader, source: Source, sql: str) -> None:
    taken = loader.taken
    free = [name for name in source.names if name.lower() not in taken]
    first, *others = free or grids.unique([*taken, source.names[0]])[-1:]
    if source.names[0] not in (first, *others):
        loader.assume(source.files[0].shown, f"another table has the name {source.names[0]}; this one is {first}")
    taken |= {name.lower() for name in (first, *others)}
    options = Options(**cast("Mapping[str, Any]", source.options))
    if source.united:
        loader.united(first, source.files, options)
    else:
        loader.file(first, source.files[0], options)
        if source.files[0].real.suffix.lower() not in READERS and not options.separated:
            named = [each for each in table_names(sql) if each.name in source.names]
            loader.values(first, [column for each in named for column in columns_of(sql, each)])
    for name in others:
        loader.alias(name, first)


def load_base(
    loader: Loader, base: sqlite3.Connection, source: Source, sql: str, taken: set[str], *, every: bool = False
) -> list[tuple[str, str]]:
    """The tables of a database that the query names. Returns the columns of the others."""
    base.set_authorizer(None)
    columns = sqlite_columns(base)
    base.set_authorizer(reads_only)
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    tables = [table for table in dict.fromkeys(table for table, _ in columns) if table.lower() not in taken]
    only = len(tables) == 1
    named = [table for table in tables if only or every or words.issuperset(re.findall(r"\w+", table.lower()))]
    loader.sqlite(base, named)
    for name in source.names if only else ():
        if name.lower() not in taken | {tables[0].lower()}:
            loader.alias(name, tables[0])
            taken.add(name.lower())
    taken |= {table.lower() for table in named}
    return [(table, column) for table, column in columns if table not in named]


def answered(
    memory: "DuckDBPyConnection", loader: Loader, sql: str, beside: Sequence[tuple[str, str]], *, dry: bool = False
) -> "JSON":
    """The query's rows. Nothing but the tables can be reached any more."""
    import duckdb

    memory.execute("SET enable_external_access = false")
    memory.execute("SET lock_configuration = true")
    try:
        statements = memory.extract_statements(with_columns_quoted(memory, sql))
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError("Only one statement that begins with SELECT or WITH can run here.")
        sql, by_types = as_typed(memory, statements[0].query)
        if dry:
            memory.execute(f"EXPLAIN {sql}")
            if missed := not_found(memory, sql):
                raise QueryError(missed)
            return {"rows": []}
        found = collected(cast("Cursor", memory.execute(sql)), loader.moments)
    except duckdb.OutOfMemoryException:
        raise QueryError(NEEDS_MEMORY) from None
    except duckdb.Error as error:
        known = outline([*duckdb_columns(memory), *beside])
        words = words_of(memory) if "Referenced column" in str(error) else ""
        raise QueryError(f"{brief(error)}\n{known}{' ' if words else ''}{words}") from None
    assumed = [*loader.assumed, *by_types]
    return {**found, "assumed": told(assumed)} if assumed else found


def duckdb_columns(memory: "DuckDBPyConnection") -> list[tuple[str, str]]:
    rows = memory.execute(
        "SELECT c.table_name, c.column_name || ' ' || c.data_type FROM duckdb_columns() c JOIN duckdb_tables() t"
        " USING (table_oid) WHERE NOT c.internal ORDER BY table_oid, column_index"
    ).fetchall()
    return [(str(table).removesuffix(WHOLE), str(column)) for table, column in rows]


def query_sqlite(source: Source, sql: str, *, dry: bool = False) -> "JSON":
    """What the database itself says; where it does not know the query's SQL, what DuckDB says over its tables."""
    bound_by_the_system()
    with closing(open_sqlite(source.files[0])) as base:
        try:
            return _queried(base, source, sql, dry=dry)
        except QueryError as error:
            if not re.search(r"no such function|syntax error|wrong number of arguments", str(error)):
                raise
            with suppress(Exception):  # then the first fault is the one to be told
                return _queried_elsewhere(base, source, sql, dry=dry)
            raise


def _queried_elsewhere(base: sqlite3.Connection, source: Source, sql: str, *, dry: bool) -> "JSON":
    memory = engine()
    loader = Loader(memory, sql)
    return answered(memory, loader, sql, load_base(loader, base, source, sql, set()), dry=dry)


def _queried(base: sqlite3.Connection, source: Source, sql: str, *, dry: bool) -> "JSON":
    tables = ""
    try:
        guard(base)
        columns = sqlite_columns(base)  # it also opens virtual tables, which the authorizer would not let in
        tables = outline(columns)
        name_only_table(base, source, [table for table, _ in columns])
        base.set_authorizer(reads_only)
        return collected(cast("Cursor", base.execute(f"EXPLAIN {sql}" if dry else sql)))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise QueryError(f"{brief(error)}\n{tables}") from None


def collected(cursor: Cursor, moments: tuple[str, str] = AS_ISO) -> "dict[str, JSON]":
    names = grids.unique([str(column[0]) for column in cursor.description or ()])
    rows: list[JSON] = []
    room = MAX_CHARACTERS
    while (row := cursor.fetchone()) is not None:
        record = {name: plain(value, moments) for name, value in zip(names, row, strict=True)}
        room -= len(json.dumps(record, ensure_ascii=False))
        if room < 0 and not rows:
            raise QueryError(f"One row has more than {MAX_CHARACTERS:,} characters. Select fewer or shorter columns.")
        if room < 0 or len(rows) == MAX_ROWS:
            return {"rows": rows, "count": len(rows), "truncated": True}
        rows.append(record)
    found: dict[str, JSON] = {"rows": rows, "count": len(rows), "truncated": False}
    return found if rows else {**found, "columns": names}  # else nobody could tell them


def plain(value: object, moments: tuple[str, str] = AS_ISO) -> "JSON":
    """A value as JSON has it. What is not a number (NaN, infinity) is null."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return plain(int(value) if value == value.to_integral_value() else float(value)) if value.is_finite() else None
    if isinstance(value, datetime):
        before, exact = moments
        return value.isoformat(before, "auto" if value.second or value.microsecond else exact)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"0x{value[:32].hex()}" + (f"… ({len(value)} bytes)" if len(value) > 32 else "")
    if isinstance(value, Mapping):
        return {str(key): plain(part, moments) for key, part in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(part, moments) for part in cast("Sequence[object]", value)]
    text = str(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}… ({len(text)} characters)"


_OF_LIST = re.compile(r"argument types '\w+\([^()']*\[\][^()']*\)'")
_OF_EXTENSION = re.compile(r'[Ff]unction with name "?(\w+)"? is not in the catalog, but it exists in the \w+ extension')
_FILES_MEND = (
    "Write the name of a file in quotes where a table stands, such as FROM 'book.xlsx' or FROM 'shop.db'.orders"
)
_LIST_MEND = "list_avg(x), list_max(x) or len(x) is of one list; unnest(x) makes a row of each of its values"


def brief(error: Exception) -> str:
    """What went wrong, without the engine's own tables, which it likes to suggest, and without the place in a text that
    its writer has not seen like that."""
    if extension := _OF_EXTENSION.search(str(error)):
        return f"There is no {extension[1]} here, and nothing can be installed. {_FILES_MEND}"
    said = re.sub(r'\s*Did you mean "(pg|duckdb|sqlite)_\w*"\?', "", str(error))
    said = re.sub(r"(?s)(\A(?:Binder|Catalog) .*?)\s+LINE \d+:.*", r"\1", said).strip()
    if of_list := _OF_LIST.search(said):
        return f"{said[: of_list.end()]}: each row has a list. {_LIST_MEND}"
    return said[:600]


def outline(columns: Sequence[tuple[str, str]]) -> str:
    """The tables and their columns, for whoever has to mend the SQL."""
    tables: dict[str, list[str]] = {}
    for table, column in columns:
        tables.setdefault(table, []).append(column)
    listed = "; ".join(f"{quoted(table)} ({', '.join(names)})" for table, names in tables.items())
    return f"Tables: {listed[:3000] or 'none'}."


_JOBS: "Mapping[str, Callable[[Sequence[Source], Sequence[Rows], str], JSON]]" = {
    "query": query,
    "doubt": partial(query, dry=True),
    "foresee": foresee,
    "shapes": shapes,
}
