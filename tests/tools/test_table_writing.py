"""Tables are written as the ending of a file says, and into texts as tables, never as our JSON."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.undo import Vault

pytestmark = pytest.mark.anyio

RESULT: JSON = {
    "rows": [{"id": "007", "n": 12.300000000000001, "tags": ["a", 1]}, {"id": 'x|"y"', "n": 1e-7, "more": None}],
    "count": 2,
    "truncated": False,
}


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def call(folder: Path, name: str, **arguments: JSON) -> Any:
    with anyio.fail_after(60):
        return await builtin(Folders([folder])).call(name, arguments, nobody)


async def wrote(folder: Path, path: str, rows: JSON) -> str:
    await call(folder, "write_table", path=path, rows=rows)
    return (folder / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("csv", 'id,n,tags,more\n007,12.3,"[""a"", 1]",\n"x|""y""",0.0000001,,\n'),
        ("tsv", 'id\tn\ttags\tmore\n007\t12.3\t"[""a"", 1]"\t\n"x|""y"""\t0.0000001\t\t\n'),
        (
            "md",
            "| id | n | tags | more |\n| --- | --- | --- | --- |\n"
            '| 007 | 12.3 | ["a", 1] |  |\n| x\\|"y" | 0.0000001 |  |  |\n',
        ),
        ("jsonl", '{"id": "007", "n": 12.3, "tags": ["a", 1]}\n{"id": "x|\\"y\\"", "n": 1e-07, "more": null}\n'),
    ],
)
async def test_a_table_is_written_as_the_ending_says(tmp_path: Path, ending: str, expected: str) -> None:
    assert await wrote(tmp_path, f"deep/x.{ending}", RESULT) == expected


@pytest.mark.parametrize("name", ["write_table", "write_file"])
@pytest.mark.parametrize(
    ("lines", "written"),
    [
        (["- [ ] milk", "- [ ] a | b"], "- [ ] milk\n- [ ] a | b\n"),
        (["## bakery", "1. bread"], "## bakery\n1. bread\n"),
        (["- milk", "bread"], "| x |\n| --- |\n| - milk |\n| bread |\n"),
        (["-5", "#7"], "| x |\n| --- |\n| -5 |\n| #7 |\n"),
    ],
)
async def test_a_column_of_markdown_lines_is_these_lines(
    tmp_path: Path, name: str, lines: list[str], written: str
) -> None:
    rows: JSON = {"rows": [{"x": line} for line in lines], "count": 2, "truncated": False}
    await call(tmp_path, name, path="x.md", **{"rows" if name == "write_table" else "content": rows})
    assert (tmp_path / "x.md").read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        ("md", "# Sums & more\n\n| id |"),
        ("txt", "Sums & more\n\n| id |"),
        ("html", "<h1>Sums &amp; more</h1>\n<table>"),
    ],
)
async def test_a_heading_stands_above_a_table_in_a_text(tmp_path: Path, ending: str, begins: str) -> None:
    await call(tmp_path, "write_table", path=f"x.{ending}", rows=RESULT, heading="Sums & more")
    assert (tmp_path / f"x.{ending}").read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize("ending", ["csv", "json", "xlsx"])
async def test_where_there_can_be_no_heading_none_is_lost(tmp_path: Path, ending: str) -> None:
    with pytest.raises(ToolError, match=r"a heading stands above a table in \.md.* only"):
        await call(tmp_path, "write_table", path=f"x.{ending}", rows=RESULT, heading="Sums")
    assert not (tmp_path / f"x.{ending}").exists()


async def test_what_is_written_is_told(tmp_path: Path) -> None:
    got = await call(tmp_path, "write_table", path="x.json", rows=RESULT)
    assert got == {"path": "x.json", "rows": 2, "columns": ["id", "n", "tags", "more"]}
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))[0]["n"] == 12.3
    assert "<td>x|&quot;y&quot;</td>" in await wrote(tmp_path, "x.html", RESULT)


