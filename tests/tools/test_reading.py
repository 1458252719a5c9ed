"""A file is read as text, whatever it is kept as, and what cannot be read says why."""

from pathlib import Path

import anyio
import pytest
from tests.tools.documents import docx, encrypted_pdf, paragraph, pdf, table, xlsx

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.folders import Folders
from forethought_tools.reading import MAX_DOCUMENT, read_tool

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def read(file: Path, **arguments: JSON) -> str:
    with anyio.fail_after(120):
        registry = Registry([read_tool(Folders([file.parent], secrets=["sk-very-secret-1"]))])
        return str(await registry.call("read_file", {"path": file.name, **arguments}, nobody))


async def refusal(file: Path) -> str:
    with pytest.raises(ToolError) as raised:
        await read(file)
    return str(raised.value)


TEXTS = {
    "cp1252": "Die Straße führt über die Brücke nach Köln.\nDas kostet 5 €, „nicht viel“.",
    "cp1250": "Zażółć gęślą jaźń. Źdźbło trawy rośnie wśród łąk.",
    "cp1251": "Привет, как дела? Это обычный русский текст, в нём две строки.\n12 июня.",
    "shift_jis": "これは日本語のテキストです。二つの文があります。",
    "utf-16": "Grüße\nan alle",
    "utf-16-le": "Grüße an alle\n",
    "utf-16-be": "Grüße an alle\n",
    "utf-32": "Grüße",
}


@pytest.mark.parametrize("codec", TEXTS)
async def test_text_in_another_encoding_is_read_and_the_last_line_says_so(tmp_path: Path, codec: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(TEXTS[codec].encode(codec))
    shown = await read(file)
    assert shown.rpartition("\n")[0] == TEXTS[codec].removesuffix("\n")
    assert shown.rpartition("\n")[2].startswith("[read as ")


async def test_the_few_letters_of_a_short_text_are_taken_for_western_ones(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"caf\xe9\n" + b"plain\n" * 10)
    shown = await read(file, max_lines=1)
    assert shown == "café\n[lines 1 to 1 shown; there is more: go on with start_line=2; read as cp1252]"
    assert await read(file, start_line=2, max_lines=20) == "plain\n" * 10


async def test_a_character_that_is_cut_in_two_is_no_other_encoding(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x" + "é" * 200_000, encoding="utf-8")
    shown = await read(file)
    assert shown == f"x{'é' * 99_999}\n[line 1 is cut after 200000 bytes]"


async def test_what_is_in_no_encoding_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"good\n" + bytes(range(1, 10)) + bytes(range(14, 256)) * 3)
    assert "good" in await read(file)


@pytest.mark.parametrize("name", ["a.pdf", "A.PDF"])
async def test_a_pdf_is_read_page_by_page(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(pdf("First page", "", "Third page"))
    assert await read(file) == (
        "[page 1 of 3]\nFirst page\n\n[page 2 of 3, without text]\n\n\n[page 3 of 3]\nThird page\n\n"
    )
    assert await read(file, start_line=8, max_lines=1) == (
        "Third page\n[lines 8 to 8 shown; there is more: go on with start_line=9]"
    )


async def test_a_pdf_of_pictures_says_that_it_may_be_a_scan(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("", ""))
    assert "OCR" in await refusal(tmp_path / "a.pdf")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
async def test_an_encrypted_pdf_is_told_and_one_that_all_may_read_is_read(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "a.pdf").write_bytes(encrypted_pdf("Inside", "secret", algorithm))
    assert "is encrypted. Save a copy" in await refusal(tmp_path / "a.pdf")
    (tmp_path / "b.pdf").write_bytes(encrypted_pdf("Inside", "", "RC4-128"))
    assert "Inside" in await read(tmp_path / "b.pdf")


async def test_a_word_file_is_markdown_and_its_tables_too(tmp_path: Path) -> None:
    body = (
        paragraph("Costs", "Heading1") + paragraph("In 2026, per_city:") + table(["city", "rent"], ["Oslo", "900 | x"])
    )
    (tmp_path / "a.docx").write_bytes(docx(body + paragraph("End")))
    assert await read(tmp_path / "a.docx") == (
        "# Costs\n\nIn 2026, per_city:\n\n| city | rent |\n| --- | --- |\n| Oslo | 900 \\| x |\n\nEnd\n"
    )


async def test_a_workbook_is_a_table_for_each_sheet(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(xlsx({"Sales": [["city", "sum"], ["Oslo|x", 3], ["Rome", 2.5]], "Empty": []}))
    assert await read(tmp_path / "a.xlsx") == (
        "## Sales\n\n| city | sum |\n| --- | --- |\n| Oslo\\|x | 3 |\n| Rome | 2.5 |\n\n## Empty\n\n(empty)\n\n"
    )


@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".xlsx", ".xls", ".ods"])
@pytest.mark.parametrize("content", [b"", b"plain text", b"%PDF-1.4\n%%EOF", b"PK\3\4" + b"\0" * 100])
async def test_what_is_no_document_is_told_and_hurts_nobody(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    assert "cannot be read: it is damaged, or not what its ending says" in await refusal(file)


@pytest.mark.parametrize("suffix", [".docx", ".xlsx"])
async def test_an_encrypted_office_file_is_told(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000 + "EncryptedPackage".encode("utf-16-le"))
    assert "is encrypted. Save a copy" in await refusal(file)


async def test_a_long_document_is_cut_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx("".join(paragraph("word " * 200) for _ in range(1000))))
    shown = await read(tmp_path / "a.docx", start_line=1100, max_lines=1000)
    assert shown.endswith("the document is cut after 600,000 characters]")


async def test_a_document_that_unpacks_without_end_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx(paragraph("x" * 100_000_000)))
    assert (tmp_path / "a.docx").stat().st_size < 1_000_000
    assert "unpacks to" in await refusal(tmp_path / "a.docx")


async def test_a_document_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "a.pdf").open("wb") as file:
        file.truncate(MAX_DOCUMENT + 1)
    assert "100,000,000" in await refusal(tmp_path / "a.pdf")


async def test_a_document_that_holds_a_key_is_refused_though_it_is_packed(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx(paragraph("the key is sk-very-secret-1")))
    assert "nothing of it is shown" in await refusal(tmp_path / "a.docx")
