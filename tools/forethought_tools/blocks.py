"""Several tables in one text: those of Markdown, and those of separated fields with an empty line between them.

Part of the child program of `query_table`, so it imports nothing that takes long. Where a text may as well be one
table, it is one.
"""

__all__ = ["MOST", "MOST_BESIDE", "Block", "beside", "markdown", "may_hold", "stacked", "stacked_rows", "whole"]

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from forethought_tools.given import Options
from forethought_tools.grids import NOTHING, TornError, fields, layout
from forethought_tools.kinds import is_text

MOST = 4 << 20  # characters of a text that is looked through
MOST_BESIDE = 20
"""Lines that may stand beside tables and belong to none."""
_ROWS = 20_000  # of a sheet that is looked through
_MANY = 200  # parts of a text: of more, none is looked at
_FENCE = re.compile(r"\s*(```|~~~)")
_RULE = re.compile(r":?-+:?")
_CELL = re.compile(r"(?:[^|\\]|\\.?)*")
_HEADING = re.compile(r"#{1,6}\s")
_EMPTY = re.compile(r"\n[ \t,;|\"]*\n")


@dataclass(frozen=True)
class Block:
    """A table in a text: what stands above it, and its rows, of which the header is the first."""

    title: str
    rows: Sequence[Sequence[str]]
    line: int = 0
    """Where it begins in a Markdown text."""

    @property
    def columns(self) -> Sequence[str]:
        return self.rows[0]


def may_hold(text: str) -> bool:
    """Whether it is worth a look: an empty line is in it, or something like a rule of Markdown."""
    return _EMPTY.search(text) is not None or ("|" in text and "-|" in text.replace(" ", "").replace(":", ""))


def markdown(text: str) -> list[Block]:
    """The tables of a Markdown text, but not those in fences."""
    lines = text.split("\n")
    found: list[Block] = []
    title, fence, at = "", "", 0
    while at < len(lines):
        line = lines[at]
        if mark := _FENCE.match(line):
            fence = "" if fence == mark[1] else fence or mark[1]
        elif not fence and _is_heading(line):
            title = line.strip().strip("#").strip()
        elif not fence and _begins(lines, at):
            rows = [_cells(line), *map(_cells, _rows(lines, at + 2))]
            found.append(Block(title, _even(rows), at))
            title, at = "", at + len(rows)
        at += 1
    return found


def beside(text: str, tables: Sequence[Block]) -> list[str]:
    """The lines of a Markdown text that are neither in its tables nor headings."""
    inside = {table.line + number for table in tables for number in range(len(table.rows) + 1)}
    lines = enumerate(text.split("\n"))
    return [line for at, line in lines if at not in inside and line.strip() and not _is_heading(line)]


def whole(text: str, usual: str) -> Block | None:
    """The one table of separated fields that a text is from its first line to its last, if it is one."""
    try:
        table = _table(text, usual, "")
    except TornError:
        return None
    return table if table and len(table.rows) == sum(1 for line in text.split("\n") if line.strip()) else None


def stacked(text: str, usual: str) -> list[Block]:
    """The tables of separated fields in a text, where it plainly holds several: each has a header and rows of its own.
    Empty, where it holds one, or more than that stands beside them."""
    return _stacked(_parts(text), usual)


def stacked_rows(rows: Sequence[Sequence[object]], texts: Callable[[Sequence[object]], list[str]]) -> list[Block]:
    """The same of the rows of a sheet, whose cells become texts like this."""
    return _stacked(_row_parts([texts(row) for row in rows]), ",") if len(rows) <= _ROWS else []


def _stacked(of: Iterator[str], usual: str) -> list[Block]:
    found: list[Block] = []
    title, left = "", 0
    parts = list(islice(of, _MANY + 1))
    for part in parts if 1 < len(parts) <= _MANY else ():
        try:
            block = _table(part, usual, title)
        except TornError:
            return []
        if block is None:
            left += part.count("\n")
            title = part.strip() if part.count("\n") == 1 else ""
        else:
            found.append(block)
            title = ""
    return found if len(found) > 1 and left <= MOST_BESIDE and _differ(found) else []


def _is_heading(line: str) -> bool:
    return _HEADING.match(line.strip()) is not None


def _begins(lines: Sequence[str], at: int) -> bool:
    """Whether a table of Markdown begins in this line: a header, above a rule of as many columns."""
    if "|" not in lines[at] or at + 1 >= len(lines) or "|" not in lines[at + 1]:
        return False
    rule = _cells(lines[at + 1])
    return all(map(_RULE.fullmatch, rule)) and len(_cells(lines[at])) == len(rule)


def _rows(lines: Sequence[str], at: int) -> Iterator[str]:
    while at < len(lines) and "|" in lines[at]:
        yield lines[at]
        at += 1


def _cells(line: str) -> list[str]:
    """The cells of a row, without the bars around it."""
    inside = line.strip().removeprefix("|")
    cells = [re.sub(r"\\([\\|])", r"\1", cell).strip() for cell in _split(inside)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] and inside.endswith("|") else cells


def _split(row: str) -> Iterator[str]:
    at = 0
    while at <= len(row):
        cell = _CELL.match(row, at)
        assert cell is not None
        yield cell[0]
        at = cell.end() + 1


def _even(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows as wide as the header: Markdown shows no more, and fills up what is missing."""
    return [[*row, *[""] * (len(rows[0]) - len(row))][: max(len(rows[0]), len(row))] for row in rows]


def _parts(text: str) -> Iterator[str]:
    """The parts of a text between empty lines."""
    part: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip(' \t,;|"'):
            part.append(f"{line}\n")
        elif part:
            yield "".join(part)
            part = []


def _row_parts(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The parts of a sheet between empty rows, each as separated fields without the empty columns around it."""
    part: list[Sequence[str]] = []
    for row in [*rows, ()]:
        if any(map(str.strip, row)):
            part.append(row)
        elif part:
            filled = [at for each in part for at, cell in enumerate(each) if cell.strip()]
            lines = io.StringIO()
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerows(each[min(filled) : max(filled) + 1] for each in part)
            yield lines.getvalue()
            part = []


def _table(part: str, usual: str, title: str) -> Block | None:
    """The table that a part is; none, where it is something else. Raises TornError where a quote goes beyond it."""
    found = layout(part, usual, Options())
    if found.torn:
        raise TornError(found.torn)
    if found.separator == NOTHING or found.width < 2 or found.header is None or found.skip:
        return None
    lines = io.StringIO(part, newline="")
    read = list(fields(lines, found.separator, found.quoting, Options(), trim=found.blank_after))
    rows = [[cell.strip() for cell in row] for row in read[found.above :]]
    if len(rows) < 2 or any(len(row) != found.width for row in rows) or not all(rows[0]):
        return None
    above = [" ".join(filter(None, row)).strip() for row in read[: found.above]]
    return Block(above[-1] if above else title, rows)


def _differ(tables: Sequence[Block]) -> bool:
    """Whether each further header is no row of the first table: it names other columns, above values."""
    first = tables[0].columns
    return all(
        list(table.columns) != list(first) and (len(table.columns) != len(first) or _is_typed(table))
        for table in tables[1:]
    )


def _is_typed(table: Block) -> bool:
    """Whether a column has no texts below its name, but numbers or dates."""
    columns = [[row[at] for row in table.rows[1:] if row[at]] for at in range(len(table.columns))]
    return any(column and not any(map(is_text, column)) for column in columns)
