"""Built in: read, list, search, write and delete files inside the granted folders. All work is bounded."""

__all__ = ["file_tools"]

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated, TypeAlias

from anyio import from_thread, to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.apart import apart
from forethought_tools.claims import Claim
from forethought_tools.encoding import text_of as text_in
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.obeyed import in_repository, obeyed
from forethought_tools.reading import read_tool
from forethought_tools.risk import Risk
from forethought_tools.tabular import as_html, as_separated, as_table, table_in, text_of, told
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.undo import FileUndo, Vault, not_there
from forethought_tools.writing import replace

MAX_LISTED = 2000
MAX_VISITED = 100_000
MAX_MATCHES = 200
MAX_LINE = 400
MAX_SEARCHED_FILE = 2_000_000
MAX_SEARCHED = 100_000_000
SEARCH_SECONDS = 20.0
MAX_SEARCHED_TEXT = 7_500_000
BATCH = 1_000_000
MAX_WRITTEN = 10_000_000
SKIPPED = frozenset({"node_modules", "__pycache__", "venv"})

Finder: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""The numbers, from 1, of the lines of each text in which something is found."""
FilePath = Annotated[str, Field(description="File inside a granted folder", min_length=1)]
Pattern = Annotated[str, Field(description="Glob such as **/*.csv; * stays in one folder", max_length=200)]


def file_tools(folders: Folders, vault: Vault | None = None) -> list[Tool]:
    """read_file, list_files, search_files, write_file and delete_file over these folders.

    With a vault, what write_file replaces is kept there, and can be put back.
    """

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.parts(str(arguments["path"])))

    def looks(_: Mapping[str, JSON]) -> Claim:
        return Claim(reads=folders.everything())

    def raised(arguments: Mapping[str, JSON]) -> str:
        return obeyed(folders, str(arguments.get("path")))

    def refuse_writing(arguments: Mapping[str, JSON]) -> None:
        writable(folders, str(arguments["path"]))

    undo = (
        FileUndo(folders, vault, lambda given: sha256(as_there(folders, str(given["path"]), given["content"])[0]))
        if vault
        else None
    )

    async def list_files(
        pattern: Pattern = "**/*",
        folder: Annotated[str, Field(description="Where to look; . is every granted folder")] = ".",
    ) -> JSON:
        """Find files by name. Returns {files: [{path, name, size, modified}], count, truncated}."""
        return await to_thread.run_sync(listing, folders, pattern, folder)

    async def search_files(
        text: Annotated[str, Field(description="What to find; case does not matter", min_length=1, max_length=1000)],
        pattern: Pattern = "**/*",
        regex: Annotated[bool, Field(description="Take text as a regular expression; case matters")] = False,
    ) -> JSON:
        """Find lines that hold a text in files. Returns {matches: [{path, line, text}], truncated}."""
        if regex:
            await refuse_unsound(text)
        return await to_thread.run_sync(search, folders, finder(text, is_regex=regex), pattern)

    async def write_file(
        path: FilePath,
        content: Annotated[
            JsonValue,
            WithJsonSchema({"description": "Text as it is; a table as a table in .md, .txt, .html or .csv; else JSON"}),
        ],
    ) -> JSON:
        """Write a file, replacing what was there. Returns {path, bytes}."""
        data, changed = await to_thread.run_sync(as_there, folders, path, content)
        written = await to_thread.run_sync(put, folders, path, data)
        return {**written, "bytes": len(data), **({"changed": changed} if changed else {})}

    return [
        read_tool(folders),
        tool(list_files, risk=Risk.LOW, repeatable=True, reads_only=True, limits=Limits(timeout=30), claims=looks),
        tool(
            search_files,
            risk=Risk.LOW,
            repeatable=True,
            reads_only=True,
            limits=Limits(timeout=60, at_once=2),
            claims=looks,
        ),
        tool(
            write_file,
            risk=Risk.MEDIUM,
            repeatable=True,
            limits=Limits(timeout=30),
            undo=undo,
            claims=writes,
            raised=raised,
            refuse=refuse_writing,
        ),
        delete_tool(folders),
    ]


def delete_tool(folders: Folders) -> Tool:
    async def delete_file(path: FilePath) -> JSON:
        """Delete one file for good. Returns {path}."""
        return await to_thread.run_sync(delete, folders, path)

    def refuse_deleting(arguments: Mapping[str, JSON]) -> None:
        folders.resolve(str(arguments["path"]), new=True, follow=False)  # what is not there yet may be there by then

    return tool(
        delete_file,
        risk=Risk.HIGH,
        repeatable=False,
        limits=Limits(timeout=30),
        claims=lambda arguments: Claim(writes=folders.parts(str(arguments["path"]))),
        raised=lambda arguments: obeyed(folders, str(arguments.get("path"))),
        refuse=refuse_deleting,
        ready=lambda arguments: folders.resolve(str(arguments["path"]), follow=False),
    )


def listing(folders: Folders, pattern: str, folder: str) -> JSON:
    files: list[JSON] = []
    count = 0
    for real, name, status in found(folders, pattern, folder):
        count += 1
        if count <= MAX_LISTED:
            changed = datetime.fromtimestamp(status.st_mtime, UTC).astimezone().replace(tzinfo=None)
            modified = changed.isoformat(timespec="milliseconds")
            files.append({"path": name, "name": real.name, "size": status.st_size, "modified": modified})
    return {"files": files, "count": count, "truncated": count > MAX_LISTED}


def matching(folders: Folders, pattern: str, folder: str) -> Iterator[tuple[Path, str, int]]:
    """Regular files that match, with the name a caller can use, and their sizes."""
    return ((real, name, status.st_size) for real, name, status in found(folders, pattern, folder))


def found(folders: Folders, pattern: str, folder: str) -> Iterator[tuple[Path, str, os.stat_result]]:
    """Regular files that match, with the name a caller can use, and what the disk tells of them."""
    start = folders.resolve(folder)
    if not start.is_dir():
        raise ToolError(f"{folder!r} is a file. Name a folder.")
    parts = pattern.split("/")
    for root in list(folders) if folder in (".", "") else [start]:
        for real, status in regular_files(folders, root):
            if fits(real.relative_to(root).parts, parts):
                yield real, folders.name(real), status


def regular_files(folders: Folders, root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    visited, waiting = 0, [root]
    while waiting:
        parent, below = waiting.pop(), list[Path]()
        # Unreadable, set apart, or exchanged since its name was read: what is in other folders is still found.
        with suppress(OSError, ToolError), folders.held(parent) as folder:
            for name in sorted(folder.names()):
                from_thread.check_cancelled()
                visited += 1
                if visited > MAX_VISITED:
                    break
                status = folder.look(name)
                if status is None:  # deleted since its name was read
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield parent / name, status
                # Hidden folders hold the tools' own state (.git, .venv), not the user's work.
                elif stat.S_ISDIR(status.st_mode) and not name.startswith(".") and name not in SKIPPED:
                    below.append(parent / name)
        if visited > MAX_VISITED:
            raise ToolError(f"{root} holds more than {MAX_VISITED:,} files. Name a folder in it.")
        waiting += reversed(below)


def fits(path: tuple[str, ...], pattern: list[str]) -> bool:
    """Does the whole path match? `**` stands for any number of folders."""
    reached = {0}
    for part in (*path, None):
        for at in sorted(reached):
            while at < len(pattern) and pattern[at] == "**":
                at += 1
                reached.add(at)
        if part is None:
            return len(pattern) in reached
        ahead = {
            at + 1 for at in reached if at < len(pattern) and pattern[at] != "**" and fnmatchcase(part, pattern[at])
        }
        reached = ahead | {at for at in reached if at < len(pattern) and pattern[at] == "**"}
    return False


def search(folders: Folders, find: Finder, pattern: str) -> JSON:
    matches: list[JSON] = []
    room, end = MAX_SEARCHED, time.monotonic() + SEARCH_SECONDS
    truncated = False
    for batch in batches(searched(folders, pattern)):
        for file, numbers in zip(batch, find([file.text for file in batch]), strict=True):
            lines = file.text.split("\n")
            matches.extend(
                {"path": file.name, "line": at, "text": lines[at - 1].strip()[:MAX_LINE]}
                for at in numbers[: MAX_MATCHES - len(matches)]
            )
            truncated |= not file.is_whole
            room -= len(file.text)
        if len(matches) == MAX_MATCHES or time.monotonic() > end or room < 0:
            return {"matches": matches, "truncated": True}
    return {"matches": matches, "truncated": truncated}


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched of a file."""

    name: str
    text: str
    is_whole: bool
    size: int
    """Characters as JSON, in which it goes to the process that matches."""


