"""Folders held by a descriptor: what is done in one is done in that very folder, wherever its path leads by now."""

__all__ = ["HeldFolder", "held"]

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EACCES, EEXIST, EXDEV
from itertools import islice
from pathlib import Path


def _flags(*names: str) -> int:
    return sum(getattr(os, name, 0) for name in names)


# Elsewhere (Windows) a folder is its path, and could be exchanged between two looks at it.
_HOLDS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
# O_PATH and O_SEARCH: the folders on the way need not be readable.
_WAY = _flags("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_PATH" if hasattr(os, "O_PATH") else "O_SEARCH")


@dataclass(frozen=True, slots=True)
class HeldFolder:
    """A folder, and what can be done to the names in it. No name is followed if it is a link."""

    path: Path
    descriptor: int | None

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        return os.open(self._place(name), flags | _flags("O_NOFOLLOW", "O_CLOEXEC"), mode, dir_fd=self.descriptor)

    def look(self, name: str) -> os.stat_result | None:
        """What is there under this name, if anything is."""
        try:
            return os.stat(self._place(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self, most: int | None = None) -> list[str]:
        """What is in it; at `most` so many names."""
        if self.descriptor is None:
            return [each.name for each in islice(self.path.iterdir(), most)]
        readable = os.open(".", _flags("O_RDONLY", "O_DIRECTORY", "O_CLOEXEC"), dir_fd=self.descriptor)
        try:
            with os.scandir(readable) as entries:
                return [entry.name for entry in islice(entries, most)]
        finally:
            os.close(readable)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, and so the place of the file that has it."""
        descriptor = self.descriptor
        os.replace(self._place(name), self._place(to), src_dir_fd=descriptor, dst_dir_fd=descriptor)

    def give(self, name: str, to: "HeldFolder", new: str) -> None:
        """Move a file there. Raises FileExistsError where something has that name, and never replaces it."""
        if self.descriptor is None:
            os.rename(self._place(name), to._place(new))  # noqa: PTH104 - on Windows, where that replaces nothing
            return
        try:
            os.link(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            # Not every disk gives a file two names, and not every user may: then nothing better is left than to look.
            if error.errno != EXDEV and to.look(new) is not None:
                raise FileExistsError(EEXIST, "there is something of that name") from None
            os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor)
            return
        here, there = self.look(name), to.look(new)
        if here is not None and there is not None and os.path.samestat(here, there):
            self.remove(name)

    def remove(self, name: str) -> None:
        os.unlink(self._place(name), dir_fd=self.descriptor)

    def remove_folder(self, name: str) -> None:
        os.rmdir(self._place(name), dir_fd=self.descriptor)

    def _place(self, name: str) -> str:
        return str(self.path / name) if self.descriptor is None else name


@contextmanager
def held(path: Path, *, make: bool = False, apart: Collection[tuple[int, int]] = ()) -> Generator[HeldFolder]:
    """Hold a folder whose path was looked up before, and has no links: where one has come into it since, it fails.

    With `make`, folders that are not there are made. Device and inode of folders that may not be entered are `apart`:
    on some disks a folder has many spellings.
    """
    if not _HOLDS:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        yield HeldFolder(path, None)
        return
    descriptor = os.open(path.anchor, _WAY)
    try:
        for name in path.parts[1:]:
            above, descriptor = descriptor, _below(descriptor, name, make=make)
            os.close(above)
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in apart:
                raise PermissionError(EACCES, "it is outside the granted folders")
        yield HeldFolder(path, descriptor)
    finally:
        os.close(descriptor)


def _below(descriptor: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _WAY, dir_fd=descriptor)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # made just now by others; whatever it is, it is opened like the rest
        os.mkdir(name, dir_fd=descriptor)
    return os.open(name, _WAY, dir_fd=descriptor)
