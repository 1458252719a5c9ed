"""Built in: run a command. Nothing of it is left behind: its whole process group ends with the call, and with us."""

__all__ = ["shell_tools"]

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import anyio
from anyio.abc import ByteReceiveStream, Process
from pydantic import Field

from forethought_tools.child import end_group
from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders, mended
from forethought_tools.inherited import is_inherited
from forethought_tools.named import named_files
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool

KEPT = 16_000
MAX_SECONDS = 600


def shell_tools(folders: Folders, is_inherited: Callable[[str, str], bool] = is_inherited) -> list[Tool]:
    """run_command in these folders. `is_inherited` says by name and value which environment variables commands see."""

    async def run_command(
        command: Annotated[str, Field(description="For the system's shell", min_length=1, max_length=20_000)],
        folder: Annotated[str, Field(description="Where to run it")] = ".",
        timeout: Annotated[float, Field(description="Seconds", gt=0, le=MAX_SECONDS)] = 60,  # noqa: ASYNC109 - the tool's own argument
    ) -> JSON:
        """Run a shell command, and end what it leaves running. Returns {exit_status, stdout, stderr}."""
        real = folders.resolve(folder)
        if not real.is_dir():
            raise ToolError(f"{folder!r} is a file. Name a folder.")
        environment = {name: value for name, value in os.environ.items() if is_inherited(name, value)}
        return await run(command, str(real), timeout, environment)

    def anything(_: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.everything())  # what a command touches nobody knows

    def refuse(arguments: Mapping[str, JSON]) -> None:
        folders.resolve(str(arguments.get("folder", ".")), new=True)
        refuse_nul(str(arguments["command"]))

    def named(arguments: Mapping[str, JSON]) -> Mapping[str, str]:
        return named_files(folders, str(arguments.get("folder", ".")), str(arguments.get("command", "")))

    limits = Limits(timeout=MAX_SECONDS + 30)
    return [
        tool(
            run_command, risk=Risk.HIGH, repeatable=False, limits=limits, claims=anything, rests_on=named, refuse=refuse
        ),
    ]


# Holds the other end of a pipe to us. However we die, the pipe ends, and then the whole group does.
WATCHED = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec /bin/sh -c "$1" </dev/null 3<&-'
LAST_WORDS = 1.0  # seconds to read what is still in the pipes


class Excerpt:
    """The first and the last bytes of a stream of any length."""

    def __init__(self) -> None:
        self._head, self._tail, self._total = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        room = KEPT - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-KEPT:] if len(data) > room else self._tail
        self._total += len(data)

    def __str__(self) -> str:
        missing = self._total - len(self._head) - len(self._tail)
        middle = f"\n[{missing} bytes left out]\n".encode() if missing else b""
        return (self._head + middle + self._tail).decode("utf-8", "replace")


async def run(command: str, folder: str, seconds: float, environment: Mapping[str, str]) -> JSON:
    out, err = Excerpt(), Excerpt()
    process = await start(command, folder, environment)
    try:
        with anyio.fail_after(seconds):
            async with anyio.create_task_group() as readers:
                readers.start_soon(collect, process.stdout, out)
                readers.start_soon(collect, process.stderr, err)
                await process.wait()
                end_group(process)  # a background process would keep the pipes open for ever
                # One that has left the group does; the command itself is done, and that is what counts.
                readers.cancel_scope.deadline = anyio.current_time() + LAST_WORDS
    except TimeoutError:
        raise ToolError(
            f"The command was ended after {seconds:g} s. Give it more time or less to do.{last(out, err)}"
        ) from None
    finally:
        with anyio.CancelScope(shield=True):
            end_group(process)
            await process.aclose()
    status = process.returncode or 0
    if status:
        raise ToolError(f"The command {ending(status)}.{last(out, err)}")
    return {"exit_status": status, "stdout": str(out), "stderr": str(err)}


def refuse_nul(command: str) -> None:
    if "\0" in command:
        raise ToolError("The command holds a NUL character, which no shell accepts.")


async def start(command: str, folder: str, environment: Mapping[str, str]) -> Process:
    refuse_nul(command)
    # Cancelled in the middle of this, only the shell would be ended, and not what it has started by then.
    with mended(folder), anyio.CancelScope(shield=True):
        is_posix = sys.platform != "win32"
        return await anyio.open_process(
            ["/bin/sh", "-c", WATCHED, "sh", command] if is_posix else command,
            stdin=subprocess.PIPE if is_posix else subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    raise AssertionError("a shielded scope swallows nothing")


async def collect(stream: ByteReceiveStream | None, excerpt: Excerpt) -> None:
    if stream is not None:
        async for data in stream:
            excerpt.add(data)


def ending(status: int) -> str:
    if status < 0:
        known = {int(each): each.name for each in signal.Signals}
        return f"was ended by signal {known.get(-status, -status)}"
    return f"failed with exit status {status}"


def last(out: Excerpt, err: Excerpt) -> str:
    """The end of what the command printed: of its errors, or where there are none, of its output."""
    said = str(err).strip() or str(out).strip()
    return f" Its last output:\n{said[-2000:]}" if said else " It printed nothing."
