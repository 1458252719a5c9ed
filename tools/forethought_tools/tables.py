"""Built in: read-only SQL over data files, or over one SQLite database.

Each query has a process of its own (`tables_child.py`), which is killed with the call: what a query takes in memory and
in time, it takes there. Starting it costs a tenth of a second or two.
"""

__all__ = ["table_tools"]

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated

from anyio import to_thread
from pydantic import Field

from forethought_tools.child import answered_by
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.tables_child import READERS, DataFile
from forethought_tools.tool import JSON, Limits, Tool, tool


def table_tools(folders: Folders) -> list[Tool]:
    async def query_table(
        sql: Annotated[str, Field(description="One SELECT; a table is named like its file: sales.csv is sales")],
        paths: Annotated[
            list[Annotated[str, Field(json_schema_extra={"x-suffixes": [*READERS, ".sqlite", ".sqlite3", ".db"]})]],
            Field(description="CSV, TSV, Parquet or JSON files, or one SQLite file", min_length=1, max_length=20),
        ],
    ) -> JSON:
        """Read data files with SQL. Returns {rows: [{column: value}], count, truncated}; at most 500 rows."""
        with ExitStack() as held:
            files = await to_thread.run_sync(lambda: [checked(folders, path, held) for path in paths])
            if len(files) > 1 and any(file.is_sqlite for file in files):
                raise ToolError("An SQLite database is read alone. Name it as the only path.")
            return await queried(sql, files)

    def reads(arguments: Mapping[str, JSON]) -> Claim:
        paths = arguments.get("paths")
        named = map(str, paths) if isinstance(paths, list) else ()
        return Claim(reads=frozenset(place for path in named for place in folders.parts(path)))

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


def checked(folders: Folders, path: str, held: ExitStack) -> DataFile:
    """A file that can be queried, held open: whatever its path leads to later, this is the file."""
    real, opened = folders.resolve(path), held.enter_context(folders.open(path))
    file = DataFile(real, opened.fileno())
    if real.suffix.lower() not in READERS and not file.is_sqlite:
        raise ToolError(f"{path!r} is no data file. query_table reads {', '.join(READERS)} and SQLite files.")
    for beside in (f"{file.real}-wal", f"{file.real}-journal"):  # SQLite reads these too, by itself
        if file.is_sqlite and os.path.lexists(beside):
            folders.open(beside).close()
    return file


async def queried(sql: str, files: Sequence[DataFile]) -> JSON:
    """What the query's own process answers. However this is left, the process is gone."""
    named: list[JSON] = [[str(file.real), file.descriptor] for file in files]
    return await answered_by(
        "tables_child",
        {"sql": sql, "files": named, "is_sqlite": files[0].is_sqlite},
        [file.descriptor for file in files],
        ended="The query was ended (status {status}): it took more memory or time than a query may have."
        " Filter or aggregate earlier.",
        too_long="The query returns too much. Select fewer or shorter columns.",
    )
