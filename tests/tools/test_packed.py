"""Packed files are read like what is in them, in bounds, and whoever packs a key hides it from nobody."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from pathlib import Path

import pytest
from tests.security.calling import said

from forethought_tools import Registry
from forethought_tools.folders import Folders
from forethought_tools.packed_child import MOST_UNPACKED
from forethought_tools.reading import read_tool
from forethought_tools.tables import shape_of, table_tools

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="descriptors are not handed on")]

CSV = b"id,name\n1,ann\n2,bob\n"
ROWS = "'rows': [{'n': 2, 'first': 'ann'}]"
KEY = "sk-0123456789abcdef"


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_DOT_", ".").replace("_IN_", "/"), content)
    return out.getvalue()


def _named(value: object) -> str:
    return value if isinstance(value, str) else "content"  # what is packed twice may differ


def registry(folder: Path) -> Registry:
    folders = Folders([folder], secrets=[KEY])
    return Registry([*table_tools(folders), read_tool(folders)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv.gz", gzip.compress(CSV)),
        ("x.csv.gz", gzip.compress(CSV[:9]) + gzip.compress(CSV[9:])),
        ("x.CSV.GZ", gzip.compress(CSV)),
        ("x.tsv.bz2", bz2.compress(CSV.replace(b",", b"\t"))),
        ("x.csv.xz", lzma.compress(CSV)),
        ("x.jsonl.gz", gzip.compress(b'{"id": 1, "name": "ann"}\n{"id": 2, "name": "bob"}\n')),
        ("x.json.gz", gzip.compress(b'[{"id": 1, "name": "ann"}, {"id": 2, "name": "bob"}]')),
        ("x.csv.gz", gzip.compress(CSV.decode().encode("utf-16"))),
        ("x.zip", zipped(inner_DOT_csv=CSV)),
        ("x.zip", zipped(folder_IN_inner_DOT_csv=CSV, __MACOSX_IN_folder_IN__DOT__inner_DOT_csv=b"x")),
    ],
    ids=_named,
)
async def test_a_packed_table_is_the_table_that_is_in_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for table in (f"'{name}'", "x"):
        asked = f"SELECT count(*) AS n, min(name) AS first FROM {table}"
        assert ROWS in await said(registry(tmp_path), "query_table", sql=asked)
    shape = await shape_of(Folders([tmp_path]), [name])
    assert "2 rows: 1, ann; 2, bob" in shape[name]


@pytest.mark.parametrize("name", ["a.log.gz", "a.zip"])
async def test_a_packed_text_is_read_as_text(tmp_path: Path, name: str) -> None:
    text = "one\ntwo ü\nthree\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name == "a.log.gz" else zipped(a_DOT_log=text))
    assert await said(registry(tmp_path), "read_file", path=name, start_line=2) == "two ü\nthree\n"
    assert "'n': 3" in await said(registry(tmp_path), "query_table", sql=f"SELECT count(*) AS n FROM '{name}'")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.csv.gz", b"id,name\n1,ann\n", "it is damaged, or not what its ending says"),
        ("x.csv.gz", gzip.compress(CSV)[:-9], "it is damaged"),
        ("x.csv.xz", b"x", "it is damaged"),
        (
            "x.zip",
            zipped(a_DOT_csv=CSV, b_DOT_csv=CSV),
            "holds 2 files ('a.csv', 'b.csv'), and one can be read. Unpack it.",
        ),
        ("x.zip", zipped(), "holds 0 files (none)"),
        ("x.tar.gz", gzip.compress(CSV), "holds what is no table"),
        ("x.db.gz", gzip.compress(b"SQLite format 3\0" + b"x" * 100), "holds what is no table"),
        ("x.csv.gz", gzip.compress(b"SQLite format 3\0" + b"x" * 100), "holds what is no table"),
        ("x.csv.gz", gzip.compress(b"key," + KEY.encode()), "holds a key or password of this server"),
        ("x.zip", zipped(a_DOT_txt=KEY.encode("utf-16")), "holds a key or password of this server"),
    ],
    ids=_named,
)
async def test_what_cannot_be_unpacked_is_told_and_hurts_nobody(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert why in await said(registry(tmp_path), "query_table", sql=f"SELECT * FROM '{name}'")
    if "no table" not in why:
        assert why in await said(registry(tmp_path), "read_file", path=name)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.zip"])
async def test_what_unpacks_to_no_end_fills_neither_disk_nor_memory(tmp_path: Path, name: str) -> None:
    endless = b"a,b\n" * (MOST_UNPACKED // 4 + 1)
    (tmp_path / name).write_bytes(gzip.compress(endless) if name.endswith("gz") else zipped(a_DOT_csv=endless))
    refused = f"refused: '{name}' unpacks to more than {MOST_UNPACKED:,} bytes"
    assert refused in await said(registry(tmp_path), "query_table", sql=f"SELECT * FROM '{name}'")
    assert refused in await said(registry(tmp_path), "read_file", path=name)


async def test_what_is_packed_and_no_text_is_told(tmp_path: Path) -> None:
    for name in ("a.png.gz", "a.pdf.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"%PDF\0\1"))
        assert "refused" in await said(registry(tmp_path), "read_file", path=name)
