"""Tables in an in-memory DuckDB, filled with rows and typed by what is in them.

Part of the child program of `query_table`. Names are quoted and texts are literals wherever SQL is made of them.
"""

__all__ = ["QueryError", "Tables", "column_of", "literal", "quoted"]

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from forethought_tools import kinds
from forethought_tools.given import Options
from forethought_tools.kinds import TEXT, Kind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHUNK = 5_000  # rows that go into a table at once
MOST_STORED = 800  # columns of a table; of a wider one only those are made that a query reads
AT_ONCE = 100  # columns that are looked at by one query
NEVER = Kind(
    "NULL", "", "{}"
)  # no value fits it, so that a column without any at its beginning is looked at as a whole
SEEN_WHOLE = ("BIGINT", "DOUBLE", "BOOLEAN")  # types that every text of the pattern can be read as
SAMPLED = 2_000  # values by which a column's type is guessed, before all of them are held against it


class QueryError(Exception):
    """The query cannot be answered; the message says why, and what to do."""


class Tables:
    """The tables of one query, and what had to be assumed to make them."""

    def __init__(self, memory: "DuckDBPyConnection") -> None:
        self._memory = memory
        self.assumed: list[str] = []
        self.moments: set[tuple[str, str]] = set()
        """How each column of moments was written."""

    def run(self, sql: str, values: Sequence[object] = ()) -> "DuckDBPyConnection":
        return self._memory.execute(sql, list(values))

    def typed(
        self, name: str, columns: list[str], values: Sequence[Sequence[object]], known: Sequence[Kind], file: str
    ) -> None:
        """Columns of values as a table, each of the type that its values have."""
        types = [_type(column) for column in values]
        for column, kind, of in zip(columns, types, values, strict=True) if file else ():
            if kind == "VARCHAR" and any(value is not None and not isinstance(value, str) for value in of):
                self.assume(file, f"column {column!r}: its values are of several types or too long, so it is text")
        nested = {at: self._structure(values[at]) for at, kind in enumerate(types) if kind == "JSON"}
        stored = [nested[at][0] if at in nested else kind for at, kind in enumerate(types)]
        raw = self.raw(name, stored)
        plain = [[_plain(v, kind) for v in column] for column, kind in zip(values, types, strict=True)]
        self.insert(raw, types, zip(*plain, strict=True), {at: shape for at, (_, shape) in nested.items()})
        self.finish(name, raw, columns, stored, known)

    def _structure(self, values: Sequence[object]) -> tuple[str, str]:
        """The type of nested values, in SQL, and as `from_json` is told."""
        found = self.run("SELECT json_structure(?::JSON)", [json.dumps(list(values))]).fetchone()
        assert found is not None
        inner = json.loads(found[0])
        shape = json.dumps(inner[0] if isinstance(inner, list) and inner else "JSON").replace("UBIGINT", "BIGINT")
        shape = shape.replace('"NULL"', '"VARCHAR"')
        kind = self.run(f"SELECT typeof(from_json('null'::JSON, {literal(shape)}))").fetchone()
        assert kind is not None
        return str(kind[0]), shape

    def raw(self, name: str, types: Sequence[str]) -> str:
        """A table that is not finished, with the columns c0, c1 and so on."""
        raw = f"{name}\nraw"
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(types))
        self.run(f"CREATE TABLE {quoted(raw)} ({columns})")
        return raw

    def widen(self, raw: str, width: int, to: int) -> None:
        """Add columns to such a table."""
        for at in range(width, to):
            self.run(f"ALTER TABLE {quoted(raw)} ADD COLUMN c{at} VARCHAR")

    def insert(
        self, raw: str, types: Sequence[str], rows: Iterable[Sequence[object]], nested: Mapping[int, str] | None = None
    ) -> None:
        """Put rows into it. Columns that are `nested` come as JSON."""
        parts = [
            f"from_json(CAST(unnest(?::VARCHAR[]) AS JSON), {literal(nested[at])})"
            if nested and at in nested
            else f"unnest(?::{kind}[])"
            for at, kind in enumerate(types)
        ]
        whole = iter(rows)
        while batch := list(islice(whole, CHUNK)):
            columns = [list(column) for column in zip(*batch, strict=True)]
            self.run(f"INSERT INTO {quoted(raw)} SELECT {', '.join(parts)}", columns)

    def finish(
        self,
        name: str,
        raw: str,
        columns: Sequence[str],
        types: Sequence[str],
        known: Sequence[Kind],
        *,
        file: str = "",
        decimal: str = "",
        options: Options | None = None,
    ) -> None:
        """The table itself: each text column as the kind that all of its values are of."""
        given = options or Options()
        texts = [at for at, kind in enumerate(types) if kind == "VARCHAR" and not given.all_text and known]
        found = dict.fromkeys(range(len(types)), TEXT)
        found |= self._kinds(raw, texts, known, replace(given, decimal=given.decimal or decimal))
        sure = {"," if kind.sql == kinds.DECIMAL_COMMA.sql else "." for kind in found.values() if _is_sure(kind)}
        again = [at for at, kind in found.items() if kind.ambiguous and not given.decimal and len(sure) == 1]
        found |= self._kinds(raw, again, known, replace(given, decimal="".join(sure)))
        found |= {at: self._given(raw, at, columns[at], file, given) for at in texts if columns[at] in given.types}
        self._check(columns, found, file, given)
        nothing = self._nothing(raw, [at for at, kind in found.items() if kind.type != "VARCHAR"], given)
        self.moments |= {kind.written for kind in found.values() if kind.type == "TIMESTAMP"}
        for at, kind in found.items():
            note = kind.note or (f"{nothing[at]!r} is read as no value" if at in nothing and not given.missing else "")
            if file and note:
                self.assume(file, f"column {columns[at]!r}: {note}")
        read = ", ".join(
            f"{_read(f'c{at}', found[at], given, plain=at not in nothing)} AS {quoted(name)}"
            for at, name in enumerate(columns)
        )
        if len(columns) > MOST_STORED:
            self.run(f"CREATE VIEW {quoted(name)} AS SELECT {read} FROM {quoted(raw)}")
            return
        self.create(name, f"SELECT {read} FROM {quoted(raw)}")
        self.run(f"DROP TABLE {quoted(raw)}")

    def _check(self, columns: Sequence[str], found: Mapping[int, Kind], file: str, given: Options) -> None:
        """Raises QueryError where what was said of the columns holds for none of them."""
        if strange := [name for name in given.types if name not in columns]:
            raise QueryError(f"{file} has no column {strange[0]!r}, but {', '.join(map(repr, columns[:20]))}.")
        if given.dates and not any(kind.pattern == TEXT.pattern and kind.type != "VARCHAR" for kind in found.values()):
            raise QueryError(f"No column of {file} holds dates of the form {given.dates!r}. Mend dateformat.")

    def _given(self, raw: str, at: int, column: str, file: str, options: Options) -> Kind:
        """The type that was said for a column. Raises QueryError where a value is not of it."""
        kind = Kind(options.types[column], TEXT.pattern, f"CAST({{}} AS {options.types[column]})")
        if kind.type.upper() in ("VARCHAR", "TEXT", "STRING"):
            return TEXT
        if bad := self._bad(raw, {at: kind}, options):
            raise QueryError(f"{file}: column {column!r} holds {bad[at][:60]!r}, which is no {kind.type}.")
        return kind

    def _kinds(self, raw: str, places: Sequence[int], known: Sequence[Kind], options: Options) -> Mapping[int, Kind]:
        """The kinds of columns: guessed by the first values, then held against all of them."""
        found: dict[int, Kind] = {}
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            columns = ", ".join(f"trim(c{at})" for at in some)
            rows = self.run(f"SELECT {columns} FROM {quoted(raw)} LIMIT {SAMPLED}").fetchall()
            for at, column in zip(some, zip(*rows, strict=True) if rows else [()] * len(some), strict=True):
                first = [str(value) for value in column if value is not None]
                found[at] = kinds.kind_of(first, known, decimal=options.decimal) if first else NEVER
            if options.dates:
                form = kinds.of_format(options.dates)
                bad = self._bad(raw, dict.fromkeys(some, form), options)
                found |= {at: form for at in some if at not in bad and found[at] != NEVER}
            seen = SEEN_WHOLE if len(rows) < SAMPLED else ()
            unsure = {at: found[at] for at in some if found[at].type not in ("VARCHAR", *seen)}
            bad = self._bad(raw, unsure, options)
            for at, value in bad.items():
                kind = self._kind(raw, at, known, options)
                found[at] = kinds.spoilt(value) if kind == TEXT and found[at] not in (NEVER, TEXT) else kind
        return found

    def _kind(self, raw: str, at: int, known: Sequence[Kind], options: Options) -> Kind:
        """The kind of a column by all of its values."""
        every = self.run(f"SELECT DISTINCT trim(c{at}) FROM {quoted(raw)} WHERE c{at} IS NOT NULL")
        kind = kinds.kind_of(column_of(every), known, decimal=options.decimal)
        if kind.type == "VARCHAR":
            return kind
        bad = self._bad(raw, {at: kind}, options)
        return kinds.spoilt(bad[at]) if bad else kind

    def _bad(self, raw: str, of: Mapping[int, Kind], options: Options) -> Mapping[int, str]:
        """The columns that have a value which is not of their kind, with one such value."""
        strange: list[str] = []
        for at, kind in of.items():
            value = kind.value(f"p{at}")
            read, fits = f"TRY({kind.sql.format(value)})", f"regexp_full_match({value}, {literal(kind.pattern)})"
            strange.append(f"any_value(CASE WHEN {read} IS NULL OR NOT {fits} THEN p{at} END)")
        present = ", ".join(f"{_present(f'c{at}', options)} AS p{at}" for at in of)
        values = f"WITH v AS MATERIALIZED (SELECT {present} FROM {quoted(raw)})"
        row = self.run(f"{values} SELECT {', '.join(strange)} FROM v").fetchone() if strange else None
        return {at: str(value) for at, value in zip(of, row or (), strict=True) if value is not None}

    def _nothing(self, raw: str, places: Sequence[int], options: Options) -> Mapping[int, str]:
        """The columns that hold something which stands for nothing, with one such value."""
        found: dict[int, str] = {}
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            missing = _missing(options)
            telling = ", ".join(
                f"any_value(CASE WHEN regexp_full_match(trim(c{at}), {missing}) THEN trim(c{at}) END)" for at in some
            )
            row = self.run(f"SELECT {telling} FROM {quoted(raw)}").fetchone() or ()
            found |= {at: str(value) for at, value in zip(some, row, strict=True) if value is not None}
        return found

    def create(self, name: str, select: str) -> None:
        self.run(f"CREATE TABLE {quoted(name)} AS {select}")

    def drop(self, name: str) -> None:
        self.run(f"DROP TABLE {quoted(name)}")

    def described(self, name: str) -> list[tuple[str, str]]:
        return [(str(row[0]), str(row[1])) for row in self.run(f"DESCRIBE {quoted(name)}").fetchall()]

    def count(self, name: str) -> int:
        found = self.run(f"SELECT count(*) FROM {quoted(name)}").fetchone()
        return int(found[0]) if found else 0

    def assume(self, file: str, what: str) -> None:
        said = f"{file}: {what}"
        if said not in self.assumed:
            self.assumed.append(said)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_sure(kind: Kind) -> bool:
    return not kind.ambiguous and kind.sql in (kinds.NUMBER.sql, kinds.THOUSANDS.sql, kinds.DECIMAL_COMMA.sql)


