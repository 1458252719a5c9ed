"""What a condition takes for true, for equal and for less. Results come as text where numbers, dates and flags are
meant; what can be meant in one way only is read so, and where there are several nobody guesses.
"""

__all__ = ["condition", "truth"]

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

from forethought_tools.arithmetic import OF_JSON, checked, evaluate
from forethought_tools.errors import ToolError
from forethought_tools.text import clipped
from forethought_tools.tool import JSON

_Comparing: TypeAlias = Callable[[object, object], bool]
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DIGITS = 400  # of a number in a text
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?")
_FIGURES = re.compile(r"[\d\s.,:/'’%€$£¥+()-]{1,60}")  # noqa: RUF001 - an apostrophe that people write in numbers
_FLAGS: Mapping[str, bool] = {"true": True, "false": False}
_SHOWN = 30  # characters of a value


def condition(expression: str) -> ast.expr:
    """An expression in which nothing stands that a condition cannot hold, ready to be asked. Raises ToolError."""
    marked = _Flags().visit(checked(expression, on_text=True))
    assert isinstance(marked, ast.expr)
    return marked


def truth(node: ast.expr, names: Mapping[str, JSON]) -> bool:
    """Whether a `condition` is true of named values. Raises ToolError where that cannot be told."""
    found = evaluate(node, {**OF_JSON, **names}, _OPERATORS)
    read = _FLAGS.get(found.strip().lower()) if isinstance(found, str) else found
    if not isinstance(read, bool):
        raise ToolError(f"It gives {str(found)[:40]!r}, neither true nor false. Compare it, such as with == or > 0.")
    return read


class _Flags(ast.NodeTransformer):
    """Marks what `and`, `or` and `if` decide by. No condition has a ~ of its own, so that can be the mark."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return ast.BoolOp(node.op, [_marked(value) for value in node.values])

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.IfExp(_marked(node.test), node.body, node.orelse)


def _marked(value: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Invert(), value)


def _flag(value: object) -> bool:
    """A value as it decides: a number by being other than 0, a list by holding something, a text by what it says."""
    if isinstance(value, str) and (said := _FLAGS.get(value.strip().lower())) is not None:
        return said
    if value is None or isinstance(value, str):
        raise TypeError(f"{_said(value)} is neither true nor false; compare it, such as with ==")
    return bool(value)


def _not(value: object) -> bool:
    return not _flag(value)


def _equal(left: object, right: object) -> bool:
    if isinstance(left, str) == isinstance(right, str) or not {type(left), type(right)} & {bool, int, float}:
        return left == right
    text, other = (left, right) if isinstance(left, str) else (right, left)
    assert isinstance(text, str)
    if isinstance(other, bool):
        return _flag(text) == other
    if (number := _number(text)) is None and _is_figures(text):
        raise TypeError(f"{_said(text)} is no plain number such as 1200; compare it with a text in quotes")
    return number == other


def _unequal(left: object, right: object) -> bool:
    return not _equal(left, right)


def _ordering(compare: Callable[[Any, Any], bool]) -> _Comparing:
    return lambda left, right: compare(*_in_order(left, right))


def _in_order(left: object, right: object) -> tuple[object, object]:
    """Two values as they can be put in order: two numbers, two moments, or two words."""
    first, second = _plain(left), _plain(right)
    odd = next((each for each in (first, second) if _is_figures(each)), None)
    if odd is None and _kind(first) is not _kind(second):
        odd = second if _kind(first) is float else first
    if odd is not None:
        raise TypeError(f"{_said(odd)} is no plain number and no date such as 2026-03-14; days(..) reads dates")
    return first, second


def _kind(value: object) -> type:
    return float if isinstance(value, int | float) else type(value)


def _plain(value: object) -> float | datetime | str:
    """A value that can be more or less than others. A number or a moment that stands in a text is one."""
    if value is None:
        raise TypeError("null is not more or less than anything; begin with x != null and ..")
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{_said(value)} is not more or less than anything; compare its len or a part of it")
    number = _number(value)
    return number if number is not None else _moment(value.strip()) or value


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _is_figures(value: object) -> bool:
    """Whether a text is a number or a date as people write them, which can be read in more than one way."""
    return isinstance(value, str) and bool(_FIGURES.fullmatch(value)) and any(map(str.isdigit, value))


def _number(text: str) -> float | None:
    text = text.strip()
    if len(text) > _DIGITS or not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _within(part: object, whole: object) -> bool:
    if isinstance(whole, str) and not isinstance(part, str):
        raise TypeError(f"{_said(part)} is no text, and is looked for in one; write it in quotes")
    if isinstance(whole, Sequence) and not isinstance(whole, str):
        return any(_equal(part, each) for each in cast("Sequence[object]", whole))
    return operator.contains(whole, part)  # type: ignore[arg-type]  # where it cannot, that is a TypeError


def _not_within(part: object, whole: object) -> bool:
    return not _within(part, whole)


def _said(value: object) -> str:
    return clipped("null" if value is None else str(value) if isinstance(value, datetime) else repr(value), _SHOWN)


_OPERATORS: Mapping[type[ast.AST], Callable[..., object]] = {
    ast.Invert: _flag,
    ast.Not: _not,
    ast.Eq: _equal,
    ast.NotEq: _unequal,
    ast.Lt: _ordering(operator.lt),
    ast.LtE: _ordering(operator.le),
    ast.Gt: _ordering(operator.gt),
    ast.GtE: _ordering(operator.ge),
    ast.In: _within,
    ast.NotIn: _not_within,
}
