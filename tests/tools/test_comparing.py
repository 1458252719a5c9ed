"""Tables and texts are compared, and texts are counted: results as well as files, within bounds."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.comparing import MAX_FILE, comparing_tools
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

OLD: JSON = {
    "rows": [{"id": 1, "name": "tea", "price": 2}, {"id": 2, "name": "rice", "price": 4}, {"id": 3, "name": "salt"}],
    "count": 3,
    "truncated": False,
}
NEW: JSON = {
    "rows": [{"id": 4, "name": "oil", "price": 9}, {"id": 2, "name": "rice", "price": 5}, {"id": 3, "name": "salt"}],
    "count": 3,
    "truncated": False,
}


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def call(name: str, *folders: Path, **arguments: JSON) -> JSON:
    with anyio.fail_after(60):
        return await Registry(comparing_tools(Folders(folders))).call(name, arguments, nobody)


async def refusal(name: str, *folders: Path, **arguments: JSON) -> str:
    with pytest.raises(ToolError) as raised:
        await call(name, *folders, **arguments)
    return str(raised.value)


def lines(*texts: str) -> str:
    return "".join(f"{text}\n" for text in texts)


async def test_rows_with_the_same_key_are_compared_cell_by_cell() -> None:
    assert await call("compare", old=OLD, new=NEW, key="id") == {
        "added": [{"id": 4, "name": "oil", "price": 9}],
        "removed": [{"id": 1, "name": "tea", "price": 2}],
        "changed": [{"id": 2, "column": "price", "old": 4, "new": 5}],
        "same": 1,
        "truncated": False,
    }


async def test_without_a_key_whole_rows_count_as_often_as_they_occur() -> None:
    old: JSON = [{"a": 1}, {"a": 1}, {"a": 2}]
    new: JSON = [{"a": 2.0}, {"a": 1}, {"a": 3}]
    assert await call("compare", old=old, new=new) == {
        "added": [{"a": 3}],
        "removed": [{"a": 1}],
        "changed": [],
        "same": 2,
        "truncated": False,
    }


async def test_texts_are_compared_by_lines() -> None:
    old, new = lines("one", "two", "three", "four"), lines("zero", "one", "2", "three")
    assert await call("compare", old=old, new=new) == {
        "added": [{"line": 1, "text": "zero"}],
        "removed": [{"line": 4, "text": "four"}],
        "changed": [{"line": 3, "old": "two", "new": "2"}],
        "same": 2,
        "truncated": False,
    }


async def test_files_are_compared_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "old list.csv").write_text("id;price\n1;2\n007;4.0\n", encoding="utf-16")
    (tmp_path / "new.csv").write_text("\ufeffid,price\r\n1,3\r\n007,4\r\n", encoding="utf-8")
    found = await call("compare", tmp_path, old="old list.csv", new="new.csv", key="id")
    assert found == {
        "added": [],
        "removed": [],
        "changed": [{"id": 1, "column": "price", "old": 2, "new": 3}],
        "same": 1,
        "truncated": False,
    }
    (tmp_path / "a.json").write_text('[{"id": 1, "price": 2}, {"id": "007", "price": 4}]', encoding="utf-8")
    found = await call("compare", tmp_path, old="a.json", new=str(tmp_path / "old list.csv"))
    assert isinstance(found, dict)
    assert found["same"] == 2
    (tmp_path / "a.txt").write_text("x\ny\n", encoding="utf-8")
    found = await call("compare", tmp_path, old="a.txt", new="x")
    assert isinstance(found, dict)
    assert found["removed"] == [{"line": 2, "text": "y"}]


async def test_lists_and_objects_are_compared_too() -> None:
    found = await call("compare", old={"a": 1, "b": 2}, new={"a": 1, "b": 3}, key="name")
    assert isinstance(found, dict)
    assert found["changed"] == [{"name": "b", "column": "value", "old": 2, "new": 3}]
    found = await call("compare", old=["x", "y"], new=["y"])
    assert isinstance(found, dict)
    assert found["removed"] == [{"value": "x"}]


async def test_a_cut_result_gives_a_cut_comparison() -> None:
    rows: JSON = [{"n": n} for n in range(700)]
    found = await call("compare", old=[], new=rows)
    assert isinstance(found, dict)
    assert isinstance(found["added"], list)
    assert (len(found["added"]), found["truncated"]) == (500, True)
    found = await call("compare", old={"rows": [{"n": 1}], "count": 1, "truncated": True}, new=[{"n": 1}])
    assert isinstance(found, dict)
    assert found["truncated"] is True


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"old": OLD, "new": NEW, "key": "ID"}, "no column 'ID'. Its columns: 'id', 'name', 'price'"),
        ({"old": [{"a": 1}, {"a": 1}], "new": [{"a": 1}], "key": "a"}, "stands twice"),
        ({"old": OLD, "new": "a text"}, "a table, and the other a text"),
        ({"old": "a", "new": "b", "key": "id"}, "Leave key out"),
        ({"old": "gone.csv", "new": OLD}, "There is no 'gone.csv'"),
        ({"old": "/etc/hosts.txt", "new": OLD}, "outside the granted folders"),
        ({"old": "ragged.csv", "new": OLD}, "Line 3 of a file has 3 fields, and its header 2"),
        ({"old": "picture.png", "new": "x"}, "binary"),
        ({"old": "broken.json", "new": "x"}, "does not hold JSON"),
        ({"old": "large.txt", "new": "x"}, "more than 1,000,000 bytes"),
    ],
)
async def test_what_cannot_be_compared_is_told(tmp_path: Path, arguments: dict[str, JSON], hint: str) -> None:
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "large.txt").write_bytes(b"x" * (MAX_FILE + 1))
    assert hint in await refusal("compare", tmp_path, **arguments)


async def test_texts_that_would_take_for_ever_are_given_up() -> None:
    old, new = lines(*("ab" * 9000)), lines(*("ba" * 9000), *("aab" * 3000))
    with anyio.fail_after(60), pytest.raises(ToolError, match="simpler"):
        await call("compare", old=old, new=new)
    found = await call("compare", old="a", new="a")
    assert isinstance(found, dict)
    assert found["same"] == 1


TEXT = """A title

