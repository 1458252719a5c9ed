"""`forethought decide`: a person decides about what waits, in the terminal, or on a page with a code that it shows.

No flag holds a decision, on purpose: a program that can run commands must not be able to approve by running one.
"""

__all__ = ["decide", "tools_of"]

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
from rich.markup import escape

from forethought.app import Journal, open_journal, tools_for
from forethought.cli.asking import put
from forethought.cli.terminal import PROGRAM, console, errors, is_person
from forethought.cli.together import put_together
from forethought.engine.records import resuming
from forethought.gates.decisions import Recorded, record_decision
from forethought.gates.desk import codes
from forethought.gates.page import Page
from forethought.gates.together import together
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow, RunRow
from forethought.journal.store import Store
from forethought.settings import Settings
from forethought_patterns import Decision
from forethought_tools import Registry
from forethought_tools.visible import visible

_PAGE = 3600.0  # seconds that a page is served at most


def decide(settings: Settings, some_id: str | None, *, page: bool = False, code: bool = False) -> int:
    """Show each open gate of a run, or of all runs, and take a decision. Returns 3 if any stays open."""
    if not is_person():
        errors.print("forethought decide asks a person, so it needs a terminal on both sides. Nothing was decided.")
        return 3
    if code:
        pages = codes(settings.home)
        for url, secret in pages:
            console.print(f"{escape(url)} takes the code [bold]{secret}[/], once", soft_wrap=True)
        if not pages:
            console.print("No server has a page open.")
        return 0 if pages else 1
    with open_journal(settings) as journal:
        gates = _gates(journal.store, some_id)
        if not gates:
            console.print("Nothing waits for a person.")
            return 0
        if page:
            return _decide_on_page(settings, journal, partial(_gates, journal.store, some_id))
        try:
            decided = [_decide_together(settings, journal, group) for group in together(gates)]
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"What you have not decided waits on: {PROGRAM} decide") from None
    return 0 if all(decided) else 3


def _gates(store: Store, some_id: str | None) -> list[MessageRow]:
    if some_id is None:
        return store.queries.open_messages(kind="gate")
    if some_id.startswith("gate_"):
        return [gate for gate in [store.queries.message(some_id)] if gate.state == "open"]
    return store.queries.open_messages(store.queries.run(some_id).id, "gate")


def _decide_together(settings: Settings, journal: Journal, group: Sequence[MessageRow]) -> bool:
    """Whether all of a group were decided."""
    group = [message for message in group if journal.queries.message(message.id).state == "open"]
    if not group:
        return True  # decided meanwhile, perhaps with all of its run
    if len(group) == 1:
        return _decide(settings, journal, group[0])
    settled, single = put_together(journal, partial(tools_of, settings), group, settings.decision_seconds)
    for run in {message.run for message in settled}:
        _say_how(journal.queries.run(run))
    one_by_one = [_decide(settings, journal, message) for message in single]
    return len(settled) + len(single) >= len(group) and all(one_by_one)


def _decide(settings: Settings, journal: Journal, message: MessageRow) -> bool:
    tools = tools_of(settings, journal.queries.run(message.run))
    taken = put(journal, tools, message, settings.decision_seconds)
    if isinstance(taken, Recorded):
        _confirm(journal.queries.run(message.run), taken.decision)
    elif taken is None:
        console.print(f"Left waiting. {PROGRAM} decide {message.run} asks again.", soft_wrap=True)
    return taken is not None


def tools_of(settings: Settings, run: RunRow) -> Registry:
    """The tools in the folders in which a run was made, whatever is granted here: what it calls means that there."""
    return tools_for(replace(settings, folders=tuple(map(Path, run.folders))))


def _confirm(run: RunRow, decision: Decision) -> None:
    console.print(f"{decision.verb}: recorded. {escape(_how(run))}", soft_wrap=True)
    if decision.rule:
        forget = f"{PROGRAM} rules takes that back."
        console.print(f"Not asked any more: {escape(visible(decision.rule))}. {forget}", soft_wrap=True)


def _say_how(run: RunRow) -> None:
    console.print(escape(_how(run)), soft_wrap=True)


def _how(run: RunRow) -> str:
    does = "ends it" if run.stopping else "goes on with it"
    how = f"A server that is running {does} at once; else: {PROGRAM} {resuming(run.id, run.folders)}"
    if run.state == "paused":
        how = f"It goes on after {PROGRAM} resume {run.id}"
    return how


def _decide_on_page(settings: Settings, journal: Journal, waiting: Callable[[], list[MessageRow]]) -> int:
    try:
        anyio.run(_serve, settings, journal, waiting)
    except KeyboardInterrupt:
        console.print("The page is closed.")
    left = len(waiting())
    console.print(f"Left waiting: {left}." if left else "Nothing waits any more.")
    return 3 if left else 0


async def _serve(settings: Settings, journal: Journal, waiting: Callable[[], list[MessageRow]]) -> None:
    async def record(message: MessageRow, decision: Decision) -> None:
        tools = tools_of(settings, journal.queries.run(message.run))
        await record_decision(journal.store, tools, message, decision)
        console.print(escape(visible(gate_of(message).subject)))
        _confirm(journal.queries.run(message.run), decision)

    address = ""

    def show_code(url: str, code: str) -> None:
        nonlocal address
        if address not in ("", url):
            console.print("[red]Too many wrong codes were given: the page has a new address.[/] Was it you?")
        address = url
        console.print(f"\nDecide at {url} with this code, once: [bold]{code}[/]", soft_wrap=True)

    with anyio.move_on_after(_PAGE) as hour:
        await Page(
            journal.store, waiting, record=record, show_code=show_code, seconds=settings.decision_seconds
        ).serve()
    if hour.cancelled_caught:
        console.print("The page was open for an hour, and is closed.")
