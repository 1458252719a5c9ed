"""Built in: read, list, search, write and delete files inside the granted folders. All work is bounded."""

__all__ = ["file_tools"]

import hashlib
import json
import math
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import Annotated, BinaryIO

from anyio import from_thread, to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.obeyed import in_repository, obeyed
from forethought_tools.risk import Risk
from forethought_tools.tabular import as_html, as_table, table_in, text_of, told
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.undo import FileUndo, Vault
from forethought_tools.writing import replace

MAX_READ = 200_000
MAX_LISTED = 500
MAX_VISITED = 100_000
MAX_MATCHES = 200
MAX_LINE = 400
MAX_SEARCHED_FILE = 2_000_000
MAX_SEARCHED = 100_000_000
SEARCH_SECONDS = 20.0
MATCH_SECONDS = 1.0
MAX_WRITTEN = 10_000_000
SKIPPED = frozenset({"node_modules", "__pycache__", "venv"})

FilePath = Annotated[str, Field(description="File inside a granted folder", min_length=1)]
Pattern = Annotated[str, Field(description="Glob such as **/*.csv; * stays in one folder", max_length=200)]


def file_tools(folders: Folders, vault: Vault | None = None) -> list[Tool]:
    """read_file, list_files, search_files, write_file and delete_file over these folders.

    With a vault, what write_file replaces is kept there, and can be put back.
    """
    return [*_reading(folders), *_writing(folders, vault)]


def _reading(folders: Folders) -> list[Tool]:
    def reads(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(reads=folders.parts(str(arguments["path"])))

    def looks(_: Mapping[str, JSON]) -> Claim:
        return Claim(reads=folders.everything())

    async def read_file(
        path: FilePath,
        start_line: Annotated[int, Field(description="First line, from 1", ge=1)] = 1,
        max_lines: Annotated[int, Field(description="Most lines to return", ge=1, le=5000)] = 400,
    ) -> JSON:
        """Read a text file. Returns its text; a last line in [brackets] says when there is more."""
        return await to_thread.run_sync(read, folders, path, start_line, max_lines)

    async def list_files(
        pattern: Pattern = "**/*",
        folder: Annotated[str, Field(description="Where to look; . is every granted folder")] = ".",
    ) -> JSON:
        """Find files by name. Returns {files: [{path, size}], truncated}."""
        return await to_thread.run_sync(listing, folders, pattern, folder)

    async def search_files(
        text: Annotated[str, Field(description="What to find; case does not matter", min_length=1, max_length=1000)],
        pattern: Pattern = "**/*",
        regex: Annotated[bool, Field(description="Take text as a regular expression; case matters")] = False,
    ) -> JSON:
        """Find lines that hold a text in files. Returns {matches: [{path, line, text}], truncated}."""
        return await to_thread.run_sync(search, folders, text, pattern, regex)

    return [
        tool(read_file, risk=Risk.LOW, repeatable=True, reads_only=True, limits=Limits(timeout=30), claims=reads),
        tool(list_files, risk=Risk.LOW, repeatable=True, reads_only=True, limits=Limits(timeout=30), claims=looks),
        tool(
            search_files,
            risk=Risk.LOW,
            repeatable=True,
            reads_only=True,
            limits=Limits(timeout=60, at_once=2),
            claims=looks,
        ),
    ]


def _writing(folders: Folders, vault: Vault | None) -> list[Tool]:
    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.parts(str(arguments["path"])))

    def raised(arguments: Mapping[str, JSON]) -> str:
        return obeyed(folders, str(arguments.get("path")))

    def refuse_writing(arguments: Mapping[str, JSON]) -> None:
        writable(folders, str(arguments["path"]))

    def refuse_deleting(arguments: Mapping[str, JSON]) -> None:
        folders.resolve(str(arguments["path"]), new=True, follow=False)  # what is not there yet may be there by then

    def digest(arguments: Mapping[str, JSON]) -> str:
        return sha256(payload(str(arguments["path"]), arguments["content"]))

    undo = FileUndo(folders, vault, digest) if vault else None

    async def write_file(
        path: FilePath,
        content: Annotated[
            JsonValue,
            WithJsonSchema({"description": "Text as it is; a table as a table in .md, .txt or .html; else JSON"}),
        ],
    ) -> JSON:
        """Write a file, replacing what was there. Returns {path, bytes}."""
        data = payload(path, content)
        return {**await to_thread.run_sync(put, folders, path, data), "bytes": len(data)}

    async def delete_file(path: FilePath) -> JSON:
        """Delete one file for good. Returns {path}."""
        return await to_thread.run_sync(delete, folders, path)

    return [
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
        tool(
            delete_file,
            risk=Risk.HIGH,
            repeatable=False,
            limits=Limits(timeout=30),
            claims=writes,
            raised=raised,
            refuse=refuse_deleting,
        ),
    ]


def read(folders: Folders, path: str, start: int, count: int) -> str:
    with folders.open(path) as file, mended(path):
        refuse_binary(file, path)
        passed = skip(file, start - 1)
        if passed < start - 1:
            raise ToolError(f"{path!r} has only {passed} lines. Ask for a smaller start_line.")
        kept, room, cut = list[bytes](), MAX_READ, ""
        while line := file.readline(room + 1):
            if (len(line) > room and kept) or len(kept) == count:
                last = start + len(kept) - 1
                cut = f"\n[lines {start} to {last} shown; there is more: go on with start_line={last + 1}]"
                break
            if len(line) > room:
                kept, cut = [line[:room]], f"\n[line {start} is cut after {room} bytes]"
                break
            kept.append(line)
            room -= len(line)
    text = b"".join(kept).decode("utf-8", "replace").removeprefix("\ufeff")
    return text.removesuffix("\n") + cut if cut else text


