"""The rows of a run, computed from its journal alone: written apart from the SQL, so that the two check each other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from forethought.journal.rows import Entry

Row = dict[str, Any]
UNANSWERED: Row = {"state": "open", "answer": None, "by": "", "channel": "", "answered": None}


@dataclass
class Folded:
    """The rows of one run so far."""

    run: Row = field(default_factory=dict[str, Any])
    steps: dict[int, Row] = field(default_factory=dict[int, Row])
    messages: dict[str, Row] = field(default_factory=dict[str, Row])


Fact = Callable[[Folded, Entry, Any], None]
FACTS: dict[str, Fact] = {}


def fold(entries: Iterable[Entry]) -> tuple[Row, dict[int, Row], dict[str, Row]]:
    """The row of one run, its steps and its messages."""
    rows = Folded()
    for entry in entries:
        FACTS[entry.kind](rows, entry, entry.body)
    return rows.run, rows.steps, rows.messages


def _fact(*kinds: str) -> Callable[[Fact], Fact]:
    """What a fact of these kinds does to the rows."""

    def known(change: Fact) -> Fact:
        FACTS.update(dict.fromkeys(kinds, change))
        return change

    return known


@_fact("claimed", "freed")  # a claim is nothing that stays
@_fact("lesson_learned", "lessons_forgotten", "recipe_kept", "recipes_forgotten", "pruned")  # no part of a run
@_fact("rule_made", "rules_forgotten", "rule_used")
@_fact("call_begun")  # gone when the run ends
@_fact("order_taken", "order_kept", "order_returned")  # and who has an order, when that is answered
@_fact("budget_nearly_spent", "step_allowed", "run_left", "drive_asked")
def _nothing(rows: Folded, entry: Entry, body: Any) -> None:
    pass


# The run


@_fact("run_created")
def _created(rows: Folded, entry: Entry, body: Any) -> None:
    given = {name: body[name] for name in ("plan", "kind", "owner", "options", "revision", "budget")}
    none = dict.fromkeys(
        ("stopping", "pausing", "replans", "unpriced", "model_calls", "tool_calls", "input_tokens", "output_tokens"), 0
    )
    rows.run = {
        "id": entry.run,
        "state": "running",
        "epoch": 1,
        "error": "",
        "undoes": "",
        "answer": "",
        "dollars": 0.0,
        "seconds": 0.0,
        "created": entry.at,
        "ended": None,
        **none,
        **given,
    }
    rows.steps = {n: _pending(entry.run, n) for n in body["steps"]}


@_fact("run_claimed")
def _run_claimed(rows: Folded, entry: Entry, body: Any) -> None:
    run = rows.run
    run |= {"owner": body["owner"], "epoch": run["epoch"] + 1, "state": "running", "pausing": run["pausing"] % 2}
    for message in rows.messages.values():
        if message["state"] == "answered" and message["kind"] == "gate" and _lapses(message, body["oldest"]):
            message |= UNANSWERED
        if message["state"] == "answered":
            message["state"] = "used"


@_fact("run_parked")
def _parked(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run |= {"state": "waiting", "owner": None, "seconds": rows.run["seconds"] + body["seconds"]}


@_fact("run_paused")
def _paused(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run |= {"state": "paused", "owner": None, "seconds": rows.run["seconds"] + body["seconds"]}


@_fact("run_ended")
def _ended(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run |= {name: body[name] for name in ("state", "error", "answer")}
    rows.run |= {"ended": entry.at, "owner": None, "seconds": rows.run["seconds"] + body["seconds"]}
    for message in rows.messages.values():
        if message["state"] == "open":
            message["state"] = "closed"


@_fact("stop_asked")
def _stop_asked(rows: Folded, entry: Entry, body: Any) -> None:
    run = rows.run
    run |= {"stopping": 1, "state": "waiting" if run["state"] == "paused" else run["state"]}


@_fact("pause_asked")
def _pause_asked(rows: Folded, entry: Entry, body: Any) -> None:
    run = rows.run
    run |= {"pausing": 1, "state": "paused" if run["owner"] is None else run["state"]}


@_fact("resume_asked")
def _resume_asked(rows: Folded, entry: Entry, body: Any) -> None:
    held = rows.run["state"] == "paused"
    rows.run |= {"pausing": 2 if held else 0, "state": "waiting" if held else rows.run["state"]}


@_fact("spent")
def _spent(rows: Folded, entry: Entry, body: Any) -> None:
    for name in ("model_calls", "input_tokens", "output_tokens", "dollars", "unpriced"):
        rows.run[name] += body[name]


@_fact("plan_revised")
def _plan_revised(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run |= {"revision": body["revision"], "replans": rows.run["replans"] + body["replanned"]}
    for number in body["dropped"]:
        rows.steps[number]["dropped"] = 1
    rows.steps |= {number: _pending(entry.run, number) for number in body["steps"]}


@_fact("plan_changed")
def _plan_changed(rows: Folded, entry: Entry, body: Any) -> None:
    pass


@_fact("run_changed")
def _run_changed(rows: Folded, entry: Entry, body: Any) -> None:
    run = rows.run
    run |= {"revision": body["revision"], "state": "running" if run["state"] == "waiting" else run["state"]}
    items = body.get("items", ())
    for number in (*body["dropped"], *items, *body.get("past", ())):
        rows.steps[number]["dropped"] = 1
    for number in body["changed"]:
        step = rows.steps[number]
        step |= {"state": "pending", "attempt": step["attempt"] + 1, "body": None}
        step |= {"result": None, "error": "", "ended": None}
    for message in rows.messages.values():
        of_step = message["step"] in (*body["dropped"], *body["changed"], *items) and message["kind"] in (
            "gate",
            "order",
        )
        of_plan = message["step"] is None and message["key"].split("/")[0] in ("plan", "replan", "review")
        if message["state"] == "open" and (of_step or of_plan):
            message["state"] = "closed"
    rows.steps |= {number: _pending(entry.run, number) for number in body["steps"]}


@_fact("budget_raised")
def _budget_raised(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run["budget"] = {**rows.run["budget"], body["measure"]: body["limit"]}


@_fact("rollback_begun")
def _rollback_begun(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run["undoes"] = body["of"]


@_fact("call_started")
def _call_started(rows: Folded, entry: Entry, body: Any) -> None:
    rows.run["tool_calls"] += 1


# Its steps


@_fact("step_added")
def _added(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]] = _pending(entry.run, body["step"]) | {"body": body["body"], "dropped": body["dropped"]}


@_fact("step_started")
def _started(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]] |= {
        "state": "running",
        "arguments": body["arguments"],
        "epoch": body["epoch"],
        "returned": 0,
        "result": None,
        "started": entry.at,
    }
    rows.run["tool_calls"] += 1


@_fact("step_returned")
def _returned(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]] |= {"returned": 1, "result": body["result"]}


@_fact("step_again")
def _again(rows: Folded, entry: Entry, body: Any) -> None:
    step = rows.steps[body["step"]]
    step |= {"attempt": step["attempt"] + 1, "round": step["round"] + 1}
    step |= {"state": "pending", "feedback": body["feedback"], "error": body["error"]}
    step |= {"arguments": None, "returned": 0, "result": None}


@_fact("step_waiting")
def _waiting(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]]["state"] = "waiting"


@_fact("step_resumed")
def _resumed(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]]["state"] = "running"


@_fact("step_in_doubt")
def _in_doubt(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]] |= {"state": "in_doubt", "doubt": 1}


@_fact("step_redone")
def _redone(rows: Folded, entry: Entry, body: Any) -> None:
    step = rows.steps[body["step"]]
    step |= {"state": "pending", "doubt": 0, "attempt": step["attempt"] + 1, "arguments": None}


@_fact("step_recalled")
def _recalled(rows: Folded, entry: Entry, body: Any) -> None:
    step = rows.steps[body["step"]]
    step |= {"state": "pending", "attempt": step["attempt"] + 1, "arguments": None, "returned": 0, "result": None}
    for message in rows.messages.values():
        if message["step"] == body["step"] and (message["kind"], message["state"]) == ("order", "open"):
            message["state"] = "closed"


@_fact("step_retrying")
def _retrying(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]]["attempt"] += 1
    rows.steps[body["step"]]["error"] = body["error"]


@_fact("step_settled")
def _settled(rows: Folded, entry: Entry, body: Any) -> None:
    said = {name: body[name] for name in ("state", "result", "error")}
    rows.steps[body["step"]] |= {**said, "ended": entry.at, "doubt": 0}


@_fact("step_taken_up")
def _taken_up(rows: Folded, entry: Entry, body: Any) -> None:
    rows.steps[body["step"]] |= {name: body[name] for name in ("state", "arguments", "result", "doubt")}


# Its messages


@_fact("asked")
def _asked(rows: Folded, entry: Entry, body: Any) -> None:
    _told(rows, entry, kind=body["kind"], state="open")


@_fact("noted")
def _noted(rows: Folded, entry: Entry, body: Any) -> None:
    _told(rows, entry, kind="note", state="closed")


@_fact("kept")
def _kept(rows: Folded, entry: Entry, body: Any) -> None:
    _told(rows, entry, kind="undo", state="closed")


@_fact("answered")
def _answered(rows: Folded, entry: Entry, body: Any) -> None:
    said = {name: body[name] for name in ("answer", "approval", "by", "channel")}
    rows.messages[body["id"]] |= {"state": "answered", "answered": entry.at, **said}


@_fact("redirected")
def _redirected(rows: Folded, entry: Entry, body: Any) -> None:
    rows.messages[body["id"]] |= {"kind": body["kind"], "body": body["body"]}


@_fact("used")
def _used(rows: Folded, entry: Entry, body: Any) -> None:
    rows.messages[body["id"]]["state"] = "used"


@_fact("lapsed")
def _lapsed(rows: Folded, entry: Entry, body: Any) -> None:
    rows.messages[body["id"]] |= UNANSWERED


def _told(rows: Folded, entry: Entry, *, kind: str, state: str) -> None:
    body: Any = entry.body
    rows.messages[body["id"]] = {
        **{name: body[name] for name in ("id", "key", "step", "body")},
        "run": entry.run,
        "kind": kind,
        "state": state,
        "answer": None,
        "approval": 0,
        "by": "",
        "channel": "",
        "asked": entry.at,
        "answered": None,
        "number": len(rows.messages) + 1,
    }


def _pending(run: str, number: int) -> Row:
    none = dict.fromkeys(("arguments", "result", "body", "started", "ended"))
    zero = dict.fromkeys(("round", "epoch", "returned", "dropped", "doubt"), 0)
    return {"run": run, "id": number, "state": "pending", "attempt": 1, "feedback": "", "error": "", **none, **zero}


def _lapses(message: Row, oldest: float) -> bool:
    return message["answered"] < oldest and message["answer"]["verb"] in ("approve", "approve_tool", "edit", "again")
