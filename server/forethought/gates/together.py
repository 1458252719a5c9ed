"""Like questions, asked together: calls of one tool that wait at the same time. Each decision is about one of them."""

__all__ = ["chosen", "form_of_many", "read_many", "rejectable", "rejects_run", "text_of_many", "together"]

import re
from collections.abc import Mapping, Sequence
from typing import Any

from forethought.gates.forms import about, filled_in
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow, RunRow
from forethought_tools import JSON, AnswerError, Fault, schema_faults

_NUMBERS = re.compile(r"\d{1,4}(-\d{1,4})?")
_RUN = "reject run"
_WHICH = "all, or numbers such as 1,3-5"


def together(waiting: Sequence[MessageRow], *, most: int = 50, room: int | None = None) -> list[list[MessageRow]]:
    """Gates in groups: calls of one tool stand together, at most so many, and in so many characters; anything else is
    by itself."""
    groups: list[list[MessageRow]] = []
    open_groups: dict[str, tuple[list[MessageRow], int]] = {}
    for message in waiting:
        gate = gate_of(message)
        size = len(gate.text({})) if room is not None else 0
        group, used = open_groups.get(gate.tool, (list[MessageRow](), 0))
        fits = len(group) < most and used + size <= (room or 0)
        if gate.kind != "call" or not group or not fits:
            group, used = list[MessageRow](), 0
            groups.append(group)
        group.append(message)
        if gate.kind == "call":
            open_groups[gate.tool] = group, used + size
    return groups


def chosen(text: str, count: int) -> list[int]:
    """Which of so many are meant: `all`, or numbers such as `1,3-5`. Raises AnswerError."""
    words = [word for word in re.split(r"[\s,]+", text.strip().lower()) if word]
    if words == ["all"]:
        return list(range(1, count + 1))
    if not words or not all(_NUMBERS.fullmatch(word) for word in words):
        raise AnswerError([Fault("which", f"{text[:80]!r} names none", f"Give {_WHICH}")])
    ends = [(int(word.partition("-")[0]), int(word.rpartition("-")[2])) for word in words]
    if not all(1 <= first <= last <= count for first, last in ends):
        raise AnswerError([Fault("which", f"{text[:80]!r} goes beyond them", f"Give numbers from 1 to {count}")])
    return sorted({number for first, last in ends for number in range(first, last + 1)})


def text_of_many(messages: Sequence[MessageRow], run: RunRow) -> str:
    """What a person reads of several questions of a run, each as if it were the only one."""
    items = [f"{number}) {gate_of(message).text({})}" for number, message in enumerate(messages, 1)]
    rest = gate_of(messages[0]).text(about(run)).removeprefix(gate_of(messages[0]).text({})).strip()
    head = f"{len(messages)} like questions. Decide about all of them, or about those that you name."
    return "\n\n".join([head, *items, rest])


def form_of_many(waiting: int = 0) -> dict[str, Any]:
    """The form for several questions. One without a decision decides nothing. Where so many of the run are `waiting`
    that it does not show them all, they can be rejected with these; what is not shown is never approved."""
    said, choices = "approve: go ahead, this once; reject: not at all", ["approve", "reject"]
    if waiting:
        choices.append(_RUN)
        said += f"; {_RUN}: nothing of this run that waits, all {waiting} questions, also those that are not shown here"
    fields: dict[str, dict[str, Any]] = {
        "decision": {"type": "string", "enum": choices, "description": said},
        "which": {"type": "string", "description": f"Of which: {_WHICH}", "default": "all"},
        "others": {
            "type": "string",
            "enum": ["wait", "approve", "reject"],
            "description": "What becomes of those that you do not name",
            "default": "wait",
        },
        "reason": {"type": "string", "description": "Why not (optional; the planner sees it)", "default": ""},
    }
    return {"type": "object", "properties": fields, "required": ["decision"]}


def rejectable(waiting: Sequence[MessageRow]) -> list[MessageRow]:
    """Those of a run that are rejected when all of it is."""
    return [message for message in waiting if "reject" in gate_of(message).choices]


def rejects_run(content: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """The form of each single question, where a form for several rejects all of the run; else nothing. Raises
    AnswerError where it says of which besides."""
    if content.get("decision") != _RUN:
        return None
    given = filled_in({**form_of_many(1), "additionalProperties": False}, content)
    if unused := [name for name in given if name not in ("decision", "reason")]:
        raise AnswerError([Fault(name, f"it is filled in, and {_RUN} is about all", "Leave it") for name in unused])
    return {"decision": "reject", **({"reason": given["reason"]} if "reason" in given else {})}


def read_many(content: Mapping[str, JSON], count: int) -> dict[int, dict[str, JSON]]:
    """The forms of single questions that a form for several holds, by number. Raises AnswerError."""
    strict = {**form_of_many(), "additionalProperties": False}
    given = filled_in(strict, content)
    if faults := schema_faults(strict, given):
        raise AnswerError([Fault("form", fault.at("form"), "Fill it in as it says") for fault in faults])
    named = chosen(str(given.get("which", "all")), count)
    verbs = {
        number: str(given["decision"] if number in named else given.get("others")) for number in range(1, count + 1)
    }
    why: dict[str, JSON] = {"reason": given["reason"]} if "reason" in given else {}
    return {
        number: {"decision": verb, **(why if verb == "reject" else {})}
        for number, verb in verbs.items()
        if verb in ("approve", "reject")
    }
