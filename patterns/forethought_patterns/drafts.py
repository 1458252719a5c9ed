"""What the planner is told, and what it writes: a plan draft in one of three dialects. Only validation makes it a plan.

`wire` for a calling agent, `flat` for structured output of endpoints, `lean` for small models.
"""

__all__ = [
    "CHECK",
    "STRATEGY",
    "Brief",
    "closed_object",
    "draft_schema",
    "lean_arguments",
    "lean_schema",
    "lean_tools",
    "listed_tools",
    "wire_step",
    "wire_steps",
]

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from forethought_patterns.ports import Dialect
from forethought_patterns.recipe import Recipe
from forethought_tools import JSON, Fault, PlanError, Registry, Risk, Tool

CHECK: Mapping[str, JSON] = {
    "type": "object",
    "description": "Judges the result, or its part `at` a path: schema, matches (regex), equals, tolerance, expression;"
    " command (shell); or tool with arguments, in which {{result}} is the result.",
}
STRATEGY: Mapping[str, JSON] = {"type": "string", "enum": ["direct", "reflect", "search"]}
_SURE: Mapping[str, JSON] = {"type": "number", "minimum": 0, "maximum": 1}
_LEAN_STEPS = 6
_OWN_REFERENCE = re.compile(r"(?<!\\)\{\{\s*(?:step[_ ]?)?([0-9]{1,9})((?:\.[^\s.{}]+)*)\s*\}\}", re.IGNORECASE)


@dataclass(frozen=True)
class Brief:
    """What the planner is told."""

    goal: str
    context: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """The first lines of each file that the goal names, by path."""
    new_files: Sequence[str] = ()
    """File names in the goal that do not exist yet."""
    lessons: Sequence[str] = ()
    """What earlier runs have taught."""
    recipes: Sequence[Recipe] = ()
    """The nearest first: ours, and what was kept of runs in the same folders."""


def listed_tools(tools: Registry) -> str:
    """Every tool for a planner, with the schema of its arguments without our own hints."""
    return "\n".join(
        f"- {tool.name} (risk {tools.risk(tool.name)}): {tool.description} Arguments: {_listed(tool)}" for tool in tools
    )


def lean_tools(tools: Registry) -> str:
    """Every tool for a small planner, a line each."""
    return "\n".join(f"{tool.name}({', '.join(_required(tool))}): {_first(tool.description)}" for tool in tools)


def _listed(tool: Tool) -> str:
    return re.sub(r'"x-[\w-]+": \[[^\]]*\](, )?', "", json.dumps(tool.parameters)).replace(", }", "}")


def wire_steps(draft: JSON, tools: Registry, dialect: Dialect, *, first: int = 1) -> list[JSON]:
    """The steps of a draft in the wire format; lean ones are numbered by position, from `first`.

    Raises:
        PlanError: it has no steps.
    """
    steps = draft.get("steps") if isinstance(draft, Mapping) else None
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise PlanError([Fault("plan", "the draft has no list of steps", "Return an object with `steps`, a list")])
    return _ordered(steps, tools, first) if dialect == "lean" else [wire_step(step, tools) for step in steps]


def wire_step(step: JSON, tools: Registry) -> JSON:
    """One step of a draft in the wire format: arguments given as name/value pairs become an object."""
    pairs = step.get("arguments") if isinstance(step, Mapping) else None
    if not isinstance(step, Mapping) or not isinstance(pairs, Sequence) or isinstance(pairs, str):
        return step
    arguments: dict[str, JSON] = {}
    for pair in pairs:
        if isinstance(pair, Mapping):
            name = str(pair.get("name"))
            arguments[name] = _typed(pair.get("value"), _parameter(tools.get(str(step.get("tool"))), name))
    return {**step, "arguments": arguments}


def _typed(value: JSON, schema: Mapping[str, JSON]) -> JSON:
    if not isinstance(value, str) or schema.get("type") == "string":
        return value
    try:
        parsed: JSON = json.loads(value)
    except ValueError:
        return value
    return parsed


def _ordered(steps: Sequence[JSON], tools: Registry, first: int) -> list[JSON]:
    """Number lean steps by position and add the order that a small model leaves out: whatever changes something
    comes after all before it, and before all after it. References forward mean the step before.
    """
    wire: list[JSON] = []
    last_change = 0
    for number, step in enumerate(steps, first):
        if not isinstance(step, Mapping):
            wire.append(step)
            continue
        tool = str(step.get("tool"))
        changes = not tools.reads_only(tool)
        after = list(range(first, number)) if changes else [last_change] if last_change else []
        arguments = _backward(step.get("arguments"), number)
        wire.append({**step, "id": number, "arguments": arguments, "depends_on": after})
        last_change = number if changes else last_change
    return wire


