"""What the commands share: two consoles, and a question that only a person at a terminal can answer.

Whatever a command prints for a person goes through these consoles, the only way out to a terminal: nothing that a
plan, a file or a model says can move the cursor, hide, or change the order of what is read.
"""

__all__ = ["PROGRAM", "as_is", "ask_form", "console", "errors", "is_person", "plan_table", "styled"]

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from forethought.gates.forms import filled_in
from forethought_tools.visible import harmless, visible

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
}


def is_person() -> bool:
    """Whether a person can be asked here: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_form(message: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a person fills into the form of a gate, or None where they leave the decision for later."""
    console.print(Panel(as_is(message), title="A person must decide", border_style="yellow", title_align="left"))
    try:
        return _fill(schema)
    except EOFError:
        return None


def _fill(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    fields: dict[str, Any] = dict(schema["properties"])
    choices = list(fields.pop("decision")["enum"])
    while True:
        typed = (
            input(f"Type {', '.join(choices[:-1])} or {choices[-1]} (or nothing, to decide later): ").strip().lower()
        )
        if not typed:
            return None
        if typed in choices:
            break
    said = {"decision": typed}
    asked = {"edit": fields, "reject": {"reason": fields["reason"]}, "cancel": {"reason": fields["reason"]}}
    for name, field in asked.get(typed, {}).items():
        said[name] = input(f"{field.get('description', name)}: ").strip()
    return filled_in(schema, said)


def as_is(text: str) -> Text:
    """A text without markup, in which line breaks are line breaks."""
    return Text(harmless(text))


def plan_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """The steps of a plan, with their states if it has run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("step", "tool", "risk", "after", "what", "state"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        state = str(step.get("state", "pending"))
        table.add_row(
            str(step["id"]),
            escape(visible(str(step["tool"]))),
            "[bold red]high[/]" if step["risk"] == "high" else str(step["risk"]),
            ", ".join(map(str, step["depends_on"])),
            escape("\n".join([visible(str(step["description"])), *step.get("calls", ())]).strip()),
            styled(state),
        )
    return table


def styled(state: str) -> str:
    """A state in its colour."""
    return f"[{_STYLES.get(state, 'default')}]{state}[/]"
