"""Python's own parser, by one thread at a time: two at once fail each other in 3.11 (CPython's issue 106905)."""

__all__ = ["expression", "statements"]

import ast
import threading
from collections.abc import Sequence

_PARSING = threading.RLock()


def statements(text: str) -> Sequence[ast.stmt]:
    """The statements of a script. Raises what `ast.parse` raises."""
    with _PARSING:
        return ast.parse(text).body


def expression(text: str) -> ast.expr:
    """One expression. Raises what `ast.parse` raises."""
    with _PARSING:
        return ast.parse(text, mode="eval").body
