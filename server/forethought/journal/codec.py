"""What the journal keeps of the patterns' values, and the values again: gates, decisions, plans, questions."""

__all__ = [
    "claim_body",
    "claim_of",
    "decision_body",
    "decision_of",
    "gate_body",
    "gate_of",
    "item_body",
    "item_of",
    "loop_form",
    "outcome_of",
    "plan_body",
    "question_body",
    "settled_fact",
    "step_of_row",
    "told_spending",
    "tried_of",
    "workspace_of",
]

import json
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import TypeAdapter

from forethought.journal.rows import SETTLED, Fact, MessageRow, StepRow
from forethought_patterns import Decision, Gate, Outcome, Plan, Returned, Spending, Step, Tried
from forethought_patterns.gates import digest
from forethought_patterns.watcher import Item
from forethought_tools import JSON, Claim, Question

_ITEM = "item_of"  # in the body of a step's row
_GATE, _DECISION, _CLAIM = TypeAdapter(Gate), TypeAdapter(Decision), TypeAdapter(Claim)


def gate_body(gate: Gate) -> dict[str, JSON]:
    """A gate as the journal keeps it."""
    return cast("dict[str, JSON]", _GATE.dump_python(gate, mode="json"))


def gate_of(message: MessageRow) -> Gate:
    """The gate that a message holds."""
    return _GATE.validate_python(message.body)


def decision_body(decision: Decision) -> dict[str, JSON]:
    """A decision as the journal keeps it: who made it, and how we know, stands beside it."""
    body = _DECISION.dump_python(decision, mode="json", exclude={"by", "channel"}, exclude_none=True)
    return cast("dict[str, JSON]", body)


def decision_of(message: MessageRow) -> Decision:
    """The decision that a gate's message holds."""
    answer = cast("Mapping[str, JSON]", message.answer)
    return _DECISION.validate_python({**answer, "by": message.by, "channel": message.channel})


def plan_body(
    plan_id: str,
    plan: Plan,
    *,
    folders: JSON,
    confidence: float | None = None,
    why: str = "",
    advice: Sequence[str] = (),
) -> dict[str, JSON]:
    """A plan as the journal keeps it: what its calls mean depends on the folders that it was made for."""
    body: dict[str, JSON] = {
        "reasoning": plan.reasoning,
        "context": plan.context,
        "steps": plan.wire(),
        "planned": plan.planned,
        "approved": plan.approved,
        "folders": folders,
        "confidence": confidence,
        "why": why,
        "advice": advice,
    }
    return {"plan": plan_id, "revision": plan.revision, "goal": plan.goal, "body": body}


def workspace_of(folders: Sequence[str]) -> str:
    """What lessons, recipes and rules hold in: the very same folders."""
    return json.dumps(folders, ensure_ascii=False)


def claim_body(claim: Claim) -> dict[str, JSON]:
    """A claim as the journal keeps it."""
    return cast("dict[str, JSON]", _CLAIM.dump_python(claim, mode="json"))


def claim_of(body: JSON) -> Claim:
    """The claim that was kept so."""
    return _CLAIM.validate_python(body)


def outcome_of(row: StepRow) -> Outcome:
    """How a step has ended, by its row."""
    return Outcome(row.state, value=row.result, error=row.error, attempts=row.attempt)


def settled_fact(step: int, outcome: Outcome) -> Fact:
    body: dict[str, JSON] = {"state": outcome.state, "result": outcome.value, "error": outcome.error}
    return Fact("step_settled", {"step": step, **body})


def item_body(item: Item, loop: int, form: str) -> dict[str, JSON]:
    """An item of a loop as its row keeps it: the step, and the loop of which it is an item, with its form."""
    place: dict[str, JSON] = {"index": item.index, "label": item.label, "open": item.open}
    return {**item.step.wire(), _ITEM: {**place, "loop": loop, "form": form}}


def loop_form(loop: Step) -> str:
    """What a loop is, so that one which is changed has other items."""
    return digest(loop.tool, loop.wire())[:16]


def step_of_row(row: StepRow) -> Step | None:
    """The step that a row keeps itself, where its plan does not have it."""
    body = row.body
    if not isinstance(body, Mapping):
        return None
    return Step.model_validate({name: value for name, value in body.items() if name != _ITEM})


def item_of(row: StepRow) -> tuple[int, str, Item] | None:
    """The item that a row is about, with the id and the form of its loop."""
    place = row.body.get(_ITEM) if isinstance(row.body, Mapping) else None
    step = step_of_row(row)
    if not isinstance(place, Mapping) or step is None:
        return None
    index, label, ended = cast("int", place["index"]), str(place["label"]), row.state in SETTLED and not row.doubt
    item = Item(step, index, label, bool(place["open"]), ended)
    return cast("int", place["loop"]), str(place["form"]), item


def told_spending(spent: Spending) -> str:
    """What was spent, in words."""
    return (
        f"{spent.dollars:.4g} dollars, {spent.tokens} tokens, {spent.model_calls} model calls,"
        f" {spent.tool_calls} tool calls, {spent.seconds:.0f} seconds"
    )


def tried_of(row: StepRow) -> Tried:
    """How far a step has come, by its row."""
    arguments = cast("Mapping[str, JSON]", row.arguments)
    returned = Returned(arguments, row.result) if row.returned and row.state not in SETTLED else None
    return Tried(row.attempt, row.round, row.feedback, returned, arguments if row.doubt else None)


def question_body(question: Question) -> dict[str, JSON]:
    """A question as the journal keeps it, and as a work order shows it."""
    return {
        "role": question.role,
        "instructions": question.instructions,
        "context": question.context,
        "schema": question.schema,
        **({"examples": [list(example) for example in question.examples]} if question.examples else {}),
    }
