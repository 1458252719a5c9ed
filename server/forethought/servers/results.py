"""What a call of another server's tool has brought, as the result of a step. Images and the like are kept as files."""

__all__ = ["Kept", "contents_of", "value_of"]

import base64
import binascii
import hashlib
import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forethought_tools import JSON, ToolError
from forethought_tools.text import clipped

if TYPE_CHECKING:
    from mcp.types import CallToolResult

_TEXT = 4_000_000  # characters that a result may have
_FILE = 50_000_000  # bytes of one part


class Kept:
    """The files of results, in the home, each named by what it holds."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "results"

    def file(self, data: str, kind: str) -> dict[str, JSON]:
        """Keep a part that came as base64. Returns where it is and what."""
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise ToolError("A part of the result is no base64, so it was not kept.") from None
        if len(content) > _FILE:
            raise ToolError(f"A part of the result has {len(content):,} bytes, more than {_FILE:,}.")
        plain = kind.partition(";")[0].strip().lower()
        name = hashlib.sha256(content).hexdigest() + (mimetypes.guess_extension(plain) or ".bin")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / name
        if not file.exists():
            fresh = file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(content)
            fresh.replace(file)
        return {"file": str(file), "type": clipped(kind, 100), "bytes": len(content)}


def value_of(result: "CallToolResult", tool: str, kept: Kept) -> JSON:
    """The result of a call: what it says in structure where it does, else its text, and beside it what else it holds.

    Raises:
        ToolError: the tool says that it failed, or the result is too large.
    """
    texts, files, links = _parts(result.content, kept)
    text = "\n".join(texts)
    if result.is_error:
        raise ToolError(f"{tool} failed: {clipped(text, 2000) or 'it does not say why'}")
    structured: Any = result.structured_content
    value: JSON = text if structured is None else structured
    if isinstance(value, Mapping) and list(value) == ["result"]:  # how plain values are wrapped
        value = value["result"]
    if len(str(value)) > _TEXT:
        raise ToolError(f"The result of {tool} has over {_TEXT:,} characters. Ask for less of it.")
    if not files and not links:
        return value
    more: dict[str, JSON] = {"files": files} if files else {}
    return {"result": value, **more, **({"links": links} if links else {})}


def contents_of(contents: Sequence[Any], kept: Kept) -> JSON:
    """A resource as it was read: its text, or the files that it is kept in."""
    texts = [part.text for part in contents if hasattr(part, "text")]
    files: list[JSON] = [
        kept.file(part.blob, part.mime_type or "application/octet-stream") for part in contents if hasattr(part, "blob")
    ]
    text = "\n".join(texts)
    if len(text) > _TEXT:
        raise ToolError(f"The resource has over {_TEXT:,} characters.")
    return {"result": text, "files": files} if files else text


def _parts(content: Sequence[Any], kept: Kept) -> tuple[list[str], list[JSON], list[JSON]]:
    texts: list[str] = []
    files: list[JSON] = []
    links: list[JSON] = []
    for part in content:
        match part.type:
            case "text":
                texts.append(part.text)
            case "image" | "audio":
                files.append(kept.file(part.data, part.mime_type))
            case "resource_link":
                links.append({"uri": str(part.uri), "name": clipped(part.name, 200)})
            case "resource" if hasattr(part.resource, "text"):
                texts.append(part.resource.text)
            case "resource":
                files.append(kept.file(part.resource.blob, part.resource.mime_type or "application/octet-stream"))
            case _:
                texts.append(f"(a part of a kind that is not known: {clipped(str(part.type), 40)})")
    return texts, files, links
