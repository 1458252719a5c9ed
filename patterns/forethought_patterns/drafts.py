"""What the planner is told, and what it writes: a plan draft in one of three dialects. Only validation makes it a plan.

`wire` for a calling agent, `flat` for structured output of endpoints, `lean` (see `lean`) for small models.
"""

__all__ = [
    "CHECK",
    "CHOICES",
    "STRATEGY",
    "Brief",
    "closed_object",
    "draft_schema",
    "lean_arguments",
    "lean_tools",
    "wire_step",
    "wire_steps",
]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from forethought_patterns.numbering import step_as_meant
from forethought_patterns.ports import Dialect
from forethought_patterns.recipe import Recipe
from forethought_patterns.script_values import in_script
from forethought_patterns.signatures import said
from forethought_tools import JSON, Fault, PlanError, Registry, Tool
from forethought_tools.meant import decoded

CHECK: Mapping[str, JSON] = {
    "type": "object",
    "description": "Judges the result, or its part `at` a path: schema, matches (regex), equals, tolerance, expression,"
    " command (shell), or tool with arguments ({{result}}).",
}
_CHECK: Mapping[str, JSON] = {
    "type": "object",
    "description": "Judges the result without a model: matches (regex), equals, schema, expression; at: a path.",
}
STRATEGY: Mapping[str, JSON] = {"type": "string", "enum": ["direct", "reflect", "search"]}
_TEXT_OR_NULL: Mapping[str, JSON] = {"type": ["string", "null"]}
CHOICES = 60
"""Tools that a schema names. With more it would be longer than all that is said of them."""
_SAID = 100  # characters of what another server says, for a small planner
_SURE: Mapping[str, JSON] = {"type": "number", "minimum": 0, "maximum": 1}


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
    names: Sequence[str] = ()
    """The paths of all files in the folders, as far as they were looked at."""
    recipes: Sequence[Recipe] = ()
    """Goals like this one with plans that reached them, the nearest first."""
    tools: Sequence[str] = ()
    """The tools of other servers that are nearest to the goal, by name, the nearest first."""


def lean_tools(tools: Iterable[Tool]) -> str:
    """Tools for a small planner, a line each."""
    return "\n".join(f"{in_script(tool.name)}({', '.join(_required(tool))}): {_in_short(tool)}" for tool in tools)


def wire_steps(draft: JSON, tools: Registry) -> list[JSON]:
    """The steps of a draft in the wire format.

    Raises:
        PlanError: it has no steps.
    """
    steps = draft.get("steps") if isinstance(draft, Mapping) else None
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise PlanError([Fault("plan", "the draft has no list of steps", "Return an object with `steps`, a list")])
    return [step_as_meant(wire_step(step, tools)) for step in steps]


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
        return decoded(value)
    except (ValueError, RecursionError):
        return value


def draft_schema(tools: Registry, dialect: Dialect, **more: JSON) -> Mapping[str, JSON]:
    pair = closed_object({"name": {"type": "string"}, "value": {"type": "string"}})
    names = [tool.name for tool in tools]
    wire = dialect == "wire"  # the tools are listed beside it, and validation names the nearest of an unknown one
    name: JSON = {"type": "string"} if wire or len(tools) > CHOICES else {"type": "string", "enum": [*names]}
    step: Mapping[str, JSON] = closed_object(
        {
            "id": {"type": "integer"},
            "description": {"type": "string"},
            "tool": name,
            "arguments": {"type": "object"} if wire else {"type": "array", "items": pair},
            "depends_on": {"type": "array", "items": {"type": "integer"}},
            "expected_output": {"type": "string"},
            "confidence": _SURE,
            "strategy": STRATEGY,
            "for_each": _TEXT_OR_NULL,
            "when": _TEXT_OR_NULL,
        }
    )
    if wire:
        step = _needing(step, "id", "tool", "arguments", check=_CHECK)
    draft = closed_object({"reasoning": {"type": "string"}, **more, "steps": {"type": "array", "items": step}})
    return _needing(draft, "steps") if wire else draft


def _needing(schema: Mapping[str, JSON], *names: str, **more: JSON) -> Mapping[str, JSON]:
    """The schema with these properties too, of which only the named ones must be there."""
    properties = cast("Mapping[str, JSON]", schema["properties"])
    return {**schema, "properties": {**properties, **more}, "required": list(names)}


def lean_arguments(tool: Tool) -> Mapping[str, JSON]:
    """The schema of a tool's arguments for a small model: what it must fill, and every part bounded."""
    return closed_object({name: _lean_parameter(tool, name) for name in _required(tool)})


def _lean_parameter(tool: Tool, name: str) -> Mapping[str, JSON]:
    """The parameter without its description, every text and list bounded."""
    schema = _parameter(tool, name)
    kind = schema.get("type", "string")
    if kind == "string":
        return {"type": "string", "minLength": 1, "maxLength": 300}
    if kind == "array":
        return {"type": "array", "items": {"type": "string", "maxLength": 120}, "minItems": 1, "maxItems": 3}
    return {key: value for key, value in schema.items() if key in ("type", "minimum", "maximum", "enum")}


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


def _in_short(tool: Tool) -> str:
    """What a tool does, in its first sentence."""
    if tool.source:
        return said(tool, _SAID)
    return tool.description.split(". ")[0].split("\n")[0].rstrip(".")
