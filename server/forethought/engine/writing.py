"""What the models of this process are writing: the end of it is told to those who look on. It is never recorded."""

__all__ = ["overheard"]

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from forethought.engine.watchers import Watchers
from forethought_patterns import Heard
from forethought_tools import Role
from forethought_tools.text import one_line
from forethought_tools.visible import visible

_EVERY = 1.0  # seconds between two looks at an answer that is being written
_SHOWN = 100  # characters of its end


@contextmanager
def overheard(
    run_id: str, role: Role, watchers: Watchers, *, shown: Callable[[str], str], also: Heard | None
) -> Generator[Heard]:
    """While this is open, whoever watches the run is told what is heard; `also` hears all of it.

    `shown` is what may be told of a text that is not complete: no secret, and no beginning of one.
    """
    said: list[str] = []
    due = 0.0

    def heard(piece: str | None) -> None:
        nonlocal due
        if also is not None:
            also(piece)
        if piece is None:
            said.clear()
            return
        said.append(piece)
        if (now := anyio.current_time()) >= due:
            due = now + _EVERY
            watchers.tell(run_id, f"the {role} writes: {_end(shown(''.join(said)))}")

    try:
        yield heard
    finally:
        watchers.hush(run_id)


def _end(text: str) -> str:
    line = one_line(text)
    return visible(line if len(line) <= _SHOWN else f"... {line[-_SHOWN:]}")
