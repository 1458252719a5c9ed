"""Writing files whole: a new content takes the place of a file at once, or not at all."""

__all__ = ["replace", "scratch_file"]

import errno
import hashlib
import os
import stat
from pathlib import Path


def replace(real: Path, data: bytes) -> None:
    """Give a file a new content, on disk when this returns. Readers see the old one or the new one, never a half."""
    scratch = scratch_file(real, hashlib.sha256(data).hexdigest())
    scratch.unlink(missing_ok=True)
    ours = False
    try:
        with scratch.open("xb") as file:
            ours = True
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            ours = os.path.samestat(os.fstat(file.fileno()), scratch.lstat())
        if not ours:
            raise FileExistsError(errno.EEXIST, "another program is writing the same there")
        if real.exists():
            scratch.chmod(stat.S_IMODE(real.stat().st_mode))
        scratch.replace(real)
    finally:
        if ours:
            scratch.unlink(missing_ok=True)


def scratch_file(real: Path, digest: str) -> Path:
    """Where a content of this SHA-256 is written before it takes a file's place.

    A process that is killed in between leaves this file behind. Whoever writes the same content again, or undoes the
    call, finds it by its name.
    """
    return real.with_name(f".forethought-{hashlib.sha256(os.fsencode(real.name) + digest.encode()).hexdigest()[:16]}")
