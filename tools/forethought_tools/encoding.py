"""In which encoding the text of a file is, and how its lines end: what is changed in it stays so."""

__all__ = ["LINE_END", "Text", "guessed", "text_of", "wide"]

import codecs
import re
from collections import Counter
from dataclasses import dataclass, replace

from forethought_tools.errors import ToolError

LINE_END = re.compile(r"\r\n|\n|\r")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf_32_le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
# In use, and of ASCII where bytes are below 128. Where several fit equally well, the first of these is taken.
_KNOWN = (
    *("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "euc_jp", "cp949", "big5", "koi8_r", "cp1253", "cp1254"),
    *("cp1255", "cp1256", "cp1257", "iso8859_2", "mac_roman", "cp850", "cp437", "cp866", "cp874", "cp1258"),
)
_LOOKED_AT = 100_000  # bytes with characters beyond ASCII
_HEAD = 8192


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file, and what else it takes to write the file anew."""

    text: str
    codec: str = "utf_8"
    mark: bytes = b""
    """What stands before the text, so that programs tell its encoding."""

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
            return self.mark + text.encode(self.codec)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"The file is in {self.codec}, which has no {text[error.start]!r}. Do without that character, or write"
                " the file anew with write_file, in UTF-8."
            ) from None


def text_of(content: bytes, path: str) -> Text:
    """A content as text that can be written back byte for byte. Raises ToolError where it cannot."""
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    codec = "utf_8"
    if found := wide(content[:_HEAD]):
        mark, codec = found
    elif b"\0" in content[:_HEAD]:
        raise ToolError(f"{path!r} is binary, and has no text that could be changed.")
    plain = Text("", codec, mark)
    for known in (plain, replace(plain, codec=guessed(content) or codec)) if codec == "utf_8" else (plain,):
        try:
            whole = replace(known, text=content[len(mark) :].decode(known.codec))
            if whole.content(whole.text) == content:
                return whole
        except (UnicodeDecodeError, ToolError):
            continue
    raise ToolError(f"{path!r} is in no encoding that is known here, so changing it would damage it.")


def wide(head: bytes) -> tuple[bytes, str] | None:
    """The mark and the encoding of a file that begins so, where that is UTF-16 or UTF-32."""
    if found := next((each for each in _MARKS if head.startswith(each[0])), None):
        return found
    zeros = Counter(at % 2 for at, byte in enumerate(head) if byte == 0)
    # Text in Western letters: every other byte is zero, or nearly.
    if len(zeros) == 1 and zeros.total() > len(head) * 0.4:
        return b"", "utf_16_le" if 1 in zeros else "utf_16_be"
    return None


def guessed(content: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, as far as it can be told from its characters."""
    from charset_normalizer import from_bytes  # here, because few files need it

    telling = bytearray()
    for line in content.split(b"\n"):
        if not line.isascii():
            telling += line[:_LOOKED_AT] + b"\n"
        if len(telling) > _LOOKED_AT:
            break
    found = list(from_bytes(bytes(telling[:_LOOKED_AT]), cp_isolation=list(_KNOWN), enable_fallback=False))
    best = [each for each in found if (each.chaos, each.coherence) == (found[0].chaos, found[0].coherence)]
    names = {name for each in best for name in each.could_be_from_charset}
    return next((name for name in _KNOWN if name in names), None)
