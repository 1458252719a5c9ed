"""Results as tables: what counts as one, and how one is written where a text is due.

The only place that knows which results are tables: those with `rows`, `files` or `matches`, and lists.
"""

__all__ = ["Table", "as_html", "as_separated", "as_table", "markdown", "rounded", "table_in", "text_of", "told"]

import csv
import html
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from forethought_tools.errors import ToolError
from forethought_tools.text import as_text
from forethought_tools.tool import JSON

Row: TypeAlias = Mapping[str, JSON]
LISTS = ("rows", "files", "matches")
BESIDE = frozenset({"count", "truncated", "assumed", "columns"})
DIGITS = 12  # significant ones of a fraction

_MARKED = re.compile(r"(?:[-*+>]|#{1,6}|\d{1,4}[.)])\s+\S")  # how a line of a list, a quotation or a heading begins


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and their columns in the order in which they first appear."""

    columns: Sequence[str]
    rows: Sequence[Row]

    def cells(self) -> list[list[JSON]]:
        """The values, row by row, in the order of the columns."""
        return [[row.get(column) for column in self.columns] for row in self.rows]


def as_table(value: JSON, name: str = "rows") -> Table:
    """Whatever can be one table: rows, a result that has some, a list, one object, or the lines of a text.

    Raises:
        ToolError: the result is only a part of its table, or a plain value.
    """
    if isinstance(value, str):
        return _table([{"line": number, "text": line} for number, line in enumerate(value.splitlines(), 1)])
    if isinstance(value, Mapping) and value.get("truncated") is True and any(key in value for key in LISTS):
        raise ToolError(
            f"{name} holds only a part of its rows (truncated), so a table of it would be wrong. Filter, aggregate or"
            " select fewer columns in the step that made it."
        )
    found = table_in(value)
    if found is not None:
        return found
    if isinstance(value, Mapping):
        return _table([value])
    if isinstance(value, Sequence):
        return _table(value)
    raise ToolError(f"{name} is no table. Give a list of objects, or a result that has rows.")


def table_in(value: JSON) -> Table | None:
    """The table that a result is, and None where it is something else."""
    if isinstance(value, Mapping):
        for key in LISTS:
            part = value.get(key)
            if isinstance(part, Sequence) and not isinstance(part, str) and set(value) <= BESIDE | {key}:
                columns = value.get("columns")
                return _table(part, columns if isinstance(columns, Sequence) else ())
        return None
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return _table(value) if all(isinstance(row, Mapping) for row in value) else None
    return None


def _table(values: Sequence[JSON], columns: Sequence[JSON] = ()) -> Table:
    rows = [value if isinstance(value, Mapping) else {"value": value} for value in values]
    return Table(list(dict.fromkeys([*map(str, columns), *(key for row in rows for key in row)])), rows)


def text_of(value: JSON) -> str:
    """A cell as text: numbers never with an exponent, nothing for null, JSON for what is nested."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return _decimal(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def rounded(value: float) -> float:
    """A fraction without what binary arithmetic has added to it."""
    return float(f"{value:.{DIGITS}g}")


def told(value: JSON, *, lines: bool = False) -> str:
    """A result inside a text, or as one: a table as a Markdown table, its only cell as just that, texts as lines.

    Anything else is JSON. With `lines`, one column is written a value a line.
    """
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and value
        and all(isinstance(part, str) for part in value)
    ):
        return "\n".join(map(str, value))
    table = table_in(value)
    if table is None:
        return as_text(value)
    cut = isinstance(value, Mapping) and value.get("truncated") is True
    note = "\n\n(These are not all rows: there are more.)" if cut else ""
    if lines and len(table.columns) == 1:
        return "\n".join(text_of(cell) for row in table.cells() for cell in row) + note
    return markdown(table) + note


def _decimal(value: float) -> str:
    """12.3 for what binary arithmetic has made 12.300000000000001."""
    plain = f"{Decimal(f'{value:.{DIGITS}g}'):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def markdown(table: Table, *, whole: bool = False) -> str:
    """A Markdown table; a single cell is just its value, unless the `whole` table is due. A column of lines that are
    Markdown themselves (`- milk`, `1. bread`, `## bakery`) is these lines."""
    if not whole and len(table.rows) == 1 and len(table.columns) == 1:
        return text_of(table.rows[0].get(table.columns[0]))
    if not table.columns:
        return "(no rows)"
    if len(table.columns) == 1 and table.rows and all(_MARKED.match(text_of(row)) for (row,) in table.cells()):
        return "\n".join(text_of(row) for (row,) in table.cells())
    rows = [list(table.columns), ["---"] * len(table.columns), *(map(text_of, row) for row in table.cells())]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r\n", "<br>").replace("\n", "<br>")


def as_separated(table: Table, separator: str, *, header: bool = True) -> str:
    """Rows of fields, as CSV and TSV files hold them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([table.columns] if header else [])
    writer.writerows([text_of(value) for value in row] for row in table.cells())
    return text.getvalue()


def as_html(table: Table) -> str:
    """An HTML table."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "\n".join(line([text_of(cell) for cell in row], "td") for row in table.cells())
    return f"<table>\n<thead>\n{line(table.columns, 'th')}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
