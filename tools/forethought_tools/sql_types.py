"""SQL by the types of its columns, where a query names a list, a date or a part of a row as people do and DuckDB does
not. Runs in the query's own process."""

__all__ = ["WHOLE", "as_typed", "with_columns_quoted"]

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from forethought_tools.filling import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SUM = re.compile(r"\bsum\s*\(\s*(?P<column>(?:\w+\.)?\"?(?P<name>\w+)\"?)\s*\)", re.IGNORECASE)
_LIKE = re.compile(r"(?P<column>(?:\b\w+\.)?(?:\"(?P<name>\w+)\"|\b\w+))(?=\s+(?:not\s+)?i?like\b)", re.IGNORECASE)
_ALL_AND = re.compile(r"\s*select\s+\*\s*,\s*(?P<more>[^;]+?)\s+from\s", re.IGNORECASE)
_SEVERAL = re.compile(r"\b(?:join|select|union)\b", re.IGNORECASE)
_COMMA = re.compile(r",(?![^()]*\))")
_AS = re.compile(r"\sas\s+\"?(\w+)\"?\s*$", re.IGNORECASE)
_SENTENCE = frozenset({"select", "from", "where", "as", "and", "or", "not", "in", "on"})
_QUOTED = re.compile(r"('[^']*'|\"[^\"]*\")")
_LITERAL = re.compile(r"('[^']*')")
_OF_NUMBERS = re.compile(r"(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))\[\]")
_TIMES_OR_NUMBERS = re.compile(r"DATE|TIME.*|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\)")
_ROWS = re.compile(r"(STRUCT\(.*\))\[\]")
_MISSING = re.compile(
    r'Referenced column "(\w+)" not found|does not have a column named "(\w+)"|Cannot extract field \'(\w+)\''
)
_OF_ALL_ROWS = re.compile(
    r"\b(?:sum|avg|count|median|total|mode)\s*\((?:\s*distinct\b)?\s*(?:\w+\.)?\"?(?P<name>\w+)", re.IGNORECASE
)
WHOLE = " as it is"
"""How the names of tables end in whose place something else stands."""
_NAMES_OF_FILES = ("file", "path", "file_name", "filepath")
_DEEPEST = 3  # lists in lists


def with_columns_quoted(memory: "DuckDBPyConnection", sql: str) -> str:
    """SQL that cannot be read, in which columns that are called like a word of SQL (`to`, `order`) stand in quotes; the
    SQL itself, where that is of no use."""
    import duckdb

    try:
        memory.extract_statements(sql)
    except duckdb.ParserException:
        reserved = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        words = {str(word) for (word,) in memory.execute(reserved).fetchall()} & {*_kinds(memory)} - _SENTENCE
    else:
        return sql
    bare = re.compile(
        rf"(?<!\w)(?:(?:{'|'.join(sorted(words)) or '(?!)'})(?![\w(])(?!\s+by\b)|(?:{'|'.join(_SENTENCE)})(?=\s*[,)]))",
        re.IGNORECASE,
    )
    parts = _QUOTED.split(sql)
    quoted_ = "".join(part if at % 2 else bare.sub(r'"\g<0>"', part) for at, part in enumerate(parts))
    try:
        memory.extract_statements(quoted_)
    except duckdb.ParserException:
        return sql
    return quoted_


def as_typed(memory: "DuckDBPyConnection", sql: str) -> tuple[str, list[str]]:
    """One query as DuckDB has it, with what had to be assumed of its tables, which may become others by that.

    The sum of a column of lists is the sum of all that is in them; a date or a number is compared to a pattern as a
    text; and where a column is none, but a part of one other column's documents or lists of documents, these are
    columns and rows.
    """
    kinds = _kinds(memory)
    sql, summed = _said_of(sql, kinds, _SUM, _OF_NUMBERS, "sum(list_sum({}))")
    sql, replaced = _replacing(sql, kinds)
    sql, _ = _said_of(sql, kinds, _LIKE, _TIMES_OR_NUMBERS, "CAST({} AS VARCHAR)")
    assumed = [f"{name} is a column of lists: SUM adds up all that is in them" for name in summed]
    assumed += [f"{name} is the new column in the place of the old one" for name in replaced]
    return sql, [*assumed, *_unfolded(memory, sql)]


def _kinds(memory: "DuckDBPyConnection") -> dict[str, list[str]]:
    """The types of all columns by their names in small letters."""
    kinds: dict[str, list[str]] = {}
    for _, column, kind in _columns(memory):
        kinds.setdefault(column.lower(), []).append(kind)
    return kinds


def _columns(memory: "DuckDBPyConnection") -> list[tuple[str, str, str]]:
    listed = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    return [(str(table), str(column), str(kind)) for table, column, kind in memory.execute(listed).fetchall()]


