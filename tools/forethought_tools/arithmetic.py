"""Built in: arithmetic, dates and units. Bounded; nothing but numbers, texts, lists and the functions below."""

__all__ = ["OF_JSON", "arithmetic_tools", "checked", "evaluate", "holds", "unknown_name"]

import ast
import math
import operator
import statistics
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, cast

from anyio import to_thread
from pydantic import Field

from forethought_tools import syntax
from forethought_tools.dates import DATE_FUNCTIONS
from forethought_tools.errors import ToolError
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.units import convert

MAX_BITS = 4096
MAX_BITS_BETWEEN = 32_768  # of a number on the way: dividing one of a million bits takes a second
MAX_COUNT = 1000
DIGITS = 12  # that are given of a number which has more than a float can hold exactly
ALLOWED = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.List,
    ast.Tuple,
    ast.Call,
    ast.keyword,
    ast.IfExp,
    ast.UnaryOp,
    ast.UAdd,
    ast.USub,
    ast.Not,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Compare,
    ast.cmpop,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
    ast.Mod,
    ast.Pow,
)
Number = int | float
_USUAL: Mapping[type[ast.AST], Callable[..., object]] = {}


def arithmetic_tools() -> list[Tool]:
    return [tool(calculate, risk=Risk.LOW, repeatable=True, reads_only=True, limits=Limits(timeout=10))]


async def calculate(
    expression: Annotated[
        str,
        Field(
            description='Such as round(mean([3, 4]), 1), percent(part, whole), days("2026-01-31", "2026-03-01"), '
            'weekdays, weekday, add_days, add_months, age, convert(5, "mile", "km")',
            min_length=1,
            max_length=4000,
        ),
    ],
) -> Number | str:
    """Work out an expression: arithmetic, sum, mean, round, dates, units. Returns a number, or a date as text."""
    # In a thread, because the first use of dates or units imports what knows them.
    return await to_thread.run_sync(worked_out, expression)


def worked_out(expression: str) -> Number | str:
    node = checked(expression)
    result = evaluate(node)
    if isinstance(result, str) and not isinstance(node, ast.Constant):
        return result
    return plainly(finite(result))


def holds(expression: str, value: JSON, text: str) -> bool:
    """Whether an expression over `value`, and over the same as `text`, is true; such as `words(text) <= 100`.

    Raises:
        ToolError: it cannot be worked out.
    """
    return bool(evaluate(checked(expression, on_text=True), {**OF_JSON, "value": value, "text": text}))


def unknown_name(node: ast.expr, given: Collection[str]) -> str | None:
    """The first name in an expression that was `checked` which is not `given`, and stands for nothing else."""
    known = {*FUNCTIONS, *TEXT_FUNCTIONS, *NAMES, *OF_JSON, *given}
    names = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
    return next((name for name in names if name not in known), None)


