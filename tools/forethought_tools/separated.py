"""Files of separated fields, and other grids of texts, as tables: part of the child program of `query_table`.

Every row is kept, as wide as it is; what is left out or taken for something is told.
"""

__all__ = ["Grids", "decoded", "opened"]

import codecs
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from forethought_tools import grids, kinds
from forethought_tools.encoding import Encoding, encoding_in
from forethought_tools.filling import CHUNK, QueryError, Tables, column_of, literal, quoted
from forethought_tools.given import DataFile, Options
from forethought_tools.grids import Layout, TornError

NO_HIVE = "hive_partitioning = false"  # else folders named a=b would become columns
READABLE = "CSV, TSV, JSON, Excel, Parquet or SQLite. What is packed otherwise than as .gz or .zip has to be unpacked"
AT_ONCE = 500  # columns that are looked at by one query
SOME = 30  # columns by which it is told what a row is
MOST_COLUMNS = 10_000
MOST_BELOW = 20  # rows that may stand below the last one
_MAGIC = {b"\x1f\x8b": "packed as .gz", b"PK": "an .xlsx, an .ods or a .zip", b"PAR1": "a .parquet", b"SQLi": "SQLite"}
_TOTAL = re.compile(r"(?i)(grand |sub)?(total|totals|sum|summe|gesamt|insgesamt|somme|totale)\b")
_BELOW = re.compile(
    r"(?i)(grand |sub)?totals?\b|sum(me)?\b|generated|exported|created|source|note|page|end of|©|\d+ (rows|records)"
)


