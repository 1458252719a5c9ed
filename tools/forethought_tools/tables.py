"""Built in: read-only SQL over files, SQLite databases and results of earlier steps, all in one query.

Each query has a process of its own (`tables_child.py`), which is killed with the call: what a query takes in memory and
in time, it takes there. Starting it costs a tenth of a second or two.
"""

__all__ = ["shape_of", "table_tools"]

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Annotated, cast

import anyio
from anyio import to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.child import answered_by, as_line
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.given import DataFile, Rows, Source
from forethought_tools.loading import READERS
from forethought_tools.packed import is_packed, unpacked
from forethought_tools.risk import Risk
from forethought_tools.sources import BASES, TEXTS, checked, claimed, found
from forethought_tools.tabular import as_table
from forethought_tools.tool import JSON, Limits, Tool, tool

MOST_LOOKED_AT = 20  # files
MOST_LOOKED_INTO = 20_000_000  # bytes of one
LOOK_SECONDS = 10.0
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
            return await queried(text, await whole(folders, sources, held), given)

    async def doubted(arguments: Mapping[str, JSON]) -> Sequence[str]:
        """What keeps the query from running, as far as its files are there and no result is still to come."""
        try:
            await looked_at(arguments, "doubt")
        except ToolError as error:
            return (str(error),)
        return ()

    async def foreseen(arguments: Mapping[str, JSON]) -> JSON:
        """A result with the columns of the query."""
        try:
            return await looked_at(arguments, "foresee")
        except ToolError:
            return None

    async def looked_at(arguments: Mapping[str, JSON], job: str) -> JSON:
        paths, tables, sql = arguments.get("paths"), arguments.get("tables"), str(arguments["sql"])
        known: Mapping[str, JSON] = tables if isinstance(tables, Mapping) else dict[str, JSON]()
        if "{{" in json.dumps(dict(arguments)):
            return None
        named = list(map(str, paths)) if isinstance(paths, list) else []
        given = [rows_of(name, value) for name, value in known.items()]
        with ExitStack() as held:
            text, sources = await to_thread.run_sync(found, folders, sql, named, list(known), held)
            return await queried(text, await whole(folders, sources, held), given, job=job)

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
            doubted=doubted,
            foreseen=foreseen,
        )
    ]


def rows_of(name: str, value: JSON) -> Rows:
    """A result as a table of the query."""
    table = as_table(value, f"tables.{name}")
    return Rows(name, table.columns, table.rows)


async def shape_of(folders: Folders, paths: Sequence[str]) -> Mapping[str, str]:
    """What tables these files hold, a line each: columns with their types, how many rows there are, and the first ones.

    Files that hold none, that may not be read, or that are large, are left out.
    """

    def opened(held: ExitStack) -> Mapping[str, Source]:
        found: dict[str, Source] = {}
        for path in paths[:MOST_LOOKED_AT]:
            with suppress(ToolError):
                file = checked(folders, path, held)
                if os.fstat(file.descriptor).st_size <= MOST_LOOKED_INTO:
                    found[path] = Source([path], [file])
        return found

    with ExitStack() as held:
        sources = await to_thread.run_sync(opened, held)
        if not sources:
            return {}
        try:
            with anyio.fail_after(LOOK_SECONDS):
                files = await whole(folders, list(sources.values()), held)
                said = cast("Sequence[str]", await queried("", files, job="shapes"))
        except (ToolError, TimeoutError):
            return {}
    return {path: line for path, line in zip(sources, said, strict=True) if line}


async def whole(folders: Folders, sources: Sequence[Source], held: ExitStack) -> list[Source]:
    """The sources with what is packed in their files instead of these, held open."""
    return [
        replace(source, files=[await _whole(folders, file, held) for file in source.files])
        if any(is_packed(file.shown) for file in source.files)
        else source
        for source in sources
    ]


async def _whole(folders: Folders, file: DataFile, held: ExitStack) -> DataFile:
    if not is_packed(file.shown):
        return file
    with os.fdopen(os.dup(file.descriptor), "rb") as packed:
        content, ending = await unpacked(folders, file.shown, packed)
    inner = DataFile(file.real.with_name(f"{file.real.stem}{ending}"), held.enter_context(content).fileno(), file.shown)
    if ending not in (*READERS, *TEXTS) or inner.is_sqlite:
        raise ToolError(f"{file.shown!r} holds what is no table: it may be of {', '.join((*READERS, *TEXTS))}.")
    return inner


async def queried(sql: str, sources: Sequence[Source], results: Sequence[Rows] = (), *, job: str = "query") -> JSON:
    """What the query's own process answers. However this is left, the process is gone."""
    request: Mapping[str, JSON] = {
        "job": job,
        "sql": sql,
        "sources": [
            [
                list(source.names),
                [[str(f.real), f.descriptor, f.shown] for f in source.files],
                source.united,
                source.options,
            ]
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
