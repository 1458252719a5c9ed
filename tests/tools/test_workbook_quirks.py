"""Workbooks as they come, a row a quirk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no types
from tests.tools.asking_tables import query

from forethought_tools import ToolError

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


def rows(*of: object) -> Callable[[Any], None]:
    def fill(sheet: Any) -> None:
        for number, row in enumerate(of):
            sheet.write_row(number, 0, row)

    return fill


async def test_tables_that_stand_below_each_other_in_a_sheet_are_not_merged(tmp_path: Path) -> None:
    two = rows(["Costs"], ["a", "b"], [1, 2], [], ["Sales 2026"], ["c", "d"], [3, 4])
    one = rows(["a", "b"], [1, 2], [], [3, 4])
    sheets(tmp_path, "x.xlsx", First=two, Second=one)
    first = await query(tmp_path, "SELECT * FROM 'x.xlsx'")
    assert first["rows"] == [{"a": 1, "b": 2}]
    assert any("sheet 'First' holds 2 tables" in said and '"Sales 2026"' in said for said in first["assumed"])
    below = await query(tmp_path, 'SELECT * FROM "Sales 2026"', paths=["x.xlsx"])
    assert below["rows"] == [{"c": 3, "d": 4}]
    whole = await query(tmp_path, "SELECT * FROM 'x.xlsx'.Second")
    assert whole["rows"] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "an empty row in a table ends none"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("read_xlsx('x.xlsx', sheet = 2)", "sheet takes a name in quotes. Write read_xlsx('book.xlsx', sheet ="),
        ("read_xlsx('x.xlsx', range = 'A1:B2')", "read_xlsx knows no 'range' here. Write read_xlsx("),
        ("st_read('x.xlsx', layer = 'Data')", "There is no st_read here, and nothing can be installed. Write the name"),
    ],
)
async def test_a_reader_that_cannot_do_it_is_told_what_can(tmp_path: Path, source: str, says: str) -> None:
    sheets(tmp_path, "x.xlsx", First=column("n", 1), Data=column("n", 2))
    with pytest.raises(ToolError) as refused:
        await query(tmp_path, f"SELECT * FROM {source}")
    assert says in str(refused.value)
    assert "INSTALL" not in str(refused.value)
