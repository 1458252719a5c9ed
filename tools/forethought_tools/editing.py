"""Built in: change a part of a text file, or add to it. Its encoding and the ends of its lines stay what they are."""

__all__ = ["editing_tools"]

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, TypeAlias

from anyio import to_thread
from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.claims import Claim
from forethought_tools.encoding import LINE_END, Text, text_of
from forethought_tools.errors import ToolError
from forethought_tools.files import MAX_WRITTEN, SEPARATED, FilePath, payload, sha256, writable
from forethought_tools.folders import Folders, mended
from forethought_tools.obeyed import obeyed
from forethought_tools.risk import Risk
from forethought_tools.text import clipped
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.undo import FileUndo, Vault, not_there
from forethought_tools.writing import replace

_WORD = re.compile(r"\w+")
_COMPARED = 5000  # lines that are looked at for one that is like another
_LINE = 200  # characters of a line that is shown

Changed: TypeAlias = tuple[Path, bytes, int]
"""A file, its content after a call, and how much of it that has changed."""


def editing_tools(folders: Folders, vault: Vault | None = None) -> list[Tool]:
    """edit_file and append_file over these folders. With a vault, what they replace is kept there."""

    def edit(path: str, old: str, new: str, every: bool) -> Changed:
        return edited(folders, path, old, new, every=every)

    def edit_left(given: Mapping[str, JSON]) -> str:
        return sha256(edit(str(given["path"]), str(given["old"]), str(given["new"]), given.get("all") is True)[1])

    def append_left(given: Mapping[str, JSON]) -> str:
        return sha256(appended(folders, str(given["path"]), given["content"])[1])

    async def edit_file(
        path: FilePath,
        old: Annotated[str, Field(description="Text in the file; it must stand there exactly once", min_length=1)],
        new: Annotated[str, Field(description="What stands there instead; may be empty")],
        all: Annotated[bool, Field(description="Replace old wherever it stands")] = False,  # noqa: A002 - what models guess
    ) -> JSON:
        """Replace a text in a file by another, exactly. Returns {path, replaced}."""
        name, count = await to_thread.run_sync(lambda: changed(folders, path, edit(path, old, new, all)))
        return {"path": name, "replaced": count}

    async def append_file(
        path: FilePath,
        content: Annotated[JsonValue, WithJsonSchema({"description": "Text is added as it is; anything else as JSON"})],
    ) -> JSON:
        """Add to the end of a file, on a new line, or make it. Returns {path, bytes}."""
        name, size = await to_thread.run_sync(lambda: changed(folders, path, appended(folders, path, content)))
        return {"path": name, "bytes": size}

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.parts(str(arguments["path"])))

    def raised(arguments: Mapping[str, JSON]) -> str:
        return obeyed(folders, str(arguments.get("path")))

    def refuse(arguments: Mapping[str, JSON]) -> None:
        writable(folders, str(arguments["path"]))

    def there(arguments: Mapping[str, JSON]) -> None:
        folders.resolve(str(arguments["path"]))

    async def doubted(arguments: Mapping[str, JSON]) -> Sequence[str]:
        """Why the file, as it is now, cannot be changed like that."""
        if "{{" in json.dumps(dict(arguments)):
            return ()
        try:
            await to_thread.run_sync(edit_left, arguments)
        except ToolError as error:
            return (str(error),)
        return ("old and new are the same: nothing would change",) if arguments["old"] == arguments["new"] else ()

    return [
        tool(
            function,
            risk=Risk.MEDIUM,
            repeatable=False,  # done twice it is not the same as once
            limits=Limits(timeout=30),
            undo=FileUndo(folders, vault, left) if vault else None,
            claims=writes,
            raised=raised,
            refuse=refuse,
            ready=there if function is edit_file else None,
            doubted=doubts,
        )
        for function, left, doubts in ((edit_file, edit_left, doubted), (append_file, append_left, None))
    ]


def changed(folders: Folders, path: str, change: Changed) -> tuple[str, int]:
    """Write what was changed; returns the file's name, and how much was changed."""
    _, content, count = change
    if len(content) > MAX_WRITTEN:
        raise ToolError(f"{path!r} would have {len(content):,} bytes, more than {MAX_WRITTEN:,}. Use another file.")
    real = writable(folders, path)
    with mended(path), folders.held(real.parent, make=True) as folder:
        replace(folder, real.name, BytesIO(content), sha256(content))
    return folders.name(real), count


def edited(folders: Folders, path: str, old: str, new: str, *, every: bool) -> Changed:
    """A file with a text in it replaced. How lines end makes no difference to what is found."""
    text = opened(folders, path, shown=None)
    lines = LINE_END.split(old)
    sought = re.compile(r"(?:\r\n|\n|\r)".join(map(re.escape, lines)))
    count = len(sought.findall(text.text))
    if count == 0:
        raise ToolError(f"{path!r} does not hold old: {clipped(repr(old), _LINE)}. {nearest(text.text, lines)}")
    if count > 1 and not every:
        raise ToolError(
            f"old occurs {count} times in {path!r}, and has to occur once: give more of the text around it, or say"
            " all=true to replace it everywhere."
        )
    new = text.with_line_ends(new)
    return folders.resolve(path), text.content(sought.sub(lambda _: new, text.text)), count


def appended(folders: Folders, path: str, content: JSON) -> Changed:
    """A file with a content at its end, which begins a line."""
    real = folders.resolve(path, new=True)
    text = Text("") if not_there(real) else opened(folders, path, shown=0)
    more = text.with_line_ends(payload(path, content).decode())
    if text.text and real.suffix.lower() in SEPARATED and not isinstance(content, str):
        header, more = LINE_END.split(more, 1)
        if header != LINE_END.split(text.text, 1)[0]:
            raise ToolError(
                f"{path!r} has another header than these rows: {header}. Give rows with its columns, in order."
            )
    ends = not text.text or LINE_END.search(text.text[-1:])
    whole = text.content(text.text + ("" if ends else text.line_end) + more)
    return real, whole, len(whole) - len(text.content(text.text))


def opened(folders: Folders, path: str, *, shown: int | None) -> Text:
    """The text of a file, of which only so much may be shown."""
    with folders.open(path, shown=shown) as file, mended(path):
        content = file.read(MAX_WRITTEN + 1)
    if len(content) > MAX_WRITTEN:
        raise ToolError(f"{path!r} has more than {MAX_WRITTEN:,} bytes, too many to change in place. Use another file.")
    return text_of(content, path)


def nearest(text: str, lines: list[str]) -> str:
    """The line of a text that has most words of the first of these that says anything, and of such the likest."""
    sought = next((line.strip() for line in lines if line.strip()), "")
    there = LINE_END.split(text)[:_COMPARED]
    stripped = {line.strip()[:_LINE]: number for number, line in enumerate(there)}
    words = {*_WORD.findall(sought[:_LINE])}
    shared = {line: len(words.intersection(_WORD.findall(line))) for line in stripped}
    most = max(shared.values(), default=0)
    near = [line for line, count in shared.items() if count == most]
    found = difflib.get_close_matches(sought[:_LINE], near, n=1, cutoff=0 if most else 0.4)
    if not found:
        return "No line of it is like that: read_file shows what is there."
    number = stripped[found[0]]
    return f"The nearest line is line {number + 1}: {clipped(repr(there[number]), _LINE)}"
