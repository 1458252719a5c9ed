"""The folders that a person has granted. Every path that a tool touches goes through here."""

__all__ = ["Folders", "mended"]

import os
import stat
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from anyio import from_thread

from forethought_tools.errors import ToolError
from forethought_tools.held import HeldFolder, held
from forethought_tools.writing import READ_FLAGS

_CHUNK = 1 << 20
MAX_PATH = 4096  # characters
# Where each name of a path leads is looked up from the root on: twice as many take four times as long.
MAX_PARTS = 128


class Folders:
    """Granted folders, in order: the first is where new files go."""

    def __init__(self, folders: Sequence[Path], *, apart: Sequence[Path] = (), secrets: Collection[str] = ()) -> None:
        """Folders `apart` are never granted, even inside a granted one: they hold what decides what may be done.
        Files that hold one of the `secrets` are not shown: what is made of them could not be recognised."""
        self._folders = tuple(Path(os.path.realpath(folder)) for folder in folders)
        self._apart = tuple(Path(os.path.realpath(folder)) for folder in apart)
        self._secrets = {form.encode(code) for form in secrets for code in ("utf-8", "utf-16-le", "utf-16-be")}

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
        if len(path) > MAX_PATH or len(PurePath(path).parts) > MAX_PARTS:
            raise ToolError(f"{path[:80]!r} goes on for too long: a path has at most {MAX_PARTS} names.")
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

    def open(self, path: str, *, shown: int | None = None) -> BinaryIO:
        """Open a regular file for reading. Only so many of its first bytes will be `shown` to anybody; None: all."""
        real = self.resolve(path)
        if real.is_dir():
            raise ToolError(f"{path!r} is a folder. Name a file in it; list_files shows them.")
        with mended(path), self.held(real.parent) as folder:
            descriptor = folder.open(real.name, READ_FLAGS)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or self._is_apart(status):
            os.close(descriptor)
            raise self._odd(path)
        file = os.fdopen(descriptor, "rb")
        try:
            with mended(path):
                self.refuse_secrets(file, path, shown)
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def held(self, folder: Path, *, make: bool = False) -> Generator[HeldFolder]:
        """Hold a folder inside a grant, by its real path: whatever its path leads to meanwhile, this is the folder."""
        if not self.holds(folder):
            raise ToolError(f"{folder.name!r} is outside the granted folders. {self.granted()}")
        apart = [(status.st_dev, status.st_ino) for place in self._apart if (status := _look(place))]
        with held(folder, make=make, apart=apart) as handle:
            yield handle

    def passed(self, path: str) -> Iterator[str]:
        """Every name inside a grant that a path goes through, as it is written: what links are called too."""
        for folder in self._folders:
            whole = folder / path
            for part in (whole, *whole.parents):
                if self.holds(self._real(part.parent, path, follow=True)):
                    yield part.name

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
            if real.is_relative_to(folder) and len(real.parts) <= MAX_PARTS:
                short = real.relative_to(folder).as_posix()
                return short if self.resolve(short, new=True) == real else real.as_posix()
        return real.as_posix()

    def granted(self) -> str:
        """Which folders are granted, by their names alone: errors go to models and logs far away, and where this
        machine keeps what is nothing to them."""
        names = [repr(folder.name or folder.anchor) for folder in self._folders]
        if len(names) == 1:
            return f"Granted is the folder {names[0]}; relative paths begin in it."
        return f"Granted are the folders {', '.join(names)}; a relative path is looked up in each."

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
            f"{path!r} is neither a regular file nor a folder (a device, pipe or socket), or it is a file of"
            f" forethought's own home under another name. {self.granted()}"
        )

    def _is_apart(self, status: os.stat_result) -> bool:
        """Whether a file with other names has one of them in a folder that is apart."""
        if status.st_nlink < 2:
            return False
        files = (Path(at, name) for folder in self._apart for at, _, names in os.walk(folder) for name in names)
        return any(other is not None and os.path.samestat(status, other) for other in map(_look, files))

    def refuse_secrets(self, file: BinaryIO, path: str, shown: int | None = None) -> None:
        """Refuse to show what holds a key or password of this server. Leaves the file at its beginning."""
        longest = max(map(len, self._secrets), default=0)
        if not longest or shown == 0:
            return
        looked, before = 0, b""
        while part := file.read(_CHUNK if shown is None else min(_CHUNK, max(0, shown + longest - looked))):
            if any(secret in before + part for secret in self._secrets):
                raise ToolError(
                    f"{path!r} holds a key or password of this server, so nothing of it is shown. Do without it."
                )
            looked, before = looked + len(part), part[-longest:]
            if looked > _CHUNK:
                from_thread.check_cancelled()
        file.seek(0)


def _look(path: str | Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


@contextmanager
def mended(path: str) -> Generator[None]:
    """Turn what the operating system refuses into a `ToolError` that names the path."""
    try:
        yield
    except OSError as error:
        raise ToolError(f"{path!r}: {error.strerror or type(error).__name__}.") from None
