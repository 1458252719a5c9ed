"""Files as they come are tables, and what is assumed of them is said; results and files meet in one query."""

import datetime
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def query(folder: Path, sql: str, **more: JSON) -> Any:
    with anyio.fail_after(60):
        return await Registry(table_tools(Folders([folder]))).call("query_table", {"sql": sql, **more}, nobody)


async def rows(folder: Path, sql: str, **more: JSON) -> Any:
    return (await query(folder, sql, **more))["rows"]


def text(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


# How files are named


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT project FROM 'data/hours.csv' WHERE hours > 3",
        'SELECT "data/hours.csv".project FROM "data/hours.csv" WHERE hours > 3',
        "SELECT hours.project FROM 'data/hours.csv' WHERE hours.hours > 3",
        "SELECT h.project FROM data/hours.csv h WHERE h.hours > 3",
        "SELECT project FROM read_csv_auto('data/hours.csv', header = true) AS h WHERE h.hours > 3",
        "SELECT a.project FROM 'data/hours.csv' a, 'data/hours.csv' b WHERE a.hours > 3 AND b.hours = 1 -- 'x.csv'",
        "WITH h AS (SELECT * FROM 'data/hours.csv') SELECT project FROM h WHERE hours > 3",
    ],
)
async def test_a_file_named_in_the_sql_is_a_table(tmp_path: Path, sql: str) -> None:
    text(tmp_path, "data/hours.csv", "project,hours\nAtlas,1\nBeacon,4\n")
    assert await rows(tmp_path, sql) == [{"project": "Beacon"}]


async def test_a_file_of_the_folder_is_found_by_its_stem_where_only_one_has_it(tmp_path: Path) -> None:
    text(tmp_path, "sales.csv", "a\n1\n")
    assert await rows(tmp_path, "SELECT a FROM sales") == [{"a": 1}]
    text(tmp_path, "sales.json", '[{"a": 2}]')
    with pytest.raises(ToolError, match=r"sales may be sales\.csv or sales\.json"):
        await query(tmp_path, "SELECT a FROM sales")


async def test_a_file_in_paths_has_its_stem_and_its_own_name(tmp_path: Path) -> None:
    text(tmp_path, "sub/a-b.csv", "a\n1\n")
    for name in ("a_b", "'sub/a-b.csv'", "'a-b.csv'"):
        assert await rows(tmp_path, f"SELECT a FROM {name}", paths=["sub/a-b.csv"]) == [{"a": 1}]


async def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"There is no 'nothing\.csv'"):
        await query(tmp_path, "SELECT * FROM 'nothing.csv'")
    with pytest.raises(ToolError, match=r"No file fits 'logs/\*\.csv'"):
        await query(tmp_path, "SELECT * FROM 'logs/*.csv'")
    with pytest.raises(ToolError, match="outside the granted folders"):
        await query(tmp_path, "SELECT * FROM '../secret.csv'")


async def test_a_text_that_happens_to_name_a_file_is_only_a_text(tmp_path: Path) -> None:
    text(tmp_path, "photo.png", b"\x89PNG\0\1")
    text(tmp_path, "list.csv", "file,n\nphoto.png,1\nother.png,2\n")
    assert await rows(tmp_path, "SELECT n FROM 'list.csv' WHERE file IN ('photo.png', 'x.png')") == [{"n": 1}]