Dr. Smith's dog, No. 7, weighs 3.5 kg. It barks -- why? "No idea!" said J. Doe.
The end…

第一句。第二句。"""


async def test_a_text_is_counted() -> None:
    found = await call("text_stats", text=TEXT)
    assert isinstance(found, dict)
    assert {name: found[name] for name in ("words", "lines", "characters", "sentences", "paragraphs")} == {
        "words": 26,
        "lines": 6,
        "characters": len(TEXT),
        "sentences": 7,
        "paragraphs": 3,
    }
    assert found["longest"] == "Smith's"
    assert isinstance(found["frequent"], list)
    assert found["frequent"][0] == {"word": "no", "count": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't well-known naïve", 3),
        ("3.14 and 1,000", 3),
        ("# - * --- !", 0),
        ("", 0),
        ("Привет, мир", 2),
        ("नमस्ते दुनिया", 2),
        ("東京タワー", 5),
        ("one\u00a0two\tthree", 3),
    ],
)
async def test_words_are_what_has_letters_or_digits_between_spaces(text: str, words: int) -> None:
    found = await call("text_stats", text=text)
    assert isinstance(found, dict)
    assert found["words"] == words


async def test_several_texts_and_files_are_a_row_each(tmp_path: Path) -> None:
    (tmp_path / "a b.md").write_text("one two\n", encoding="utf-8")
    found = await call("text_stats", tmp_path, text=["a b.md", "three words here"])
    assert isinstance(found, dict)
    assert isinstance(found["rows"], Sequence)
    rows = [row for row in found["rows"] if isinstance(row, dict)]
    assert [(row["text"], row["words"]) for row in rows] == [("a b.md", 2), (2, 3)]
    assert found["count"] == 2


async def test_too_many_texts_are_refused() -> None:
    assert "at most 100" in await refusal("text_stats", text=["x"] * 101)


def test_both_only_read_and_claim_what_they_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n", encoding="utf-8")
    tools = builtin(Folders([tmp_path]))
    for name in ("compare", "text_stats"):
        tool = tools.get(name)
        assert tool is not None
        assert (tool.risk, tool.reads_only, tool.repeatable) == (Risk.LOW, True, True)
        assert tool.claims is not None
        given: dict[str, JSON] = {"old": "a.csv", "new": "some text"} if name == "compare" else {"text": ["a.csv", "b"]}
        assert tool.claims(given).reads == {(tmp_path / "a.csv").resolve().parts}
