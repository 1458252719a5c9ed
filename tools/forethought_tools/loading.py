"""Files and rows as tables of an in-memory DuckDB: what of the child program of `query_table` knows formats.

Nothing is dropped or merged in silence: what is assumed of a file beyond the usual goes into `assumed`.
"""

__all__ = ["READERS", "SHEETS", "Loader"]

import csv
import io
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from forethought_tools import blocks, grids, kinds
from forethought_tools.blocks import Block
from forethought_tools.encoding import Encoding
from forethought_tools.filling import QueryError, Tables, literal, quoted
from forethought_tools.formulas import without_value
from forethought_tools.given import DataFile, Options
from forethought_tools.json_files import JSONRows, json_rows
from forethought_tools.separated import NO_HIVE, Grids, decoded, opened

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from python_calamine import CalamineSheet

    from forethought_tools.tool import JSON

SEPARATED = (".csv", ".tsv", ".tab")
SHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
READERS = (*SEPARATED, ".parquet", ".json", ".jsonl", ".ndjson", *SHEETS)
MARKUP = (".xml", ".html", ".htm", ".yaml", ".yml", ".toml", ".ini", ".svg")
MOST_JSON = 32 << 20  # bytes: beyond that DuckDB reads it, in less memory
_SENTENCES = """SELECT count(*) FROM {table}
    WHERE length(text::VARCHAR) > 80 OR regexp_matches(trim(text::VARCHAR), '[,;|=\t]|: |[.!?]$|(\\S+\\s+){{6}}')"""
_MARKUP = re.compile(r"\ufeff?\s*<(?:!doctype\b|html\b|\?xml\b|table\b)", re.IGNORECASE)
_HEAD = 1 << 16  # characters of a text by which it is told whether it is a table
_SQL = frozenset({"select", "from", "where", "group", "order", "by", "limit", "as", "on", "and", "or", "not", "count"})
_TITLE = 60  # characters of the name of a table
_AFFINITIES = {"integer": "BIGINT", "real": "DOUBLE", "text": "VARCHAR", "blob": "BLOB"}