async def test_files_that_fit_a_pattern_are_one_table(tmp_path: Path) -> None:
    text(tmp_path, "logs/a.csv", "id,x\n1,2\n")
    text(tmp_path, "logs/b.csv", "id;y\n2;1,5\n")
    assert await rows(tmp_path, "SELECT * FROM 'logs/*.csv' ORDER BY id") == [
        {"id": 1, "x": 2, "filename": "logs/a.csv", "y": None},
        {"id": 2, "x": None, "filename": "logs/b.csv", "y": 1.5},
    ]
    text(tmp_path, "src/a.py", "x = 1\n# TODO: more\n")
    text(tmp_path, "src/deep/b.py", "# TODO: less\n")
    text(tmp_path, "src/deep/c.bin", b"\0\1TODO")
    got = await query(tmp_path, "SELECT filename, line FROM 'src/**/*' WHERE text LIKE '%TODO%' ORDER BY ALL")
    assert got["rows"] == [{"filename": "src/a.py", "line": 2}, {"filename": "src/deep/b.py", "line": 1}]
    assert got["assumed"] == ["src/deep/c.bin: it is left out, because it is neither a text nor a table"]


def test_a_query_claims_every_file_that_it_names(tmp_path: Path) -> None:
    (known,) = table_tools(Folders([tmp_path]))
    assert known.claims

    def claimed(sql: str, **more: JSON) -> set[str]:
        assert known.claims
        reads = known.claims({"sql": sql, **more}).reads
        return {Path(*parts).relative_to(tmp_path).as_posix() for parts in reads}

    assert claimed("SELECT * FROM 'a.csv' JOIN \"sub/b.csv\"", paths=["c.csv"]) == {"a.csv", "sub/b.csv", "c.csv"}
    assert claimed("SELECT * FROM 'logs/2026/*.csv'") == {"logs/2026"}
    assert claimed("SELECT * FROM read_csv('a.csv'), data/b.csv") == {"a.csv", "data/b.csv"}
    assert claimed("SELECT * FROM sales") == {"."}, "it may be any file"
    assert claimed("SELECT * FROM totals", tables={"totals": []}) == set()
    assert claimed("SELECT * FROM sold", paths=["shop.db"]) == {"shop.db"}


# What files hold


@pytest.mark.parametrize(
    ("content", "expected", "assumed"),
    [
        ("a;b\n1;x\n2;y\n", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], ["semicolons"]),
        ("a\tb\n1\tx\n", [{"a": 1, "b": "x"}], ["tabs"]),
        (
            "name;price\nM\xfcller;1,50\n".encode("cp1252"),
            [{"name": "Müller", "price": 1.5}],
            ["cp1252", "semi", "1,5"],
        ),
        ("a,b\nä,1\n".encode("utf-16"), [{"a": "ä", "b": 1}], ["utf-16"]),
        ("a,b\nä,1\n".encode("utf-8-sig"), [{"a": "ä", "b": 1}], []),
        ("id,n\n007,1\n012,2\n", [{"id": "007", "n": 1}, {"id": "012", "n": 2}], []),
        (" a , b\n1, x\n", [{"a": 1, "b": "x"}], []),
        ('a,b\n1,"x, ""y""\nz"\n', [{"a": 1, "b": 'x, "y"\nz'}], []),
        ('a,b\nx,"1,200"\ny,"3,400.5"\n', [{"a": "x", "b": 1200}, {"a": "y", "b": 3400.5}], ["1200"]),
        (
            "a;b\nx;1.200,5\ny;3\n",
            [{"a": "x", "b": 1200.5}, {"a": "y", "b": 3}],
            ["semicolons", "1.200,5 is read as 1200.5"],
        ),
        ("d\n31.01.2026\n", [{"d": "2026-01-31"}], ["day first"]),
        ("d\n31/01/2026\n01/02/2026\n", [{"d": "2026-01-31"}, {"d": "2026-02-01"}], ["day first"]),
        ("d\n01/31/2026\n01/02/2026\n", [{"d": "2026-01-31"}, {"d": "2026-01-02"}], ["month first"]),
        ("d\n01/02/2026\n", [{"d": "01/02/2026"}], ["cannot be told apart"]),
        ("d\n2026-02-30\n", [{"d": "2026-02-30"}], ["'2026-02-30' is none"]),
        ("a,b\n1,NA\n-,2\n", [{"a": 1, "b": None}, {"a": None, "b": 2}], ["'-' is read", "'NA' is read"]),
        ("1,ann\n2,bob\n", [{"column1": 1, "column2": "ann"}, {"column1": 2, "column2": "bob"}], ["no header"]),
        ("name,2025,2026\nann,5,6\n", [{"name": "ann", "2025": 5, "2026": 6}], ["for its header"]),
        ("Report of May\n\na,b\n1,2\n", [{"a": 1, "b": 2}], ["Report of May"]),
        ("a,b\n1,2\n3,4\nTotal: 2\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}], ["Total: 2"]),
        ("a,b\n1\n2,3\n4,5\n", [{"a": 1, "b": None}, {"a": 2, "b": 3}, {"a": 4, "b": 5}], ["1 with 1"]),
        ("a,b,\n1,2,\n,,\n", [{"a": 1, "b": 2}], ["without any value"]),
        ("a,a\n1,2\n", [{"a": 1, "a_2": 2}], ["'a' is now a_2"]),
        ("name\nann, the first\nbob\ncid\n", [{"name": "ann, the first"}, {"name": "bob"}, {"name": "cid"}], []),
        ("t\n2026-01-02T10:00:00Z\n", [{"t": "2026-01-02T10:00:00"}], ["in UTC"]),
        ("ok\ntrue\nFalse\n", [{"ok": True}, {"ok": False}], []),
        ("n\n12345678901234567890\n", [{"n": "12345678901234567890"}], ["lose some"]),
    ],
)
async def test_separated_values_are_read_as_they_are_meant(
    tmp_path: Path, content: str | bytes, expected: list[JSON], assumed: list[str]
) -> None:
    text(tmp_path, "x.csv", content)
    got = await query(tmp_path, "SELECT * FROM 'x.csv'")
    assert got["rows"] == expected
    said = " | ".join(got.get("assumed", []))
    assert all(part in said for part in assumed), said
    assert bool(said) == bool(assumed), said


