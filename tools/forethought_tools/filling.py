"""Tables in an in-memory DuckDB, filled with rows and typed by what is in them.

Part of the child program of `query_table`. Names are quoted and texts are literals wherever SQL is made of them.
"""

__all__ = ["Tables", "column_of", "literal", "quoted"]

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, cast

from forethought_tools import grids
from forethought_tools.grids import TEXT, Kind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHUNK = 5_000  # rows that go into a table at once
SAMPLED = 2_000  # values by which a column's type is guessed, before all of them are held against it


class Tables:
    """The tables of one query, and what had to be assumed to make them."""

    def __init__(self, memory: "DuckDBPyConnection") -> None:
        self._memory = memory
        self.assumed: list[str] = []

    def run(self, sql: str, values: Sequence[object] = ()) -> "DuckDBPyConnection":
        return self._memory.execute(sql, list(values))

    def typed(self, name: str, columns: list[str], values: Sequence[Sequence[object]], kinds: Sequence[Kind]) -> None:
        """Columns of values as a table, each of the type that its values have."""
        types = [_type(column) for column in values]
        nested = {at: self._structure(values[at]) for at, kind in enumerate(types) if kind == "JSON"}
        stored = [nested[at][0] if at in nested else kind for at, kind in enumerate(types)]
        raw = self.raw(name, stored)
        plain = [[_plain(v, kind) for v in column] for column, kind in zip(values, types, strict=True)]
        self.insert(raw, types, zip(*plain, strict=True), {at: shape for at, (_, shape) in nested.items()})
        self.finish(name, raw, columns, stored, kinds)

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
        kinds: Sequence[Kind],
        *,
        file: str = "",
        comma: bool = False,
    ) -> None:
        """The table itself: each text column as the kind that all of its values are of."""
        found = [
            self._kind(raw, at, kinds, comma=comma) if kind == "VARCHAR" else TEXT for at, kind in enumerate(types)
        ]
        if not comma and grids.DECIMAL_COMMA in found:
            found = [
                self._kind(raw, at, kinds, comma=True) if kind is grids.THOUSANDS else kind
                for at, kind in enumerate(found)
            ]
        for column, kind in zip(columns, found, strict=True):
            if kind.note and file:
                self.assume(file, f"column {column!r}: {kind.note}")
        read = ", ".join(
            f"{_read(f'c{at}', kind)} AS {quoted(column)}"
            for at, (column, kind) in enumerate(zip(columns, found, strict=True))
        )
        self.create(name, f"SELECT {read} FROM {quoted(raw)}")
        self.run(f"DROP TABLE {quoted(raw)}")

    def _kind(self, raw: str, at: int, kinds: Sequence[Kind], *, comma: bool) -> Kind:
        """The kind of a column: guessed by the first values, then held against all of them."""
        if not kinds:
            return TEXT
        column = f"trim(c{at})"
        values = f"SELECT {column} FROM {quoted(raw)} WHERE c{at} IS NOT NULL"
        first = [str(value) for (value,) in self.run(f"{values} LIMIT {SAMPLED}").fetchall()]
        kind = grids.kind_of(first, kinds, comma=comma)
        if kind.type != "VARCHAR" and not self._all(raw, at, kind):
            kind = grids.kind_of(
                column_of(self.run(f"SELECT DISTINCT {column} FROM {quoted(raw)} WHERE c{at} IS NOT NULL")),
                kinds,
                comma=comma,
            )
        return kind if kind.type == "VARCHAR" or self._all(raw, at, kind) else TEXT

    def _all(self, raw: str, at: int, kind: Kind) -> bool:
        value = _present(f"c{at}")
        read = f"TRY({kind.sql.format(value)})"
        fits = f"regexp_full_match({value}, {literal(kind.pattern)})"
        bad = f"SELECT 1 FROM {quoted(raw)} WHERE {value} IS NOT NULL AND ({read} IS NULL OR NOT {fits}) LIMIT 1"
        return self.run(bad).fetchone() is None

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


def _present(column: str) -> str:
    missing = ", ".join(map(literal, grids.MISSING))
    return f"CASE WHEN lower(trim({column})) NOT IN ({missing}) THEN trim({column}) END"


def _read(column: str, kind: Kind) -> str:
    return column if kind.type == "VARCHAR" else kind.sql.format(_present(column))


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _type(values: Sequence[object]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int} and all(abs(cast("int", value)) < 1 << 63 for value in values if value is not None):
        return "BIGINT"
    if kinds and kinds <= {int, float}:
        return "DOUBLE"
    return "JSON" if kinds & {list, dict} and kinds <= {list, dict} else "VARCHAR"


def _plain(value: object, kind: str) -> object:
    if value is None or kind not in ("VARCHAR", "JSON"):
        return value
    return value if isinstance(value, str) and kind == "VARCHAR" else json.dumps(value, ensure_ascii=False)


def column_of(cursor: "DuckDBPyConnection") -> Iterator[str]:
    return (str(row[0]) for row in chain.from_iterable(iter(lambda: cursor.fetchmany(CHUNK), [])))
