"""What the commands share: two consoles, and questions that only a person at a terminal can answer.

Whatever a command prints for a person goes through these consoles, the only way out to a terminal: nothing that a
plan, a file or a model says can move the cursor, hide, or change the order of what is read.
"""

__all__ = [
    "PROGRAM",
    "agreed",
    "as_is",
    "console",
    "errors",
    "is_person",
    "may_forget",
    "plan_table",
    "print_json",
    "styled",
]

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from forethought_tools import JSON
from forethought_tools.text import one_line
from forethought_tools.visible import harmless, visible, visible_json

PROGRAM = "forethought" if shutil.which("forethought") else sys.argv[0]
"""What a person has to type to run this program."""


class _Harmless(Console):
    """Prints what others wrote as text, and never as something that the terminal obeys."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(harmless(text), **how)  # before it is laid out, so that it is laid out as it is shown

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=harmless(segment.text))


console = _Harmless(highlight=False)
errors = _Harmless(stderr=True, highlight=False)

_NARROW = 70  # columns
_ALL = ("step", "tool", "risk", "after", "what", "state")
_FEW = ("step", "state", "risk", "what")
_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "rejected": "red",
    "in_doubt": "yellow",
    "running": "cyan",
    "waiting": "yellow",
    "skipped": "dim",
    "pending": "dim",
    "cancelled": "red",
    "stale": "red",
    "not resumed": "red",
}


def is_person() -> bool:
    """Whether a person can be asked here: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def agreed(question: str, *, default: bool = False) -> bool:
    """Whether a person says yes. An end of input is none; nothing typed is `default`."""
    try:
        typed = input(question).strip().lower()
    except EOFError:
        return False
    return typed in ("y", "yes") or (default and not typed)


def may_forget(which: str, *, yes: bool, as_json: bool = False) -> int:
    """0 where this may be forgotten, since a person says so or has said so with --yes; else how the command ends.
    Nobody is asked in the middle of JSON."""
    if yes:
        return 0
    if as_json or not is_person():
        errors.print(
            f"{escape(which)} would be forgotten. Nobody can be asked here; --yes forgets without asking.",
            soft_wrap=True,
        )
        return 3
    if not agreed(f"Forget {which}? This cannot be taken back. [y/N] "):
        console.print("Nothing was forgotten.")
        return 1
    return 0


def print_json(value: JSON) -> None:
    """A value as JSON, the only thing that a command with --json prints there."""
    text = visible_json(value, indent=1)
    if not sys.stdout.encoding.lower().startswith("utf"):
        text = "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text)
    print(text)


def as_is(text: str) -> Text:
    """A text without markup, in which line breaks are line breaks."""
    return Text(harmless(text))


def plan_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """The steps of a plan, with their states if it has run. A narrow terminal has room for what matters most."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    narrow = console.width < _NARROW
    for heading in _FEW if narrow else _ALL:
        table.add_column(heading, overflow="fold", no_wrap=narrow and heading != "what")
    for step in steps:
        cells = _cells(step)
        if narrow:
            cells["what"] = f"{cells['tool']}\n{cells['what']}"
        table.add_row(*(cells[heading] for heading in (_FEW if narrow else _ALL)))
    return table


def _cells(step: Mapping[str, Any]) -> dict[str, str]:
    return {
        "step": str(step["id"]),
        "tool": escape(visible(str(step["tool"]))),
        "risk": "[bold red]high[/]" if step["risk"] == "high" else str(step["risk"]),
        "after": ", ".join(map(str, step["depends_on"])),
        "what": escape("\n".join([visible(one_line(str(step["description"]))), *step.get("calls", ())]).strip()),
        "state": styled(str(step.get("state", "pending"))),
    }


def styled(state: str) -> str:
    """A state in its colour."""
    return f"[{_STYLES.get(state, 'default')}]{state}[/]"
