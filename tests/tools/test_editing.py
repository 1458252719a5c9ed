"""A part of a text file is changed, or something added to it, and the rest stays as it was, byte for byte."""

from pathlib import Path

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.editing import editing_tools
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def call(folder: Path, name: str, **arguments: JSON) -> JSON:
    with anyio.fail_after(60):
        return await Registry(editing_tools(Folders([folder]))).call(name, arguments, nobody)


async def refusal(folder: Path, name: str, **arguments: JSON) -> str:
    with pytest.raises(ToolError) as raised:
        await call(folder, name, **arguments)
    return str(raised.value)


async def test_a_text_that_stands_there_once_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one\ntwo (2)\nthree\n", encoding="utf-8")
    file.chmod(0o640)
    done = await call(tmp_path, "edit_file", path="a.txt", old="two (2)\nthree", new=r"\1 \g<0>")
    assert done == {"path": "a.txt", "replaced": 1}
    assert file.read_text(encoding="utf-8") == "one\n\\1 \\g<0>\n"
    assert file.stat().st_mode & 0o777 == 0o640


async def test_a_text_that_stands_there_more_often_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x=1; x=1; x=1", encoding="utf-8")
    said = await refusal(tmp_path, "edit_file", path="a.txt", old="x=1", new="y")
    assert "occurs 3 times" in said
    assert "all=true" in said
    assert file.read_text(encoding="utf-8") == "x=1; x=1; x=1"
    assert await call(tmp_path, "edit_file", path="a.txt", old="x=1", new="y", all=True) == {
        "path": "a.txt",
        "replaced": 3,
    }
    assert file.read_text(encoding="utf-8") == "y; y; y"


