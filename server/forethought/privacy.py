"""Keeps what this process knows from other programs of the same user, above all from commands that steps run.

Imports nothing of ours: child programs use it too.
"""

__all__ = ["keep_private"]

import ctypes
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of linux/prctl.h
_ENVIRONMENT = slice(47, 49)  # env_start and env_end of proc_pid_stat(5), counted from the state


def keep_private(names: Iterable[str] = ()) -> None:
    """Close this process's memory, files and environment to other processes of its user, where the platform can.

    On Linux nobody but root reads them then, and variables of these names are also gone from what root sees in
    `/proc/PID/environ`. They stay in `os.environ`: libraries look there. Core dumps and debuggers are shut out too.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    _erase([name for name in names if name in os.environ])


def _erase(names: Collection[str]) -> None:
    """Overwrite variables in the block that this process was started with."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = map(int, fields[_ENVIRONMENT])
    for name in names:
        os.environ[name] = os.environ[name]  # copies it elsewhere, for native code that asks for it
    at = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        key, _, value = entry.partition(b"=")
        if os.fsdecode(key) in names:
            ctypes.memset(at + len(key) + 1, ord("-"), len(value))
        at += len(entry) + 1
