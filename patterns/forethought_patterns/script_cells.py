"""Values and columns of queries in a script: who names a result of one value in a text or a calculation means the
value, and who calculates with columns means a query."""

__all__ = ["over_rows", "the_value", "with_results"]

import re
from collections.abc import Mapping, Sequence

from forethought_patterns.references import Reference, find
from forethought_patterns.script_sql import unquoted, with_sources, with_values
from forethought_patterns.script_turns import made_by
from forethought_patterns.script_values import Value
from forethought_tools import JSON
from forethought_tools.arithmetic import NAMES
from forethought_tools.text import as_text

_NAME = re.compile(r"[A-Za-z_]\w*")
_BARE = re.compile(r"[A-Za-z_]\w*\b(?!\s*\()")
_NO_COLUMNS = {"distinct", "as", *(name.lower() for name in NAMES)}
_READ = 2_000  # characters of a query
_ONE = re.compile(
    r"\s*select\s+(?P<what>.+?)\s+as\s+\"?(?P<name>[a-z_]\w*)\"?\s+from\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_COLUMN = re.compile(r"\s*select\s+(?:distinct\s+)?\"?(?P<column>[a-z_]\w*)\"?\s+from\b", re.IGNORECASE)
_PICKED = re.compile(r"\s*select\s+(?P<what>[\w.\"]+(?:\s*,\s*[\w.\"]+)*)\s+from\s+\"?\w+\"?[\s;]*", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
_FROM = re.compile(r"\sfrom\s+['\"\w]", re.IGNORECASE)
_SELECTS = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_WORKS_OUT = re.compile(r"\b(?:sum|avg|mean|median|count|min|max|stddev|string_agg|any_value|mode)\s*\(", re.IGNORECASE)
_ROWS = re.compile(r"\bgroup\s+by\b|\bover\s*\(|\bunion\b|\bunnest\s*\(", re.IGNORECASE)
_INNER = re.compile(r"\([^()]*\)|'[^']*'")
_NESTED = 10  # brackets in brackets


def the_value(result: Reference, steps: Sequence[Mapping[str, JSON]]) -> Reference:
    """The one value that a query finds, where it finds one; else the result as it is."""
    arguments = _query(result, steps)
    found = _ONE.fullmatch(str(arguments.get("sql"))[:_READ]) if arguments else None
    if arguments is None or found is None or "," in _flat(found["what"]) or _ROWS.search(found[0]):
        return result
    if not (_WORKS_OUT.search(found["what"]) or _is_of_one(arguments, result, steps)):
        return result
    return Reference(result.step, ("rows", "0", found["name"]))


def over_rows(
    expression: str, names: Mapping[str, Value], steps: Sequence[Mapping[str, JSON]], shapes: str, source: str
) -> dict[str, JSON] | None:
    """The query that a calculation with columns means, of an earlier result or of the one file that there is; or of
    what it names itself."""
    if _FROM.search(expression):
        return {"sql": expression if _SELECTS.match(expression) else f"SELECT {expression}"}
    columns = {word.lower() for word in _BARE.findall(unquoted(expression))} - _NO_COLUMNS
    if not columns or "{{" in expression:
        return None
    for name, value in reversed([*names.items()]):
        arguments = _query(value, steps) if isinstance(value, Reference) else None
        if not isinstance(value, Reference) or arguments is None:
            continue
        if columns == {name.lower()} and (column := _the_column(arguments)):
            expression = re.sub(rf"\b{name}\b", column, expression)
        elif not columns <= {word.lower() for word in _NAME.findall(f"{as_text(arguments)} {shapes}")}:
            continue
        sql = f"SELECT {expression} AS result FROM {name}"  # noqa: S608 - it is the model's own SQL
        return {"sql": sql, "tables": {name: str(value)}}
    if source and columns <= {word.lower() for word in _NAME.findall(shapes)}:
        return {"sql": f"SELECT {expression} AS result FROM '{source}'"}  # noqa: S608 - it is the model's own SQL
    return None


def with_results(
    arguments: Mapping[str, JSON],
    names: Mapping[str, Value],
    steps: Sequence[Mapping[str, JSON]],
    shapes: str,
    bases: Mapping[str, str],
) -> Mapping[str, JSON]:
    """A query with the earlier results that its SQL names, as tables or as the one value that each of them is."""
    sql = str(arguments.get("sql"))[:_READ]
    results = {
        name: value
        for name, value in names.items()
        if isinstance(value, Reference)
        and not (name in bases and _lacks(_query(value, steps), _columns_of(name, shapes), sql))
    }
    values: dict[str, str] = {}
    for name, result in results.items():
        step = None if result.path else made_by(result, steps)
        if step and step["tool"] == "calculate":
            values[name] = str(result)
        elif the_value(result, steps) != result:
            values[name] = f"(FROM {name})"
    arguments = with_values(arguments, values, shapes)
    return with_sources(arguments, {name: str(result) for name, result in results.items()}, bases)


def _columns_of(table: str, shapes: str) -> set[str]:
    found = re.search(rf"\b{re.escape(table)} \(([^()]*)\)", shapes, re.IGNORECASE)
    return {column.split()[0].lower() for column in found[1].split(",") if column.strip()} if found else set()


def _lacks(query: Mapping[str, JSON] | None, columns: set[str], sql: str) -> bool:
    """Whether a query only picks columns, and leaves out one of the table's that this SQL names: then the table is
    meant, where the result is called as it is."""
    found = _PICKED.fullmatch(str(query.get("sql"))[:_READ]) if query else None
    picked = set(_WORDS.findall(found["what"].lower())) if found else columns
    return bool((columns - picked).intersection(_WORDS.findall(sql.lower())))


def _the_column(arguments: Mapping[str, JSON]) -> str:
    """The one column that a query selects, where it selects one as it is; else nothing."""
    found = _COLUMN.match(str(arguments.get("sql"))[:_READ])
    return found["column"] if found else ""


def _query(result: Reference, steps: Sequence[Mapping[str, JSON]]) -> Mapping[str, JSON] | None:
    """The arguments of the query that a reference means the whole result of."""
    step = made_by(result, steps)
    arguments = step["arguments"] if step and step["tool"] == "query_table" and not result.path else None
    return arguments if isinstance(arguments, Mapping) else None


def _flat(selected: str) -> str:
    """What is selected, without what stands in brackets."""
    for _ in range(_NESTED):
        selected = _INNER.sub("", selected)
    return selected


def _is_of_one(arguments: Mapping[str, JSON], result: Reference, steps: Sequence[Mapping[str, JSON]]) -> bool:
    """Whether all that a query reads is one earlier result of one value."""
    tables = arguments.get("tables")
    if not isinstance(tables, Mapping) or len(tables) != 1 or not (of := find(list(tables.values()))):
        return False
    return all(each.step < result.step and the_value(each, steps) != each for each in of)
