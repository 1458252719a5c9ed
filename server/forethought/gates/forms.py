"""The form in which a person answers a gate, whatever shows it. It is flat, because MCP elicitation allows no other."""

__all__ = ["about", "filled_in", "form", "gate_text", "meaning", "read_form", "standing"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from forethought.journal.codec import gate_of, told_spending
from forethought.journal.rows import MessageRow, RunRow
from forethought_patterns import Decision, Gate, Spending
from forethought_patterns.gates import edited
from forethought_tools import JSON, AnswerError, Fault, schema_faults
from forethought_tools.meant import as_meant, decoded, holds_half_a_character
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import visible

_MEANING: Mapping[str, str] = {
    "approve": "go ahead, this once",
    "approve_tool": "allow this tool for the rest of the run",
    "edit": "go ahead, changed as you say below",
    "reject": "do not",
    "cancel": "stop the whole run",
    "happened": "it took effect: go on as if it had returned",
    "again": "it did not: make this very call once more",
    "skip": "leave it, and what needs it",
    "answer": "tell that server what you fill in",
}


_DIGITS = 16  # of an id
_OWN = ("terminal", "page")  # channels of ours, that no program fills in for a person: only there rules are made


def standing(gate: Gate) -> dict[str, str]:
    """What can be allowed once and for all: the choices, each with its rule."""
    return {f"always {number}": rule for number, rule in enumerate(gate.offers or {}, 1)}


def meaning(gate: Gate, choice: str) -> str:
    """What a choice does, for a person."""
    if (rule := standing(gate).get(choice)) is not None:
        return f"go ahead, and from now on do not ask in these folders about: {visible(rule)}"
    return _MEANING[choice]


def form(gate: Gate, *, channel: str = "") -> dict[str, Any]:
    """The JSON schema of the form for a gate. What need not be filled in has a default, which says nothing."""
    first, *rest = gate.choices
    choices = [first, *(standing(gate) if channel in _OWN else ()), *rest]
    told = "; ".join(f"{choice}: {meaning(gate, choice)}" for choice in choices)
    return {
        "type": "object",
        "properties": {
            "decision": {"type": "string", "enum": choices, "description": told},
            "reason": _text("Why (optional; the planner sees it)", maxLength=1000),
            **(_edits(gate) if "edit" in gate.choices else {}),
            **{name: _asked(gate, field) for name, field in gate.fields.items()},
        },
        "required": ["decision"],
    }


def _edits(gate: Gate) -> dict[str, dict[str, Any]]:
    match gate.kind:
        case "plan":
            steps = _text("For edit: steps to change or add, as a JSON list of whole steps")
            return {"drop": _text("For edit: ids of steps to drop, such as 3, 5"), "steps": steps}
        case "calls":
            return {"drop": _text("For edit: numbers of the items that are not to be done, such as 3, 5")}
        case "budget":
            return {"limit": {"type": "number", "description": "For edit: the new limit", "default": gate.limit}}
        case _:
            return {"arguments": _text("For edit: all arguments, as a JSON object")}


def _asked(gate: Gate, field: Mapping[str, JSON]) -> dict[str, Any]:
    """A field that a server wants filled in, with its own words as data."""
    schema = cast("dict[str, Any]", dict(cast("Mapping[str, JSON]", field["schema"])))
    said = ": ".join(filter(None, [str(schema.pop("title", "") or field["name"]), str(schema.get("description", ""))]))
    choices = f" One of: {', '.join(map(str, schema['enum']))}." if "enum" in schema else ""
    needed = "" if field["needed"] else " (optional)"
    schema["description"] = visible(clipped(one_line(f"{gate.tool} wants{needed}: {said}.{choices}"), 500))
    if schema.get("type") == "string" and "enum" not in schema:
        schema.setdefault("default", "")
    return schema


def _answers(gate: Gate, given: Mapping[str, Any]) -> Mapping[str, JSON]:
    """What a person has filled in, by the names that the server gave. Raises AnswerError where something is missing."""
    answers: dict[str, JSON] = {}
    for name, field in gate.fields.items():
        schema = cast("Mapping[str, JSON]", field["schema"])
        if name in given:
            answers[str(field["name"])] = given[name]
        elif "default" in schema:
            answers[str(field["name"])] = schema["default"]
        elif field["needed"]:
            raise AnswerError([Fault(name, "it is needed", "Fill it in, or reject")])
    return answers


def _text(description: str, **more: JSON) -> dict[str, Any]:
    return {"type": "string", "description": description, "default": "", **more}


def filled_in(schema: Mapping[str, Any], typed: Mapping[str, JSON]) -> dict[str, Any]:
    """What of a form is filled in, in the types that it asks for: blank fields, and those left at their defaults, are
    not."""
    fields: Mapping[str, Mapping[str, Any]] = schema["properties"]
    content = cast("dict[str, Any]", as_meant(schema, typed))
    if isinstance(said := typed.get("decision"), str):
        content["decision"] = said  # word for word: of a consent nothing is guessed
    return {
        name: value
        for name, value in content.items()
        if not (value is None or (isinstance(value, str) and not value.strip()))
        and ("default" not in fields.get(name, {}) or value != fields[name]["default"])
    }


def read_form(gate: Gate, content: Mapping[str, JSON], *, by: str, channel: str) -> Decision:
    """The decision that a filled form holds.

    Raises:
        AnswerError: nothing is chosen, or a field does not fit; it says which, and how to mend it.
    """
    strict = {**form(gate, channel=channel), "additionalProperties": False}
    if holds_half_a_character(content):
        raise AnswerError([Fault("form", "it holds half of a character (a lone surrogate)", "Write it in whole ones")])
    given = filled_in(strict, content)
    if "decision" not in given:
        raise AnswerError([Fault("decision", "nothing is chosen", "Choose what you decide")])
    if faults := schema_faults(strict, given):
        raise AnswerError([Fault("form", fault.at("form"), "Fill it in as it says") for fault in faults])
    rule = standing(gate).get(str(given["decision"]))
    decision = Decision(
        "approve" if rule else given["decision"], rule=rule, reason=str(given.get("reason", "")), by=by, channel=channel
    )
    if decision.verb == "answer":
        return replace(decision, arguments=_answers(gate, given))
    if decision.verb != "edit":
        # Who has written a change down and chosen something else would be surprised.
        unused = [name for name in given if name not in ("decision", "reason")]
        if unused:
            raise AnswerError([Fault(name, "it is filled in, and only edit uses it", "Choose edit") for name in unused])
        return decision
    edit: dict[str, Any] = {"verb": "edit", "reason": decision.reason, "by": by, "channel": channel}
    match gate.kind:
        case "call":
            arguments = _parsed(given.get("arguments"), "arguments", dict)
            return Decision(**edit, arguments=cast("Mapping[str, JSON]", arguments))
        case "plan":
            changed = cast("list[JSON]", _parsed(given.get("steps", "[]"), "steps", list))
            return Decision(**edit, steps=edited(gate, drop=_ids(str(given.get("drop", ""))), changed=changed))
        case "calls":
            return Decision(**edit, arguments={"drop": sorted(_ids(str(given.get("drop", ""))))})
        case _:
            return Decision(**edit, arguments={"limit": given.get("limit")})


def gate_text(message: MessageRow, run: RunRow) -> str:
    """What a person reads before deciding, whatever the channel."""
    return gate_of(message).text(about(run))


def about(run: RunRow) -> dict[str, str]:
    """What else a person should know of a run before they decide."""
    spent = Spending(run.dollars, run.input_tokens + run.output_tokens, run.model_calls, run.tool_calls, run.seconds)
    return {
        "Folders": ", ".join(run.folders) or "none",
        "Spent so far": told_spending(spent) + (f" ({run.unpriced} calls of unknown price)" if run.unpriced else ""),
        "Goal": run.goal[:300],
    }


def _parsed(text: JSON, name: str, kind: type) -> JSON:
    try:
        value = decoded(str(text))
    except (ValueError, RecursionError) as error:
        raise AnswerError([Fault(name, f"this is not JSON: {error}", "Give it as JSON")]) from None
    if not isinstance(value, kind):
        raise AnswerError([Fault(name, "this is not what is asked for", f"Give a JSON {_KINDS[kind]}")])
    return value


def _ids(text: str) -> set[int]:
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() and len(word) <= _DIGITS for word in words):
        raise AnswerError([Fault("drop", f"{clipped(text, 80)!r} is no list of ids", "Give ids such as 3, 5")])
    return {int(word) for word in words}


_KINDS: Mapping[type, str] = {dict: "object", list: "list"}
