"""What tables an SQL text names, and where: files can be named in it as they are.

The text is only scanned, in time that is linear in it: what may be read is decided by `Folders`, and what the text does
by the database that runs it.
"""

__all__ = ["TableName", "columns_of", "replaced", "table_names"]

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|`[^`]*`)
    |(?P<word>\w+)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_PATH = re.compile(r"[\w./*?~-]*[\w*]")
_COMMON = re.compile(r"\b(\w+)\s*(?:\([^()]*\)\s*)?AS\s*(?:(?:NOT\s+)?MATERIALIZED\s*)?\(", re.IGNORECASE)
_ENDS = frozenset(
    {"where", "group", "having", "order", "limit", "union", "intersect", "except", "select", "on", "using"}
    | {"window", "qualify", "offset", "set", "values"}
)
_JOINS = frozenset(
    {"join", "inner", "left", "right", "full", "cross", "natural", "semi", "anti", "asof", "positional"}
    | {"fetch", "for", "pivot", "unpivot", "sample", "tablesample", "lateral", "outer"}
)
_READS = re.compile(r"(read_\w+|parquet_scan|sqlite_scan|csv_scan)$", re.IGNORECASE)
_SHEET = re.compile(r"\bsheet\s*(?:=>?|:=)\s*'([^']*)'", re.IGNORECASE)
MAX_READ = 200  # tokens of a function that reads a file
MAX_SELECTED = 200  # characters before a table in which its one column is looked for
_SELECTED = re.compile(
    r"""\bselect\s+(?:distinct\s+)?(?:\w+\(\s*){0,3}"?(\w+)"?[\s)]+(?:as\s+"?\w+"?\s+)?from\s+\Z""", re.IGNORECASE
)
_ALIAS = re.compile(r"""\s+(?:as\s+)?(?:"([^"]*)"|(\w+))""", re.IGNORECASE)
_UNNAMED = frozenset({"lateral", "only", "unnest", "values"})


@dataclass(frozen=True)
class TableName:
    """A table that is named in an SQL text, at this place of it."""

    name: str
    start: int
    end: int
    is_quoted: bool
    """In quotes, as a path, or as what a function reads: it may be a file."""
    has_alias: bool
    inner: str = ""
    """A table in it, where a file is named before a table of its."""
    more: tuple[str, ...] = ()
    """Further files, where a function reads several."""
    reader: str = ""
    """The function that reads it."""
    options: str = ""
    """What else that function is told."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        quote = self.text[:1]
        return self.text[1:-1].replace(quote * 2, quote) if self.kind in ("text", "name") else self.text


def table_names(sql: str) -> list[TableName]:
    """Every table that stands after FROM, JOIN, or a comma between tables; not those that WITH names."""
    tokens = [
        _Token(found.lastgroup or "", found[0], found.start(), found.end())
        for found in _TOKEN.finditer(sql)
        if found.lastgroup != "blank"
    ]
    common = {found[1].lower() for found in _COMMON.finditer(sql)}
    named = (_named(sql, tokens, at) for at in _places(tokens))
    return [each for each in named if each and (each.is_quoted or each.name.lower() not in common)]


def columns_of(sql: str, table: TableName) -> list[str]:
    """The columns that a query says plainly are of this table: the one that it selects from it, and those that are
    named with the table's alias."""
    found = _SELECTED.search(sql, max(0, table.start - MAX_SELECTED), table.start)
    columns = [found[1]] if found else []
    alias = _ALIAS.match(sql, table.end) if table.has_alias else None
    if alias:
        name = re.escape(alias[1] or alias[2])
        columns += re.findall(rf"""(?:"{name}"|(?<![\w."]){name})\."?(\w+)""", sql, re.IGNORECASE)
    return list(dict.fromkeys(column for column in columns if not column.isdecimal()))


def replaced(sql: str, names: Sequence[TableName], write: Callable[[TableName], str]) -> str:
    """The text with each of these names written anew."""
    parts: list[str] = []
    done = 0
    for each in sorted(names, key=lambda name: name.start):
        parts += [sql[done : each.start], write(each)]
        done = each.end
    return "".join([*parts, sql[done:]])


def _places(tokens: Sequence[_Token]) -> Iterator[int]:
    """Where the name of a table can stand."""
    lists_tables, expected = [False], False
    for at, token in enumerate(tokens):
        word = token.text.lower() if token.kind == "word" else ""
        if token.text == "(" and token.kind == "sign":
            lists_tables.append(expected)
        elif token.text == ")" and token.kind == "sign":
            lists_tables = lists_tables[:-1] or [False]
            expected = False
        elif token.text == "," and token.kind == "sign":
            expected = lists_tables[-1]
        elif word in ("from", "join"):
            lists_tables[-1] = expected = True
        elif word in _ENDS:
            lists_tables[-1] = expected = False
        elif expected and word not in _UNNAMED and (token.kind in ("text", "name", "word") or token.text in "./~*"):
            expected = False
            yield at


def _named(sql: str, tokens: Sequence[_Token], at: int) -> TableName | None:
    token = tokens[at]
    after = at + 1
    if token.kind == "word" and after < len(tokens) and tokens[after].text == "(":
        return _read(sql, tokens, at) if _READS.match(token.text) else None
    if token.kind in ("text", "name"):
        inner = ""
        if after + 1 < len(tokens) and tokens[after].text == "." and tokens[after + 1].kind in ("word", "name"):
            inner, after = tokens[after + 1].plain, after + 2
        return TableName(token.plain, token.start, tokens[after - 1].end, True, _has_alias(tokens, after), inner)
    path = _PATH.match(sql, token.start)
    if path is None:
        return None
    while after < len(tokens) and tokens[after].end <= path.end():
        after += 1
    is_path = any(sign in path[0] for sign in "./*") or ("-" in path[0] and "--" not in path[0])
    return TableName(path[0], token.start, path.end(), is_path, _has_alias(tokens, after))


def _read(sql: str, tokens: Sequence[_Token], at: int) -> TableName | None:
    """A function that reads a file: `read_csv_auto('a.csv', header = true)`."""
    depth, inside = 0, list[_Token]()
    for end in range(at + 1, min(len(tokens), at + MAX_READ)):
        depth += {"(": 1, ")": -1}.get(tokens[end].text, 0) if tokens[end].kind == "sign" else 0
        inside += [tokens[end]] if tokens[end].kind == "text" else []
        if depth == 0:
            break
    else:
        return None
    if not inside:
        return None
    reader = tokens[at].text.lower()
    files, rest = [inside[0].plain], tokens.index(inside[0]) + 1
    if tokens[at + 2].text == "[":
        rest = next(where for where in range(at, end) if tokens[where].text == "]") + 1
        files = [each.plain for each in tokens[at:rest] if each.kind == "text"]
    options = sql[tokens[rest].start : tokens[end].start]
    inner = inside[1].plain if reader == "sqlite_scan" and len(inside) > 1 else ""
    sheet = _SHEET.search(options) if reader == "read_xlsx" else None
    if inner or sheet:
        inner, options = inner or (sheet[1] if sheet else ""), ""
    alias = _has_alias(tokens, end + 1)
    first, *more = files
    return TableName(first, tokens[at].start, tokens[end].end, True, alias, inner, tuple(more), reader, options)


def _has_alias(tokens: Sequence[_Token], at: int) -> bool:
    if at >= len(tokens):
        return False
    word = tokens[at].text.lower()
    return tokens[at].kind in ("name", "text") or (
        tokens[at].kind == "word" and word not in _ENDS and word not in _JOINS
    )