class Grids:
    """Makes tables of grids of texts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def separated(self, name: str, file: DataFile, options: Options) -> None:
        """A file of separated fields. Raises QueryError where what was said of it does not hold, or a quote is torn."""
        usual = "," if file.real.suffix.lower() == ".csv" else "\t"
        encoding = self.encoding(file, options)
        with opened(file) as raw:
            start = "".join(_first(decoded(raw, encoding), grids.SAMPLE))
        try:
            found = grids.layout(start, usual, options)
            self._tell(file, found, options, usual)
            plain = encoding == Encoding("utf_8", encoding.mark) and _is_plain(found, options)
            if not plain or not self._regular(name, file, found, options):
                self._irregular(name, file, encoding, found, options)
        except TornError as error:
            raise QueryError(
                f"{file.shown}, line {error.line}: a quote opens in this row and is not closed as it should be. Mend"
                f" it, or read quotes as they stand: FROM read_csv({literal(file.shown)}, quote = '')"
            ) from None

    def _tell(self, file: DataFile, found: Layout, options: Options, usual: str) -> None:
        if options.separator and found.width == 1:
            raise QueryError(f"{options.separator!r} separates nothing in {file.shown}. Leave it out, or give another.")
        if found.separator not in (usual, options.separator) and found.width > 1:
            self._tables.assume(
                file.shown, f"{grids.SEPARATORS.get(found.separator, found.separator)} separate its fields"
            )
        if found.quoting == grids.ESCAPED:
            self._tables.assume(file.shown, "a backslash stands before quotes that are meant")
        if found.quoting == grids.SINGLE:
            self._tables.assume(file.shown, "apostrophes stand around fields")
        if found.torn and found.quoting == grids.PLAIN:
            self._tables.assume(
                file.shown, f"quotes are read as they stand, because one in line {found.torn} is not closed"
            )

    def _irregular(self, name: str, file: DataFile, encoding: Encoding, found: Layout, options: Options) -> None:
        """The slow way: row by row."""
        with opened(file) as raw:
            lines = islice(decoded(raw, encoding), found.skip, None)
            rows = grids.fields(lines, found.separator, found.quoting, options, trim=found.blank_after)
            self.grid(name, file, rows, found, options)

    def _regular(self, name: str, file: DataFile, found: Layout, options: Options) -> bool:
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
        texts = ", ".join(
            f"nullif({f'ltrim(c{at})' if found.blank_after else f'c{at}'}, '') AS c{at}" for at in range(found.width)
        )
        try:
            self._tables.run(f"CREATE TABLE {quoted(raw)} AS SELECT {texts} FROM {reader}", [path])
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return False
        every = ", ".join(f"c{at}" for at in range(found.width))
        empty = self._tables.run(f"DELETE FROM {quoted(raw)} WHERE coalesce({every}, NULL) IS NULL").fetchone()
        self._settle(name, file, raw, found, found.width, options, empty=empty[0] if empty else 0)
        return True

    def grid(self, name: str, file: DataFile, rows: Iterable[Sequence[str]], found: Layout, options: Options) -> None:
        """The way for whatever is irregular: every row as it is, as wide as the widest."""
        kept = _Kept(found)
        filled = kept.rows(rows)
        above = list(islice(filled, found.above + (found.header is not None)))[: found.above]
        if above:
            lines = "; ".join(" ".join(row).strip()[:80] for row in above)
            self._tables.assume(file.shown, f"what stands above its header is left out: {lines[:300]}")
        width = max(found.width, len(found.header or ()))
        raw = self._tables.raw(name, ["VARCHAR"] * width)
        widths: Counter[int] = Counter()
        for batch in iter(lambda: list(islice(filled, CHUNK)), []):
            widths.update(map(len, batch))
            most = max(width, *map(len, batch))
            if most > MOST_COLUMNS:
                raise QueryError(f"{file.shown} has a row of {most:,} fields, more than {MOST_COLUMNS:,}. Split it.")
            self._tables.widen(raw, width, most)
            width = most
            self._insert(raw, width, batch)
        self._below(file, raw, width, kept)
        odd = {number: count for number, count in widths.items() if number != found.width}
        if odd:
            told = ", ".join(f"{count} with {number}" for number, count in sorted(odd.items())[:5])
            usual = f"{found.width} field{'s' * (found.width > 1)}"
            self._tables.assume(file.shown, f"most rows have {usual}, others have more or fewer ({told}); all are kept")
        if kept.comments:
            self._tables.assume(file.shown, f"lines that begin with {kept.comment} are left out ({kept.comments})")
        self._settle(name, file, raw, found, width, options, empty=kept.empty)

    def _insert(self, raw: str, width: int, batch: Sequence[Sequence[str]]) -> None:
        texts = ([*(cell or None for cell in row), *[None] * (width - len(row))] for row in batch)
        self._tables.insert(raw, ["VARCHAR"] * width, texts)

    def _below(self, file: DataFile, raw: str, width: int, kept: "_Kept") -> None:
        """What stands below the last row, in one field each, is no row where it does not look like one."""
        if not kept.held:
            return
        texts = [row[0].strip() for row in kept.held]
        before = self._tables.run(f"SELECT DISTINCT trim(c0) FROM {quoted(raw)} WHERE c0 <> ''")
        kind = kinds.kind_of(column_of(before))
        unlike = kind.type != "VARCHAR" and not any(map(kind.fits, texts))
        if unlike or kept.apart or any(map(_BELOW.match, texts)):
            self._tables.assume(file.shown, f"what stands below its rows is left out: {'; '.join(texts)[:300]}")
        else:
            self._insert(raw, width, kept.held)
            self._tables.assume(
                file.shown, f"its last rows hold their first field only, and are kept: {'; '.join(texts)[:200]}"
            )

    def _settle(
        self, name: str, file: DataFile, raw: str, found: Layout, width: int, options: Options, *, empty: int
    ) -> None:
        """Give the columns their names and types."""
        self._repeated(file, raw, found, width)
        given = self._names(file, raw, found, width, options)
        if empty and width > 1:
            self._tables.assume(file.shown, f"rows without any value are left out ({empty})")
        used = [at for at, name in enumerate(given) if name or found.header is None]
        used += self._holding(raw, [at for at in range(width) if at not in used])
        used.sort()
        names = [given[at] or f"column{at + 1}" for at in used]
        columns = grids.unique(names)
        if twice := [each for each in zip(names, columns, strict=True) if each[0] != each[1]]:
            named = ", ".join(f"{name!r} is now {column}" for name, column in twice[:5])
            self._tables.assume(file.shown, f"names that stand there twice are numbered: {named}")
        if len(used) < width:
            kept = ", ".join(f"c{at} AS c{place}" for place, at in enumerate(used)) or "NULL AS c0"
            self._tables.run(f"CREATE OR REPLACE TABLE {quoted(raw)} AS SELECT {kept} FROM {quoted(raw)}")
        self._total(file, raw, len(used))
        hint = ";" if found.separator == ";" else ""
        types = ["VARCHAR"] * len(used)
        self._tables.finish(name, raw, columns, types, kinds.KINDS, file=file.shown, decimal=hint, options=options)

    def _repeated(self, file: DataFile, raw: str, found: Layout, width: int) -> None:
        """Leave out the rows that are its header once more, as where one file was put behind another."""
        if found.header is None or width < 2:
            return
        cells = [*found.header, *[""] * (width - len(found.header))][:SOME]
        same = " AND ".join(f"trim(coalesce(c{at}, ''), ' \ufeff') = {literal(cell)}" for at, cell in enumerate(cells))
        gone = self._tables.run(f"DELETE FROM {quoted(raw)} WHERE {same}").fetchone()
        if gone and gone[0]:
            self._tables.assume(file.shown, f"rows that repeat its header are left out ({gone[0]})")

    def _names(self, file: DataFile, raw: str, found: Layout, width: int, options: Options) -> list[str]:
        """The names of all columns, empty where there is none."""
        given = [*(options.names or found.header or ())]
        if len(given) > width:
            raise QueryError(f"{file.shown} has {width} columns, and {len(given)} names were given.")
        if found.header is None and not options.names:
            shown = ", ".join(f"column{at + 1}" for at in range(min(width, 4)))
            said = f"it has no header; its columns are {shown}{' ...' * (width > 4)}"
            self._tables.assume(file.shown, said if found.width and self._tables.count(raw) else "it is empty")
        elif len(given) == found.width - 1 == width - 1 and not options.names and self._holding(raw, [width - 1]):
            self._tables.assume(
                file.shown, "its header has one name less than its rows have fields: the first has none"
            )
            return ["", *given]
        elif found.header and not (options.names or options.header) and self._is_unsure(raw, found.header):
            self._tables.assume(file.shown, f"its first row is taken for its header: {', '.join(found.header)[:80]}")
        return [*given, *[""] * (width - len(given))]

    def _is_unsure(self, raw: str, header: Sequence[str]) -> bool:
        """Whether a header of several columns is not plainly one: numbers are in it, or only texts are below it."""
        if not all(map(kinds.is_text, filter(None, header))):
            return True
        some = ", ".join(f"c{at}" for at in range(min(len(header), SOME)))
        rows = self._tables.run(f"SELECT {some} FROM {quoted(raw)} LIMIT {grids.BODY}").fetchall()
        columns = [[str(cell) for cell in column if cell is not None] for column in zip(*rows, strict=True)]
        return (
            len(header) > 1 and bool(rows) and all(kinds.is_text(value) for column in columns for value in column[:20])
        )

    def _holding(self, raw: str, places: Sequence[int]) -> list[int]:
        """Of these columns, those that hold a value."""
        found: list[int] = []
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            counts = self._tables.run(
                f"SELECT {', '.join(f'count(c{at})' for at in some)} FROM {quoted(raw)}"
            ).fetchone()
            found += [at for at, count in zip(some, counts or (), strict=True) if count]
        return found

    def _total(self, file: DataFile, raw: str, width: int) -> None:
        some = ", ".join(f"c{at}" for at in range(min(width, SOME)))
        newest = f"SELECT {some} FROM {quoted(raw)} WHERE rowid = (SELECT max(rowid) FROM {quoted(raw)})"
        last = self._tables.run(newest).fetchone() if width > 1 else None
        shown = [str(cell) for cell in last or () if cell is not None]
        if shown and _TOTAL.match(shown[0]):
            self._tables.assume(file.shown, f"its last row may be a total, and is kept: {', '.join(shown)[:80]}")

    def encoding(self, file: DataFile, options: Options | None = None) -> Encoding:
        """How the file is read as text. Raises QueryError where it is none."""
        with opened(file) as raw:
            found = encoding_in(raw)
        if options and options.encoding:
            return self._given(file, options.encoding, found)
        if found is None:
            with opened(file) as raw:
                start = raw.read(4)
            known = next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), "")
            hint = f" By its content it is {known}: give it the name of what it is." if known else ""
            raise QueryError(f"{file.shown} is no text, and no table that query_table reads: {READABLE}.{hint}")
        if found.codec != "utf_8":
            self._tables.assume(file.shown, f"it is read as {found.codec.replace('_', '-')}")
        if found.damaged:
            self._tables.assume(file.shown, "it is UTF-8 with bytes that are none; these are shown as \ufffd")
        if found.zeros:
            self._tables.assume(file.shown, "its zero bytes are left out")
        return found

    def _given(self, file: DataFile, name: str, found: Encoding | None) -> Encoding:
        try:
            codec = codecs.lookup(name).name.replace("-", "_")
            with opened(file) as raw:
                for part in decoded(raw, Encoding(codec), errors="strict"):
                    del part
        except LookupError:
            raise QueryError(f"There is no encoding {name!r}. Leave it out, or give one such as cp1252.") from None
        except ValueError as error:
            raise QueryError(f"{file.shown} is not in {name}: {str(error)[:120]}. Leave encoding out.") from None
        return Encoding(codec, found.mark if found and found.codec == codec else b"")


def _is_plain(found: Layout, options: Options) -> bool:
    """Whether its rows begin with the first line, and fields are separated and quoted as is usual."""
    usual = found.quoting == grids.DOUBLED and found.separator not in (grids.BLANKS, grids.BLANK)
    return usual and not (found.above or found.skip or found.comment or options.quote or options.escape)


@dataclass
class _Kept:
    """Which rows are kept, and what becomes of the others."""

    layout: Layout
    comments: int = 0
    empty: int = 0
    apart: bool = False
    """Whether an empty line stands before what is held."""
    held: list[Sequence[str]] = field(default_factory=list[Sequence[str]])
    """Rows of one field at the end, which may be none."""
    comment: str = "#"

    def rows(self, rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
        number, blank = 0, False
        self.comment = self.layout.comment or self.comment
        for row in rows:
            filled = sum(1 for cell in row if cell.strip())
            if not filled:
                blank = True
                self.empty += len(row) > 1 and number > self.layout.above
            elif number < self.layout.above + 1:  # the header, and what stands above it
                number += 1
                yield row
            elif self._is_comment(row, filled):
                self.comments += 1
            elif self.layout.width > 1 and filled == 1 and row[0].strip() and len(self.held) < MOST_BELOW:
                self.apart = blank if not self.held else self.apart
                self.held.append(row)
            else:
                yield from self.held
                self.held = []
                blank = False
                yield row

    def _is_comment(self, row: Sequence[str], filled: int) -> bool:
        begins = row[0].lstrip().startswith(self.comment) and self.layout.width > 1
        return begins and (filled == 1 or bool(self.layout.comment))


def opened(file: DataFile) -> io.BufferedReader:
    """The file from its start, by the descriptor by which it is held."""
    os.lseek(file.descriptor, 0, os.SEEK_SET)
    return os.fdopen(os.dup(file.descriptor), "rb")


def decoded(file: io.BufferedReader, encoding: Encoding, *, errors: str = "replace") -> Iterator[str]:
    """The lines of the file as text, with their line breaks as they are."""
    file.seek(len(encoding.mark))
    with io.TextIOWrapper(file, encoding=encoding.codec, errors=errors, newline="") as text:
        for line in text:
            yield line.replace("\0", "") if encoding.zeros else line


def _first(lines: Iterable[str], most: int) -> Iterator[str]:
    """As many of the lines as have so many characters together, the last one cut."""
    for line in lines:
        yield line[:most]
        most -= len(line)
        if most <= 0:
            return
