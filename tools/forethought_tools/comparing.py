"""Built in: what differs between two texts or tables, and how long a text is. Both take results, or paths of files."""

__all__ = ["comparing_tools"]

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, cast

from anyio import to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.apart import apart
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool

MAX_FILE = 1_000_000  # bytes
MAX_TEXTS = 100
_FILE_NAME = re.compile(r"[^\n<>|*?\"]{0,400}[^\s<>|*?\"/]\.[A-Za-z][A-Za-z0-9]{0,6}")
Compared = Annotated[
    JsonValue,
    WithJsonSchema({"description": "A result such as {{1}}, a text, or the path of a text, CSV or JSON file"}),
]


def comparing_tools(folders: Folders) -> list[Tool]:
    """compare and text_stats."""

    async def compare(
        old: Compared,
        new: Compared,
        key: Annotated[str | None, Field(description="Column by which rows of tables belong together")] = None,
    ) -> JSON:
        """Find what differs between two tables (by rows) or texts (by lines).
        Returns {added, removed, changed, same}: rows, and how many are the same."""
        before, after = await to_thread.run_sync(lambda: [_looked_at(folders, value) for value in (old, new)])
        is_csv = [_is_csv(folders, value) for value in (old, new)]
        found = await apart("compared", old=before, new=after, key=key, is_csv=is_csv)
        if "error" in found:
            raise ToolError(found["error"])
        return cast("JSON", found)

    async def text_stats(
        text: Annotated[
            JsonValue,
            WithJsonSchema(
                {"description": "A text such as {{1}}, the path of a text file, or several: then {rows, count}"}
            ),
        ],
    ) -> JSON:
        """Count a text. Returns {words, lines, characters, sentences, paragraphs, longest, frequent:
        [{word, count}]}."""
        given: Sequence[JSON] = text if isinstance(text, list) else [text]
        if len(given) > MAX_TEXTS:
            raise ToolError(f"These are {len(given)} texts. Give at most {MAX_TEXTS} at once.")
        texts = await to_thread.run_sync(lambda: [_as_written(_looked_at(folders, each)) for each in given])
        found = cast("Sequence[JSON]", await apart("counted", texts=texts))
        if not isinstance(text, list):
            return found[0]
        names = [{"text": each if _is_path(folders, each) else n} for n, each in enumerate(given, 1)]
        rows: list[JSON] = [
            {**name, **cast("Mapping[str, JSON]", each)} for name, each in zip(names, found, strict=True)
        ]
        return {"rows": rows, "count": len(rows)}

    def reads(arguments: Mapping[str, JSON]) -> Claim:
        given = [each for value in arguments.values() for each in (value if isinstance(value, list) else [value])]
        paths = [each for each in given if isinstance(each, str) and _is_path(folders, each)]
        return Claim(reads=frozenset(place for path in paths for place in folders.parts(path)))

    return [
        tool(each, risk=Risk.LOW, repeatable=True, reads_only=True, limits=Limits(timeout=60), claims=reads)
        for each in (compare, text_stats)
    ]


def _is_path(folders: Folders, value: JSON) -> bool:
    """Whether a value is the path of a file, and not itself what is looked at. What looks like one has to be there."""
    if not isinstance(value, str) or not _FILE_NAME.fullmatch(value):
        return False
    if " " not in value:
        return True
    try:
        return folders.resolve(value).is_file()
    except ToolError:
        return False


def _is_csv(folders: Folders, value: JSON) -> bool:
    return _is_path(folders, value) and PurePath(str(value)).suffix.lower() in (".csv", ".tsv")


def _looked_at(folders: Folders, value: JSON) -> JSON:
    """What is in the file that a value is the path of, or the value itself."""
    if not _is_path(folders, value):
        return value
    path = str(value)
    with folders.open(path, shown=MAX_FILE + 1) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ToolError(f"{path!r} has more than {MAX_FILE:,} bytes. Select what matters with query_table first.")
    text = _decoded(content, path)
    if not path.lower().endswith(".json"):
        return text
    try:
        return cast("JSON", json.loads(text))
    except (ValueError, RecursionError):
        raise ToolError(f"{path!r} does not hold JSON.") from None


def _decoded(content: bytes, path: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\0" in content[:8192]:
        raise ToolError(f"{path!r} is binary, and this reads text. query_table reads Parquet and SQLite files.")
    return content.decode("utf-8-sig", "replace")


def _as_written(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
