"""What a grid of texts means: how its fields are separated, which row is its header, of which type each column is.

Part of the child program of `query_table`, so it imports nothing that takes long. What is not the usual is told.
"""

__all__ = ["MISSING", "TEXT", "Kind", "Layout", "decoding", "kind_of", "layout", "letters", "unique"]

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

SAMPLE = 4 << 20  # bytes by which separator and header are told
DETECTED = 256 << 10  # bytes by which an encoding is told
SHOWN_ROWS = 2000  # rows by which a header is told
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
NOTHING = "\x1f"  # separates the fields of a file that has one column
MISSING = ("na", "n/a", "null", "none", "nan", "-", "--", "?", "#n/a")
"""What stands in a column of numbers or dates where nothing is known."""
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The most likely first: of short texts nobody can tell more.
ENCODINGS = ["cp1252", "cp1250", "cp1251", "shift_jis", "gb18030", "big5", "euc_kr", "cp1253", "cp1254", "cp1255"]
NBSP = "\u00a0"
_WHOLE = r"(0|[1-9]\d{0,17})"
_DAY = r"\d{1,2}"
_TIME = r"([ T]\d{1,2}:\d{2}(:\d{2})?)?"


@dataclass(frozen=True)
class Kind:
    """How texts of one kind are read: the pattern that all of them fit, and the SQL that reads one (`{}`)."""

    type: str
    pattern: str
    sql: str
    note: str = ""

    def fits(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


TEXT = Kind("VARCHAR", r"(?s:.*)", "{}")
INTEGER = Kind("BIGINT", rf"[+-]?{_WHOLE}", "CAST({} AS BIGINT)")
NUMBER = Kind("DOUBLE", rf"[+-]?({_WHOLE}|(0|[1-9]\d*)?\.\d+([eE][+-]?\d{{1,3}})?)", "CAST({} AS DOUBLE)")
SCIENTIFIC = Kind("DOUBLE", rf"{NUMBER.pattern}|[+-]?\d(\.\d*)?[eE][+-]\d{{1,3}}", "CAST({} AS DOUBLE)")
THOUSANDS = Kind(
    "DOUBLE",
    rf"[+-]?(\d{{1,3}}(,\d{{3}})+|{_WHOLE})(\.\d+)?",
    "CAST(replace({}, ',', '') AS DOUBLE)",
    "1,200 is read as 1200",
)
DECIMAL_COMMA = Kind(
    "DOUBLE",
    rf"[+-]?(\d{{1,3}}([. {NBSP}]\d{{3}})+|{_WHOLE})?(,\d+)?",
    f"CAST(replace(translate({{}}, '. {NBSP}', ''), ',', '.') AS DOUBLE)",
    "1,5 is read as 1.5",
)
DATE = Kind("DATE", r"\d{4}-\d{2}-\d{2}", "CAST({} AS DATE)")
STAMP = Kind(
    "TIMESTAMP", r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?Z?)?", "CAST(rtrim({}, 'Z') AS TIMESTAMP)"
)
SLASHED = Kind("DATE", rf"\d{{4}}[/.]{_DAY}[/.]{_DAY}", "CAST(replace(replace({}, '/', '-'), '.', '-') AS DATE)")
DOTTED = Kind("DATE", rf"{_DAY}\.{_DAY}\.\d{{4}}", "CAST(strptime({}, '%d.%m.%Y') AS DATE)", "day first")
DAY_FIRST = Kind(
    "DATE",
    r"(0?[1-9]|[12]\d|3[01])[/-](0?[1-9]|1[0-2])[/-]\d{4}",
    "CAST(strptime(replace({}, '-', '/'), '%d/%m/%Y') AS DATE)",
    "day first",
)
MONTH_FIRST = Kind(
    "DATE",
    r"(0?[1-9]|1[0-2])[/-](0?[1-9]|[12]\d|3[01])[/-]\d{4}",
    "CAST(strptime(replace({}, '-', '/'), '%m/%d/%Y') AS DATE)",
    "month first",
)
LOGICAL = Kind("BOOLEAN", r"(?i:true|false)", "CAST({} AS BOOLEAN)")
CLOCK = Kind("TIME", r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d", "CAST({} AS TIME)")
ISO = (DATE, STAMP)
KINDS = (
    INTEGER,
    NUMBER,
    SCIENTIFIC,
    THOUSANDS,
    DECIMAL_COMMA,
    *ISO,
    SLASHED,
    DOTTED,
    DAY_FIRST,
    MONTH_FIRST,
    LOGICAL,
    CLOCK,
)
UNTOLD = Kind("VARCHAR", TEXT.pattern, "{}", "days and months cannot be told apart, so it stays text")


def kind_of(values: Iterable[str], kinds: Sequence[Kind] = KINDS, *, comma: bool = False) -> Kind:
    """The first kind that all values fit, and text where none does or there is no value.

    Where `1,200` may be both, `comma` says whether commas separate decimals in this file.
    """
    left, seen = list(kinds), False
    for value in values:
        if value.lower() in MISSING:
            continue
        seen = True
        left = [kind for kind in left if kind.fits(value)]
        if not left:
            return TEXT
    if DAY_FIRST in left and MONTH_FIRST in left:
        return UNTOLD if seen else TEXT
    if THOUSANDS in left and DECIMAL_COMMA in left and left[0] is THOUSANDS and comma:
        return DECIMAL_COMMA
    return left[0] if seen else TEXT


def decoding(file: BinaryIO) -> str | None:
    """The encoding of a text file, and None where it is no text. The file is read from its start again afterwards."""
    head = file.read(DETECTED)
    file.seek(0)
    for mark, name in BOMS.items():
        if head.startswith(mark):
            return name
    if b"\0" in head:
        return _without_mark(head)
    if _is_utf8(file):
        return "utf-8"
    return _detected(file)


def _without_mark(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte is nothing."""
    pairs = len(head) // 2
    for name, nothing in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if pairs and nothing.count(0) > 0.7 * pairs and head.count(0) < 1.1 * pairs:
            return name
    return None


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while part := file.read(1 << 20):
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def _detected(file: BinaryIO) -> str:
    from charset_normalizer import from_bytes  # here, because few files need it

    lines = [line for line in islice(_lines(file), 200_000) if not line.isascii()]
    file.seek(0)
    best = from_bytes(b"".join(lines)[:DETECTED], cp_isolation=ENCODINGS).best()
    if best is None or "cp1252" in best.could_be_from_charset:  # of equals the most common
        return "cp1252"
    return best.encoding


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(1 << 20), b"")


def letters(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The file as text, with its line breaks as they are."""
    return io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")


@dataclass(frozen=True)
class Layout:
    """How a file of separated fields is read."""

    separator: str
    above: int
    """Rows above the header, or above the first row where there is no header."""
    header: Sequence[str] | None
    width: int
    """Fields of most rows."""
    blank_after: bool
    """Whether a blank follows each separator, which belongs to no field."""


def layout(text: str, usual: str = ",") -> Layout:
    """How the text is laid out. Told by its rows as a whole: one that is longer or shorter changes nothing."""
    sample = text if len(text) < SAMPLE else text[: text.rfind("\n") + 1 or len(text)]
    order = sorted(SEPARATORS, key=lambda each: each != usual)
    separator = max(order, key=lambda each: _regular(sample, each))
    if _regular(sample, separator) <= (0, 0):
        separator = NOTHING
    rows = [row for row in islice(_fields(sample, separator), SHOWN_ROWS) if any(map(str.strip, row))]
    width = _modal(rows)
    above = next((at for at, row in enumerate(rows) if len(_filled(row)) > 1), 0) if width > 1 else 0
    body = [[field.strip() for field in row] for row in rows[above:]]
    header = body[0] if body and _is_header(body[0]) else None
    blank = (
        bool(body) and len(body[0]) > 1 and all(field[:1] == " " for row in rows[above:] for field in row[1:] if field)
    )
    return Layout(separator, above if width > 1 else 0, header, width, blank)


def _filled(row: Sequence[str]) -> list[str]:
    return [field for field in row if field.strip()]


def _fields(text: str, separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 27)
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)


def _regular(text: str, separator: str) -> tuple[float, int]:
    """How regular the rows are, read so: the share of those that have as many fields as most, and how many that is."""
    if separator not in text:
        return (0, 0)
    widths = Counter(len(row) for row in _fields(text, separator) if row)
    split = Counter({width: count for width, count in widths.items() if width > 1})
    if not split:
        return (0, 0)
    width, count = max(split.items(), key=lambda each: (each[1], each[0]))
    share = sum(split.values()) / widths.total()
    if share < 0.5:  # it stands in texts now and then, and separates nothing
        return (0, 0)
    return (round(count / widths.total(), 1), width)


def _modal(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(map(len, rows))
    return max(widths, key=lambda width: (widths[width], width)) if widths else 1


def _is_header(first: Sequence[str]) -> bool:
    """Whether a row names what is below it. Years do, and so does whatever is neither a number nor a date."""
    told = [kind_of([field]) for field in first if field]
    if all(kind is TEXT for kind in told):
        return True
    years = [field for field in first if re.fullmatch(r"(19|20)\d\d", field)]
    others = sum(kind is not TEXT for kind in told) - len(years)
    return bool(years) and others == 0 and len(set(years)) == len(years) and len(years) < len(first)


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
