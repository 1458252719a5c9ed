"""Python's own parser, whichever threads use it: two at once fail each other in 3.11 (CPython's issue 106905)."""

__all__ = ["expression", "statements"]

import ast
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

_PARSING = threading.Lock()
_TRIES = 20  # whoever formats a traceback parses, too, and takes no turns


def statements(text: str) -> Sequence[ast.stmt]:
    """The statements of a script. Raises what `ast.parse` raises."""
    tree = _tree(text, "exec")
    assert isinstance(tree, ast.Module)
    return tree.body


def expression(text: str) -> ast.expr:
    """One expression. Raises what `ast.parse` raises."""
    tree = _tree(text, "eval")
    assert isinstance(tree, ast.Expression)
    return tree.body


def _tree(text: str, mode: Literal["exec", "eval"]) -> ast.AST:
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in a regular expression means what it says
        for _ in range(_TRIES):
            with suppress(SystemError):
                return ast.parse(text, mode=mode)
        return ast.parse(text, mode=mode)