def searched(folders: Folders, pattern: str) -> Iterator[Searched]:
    for real, name, _ in matching(folders, pattern, "."):
        content = beginning(folders, real)
        if content is None:
            yield Searched(name, "", is_whole=False, size=0)
        elif b"\0" not in content[:8192]:
            text = content.decode("utf-8", "replace")
            size = len(json.dumps(text))
            fits = size <= MAX_SEARCHED_TEXT
            is_whole = fits and len(content) <= MAX_SEARCHED_FILE
            yield Searched(name, text if fits else "", is_whole=is_whole, size=size if fits else 0)


def batches(files: Iterator[Searched]) -> Iterator[list[Searched]]:
    """A few files at once, since asking the other process takes longer than matching a small one."""
    batch, size = list[Searched](), 0
    for file in files:
        if batch and size + file.size > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    yield batch


def beginning(folders: Folders, real: Path) -> bytes | None:
    """As much as is searched; None when the file cannot be read."""
    try:
        with folders.open(str(real), shown=MAX_SEARCHED_FILE + 1) as file:
            return file.read(MAX_SEARCHED_FILE + 1)
    except (ToolError, OSError):  # one bad file must not hide what is in the others
        return None


def finder(text: str, *, is_regex: bool) -> Finder:
    """Finds the lines of texts that hold a text, or match a regular expression."""

    def holding(texts: Sequence[str]) -> Sequence[Sequence[int]]:
        return [[at for at, line in enumerate(each.split("\n"), 1) if wanted in line.casefold()] for each in texts]

    def matched(texts: Sequence[str]) -> Sequence[Sequence[int]]:
        return from_thread.run(partial(apart, "matching_lines", pattern=text, texts=texts, most=MAX_MATCHES))

    wanted = text.casefold()
    return matched if is_regex else holding


