"""Built in: read-only SQL over files, SQLite databases and results of earlier steps, all in one query.

Each query has a process of its own (`tables_child.py`), which is killed with the call: what a query takes in memory and
in time, it takes there. Starting it costs a tenth of a second or two.
"""

__all__ = ["table_tools"]

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated

from anyio import to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.child import answered_by, as_line
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.given import Rows, Source
from forethought_tools.loading import READERS
from forethought_tools.risk import Risk
from forethought_tools.sources import BASES, TEXTS, claimed, found
from forethought_tools.tabular import as_table
from forethought_tools.tool import JSON, Limits, Tool, tool

MAX_GIVEN = 16_000_000  # characters of all results that a query is given

Files = Annotated[
    list[Annotated[str, Field(json_schema_extra={"x-suffixes": [*READERS, *BASES, *TEXTS]})]],
    Field(description="More files: sales.csv is the table sales", max_length=20),
]
Results = Annotated[
    dict[str, JsonValue],
    WithJsonSchema(
        {"type": "object", "description": 'Results as tables by name, such as {"totals": "{{1}}"}', "maxProperties": 20}
    ),
]


def table_tools(folders: Folders) -> list[Tool]:
    async def query_table(
        sql: Annotated[
            str,
            Field(
                description="One SELECT. A file in quotes is a table: FROM 'sales.csv', FROM 'logs/*.log'",
                max_length=100_000,
            ),
        ],
        paths: Files | None = None,
        tables: Results | None = None,
    ) -> JSON:
        """Read files and results with SQL; text that is no table is one of line and text. Returns {rows: [{column:
        value}], count, truncated}."""
        given = [rows_of(name, value) for name, value in (tables or {}).items()]
        with ExitStack() as held:
            text, sources = await to_thread.run_sync(found, folders, sql, paths or [], list(tables or {}), held)
            return await queried(text, sources, given)

    def reads(arguments: Mapping[str, JSON]) -> Claim:
        paths, tables = arguments.get("paths"), arguments.get("tables")
        named = list(map(str, paths)) if isinstance(paths, list) else []
        known = list(tables) if isinstance(tables, Mapping) else []
        return Claim(reads=claimed(folders, str(arguments.get("sql")), named, known))

    return [
        tool(
            query_table,
            risk=Risk.LOW,
            repeatable=True,
            reads_only=True,
            limits=Limits(timeout=60, at_once=2),
            claims=reads,
        )
    ]


def rows_of(name: str, value: JSON) -> Rows:
    """A result as a table of the query."""
    table = as_table(value, f"tables.{name}")
    return Rows(name, table.columns, table.rows)


async def queried(sql: str, sources: Sequence[Source], results: Sequence[Rows] = ()) -> JSON:
    """What the query's own process answers. However this is left, the process is gone."""
    request: Mapping[str, JSON] = {
        "sql": sql,
        "sources": [
            [list(source.names), [[str(f.real), f.descriptor, f.shown] for f in source.files], source.united]
            for source in sources
        ],
        "results": [[result.name, list(result.columns), list(result.rows)] for result in results],
    }
    line = as_line(request)
    if len(line) > MAX_GIVEN:
        raise ToolError("The results that are to be tables are too large together. Aggregate or filter them earlier.")
    return await answered_by(
        "tables_child",
        line,
        [file.descriptor for source in sources for file in source.files],
        ended="The query was ended (status {status}): it took more memory or time than a query may have."
        " Filter or aggregate earlier.",
        too_long="The query returns too much. Select fewer or shorter columns.",
    )
