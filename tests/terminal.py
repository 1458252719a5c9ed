"""A command in a real terminal, and somebody who types; or without one, as a program meets it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).parent / "forethought")


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """What a command finds in its environment, in a terminal of 120 columns."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "FORETHOUGHT_HOME": str(home), "TERM": "xterm", "COLUMNS": "120", **more}


def scripted(folder: Path, roles: Mapping[str, Any]) -> str:
    """A model that always says the same in each role, as a setting names it."""
    script = folder / "script.json"
    script.write_text(json.dumps({role: [{"always": said}] for role, said in roles.items()}), encoding="utf-8")
    return f"scripted:{script}"


def piped(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours without a terminal."""
    return subprocess.run(
        [COMMAND, *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def typed(environment: Mapping[str, str], *arguments: str, answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run a command of ours in a terminal, and type each answer once its question is on the screen."""
    react, left = answering(answers)
    status, screen = converse([COMMAND, *arguments], environment, react)
    assert not left, f"never asked: {left}\n{screen}"
    return status, screen


def converse(
    command: Sequence[str],
    environment: Mapping[str, str],
    react: Callable[[str], str | None],
    *,
    folder: Path | None = None,
    seconds: float = 300,
) -> tuple[int, str]:
    """Run a command in a terminal until it ends, and type what `react` answers to the screen so far.

    Returns its exit status and all that was on the screen.
    """
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it; a terminal does not
        if folder:
            os.chdir(folder)
        os.execve(command[0], list(command), dict(environment))
    screen, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            screen += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:  # the other end is closed
            break
        if (typed := react(screen)) is not None:
            os.write(terminal, f"{typed}\n".encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screen


def answering(answers: Sequence[tuple[str, str]]) -> tuple[Callable[[str], str | None], list[tuple[str, str]]]:
    """What types each answer once its question is on the screen, and the answers that are left."""
    waiting, asked_from = list(answers), 0

    def react(screen: str) -> str | None:
        nonlocal asked_from
        if not waiting or waiting[0][0] not in screen[asked_from:]:
            return None
        asked_from = len(screen)
        return waiting.pop(0)[1]

    return react, waiting
