"""Taking calls back that write files: what was there is kept before they act, and put back byte for byte."""

__all__ = ["FileUndo", "Vault"]

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from anyio import to_thread

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.tool import JSON, Kept, Stands
from forethought_tools.writing import draft_of, replace

_FRESH = 3600.0  # seconds


class Vault:
    """Keeps contents by their SHA-256, readable by this user only. Text that goes through the journal could be
    redacted; what is put back must not be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> str:
        """Keep a content; returns its name. On disk when this returns."""
        name = hashlib.sha256(data).hexdigest()
        place = self._folder / name
        with suppress(FileNotFoundError):
            os.utime(place)
            return name
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{name}-{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
        return name

    def kept(self, name: str) -> bytes:
        """A content that was kept. Raises ToolError where it is gone, or is not what was kept."""
        try:
            data = (self._folder / name).read_bytes()
        except OSError:
            raise ToolError(f"What was kept to undo this ({name[:12]}) is gone from {self._folder}.") from None
        if hashlib.sha256(data).hexdigest() != name:
            raise ToolError(f"What was kept to undo this ({name[:12]}) was changed in {self._folder}.")
        return data

    def forget(self, needed: Collection[str]) -> None:
        """Drop every content that is not needed any more."""
        for file in [file for file in self._folder.glob("*") if file.name not in needed]:
            # What was kept just now may belong to a call that is not on record yet.
            if file.stat().st_mtime < time.time() - _FRESH:
                file.unlink(missing_ok=True)


class FileUndo:
    """Takes back the writing of a file: its content and mode, or its absence, and the folders made for it."""

    def __init__(self, folders: Folders, vault: Vault, written: Callable[[Mapping[str, JSON]], bytes]) -> None:
        """`written` tells what a call writes."""
        self._folders = folders
        self._vault = vault
        self._written = written

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
        content = self._content(real, path)
        made = [str(folder) for folder in real.parents if not os.path.exists(folder)]  # noqa: PTH110 - see `_content`
        return {
            "path": self._folders.name(real),
            "real": str(real),
            "content": None if content is None else self._vault.keep(content),
            "mode": None if content is None else stat.S_IMODE(real.stat().st_mode),
            "made": cast("list[JSON]", made),
            "left": hashlib.sha256(self._written(arguments)).hexdigest(),
        }

    def _content(self, real: Path, path: str) -> bytes | None:
        if not os.path.exists(real):  # noqa: PTH110 - a name too long for the disk is no error here: nothing is there
            return None
        with mended(path), self._folders.open(path) as file:
            return file.read()

    def _stands(self, kept: Kept) -> Stands:
        real = self._same(kept)
        content = self._content(real, str(real))
        now = None if content is None else hashlib.sha256(content).hexdigest()
        if now is not None and kept["mode"] not in (None, stat.S_IMODE(real.stat().st_mode)):
            return "changed"
        if now == kept["content"]:
            return "as before"
        if now != kept["left"]:
            return "changed"
        if kept["content"] is not None:
            self._vault.kept(str(kept["content"]))  # else it cannot be put back, which is to be said before
        return "as left"

    def _back(self, kept: Kept) -> None:
        path = str(kept["path"])
        real = self._same(kept)
        stands = self._stands(kept)
        if stands == "changed":
            raise ToolError(f"{path} was changed just now, so it is left as it is.")
        there = stands == "as before"
        with mended(path):
            with suppress(OSError):
                draft_of(real, str(kept["left"])).unlink()  # a call that was killed meanwhile has left it
            if kept["content"] is not None:
                if not there:
                    replace(real, self._vault.kept(str(kept["content"])))
                    real.chmod(cast("int", kept["mode"]))
                return
            if not there:
                real.unlink(missing_ok=True)
            for folder in real.parents:  # the innermost first
                if str(folder) not in cast("list[str]", kept["made"]) or not self._folders.holds(folder):
                    break
                with suppress(OSError):  # others have put something there
                    folder.rmdir()

    def _same(self, kept: Kept) -> Path:
        """The file that was written, if the way to it still leads there."""
        real = self._folders.resolve(str(kept["real"]), new=True)  # in another folder the short name may exist by now
        if str(real) != kept["real"]:
            raise ToolError(f"{kept['path']!r} leads to another place now: {real}.")
        return real
