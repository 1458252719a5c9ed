"""A command runs in a granted folder, and leaves no process behind."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.child import end_group
from forethought_tools.folders import Folders
from forethought_tools.shell import shell_tools

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def run(root: Path, command: str, **more: JSON) -> Any:
    registry = Registry(shell_tools(Folders([root])))
    with anyio.fail_after(60):
        return await registry.call("run_command", {"command": command, **more}, nobody)


async def refusal(root: Path, command: str, **more: JSON) -> str:
    with pytest.raises(ToolError) as raised:
        await run(root, command, **more)
    return str(raised.value)


@pytest.fixture
async def waits_in_the_loop() -> AsyncGenerator[None]:
    """Asyncio hears of the ends of processes only while its loop has a turn, as is usual from Python 3.12 on."""
    if sys.version_info >= (3, 12):
        yield
        return
    watcher = asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    set_watcher: Any = asyncio.set_child_watcher  # pyright: ignore[reportDeprecated]  # only before it was
    set_watcher(watcher)
    yield
    set_watcher(None)  # the usual one again


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.usefixtures("waits_in_the_loop")
async def test_whatever_ends_while_it_is_being_ended_keeps_the_status_that_it_had(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = await anyio.open_process(["/bin/sh", "-c", "exit 7"], start_new_session=True)
    while lives(process.pid):
        pass  # nobody else has a turn, so nobody has heard of its end
    end_group(process)
    with anyio.fail_after(60):
        await process.aclose()
    assert (process.returncode, caplog.text) == (7, "")


def lives(process: int) -> bool:
    """A zombie does not: it is dead, and only waits to be counted."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def ended(process: int) -> None:
    """Killed processes take a moment to die."""
    with anyio.fail_after(60):
        while lives(process):
            await anyio.lowlevel.checkpoint()


def content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


async def written(path: Path) -> int:
    """The process id that a command writes, once it has."""
    with anyio.fail_after(60):
        while not content(path).endswith("\n"):
            await anyio.lowlevel.checkpoint()
    return int(content(path))


# A process below the shell, which writes its id and would live for a minute.
GRANDCHILD = "sh -c 'echo $$ > pid; exec sleep 60' & "


async def test_a_command_returns_what_it_printed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert await run(tmp_path, "echo out; echo err >&2; pwd", folder="sub") == {
        "exit_status": 0,
        "stdout": f"out\n{tmp_path / 'sub'}\n",
        "stderr": "err\n",
    }


async def test_a_failure_is_told_with_its_status_and_last_output(tmp_path: Path) -> None:
    said = await refusal(tmp_path, "echo before; echo reason >&2; exit 3")
    assert "exit status 3" in said
    assert "reason" in said
    assert "SIGTERM" in await refusal(tmp_path, "kill -TERM $$")


async def test_the_folder_must_be_granted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "outside" in await refusal(tmp_path, "true", folder="..")
    assert "is a file" in await refusal(tmp_path, "true", folder="file")
    assert "NUL" in await refusal(tmp_path, "echo \0")


async def test_input_is_empty(tmp_path: Path) -> None:
    assert (await run(tmp_path, "cat; echo end"))["stdout"] == "end\n"


async def test_variables_that_are_no_secrets_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILTIN_SECRET", "hush")
    monkeypatch.setenv("BUILTIN_OPEN", "seen")
    got = await run(tmp_path, "env")
    assert "hush" not in got["stdout"]
    assert "BUILTIN_OPEN=seen" in got["stdout"]


async def test_long_output_keeps_its_beginning_and_end(tmp_path: Path) -> None:
    printed = (await run(tmp_path, "seq 1 200000"))["stdout"]
    assert printed.startswith("1\n2\n")
    assert printed.endswith("199999\n200000\n")
    assert "bytes left out]" in printed
    assert len(printed) < 33_000


async def test_a_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    said = await refusal(tmp_path, f"{GRANDCHILD} echo started; wait", timeout=2.5)
    assert "2.5 s" in said
    assert "started" in said
    await ended(await written(tmp_path / "pid"))


async def test_cancelling_ends_the_whole_group(tmp_path: Path) -> None:
    process = 0
    async with anyio.create_task_group() as group:
        group.start_soon(run, tmp_path, f"{GRANDCHILD} wait")
        process = await written(tmp_path / "pid")
        group.cancel_scope.cancel()
    await ended(process)


async def test_cancelling_while_the_command_starts_ends_the_whole_group_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with anyio.create_task_group() as group:
        group.start_soon(run, tmp_path, f"{GRANDCHILD} wait")
        for _ in range(20):  # a few turns of the loop start the process, and not one more sets it up
            await anyio.lowlevel.checkpoint()
            deadline = time.monotonic() + 1
            while not content(pid).endswith("\n") and time.monotonic() < deadline:
                pass
            if content(pid):
                break
        group.cancel_scope.cancel()
    await ended(int(content(pid)))


async def test_what_runs_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    got = await run(tmp_path, f"{GRANDCHILD} while ! [ -s pid ]; do :; done; echo done")
    assert got["stdout"] == "done\n"
    await ended(await written(tmp_path / "pid"))


async def test_a_process_that_left_the_group_does_not_hold_the_call(tmp_path: Path) -> None:
    command = "setsid sh -c 'echo $$ > pid; exec sleep 60' & while ! [ -s pid ]; do :; done; echo deployed"
    try:
        got = await run(tmp_path, command, timeout=60)
        assert (got["exit_status"], got["stdout"]) == (0, "deployed\n"), "what is done is not called failed"
    finally:
        os.kill(await written(tmp_path / "pid"), signal.SIGKILL)


async def test_commands_run_at_the_same_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: dict[str, Any] = {}

    async def keep(name: str, command: str) -> None:
        got[name] = await run(tmp_path, command)

    async with anyio.create_task_group() as group:  # each end of the pipe waits for the other
        group.start_soon(keep, "reader", "cat pipe")
        group.start_soon(keep, "writer", "echo hello > pipe")
    assert cast("dict[str, str]", got["reader"])["stdout"] == "hello\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a command there may go on, and a person is told so")
async def test_a_command_ends_with_the_process_that_has_started_it(tmp_path: Path) -> None:
    script = """
import sys
import anyio
from forethought_tools.shell import run

anyio.run(run, "echo $$ > pid.new; mv pid.new pid; while :; do :; done", sys.argv[1], 60, {})
"""
    server = await anyio.open_process([sys.executable, "-c", script, str(tmp_path)])
    with anyio.fail_after(60):
        while not (tmp_path / "pid").exists():
            await anyio.lowlevel.checkpoint()
        command = int((tmp_path / "pid").read_text(encoding="utf-8"))
        assert lives(command)
        server.kill()
        await server.wait()
        while lives(command):
            await anyio.lowlevel.checkpoint()
