"""A view that lives while one waits: the steps of a plan, how long it has taken, and what a model is writing."""

__all__ = ["Watched"]

import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from forethought.cli.terminal import console, is_person, plan_table
from forethought_tools.visible import visible


class Watched:
    """What is watched. When it is shown no more, its table is left on the screen, if it has one."""

    def __init__(self) -> None:
        self._news = ""
        self._steps: Sequence[Mapping[str, Any]] | None = None
        self._began = time.monotonic()
        self._live: Live | None = None

    @contextmanager
    def shown(self, news: str = "") -> Generator[None]:
        """On the screen while this is open. `news` is what is told until there is more to tell."""
        self._news, self._steps, self._began = "", None, time.monotonic()
        self._tell(news)
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def aside(self) -> Generator[None]:
        """Off the screen, for a question: the table as it stands stays above it, and goes on below the answer."""
        was_shown = self._live is not None
        self._stop()
        try:
            yield
        finally:
            if was_shown:
                self._start()

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        """A progress notice of the server."""
        del progress, total  # the words say it too
        self._tell(message or self._news)

    def show(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """The steps as they are now."""
        if self._in_lines:
            for step in _moved(self._steps or (), steps):
                console.print(escape(f"{self._clock}  step {step['id']} {visible(step['tool'])}: {step['state']}"))
        self._steps = steps
        if self._live:
            self._live.refresh()

    def _tell(self, news: str) -> None:
        # What a model is writing is for whoever looks on; in a file each event is one line.
        event = news.partition("; the ")[0]
        if self._in_lines and event != self._news.partition("; the ")[0]:
            console.print(escape(f"{self._clock}  {event}"), soft_wrap=True)
        self._news = news

    @property
    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"

    @property
    def _in_lines(self) -> bool:
        """Whether what happens is told in lines, since nothing that stands there can change."""
        return not sys.stdout.isatty()  # colours may be forced into a file, and a moving cursor never

    def __rich__(self) -> RenderableType:
        table = [plan_table(self._steps)] if self._steps is not None else []
        # A line that changes is for whoever looks at it: not for a file, and not once all is over.
        line = f"{self._clock}  {self._news}"
        news = [Text(line, style="dim")] if self._live and is_person() else []
        return Group(*news, *table)  # what does not fit on the screen is the end of the table

    def _start(self) -> None:
        if self._in_lines:
            return
        self._live = Live(self, console=console, refresh_per_second=4, auto_refresh=is_person())
        self._live.start()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()


def _moved(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The steps whose state has changed; one that has not begun is no news."""
    states = {step["id"]: step.get("state", "pending") for step in before}
    return [step for step in now if step.get("state", "pending") != states.get(step["id"], "pending")]
