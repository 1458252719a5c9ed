"""Built in: read-only SQL over data files, or over one SQLite database.

Each query has a process of its own (`tables_child.py`), which is killed with the call: what a query takes in memory and
in time, it takes there. Starting it costs a tenth of a second or two.
"""

__all__ = ["table_tools"]

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, cast

import anyio
from anyio import to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import Field

from forethought_tools import tables_child
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.tables_child import READERS, DataFile
from forethought_tools.tool import JSON, Limits, Tool, tool

MAX_ANSWER = 4 << 20  # bytes: what the child may say, with every character spelled out
# A query needs nothing else, least of all a key.
VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT", "TZ")


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
    process = await started([file.descriptor for file in files])
    try:
        named: list[JSON] = [[str(file.real), file.descriptor] for file in files]
        answer = await asked(process, {"sql": sql, "files": named, "is_sqlite": files[0].is_sqlite})
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                process.kill()
            await process.aclose()
    if "error" in answer:
        raise ToolError(str(answer["error"]))
    return answer["result"]


async def started(descriptors: Sequence[int]) -> Process:
    """The query's own process, to which these open files are handed on, where the platform can."""
    # By its path: `-m` would import the whole package first. -P: a json.py in the user's folder must not be imported.
    command = [sys.executable, "-P", tables_child.__file__]
    environment = {name: value for name in VARIABLES if (value := os.environ.get(name)) is not None}
    with anyio.CancelScope(shield=True):  # cancelled in the middle of this, the process would be left behind
        return await anyio.open_process(
            command,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            pass_fds=() if sys.platform == "win32" else descriptors,
        )
    raise AssertionError("a shielded scope swallows nothing")


async def asked(process: Process, request: Mapping[str, JSON]) -> Mapping[str, JSON]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send(json.dumps(request).encode() + b"\n")
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", MAX_ANSWER)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead):
        status = await process.wait()
        raise ToolError(
            f"The query was ended (status {status}): it took more memory or time than a query may have."
            " Filter or aggregate earlier."
        ) from None
    except anyio.DelimiterNotFound:
        raise ToolError("The query returns too much. Select fewer or shorter columns.") from None
    return cast("Mapping[str, JSON]", json.loads(line))
