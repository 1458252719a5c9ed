"""`forethought decide`: a person at a terminal decides about what waits, there or on a page with a code from there.
No flag holds a decision, on purpose: a program that can run commands must not be able to approve by running one.
"""

__all__ = ["decide"]

import time
from collections.abc import Callable
from functools import partial

import anyio
from rich.markup import escape

from forethought.app import Journal, open_records
from forethought.cli.terminal import PROGRAM, ask_form, console, errors, is_person
from forethought.engine.records import resuming
from forethought.engine.runs import decision_facts
from forethought.gates.desk import codes
from forethought.gates.forms import form, gate_text, read_form
from forethought.gates.page import Page
from forethought.journal.codec import gate_of
from forethought.journal.database import StaleError
from forethought.journal.rows import MessageRow, RunRow
from forethought.journal.store import Store
from forethought.settings import Settings
from forethought_patterns import Decision
from forethought_patterns.gates import visible
from forethought_tools import AnswerError

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
    with open_records(settings) as records:
        gates = _gates(records.store, some_id)
        if not gates:
            console.print("Nothing waits for a person.")
            return 0
        if page:
            return _decide_on_page(records, partial(_gates, records.store, some_id), settings.decision_seconds)
        decided = [_decide(records, gate, settings.decision_seconds) for gate in gates]
    return 0 if all(decided) else 3


def _gates(store: Store, some_id: str | None) -> list[MessageRow]:
    if some_id is None:
        return store.queries.open_messages(kind="gate")
    if some_id.startswith("gate_"):
        return [gate for gate in [store.queries.message(some_id)] if gate.state == "open"]
    return store.queries.open_messages(store.queries.run(some_id).id, "gate")


def _decide(records: Journal, message: MessageRow, seconds: float) -> bool:
    store, gate = records.store, gate_of(message)
    shown = time.monotonic()
    while (filled := ask_form(gate_text(message, store.queries.run(message.run)), form(gate))) is not None:
        if time.monotonic() - shown > seconds:
            console.print("That took too long. Look at it once more.")
            shown = time.monotonic()
            continue
        try:
            decision = read_form(gate, filled, by="person at the terminal", channel="terminal")
            store.commit(message.run, *decision_facts(message, decision, records.records.tools))
        except AnswerError as error:
            console.print(f"[red]{escape(str(error))}[/]")
        except StaleError:
            console.print("It was decided meanwhile, or its run has ended.")
            return True
        else:
            _tell(store.queries.run(message.run), decision)
            return True
    console.print("Left waiting.")
    return False


def _tell(run: RunRow, decision: Decision) -> None:
    does = "ends it" if run.stopping else "goes on with it"
    how = f"A server that is running {does} at once; else: {PROGRAM} {resuming(run.id, run.folders)}"
    if run.state == "paused":
        how = f"It goes on after {PROGRAM} resume {run.id}"
    console.print(f"{decision.verb}: recorded. {escape(how)}", soft_wrap=True)


def _decide_on_page(records: Journal, waiting: Callable[[], list[MessageRow]], seconds: float) -> int:
    try:
        anyio.run(_serve, records, waiting, seconds)
    except KeyboardInterrupt:
        console.print("The page is closed.")
    left = len(waiting())
    console.print(f"Left waiting: {left}." if left else "Nothing waits any more.")
    return 3 if left else 0


async def _serve(records: Journal, waiting: Callable[[], list[MessageRow]], seconds: float) -> None:
    async def record(message: MessageRow, decision: Decision) -> None:
        await records.store.write(message.run, *decision_facts(message, decision, records.records.tools))
        console.print(escape(visible(gate_of(message).subject)))
        _tell(records.queries.run(message.run), decision)

    def show_code(url: str, code: str) -> None:
        console.print(f"\nDecide at {url} with this code, once: [bold]{code}[/]", soft_wrap=True)

    with anyio.move_on_after(_PAGE) as hour:
        if not await Page(records.store, waiting, decide=record, show_code=show_code, seconds=seconds).serve():
            console.print("[red]Too many wrong codes were given: the page is closed.[/] Was it you?")
    if hour.cancelled_caught:
        console.print("The page was open for an hour, and is closed.")
