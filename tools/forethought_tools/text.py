"""Values as text, whole or shortened."""

__all__ = ["as_text", "one_line", "shortened"]

import json

from forethought_tools.tool import JSON


def as_text(value: JSON) -> str:
    """Text as it is, anything else as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shortened(text: str, size: int) -> str:
    """At most `size` characters, with an ellipsis where some were left out."""
    return text if len(text) <= size else f"{text[: size - 3]}..."


def one_line(text: str, size: int) -> str:
    """The same on one line."""
    return shortened(" ".join(text.split()), size)
