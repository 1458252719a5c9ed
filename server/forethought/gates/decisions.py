"""Taking a person's decision: what a filled form says, whether its gate can take that, and putting it on record.

Every channel comes through here: a client that shows forms, the terminal, the page.
"""

__all__ = [
    "OVERTAKEN",
    "TOO_LATE",
    "Overtaken",
    "Record",
    "Recorded",
    "Refused",
    "decision_facts",
    "record_decision",
    "take_decision",
]

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from forethought.gates.forms import read_form
from forethought.gates.standing import made
from forethought.journal.codec import decision_body, gate_of
from forethought.journal.database import StaleError
from forethought.journal.rows import Fact, MessageRow
from forethought.journal.store import Store
from forethought_patterns import Decision
from forethought_patterns.gates import decision_faults
from forethought_tools import JSON, AnswerError, Registry

TOO_LATE = "That took too long. Look at it once more."
OVERTAKEN = "It was decided or withdrawn meanwhile, or its run has ended."

Record: TypeAlias = Callable[[MessageRow, Decision], Awaitable[None]]
"""Puts a decision about an open gate on record, as `record_decision` does, and wakes who waits for it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The decision is on record."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Refused:
    """The form is not filled in as its gate needs it. The gate stays open."""

    error: AnswerError


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else decided before, or the run has ended. Nothing was recorded."""


async def take_decision(
    gate: MessageRow, filled: Mapping[str, JSON], *, by: str, channel: str, record: Record
) -> Recorded | Refused | Overtaken:
    """Record what a person has filled into the form of a gate, if it can be taken."""
    try:
        decision = read_form(gate_of(gate), filled, by=by, channel=channel)
        await record(gate, decision)
    except AnswerError as error:
        return Refused(error)
    except StaleError:
        return Overtaken()
    return Recorded(decision)


async def record_decision(store: Store, tools: Registry, gate: MessageRow, decision: Decision) -> None:
    """Record a person's decision about an open gate.

    Raises:
        AnswerError: the gate does not offer this choice, or an edit is not valid; it stays open.
        StaleError: it was decided before, or its run has ended.
    """
    facts = decision_facts(gate, decision, tools)
    rule = made(gate_of(gate), decision, store.queries.run(gate.run), tools)
    await store.write(gate.run, *facts, *rule)


def decision_facts(gate: MessageRow, decision: Decision, tools: Registry) -> list[Fact]:
    """The facts that a decision is recorded as. Raises AnswerError where the gate cannot take it."""
    judged = gate_of(gate)
    if decision.arguments is not None and judged.kind == "call":
        decision = replace(decision, arguments=tools.as_meant(judged.tool, decision.arguments))
    if faults := decision_faults(judged, decision, tools):
        raise AnswerError(faults)
    body: dict[str, JSON] = {"id": gate.id, "kind": "gate", "answer": decision_body(decision), "by": decision.by}
    answered = Fact("answered", {**body, "channel": decision.channel, "approval": decision.approved})
    return [answered, Fact("stop_asked")] if decision.verb == "cancel" else [answered]
