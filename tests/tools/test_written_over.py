"""A text that is written over keeps its form, and what is written has the form that its ending says."""

from pathlib import Path

import pytest
from tests.tools.test_files import call, refusal, tools

from forethought_tools import JSON

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        ("Grüße\r\nan alle\r\n".encode("cp1252"), "Müller\nKöln\n", "Müller\r\nKöln\r\n".encode("cp1252")),
        ("alt\n".encode("utf-8-sig"), "neu ä\n", "neu ä\n".encode("utf-8-sig")),
        ("alt\r\n".encode("utf-16"), "neu ä\n", "neu ä\r\n".encode("utf-16")),
        (b"alt\r\n", "neu\n\n", b"neu\r\n\r\n"),
        (b"\0\1\2", "neu\n", b"neu\n"),
    ],
)
async def test_a_text_that_is_written_over_keeps_its_encoding_and_line_ends(
    tmp_path: Path, before: bytes, content: str, after: bytes
) -> None:
    (tmp_path / "a.txt").write_bytes(before)
    for _ in range(2):  # done twice it is the same as once
        assert await call(tools(tmp_path), "write_file", path="a.txt", content=content) == {
            "path": "a.txt",
            "bytes": len(after),
        }
        assert (tmp_path / "a.txt").read_bytes() == after


async def test_an_encoding_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Grüße an alle\n".encode("cp1252"))
    done = await call(tools(tmp_path), "write_file", path="a.txt", content="東京\n")
    assert done == {"path": "a.txt", "bytes": 7, "changed": "its encoding was cp1252, and is UTF-8 now"}
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "東京\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"rows": [{"a": 1, "b": "x, y"}], "count": 1, "truncated": False}, 'a,b\n1,"x, y"\n'),
        ([{"a": 1}, {"b": 2}], "a,b\n1,\n,2\n"),
        ({"a": 1}, "a\n1\n"),
        ("a;b\n", "a;b\n"),
    ],
)
async def test_json_never_lands_in_a_file_of_rows(tmp_path: Path, content: JSON, expected: str) -> None:
    await call(tools(tmp_path), "write_file", path="x.csv", content=content)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == expected
    assert "no table" in await refusal(tools(tmp_path), "write_file", path="x.csv", content=3)
