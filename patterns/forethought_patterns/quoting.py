"""Texts of tools, files, agents and models between tags of ours: whatever a text holds, it cannot close its own tag."""

__all__ = ["quoted"]

import re
import unicodedata

# A closing tag as somebody may read it, also with blanks, other brackets and what cannot be seen in it.
_CLOSING = re.compile(r"([<＜﹤])(?=[^\w<＜﹤>]*[/／⁄∕])([^\w<＜﹤>]+)([^\s<＜﹤>/]{1,80})")  # noqa: RUF001 - they are what this is about
_NAME = re.compile(r"[\w-]+")
_NOTE = "\n(In it <\\ stands for < alone.)"


def quoted(name: str, text: str, about: str = "") -> str:
    """A text between tags of this name, the first of them with what it is `about`. What reads like the closing tag is
    written `<\\/result>`, and it is said so; all else stays as it is."""
    kept = _CLOSING.sub(lambda tag: f"{tag[1]}\\{tag[2]}{tag[3]}" if _is(tag[3], name) else tag[0], text)
    return f"<{name}{about and f' {about}'}>\n{kept}\n</{name}>{_NOTE if kept != text else ''}"


def _is(said: str, name: str) -> bool:
    """Whether it reads like this name: also in other letters, as long as they are as many."""
    plain = "".join(char for char in unicodedata.normalize("NFKC", said) if unicodedata.category(char)[0] not in "CM")
    word = _NAME.match(plain.casefold())
    return word is not None and (word[0] == name or (not word[0].isascii() and len(word[0]) == len(name)))