class Loader:
    """Makes tables in a database in memory, and remembers what it had to assume."""

    def __init__(self, memory: "DuckDBPyConnection", sql: str = "") -> None:
        """For this query, whose words tell whether a text is meant as its lines or as the table in it."""
        self._tables = Tables(memory)
        self._grids = Grids(self._tables)
        self.taken: set[str] = set()
        """The names that tables have, in lower case."""
        self._words = {word.lower() for word in re.findall(r"\w+", sql)}
        self._tabular: set[str] = set()
        """Texts that are read as the tables in them, and not as lines."""

    @property
    def assumed(self) -> Sequence[str]:
        return self._tables.assumed

    @property
    def moments(self) -> tuple[str, str]:
        """How moments are written: as in the sources, where all of these have one form; else as ISO 8601 has it."""
        known = self._tables.moments
        return next(iter(known)) if len(known) == 1 else kinds.AS_ISO

    def file(self, name: str, file: DataFile, options: Options) -> None:
        """A file as a table of this name; the further sheets of a workbook as tables of their own names."""
        suffix = file.real.suffix.lower()
        if suffix == ".parquet":
            self._native(name, file, f"read_parquet(?, {NO_HIVE})")
        elif suffix in (".json", ".jsonl", ".ndjson"):
            self._json(name, file)
        elif suffix in SHEETS:
            self._sheets(name, file, options)
        elif suffix in SEPARATED or options.separated:
            self._separated(name, file, options)
        else:
            self._lines(name, file)

    def united(self, name: str, files: Sequence[DataFile], options: Options) -> None:
        """Several files as one table: columns of the same name are one, and `filename` says where a row is from."""
        parts: list[tuple[str, str]] = []
        for number, file in enumerate(files):
            part = f"{name}\n{number}"
            try:
                self.file(part, file, options)
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

    def rows(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, "JSON"]], file: str = "") -> None:
        """Rows of a result, or of a file, as a table."""
        values = [[row.get(column) for row in rows] for column in columns] or [[]]
        named = grids.unique([column or "column" for column in columns or ["value"]])
        if file and (changed := [each for each in zip(columns, named, strict=False) if each[0] != each[1]]):
            self.assume(file, f"names are changed: {', '.join(f'{was!r} is now {now}' for was, now in changed[:5])}")
        self._tables.typed(name, named, values, kinds.ISO, file)

    def assume(self, file: str, what: str) -> None:
        """What is told of a file beyond what its tables tell."""
        self._tables.assume(file, what)

    def alias(self, name: str, table: str) -> None:
        self._tables.run(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {quoted(table)}")

    def sqlite(self, base: sqlite3.Connection, wanted: Iterable[str]) -> None:
        """The tables of an SQLite database, under their own names."""
        for table in wanted:
            cursor = base.execute(f"SELECT * FROM {quoted(table)} LIMIT 0")
            columns = [str(column[0]) for column in cursor.description]
            stored = ", ".join(f"group_concat(DISTINCT typeof({quoted(column)}))" for column in columns)
            stored_as = base.execute(f"SELECT {stored} FROM {quoted(table)}").fetchone()
            types = [_affinity(str(kind or "")) for kind in stored_as]
            raw = self._tables.raw(table, [*types])
            rows = base.execute(f"SELECT * FROM {quoted(table)}")
            self._tables.insert(raw, types, ([_stored(v, t) for v, t in zip(row, types, strict=True)] for row in rows))
            self._tables.finish(table, raw, grids.unique(columns), types, kinds.ISO)

    def _separated(self, name: str, file: DataFile, options: Options) -> None:
        """Separated fields; where there are several tables of them, or tables of Markdown, each is one."""
        if replace(options, separated=False) == Options() and (text := self._text(file)):
            if _MARKUP.match(text):
                raise QueryError(f"{file.shown} is a page of HTML or XML, and no table. read_file reads its text.")
            if found := self._json_in(file, text):
                self._json_rows(name, file, found)
                return
            if tables := self._tables_in(file, text):
                self._several(name, file, tables)
                return
        self._grids.separated(name, file, options)

    def _json_in(self, file: DataFile, text: str) -> JSONRows | None:
        """What JSON stands in a file of another ending."""
        if not text.lstrip("\ufeff \t\n").startswith(("[", "{")):
            return None
        try:
            found = json_rows(text, file.shown)
        except QueryError:
            return None
        self._tables.assume(file.shown, "it holds JSON")
        return found

    def _tables_in(self, file: DataFile, text: str) -> Sequence[Block]:
        """The tables of Markdown in it; else those of separated fields, where it plainly holds several."""
        if not blocks.may_hold(text):
            return []
        if tables := blocks.markdown(text):
            beside = blocks.beside(text, tables)
            if len(beside) <= blocks.MOST_BESIDE and '"' not in "".join(beside):  # else it may be in a quoted field
                more = f"; what stands beside its tables is left out: {'; '.join(beside)[:200]}" if beside else ""
                self._tables.assume(file.shown, f"it holds Markdown{more}")
                return tables
        return blocks.stacked(text, _usual(file))

    def _several(self, name: str, file: DataFile, tables: Sequence[Block], what: str = "it") -> None:
        """The tables of a text: the first under the name of its file, unless lines have it, and all others under names
        of their own."""
        titles = grids.unique([each.title[:_TITLE] or f"table_{number}" for number, each in enumerate(tables, 1)])
        first = 0 if name else -1
        if others := titles[first + 1 :]:
            listed = ", ".join(f'"{title}"' for title in others[:5]) + " ..." * (len(others) > 5)
            this = f"{what} holds {len(tables)} tables; this is the first" if name else "it is read as lines"
            self._tables.assume(file.shown, f"{this}, and the tables in it have their own names: {listed}")
        for number, (title, table) in enumerate(zip(titles, tables, strict=True)):
            free = self._free(name if number == first else title, file, is_first=number == first)
            self._sheet(free, file, table.rows, Options(header=True))
            self._name_sheet(free, title, file)

    def _text(self, file: DataFile) -> str:
        """The text of a file; nothing, where it is long."""
        if os.fstat(file.descriptor).st_size > blocks.MOST:
            return ""
        encoding = self._grids.encoding(file)
        with opened(file) as raw:
            return "".join(decoded(raw, encoding)).replace("\r\n", "\n").replace("\r", "\n")

    def _are_meant(self, text: str, tables: Sequence[Block]) -> bool:
        """Whether the query means the first of these tables, and not the lines of the text: it names a column of it, or
        there is nothing else in the text; and it names none of those that lines have."""
        columns = {column.lower() for column in tables[0].columns}
        spelt = [re.findall(r"\w+", column) for column in columns]
        named = any(words and self._words.issuperset(words) for words in spelt)
        return (named or not blocks.beside(text, tables)) and not self._words & ({"line", "text"} - columns)

    def _names_columns(self, file: DataFile, text: str) -> bool:
        """Whether a text is a table of separated fields as a whole, and the query names a column of it, and no line."""
        head = text[: text.rfind("\n", 0, _HEAD) + 1] if len(text) > _HEAD else text
        found = blocks.whole(head, _usual(file))
        if found is None:
            return False
        columns = {column.lower() for column in found.columns}
        asked = self._words - _SQL - set(re.findall(r"\w+", file.shown.lower()))
        spelt = [re.findall(r"\w+", column) for column in columns]
        return any(words and asked.issuperset(words) for words in spelt) and not asked & ({"line", "text"} - columns)

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
        encoding = self._grids.encoding(file)
        if os.fstat(file.descriptor).st_size > MOST_JSON and encoding == Encoding("utf_8"):
            more = "sample_size = -1, maximum_object_size = 67108864, map_inference_threshold = -1"
            self._native(name, file, f"read_json(?, {NO_HIVE}, {more})")
            self._unwrap(name, file)
            return
        with opened(file) as raw:
            found = json_rows("".join(decoded(raw, encoding)), file.shown)
        self._json_rows(name, file, found)

    def _json_rows(self, name: str, file: DataFile, found: JSONRows) -> None:
        for said in found.assumed:
            self._tables.assume(file.shown, said)
        self.rows(name, found.columns, found.rows, file.shown)
        if found.lists:
            listed = ", ".join(f'"{key}"' for key in [*found.lists][:5]) + " ..." * (len(found.lists) > 5)
            self._tables.assume(file.shown, f"it is one row, and the lists in it have their own names: {listed}")
        for key, rows in found.lists.items():
            free = self._free(key, file, is_first=False)
            self.rows(free, list(dict.fromkeys(column for row in rows for column in row)), rows, file.shown)
            self._name_sheet(free, key, file)

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

    def _lines(self, name: str, file: DataFile) -> None:
        encoding = self._grids.encoding(file)
        if (ending := file.real.suffix.lower()) in MARKUP:
            self._tables.assume(file.shown, f"its lines are the rows, because query_table knows no columns of {ending}")
        text = "" if ending in MARKUP else self._text(file)
        if self._names_columns(file, text):
            self._tabular.add(name)
            self._tables.assume(file.shown, "it is read as separated fields, because the query names a column of it")
            self._grids.separated(name, file, Options())
            return
        tables = blocks.markdown(text) if blocks.may_hold(text) else []
        if tables and self._are_meant(text, tables):
            self._tabular.add(name)
            self._several(name, file, tables)
            return
        raw = self._tables.raw(name, ["BIGINT", "VARCHAR"])
        with opened(file) as binary:
            texts = _joined(decoded(binary, encoding))
            self._tables.insert(raw, ["BIGINT", "VARCHAR"], ([number, line] for number, line in enumerate(texts, 1)))
        self._tables.finish(name, raw, ["line", "text"], ["BIGINT", "VARCHAR"], ())
        if tables:
            self._several("", file, tables)

    def values(self, name: str, columns: Sequence[str]) -> None:
        """Give a text with one value a line a column of values, under each of these names."""
        wanted = [column for column in columns if column.lower() not in ("line", "text")]
        if (
            not wanted
            or name in self._tabular
            or self._tables.run(_SENTENCES.format(table=quoted(name))).fetchone() != (0,)
        ):
            return
        value = "trim(text::VARCHAR)"
        for column in wanted:
            self._tables.run(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(column)} VARCHAR")
            self._tables.run(f"UPDATE {quoted(name)} SET {quoted(column)} = {value}")
            heading = f"line = 1 AND lower({value}) = {literal(column.lower())}"
            self._tables.run(f"DELETE FROM {quoted(name)} WHERE {value} = '' OR ({heading})")

    def _sheets(self, name: str, file: DataFile, options: Options) -> None:
        import python_calamine as calamine  # here, because few files need it

        try:
            with opened(file) as raw, calamine.CalamineWorkbook.from_filelike(raw) as book:
                sheets = [(each, _cells(book.get_sheet_by_name(each))) for each in book.sheet_names]
        except (calamine.CalamineError, OSError, ValueError) as error:
            raise QueryError(f"{file.shown} cannot be loaded: {str(error)[:300]}") from None
        with opened(file) as raw:
            for said in without_value(raw):
                self._tables.assume(file.shown, said)
        filled = [(sheet, found) for sheet, found in sheets if any(any(cell != "" for cell in row) for row in found[0])]
        if not filled:
            raise QueryError(f"{file.shown} is empty.")
        if len(filled) > 1:
            others = ", ".join(f'"{sheet}"' for sheet, _ in filled[1:6])
            said = f"it is its first sheet, {filled[0][0]!r}; the others are tables by their own names: {others}"
            self._tables.assume(file.shown, said)
        for number, (sheet, (rows, merged)) in enumerate(filled):
            if merged:
                said = f"in sheet {sheet!r} cells that are merged downwards have their value in each row ({merged})"
                self._tables.assume(file.shown, said)
            table = self._free(name if number == 0 else sheet, file, is_first=number == 0)
            if options == Options() and (stacked := blocks.stacked_rows(rows, _texts)):
                self._several(table, file, stacked, f"sheet {sheet!r}")
            else:
                self._sheet(table, file, rows, options)
            self._name_sheet(table, sheet, file)

    def _free(self, name: str, file: DataFile, *, is_first: bool) -> str:
        """A name for the table of a sheet that no other table has."""
        free = name if is_first else grids.unique([*self.taken, name])[-1]
        if free != name:
            what = "sheet" if file.real.suffix.lower() in SHEETS else "part"
            self._tables.assume(file.shown, f"its {what} {name!r} is the table {free}, because another has its name")
        self.taken.add(free.lower())
        return free

    def _name_sheet(self, table: str, sheet: str, file: DataFile) -> None:
        """Its own name is one for the first sheet too, and each is found behind the name of its file."""
        for other in (sheet, *(f"{place}.{sheet}" for place in (file.shown, PurePosixPath(file.shown).name))):
            if other.lower() not in self.taken:
                self.alias(other, table)
                self.taken.add(other.lower())

    def _sheet(self, name: str, file: DataFile, rows: Sequence[Sequence[object]], options: Options) -> None:
        texts = [_texts(row) for row in rows]
        lines = io.StringIO()
        csv.writer(lines).writerows(texts[: grids.SHOWN_ROWS])
        found = grids.layout(lines.getvalue(), ",", replace(options, separator=","))
        self._grids.grid(name, file, texts, replace(found, width=max(map(len, texts)), blank_after=False), options)


def _usual(file: DataFile) -> str:
    return "," if file.real.suffix.lower() == ".csv" else "\t"


def _cells(sheet: "CalamineSheet") -> tuple[list[list[object]], int]:
    """The cells of a sheet, and how many ranges were merged downwards, which have their value in each row."""
    rows: list[list[object]] = [list(row) for row in sheet.to_python()]
    top, left = sheet.start or (0, 0)
    merged = 0
    for (first, column), (last, until) in sheet.merged_cell_ranges or ():
        if column == until and first - top < len(rows):
            merged += 1
            for at in range(first - top + 1, min(last - top + 1, len(rows))):
                rows[at][column - left] = rows[first - top][column - left]
    return rows, merged


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines without their ends; a carriage return alone ends none."""
    return (line.rstrip("\r\n") for line in lines)


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
