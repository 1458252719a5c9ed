"""Built in: writing a table into a file of whatever kind its name says."""

__all__ = ["table_writer"]

import html
import io
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any

from anyio import to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.files import SEPARATED, FilePath, put, sha256, writable
from forethought_tools.folders import Folders
from forethought_tools.obeyed import obeyed
from forethought_tools.risk import Risk
from forethought_tools.tabular import Table, as_html, as_separated, as_table, markdown, rounded, text_of
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.undo import FileUndo, Vault

MOST_SHEET_ROWS = 1_000_000


def table_writer(folders: Folders, vault: Vault | None = None) -> Tool:
    """write_table over these folders. With a vault, what it replaces is kept there, and can be put back."""

    async def write_table(
        path: FilePath,
        rows: Annotated[JsonValue, WithJsonSchema({"description": "A result with rows, such as {{1}}, or a list"})],
        heading: Annotated[str, Field(description="Stands above it in md, html and txt")] = "",
    ) -> JSON:
        """Write rows as the file's ending says: csv, tsv, json, jsonl, md, html, xlsx, txt, log. Returns {path, rows,
        columns}."""
        table = as_table(rows)
        written = await to_thread.run_sync(lambda: put(folders, path, written_as(path, table, heading)))
        return {**written, "rows": len(table.rows), "columns": list(table.columns)}

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.parts(str(arguments["path"])))

    def digest(arguments: Mapping[str, JSON]) -> str:
        heading = str(arguments.get("heading", ""))
        return sha256(written_as(str(arguments["path"]), as_table(arguments["rows"]), heading))

    def refuse(arguments: Mapping[str, JSON]) -> None:
        writer(str(arguments["path"]))
        if arguments.get("heading"):
            heading_of(str(arguments["path"]))
        writable(folders, str(arguments["path"]))

    return tool(
        write_table,
        risk=Risk.MEDIUM,
        repeatable=True,
        limits=Limits(timeout=30),
        undo=FileUndo(folders, vault, digest) if vault else None,
        claims=writes,
        raised=lambda arguments: obeyed(folders, str(arguments.get("path"))),
        refuse=refuse,
    )


def writer(path: str) -> Callable[[Table], str | bytes]:
    """How a table is written into a file of this name. Raises ToolError where it cannot be."""
    ending = PurePosixPath(path).suffix.lower()
    if ending not in WRITERS:
        raise ToolError(f"{path!r}: a table is written into {', '.join(WRITERS)}. Choose one of these endings.")
    return WRITERS[ending]


def heading_of(path: str) -> Callable[[str], str]:
    """How a heading is written above a table in a file of this name. Raises ToolError where there can be none."""
    ending = PurePosixPath(path).suffix.lower()
    if ending not in HEADINGS:
        raise ToolError(f"{path!r}: a heading stands above a table in {', '.join(HEADINGS)} only. Leave it out.")
    return HEADINGS[ending]


def written_as(path: str, table: Table, heading: str = "") -> bytes:
    """The table as a file of this name holds it. The same table is always the same bytes."""
    found = writer(path)(table)
    if heading and isinstance(found, str):
        found = f"{heading_of(path)(heading)}{found}"
    return found.encode("utf-8", "replace") if isinstance(found, str) else found


def _rounded(value: JSON) -> JSON:
    return rounded(value) if isinstance(value, float) else value


def as_json(table: Table) -> str:
    return (
        json.dumps(
            [{name: _rounded(cell) for name, cell in row.items()} for row in table.rows], indent=2, ensure_ascii=False
        )
        + "\n"
    )


def as_json_lines(table: Table) -> str:
    rows = ({name: _rounded(cell) for name, cell in row.items()} for row in table.rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_lines(table: Table) -> str:
    """One column as lines; what has several, as a table that a person can read."""
    if len(table.columns) > 1:
        return markdown(table, whole=True) + "\n"
    return "".join(f"{text_of(cell)}\n" for row in table.cells() for cell in row)


def as_workbook(table: Table) -> bytes:
    import xlsxwriter  # type: ignore[import-untyped]  # it has no types; here, because few runs write one

    if len(table.rows) > MOST_SHEET_ROWS:
        raise ToolError(f"A sheet holds at most {MOST_SHEET_ROWS:,} rows. Write a .csv file.")
    file = io.BytesIO()
    # A text that looks like a formula or an address stays a text: whoever opens the file runs nothing.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book: Any = xlsxwriter.Workbook(file, options)
    book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, table.columns)
    for number, row in enumerate(table.cells(), 1):
        sheet.write_row(number, 0, [_sheet_cell(value) for value in row])
    book.close()
    return file.getvalue()


def _sheet_cell(value: JSON) -> bool | int | float | str | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**15 else str(value)  # a sheet knows 15 digits
    return rounded(value) if isinstance(value, float) and math.isfinite(value) else text_of(value)


WRITERS: Mapping[str, Callable[[Table], str | bytes]] = {
    **{ending: partial(as_separated, separator=separator) for ending, separator in SEPARATED.items()},
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".ndjson": as_json_lines,
    ".md": lambda table: markdown(table, whole=True) + "\n",
    ".html": as_html,
    ".htm": as_html,
    ".xlsx": as_workbook,
    ".txt": as_lines,
    ".log": as_lines,
}
HEADINGS: Mapping[str, Callable[[str], str]] = {
    ".md": "# {}\n\n".format,
    ".txt": "{}\n\n".format,
    ".html": lambda heading: f"<h1>{html.escape(heading)}</h1>\n",
    ".htm": lambda heading: f"<h1>{html.escape(heading)}</h1>\n",
}