def _backward(value: JSON, number: int) -> JSON:
    if number == 1:
        return value  # there is no step before it: a reference is a fault, which the planner is told
    if isinstance(value, str):
        return _OWN_REFERENCE.sub(lambda ref: f"{{{{{min(int(ref[1]), number - 1)}{ref[2]}}}}}", value)
    if isinstance(value, Mapping):
        return {key: _backward(part, number) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [_backward(part, number) for part in value]
    return value


def draft_schema(tools: Registry, dialect: Dialect, **more: JSON) -> Mapping[str, JSON]:
    pair = closed_object({"name": {"type": "string"}, "value": {"type": "string"}})
    arguments: JSON = {"type": "object"} if dialect == "wire" else {"type": "array", "items": pair}
    step: Mapping[str, JSON] = closed_object(
        {
            "id": {"type": "integer"},
            "description": {"type": "string"},
            "tool": {"type": "string", "enum": [tool.name for tool in tools]},
            "arguments": arguments,
            "depends_on": {"type": "array", "items": {"type": "integer"}},
            "expected_output": {"type": "string"},
            "confidence": _SURE,
            "strategy": STRATEGY,
        }
    )
    if dialect == "wire":
        step = _with_choice(step, {"check": CHECK, "confidence": _SURE, "strategy": STRATEGY})
    return closed_object({"reasoning": {"type": "string"}, **more, "steps": {"type": "array", "items": step}})


def _with_choice(schema: Mapping[str, JSON], optional: Mapping[str, JSON]) -> Mapping[str, JSON]:
    properties = cast("Mapping[str, JSON]", schema["properties"])
    required = [name for name in properties if name not in optional]
    return {**schema, "properties": {**properties, **optional}, "required": required}


def lean_schema(brief: Brief, tools: Registry) -> Mapping[str, JSON]:
    """A list of steps whose order is part of the schema: files that the goal names are used first, and a new file that
    it names is written, after what reads and before what follows.

    Servers generate `prefixItems` to the full length, so each order is an alternative of its own.
    """
    usable = [tool for tool in tools if not brief.files or "paths" not in _required(tool) or _fitting(tool, brief)]
    by_tool = {tool.name: _lean_step(tool, brief) for tool in usable}

    def one_of(*risks: Risk, parameters: Sequence[str] = ()) -> JSON:
        chosen = [
            t for t in usable if t.risk in risks and (not parameters or any(_parameter(t, p) for p in parameters))
        ]
        return {"anyOf": [by_tool[tool.name] for tool in chosen]}

    parts = {
        "use": one_of(Risk.LOW, Risk.HIGH, parameters=("path", "paths")),
        "read": one_of(Risk.LOW),
        "write": one_of(Risk.MEDIUM, parameters=("path",)),
        "any": one_of(*Risk),
    }
    use, read, write, then = ([{"$ref": f"#/$defs/{name}"}] for name in parts)
    head = use if brief.files else []
    room = _LEAN_STEPS - len(head)
    if brief.new_files:
        orders = [head + read * b + write + then * a for b in range(room) for a in range(min(3, room - b))]
    else:
        orders = [head + then * n for n in range(room + 1) if head or n]
    lists: list[JSON] = [
        {"type": "array", "prefixItems": order, "minItems": len(order), "maxItems": len(order)} for order in orders
    ]
    return {**closed_object({"steps": {"anyOf": lists}}), "$defs": parts}


def _lean_step(tool: Tool, brief: Brief) -> JSON:
    return closed_object(
        {
            "description": {"type": "string", "maxLength": 60},
            "tool": {"const": tool.name},
            "arguments": lean_arguments(tool, brief),
        }
    )


def lean_arguments(tool: Tool, brief: Brief | None = None) -> Mapping[str, JSON]:
    """The schema of a tool's arguments for a small model: what it must fill, and every part bounded."""
    return closed_object({name: _lean_parameter(tool, name, brief or Brief("")) for name in _required(tool)})


def _lean_parameter(tool: Tool, name: str, brief: Brief) -> JSON:
    """The parameter without its description, every text and list bounded, and paths pinned to what the goal names.

    Writing is never pinned to a file that is there already: a goal that names only its inputs must not lose them.
    """
    paths = list(brief.new_files if tool.risk == Risk.MEDIUM else brief.files)
    if name == "path" and paths:
        return {"type": "string", "enum": paths}
    if name == "paths" and (fitting := _fitting(tool, brief)):
        return {"type": "array", "items": {"type": "string", "enum": fitting}, "minItems": 1, "maxItems": 2}
    schema = _parameter(tool, name)
    kind = schema.get("type", "string")
    if kind == "string":
        return {"type": "string", "minLength": 1, "maxLength": 300}
    if kind == "array":
        return {"type": "array", "items": {"type": "string", "maxLength": 120}, "minItems": 1, "maxItems": 3}
    return {key: value for key, value in schema.items() if key in ("type", "minimum", "maximum", "enum")}


def _fitting(tool: Tool, brief: Brief) -> list[str]:
    """The files of the goal that a tool's `paths` can hold; a tool names the endings it reads as `x-suffixes`."""
    items = _parameter(tool, "paths").get("items")
    suffixes = items.get("x-suffixes") if isinstance(items, Mapping) else None
    known = tuple(map(str, suffixes)) if isinstance(suffixes, Sequence) else ("",)
    return [path for path in brief.files if path.lower().endswith(known)]


def _parameter(tool: Tool | None, name: str) -> Mapping[str, JSON]:
    properties = tool.parameters.get("properties") if tool else None
    schema = properties.get(name) if isinstance(properties, Mapping) else None
    return schema if isinstance(schema, Mapping) else {}


def _required(tool: Tool) -> list[str]:
    """What a small model has to fill: required parameters, and what model tools work on."""
    required = tool.parameters.get("required", ())
    names = [str(name) for name in required] if isinstance(required, Sequence) else []
    return names + [name for name in ("material", "data") if _parameter(tool, name) != {} and name not in names]


def closed_object(properties: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _first(text: str) -> str:
    return text.split(". ")[0].split("\n")[0].rstrip(".")
