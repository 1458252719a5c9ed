"""Work on what comes from outside, done in a process of ours that is killed when it takes too long or too much.

A pattern, a schema or an expression can be made to run for ever, and some hold the interpreter's lock while they do.
There they stop nobody: `worker` is that process's program, and says how much one job may take.
"""

__all__ = ["apart"]

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from forethought_tools.errors import ToolError
from forethought_tools.tool import JSON

_MOST = 8_000_000  # characters of one job
_START = 60.0  # seconds, on a machine that is busy
_PATIENCE = 10.0  # seconds for one job: the process ends itself sooner, unless the machine is busy
# What Python needs to find itself and us. Keys and passwords are in the environment, too, and are not given on.
_SEEN = frozenset(
    {"HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "SYSTEMROOT", "USERPROFILE"}
)
_TURNS: RunVar[CapacityLimiter] = RunVar("turns")


async def apart(name: str, **given: JSON) -> Any:
    """What a job of `worker` has found.

    Raises:
        ToolError: it took too long or too much, or it is too large to be begun.
    """
    turns = _TURNS.get(None)
    if turns is None:
        turns = CapacityLimiter(1)
        _TURNS.set(turns)
    job: Mapping[str, JSON] = {"name": name, "given": given}
    answer = await to_thread.run_sync(_asked, job, limiter=turns)
    if "result" not in answer:
        raise ToolError(f"{answer.get('problem', 'It takes too long, or too much memory')}. Give something simpler.")
    return answer["result"]


def _asked(job: Mapping[str, JSON]) -> Mapping[str, Any]:
    try:
        line = json.dumps(job).encode() + b"\n"
    except (ValueError, RecursionError):
        return {"problem": "It is nested too deeply, or holds a number that is too large"}
    if len(line) > _MOST:
        return {"problem": f"It has {len(line):,} characters, more than {_MOST:,}"}
    return _WORKER.answer(line)


class _Worker:
    """The process: started for the first job, kept for the next ones, and replaced once it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def answer(self, line: bytes) -> Mapping[str, Any]:
        """What the process says to a line, or nothing where it has been ended over that."""
        with self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
            except OSError as error:
                return {"problem": f"No process can be started to look at it ({error.strerror})"}
            said = self._heard(line, _PATIENCE)
            if not said:
                self._end()
            return said

    def _start(self) -> None:
        self._end()
        atexit.unregister(self._end)
        atexit.register(self._end)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "forethought_tools.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it could say there is of others
            env={name: value for name, value in os.environ.items() if name in _SEEN},
            start_new_session=True,  # an interrupt at the terminal is for us to hear
        )
        self._heard(b"", _START)

    def _heard(self, line: bytes, seconds: float) -> Mapping[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        patience = threading.Timer(seconds, process.kill)
        patience.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return json.loads(process.stdout.readline() or b"{}")  # type: ignore[no-any-return]
        except (OSError, ValueError):  # it has ended, perhaps in the middle of its answer
            return {}
        finally:
            patience.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with suppress(OSError), process:  # what was not written any more is of no use
            pass


_WORKER = _Worker()
