"""Which processes are alive. Each holds a lock file that the operating system frees when it dies, however it dies."""

__all__ = ["LockFile"]

from pathlib import Path

from filelock import FileLock, Timeout


class LockFile:
    """The lock file of one process among those of a folder."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._id = owner
        self._lock = FileLock(self._file(owner))

    def hold(self) -> None:
        """Be alive from now on."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.acquire()

    def release(self) -> None:
        if self._lock.is_locked:
            self._lock.release()
            self._file(self._id).unlink(missing_ok=True)

    def alive(self, owner: str | None) -> bool:
        """Whether the process that owns a run still lives."""
        if owner is None or owner == self._id:
            return owner == self._id
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