async def test_rows_of_varying_width_are_all_kept(tmp_path: Path) -> None:
    text(tmp_path, "x.csv", "a,b\n" + "1,2\n" * 1000 + "1,2,3\n" * 5)
    got = await query(tmp_path, "SELECT count(*) AS n, sum(a) AS a, sum(column3) AS c FROM 'x.csv'")
    assert got["rows"] == [{"n": 1005, "a": 1005, "c": 15}]
    assert "5 with 3" in got["assumed"][0]


async def test_a_text_after_many_numbers_makes_its_column_text(tmp_path: Path) -> None:
    text(tmp_path, "x.csv", "n,m\n" + "".join(f"{n},1\n" for n in range(30_000)) + "none so far,2\n")
    assert await rows(tmp_path, "SELECT n FROM 'x.csv' WHERE m = 2") == [{"n": "none so far"}]


async def test_any_text_is_a_table_of_lines(tmp_path: Path) -> None:
    text(tmp_path, "app.log", "\ufeffINFO a\r\nERROR b\nERROR \xff".encode())
    assert await rows(tmp_path, "SELECT line, text FROM 'app.log'") == [
        {"line": 1, "text": "INFO a"},
        {"line": 2, "text": "ERROR b"},
        {"line": 3, "text": "ERROR ÿ"},
    ]
    sql = "SELECT count(*) AS n FROM 'app.log' WHERE text LIKE 'ERROR%'"
    assert await rows(tmp_path, sql) == [{"n": 2}]


