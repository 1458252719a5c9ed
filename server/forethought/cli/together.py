"""Several like questions put to a person at the terminal: one look, and all or some of them approved or rejected."""

__all__ = ["put_together"]

import time
from collections.abc import Callable, Sequence
from functools import partial

import anyio
from rich.markup import escape
from rich.panel import Panel

from forethought.app import Journal
from forethought.cli.terminal import as_is, console
from forethought.gates.decisions import OVERTAKEN, TOO_LATE, Overtaken, Recorded, record_decision, take_decision
from forethought.gates.forms import gate_text
from forethought.gates.together import chosen, rejectable
from forethought.journal.rows import MessageRow, RunRow
from forethought_tools import JSON, AnswerError, Fault, Registry

_QUESTION = "Type approve, reject, reject run or one_by_one (or nothing, to decide later): "
_HINT = 'That is of all {count}; "approve 1,3-5" is of some, and "{run}" of all that waits in that run.'


def put_together(
    journal: Journal, tools_of: Callable[[RunRow], Registry], messages: Sequence[MessageRow], seconds: float
) -> tuple[Sequence[MessageRow], Sequence[MessageRow]]:
    """Ask a person about several gates. Returns those that are settled, and those that they want to see one by one."""
    left: list[MessageRow] = list(messages)
    settled: list[MessageRow] = []
    while left:
        _show(journal, left)
        shown = time.monotonic()
        taken = _taken(journal, left)
        if isinstance(taken, str):
            return settled, left if taken else []
        verb, which, why = taken
        if time.monotonic() - shown > seconds:
            console.print(TOO_LATE)
            continue
        done = sum(_record(journal, tools_of, message, {"decision": verb, **why}) for message in which)
        console.print(f"{verb}: {done} recorded.")
        settled += which
        left = [message for message in left if message not in which]
    return settled, []


def _show(journal: Journal, messages: Sequence[MessageRow]) -> None:
    for number, message in enumerate(messages, 1):
        text = as_is(gate_text(message, journal.queries.run(message.run)))
        title = f"{number} of {len(messages)}: A person must decide"
        console.print(Panel(text, title=title, border_style="yellow", title_align="left"))
    runs = _runs(messages)
    told = "reject run" if len(runs) == 1 else "reject RUN"
    console.print(_HINT.format(count=len(messages), run=told), highlight=False)
    if len(runs) > 1:
        console.print(f"They are of {len(runs)} runs: {', '.join(runs)}.", soft_wrap=True)


def _taken(journal: Journal, messages: Sequence[MessageRow]) -> tuple[str, list[MessageRow], dict[str, JSON]] | str:
    """What a person decides, about which, and why; or a text where they decide nothing: empty, for later."""
    while True:
        try:
            typed = " ".join(input(_QUESTION).lower().split())
        except EOFError:
            return ""
        verb, _, which = typed.partition(" ")
        if typed in ("", "one_by_one", "one by one"):
            return typed
        if verb in ("approve", "reject"):
            try:
                meant = _meant(journal, messages, which)
            except AnswerError as error:
                console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
                continue
            if verb == "approve" and which.startswith("run"):
                continue  # what was not shown cannot be approved
            return verb, meant, _reason() if verb == "reject" else {}


def _meant(journal: Journal, messages: Sequence[MessageRow], which: str) -> list[MessageRow]:
    runs = _runs(messages)
    if which not in ("run", *runs):
        return [messages[number - 1] for number in chosen(which or "all", len(messages))]
    if which == "run" and len(runs) > 1:
        raise AnswerError([Fault("which", "these are of several runs", f"Name one, such as reject {runs[0]}")])
    return rejectable(journal.queries.open_messages(runs[0] if which == "run" else which, "gate"))


def _runs(messages: Sequence[MessageRow]) -> list[str]:
    return list(dict.fromkeys(message.run for message in messages))


def _reason() -> dict[str, JSON]:
    typed = input("Why (optional; the planner sees it): ").strip()
    return {"reason": typed} if typed else {}


def _record(
    journal: Journal, tools_of: Callable[[RunRow], Registry], message: MessageRow, filled: dict[str, JSON]
) -> bool:
    """Whether it was recorded."""
    record = partial(record_decision, journal.store, tools_of(journal.queries.run(message.run)))
    take = partial(take_decision, by="person at the terminal", channel="terminal", record=record)
    taken = anyio.run(take, message, filled)
    if isinstance(taken, Overtaken):
        console.print(OVERTAKEN)
    return isinstance(taken, Recorded)
