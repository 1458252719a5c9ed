"""What the commands share: two consoles, and a question that only a person at a terminal can answer."""

__all__ = ["ask_person", "console", "errors", "is_person", "plan_table"]

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from forethought_patterns import Decision

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_STYLES = {
    "succeeded": "green", "failed": "red", "rejected": "red", "in_doubt": "yellow", "running": "cyan",
    "waiting": "yellow", "skipped": "dim", "pending": "dim", "cancelled": "red",
}  # fmt: skip


def is_person() -> bool:
    """Whether a person can be asked here: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_person(text: str) -> Decision | None:
    """Ask for a decision in so many words. None: no decision was made."""
    console.print(Panel(Text(text), title="A person must decide", border_style="yellow", title_align="left"))
    while True:
        try:
            typed = input("Type approve or reject (or nothing, to decide later): ").strip().lower()
        except EOFError:
            return None
        if typed == "approve":
            return Decision(approved=True, by="person at the terminal", channel="terminal")
        if typed == "reject":
            reason = input("Why (optional): ").strip()
            return Decision(approved=False, reason=reason, by="person at the terminal", channel="terminal")
        if not typed:
            return None


def plan_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """The steps of a plan, with their states if it has run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("step", "tool", "risk", "after", "what", "state"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        state = str(step.get("state", "pending"))
        table.add_row(
            str(step["id"]),
            escape(str(step["tool"])),
            "[bold red]high[/]" if step["risk"] == "high" else str(step["risk"]),
            ", ".join(map(str, step["depends_on"])),
            escape(str(step["description"])),
            styled(state),
        )
    return table


def styled(state: str) -> str:
    """A state in its colour."""
    return f"[{_STYLES.get(state, 'default')}]{state}[/]"
