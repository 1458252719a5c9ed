"""The child program of `read_file` for documents: a PDF, a Word file or a workbook as text, tables as Markdown.

Of ours it imports only what takes no time. The libraries that read these formats are slow, in memory and in time, where
a file means them to be.
"""

import re
import sys
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from forethought_tools.answering import bound_by_the_system, serve

if TYPE_CHECKING:
    from forethought_tools.tool import JSON

MAX_TEXT = 600_000
"""Characters: what is longer is cut, and that is told."""

MAX_UNPACKED = 100_000_000
"""Bytes of all the XML that is packed in a document."""
MAX_LOOKED_AT = 1 << 20


class DocumentError(Exception):
    """The document cannot be read; the message says why, and what to do."""


def main() -> None:
    """Answer the one question that our parent asks."""
    serve(_answered)


def _answered(request: Mapping[str, Any]) -> "Mapping[str, JSON]":
    name = request["name"]
    try:
        bound_by_the_system()
        warnings.simplefilter("ignore")
        real = Path(request["real"])
        # Elsewhere (Windows) descriptors are not handed on.
        with open(real if sys.platform == "win32" else request["descriptor"], "rb") as file:  # noqa: PTH123 - by number
            return {"result": _cut(READERS[real.suffix.lower()](file))}
    except DocumentError as error:
        return {"error": f"{name!r} {error}"}
    except MemoryError:
        return {"error": f"{name!r} needs more memory than a document may have. Split it, or export it as text."}
    except Exception as error:  # whatever a file brings about is told, and is no fault of the server
        what = f"{type(error).__name__}: {error}"[:300]
        return {"error": f"{name!r} cannot be read: it is damaged, or not what its ending says ({what})."}


def _cut(parts: Iterator[str]) -> "JSON":
    """The text as far as it may go, and whether that is all of it."""
    text = ""
    for part in parts:
        text += part
        if len(text) > MAX_TEXT:
            return [text[:MAX_TEXT], True]
    return [text, False]


def pdf(file: BinaryIO) -> Iterator[str]:
    """The text of each page, below a line that numbers it."""
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import DependencyError

    document = PdfReader(file)
    try:
        if document.is_encrypted and document.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentError("is encrypted. Save a copy of it without a password.")
    except DependencyError:
        raise DocumentError("is encrypted. Save a copy of it without a password.") from None
    texts = (page.extract_text().strip() for page in document.pages)
    count, empty = len(document.pages), 0
    waiting = ""  # nothing is said before there is a page with text
    for number, text in enumerate(texts, 1):
        empty += not text
        waiting += f"[page {number} of {count}{'' if text else ', without text'}]\n{text}\n\n"
        if empty < number:
            yield waiting
            waiting = ""
    if empty == count:
        raise DocumentError("holds no text, only pictures: it may be a scan. Run text recognition (OCR) on it first.")


def docx(file: BinaryIO) -> Iterator[str]:
    """The text of a Word file as Markdown, without its pictures."""
    import mammoth  # type: ignore[import-untyped]  # it has no types
    from markdownify import MarkdownConverter

    _refuse_what_cannot_be_unpacked(file)
    convert = cast("Any", mammoth).convert_to_html
    html = str(convert(BytesIO(file.read()), convert_image=_no_picture, include_embedded_style_map=False).value)

    class Markdown(MarkdownConverter):
        """Text is left as it is: nobody formats it. Only in a table a bar would begin a cell."""

        def escape(self, text: str, parent_tags: Collection[str]) -> str:
            return text.replace("|", "\\|") if "td" in parent_tags or "th" in parent_tags else text

    text = Markdown(heading_style="ATX", bullets="-", table_infer_header=True).convert(html)
    yield re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _no_picture(_: object) -> list[object]:
    return []


def workbook(file: BinaryIO) -> Iterator[str]:
    """Each sheet as a Markdown table, below its name."""
    from python_calamine import CalamineWorkbook, PasswordError

    _refuse_what_cannot_be_unpacked(file)
    try:
        book = CalamineWorkbook.from_filelike(file)
    except PasswordError:
        raise DocumentError("is encrypted. Save a copy of it without a password.") from None
    for name in book.sheet_names:
        yield f"## {name}\n\n"
        rows = 0
        for row in book.get_sheet_by_name(name).iter_rows():
            yield f"| {' | '.join(map(_cell, row))} |\n"
            if rows == 0:
                yield f"|{' --- |' * len(row)}\n"
            rows += 1
        yield "\n" if rows else "(empty)\n\n"


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a workbook has no other numbers
    return " ".join(str(value).replace("|", "\\|").split())


def _refuse_what_cannot_be_unpacked(file: BinaryIO) -> None:
    """With a password, Word and Excel files are of another kind: an OLE container, with this name in it."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as package:
            unpacked = sum(part.file_size for part in package.infolist() if part.filename.endswith(".xml"))
        if unpacked > MAX_UNPACKED:
            raise DocumentError(f"unpacks to {unpacked:,} bytes of text, more than {MAX_UNPACKED:,}. Split it.")
    file.seek(0)
    head = file.read(MAX_LOOKED_AT)
    if head.startswith(b"\xd0\xcf\x11\xe0") and "EncryptedPackage".encode("utf_16_le") in head:
        raise DocumentError("is encrypted. Save a copy of it without a password.")
    file.seek(0)


READERS = {".pdf": pdf, ".docx": docx} | dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), workbook)
