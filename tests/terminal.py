"""A command in a real terminal, and somebody who types."""

import os
import pty
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


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
