"""Files and rows as tables of an in-memory DuckDB: what of the child program of `query_table` knows formats.

Nothing is dropped or merged in silence: what is assumed of a file beyond the usual goes into `assumed`.
"""

__all__ = ["READERS", "SHEETS", "Loader", "QueryError", "quoted"]

import csv
import io
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING, cast

from forethought_tools import grids
from forethought_tools.filling import CHUNK, Tables, column_of, literal, quoted
from forethought_tools.given import DataFile
from forethought_tools.grids import Layout

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from forethought_tools.tool import JSON

SEPARATED = (".csv", ".tsv", ".tab")
SHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
READERS = (*SEPARATED, ".parquet", ".json", ".jsonl", ".ndjson", *SHEETS)
NO_HIVE = "hive_partitioning = false"  # else folders named a=b would become columns
_SENTENCES = """SELECT count(*) FROM {table}
    WHERE length(text::VARCHAR) > 80 OR regexp_matches(trim(text::VARCHAR), '[,;|=\t]|: |[.!?]$|(\\S+\\s+){{6}}')"""
_AFFINITIES = {"integer": "BIGINT", "real": "DOUBLE", "text": "VARCHAR", "blob": "BLOB"}


class QueryError(Exception):
    """The query cannot be answered; the message says why, and what to do."""


