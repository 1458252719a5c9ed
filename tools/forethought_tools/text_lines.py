"""Files that are no tables, and so are tables of one line of text each: what is told of a query that takes their lines
apart in a way that finds nothing. Runs in the query's own process."""

__all__ = ["not_found", "words_of"]

import re
from typing import TYPE_CHECKING

from forethought_tools.filling import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS = [("line", "BIGINT"), ("text", "VARCHAR")]
_OF_SEVERAL = [*_COLUMNS, ("filename", "VARCHAR")]
_COMPARED = 5000  # lines that are looked at for one that is like a pattern
_LINE = 100  # characters
_WORDS = 12
_WORD = 30  # characters
_PATTERN = re.compile(
    r"\bregexp_(?:extract|matches|extract_all)\s*\(\s*(?:\w+\.)?\"?text\"?\s*,\s*'((?:[^']|''){1,200})'", re.IGNORECASE
)

# `LIKE '- %'`: how the lines of a list begin. Of letters a goal may speak that are not there.
_SHAPE = re.compile(r"\btext\"?\)?\s+i?like\s+'([%_\s]*[^\w\s%'][^\w']{0,20})'", re.IGNORECASE)


def words_of(memory: "DuckDBPyConnection") -> str:
    """How the words of a line are taken, told by the first line of the one such file; nothing, where there is none."""
    tables = _tables(memory)
    if len(tables) != 1:
        return ""
    first = memory.execute(
        f"SELECT text FROM {quoted(tables[0])} WHERE contains(trim(text), ' ') LIMIT 1"  # noqa: S608 - quoted
    ).fetchone()
    if first is None:
        return ""
    words = str(first[0]).strip().split(" ")[:_WORDS]
    listed = ", ".join(f"{number} is {word[:_WORD]}" for number, word in enumerate(words, 1) if word)
    return f"A row of it is a line in text. split_part(trim(text), ' ', N) is its word N: {listed}."


def not_found(memory: "DuckDBPyConnection", sql: str) -> str:
    """A pattern that a query looks for in lines, and no line has; nothing, where there is none."""
    tables = _tables(memory)
    for pattern in dict.fromkeys(_SHAPE.findall(sql)) if len(tables) == 1 else ():
        found = memory.execute(
            f"SELECT 1 FROM {quoted(tables[0])} WHERE trim(text) LIKE ? LIMIT 1",  # noqa: S608 - quoted
            [pattern],
        ).fetchone()
        if found is None:
            told = "To take something out of sentences, have it read, by write or analyze. "
            return f"No line of {tables[0]} is like '{pattern}'. {told}{words_of(memory)}"
    for pattern in dict.fromkeys(_PATTERN.findall(sql)) if len(tables) == 1 else ():
        found = memory.execute(
            f"SELECT 1 FROM {quoted(tables[0])} WHERE regexp_matches(text, ?) LIMIT 1",  # noqa: S608 - quoted
            [pattern.replace("''", "'")],
        ).fetchone()
        if found is None:
            return f"No line of {tables[0]} has '{pattern}'. {_like(memory, tables[0], pattern)}{words_of(memory)}"
    return ""


def _like(memory: "DuckDBPyConnection", table: str, pattern: str) -> str:
    """The line that is most like a pattern."""
    found = memory.execute(
        f"SELECT trim(text) FROM (SELECT text FROM {quoted(table)} WHERE trim(text) <> '' LIMIT {_COMPARED})"  # noqa: S608 - quoted
        " ORDER BY jaro_winkler_similarity(trim(text), ?) DESC LIMIT 1",
        [pattern],
    ).fetchone()
    return f"The line that is most like it is {str(found[0])[:_LINE]!r}. " if found else ""


def _tables(memory: "DuckDBPyConnection") -> list[str]:
    rows = memory.execute(
        "SELECT table_name, list(column_name ORDER BY column_index), list(data_type ORDER BY column_index)"
        " FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid, table_name)"
        " WHERE NOT c.internal GROUP BY ALL"
    ).fetchall()
    return [
        str(name) for name, columns, kinds in rows if [*zip(columns, kinds, strict=True)] in (_COLUMNS, _OF_SEVERAL)
    ]
