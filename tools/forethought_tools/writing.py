"""Writing files whole: a new content takes the place of a file at once, or not at all."""

__all__ = ["replace", "scratch_name"]

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import BinaryIO

from forethought_tools.held import HeldFolder

CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_PUBLIC = 0o666  # as far as the user's mask lets it


def replace(folder: HeldFolder, name: str, content: BinaryIO, digest: str, mode: int | None = None) -> None:
    """Give a file a new content, on disk when this returns. Readers see the old one or the new one, never a half.

    `digest` is the SHA-256 of the content. The mode stays what it is, unless another is given.
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
        folder.rename(scratch, name)
        ours = False
    finally:
        if ours:
            with suppress(FileNotFoundError):
                folder.remove(scratch)


def scratch_name(name: str, digest: str) -> str:
    """Where a content of this SHA-256 is written, in the same folder, before it takes a file's place.

    A process that is killed in between leaves this file behind. Whoever writes the same content again, or undoes the
    call, finds it by its name.
    """
    return f".forethought-{hashlib.sha256(os.fsencode(name) + digest.encode()).hexdigest()[:16]}"
