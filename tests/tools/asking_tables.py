"""Questions to tables in files, as tests of them ask."""

from pathlib import Path
from typing import Any

import anyio

from forethought_tools import JSON, Question, Registry
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def query(folder: Path, sql: str, **more: JSON) -> Any:
    with anyio.fail_after(120):
        return await Registry(table_tools(Folders([folder]))).call("query_table", {"sql": sql, **more}, nobody)


async def rows_and_assumed(folder: Path, name: str, content: str | bytes, sql: str = "") -> tuple[Any, str]:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    got = await query(folder, sql or f"SELECT * FROM '{name}'")
    return got["rows"], " | ".join(got.get("assumed", []))