def _missing(options: Options) -> str:
    """A pattern of what stands for nothing: with so many columns, lists of values take long to plan."""
    return literal(f"(?i:{'|'.join(map(re.escape, options.missing or kinds.MISSING))})")


def _present(column: str, options: Options) -> str:
    return f"CASE WHEN NOT regexp_full_match(trim({column}), {_missing(options)}) THEN trim({column}) END"


def _read(column: str, kind: Kind, options: Options, *, plain: bool) -> str:
    """The SQL that reads a column; `plain` is one without anything that stands for nothing."""
    if kind.type != "VARCHAR":
        return kind.sql.format(kind.value(f"trim({column})" if plain else _present(column, options)))
    return (
        f"CASE WHEN NOT regexp_full_match({column}, {_missing(options)}) THEN {column} END"
        if options.missing
        else column
    )


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _type(values: Sequence[object]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    most = max((abs(value) for value in values if isinstance(value, int)), default=0)
    if kinds == {int} and most < 1 << 63:
        return "BIGINT"
    if kinds and kinds <= {int, float} and most <= 1 << 53:  # beyond that a DOUBLE loses digits
        return "DOUBLE"
    return "JSON" if kinds & {list, dict} and kinds <= {list, dict} else "VARCHAR"


def _plain(value: object, kind: str) -> object:
    if value is None or kind not in ("VARCHAR", "JSON"):
        return value
    return value if isinstance(value, str) and kind == "VARCHAR" else json.dumps(value, ensure_ascii=False)


def column_of(cursor: "DuckDBPyConnection") -> Iterator[str]:
    return (str(row[0]) for row in chain.from_iterable(iter(lambda: cursor.fetchmany(CHUNK), [])))
