"""How a text of separated fields is laid out: separator, quotes, what stands above the header, which row is the header.

Part of the child program of `query_table`, so it imports nothing that takes long. What is not the usual is told.
"""

__all__ = ["NOTHING", "SEPARATORS", "Layout", "TornError", "fields", "layout", "unique"]

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from forethought_tools.given import Options
from forethought_tools.kinds import TEXT, is_text, kind_of

SAMPLE = 4 << 20  # characters by which separator and header are told
SHOWN_ROWS = 2000  # rows by which a header is told
BODY = 200  # rows that are compared with it
BANNER = 20  # rows that may stand above it
BLANKS, BLANK = "  ", " "
SEPARATORS = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    "^": "circumflexes",
    "~": "tildes",
    "\x01": "characters of the number 1",
    BLANKS: "runs of blanks",
    BLANK: "blanks",
}
NOTHING = "\x1f"  # separates the fields of a file that has one column
DOUBLED, ESCAPED, SINGLE, PLAIN = "doubled", "escaped", "single", "plain"
_DECLARED = re.compile(r"\"?sep=(.)\"?[\r\n]+")
_COMMENT = "#"


class TornError(Exception):
    """A quote opens in the row that begins at this line, and it is not closed as it should be."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(frozen=True)
class Layout:
    """How a file of separated fields is read."""

    separator: str
    above: int
    """Rows above the header, or above the first row where there is no header."""
    header: Sequence[str] | None
    width: int
    """Fields of most rows."""
    blank_after: bool = False
    """Whether a blank follows each separator, which belongs to no field."""
    quoting: str = DOUBLED
    skip: int = 0
    """Lines before the first row of all, which are no rows."""
    comment: str = ""
    """What lines begin with that are no rows."""
    torn: int = 0
    """The line of a quote that is not closed, so that quotes are read as they stand."""


def fields(
    lines: Iterable[str], separator: str, quoting: str, options: Options, *, trim: bool = False
) -> Iterator[list[str]]:
    """The rows of the lines, each with its fields. Raises TornError where a quote is not closed."""
    csv.field_size_limit(1 << 27)
    if separator in (BLANKS, BLANK):
        runs, separator = re.compile(f"{re.escape(separator)} *"), "\t"
        lines = (runs.sub("\t", line.strip(" \r\n").replace("\t", " ")) for line in lines)
    quote = options.quote or ("'" if quoting == SINGLE else '"')
    escape = options.escape if options.escape not in ("", quote) else "\\" if quoting == ESCAPED else None
    reader = csv.reader(
        lines,
        delimiter=separator,
        quotechar=None if quoting == PLAIN else quote,
        quoting=csv.QUOTE_NONE if quoting == PLAIN else csv.QUOTE_MINIMAL,
        doublequote=escape is None,
        escapechar=escape,
        skipinitialspace=trim,
        strict=True,
    )
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise TornError(begins) from None
        yield row


def layout(text: str, usual: str, options: Options) -> Layout:
    """How the text is laid out. Told by its rows as a whole: one that is longer or shorter changes nothing.

    Raises:
        TornError: a quote is not closed, and without quotes the rows are not of one width.
    """
    skip, declared = options.skip, _DECLARED.match(text)
    if declared and not options.separator:
        skip += 1
    skip += _blank(text, skip)
    sample = "".join(io.StringIO(text, newline="").readlines()[skip:]) if skip else text
    is_cut = len(text) >= SAMPLE
    sample = sample[: sample.rfind("\n") + 1 or len(sample)] if is_cut else sample
    look = _Look(sample, options, is_cut=is_cut)
    given = options.separator or (declared[1] if declared else "")
    separator, quoting, torn = look.dialect([given] if given else sorted(SEPARATORS, key=lambda each: each != usual))
    rows = [row for row in islice(look.rows(separator, quoting), SHOWN_ROWS) if any(map(str.strip, row))]
    width = _modal(rows)
    comment = options.comment or _COMMENT
    above = _above(rows, width, comment) if width > 1 else 0
    body = [[field.strip() for field in row] for row in rows[above:]]
    has_header = bool(body) and _is_header(body) if options.header is None else options.header and bool(body)
    comment = options.comment or (comment if any(row[0].lstrip().startswith(comment) for row in rows[:above]) else "")
    blank = bool(body) and len(body[0]) > 1 and all(f[:1] == " " for row in rows[above:] for f in row[1:] if f)
    header = body[0] if has_header else None
    return Layout(separator, above, header, width, blank, quoting, skip, comment, torn)


def _blank(text: str, skip: int) -> int:
    """How many lines without any value stand at the beginning, behind those that are skipped."""
    lines = islice(io.StringIO(text, newline=""), skip, None)
    return sum(1 for _ in takewhile(lambda line: not line.strip(' \t,;|"\r\n'), lines))


@dataclass(frozen=True)
class _Look:
    """The beginning of a file, looked at with one separator and one way of quoting after the other."""

    sample: str
    options: Options
    is_cut: bool

    def dialect(self, separators: Sequence[str]) -> tuple[str, str, int]:
        """The separator under which rows are the most regular, how fields are quoted, and the line of a torn quote."""
        torn = 0
        for quoting in self._quotings():
            scores = {each: self._regular(each, quoting) for each in separators}
            best = max(separators, key=lambda each: scores[each])
            if scores[best] > (0, 0):
                return self._single(best, scores[best]) if quoting == DOUBLED else (best, quoting, torn)
            try:
                for _ in self.rows(separators[0] if len(separators) == 1 else NOTHING, quoting):
                    pass
                found = [each for each in separators if each in self.sample and self._torn(each, quoting)]
            except TornError as error:
                torn = torn or error.line
                continue
            guess = quoting == PLAIN and self.options.quote is None
            if guess and any(each in self.sample for each in separators if each != BLANK):
                raise TornError(torn)  # else the whole file would be one column
            if not found:
                return separators[0] if len(separators) == 1 else NOTHING, quoting, torn
            torn = torn or self._torn(found[0], quoting)
        raise TornError(torn)

    def rows(self, separator: str, quoting: str) -> Iterator[list[str]]:
        lines = io.StringIO(self.sample, newline="")
        try:
            yield from fields(lines, separator, quoting, self.options)
        except TornError:
            if not self.is_cut or lines.readline():  # else the row is only cut
                raise

    def _quotings(self) -> Sequence[str]:
        if self.options.quote == "":
            return [PLAIN]
        return [DOUBLED, *([ESCAPED] if '\\"' in self.sample else []), *([PLAIN] if self.options.quote is None else [])]

    def _torn(self, separator: str, quoting: str) -> int:
        """The line in which a row begins that is torn, read so."""
        try:
            for _ in self.rows(separator, quoting):
                pass
        except TornError as error:
            return error.line
        return 0

    def _single(self, separator: str, score: tuple[float, int]) -> tuple[str, str, int]:
        """Apostrophes quote where nothing else does, and all rows are of one width only so."""
        if score[0] < 1 and '"' not in self.sample and "'" in self.sample:
            quoted = self._regular(separator, SINGLE)
            if quoted[0] == 1:
                return separator, SINGLE, 0
        return separator, DOUBLED, 0

    def _regular(self, separator: str, quoting: str) -> tuple[float, int]:
        """How regular the rows are, read so: the share of those that have as many fields as most, and how many."""
        if separator not in self.sample:
            return (0, 0)
        try:
            rows = [row for row in self.rows(separator, quoting) if row]
        except TornError:
            return (0, 0)
        widths = Counter(map(len, rows))
        split = Counter({width: count for width, count in widths.items() if width > 1})
        if not split:
            return (0, 0)
        width, count = max(split.items(), key=lambda each: (each[1], each[0]))
        share = count / widths.total()
        if sum(split.values()) < 0.5 * widths.total() or _is_in_texts(rows):
            return (0, 0)  # it stands in texts now and then, and separates nothing
        if (separator in (BLANKS, BLANK) or quoting == PLAIN != self.options.quote) and share < 1:
            return (0, 0)  # texts have blanks, and torn quotes are read as they stand where nothing speaks against it
        if separator in (BLANKS, BLANK):
            return (0.1, width) if _typed(rows, 0) else (0, 0)
        return (round(share, 1) if share < 1 else 1, width)


def _is_in_texts(rows: Sequence[Sequence[str]]) -> bool:
    """Whether one name stands above texts that all hold this sign, a blank after it: `Smith, John` below `name`."""
    first, *body = rows
    if len(first) > 1 or len(set(map(len, body))) != 1 or not all(cell[:1] == " " for row in body for cell in row[1:]):
        return False
    names_columns = all(map(is_text, map(str.strip, body[0])))
    return not (names_columns and _typed(rows, 1))


def _typed(rows: Sequence[Sequence[str]], header: int) -> int:
    """How many columns hold numbers or dates below this row."""
    body = rows[header + 1 : header + 1 + BODY]
    width = max(map(len, body), default=0)
    columns = ([row[at].strip() for row in body if at < len(row) and row[at].strip()] for at in range(width))
    return sum(kind_of(column).type != "VARCHAR" for column in columns if column)


def _filled(row: Sequence[str]) -> list[str]:
    return [field for field in row if field.strip()]


def _above(rows: Sequence[Sequence[str]], width: int, comment: str) -> int:
    """How many rows stand above the header: those of one field, and others where only what is below them has types."""
    first = next((at for at, row in enumerate(rows) if len(_filled(row)) > 1 or _names_one(rows, at, width)), 0)

    def is_comment(row: Sequence[str]) -> bool:
        return row[0].lstrip().startswith(comment)

    def may_be_above(row: Sequence[str]) -> bool:
        return is_comment(row) or len(row) - len(_filled(row)) > (not row[0].strip()) or len(row) < width

    last = first
    while last < min(len(rows) - 1, first + BANNER) and may_be_above(rows[last]):
        last += 1
    names = [at for at in range(first, last + 1) if all(map(is_text, map(str.strip, _filled(rows[at]))))]
    if len(rows[first]) != width and is_comment(rows[first]):
        names = [at for at in names if not is_comment(rows[at])]
    return max(names or [first], key=lambda at: (_typed(rows, at), len(_filled(rows[at]))))


def _names_one(rows: Sequence[Sequence[str]], at: int, width: int) -> bool:
    """Whether it is the header of two columns of which the first has no name, as that of numbered rows."""
    row, below = rows[at], rows[at + 1 : at + 2]
    is_one = len(row) == width == 2 and not row[0].strip() and is_text(row[1].strip())
    return is_one and bool(below) and len(below[0]) == 2 and not all(map(is_text, map(str.strip, below[0])))


def _modal(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(map(len, rows))
    return max(widths, key=lambda width: (widths[width], width)) if widths else 1


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names what is below it: texts do, and so do years, and whatever fits no column that has
    a type."""
    first, body = rows[0], rows[1 : 1 + BODY]
    if all(map(is_text, filter(None, first))):
        return True
    years = [field for field in first if re.fullmatch(r"(19|20)\d\d", field)]
    others = sum(not is_text(field) for field in first if field) - len(years)
    if years and others == 0 and len(set(years)) == len(years) and len(years) < len(first):
        return True
    columns = [[row[at] for row in body if at < len(row) and row[at]] for at in range(len(first))]
    kinds = [kind_of(column) if column else TEXT for column in columns]
    fits = [kind.fits(field) for kind, field in zip(kinds, first, strict=True) if kind.type != "VARCHAR" and field]
    return bool(fits) and not any(fits) and len(set(first)) == len(first)


def unique(names: Sequence[str]) -> list[str]:
    """The names, numbered where one would be the same as an earlier one (SQL ignores case)."""
    taken: set[str] = set()
    result: list[str] = []
    given = {name.lower() for name in names}
    for name in names:
        number, free = 1, name
        while free.lower() in taken or (number > 1 and free.lower() in given):
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        result.append(free)
    return result
