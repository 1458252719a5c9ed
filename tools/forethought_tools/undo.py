"""Undoing calls that write files: what was there before is kept, and put back byte for byte."""

__all__ = [
    "ANYTHING",
    "FileUndo",
    "InThread",
    "Vault",
    "change_of",
    "missing",
    "not_there",
    "remove_made",
    "same_place",
    "stands_now",
]

import os
import secrets
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from anyio import to_thread

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.tool import JSON, Kept, Stands
from forethought_tools.writing import digested, replace, scratch_name

MAX_KEPT = 100_000_000
"""The largest file that is kept. Writing over a larger one cannot be undone."""
_FRESH = 3600.0  # seconds
ANYTHING = "anything"
"""In place of what a call leaves, where nobody knew that before it: whatever is there is what it has left."""


class Vault:
    """Keeps contents of files by their SHA-256, readable by this user only. They are not kept in the journal, because
    secrets are taken out of that, and what is put back must be whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: BinaryIO) -> str:
        """Keep a content; returns its name. On disk when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = self._folder / f".{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                name = digested(content, file, most=MAX_KEPT)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._folder / name)
        finally:
            scratch.unlink(missing_ok=True)
        return name

    def kept(self, name: str) -> BinaryIO:
        """A content that was kept. Raises ToolError where it is gone, or is not what was kept."""
        try:
            file = (self._folder / name).open("rb")
        except OSError:
            raise ToolError(f"What was kept to undo this ({name[:12]}) is gone from {self._folder}.") from None
        if digested(file) != name:
            file.close()
            raise ToolError(f"What was kept to undo this ({name[:12]}) was changed in {self._folder}.")
        file.seek(0)
        return file

    def forget(self, needed: Collection[str]) -> None:
        """Drop every content that is not needed any more."""
        for file in [file for file in self._folder.glob("*") if file.name not in needed]:
            # What was kept just now may belong to a call that is not on record yet.
            if file.stat().st_mtime < time.time() - _FRESH:
                file.unlink(missing_ok=True)


class InThread(ABC):
    """What is taken back in files, whose work is done in a thread."""

    async def before(self, arguments: Mapping[str, JSON]) -> Kept:
        return await to_thread.run_sync(self._before, arguments)

    async def stands(self, kept: Kept) -> Stands:
        return await to_thread.run_sync(self._stands, kept)

    async def back(self, kept: Kept) -> None:
        await to_thread.run_sync(self._back, kept)

    @abstractmethod
    def _before(self, arguments: Mapping[str, JSON]) -> Kept: ...

    @abstractmethod
    def _stands(self, kept: Kept) -> Stands: ...

    @abstractmethod
    def _back(self, kept: Kept) -> None: ...


