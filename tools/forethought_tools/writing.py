"""Writing files whole: a new content takes the place of a file at once, or not at all."""

__all__ = ["MAX_COPIED", "READ_FLAGS", "digested", "replace", "scratch_name", "shift"]

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import BinaryIO

from anyio import from_thread

from forethought_tools.errors import ToolError
from forethought_tools.held import HeldFolder

CHUNK = 1 << 20
MAX_COPIED = 1_000_000_000
"""Bytes of a file that is copied within one call."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# O_NONBLOCK: opening a FIFO that replaced the file after the check must not wait for a writer.
READ_FLAGS: int = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_PUBLIC = 0o666  # as far as the user's mask lets it


def replace(
    folder: HeldFolder, name: str, content: BinaryIO, digest: str, mode: int | None = None, *, over: bool = True
) -> None:
    """Give a file a new content, on disk when this returns. Readers see the old one or the new one, never a half.

    `digest` is the SHA-256 of the content. The mode stays what it is, unless another is given. Unless it may write
    `over` a file, FileExistsError is raised where there is one.
    """
    scratch = scratch_name(name, digest)
    with suppress(FileNotFoundError):
        folder.remove(scratch)
    there = folder.look(name)
    if mode is None and there is not None:
        mode = stat.S_IMODE(there.st_mode)
    # Nobody else may read the draft who may not read the file.
    descriptor, ours = folder.open(scratch, _NEW, _PUBLIC if mode is None else 0o600), True
    try:
        with os.fdopen(descriptor, "wb") as file:
            while chunk := content.read(CHUNK):
                file.write(chunk)
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            drafted = folder.look(scratch)
            ours = drafted is not None and os.path.samestat(os.fstat(file.fileno()), drafted)
        if not ours:
            raise FileExistsError(errno.EEXIST, "another program is writing the same there")
        if over:
            folder.rename(scratch, name)
        else:
            folder.give(scratch, folder, name)
        ours = False
    finally:
        if ours:
            with suppress(FileNotFoundError):
                folder.remove(scratch)


def digested(content: BinaryIO, copy: BinaryIO | None = None, *, most: int | None = None) -> str:
    """The SHA-256 of what is read, and a copy of it, never more than a piece of it in memory.

    There are at `most` so many bytes, also where the file grows meanwhile.
    """
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(CHUNK):
        from_thread.check_cancelled()
        digest.update(chunk)
        size += len(chunk)
        if most is not None and size > most:
            raise ToolError(f"The file has grown beyond {most:,} bytes just now. Try again.")
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()


def shift(folder: HeldFolder, name: str, to: HeldFolder, new: str) -> None:
    """Move a regular file, also to another disk. Raises FileExistsError where something has the new name."""
    try:
        folder.give(name, to, new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(folder, name, to, new)


def _carry(folder: HeldFolder, name: str, to: HeldFolder, new: str) -> None:
    with os.fdopen(folder.open(name, READ_FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_COPIED:
            raise OSError(errno.EFBIG, f"more than {MAX_COPIED:,} bytes are not moved to another disk")
        digest = digested(file)
        file.seek(0)
        replace(to, new, file, digest, stat.S_IMODE(status.st_mode), over=False)
    if not _is_still(folder.look(name), status):
        to.remove(new)
        raise OSError(errno.EBUSY, "another program has changed it while it was moved")
    folder.remove(name)


def _is_still(now: os.stat_result | None, then: os.stat_result) -> bool:
    return now is not None and all(
        getattr(now, name) == getattr(then, name) for name in ("st_dev", "st_ino", "st_size", "st_mtime_ns")
    )


def scratch_name(name: str, digest: str) -> str:
    """Where a content of this SHA-256 is written, in the same folder, before it takes a file's place.

    A process that is killed in between leaves this file behind. Whoever writes the same content again, or undoes the
    call, finds it by its name.
    """
    return f".forethought-{hashlib.sha256(os.fsencode(name) + digest.encode()).hexdigest()[:16]}"
