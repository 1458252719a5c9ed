"""Columns keep the names that the goal has for them: small planners call `name` `customer_name`, and whoever set the
goal looks for `name`."""

__all__ = ["wanted_columns", "with_said_names", "with_text_of_lines", "with_wanted_names", "without_line_numbers"]

import re
from collections.abc import Mapping, Sequence
from functools import partial

from forethought_patterns.script_sql import beside_quotes, columns_of, unquoted, with_sql
from forethought_tools import JSON
from forethought_tools.text import as_text

_SAVING = ("write_table", "write_file")
_OF_LINES = (".txt", ".log")
_READ = 20_000  # characters of a goal, and of all calls
_WORD = re.compile(r"\w+")
_COLUMN = r"(?:[a-z_]\w{0,40}\.)?\"?(?P<column>[a-z_]\w{1,40})\"?"
_LINE_AND_TEXT = re.compile(r"(select\s+(?:distinct\s+)?)\"?line\"?\s*,\s*(\"?text\"?\s+from\b)", re.IGNORECASE)
_OF_TEXT = re.compile(r"\bfrom\s+'[^'\n]*\.(?:txt|md|log)'", re.IGNORECASE)
_LIKE_LINE = re.compile(r"(?<![\w.])line\s+(?:not\s+)?i?like\b", re.IGNORECASE)
_LINE = re.compile(r"(?<![\w.])(?<!order by )line(?!\w)", re.IGNORECASE)
_NUMBERED = re.compile(r"\bnumber(?:s|ed)?\b", re.IGNORECASE)
_NAMED_ANEW = re.compile(
    rf"(?P<before>(?:select|,)\s+{_COLUMN})\s+as\s+\"?(?P<name>[a-z_]\w{{1,60}})\"?", re.IGNORECASE
)
_ITEM = r"[\"'`]?[a-z_]\w*[\"'`]?(?:\s*\([^()\n]{0,60}\))?"
_LIST = rf"{_ITEM}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*){_ITEM})+"
_WANTED = re.compile(rf"\b(?:columns|fields|headers)\b\s*(?::|,|called|named|are)?\s*({_LIST})", re.IGNORECASE)
_ASIDE = re.compile(r"\([^()\n]*\)")
_NO_NAMES = frozenset(
    {"the", "a", "an", "and", "its", "their", "in", "of", "for", "to", "with", "as", "is", "it", "or"}
)


def wanted_columns(goal: str) -> list[str]:
    """The names that a goal has for the columns of a table, such as `with the columns item, old and new`; none, where
    it does not list them as single words."""
    found = _WANTED.search(" ".join(goal[:_READ].split()))
    names = [name for name in _WORD.findall(_ASIDE.sub(" ", found[1])) if name.lower() != "and"] if found else []
    return [] if _NO_NAMES.intersection(map(str.lower, names)) else names


def with_wanted_names(
    steps: Sequence[Mapping[str, JSON]], goal: str, shapes: Sequence[str]
) -> list[Mapping[str, JSON]]:
    """The steps, in whose SQL columns that a query names itself (`old_price`) have the names that the goal lists
    (`old`), where it selects as many and the others are called so."""
    wanted = wanted_columns(goal)
    known = {*_WORD.findall(" ".join(shapes).lower())}
    return with_sql(steps, lambda sql: _renamed(sql, wanted, known))


def _renamed(sql: str, wanted: Sequence[str], known: set[str]) -> str:
    columns = columns_of(sql)
    if len(columns) != len(wanted) or not {*columns} - {*wanted}:
        return sql
    others = [name for name in columns if name not in wanted]
    missing = [name for name in wanted if name not in columns]
    alike = [[name for name in missing if name.lower() in other.lower().split("_")] for other in others]
    names = [each[0] for each in alike if len(each) == 1]
    if len({*names}) != len(others):
        if len(others) > 1 or columns.index(others[0]) != wanted.index(missing[0]):
            return sql
        names = missing
    for other, name in zip(others, names, strict=True):
        if other.lower() in known or not re.search(rf"\bas\s+\"?{other}\b", sql, re.IGNORECASE):
            return sql
        sql = re.sub(rf"(?<![\w.']){other}(?![\w(])", name, sql)
    return sql


def with_said_names(steps: Sequence[Mapping[str, JSON]], goal: str, shapes: Sequence[str]) -> list[Mapping[str, JSON]]:
    """The steps, in whose SQL a column that the goal names has no other name, which nobody knows: neither the goal nor
    another part of the plan. Where two files have such a column (`shapes`), it may need one."""
    said = goal[:_READ].lower()
    used = _WORD.findall(" ".join(as_text(step["arguments"]) for step in steps)[:_READ].lower())

    def kept(found: re.Match[str]) -> str:
        column, name = found["column"].lower(), found["name"].lower()
        is_known = re.search(r"[\W_]+".join(map(re.escape, filter(None, name.split("_")))), said)
        ambiguous = sum(column in _WORD.findall(shape.lower()) for shape in shapes) > 1
        if column == name or is_known or ambiguous or used.count(name) > 1 or used.count(column) > 1:
            return found[0]
        return found["before"] if re.search(rf"\b{column}\b", said) else found[0]

    return with_sql(steps, lambda sql: _NAMED_ANEW.sub(kept, sql))


def with_text_of_lines(steps: Sequence[Mapping[str, JSON]]) -> list[Mapping[str, JSON]]:
    """The steps, in whose SQL the words of a line are `text`: `line LIKE '- %'` means these, and not its number."""
    return with_sql(steps, _of_text)


def _of_text(sql: str) -> str:
    plain = unquoted(sql)
    if not (_OF_TEXT.search(sql) and _LIKE_LINE.search(plain)) or re.search(r"\btext\b", plain, re.IGNORECASE):
        return sql
    return beside_quotes(sql, partial(_LINE.sub, "text"))


def without_line_numbers(steps: Sequence[Mapping[str, JSON]], goal: str) -> list[Mapping[str, JSON]]:
    """The steps, in which lines that are taken out of a text and saved as a text are these lines, and not their numbers
    as well, unless the goal speaks of numbers."""
    saved = {
        str(rows)
        for step in steps
        if step["tool"] in _SAVING and isinstance(given := step["arguments"], Mapping)
        if str(given.get("path")).lower().endswith(_OF_LINES) and (rows := given.get("rows", given.get("content")))
    }
    if _NUMBERED.search(goal[:_READ]):
        return [*steps]
    found: list[Mapping[str, JSON]] = []
    for step in steps:
        given = step["arguments"]
        if f"{{{{{step['id']}}}}}" in saved and isinstance(given, Mapping) and isinstance(sql := given.get("sql"), str):
            step = {**step, "arguments": {**given, "sql": _LINE_AND_TEXT.sub(r"\1\2", sql)}}
        found.append(step)
    return found
