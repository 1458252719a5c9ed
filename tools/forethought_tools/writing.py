"""Putting a content in a file's place, whole or not at all."""

__all__ = ["draft_of", "replace"]

import errno
import hashlib
import os
import stat
from pathlib import Path


def replace(real: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never a half. On disk when this returns."""
    draft = draft_of(real, hashlib.sha256(data).hexdigest())
    draft.unlink(missing_ok=True)
    ours = False
    try:
        with draft.open("xb") as file:
            ours = True
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            ours = os.path.samestat(os.fstat(file.fileno()), draft.lstat())
        if not ours:
            raise FileExistsError(errno.EEXIST, "another program is writing the same there")
        if real.exists():
            draft.chmod(stat.S_IMODE(real.stat().st_mode))
        draft.replace(real)
    finally:
        if ours:
            draft.unlink(missing_ok=True)


def draft_of(real: Path, digest: str) -> Path:
    """Where a content of this SHA-256 is written before it takes a file's place. A process that is killed meanwhile
    leaves it behind: whoever writes the same again, or takes it back, knows it by its name."""
    return real.with_name(f".forethought-{hashlib.sha256(os.fsencode(real.name) + digest.encode()).hexdigest()[:16]}")
