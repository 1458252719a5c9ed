"""Undoing calls that write files: what was there before is kept, and put back byte for byte."""

__all__ = ["FileUndo", "Vault"]

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from anyio import from_thread, to_thread

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.tool import JSON, Kept, Stands
from forethought_tools.writing import CHUNK, replace, scratch_name

MAX_KEPT = 100_000_000
"""The largest file that is kept. Writing over a larger one cannot be undone."""
_FRESH = 3600.0  # seconds


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
                name = _digest(content, file)
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
        if _digest(file) != name:
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


def _digest(content: BinaryIO, copy: BinaryIO | None = None) -> str:
    """The SHA-256 of what is read, and a copy of it, never more than a piece of it in memory.

    A copy has its limit, also where the file grows meanwhile.
    """
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(CHUNK):
        from_thread.check_cancelled()
        digest.update(chunk)
        size += len(chunk)
        if copy is not None:
            if size > MAX_KEPT:
                raise ToolError(f"The file has grown beyond {MAX_KEPT:,} bytes just now. Try again.")
            copy.write(chunk)
    return digest.hexdigest()


class FileUndo:
    """Takes back the writing of a file: its content and mode, or its absence, and the folders made for it."""

    def __init__(self, folders: Folders, vault: Vault, written: Callable[[Mapping[str, JSON]], bytes]) -> None:
        """`written` returns the bytes that a call with these arguments writes."""
        self._folders = folders
        self._vault = vault
        self._written = written

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        try:
            size = self._folders.resolve(str(arguments.get("path")), new=True).lstat().st_size
        except (ToolError, OSError):
            return True  # nothing is there to be kept, or the call itself fails
        return size <= MAX_KEPT

    async def before(self, arguments: Mapping[str, JSON]) -> Kept:
        return await to_thread.run_sync(self._before, arguments)

    async def stands(self, kept: Kept) -> Stands:
        return await to_thread.run_sync(self._stands, kept)

    async def back(self, kept: Kept) -> None:
        await to_thread.run_sync(self._back, kept)

    def touches(self, kept: Kept) -> Claim:
        return Claim(writes=self._folders.parts(str(kept["real"])))

    def described(self, kept: Kept) -> str:
        verb = "delete" if kept["content"] is None else "put back the earlier content of"
        return f"{verb} {kept['path']}"

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        path = str(arguments["path"])
        real = self._folders.resolve(path, new=True)
        made = [str(folder) for folder in real.parents if not os.path.exists(folder)]  # noqa: PTH110 - see `_opened`
        kept: dict[str, JSON] = {"content": None, "mode": None}
        if file := self._opened(real, path):
            with mended(path), file:
                status = os.fstat(file.fileno())
                kept["mode"] = stat.S_IMODE(status.st_mode)
                if status.st_size > MAX_KEPT:
                    kept["lost"] = _digest(file)
                else:
                    kept["content"] = self._vault.keep(file)
        return {
            "path": self._folders.name(real),
            "real": str(real),
            **kept,
            "made": cast("list[JSON]", made),
            "left": hashlib.sha256(self._written(arguments)).hexdigest(),
        }

    def _opened(self, real: Path, path: str) -> BinaryIO | None:
        if not os.path.exists(real):  # noqa: PTH110 - a name too long for the disk is no error here: nothing is there
            return None
        return self._folders.open(path, shown=0)

    def _stands(self, kept: Kept) -> Stands:
        real = self._same(kept)
        now, mode = None, None
        if file := self._opened(real, str(real)):
            with mended(str(real)), file:
                now, mode = _digest(file), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if now is not None and kept["mode"] not in (None, mode):
            return "changed"
        if now == (kept.get("lost") or kept["content"]):
            return "as before"
        if now != kept["left"]:
            return "changed"
        if kept["content"] is not None:
            self._vault.kept(str(kept["content"])).close()  # else it cannot be put back, which is to be said before
        return "as left"

    def _back(self, kept: Kept) -> None:
        path, real = str(kept["path"]), self._same(kept)
        stands = self._stands(kept)
        if stands == "changed" or kept.get("lost"):
            raise ToolError(f"{path} was changed just now, or was too large to be kept, so it is left as it is.")
        with mended(path):
            with suppress(FileNotFoundError), self._folders.held(real.parent) as folder:
                with suppress(OSError):
                    folder.remove(scratch_name(real.name, str(kept["left"])))  # left by a call that was killed
                if stands == "as left" and kept["content"] is None:
                    folder.remove(real.name)
            if stands == "as left" and kept["content"] is not None:
                self._put_back(kept, real)
            if kept["content"] is None:
                self._remove_made(kept, real)

    def _put_back(self, kept: Kept, real: Path) -> None:
        name = str(kept["content"])
        with self._vault.kept(name) as content, self._folders.held(real.parent) as folder:
            replace(folder, real.name, content, name, cast("int", kept["mode"]))

    def _remove_made(self, kept: Kept, real: Path) -> None:
        for made in real.parents:  # the innermost first
            if str(made) not in cast("list[str]", kept["made"]) or not self._folders.holds(made):
                break
            with (
                suppress(OSError, ToolError),
                self._folders.held(made.parent) as folder,
            ):  # others have put something there
                folder.remove_folder(made.name)

    def _same(self, kept: Kept) -> Path:
        """The file that was written. Raises ToolError where its path leads to another one now, through a link."""
        real = self._folders.resolve(str(kept["real"]), new=True)  # in another folder the short name may exist by now
        if str(real) != kept["real"]:
            raise ToolError(f"{kept['path']!r} leads to another place now: {real}.")
        return real