async def test_a_text_that_is_not_there_is_told_with_the_line_that_is_most_like_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\n\n    def total(self, items):\n        return 1\n", encoding="utf-8")
    said = await refusal(tmp_path, "edit_file", path="a.py", old="def totals(self, item):\n    return 2", new="")
    assert "does not hold" in said
    assert "line 3: '    def total(self, items):'" in said
    assert "read_file" in await refusal(tmp_path, "edit_file", path="a.py", old="zzzzzz", new="")


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_encoding_and_ends_of_lines_stay(tmp_path: Path, codec: str, end: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(f"Grüße{end}aus Köln{end}und Düsseldorf".encode(codec))
    await call(tmp_path, "edit_file", path="a.txt", old="Grüße\naus Köln", new="Hallo\nÄpfel")
    await call(tmp_path, "append_file", path="a.txt", content="Öl\nüber alles\n")
    assert file.read_bytes().decode(codec) == f"Hallo{end}Äpfel{end}und Düsseldorf{end}Öl{end}über alles{end}"
    assert file.read_bytes().startswith("".encode(codec))


async def test_what_the_encoding_of_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("Grüße aus München".encode("cp1252"))
    assert "has no '漢'" in await refusal(tmp_path, "edit_file", path="a.txt", old="aus", new="漢")
    assert "has no '漢'" in await refusal(tmp_path, "append_file", path="a.txt", content="漢")
    assert file.read_bytes() == "Grüße aus München".encode("cp1252")


async def test_what_is_added_begins_a_line_and_makes_the_file(tmp_path: Path) -> None:
    assert await call(tmp_path, "append_file", path="new/log.txt", content="one") == {"path": "new/log.txt", "bytes": 3}
    assert await call(tmp_path, "append_file", path="new/log.txt", content="two\n") == {
        "path": "new/log.txt",
        "bytes": 5,
    }
    await call(tmp_path, "append_file", path="new/log.txt", content={"a": 1})
    assert (tmp_path / "new/log.txt").read_text(encoding="utf-8") == 'one\ntwo\n{\n  "a": 1\n}\n'


async def test_what_is_no_text_or_too_large_or_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x89PNG\0\0\1\2")
    (tmp_path / "odd.txt").write_bytes(bytes(range(1, 256)))
    (tmp_path / "big.txt").write_bytes(b"x" * 10_000_001)
    (tmp_path / "sub").mkdir()
    for name, why in (("a.bin", "binary"), ("big.txt", "10,000,000"), ("sub", "folder"), ("../x", "outside")):
        assert why in await refusal(tmp_path, "edit_file", path=name, old="x", new="y")
        assert why in await refusal(tmp_path, "append_file", path=name, content="y")
    assert "There is no" in await refusal(tmp_path, "edit_file", path="none.txt", old="x", new="y")


async def test_a_file_that_holds_a_key_is_not_searched_by_editing_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("key=sk-very-secret-1", encoding="utf-8")
    registry = Registry(editing_tools(Folders([tmp_path], secrets=["sk-very-secret-1"])))
    for old in ("key=sk-v", "key=sk-x"):
        with pytest.raises(ToolError, match="nothing of it is shown"):
            await registry.call("edit_file", {"path": "a.txt", "old": old, "new": ""}, nobody)


async def test_nothing_is_changed_where_files_are_programs(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[core]\n", encoding="utf-8")
    registry = Registry(editing_tools(Folders([tmp_path])), {"*": Risk.LOW})
    edit: dict[str, JSON] = {"path": ".git/config", "old": "core", "new": "x"}
    append: dict[str, JSON] = {"path": ".git/config", "content": "x"}
    for name, arguments in (("edit_file", edit), ("append_file", append)):
        assert registry.risk(name, arguments) is Risk.HIGH
        assert registry.risk(name, {**arguments, "path": "CLAUDE.md"}) is Risk.HIGH
        assert registry.risk(name, {**arguments, "path": "a.md"}) is Risk.LOW
        with pytest.raises(ToolError, match="where files are programs"):
            await registry.call(name, arguments, nobody)
    assert (tmp_path / ".git" / "config").read_text(encoding="utf-8") == "[core]\n"


async def test_rows_are_added_to_a_file_of_rows_without_their_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    await call(tmp_path, "append_file", path="x.csv", content=[{"a": 3, "b": 4}])
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == "a,b\n1,2\n3,4\n"
    assert "another header" in await refusal(tmp_path, "append_file", path="x.csv", content=[{"c": 3}])


async def test_a_file_with_a_few_damaged_bytes_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("größer als möglich, süß\n".encode() + b"caf\xe9\n")
    await call(tmp_path, "edit_file", path="a.txt", old="möglich", new="üblich")
    assert (tmp_path / "a.txt").read_bytes() == "größer als üblich, süß\n".encode() + b"caf\xe9\n"


async def test_an_edit_that_cannot_be_is_doubted_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text("debug = true\nport = 8080\n", encoding="utf-8")
    doubted = Registry(editing_tools(Folders([tmp_path]))).known("edit_file").doubted
    assert doubted is not None

    async def said(old: str, new: str) -> str:
        return " ".join(await doubted({"path": "app.ini", "old": old, "new": new}))

    assert "does not hold old: 'debug = yes'. The nearest line is line 1: 'debug = true'" in await said(
        "debug = yes", "x"
    )
    assert "nothing would change" in await said("port = 8080", "port = 8080")
    assert await said("port = 8080", "port = 9000") == ""
    assert await said("{{1.old}}", "x") == "", "what only a result can tell is not doubted"


async def test_the_nearest_line_is_the_one_with_most_of_the_words(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{\n  "database": {\n    "host": "db1",\n    "port": 5432\n  }\n}\n', encoding="utf-8"
    )
    with pytest.raises(ToolError, match=r"The nearest line is line 4: '    \"port\": 5432'"):
        await call(tmp_path, "edit_file", path="a.json", old='{"database":{"port":5432}}', new="x")
    with pytest.raises(ToolError, match="No line of it is like that"):
        await call(tmp_path, "edit_file", path="a.json", old="colour = red", new="x")