def refuse_binary(file: BinaryIO, path: str) -> None:
    if b"\0" in file.read(8192):
        raise ToolError(f"{path!r} is binary, and read_file reads text. query_table reads Parquet and SQLite files.")
    file.seek(0)


def skip(file: BinaryIO, count: int) -> int:
    """Read past this many lines; returns how many there were."""
    passed = 0
    while passed < count and (part := file.readline(MAX_READ)):
        from_thread.check_cancelled()
        passed += part.endswith(b"\n")
    return passed


def listing(folders: Folders, pattern: str, folder: str) -> JSON:
    files: list[JSON] = []
    for _, name, size in matching(folders, pattern, folder):
        if len(files) == MAX_LISTED:
            return {"files": files, "truncated": True}
        files.append({"path": name, "size": size})
    return {"files": files, "truncated": False}


def matching(folders: Folders, pattern: str, folder: str) -> Iterator[tuple[Path, str, int]]:
    """Regular files that match, with the name a caller can use, and their sizes."""
    start = folders.resolve(folder)
    if not start.is_dir():
        raise ToolError(f"{folder!r} is a file. Name a folder.")
    parts = pattern.split("/")
    for root in list(folders) if folder in (".", "") else [start]:
        for real, size in regular_files(folders, root):
            if fits(real.relative_to(root).parts, parts):
                yield real, folders.name(real), size


def regular_files(folders: Folders, root: Path) -> Iterator[tuple[Path, int]]:
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
                    yield parent / name, status.st_size
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


def search(folders: Folders, text: str, pattern: str, is_regex: bool) -> JSON:
    matches: list[JSON] = []
    room, end = MAX_SEARCHED, time.monotonic() + SEARCH_SECONDS
    finder = Finder(text, is_regex=is_regex)
    truncated = False
    for real, name, _ in matching(folders, pattern, "."):
        content = beginning(folders, real)
        truncated |= content is None or len(content) > MAX_SEARCHED_FILE
        if content is None:
            continue
        room -= len(content)
        if b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
            if finder.finds(line.rstrip("\r")):
                matches.append({"path": name, "line": number, "text": line.strip()[:MAX_LINE]})
            if len(matches) == MAX_MATCHES or time.monotonic() > end:
                return {"matches": matches, "truncated": True}
        if room < 0:
            return {"matches": matches, "truncated": True}
    return {"matches": matches, "truncated": truncated}


def beginning(folders: Folders, real: Path) -> bytes | None:
    """As much as is searched; None when the file cannot be read."""
    try:
        with folders.open(str(real), shown=MAX_SEARCHED_FILE + 1) as file:
            return file.read(MAX_SEARCHED_FILE + 1)
    except (ToolError, OSError):  # one bad file must not hide what is in the others
        return None


IN_BRACES = re.compile(r"\{([^{}]*)\}")
MAX_REPEATS = 10_000
MAX_SPELLED_OUT = 100_000  # characters, with every repeat written as often as it is one


def counted(inside: str) -> int:
    """How often what stands before these braces is repeated at most."""
    return max([1, *map(int, re.findall(r"\d+", inside))])


class Finder:
    """Finds a text or a regular expression in a line, in bounded time."""

    def __init__(self, text: str, *, is_regex: bool) -> None:
        import regex  # type: ignore[import-untyped]  # it has no types; here, because few runs search

        repeats = math.prod(counted(inside) for inside in IN_BRACES.findall(text)) if is_regex else 1
        if repeats > MAX_REPEATS or repeats * len(text) > MAX_SPELLED_OUT:
            raise ToolError("The regular expression repeats too much. Use smaller counts in {}.")  # it is spelled out
        try:
            flags = 0 if is_regex else regex.IGNORECASE
            self._pattern = regex.compile(text if is_regex else regex.escape(text), flags)
        except regex.error as error:
            raise ToolError(f"{text!r} is not a regular expression: {error}.") from None

    def finds(self, line: str) -> bool:
        try:
            # concurrent: a hard match must not hold the interpreter's lock and stop the server.
            return self._pattern.search(line, timeout=MATCH_SECONDS, concurrent=True) is not None
        except TimeoutError:
            raise ToolError("The regular expression takes too long. Make it simpler, without nested repeats.") from None


TOLD = (".md", ".markdown", ".txt", ".html", ".htm", ".rst")  # endings of texts for people


def payload(path: str, content: JSON) -> bytes:
    """What writing a content puts into a file: a table into a text as a table, else JSON."""
    if isinstance(content, str):
        text = content
    elif path.lower().endswith(TOLD) and table_in(content) is not None:
        table = as_table(content, "content")  # it says so where rows are missing
        is_page = path.lower().endswith((".html", ".htm"))
        text = as_html(table) if is_page else told(content, lines=path.lower().endswith(".txt")) + "\n"
    elif path.lower().endswith(TOLD) and isinstance(content, Sequence):
        text = "".join(f"{text_of(part)}\n" for part in content)
    else:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace")


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