def checked(expression: str, *, on_text: bool = False) -> ast.expr:
    """An expression in which nothing but arithmetic stands, or also text and parts of a value. Raises ToolError."""
    try:
        tree = syntax.expression(expression.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ToolError(f"{expression[:200]!r} is not an arithmetic expression. {HINT}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.BitXor):
            raise ToolError("^ is not a power here. Write 2 ** 3.")
        if on_text and (isinstance(node, ast.Subscript) or (isinstance(node, ast.Constant) and node.value is not ...)):
            continue
        if not isinstance(node, ALLOWED) or (isinstance(node, ast.Constant) and not is_plain(node.value)):
            raise ToolError(f"{type(node).__name__} is not arithmetic. {HINT}")
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            raise ToolError(f"Only named functions can be called. {HINT}")
    return tree


def evaluate(
    node: ast.expr,
    names: Mapping[str, object] | None = None,
    other: Mapping[type[ast.AST], Callable[..., object]] = _USUAL,
) -> object:
    """What an expression that was `checked` comes to, over named values, with `other` operators than the usual ones."""
    # Here, because few runs calculate. The package has no types, hence the ignores.
    from simpleeval import (  # type: ignore[import-untyped]
        DEFAULT_OPERATORS,  # pyright: ignore[reportUnknownVariableType]
        EvalWithCompoundTypes,
        InvalidExpression,
    )

    operators: dict[type[ast.AST], object] = {
        **cast("dict[type[ast.AST], object]", DEFAULT_OPERATORS),
        ast.Pow: power,
        ast.Mult: of_numbers(operator.mul),
        ast.Add: of_numbers(operator.add),
        ast.Sub: of_numbers(operator.sub),
        ast.Mod: of_numbers(operator.mod),
        **other,
    }
    functions = {**FUNCTIONS, **TEXT_FUNCTIONS} if names else FUNCTIONS
    evaluator = EvalWithCompoundTypes(operators, dict(functions), {**NAMES, **(names or {})})
    try:
        return cast("object", evaluator.eval("", node))  # pyright: ignore[reportUnknownMemberType]
    except InvalidExpression as error:
        raise ToolError(f"{str(error).split(', for expression')[0].split(' for expression')[0]}. {HINT}") from None
    except ZeroDivisionError:
        raise ToolError("The expression divides by zero.") from None
    except OverflowError:
        raise ToolError("The result is too large.") from None
    except (ValueError, TypeError, LookupError, RecursionError, statistics.StatisticsError) as error:
        raise ToolError(f"The expression cannot be worked out: {error}.") from None


def finite(result: object) -> Number:
    if not isinstance(result, int | float):
        raise ToolError("The result is not one number. Write numbers without thousands separators: 1000, not 1,000.")
    if not math.isfinite(result if isinstance(result, float) else 0) or int(result).bit_length() > MAX_BITS:
        raise ToolError("The result is too large, or not a finite number.")
    return result


def plainly(number: Number) -> Number:
    """A number without the noise of its binary digits: 0.3, where adding 0.1 and 0.2 gives 0.30000000000000004."""
    if not isinstance(number, float) or float(f"{number:.15g}") == number:
        return number
    whole = len(str(int(abs(number))))
    return float(f"{number:.{min(15, max(DIGITS, whole + 2))}g}")  # of large amounts the cents are kept


def is_plain(value: object) -> bool:
    return isinstance(value, int | float | str)


def power(base: Number, exponent: Number) -> Number:
    """A power whose whole-number result stays small enough to work out at once."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() * exponent > MAX_BITS and abs(base) > 1:
            raise OverflowError
        return int(base**exponent)
    return math.pow(base, exponent)


def of_numbers(operation: Callable[[Number, Number], Number]) -> Callable[[object, object], Number]:
    """Python would also repeat and join lists, without bound."""

    def bounded(left: object, right: object) -> Number:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError("only numbers can be added, subtracted and multiplied; dates with days and add_days")
        return short(operation(left, right))

    return bounded


def short(number: Number) -> Number:
    """A number with which one can go on at once. Raises OverflowError."""
    if isinstance(number, int) and number.bit_length() > MAX_BITS_BETWEEN:
        raise OverflowError
    return number


def several(function: Callable[[list[Number]], Number]) -> Callable[..., Number]:
    """Also for numbers that are not in a list."""

    def of_all(*numbers: Number | list[Number]) -> Number:
        return function([each for part in numbers for each in (part if isinstance(part, list | tuple) else [part])])

    return of_all


def percent(part: Number, whole: Number) -> Number:
    return part * 100 / whole


def least_multiple(*numbers: int) -> Number:
    found: Number = 1
    for number in numbers:
        found = short(math.lcm(int(found), number))
    return found


def rounded(number: Number, ndigits: int = 0) -> Number:
    if abs(ndigits) > MAX_COUNT:
        raise ValueError(f"round to at most {MAX_COUNT} digits")
    return round(number, ndigits) if ndigits else round(number)


def small(function: Callable[..., int]) -> Callable[..., int]:
    """Bound a function whose work grows with its whole-number arguments."""

    def bounded(*numbers: int) -> int:
        if any(abs(number) > MAX_COUNT for number in numbers):
            raise ValueError(f"numbers up to {MAX_COUNT} only")
        return function(*numbers)

    return bounded


def words(text: object) -> int:
    return len(str(text).split())


def lines(text: object) -> int:
    return len(str(text).splitlines())


def count(text: object, part: object) -> int:
    return str(text).count(str(part))


def lower(text: object) -> str:
    return str(text).lower()


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "abs": abs,
    "round": rounded,
    "min": min,
    "max": max,
    "sum": several(sum),
    "percent": percent,
    "len": len,
    "int": int,
    "float": float,
    "mean": several(statistics.mean),
    "median": several(statistics.median),
    "stdev": several(statistics.stdev),
    "pow": power,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "hypot": math.hypot,
    "degrees": math.degrees,
    "radians": math.radians,
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "gcd": math.gcd,
    "lcm": least_multiple,
    "factorial": small(math.factorial),
    "comb": small(math.comb),
    "perm": small(math.perm),
    "convert": convert,
    **DATE_FUNCTIONS,
}
TEXT_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "words": words,
    "lines": lines,
    "count": count,
    "lower": lower,
}
NAMES: Mapping[str, Number | None] = {
    "pi": math.pi,
    "e": math.e,
    "tau": math.tau,
    "True": True,
    "False": False,
}
OF_JSON: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
HINT = f"Use numbers, dates in quotes, + - * / // % **, pi, e, and {', '.join(FUNCTIONS)}."
