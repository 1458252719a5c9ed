"""What each MCP tool takes: strict and flat, with no reference from one schema into another. Clients are shown the same
in fewer bytes, since an agent reads all of it before it begins."""

__all__ = ["ARGUMENTS", "RESULT", "shown"]

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from forethought.terms import REPLANS
from forethought_patterns.budget import MEASURES
from forethought_patterns.drafts import CHECK, STRATEGY

Schema: TypeAlias = Mapping[str, Any]

# Small, since each of the tools repeats it. What else a result holds depends on what it is about.
RESULT: dict[str, Any] = {"type": "object", "required": ["status", "next"]}

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**53}  # what every client and store can hold
_GOAL: Schema = {"type": "string", "maxLength": 20_000}
_NEEDED_GOAL: Schema = {**_GOAL, "minLength": 1}
_CONTEXT: Schema = {"type": "string", "maxLength": 100_000}
_TAKE: Schema = {"type": "integer", "minimum": 0, "maximum": 1000}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_RISK: Schema = {"type": "string", "enum": ["low", "medium", "high"]}
_BUDGET: Schema = {"type": "object", "additionalProperties": {"type": "number", "maximum": 10**9}}
_ANOTHER = {"another": _FLAG}
_CHECK: Schema = {**CHECK, "examples": [{"matches": "total"}]}
_STEP: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "description": _TEXT,
        "tool": _TEXT,
        "arguments": {"type": "object"},
        "depends_on": {"type": "array", "items": {"type": "integer"}},
        "expected_output": _TEXT,
        "check": _CHECK,
        "confidence": _SHARE,
        "strategy": STRATEGY,
        "for_each": {**_TEXT, "examples": ["{{1.files}}"]},
        "when": {**_TEXT, "examples": ["{{1.count}} > 0"]},
    },
}
# Typed, since some clients cannot convert what may be anything, nor a list of that: it is taken, and not shown.
_LIST: Schema = {"type": "array"}
_VALUES = [*({"type": kind} for kind in ("string", "object", "number", "boolean")), _LIST]
_ANSWER: Schema = {
    "type": "object",
    "properties": {"order": _TEXT, "answer": {"anyOf": _VALUES}},
    "required": ["order", "answer"],
    "additionalProperties": False,
}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _up_to(most: int, *, least: int = 1) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _list(items: Schema, description: str = "") -> Schema:
    schema: Schema = {"type": "array", "items": items, "maxItems": 20}
    return _said(schema, description) if description else schema


ARGUMENTS: Mapping[str, Mapping[str, Schema]] = {
    "create_plan": {
        "goal": _GOAL,
        "context": _said(_CONTEXT, "Facts for the planner."),
        "steps": {
            "type": "array",
            "items": _STEP,
            "description": "Your own steps. In arguments {{3}} is the result of step 3, {{3.rows.0.name}} a part of"
            ' it; it implies the dependency. for_each: {{1.rows}} or a list. Their tools: get_plan(view="tools").',
        },
        "from_search": _said(_TEXT, "run_id of a search whose path to plan."),
        "recipe": _said(_TEXT, "A kept plan to use again, with its parameters."),
        "parameters": {"type": "object", "additionalProperties": _TEXT},
        **_ANOTHER,
    },
    "execute_plan": {
        "plan_id": _TEXT,
        "goal": _GOAL,
        "context": _CONTEXT,
        "again": {"type": "string", "enum": ["failed", "all"], "description": "What has not succeeded, or all anew."},
        "another": _said(_FLAG, "A second run of a goal beside the open one."),
        "take": _said(_TAKE, "Agent orders to have at once; else all."),
        "replan": {"type": "string", "enum": list(REPLANS)},
        "max_replans": _up_to(20, least=0),
        "max_parallel": _up_to(64),
        "approve_plan": _said(_FLAG, "A person approves the whole plan first."),
        "ask_from": _said(_RISK, "Risk from which a person is asked."),
        "ask_below": _said(_SHARE, "Confidence below which a person is asked."),
        "risks": {
            "type": "object",
            "additionalProperties": _RISK,
            "description": "Raised risks, by tool pattern.",
        },
        "strategies": {"type": "object", "additionalProperties": STRATEGY, "description": "By step id, or *."},
        "budget": _said(_BUDGET, f"Limits: {', '.join(MEASURES)}."),
    },
    "reflect": {
        "task": _NEEDED_GOAL,
        "draft": _CONTEXT,
        "criteria": _list(_TEXT),
        "checks": _list({"type": "object", "examples": _CHECK["examples"]}, "As in a step; they outweigh scores."),
        "max_iterations": _up_to(20),
        "threshold": {"type": "number", "minimum": 0, "maximum": 10},
        "budget": _BUDGET,
        **_ANOTHER,
    },
    "lats_search": {
        "goal": _NEEDED_GOAL,
        "world": {"type": "string", "enum": ["simulate", "act"]},
        "verifier": {"type": "object", "description": "A check of the answer.", "examples": _CHECK["examples"]},
        "n_candidates": _up_to(20),
        "iterations": _up_to(1000),
        "max_depth": _up_to(50),
        "exploration": {"type": "number", "minimum": 0, "maximum": 100},
        "value_weight": _SHARE,
        "parallel": _up_to(16),
        "budget": _BUDGET,
        **_ANOTHER,
    },
    "update_plan": {
        "plan_id": _TEXT,
        "revision": _said(_COUNT, "The one you saw."),
        "steps": {"type": "array", "items": _STEP, "description": "Whole; a known id edits, a new id adds."},
        "drop": {"type": "array", "items": {"type": "integer"}},
        "reason": _CONTEXT,
    },
    "get_plan": {
        "plan_id": _said(_TEXT, "Or a run_id. Leave out to list all."),
        "view": {"type": "string", "enum": ["brief", "full", "graph", "list", "diff", "tools"]},
        "page": _COUNT,
        "revision": _COUNT,
        "against": _COUNT,
        "words": _TEXT,
    },
    "report": {"run_id": _TEXT, "answers": {"type": "array", "items": _ANSWER}, "take": _TAKE},
    "rollback": {"run_id": _TEXT, "step": _COUNT, "dry_run": _FLAG},
    "stop": {"run_id": _TEXT},
}
"""By tool and name of the argument."""

_SHOWN_BOUND = 1_000_000
"""Bounds from here on only keep the server from harm: no agent comes near them, and whoever does is told."""


def shown(schema: Schema, *, steps: bool) -> dict[str, Any]:
    """What clients are shown of a schema. The properties of `steps` are shown by one tool for all."""
    if schema is _STEP and not steps:
        return {"type": "object"}
    return {name: _part(name, value, steps) for name, value in schema.items() if not _goes_without_saying(name, value)}


def _goes_without_saying(name: str, value: Any) -> bool:
    return name in ("maxLength", "minLength", "maxItems", "examples") or (name == "maximum" and value > _SHOWN_BOUND)


def _part(name: str, value: Any, steps: bool) -> Any:
    if name == "anyOf":
        return [each for each in value if each is not _LIST]
    if not isinstance(value, Mapping):
        return value
    part = cast("Schema", value)
    if name == "properties":
        return {each: shown(of, steps=steps) for each, of in part.items()}
    return {"type": part["type"]} if name == "additionalProperties" else shown(part, steps=steps)
