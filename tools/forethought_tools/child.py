"""A question that is answered in a process of its own, which is killed with the call (`answering.py` is its side).

What the answer takes in memory and in time, it takes there.
"""

__all__ = ["answered_by", "as_line", "end_group"]

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from forethought_tools.errors import ToolError
from forethought_tools.tool import JSON

MAX_ANSWER = 16 << 20  # bytes: what the child may say, with every character spelled out
# It needs nothing else, least of all a key.
VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT", "TZ")
# The package without what it imports by itself, which takes longer than most answers.
_START = """import sys, types
from importlib import import_module
package = sys.modules["forethought_tools"] = types.ModuleType("forethought_tools")
package.__path__ = [sys.argv[1]]
import_module(sys.argv[2]).main()"""


def as_line(request: Mapping[str, JSON]) -> bytes:
    """A request as its program reads it."""
    return json.dumps(request).encode() + b"\n"


async def answered_by(program: str, request: bytes, descriptors: Sequence[int], *, ended: str, too_long: str) -> JSON:
    """What a program of ours answers, to which these open files are handed on. However this is left, it is gone.

    Raises:
        ToolError: what the program says is wrong; `ended`, where it took too much; or its answer is `too_long`.
    """
    process = await _started(program, descriptors)
    try:
        answer = await _asked(process, request, ended, too_long)
    finally:
        with anyio.CancelScope(shield=True):
            end_group(process)
            await process.aclose()
    if "error" in answer:
        raise ToolError(str(answer["error"]))
    return answer["result"]


def end_group(process: Process) -> None:
    """End a process that leads a group, and everything it has started, unless that has left the group on purpose.

    Never by `process.kill()`: of one that has just ended that takes the status away from asyncio, which then logs that
    it knows no such process, and makes one up.
    """
    if sys.platform == "win32":
        if process.returncode is None:
            taskkill = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(taskkill, check=False, capture_output=True)  # noqa: S603 - our own process id
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (
        ProcessLookupError,
        PermissionError,
    ):  # all gone; macOS says PermissionError for a group of zombies
        return


async def _started(program: str, descriptors: Sequence[int]) -> Process:
    # -P: a json.py in the user's folder must not be imported.
    command = [sys.executable, "-P", "-c", _START, str(Path(__file__).parent), f"forethought_tools.{program}"]
    environment = {name: value for name in VARIABLES if (value := os.environ.get(name)) is not None}
    with anyio.CancelScope(shield=True):  # cancelled in the middle of this, the process would be left behind
        return await anyio.open_process(
            command,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            pass_fds=() if sys.platform == "win32" else descriptors,
        )
    raise AssertionError("a shielded scope swallows nothing")


async def _asked(process: Process, request: bytes, ended: str, too_long: str) -> Mapping[str, JSON]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send(request)
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", MAX_ANSWER)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead):
        status = await process.wait()
        raise ToolError(ended.replace("{status}", str(status))) from None
    except anyio.DelimiterNotFound:
        raise ToolError(too_long) from None
    return cast("Mapping[str, JSON]", json.loads(line))
