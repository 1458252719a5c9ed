"""The folders that a person has granted. Every path that a tool touches goes through here."""

__all__ = ["Folders", "mended"]

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from forethought_tools.errors import ToolError

# O_NONBLOCK: opening a FIFO that replaced the file after the check must not wait for a writer.
READ_FLAGS: int = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
)


class Folders:
    """Granted folders, in order: the first is where new files go."""

    def __init__(self, folders: Sequence[Path], *, apart: Sequence[Path] = ()) -> None:
        """Folders `apart` are never granted, even inside a granted one: they hold what decides what may be done."""
        self._folders = tuple(Path(os.path.realpath(folder)) for folder in folders)
        self._apart = tuple(Path(os.path.realpath(folder)) for folder in apart)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def resolve(self, path: str, *, new: bool = False, follow: bool = True) -> Path:
        """The real path of a regular file or folder inside a grant.

        A relative path is looked up in each granted folder. `new` accepts what does not exist yet.
        Without `follow` a link at the end of the path is itself the result, and not what it leads to.

        Raises:
            ToolError: outside every grant, not there, or neither a regular file nor a folder.
        """
        if not self._folders:
            raise ToolError("No folder is granted. Start forethought with --folder PATH, or set FORETHOUGHT_FOLDERS.")
        candidates = [self._real(folder / path, path, follow=follow) for folder in self._folders]
        inside = [candidate for candidate in candidates if self.holds(candidate)]
        if not inside:
            raise ToolError(f"{path!r} is outside the granted folders. {self.granted()}")
        for candidate in inside:
            if os.path.lexists(candidate):
                return self._ordinary(candidate, path, follow=follow)
        if not new:
            raise ToolError(f"There is no {path!r} in the granted folders. {self.granted()}")
        if candidates[0] != inside[0]:
            raise ToolError(f"{path!r} is outside the granted folders. {self.granted()}")
        return inside[0]

    def open(self, path: str) -> BinaryIO:
        """Open a regular file for reading."""
        real = self.resolve(path)
        if real.is_dir():
            raise ToolError(f"{path!r} is a folder. Name a file in it; list_files shows them.")
        with mended(path):
            descriptor = os.open(real, READ_FLAGS)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._odd(path)
        return os.fdopen(descriptor, "rb")

    def parts(self, path: str) -> frozenset[tuple[str, ...]]:
        """The real place of a path, for telling whether two calls touch the same; nothing where there is none."""
        try:
            return frozenset({self.resolve(path, new=True).parts})
        except ToolError:
            return frozenset()

    def everything(self) -> frozenset[tuple[str, ...]]:
        """All granted folders, as `parts` gives them."""
        return frozenset(folder.parts for folder in self._folders)

    def name(self, real: Path) -> str:
        """What a caller can write for this real path: relative where that is unambiguous."""
        for folder in self._folders:
            if real.is_relative_to(folder):
                short = real.relative_to(folder).as_posix()
                return short if self.resolve(short, new=True) == real else real.as_posix()
        return real.as_posix()

    def granted(self) -> str:
        return f"Granted: {', '.join(map(str, self._folders))}."

    def holds(self, real: Path) -> bool:
        """Whether a real path is inside a grant."""
        if any(real.is_relative_to(folder) for folder in self._apart):
            return False
        return any(real.is_relative_to(folder) for folder in self._folders)

    def _real(self, candidate: Path, path: str, *, follow: bool) -> Path:
        try:
            if follow or candidate.name in ("", ".", ".."):
                return Path(os.path.realpath(candidate))
            return Path(os.path.realpath(candidate.parent)) / candidate.name
        except (ValueError, OSError):  # a NUL, a lone surrogate, or (Windows) a malformed path
            raise ToolError(f"{path!r} is not a path.") from None

    def _ordinary(self, real: Path, path: str, *, follow: bool) -> Path:
        with mended(path):
            mode = real.lstat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and not follow):
            return real
        raise self._odd(path)

    def _odd(self, path: str) -> ToolError:
        return ToolError(
            f"{path!r} is neither a regular file nor a folder (a device, pipe or socket). {self.granted()}"
        )


@contextmanager
def mended(path: str) -> Generator[None]:
    """Turn what the operating system refuses into a `ToolError` that names the path."""
    try:
        yield
    except OSError as error:
        raise ToolError(f"{path!r}: {error.strerror or type(error).__name__}.") from None
