"""A model file of the user's own: what keeps it from being run is found before it is tried."""

__all__ = ["is_file", "trouble"]

import os
import sys
from pathlib import Path

_MAGIC = b"GGUF"
_SETTING = "FORETHOUGHT_MODEL"


def is_file(name: str) -> bool:
    """Whether `local:NAME` names a file, not a model of the catalogue."""
    return name.casefold().endswith(".gguf") or "/" in name or os.sep in name


def trouble(file: Path) -> str:
    """Why this file cannot be run here, and how to mend that; nothing where it may be."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_MAGIC))
        size = file.stat().st_size
    except IsADirectoryError:
        return f"{file} is a folder. Set {_SETTING} to local: and the path of a .gguf file."
    except OSError as error:
        return f"{file} cannot be read ({error.strerror}). Set {_SETTING} to local: and the path of a .gguf file."
    if begins != _MAGIC:
        return f"{file} is not a GGUF file. Set {_SETTING} to one that is."
    if size > (memory := _memory()):
        return (
            f"{file} has {size / 1e9:.1f} GB, and this machine has {memory / 1e9:.1f} GB of memory."
            f" Set {_SETTING} to a smaller one, or to one with fewer bits."
        )
    return ""


def _memory() -> float:
    """Bytes of memory that this process may use at the most."""
    if sys.platform == "win32":
        return float("inf")  # it says so itself
    limits = [float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")]
    for group in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(float(Path(group).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(limits)
