"""Built in: read a file as text, whatever it is kept as: plain text in any encoding, PDF, Word, a workbook."""

__all__ = ["MAX_READ", "read_tool"]

import codecs
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from anyio import from_thread, to_thread
from pydantic import Field

from forethought_tools.child import answered_by, as_line
from forethought_tools.claims import Claim
from forethought_tools.documents_child import MAX_TEXT, READERS
from forethought_tools.encoding import guessed, wide
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.packed import is_packed, unpacked
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool

MAX_READ = 200_000
MAX_DOCUMENT = 100_000_000
MAX_WIDE = 20_000_000
_HEAD = 8192


def read_tool(folders: Folders) -> Tool:
    """read_file over these folders."""

    async def read_file(
        path: Annotated[str, Field(description="File inside a granted folder", min_length=1)],
        start_line: Annotated[int, Field(description="First line, from 1", ge=1)] = 1,
        max_lines: Annotated[int, Field(description="Most lines to return", ge=1, le=5000)] = 400,
    ) -> JSON:
        """Read a text file, PDF, Word file or workbook as text. A last line in [brackets] says when there is more."""
        if is_packed(path):
            return await packed_lines(folders, path, start_line, max_lines)
        document = await to_thread.run_sync(opened_document, folders, path)
        if document is None:
            return await to_thread.run_sync(read, folders, path, start_line, max_lines)
        with document:
            text, cut = await document_text(document, path, folders.resolve(path))
        note = f"the document is cut after {MAX_TEXT:,} characters" if cut else ""
        return await to_thread.run_sync(document_lines, folders, path, text, note, start_line, max_lines)

    def reads(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(reads=folders.parts(str(arguments["path"])))

    limits = Limits(timeout=60, at_once=4)

    def there(arguments: Mapping[str, JSON]) -> None:
        folders.resolve(str(arguments["path"]))

    return tool(read_file, risk=Risk.LOW, repeatable=True, reads_only=True, limits=limits, claims=reads, ready=there)


def opened_document(folders: Folders, path: str) -> BinaryIO | None:
    """The file, if it is one that has to be taken apart to be read."""
    if folders.resolve(path).suffix.lower() not in READERS:
        return None
    file = folders.open(path)
    file.seek(0, 2)
    if (size := file.tell()) > MAX_DOCUMENT:
        file.close()
        raise ToolError(f"{path!r} has {size:,} bytes, more than {MAX_DOCUMENT:,}. Split it, or export it as text.")
    file.seek(0)
    return file


async def document_text(document: BinaryIO, path: str, real: Path) -> tuple[str, bool]:
    """The text of a document, and whether it is cut. Such files can be made to take for ever, so it is done apart."""
    descriptor = document.fileno()
    answer = await answered_by(
        "documents_child",
        as_line({"name": path, "descriptor": descriptor, "real": str(real)}),
        [descriptor],
        ended=f"Reading {path!r} was ended (status {{status}}): it took more memory or time than a document may have."
        " Split it, or export it as text.",
        too_long=f"{path!r} has too much text. Split it, or export it as text.",
    )
    return cast("tuple[str, bool]", answer)


async def packed_lines(folders: Folders, path: str, start: int, count: int) -> str:
    """Some lines of the text that is packed in a file."""
    with await to_thread.run_sync(folders.open, path) as file:
        content, ending = await unpacked(folders, path, file)
    with content:
        if ending in READERS:
            raise ToolError(f"{path!r} holds a {ending} file. Unpack it, and read that.")
        plain, note = await to_thread.run_sync(as_plain, content, path)
        return await to_thread.run_sync(lines, plain, path, start, count, note)


def document_lines(folders: Folders, path: str, text: str, note: str, start: int, count: int) -> str:
    content = BytesIO(text.encode("utf-8", "replace"))
    folders.refuse_secrets(content, path)  # packed, they could not be recognised
    return lines(content, path, start, count, note)


def read(folders: Folders, path: str, start: int, count: int) -> str:
    with folders.open(path) as file, mended(path):
        plain, note = as_plain(file, path)
        return lines(plain, path, start, count, note)


def lines(file: BinaryIO, path: str, start: int, count: int, note: str) -> str:
    """Some lines of a text, and what there is to say of it in brackets."""
    passed = skip(file, start - 1)
    if passed < start - 1:
        raise ToolError(f"{path!r} has only {passed} lines. Ask for a smaller start_line.")
    kept, room, cut = list[bytes](), MAX_READ, ""
    while line := file.readline(room + 1):
        if (len(line) > room and kept) or len(kept) == count:
            last = start + len(kept) - 1
            cut = f"lines {start} to {last} shown; there is more: go on with start_line={last + 1}"
            break
        if len(line) > room:
            kept, cut = [line[:room]], f"line {start} is cut after {room} bytes"
            break
        kept.append(line)
        room -= len(line)
    text, odd = decoded(b"".join(kept), whole=not cut.endswith("bytes"))
    said = "; ".join(filter(None, (cut, note, odd)))
    return f"{text.removesuffix(chr(10))}\n[{said}]" if said else text


def as_plain(file: BinaryIO, path: str) -> tuple[BinaryIO, str]:
    """The file as bytes whose lines end as in ASCII, and what there is to say of that."""
    head = file.read(_HEAD)
    file.seek(0)
    if found := wide(head):
        mark, codec = found
        content = file.read(MAX_WIDE + 1)
        if len(content) > MAX_WIDE:
            raise ToolError(f"{path!r} is in {codec} and has more than {MAX_WIDE:,} bytes. Save it in UTF-8.")
        return BytesIO(content[len(mark) :].decode(codec, "replace").encode("utf-8", "replace")), f"read as {codec}"
    if b"\0" in head:
        raise ToolError(
            f"{path!r} is binary, and read_file reads text, {', '.join(READERS)}. query_table reads Parquet and SQLite"
            " files."
        )
    return file, ""


def decoded(content: bytes, *, whole: bool) -> tuple[str, str]:
    """A text, and in what encoding it is where that is not UTF-8. Unless it is whole, its last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content, final=whole)
        return text.removeprefix("\ufeff"), ""
    except UnicodeDecodeError:
        pass
    if codec := guessed(content):
        return content.decode(codec, "replace"), f"read as {codec}"
    return content.decode("utf-8", "replace"), "in no encoding that is known; what cannot be read is shown as \ufffd"


def skip(file: BinaryIO, count: int) -> int:
    """Read past this many lines; returns how many there were."""
    passed = 0
    while passed < count and (part := file.readline(MAX_READ)):
        from_thread.check_cancelled()
        passed += part.endswith(b"\n")
    return passed
