"""Undoing the moves of files, for which nothing need be kept, and the making of folders."""

__all__ = ["FolderUndo", "MoveUndo"]

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.tool import JSON, Kept, Stands
from forethought_tools.undo import InThread, change_of, missing, not_there, remove_made, same_place, stands_now
from forethought_tools.writing import digested, scratch_name, shift

_FOLDER = "folder"


class MoveUndo(InThread):
    """Takes back the move of a file: the very file goes back, so that nothing of it has to be kept."""

    def __init__(self, folders: Folders, ends: Callable[[Mapping[str, JSON]], tuple[Path, Path]]) -> None:
        """`ends` returns from where to where a call with these arguments moves a file."""
        self._folders = folders
        self._ends = ends

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        return True

    def touches(self, kept: Kept) -> Claim:
        return Claim(writes=frozenset(place for each in (kept, *_also(kept)) for place in self._parts(each)))

    def described(self, kept: Kept) -> str:
        return f"move {kept['path']} back to {', '.join(str(each['path']) for each in _also(kept))}"

    def _parts(self, change: Kept) -> frozenset[tuple[str, ...]]:
        return self._folders.parts(str(change["real"]))

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        real, to = self._ends(arguments)
        with self._folders.open(str(real), shown=0) as file, mended(str(real)):
            mode, digest = stat.S_IMODE(os.fstat(file.fileno()).st_mode), digested(file)
        gone = change_of(self._folders, real, content=digest, mode=mode, made=[], left=None)
        return change_of(self._folders, to, content=None, mode=None, made=missing(to), left=digest, also=[gone])

    def _stands(self, kept: Kept) -> Stands:
        there = stands_now(self._folders, kept)
        before = [stands_now(self._folders, each) for each in _also(kept)]
        if "changed" in (there, *before) or (there == "as before" and "as left" in before):  # it is in neither place
            return "changed"
        return there

    def _back(self, kept: Kept) -> None:
        if (stands := self._stands(kept)) == "changed":
            raise ToolError(f"{kept['path']} was changed just now, so it is left as it is.")
        moved, (gone,) = same_place(self._folders, kept), _also(kept)
        source = same_place(self._folders, gone)
        with mended(str(kept["path"])):
            with suppress(FileNotFoundError, NotADirectoryError), self._folders.held(moved.parent) as folder:
                with suppress(OSError):
                    folder.remove(scratch_name(moved.name, str(kept["left"])))  # left by a call that was killed
                if stands == "as left" and not_there(source):
                    with self._folders.held(source.parent, make=True) as home:
                        shift(folder, moved.name, home, source.name)
                elif stands == "as left":  # it was cut off when the file was in both places
                    folder.remove(moved.name)
            remove_made(self._folders, kept, moved)


def _also(kept: Kept) -> Sequence[Kept]:
    return cast("Sequence[Kept]", kept.get("also", ()))


class FolderUndo(InThread):
    """Takes back the making of a folder, unless there is something in it."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        return True

    def touches(self, kept: Kept) -> Claim:
        return Claim(writes=self._folders.parts(str(kept["real"])))

    def described(self, kept: Kept) -> str:
        return f"leave the folder {kept['path']}" if kept["content"] else f"remove the folder {kept['path']}"

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        real = self._folders.resolve(str(arguments["path"]), new=True)
        if not not_there(real) and not real.is_dir():
            raise ToolError(f"{str(arguments['path'])!r} is a file. Choose another name.")
        content = None if not_there(real) else _FOLDER
        return change_of(self._folders, real, content=content, mode=None, made=missing(real), left=_FOLDER)

    def _stands(self, kept: Kept) -> Stands:
        real = same_place(self._folders, kept)
        now = None if not_there(real) else _FOLDER if real.is_dir() else "file"
        return "as before" if now == kept["content"] else "as left" if now == kept["left"] else "changed"

    def _back(self, kept: Kept) -> None:
        path, real, stands = str(kept["path"]), same_place(self._folders, kept), self._stands(kept)
        if stands == "changed":
            raise ToolError(f"{path} was changed just now, so it is left as it is.")
        if stands == "as left":
            with mended(path), self._folders.held(real.parent) as folder:
                folder.remove_folder(real.name)
        if kept["content"] is None:
            remove_made(self._folders, kept, real)
