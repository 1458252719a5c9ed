"""How a file stands, for whoever judges what a run has done: through the granted folders, off the event loop."""

__all__ = ["Look", "Seen", "looking"]

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from anyio import to_thread

from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders

MAX_SEEN = 1_000_000  # bytes of a file


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is at a path."""

    content: bytes = b""
    """The beginning of a file."""
    is_whole: bool = True
    """Whether that is all of it."""
    is_folder: bool = False


Look: TypeAlias = Callable[[str], Awaitable[Seen | None]]
"""What there is at a path, or nothing. Raises ToolError where one may not look."""


def looking(folders: Folders) -> Look:
    """Look into these folders."""

    async def look(path: str) -> Seen | None:
        return await to_thread.run_sync(_seen, folders, path)

    return look


def _seen(folders: Folders, path: str) -> Seen | None:
    real = folders.resolve(path, new=True)  # refuses what is outside
    if not real.exists():
        return None
    if real.is_dir():
        return Seen(is_folder=True)
    try:
        with folders.open(path, shown=MAX_SEEN + 1) as file:
            content = file.read(MAX_SEEN + 1)
    except OSError as error:
        raise ToolError(f"{path!r}: {error.strerror or type(error).__name__}.") from None
    return Seen(content[:MAX_SEEN], len(content) <= MAX_SEEN)
