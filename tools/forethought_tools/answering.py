"""What the child programs have in common that answer one question each (`child.py` is the other side).

They read a line of JSON, answer with a line of JSON, and end when their standard input does: with their parent. Memory
and time are bounded by the operating system, because libraries do not keep limits everywhere.
"""

__all__ = ["bound_by_the_system", "serve"]

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forethought_tools.tool import JSON

MEMORY = 1 << 30
"""Bytes that the operating system allows beyond what the process has before it sees a file or a query."""
CPU_SECONDS = 150
"""Two threads for as long as a call of the tool may take, and a little more. Our parent ends us earlier."""


def serve(answer: "Callable[[Mapping[str, Any]], Mapping[str, JSON]]") -> None:
    """Answer the one question that our parent asks."""
    # Native code prints what it likes to fd 1. Only our one line may go there.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as protocol:
        os.dup2(2, 1)
        request = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print(json.dumps(answer(request)), file=protocol)
    os._exit(0)  # nothing is worth the time to take it down


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def bound_by_the_system() -> None:
    """From here on neither a file nor a query can take more than this."""
    if sys.platform == "win32":
        return
    import resource

    def lower(which: int, most: int) -> None:
        _, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_CPU, CPU_SECONDS)
    if sys.platform == "linux":  # macOS does not keep this limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        lower(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY)
