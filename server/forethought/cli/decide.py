"""`forethought decide`: a person at a terminal approves or rejects what waits. There is no flag for it, on purpose:
a program that can run commands must not be able to approve by running one.
"""

__all__ = ["decide"]

from rich.markup import escape

from forethought.app import open_store
from forethought.cli.terminal import ask_person, console, errors, is_person
from forethought.rows import MessageRow
from forethought.runs import decision_fact
from forethought.settings import Settings
from forethought.store import StaleError, Store
from forethought.surface.attach import gate_text


def decide(settings: Settings, some_id: str | None) -> int:
    """Show each open gate of a run, or of all runs, and take a decision. Returns 3 if any stays open."""
    if not is_person():
        errors.print("forethought decide asks a person, so it needs a terminal on both sides. Nothing was decided.")
        return 3
    store = open_store(settings)
    try:
        gates = _gates(store, some_id)
        if not gates:
            console.print("Nothing waits for a person.")
            return 0
        decided = [_decide(store, gate) for gate in gates]
    finally:
        store.close()
    return 0 if all(decided) else 3


def _gates(store: Store, some_id: str | None) -> list[MessageRow]:
    if some_id is None:
        return store.open_messages(kind="gate")
    if some_id.startswith("gate_"):
        return [gate for gate in [store.message(some_id)] if gate.state == "open"]
    return store.open_messages(store.run(some_id).id, "gate")


def _decide(store: Store, gate: MessageRow) -> bool:
    run = store.run(gate.run)
    decision = ask_person(gate_text(gate, run, store.plan(run.plan).goal))
    if decision is None:
        console.print("Left waiting.")
        return False
    try:
        store.commit(gate.run, decision_fact(gate, decision))
    except StaleError:
        console.print("It was decided meanwhile, or its run has ended.")
        return True
    verb = "approved" if decision.approved else "rejected"
    console.print(
        f"{verb}. A server that is running goes on with it at once; else: forethought run --resume {escape(gate.run)}"
    )
    return True