def _said_of(
    sql: str, kinds: dict[str, list[str]], pattern: re.Pattern[str], type_: re.Pattern[str], form: str
) -> tuple[str, list[str]]:
    """The SQL with the form about each column that a pattern finds outside of texts and that is of this type wherever
    it is a column; and these columns."""
    said: dict[str, None] = {}

    def formed(found: re.Match[str]) -> str:
        name = (found["name"] or found["column"].rpartition(".")[2]).lower()
        if not all(map(type_.fullmatch, kinds.get(name, [""]))):
            return found[0]
        said[name] = None
        return form.format(found["column"])

    parts = _LITERAL.split(sql)
    return "".join(part if part.startswith("'") else pattern.sub(formed, part) for part in parts), sorted(said)


def _replacing(sql: str, kinds: dict[str, list[str]]) -> tuple[str, list[str]]:
    """`SELECT *, price * 2 AS price`, where a price is there: who names it so wants no second column of that name."""
    found = _ALL_AND.match(sql)
    if found is None or _SEVERAL.search(sql, found.end()):
        return sql, []
    parts = [part.strip() for part in _COMMA.split(found["more"])]
    named = {part: name[1].lower() for part in parts if (name := _AS.search(part)) and name[1].lower() in kinds}
    if not named:
        return sql, []
    selected = ", ".join([f"* REPLACE ({', '.join(named)})", *(part for part in parts if part not in named)])
    return f"SELECT {selected}{sql[found.end('more') :]}", sorted(named.values())


def _unfolded(memory: "DuckDBPyConnection", sql: str) -> Iterator[str]:
    """Unfold the columns whose parts the query takes for columns. What was assumed by that."""
    import duckdb

    for level in range(1, _DEEPEST + 1):
        try:
            memory.execute(f"EXPLAIN {sql}")
        except duckdb.Error as error:
            missing = _MISSING.search(str(error))
        else:
            return
        name = next(filter(None, missing.groups())).lower() if missing else ""
        columns = [each for each in _columns(memory) if each[0] not in _aliases(memory) and not each[0].endswith(WHOLE)]
        of_files = [table for table, column, _ in columns if column == "filename"]
        if name in _NAMES_OF_FILES and len(of_files) == 1:
            _see(memory, of_files[0], f"*, filename AS {quoted(name)}", whole=f"{of_files[0]}{WHOLE * level}")
            continue
        holding = [each for each in columns if _holds(memory, each[2], name)]
        if len(holding) != 1:
            return
        table, column, kind = holding[0]
        is_list = bool(_ROWS.fullmatch(kind))
        others = {each.lower() for of_table, each, _ in columns if of_table == table and each != column}
        if is_list and others.intersection(found["name"].lower() for found in _OF_ALL_ROWS.finditer(sql)):
            return  # a value would count as often as its row has documents
        _unfold(memory, table, column, is_list=is_list, whole=f"{table}{WHOLE * level}")
        if is_list:
            yield f"a row of {table} is one of {column}, because {name} is of these"


def _aliases(memory: "DuckDBPyConnection") -> dict[str, str]:
    """Views that are only another name for a table, each with its SQL."""
    views = memory.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    return {str(name): str(sql) for name, sql in views if WHOLE not in str(sql)}


def _holds(memory: "DuckDBPyConnection", kind: str, name: str) -> bool:
    """Whether documents of this type, or in lists of this type, have a part of this name."""
    rows = _ROWS.fullmatch(kind)
    document = rows[1] if rows else kind
    if not name or not document.startswith("STRUCT(") or document.endswith("]"):
        return False
    described = memory.execute(f"DESCRIBE SELECT unnest(CAST(NULL AS {document}))").fetchall()  # a type that is there
    return name in [str(part[0]).lower() for part in described]


def _unfold(memory: "DuckDBPyConnection", table: str, column: str, *, is_list: bool, whole: str) -> None:
    """Have the parts of a column seen as columns of its table too."""
    part = quoted(column)
    rows = f"(SELECT * REPLACE (unnest({part}) AS {part}) FROM {quoted(whole)})"  # noqa: S608 - quoted
    _see(memory, table, f"*, unnest({part})", whole=whole, rows=rows if is_list else "")


def _see(memory: "DuckDBPyConnection", table: str, selected: str, *, whole: str, rows: str = "") -> None:
    """Put a view in the place of a table, which is called `whole` then."""
    aliases = _aliases(memory)
    is_view = memory.execute("SELECT 1 FROM duckdb_views() WHERE view_name = ?", [table]).fetchone()
    memory.execute(f"ALTER {'VIEW' if is_view else 'TABLE'} {quoted(table)} RENAME TO {quoted(whole)}")
    memory.execute(f"CREATE VIEW {quoted(table)} AS SELECT {selected} FROM {rows or quoted(whole)}")  # noqa: S608 - quoted
    for sql in aliases.values():
        memory.execute(re.sub("(?i)^create view", "CREATE OR REPLACE VIEW", sql))
