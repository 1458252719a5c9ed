"""Which processes are alive. Each holds a lock file that the operating system frees when it dies, however it dies."""

__all__ = ["LockFile", "Owner"]

from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from forethought.database import new_id


class Owner(Protocol):
    """This process, as an owner of runs."""

    id: str

    def alive(self, owner: str | None) -> bool:
        """Whether the process that owns a run still lives."""
        ...


class LockFile:
    """This process, as an owner of runs among those of one machine."""

    def __init__(self, home: Path) -> None:
        self.id = new_id("owner")
        self._folder = home / "owners"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(self._file(self.id))
        self._lock.acquire()

    def close(self) -> None:
        self._lock.release()
        self._file(self.id).unlink(missing_ok=True)

    def alive(self, owner: str | None) -> bool:
        """Whether the process that owns a run still lives."""
        if owner is None or owner == self.id:
            return owner == self.id
        file = self._file(owner)
        if not file.exists():
            return False
        try:
            with FileLock(file, timeout=0):
                pass
        except Timeout:
            return True
        file.unlink(missing_ok=True)
        return False

    def _file(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"