async def test_a_workbook_is_read_back_as_it_was_and_runs_nothing(tmp_path: Path) -> None:
    rows: JSON = [{"id": "007", "n": 2.5, "text": "=1+1"}, {"id": "8", "n": 3, "text": None}]
    await call(tmp_path, "write_table", path="x.xlsx", rows=rows)
    got = await call(tmp_path, "query_table", sql="SELECT id, n, text FROM 'x.xlsx'")
    assert got["rows"] == [{"id": "007", "n": 2.5, "text": "=1+1"}, {"id": "8", "n": 3.0, "text": None}]


async def test_one_column_is_lines_and_a_result_without_rows_keeps_its_header(tmp_path: Path) -> None:
    assert await wrote(tmp_path, "x.txt", [{"name": "ann"}, {"name": "bob"}]) == "ann\nbob\n"
    assert await wrote(tmp_path, "y.txt", ["ann", 2]) == "ann\n2\n"
    empty: JSON = {"rows": [], "count": 0, "truncated": False, "columns": ["a", "b"]}
    assert await wrote(tmp_path, "x.csv", empty) == "a,b\n"


async def test_several_columns_in_a_plain_text_are_a_table_that_a_person_can_read(tmp_path: Path) -> None:
    assert await wrote(tmp_path, "x.txt", [{"a": 1, "b": 2}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


async def test_a_part_of_a_table_and_unknown_endings_are_refused(tmp_path: Path) -> None:
    cut: JSON = {"rows": [{"a": 1}], "count": 1, "truncated": True}
    with pytest.raises(ToolError, match="only a part"):
        await call(tmp_path, "write_table", path="x.csv", rows=cut)
    with pytest.raises(ToolError, match="only a part"):
        await call(tmp_path, "write_file", path="x.md", content=cut)
    with pytest.raises(ToolError, match=r"\.csv, \.tsv.*\.xlsx"):
        await call(tmp_path, "write_table", path="x.docx", rows=[1])
    assert (await call(tmp_path, "list_files"))["files"] == []


async def test_writing_a_table_can_be_undone_and_is_gated_like_any_writing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "x.csv").write_text("before", encoding="utf-8")
    registry: Registry = builtin(Folders([work]), vault=Vault(tmp_path / "vault"))
    known = registry.known("write_table")
    assert known.undo
    assert (known.risk, registry.risk("write_table", {"path": ".mcp.json", "rows": []})) == (Risk.MEDIUM, Risk.HIGH)
    for path in ("x.csv", "new.xlsx"):
        arguments: dict[str, JSON] = {"path": path, "rows": RESULT}
        kept = await known.undo.before(arguments)
        await registry.call("write_table", arguments, nobody)
        assert await known.undo.stands(kept) == "as left"
        await known.undo.back(kept)
    assert [each["path"] for each in (await call(work, "list_files"))["files"]] == ["x.csv"]
    assert (work / "x.csv").read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("x.md", {"rows": [{"a": 1}, {"a": 2}], "count": 2, "truncated": False}, "| a |\n| --- |\n| 1 |\n| 2 |\n"),
        ("x.md", {"rows": [{"a": 7}], "count": 1, "truncated": False}, "7\n"),
        ("x.txt", {"rows": [{"a": 1}, {"a": 2}], "count": 2, "truncated": False}, "1\n2\n"),
        ("x.txt", ["b", "a"], "b\na\n"),
        ("x.md", [1, 2.50], "1\n2.5\n"),
        ("x.json", {"rows": []}, '{\n  "rows": []\n}\n'),
        ("x.md", {"a": 1}, '{\n  "a": 1\n}\n'),
        ("x.html", [{"a": "<"}, {"a": "b"}], None),
    ],
)
async def test_a_table_goes_into_a_text_as_a_table(
    tmp_path: Path, path: str, content: JSON, expected: str | None
) -> None:
    await call(tmp_path, "write_file", path=path, content=content)
    found = (tmp_path / path).read_text(encoding="utf-8")
    assert found == expected if expected else "<td>&lt;</td>" in found
