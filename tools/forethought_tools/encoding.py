"""In which encoding the text of a file is, and how its lines end: what is changed in it stays so.

The only place that finds out encodings, for texts and for tables. Part of the child program of `query_table` too.
"""

__all__ = ["LINE_END", "Encoding", "Text", "encoding_in", "guessed", "plain_text", "text_of", "wide"]

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from forethought_tools.errors import ToolError

LINE_END = re.compile(r"\r\n|\n|\r")
_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
# Of how many bytes a character is, and at which of them zeros stand where it is a Western letter or a sign.
_WIDE = (
    ("utf_32_le", 4, {1, 2, 3}),
    ("utf_32_be", 4, {0, 1, 2}),
    ("utf_16_le", 2, {1}),
    ("utf_16_be", 2, {0}),
)
# In use, and of ASCII where bytes are below 128. Where several fit equally well, the first of these is taken.
_KNOWN = (
    *("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "euc_jp", "cp949", "big5", "koi8_r", "cp1253", "cp1254"),
    *("cp1255", "cp1256", "cp1257", "iso8859_2", "mac_roman", "cp850", "cp437", "cp866", "cp874", "cp1258"),
)
_LOOKED_AT = 100_000  # bytes with characters beyond ASCII
_LINES = 200_000
_HEAD = 8192
_CHUNK = 1 << 20
_NEIGHBOURS = re.compile(rb"[\x80-\xff]{2}|[\x81\x83\x88\x8a\x8c-\x90\x98\x9a\x9c-\x9f]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x19\x1c-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of a file are read as text."""

    codec: str
    mark: bytes = b""
    damaged: bool = False
    """Whether it is UTF-8, but for some bytes that are nothing."""
    zeros: bool = False
    """Whether zero bytes are strewn into the text, which mean nothing."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file, and what else it takes to write the file anew."""

    text: str
    codec: str = "utf_8"
    mark: bytes = b""
    """What stands before the text, so that programs tell its encoding."""
    damaged: bool = False
    """Whether some of its bytes are in no encoding; they are kept as they are."""

    @property
    def line_end(self) -> str:
        """How most of its lines end."""
        found = Counter(LINE_END.findall(self.text)).most_common(1)
        return found[0][0] if found else "\n"

    def with_line_ends(self, text: str) -> str:
        """A text with its line ends like those of this one."""
        return LINE_END.sub(lambda _: self.line_end, text) if LINE_END.search(self.text) else text

    def content(self, text: str) -> bytes:
        """The file's content with this text in place of its own. Raises ToolError where its encoding cannot hold it."""
        try:
            return self.mark + text.encode(self.codec, "surrogateescape" if self.damaged else "strict")
        except UnicodeEncodeError as error:
            raise ToolError(
                f"The file is in {self.codec}, which has no {text[error.start]!r}. Do without that character, or write"
                " the file anew with write_file, in UTF-8."
            ) from None


def text_of(content: bytes, path: str) -> Text:
    """A content as text that can be written back byte for byte. Raises ToolError where it cannot."""
    found = encoding_in(BytesIO(content))
    if found is None or found.zeros:
        raise ToolError(f"{path!r} is binary, and has no text that could be changed.")
    try:
        bare = content[len(found.mark) :].decode(found.codec, "surrogateescape" if found.damaged else "strict")
        whole = Text(bare, found.codec, found.mark, found.damaged)
        if whole.content(bare) == content:
            return whole
    except (UnicodeDecodeError, ToolError):
        pass
    raise ToolError(f"{path!r} is in no encoding that is known here, so changing it would damage it.")


def encoding_in(file: BinaryIO) -> Encoding | None:
    """The encoding of a text file, and None where it is no text. It is told by the whole file, which stands at its
    start again afterwards."""
    head = file.read(_HEAD)
    file.seek(0)
    if found := wide(head):
        return Encoding(found[1], found[0])
    mark = codecs.BOM_UTF8 if head.startswith(codecs.BOM_UTF8) else b""
    if b"\0" in head:
        bare = head.replace(b"\0", b"").removeprefix(mark)
        return Encoding("utf_8", mark, zeros=True) if bare and plain_text(bare) else None
    letters, strange = _counted(file)
    if not strange:
        return Encoding("utf_8", mark)
    if strange * 4 <= letters or mark:
        return Encoding("utf_8", mark, damaged=True)
    codec = guessed_in(iter(lambda: file.readline(_CHUNK), b""))
    file.seek(0)
    return Encoding(codec or "cp1252") if codec or plain_text(head) else None


def plain_text(content: bytes) -> bool:
    """Whether nothing in it is a control character, as in files that are no text."""
    return not _CONTROL.search(content.decode("latin-1"))


def _counted(file: BinaryIO) -> tuple[int, int]:
    """How many characters beyond ASCII a file has as UTF-8, and how many bytes that are none."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    letters = strange = 0
    while part := file.read(_CHUNK):
        text = decoder.decode(part)
        if not text.isascii():
            bad = len(re.findall("[\udc80-\udcff]", text))
            letters, strange = letters + sum(each > "\x7f" for each in text) - bad, strange + bad
    strange += len(decoder.decode(b"", final=True))
    file.seek(0)
    return letters, strange


def wide(head: bytes) -> tuple[bytes, str] | None:
    """The mark and the encoding of a file that begins so, where that is UTF-16 or UTF-32."""
    if found := next((each for each in _MARKS if head.startswith(each[0])), None):
        return found if found[1] != "utf_8" else None
    for codec, size, places in _WIDE if b"\0" in head else ():
        zeros = [at % size for at, byte in enumerate(head[: len(head) // size * size]) if byte == 0]
        if zeros and len(zeros) * 50 >= len(head) and places >= {*zeros} and _makes_text(head, codec):
            return b"", codec
    return None


def _makes_text(content: bytes, codec: str) -> bool:
    """Whether all of it is characters of texts in this encoding; the last one may be cut."""
    try:
        text = codecs.getincrementaldecoder(codec)().decode(content)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(
        unicodedata.category(each) not in ("Cc", "Cn", "Co", "Cs") or each in "\t\r\n\f\v" for each in text
    )


def guessed(content: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, as far as it can be told from its characters."""
    return guessed_in(content.split(b"\n"))


def guessed_in(lines: Iterable[bytes]) -> str | None:
    """The encoding of lines that are not UTF-8."""
    from charset_normalizer import from_bytes  # here, because few files need it

    telling = b"\n".join(_telling(lines))
    found = list(from_bytes(telling, cp_isolation=list(_KNOWN), enable_fallback=False))
    best = [each for each in found if (each.chaos, each.coherence) == (found[0].chaos, found[0].coherence)]
    names = {name for each in best for name in each.could_be_from_charset}
    if best and not best[0].coherence and not _NEIGHBOURS.search(telling):
        names.add(_KNOWN[0])  # single letters and signs among plain ones are Western ones
    return next((name for name in _KNOWN if name in names), None)


def _telling(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines with characters beyond ASCII, as many of them as are looked at."""
    room = _LOOKED_AT
    for number, line in enumerate(lines):
        if room <= 0 or number > _LINES:
            return
        if not line.isascii():
            yield line.rstrip(b"\r\n")[:room]
            room -= len(line)
