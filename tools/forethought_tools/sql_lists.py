"""Columns of lists in SQL: a sum of such a column is the sum of all that is in the lists. Runs in the query's own
process."""

__all__ = ["LISTS_SUMMED", "with_lists_summed"]

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LISTS_SUMMED = "is a column of lists: SUM adds up all that is in them"
_SUM = re.compile(r"\bsum\s*\(\s*(?P<column>(?:\w+\.)?\"?(?P<name>\w+)\"?)\s*\)", re.IGNORECASE)
_OF_NUMBERS = re.compile(r"(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))\[\]")


def with_lists_summed(memory: "DuckDBPyConnection", sql: str) -> tuple[str, list[str]]:
    """The SQL with sums of lists as DuckDB has them, and the columns that these are of."""
    if not (asked := {found["name"].lower() for found in _SUM.finditer(sql)}):
        return sql, []
    kinds: dict[str, list[str]] = {}
    for name, kind in memory.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    ).fetchall():
        kinds.setdefault(str(name).lower(), []).append(str(kind))
    lists = [name for name in sorted(asked) if name in kinds and all(map(_OF_NUMBERS.fullmatch, kinds[name]))]

    def summed(found: re.Match[str]) -> str:
        return f"sum(list_sum({found['column']}))" if found["name"].lower() in lists else found[0]

    return _SUM.sub(summed, sql), lists