class FileUndo(InThread):
    """Takes back the writing of a file: its content and mode, or its absence, and the folders made for it."""

    def __init__(
        self,
        folders: Folders,
        vault: Vault,
        left: Callable[[Mapping[str, JSON]], str],
        path: Callable[[Mapping[str, JSON]], str] = lambda arguments: str(arguments.get("path")),
    ) -> None:
        """`left` returns the SHA-256 of what the file holds once a call with these arguments is made, and `path` which
        file that is."""
        self._folders = folders
        self._vault = vault
        self._left = left
        self._path = path

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        try:
            size = self._folders.resolve(self._path(arguments), new=True).lstat().st_size
        except (ToolError, OSError):
            return True  # nothing is there to be kept, or the call itself fails
        return size <= MAX_KEPT

    def touches(self, kept: Kept) -> Claim:
        return Claim(writes=self._folders.parts(str(kept["real"])))

    def described(self, kept: Kept) -> str:
        verb = "delete" if kept["content"] is None else "put back the earlier content of"
        return f"{verb} {kept['path']}"

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        path = self._path(arguments)
        real = self._folders.resolve(path, new=True)
        left = self._left(arguments)
        kept: dict[str, JSON] = {"content": None, "mode": None}
        if file := _opened(self._folders, real, path):
            with mended(path), file:
                status = os.fstat(file.fileno())
                kept["mode"] = stat.S_IMODE(status.st_mode)
                if status.st_size > MAX_KEPT:
                    kept["lost"] = digested(file)
                else:
                    kept["content"] = self._vault.keep(file)
        return change_of(self._folders, real, **kept, made=missing(real), left=left)

    def _stands(self, kept: Kept) -> Stands:
        stands = stands_now(self._folders, kept)
        if stands == "as left" and kept["content"] is not None:
            self._vault.kept(str(kept["content"])).close()  # else it cannot be put back, which is to be said before
        return stands

    def _back(self, kept: Kept) -> None:
        path, real = str(kept["path"]), same_place(self._folders, kept)
        stands = self._stands(kept)
        if stands == "changed" or kept.get("lost"):
            raise ToolError(f"{path} was changed just now, or was too large to be kept, so it is left as it is.")
        with mended(path):
            with suppress(FileNotFoundError, NotADirectoryError), self._folders.held(real.parent) as folder:
                with suppress(OSError):
                    folder.remove(scratch_name(real.name, str(kept["left"])))  # left by a call that was killed
                if stands == "as left" and kept["content"] is None:
                    folder.remove(real.name)
            if stands == "as left" and kept["content"] is not None:
                self._put_back(kept, real)
            if kept["content"] is None:
                remove_made(self._folders, kept, real)

    def _put_back(self, kept: Kept, real: Path) -> None:
        name = str(kept["content"])
        with self._vault.kept(name) as content, self._folders.held(real.parent, make=True) as folder:
            replace(folder, real.name, content, name, cast("int", kept["mode"]))


def change_of(folders: Folders, real: Path, **rest: JSON) -> dict[str, JSON]:
    """The change of one place, as it is kept. A call that changes a second one keeps that as `also` of the first."""
    return {"path": folders.name(real), "real": str(real), **rest}


def missing(real: Path) -> list[JSON]:
    """The folders that have to be made for a file, the innermost first."""
    return [str(folder) for folder in real.parents if not_there(folder)]


def not_there(real: Path) -> bool:
    return not os.path.exists(real)  # noqa: PTH110 - a name too long for the disk is no error here: nothing is there


def same_place(folders: Folders, kept: Kept) -> Path:
    """The place that was changed. Raises ToolError where its path leads to another one now, through a link."""
    real = folders.resolve(str(kept["real"]), new=True)  # in another folder the short name may exist by now
    if str(real) != kept["real"]:
        raise ToolError(f"{kept['path']!r} leads to another place now: {folders.name(real)}.")
    return real


def stands_now(folders: Folders, kept: Kept) -> Stands:
    """How the file of one change stands now."""
    real = same_place(folders, kept)
    now, mode = None, None
    if file := _opened(folders, real, str(real)):
        with mended(str(real)), file:
            now, mode = digested(file), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    same_mode = now is None or kept["mode"] in (None, mode)
    if same_mode and now == (kept.get("lost") or kept["content"]):
        return "as before"
    if kept["left"] == ANYTHING:
        return "as left"
    same_mode = now is None or kept.get("left_mode", kept["mode"]) in (None, mode)
    return "as left" if same_mode and now == kept["left"] else "changed"


def remove_made(folders: Folders, kept: Kept, real: Path) -> None:
    """Remove the folders that were made for a file, as far as nobody has put anything there."""
    for made in real.parents:  # the innermost first
        if str(made) not in cast("list[str]", kept["made"]) or not folders.holds(made):
            break
        with suppress(OSError, ToolError), folders.held(made.parent) as folder:
            folder.remove_folder(made.name)


def _opened(folders: Folders, real: Path, path: str) -> BinaryIO | None:
    return None if not_there(real) else folders.open(path, shown=0)
