"""Values as text, whole or shortened, for whoever reads them: a model, a person, the log."""

__all__ = ["as_text", "clipped", "compact", "in_short", "one_line", "shortened", "unfenced"]

import json
import re

from forethought_tools.tool import JSON

_FENCED = re.compile(r"```[\w+-]*[ \t]*\r?\n(.*?)\r?\n[ \t]*```", re.DOTALL)


def as_text(value: JSON) -> str:
    """A string as it is, anything else as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def compact(value: JSON) -> str:
    """A string as it is, anything else as JSON with no spaces that could be left out."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def one_line(text: str) -> str:
    """The text with single spaces in place of line breaks, tabs and runs of spaces."""
    return " ".join(text.split())


def clipped(text: str, size: int) -> str:
    """At most `size` characters of a text, the last three of them dots where it was longer."""
    return text if len(text) <= size else f"{text[: size - 3]}..."


def in_short(value: JSON, size: int) -> str:
    """The beginning of a value as text, at most `size` characters: what is left out is not even written."""
    if isinstance(value, str):
        return clipped(value, size)
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        text += piece
        if len(text) > size:
            break
    return clipped(text, size)


def shortened(value: JSON, size: int, note: str = "\n[cut: {left} more characters]") -> str:
    """A value as text: all of it, or its first `size` characters with a note of what is left out.

    The note may name `{left}`, the characters that are left out, and `{whole}`, those of the whole text.
    """
    text = as_text(value)
    return text if len(text) <= size else text[:size] + note.format(left=len(text) - size, whole=len(text))


def unfenced(text: str) -> str:
    """What a model has put into a fence as a whole; any other text as it is."""
    fenced = _FENCED.fullmatch(text.strip())
    return text if fenced is None or "```" in fenced[1] else fenced[1]