async def refuse_unsound(pattern: str) -> None:
    """Raises ToolError where it is not a regular expression."""
    (problems,) = await apart("all_unsound", checks=[[None, pattern]])
    if problems:
        raise ToolError(f"The text to find is {problems[0]}. Mend it, or leave regex out.")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refuse_repository(path: str, real: Path) -> None:
    if in_repository(path, real):
        raise ToolError(f"{path!r} is inside .git, where files are programs. Write somewhere else.")


def writable(folders: Folders, path: str) -> Path:
    """The real path of a file that may be written. Raises ToolError."""
    real = folders.resolve(path, new=True)
    refuse_repository(path, real)
    return real


LINES = (".txt", ".log")
TOLD = (*LINES, ".md", ".markdown", ".html", ".htm", ".rst")  # endings of texts for people


SEPARATED: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}
"""What separates the fields of files of rows, by their endings."""


def payload(path: str, content: JSON) -> bytes:
    """What writing a content puts into a file: a table into a text as a table, rows into a file of rows, else JSON."""
    separator = SEPARATED.get(Path(path).suffix.lower())
    if isinstance(content, str):
        text = content
    elif separator:
        text = as_separated(as_table(content, "content"), separator)  # JSON is nothing that such a file holds
    elif path.lower().endswith(TOLD) and table_in(content) is not None:
        table = as_table(content, "content")  # it says so where rows are missing
        is_page = path.lower().endswith((".html", ".htm"))
        text = as_html(table) if is_page else told(content, lines=path.lower().endswith(LINES)) + "\n"
    elif path.lower().endswith(TOLD) and isinstance(content, Sequence):
        text = "".join(f"{text_of(part)}\n" for part in content)
    else:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace")


def as_there(folders: Folders, path: str, content: JSON) -> tuple[bytes, str]:
    """The content in the encoding and with the line ends of the text that it replaces, and what cannot be kept."""
    data = payload(path, content)
    try:
        if not_there(folders.resolve(path, new=True)):
            return data, ""
        with folders.open(path, shown=0) as file, mended(path):
            before = file.read(MAX_WRITTEN + 1)
        there = text_in(before, path)
    except ToolError:  # it is no text, or the writing says what is wrong
        return data, ""
    text = there.with_line_ends(data.decode()).removeprefix("\ufeff" if there.mark else "")
    with suppress(ToolError):
        written = there.content(text)
        # Else nobody could tell any more how to read it, and writing it again would make something else of it.
        if written == text.encode() or text_in(written, path).codec == there.codec:
            return written, ""
    return text.encode(), f"its encoding was {there.codec}, and is UTF-8 now"


def put(folders: Folders, path: str, data: bytes) -> dict[str, JSON]:
    """Give a file this content, whatever was there before. Returns its path."""
    if len(data) > MAX_WRITTEN:
        raise ToolError(f"The content has {len(data):,} bytes, more than {MAX_WRITTEN:,}. Write it in several files.")
    real = writable(folders, path)
    with mended(path):
        if real.is_dir():
            raise ToolError(f"{path!r} is a folder. Name a file in it.")
        with folders.held(real.parent, make=True) as folder:
            replace(folder, real.name, BytesIO(data), sha256(data))
    return {"path": folders.name(real)}


def delete(folders: Folders, path: str) -> JSON:
    real = folders.resolve(path, follow=False)
    name = folders.name(real)
    with mended(path), folders.held(real.parent) as folder:
        status = folder.look(real.name)
        if status is None or not stat.S_ISREG(status.st_mode):
            raise ToolError(f"{path!r} is a folder or a link. delete_file deletes regular files only.")
        folder.remove(real.name)
    return {"path": name}
