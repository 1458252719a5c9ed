"""Loops over results and conditions on them in a script: they become `for_each` and `when` of the calls in them."""

__all__ = [
    "bind",
    "condition",
    "in_each",
    "in_rows",
    "is_true",
    "made_by",
    "of_item",
    "rows_in",
    "sql_of",
    "tool_of_rows",
    "when",
]

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from forethought_patterns.references import INDEX, Reference, find, map_texts
from forethought_patterns.script_sql import columns_of
from forethought_patterns.script_values import TABLES, Value, as_literal, holds, member, unreadable
from forethought_tools import JSON

T = TypeVar("T", bound=Mapping[str, JSON])

_ITEM = Reference(0)
"""What the variable of a loop stands for while its calls are read. No step has this number."""
_AS_ROWS = ("iterrows", "itertuples", "to_dict", "fetchall")  # habits of those who write Python
_OF_ITEM = re.compile(r"\{\{0(?=[.\[}])")
_OF_RESULT = ("rows", "count", "truncated", "columns", "assumed")
_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ONE_CALL = 'Write one call in such a loop, with its text in it: write_file(f"{row.name}.txt", f"Dear {row.name}, ...")'


def rows_in(over: ast.expr) -> ast.expr | None:
    """The result that a loop may go over (a name, a part of one, a query), without what only a program would need;
    none, where no result can be meant."""
    match over:
        case ast.Call(func=ast.Attribute(value=inner, attr=method)) if method in _AS_ROWS:
            over = inner
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner]):
            over = inner
        case _:
            pass
    match over:
        case ast.Call(func=ast.Name(id="query_table")) | ast.Name() | ast.Attribute() | ast.Subscript():
            return over
        case _:
            return None


def _counts(over: ast.expr) -> bool:
    """Whether the number of the turn comes before its item."""
    match over:
        case ast.Call(func=ast.Name(id="enumerate") | ast.Attribute(attr="iterrows")):
            return True
        case _:
            return False


def of_item(target: ast.expr, over: ast.expr, sql: str) -> dict[str, Value]:
    """What the variables of a loop stand for: the item, one column of its query each, or its number before it.
    Raises PlanError."""
    match target:
        case ast.Name(id=name):
            return {name: _ITEM}
        case ast.Tuple(elts=[ast.Name(id=number), row]) if _counts(over):
            return {number: "{{index}}", **of_item(row, ast.Name("rows"), sql)}
        case ast.Tuple(elts=parts) if len(columns := columns_of(sql)) == len(parts):
            named = zip(parts, columns, strict=True)
            return {part.id: member(_ITEM, column) for part, column in named if isinstance(part, ast.Name)}
        case _:
            mend = "Write for row in table.rows, and row.name in its call"
            raise unreadable("the variables of this loop are no columns", mend)


def in_each(steps: Sequence[dict[str, JSON]], over: Reference, sql: str) -> None:
    """These calls are made once for each item of a result: what one of them brings is, for the next ones, what it has
    brought in the same turn. A row that has one column only is meant by its value."""
    own = [step["id"] for step in steps]
    columns = columns_of(sql)
    whole = str(Reference(0, (columns[0],))) if len(columns) == 1 else str(_ITEM)
    for step in steps:
        if step.get("for_each"):
            raise unreadable("a loop stands in a loop", _ONE_CALL)
        step["for_each"] = str(over)
        after = step["depends_on"]
        step["depends_on"] = [number for number in after if number not in own] if isinstance(after, list) else after
        for name in ("arguments", "description", "when"):
            if name in step:
                step[name] = map_texts(step[name], lambda text: _OF_ITEM.sub("{{item", text.replace(str(_ITEM), whole)))
        for each in find(step["arguments"]):
            if each.step in own:
                same = str(Reference(each.step, (INDEX, *each.path)))
                step["arguments"] = map_texts(step["arguments"], _replacing(str(each), same))


def _replacing(old: str, new: str) -> Callable[[str], JSON]:
    return lambda text: text.replace(old, new)


def tool_of_rows(found: Reference, steps: Sequence[dict[str, JSON]]) -> JSON:
    """The tool that brings what a loop goes over. A table that was read as text, and for this alone, is queried in the
    place of that: a text has no rows."""
    step = made_by(found, steps)
    if step is None:
        return None
    path = _argument(step, "path")
    is_table = step["tool"] == "read_file" and path.lower().endswith(TABLES) and "'" not in path
    used = any(each.step == found.step for other in steps for each in find(other["arguments"]))
    if is_table and not used and found.path in ((), ("rows",)):
        step["tool"], step["arguments"] = "query_table", {"sql": f"SELECT * FROM '{path}'"}  # noqa: S608 - what a plan asks for
    return step["tool"]


def in_rows(value: Value, steps: Sequence[Mapping[str, JSON]]) -> Value:
    """The part of a query's result that a column or a row of it means: `best.day` is `best.rows[0].day`."""
    if not isinstance(value, Reference) or not value.path or value.path[0] in _OF_RESULT:
        return value
    step = made_by(value, steps)
    if step is None or step["tool"] != "query_table":
        return value
    return Reference(value.step, ("rows", *(() if value.path[0].isdecimal() else ("0",)), *value.path))


def sql_of(found: Reference, steps: Sequence[dict[str, JSON]]) -> str:
    """The query that brings a result, if it is one."""
    step = made_by(found, steps)
    return _argument(step, "sql") if step else ""


def made_by(found: Reference, steps: Sequence[T]) -> T | None:
    """The step whose result this is, or is a part of; none, where it is of a step before the script."""
    return next((step for step in steps if step["id"] == found.step), None)


def _argument(step: Mapping[str, JSON], name: str) -> str:
    given = step["arguments"]
    return str(given.get(name, "")) if isinstance(given, Mapping) else ""


def bind(names: dict[str, Value], target: ast.expr, item: Value) -> None:
    """Give the variables of a loop the values of one turn."""
    if isinstance(target, ast.Name):
        names[target.id] = item
    elif isinstance(target, ast.Tuple) and isinstance(item, list):
        for part, value in zip(target.elts, item, strict=False):
            bind(names, part, value)


def is_true(test: ast.expr, value: Callable[[ast.expr], Value]) -> bool:
    """Whether a condition holds that is known while the script is read. Raises PlanError."""
    match test:
        case ast.BoolOp(op=operator, values=tests):
            return (all if isinstance(operator, ast.And) else any)(is_true(each, value) for each in tests)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not is_true(inner, value)
        case ast.Compare(left=left, comparators=[right, *_]):
            return holds(test, as_literal(value(left)), as_literal(value(right)))
        case _:
            return bool(as_literal(value(test)))


def when(steps: Sequence[dict[str, JSON]], holds: str) -> None:
    """These calls are made where a condition holds."""
    for step in steps:
        step["when"] = f"({step['when']}) and ({holds})" if step.get("when") else holds


def condition(test: ast.expr, value: Callable[[ast.expr], Value]) -> str | None:
    """The condition that a test on results is, or none where it is not about results. Raises PlanError."""
    written = _written(test, value)
    return written if find(written) else None


def _written(node: ast.expr, value: Callable[[ast.expr], Value]) -> str:
    match node:
        case ast.BoolOp(op=joined, values=parts):
            word = " and " if isinstance(joined, ast.And) else " or "
            return "(" + word.join(_written(part, value) for part in parts) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return f"not {_written(inner, value)}"
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _SIGNS:
            return f"{_written(left, value)} {_SIGNS[type(sign)]} {_written(right, value)}"
        case _:
            found = value(node)
            return str(found) if isinstance(found, Reference) else repr(found)
