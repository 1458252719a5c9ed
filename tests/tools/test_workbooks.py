"""Workbooks as they come: their sheets, merged cells, formulas, and what is said of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no types
from tests.tools.test_file_quirks import query

pytestmark = pytest.mark.anyio


def sheets(folder: Path, name: str, **filled: Callable[[Any], None]) -> None:
    book: Any = xlsxwriter.Workbook(str(folder / name))
    for sheet, fill in filled.items():
        fill(book.add_worksheet(sheet))
    book.close()


def column(*values: object) -> Callable[[Any], None]:
    return lambda sheet: sheet.write_column(0, 0, values)


async def test_sheets_of_two_workbooks_are_told_apart(tmp_path: Path) -> None:
    sheets(tmp_path, "a.xlsx", First=column("n", 1), Data=column("n", 2))
    sheets(tmp_path, "b.xlsx", First=column("n", 3), Data=column("n", 4))
    got = await query(tmp_path, "SELECT * FROM 'a.xlsx'.Data UNION ALL SELECT * FROM 'b.xlsx'.Data")
    assert got["rows"] == [{"n": 2}, {"n": 4}]
    assert any("'Data' is the table Data_2" in said for said in got["assumed"])
    assert (await query(tmp_path, "SELECT * FROM read_xlsx('b.xlsx', sheet = 'Data')"))["rows"] == [{"n": 4}]


async def test_cells_that_are_merged_downwards_have_their_value_in_each_row(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet.write_row(0, 0, ["team", "n"])
        sheet.merge_range(1, 0, 2, 0, "red")
        sheet.write_column(1, 1, [1, 2])

    sheets(tmp_path, "a.xlsx", S=fill)
    got = await query(tmp_path, "SELECT * FROM 'a.xlsx'")
    assert got["rows"] == [{"team": "red", "n": 1}, {"team": "red", "n": 2}]
    assert "merged downwards" in got["assumed"][0]


async def test_formulas_without_a_result_and_errors_are_not_silently_empty(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_column(1, 0, [1, 2, 3])
        sheet.write_formula(1, 1, "=A2*2", None, 2)
        sheet.write_formula(2, 1, "=A3*2", None, "")
        sheet.write_formula(3, 1, "=1/0", None, "#DIV/0!")

    sheets(tmp_path, "x.xlsx", Sheet=fill)
    got = await query(tmp_path, "SELECT * FROM 'x.xlsx'")
    assert got["rows"] == [{"a": 1, "b": 2}, {"a": 2, "b": None}, {"a": 3, "b": None}]
    assert got["assumed"][:2] == [
        "x.xlsx: formulas without a stored result are empty (1): open it in its program, and save it",
        "x.xlsx: cells that hold an error are empty (1)",
    ]