async def test_a_workbook_is_its_first_sheet_and_the_others_have_their_names(tmp_path: Path) -> None:
    book: Any = xlsxwriter.Workbook(str(tmp_path / "book.xlsx"))
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    first, second = book.add_worksheet("2025"), book.add_worksheet("Prices")
    first.write_row(0, 0, ["Stock"])
    first.write_row(2, 0, ["id", "n", "since"])
    first.write_row(3, 0, ["007", 4])
    first.write_datetime(3, 2, datetime.datetime(2026, 1, 2), day)  # noqa: DTZ001 - a sheet knows no zones
    second.write_row(0, 0, ["id", "price"])
    second.write_row(1, 0, ["007", 2.5])
    book.close()
    got = await query(tmp_path, "SELECT b.*, price FROM 'book.xlsx' b JOIN prices USING (id)")
    assert got["rows"] == [{"id": "007", "n": 4, "since": "2026-01-02", "price": 2.5}]
    assert "first sheet, '2025'" in got["assumed"][0]
    assert "Stock" in got["assumed"][1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"id": "07", "at": "2026-01-02"}], [{"id": "07", "at": "2026-01-02"}]),
        ({"made": "today", "items": [{"a": 1}, {"a": 2}]}, [{"a": 1}, {"a": 2}]),
        ([1, 2], [{"value": 1}, {"value": 2}]),
        ({"a": {"b": 1}}, [{"a": {"b": 1}}]),
        ([{"a": 1}, {"b": [{"c": 2}]}], [{"a": 1, "b": None}, {"a": None, "b": [{"c": 2}]}]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_json_is_a_table_of_what_it_lists(tmp_path: Path, content: JSON, expected: JSON, encoding: str) -> None:
    text(tmp_path, "x.json", json.dumps(content).encode(encoding))
    assert await rows(tmp_path, "SELECT * FROM 'x.json'") == expected


# Results as tables


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"a": 1}, {"b": "x"}], [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ({"rows": [{"a": 1.5}], "count": 1, "truncated": False}, [{"a": 1.5}]),
        ({"rows": [], "count": 0, "truncated": False, "columns": ["a"]}, []),
        ({"files": [{"path": "a", "size": 3}], "truncated": False}, [{"path": "a", "size": 3}]),
        ({"matches": [{"path": "a", "line": 3, "text": "x"}]}, [{"path": "a", "line": 3, "text": "x"}]),
        ([3, 4], [{"value": 3}, {"value": 4}]),
        (["007", "8"], [{"value": "007"}, {"value": "8"}]),
        ({"a": 1, "b": {"c": [1]}}, [{"a": 1, "b": {"c": [1]}}]),
        ("one\ntwo", [{"line": 1, "text": "one"}, {"line": 2, "text": "two"}]),
        ([{"c": [{"x": 1}, {"y": 2}]}], [{"c": [{"x": 1, "y": None}, {"x": None, "y": 2}]}]),
        ([{"a": True}, {"a": None}], [{"a": True}, {"a": None}]),
        ([{"a": 1}, {"a": "x"}], [{"a": "1"}, {"a": "x"}]),
        ([], []),
    ],
)
async def test_a_result_is_a_table(tmp_path: Path, value: JSON, expected: JSON) -> None:
    assert await rows(tmp_path, "SELECT * FROM r", tables={"r": value}) == expected


async def test_results_and_files_are_joined(tmp_path: Path) -> None:
    text(tmp_path, "hours.csv", "day,project,hours\n2026-01-02,Atlas,2\n2026-01-03,Atlas,3\n")
    totals: JSON = {"rows": [{"day": "2026-01-03", "note": "late"}], "count": 1, "truncated": False}
    sql = "SELECT hours, note FROM 'hours.csv' h JOIN totals t ON h.day = t.day"
    assert await rows(tmp_path, sql, tables={"totals": totals}) == [{"hours": 3, "note": "late"}]


async def test_a_part_of_a_result_is_no_table(tmp_path: Path) -> None:
    for key in ("rows", "files", "matches"):
        with pytest.raises(ToolError, match="only a part of its rows"):
            await query(tmp_path, "SELECT * FROM r", tables={"r": {key: [{"a": 1}], "truncated": True}})
    with pytest.raises(ToolError, match="no table"):
        await query(tmp_path, "SELECT * FROM r", tables={"r": 3})