class Loader:
    """Makes tables in a database in memory, and remembers what it had to assume."""

    def __init__(self, memory: "DuckDBPyConnection") -> None:
        self._tables = Tables(memory)

    @property
    def assumed(self) -> Sequence[str]:
        return self._tables.assumed

    def file(self, name: str, file: DataFile) -> None:
        """A file as a table of this name; the further sheets of a workbook as tables of their own names."""
        suffix = file.real.suffix.lower()
        if suffix == ".parquet":
            self._native(name, file, f"read_parquet(?, {NO_HIVE})")
        elif suffix in (".json", ".jsonl", ".ndjson"):
            self._json(name, file)
        elif suffix in SHEETS:
            self._sheets(name, file)
        elif suffix in SEPARATED:
            self._separated(name, file)
        else:
            self._lines(name, file)

    def united(self, name: str, files: Sequence[DataFile]) -> None:
        """Several files as one table: columns of the same name are one, and `filename` says where a row is from."""
        parts: list[tuple[str, str]] = []
        for number, file in enumerate(files):
            part = f"{name}\n{number}"
            try:
                self.file(part, file)
            except QueryError as error:
                if "is no text" not in str(error):
                    raise
                self._tables.assume(file.shown, "it is left out, because it is neither a text nor a table")
            else:
                parts.append((part, file.shown))
        if not parts:
            raise QueryError(f"No file that fits {name!r} is a table or a text.")
        united = " UNION ALL BY NAME ".join(
            f"SELECT *, {literal(shown)} AS filename FROM {quoted(part)}" for part, shown in parts
        )
        self._tables.create(name, united)
        for part, _ in parts:
            self._tables.drop(part)

    def rows(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, "JSON"]]) -> None:
        """Rows of a result as a table."""
        values = [[row.get(column) for row in rows] for column in columns] or [[]]
        self._tables.typed(
            name, grids.unique([column or "column" for column in columns or ["value"]]), values, grids.ISO
        )

    def alias(self, name: str, table: str) -> None:
        self._tables.run(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {quoted(table)}")

    def sqlite(self, base: sqlite3.Connection, wanted: Iterable[str]) -> None:
        """The tables of an SQLite database, under their own names."""
        for table in wanted:
            cursor = base.execute(f"SELECT * FROM {quoted(table)} LIMIT 0")
            columns = [str(column[0]) for column in cursor.description]
            stored = ", ".join(f"group_concat(DISTINCT typeof({quoted(column)}))" for column in columns)
            kinds = base.execute(f"SELECT {stored} FROM {quoted(table)}").fetchone()
            types = [_affinity(str(kind or "")) for kind in kinds]
            raw = self._tables.raw(table, [*types])
            rows = base.execute(f"SELECT * FROM {quoted(table)}")
            self._tables.insert(raw, types, ([_stored(v, t) for v, t in zip(row, types, strict=True)] for row in rows))
            self._tables.finish(table, raw, grids.unique(columns), types, grids.ISO)

    def _native(self, name: str, file: DataFile, reader: str) -> None:
        """Whatever DuckDB reads by itself."""
        import duckdb

        path = re.sub(r"([*?\[])", r"[\1]", file.place)  # the path of one file, not a glob
        try:
            self._tables.run(f"CREATE TABLE {quoted(name)} AS SELECT * FROM {reader}", [path])
        except duckdb.Error as error:
            said = str(error).strip()[:600].replace(file.place, file.shown)
            raise QueryError(f"{file.shown} cannot be loaded: {said}") from None

    def _json(self, name: str, file: DataFile) -> None:
        encoding = self._encoding(file)
        if encoding == "utf-8":
            self._native(name, file, f"read_json(?, {NO_HIVE}, sample_size = -1, maximum_object_size = 67108864)")
            self._unwrap(name, file)
            return
        with _opened(file) as raw, grids.letters(raw, encoding) as text:
            try:
                value = json.load(text)
            except ValueError as error:
                raise QueryError(f"{file.shown} cannot be loaded: {error}") from None
        found = cast("Sequence[JSON]", value if isinstance(value, list) else [value])
        rows = [row if isinstance(row, Mapping) else {"value": row} for row in found]
        self.rows(name, list(dict.fromkeys(key for row in rows for key in row)), rows)
        self._unwrap(name, file)

    def _unwrap(self, name: str, file: DataFile) -> None:
        """An object around one list of objects is that list; plain values in a list are a column `value`."""
        columns = self._tables.described(name)
        lists = [column for column, kind in columns if kind.startswith("STRUCT(") and kind.endswith("[]")]
        plain = all(column in lists or not re.search(r"[(\[]|JSON", kind) for column, kind in columns)
        if [column for column, _ in columns] == ["json"]:
            self._tables.run(f"ALTER TABLE {quoted(name)} RENAME COLUMN json TO value")
        elif len(lists) == 1 and plain and self._tables.count(name) == 1:
            inner = f"SELECT unnest({quoted(lists[0])}, max_depth := 2) FROM {quoted(name)}"
            self._tables.create(f"{name}\nlist", inner)
            self._tables.drop(name)
            self._tables.run(f"ALTER TABLE {quoted(f'{name}{chr(10)}list')} RENAME TO {quoted(name)}")
            self._tables.assume(file.shown, f"its rows are the list {lists[0]!r}")

    def _separated(self, name: str, file: DataFile) -> None:
        encoding = self._encoding(file)
        with _opened(file) as raw, grids.letters(raw, encoding) as text:
            found = grids.layout(text.read(grids.SAMPLE), "," if file.real.suffix.lower() == ".csv" else "\t")
        usual = "," if file.real.suffix.lower() == ".csv" else "\t"
        if found.separator != usual and found.width > 1:
            self._tables.assume(file.shown, f"{grids.SEPARATORS[found.separator]} separate its fields")
        if not found.width:
            raise QueryError(f"{file.shown} is empty.")
        if encoding == "utf-8" and not found.above and self._regular(name, file, found):
            return
        with _opened(file) as raw, grids.letters(raw, encoding) as text:
            reader = csv.reader(text, delimiter=found.separator, skipinitialspace=found.blank_after)
            self._grid(name, file, reader, found)

    def _regular(self, name: str, file: DataFile, found: Layout) -> bool:
        """The fast way, for files whose rows all have as many fields. Whether it could be gone."""
        import duckdb

        if found.header is not None and len(found.header) != found.width:
            return False
        raw = f"{name}\nraw"
        columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(found.width))
        reader = (
            f"read_csv(?, auto_detect = false, delim = {literal(found.separator)}, quote = '\"', escape = '\"',"
            f" header = {found.header is not None}, columns = {{{columns}}}, strict_mode = true, {NO_HIVE},"
            " max_line_size = 16777216)"
        )
        path = re.sub(r"([*?\[])", r"[\1]", file.place)
        try:
            self._tables.run(f"CREATE TABLE {quoted(raw)} AS SELECT * FROM {reader}", [path])
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return False
        self._settle(name, file, raw, found, found.width)
        return True

    def _grid(self, name: str, file: DataFile, rows: Iterable[Sequence[object]], found: Layout) -> None:
        """The way for whatever is irregular: every row as it is, as wide as the widest."""
        filled = (row for row in rows if any(str(cell).strip() for cell in row if cell is not None))
        above = list(islice(filled, found.above + (found.header is not None)))
        if found.above:
            lines = "; ".join(" ".join(str(cell) for cell in row).strip()[:80] for row in above[: found.above])
            self._tables.assume(file.shown, f"what stands above its header is left out: {lines}")
        width, raw = max(found.width, len(found.header or ())), f"{name}\nraw"
        self._tables.raw(name, ["VARCHAR"] * width)
        widths: Counter[int] = Counter()
        batches = iter(lambda: [_texts(row) for row in islice(filled, CHUNK)], [])
        for batch in batches:
            widths.update(map(len, batch))
            for at in range(width, most := max(width, *map(len, batch))):
                self._tables.run(f"ALTER TABLE {quoted(raw)} ADD COLUMN c{at} VARCHAR")
            width = most
            self._tables.insert(raw, ["VARCHAR"] * width, ([*row, *[None] * (width - len(row))] for row in batch))
        odd = {number: count for number, count in widths.items() if number != found.width}
        if odd and found.width > 1:
            told = ", ".join(f"{count} with {number}" for number, count in sorted(odd.items())[:5])
            self._tables.assume(
                file.shown, f"most rows have {found.width} fields, others have more or fewer ({told}); all are kept"
            )
        self._drop_footer(file, raw, width)
        self._settle(name, file, raw, found, width)

    def _drop_footer(self, file: DataFile, raw: str, width: int) -> None:
        """A last row that has only its first field, where a column of numbers or dates has none, is no row."""
        others = " AND ".join(f"nullif(c{at}, '') IS NULL" for at in range(1, width))
        last = self._tables.run(f"SELECT rowid, c0, {others or False} FROM {quoted(raw)} ORDER BY rowid DESC LIMIT 1")
        row = last.fetchone()
        if row is None or not row[2]:
            return
        before = self._tables.run(f"SELECT DISTINCT trim(c0) FROM {quoted(raw)} WHERE c0 <> '' AND rowid < {row[0]}")
        kind = grids.kind_of(column_of(before))
        if kind.type != "VARCHAR" and not kind.fits(str(row[1])):
            self._tables.run(f"DELETE FROM {quoted(raw)} WHERE rowid = {row[0]}")
            self._tables.assume(file.shown, f"what stands below its rows is left out: {str(row[1])[:80]}")

    def _settle(self, name: str, file: DataFile, raw: str, found: Layout, width: int) -> None:
        """Give the columns their names and types."""
        given = [*(found.header or ())]
        names = [given[at] if at < len(given) and given[at] else f"column{at + 1}" for at in range(width)]
        if found.header is None:
            self._tables.assume(
                file.shown, f"it has no header; its columns are {', '.join(names[:4])}{' ...' * (width > 4)}"
            )
        texts = [f"c{at}" for at in range(width)]
        for text in texts:
            value = f"ltrim({text})" if found.blank_after else text
            self._tables.run(f"UPDATE {quoted(raw)} SET {text} = NULLIF({value}, '') WHERE {text} IS NOT NULL")
        nothing = " AND ".join(f"{text} IS NULL" for text in texts)
        empty = self._tables.run(f"DELETE FROM {quoted(raw)} WHERE {nothing}").fetchone()
        if empty and empty[0] and width > 1:
            self._tables.assume(file.shown, f"rows without any value are left out ({empty[0]})")
        used = [
            at for at in range(width) if (at < len(given) and given[at]) or found.header is None or self._holds(raw, at)
        ]
        if len(used) < width:
            kept = ", ".join(f"c{at} AS k{at}" for at in used)
            self._tables.run(f"CREATE OR REPLACE TABLE {quoted(raw)} AS SELECT {kept} FROM {quoted(raw)}")
            for place, at in enumerate(used):
                self._tables.run(f"ALTER TABLE {quoted(raw)} RENAME COLUMN k{at} TO c{place}")
        columns = grids.unique([names[at] for at in used])
        self._tables.finish(
            name, raw, columns, ["VARCHAR"] * len(used), grids.KINDS, file=file.shown, comma=found.separator == ";"
        )

    def _holds(self, raw: str, at: int) -> bool:
        return self._tables.run(f"SELECT count(c{at}) FROM {quoted(raw)}").fetchone() != (0,)

    def _lines(self, name: str, file: DataFile) -> None:
        encoding = self._encoding(file)
        raw = self._tables.raw(name, ["BIGINT", "VARCHAR"])
        with _opened(file) as binary, io.TextIOWrapper(binary, encoding=encoding, errors="replace") as text:
            rows = ([number, line.rstrip("\n")] for number, line in enumerate(text, 1))
            self._tables.insert(raw, ["BIGINT", "VARCHAR"], rows)
        self._tables.finish(name, raw, ["line", "text"], ["BIGINT", "VARCHAR"], ())

    def values(self, name: str, columns: Sequence[str]) -> None:
        """Give a text with one value a line a column of values, under each of these names."""
        wanted = [column for column in columns if column.lower() not in ("line", "text")]
        if not wanted or self._tables.run(_SENTENCES.format(table=quoted(name))).fetchone() != (0,):
            return
        value = "trim(text::VARCHAR)"
        for column in wanted:
            self._tables.run(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(column)} VARCHAR")
            self._tables.run(f"UPDATE {quoted(name)} SET {quoted(column)} = {value}")
            heading = f"line = 1 AND lower({value}) = {literal(column.lower())}"
            self._tables.run(f"DELETE FROM {quoted(name)} WHERE {value} = '' OR ({heading})")

    def _sheets(self, name: str, file: DataFile) -> None:
        import python_calamine as calamine  # here, because few files need it

        try:
            with _opened(file) as raw, calamine.CalamineWorkbook.from_filelike(raw) as book:
                sheets = [(sheet, book.get_sheet_by_name(sheet).to_python()) for sheet in book.sheet_names]
        except (calamine.CalamineError, OSError, ValueError) as error:
            raise QueryError(f"{file.shown} cannot be loaded: {str(error)[:300]}") from None
        filled = [(sheet, rows) for sheet, rows in sheets if any(any(cell != "" for cell in row) for row in rows)]
        if not filled:
            raise QueryError(f"{file.shown} is empty.")
        if len(filled) > 1:
            self._tables.assume(
                file.shown, f"it is its first sheet, {filled[0][0]!r}; the others are tables by their own names"
            )
        for number, (sheet, rows) in enumerate(filled):
            self._sheet(name if number == 0 else sheet, file, rows)

    def _sheet(self, name: str, file: DataFile, rows: Sequence[Sequence[object]]) -> None:
        texts = [_texts(row) for row in rows]
        lines = io.StringIO()
        csv.writer(lines).writerows(texts[: grids.SHOWN_ROWS])
        found = grids.layout(lines.getvalue().lstrip("\r\n"))
        self._grid(name, file, texts, Layout(",", found.above, found.header, max(map(len, texts)), blank_after=False))

    def _encoding(self, file: DataFile) -> str:
        with _opened(file) as raw:
            encoding = grids.decoding(raw)
        if encoding is None:
            raise QueryError(
                f"{file.shown} is no text, and no table that query_table reads: {', '.join(READERS)}, SQLite."
            )
        if not encoding.startswith("utf-8"):
            self._tables.assume(file.shown, f"it is read as {encoding}")
        return encoding


def _opened(file: DataFile) -> io.BufferedReader:
    """The file from its start, by the descriptor by which it is held."""
    os.lseek(file.descriptor, 0, os.SEEK_SET)
    return os.fdopen(os.dup(file.descriptor), "rb")


def _texts(row: Sequence[object]) -> list[str]:
    """Cells as they would stand in a CSV file."""
    return [_text(cell) for cell in row]


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    if isinstance(cell, date | datetime | time):
        return cell.isoformat()
    return "" if cell is None else str(cell)


def _affinity(stored: str) -> str:
    kinds = set(stored.split(",")) - {"null", ""}
    if kinds == {"integer", "real"}:
        return "DOUBLE"
    return _AFFINITIES[kinds.pop()] if len(kinds) == 1 else "VARCHAR"


def _stored(value: object, kind: str) -> object:
    return value if value is None or kind != "VARCHAR" or isinstance(value, str) else str(value)
