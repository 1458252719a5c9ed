"""From a goal to a valid plan: ask the planner, validate the draft, and give back the exact faults a few times.

What a model writes is a draft in one of three forms; only validation makes a plan of it:
`wire` for a calling agent, `flat` for structured output of endpoints (strict mode allows no free-form objects),
`lean` for small models (short, and tight enough that every output has the right shape by construction).
"""

__all__ = ["Brief", "Form", "doubt", "make_plan"]

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forethought_patterns.plan import Plan
from forethought_patterns.ports import Journal
from forethought_patterns.roles import DOUBT, LEAN_PLANNER, MATERIAL, PLANNER, REPAIR
from forethought_patterns.validate import parse_plan
from forethought_tools import JSON, Fault, PlanError, Question, Registry, Risk, Role, Tool

Form: TypeAlias = Literal["wire", "flat", "lean"]

_REPAIRS = 2
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


async def make_plan(brief: Brief, tools: Registry, journal: Journal, *, form: Form) -> Plan:
    """Ask for a plan until it is valid, at most three times.

    Raises:
        PlanError: the faults of the last draft.
    """
    question = _question(brief, tools, form)
    for attempt in range(_REPAIRS + 1):
        draft = await journal.ask(f"plan/{attempt}", question)
        try:
            plan = _plan(brief, draft, tools, form)
        except PlanError as error:
            if attempt == _REPAIRS:
                raise
            question = _repair(question, draft, error.faults)
        else:
            # Small models forget parts of the goal. A guess from its words is worth a repair, but no refusal.
            forgotten = _forgotten(brief, plan, tools) if form == "lean" else []
            if not forgotten or attempt == _REPAIRS:
                return plan
            question = _repair(question, draft, forgotten)
    raise AssertionError("unreachable")


async def doubt(plan: Plan, journal: Journal) -> float | None:
    """How sure a model is that the plan reaches its goal, from 0 to 1, or none where no model of ours can tell."""
    steps = "\n".join(
        f"{step.id}. {step.tool} {json.dumps(step.arguments, ensure_ascii=False)[:300]}" for step in plan.steps[:40]
    )
    context = f"{MATERIAL}\n\nsteps:\n{steps}\n\ngoal: {plan.goal}\n\nDo the steps reach the whole goal?"
    return await journal.judge("plan/doubt", Question(Role.CRITIC, DOUBT, context, {"type": "boolean"}))


def _question(brief: Brief, tools: Registry, form: Form) -> Question:
    if form == "lean":
        listed = "\n".join(f"{tool.name}({', '.join(_required(tool))}): {_first(tool.description)}" for tool in tools)
        files = "; ".join(f"{path}: {' | '.join(text.splitlines()[:3])}" for path, text in brief.files.items())
        told = f"\nnotes: {brief.context}" if brief.context else ""
        return Question(
            Role.PLANNER, f"{LEAN_PLANNER}\n\nTools\n{listed}", f"files: {files or 'none'}{told}\ngoal: {brief.goal}",
            _lean_schema(brief, tools),
        )  # fmt: skip
    listed = "\n".join(
        f"- {tool.name} (risk {tool.risk}): {tool.description} Arguments: {_listed(tool)}" for tool in tools
    )
    files = "".join(f"\n--- first lines of {path}\n{text}" for path, text in brief.files.items())
    material = f"{MATERIAL}\n<material>\n{brief.context}{files}\n</material>\n\n" if brief.context or files else ""
    context = f"Tools:\n{listed}\n\n{material}Goal: {brief.goal}"
    note = "" if form == "wire" else "\n- Give arguments as name/value pairs; a value that is not text as JSON."
    return Question(Role.PLANNER, PLANNER + note, context, _schema(tools, form))


def _forgotten(brief: Brief, plan: Plan, tools: Registry) -> list[Fault]:
    """Files that the goal names and the plan forgets: new ones that no step writes, others that no step uses."""
    used = [(tools.risk(step.tool), json.dumps(step.arguments, ensure_ascii=False)) for step in plan.steps]
    written = [arguments for risk, arguments in used if risk > Risk.LOW]
    faults = [
        Fault("plan", f"the goal names {name}, and no step writes it", f"Add a step that writes {name}")
        for name in brief.new_files
        if not any(name in arguments for arguments in written)
    ]
    return faults + [
        Fault(
            "plan",
            f"the goal names {name}, and no step uses it",
            f"Add a step that does with {name} what the goal says",
        )
        for name in brief.files
        if not any(name in arguments for _, arguments in used)
    ]


def _listed(tool: Tool) -> str:
    """The schema of a tool's arguments without our own hints."""
    return re.sub(r'"x-[\w-]+": \[[^\]]*\](, )?', "", json.dumps(tool.parameters)).replace(", }", "}")


def _repair(question: Question, draft: JSON, faults: Sequence[Fault]) -> Question:
    # The prompt grows by the latest draft only, so that repairs stay bounded.
    original = question.context.split(f"\n\n{REPAIR}", 1)[0]
    shown = json.dumps(draft, ensure_ascii=False)[:8000]
    context = f"{original}\n\n{REPAIR}\nYour plan was: {shown}\nFaults:\n" + "\n".join(f"- {fault}" for fault in faults)
    return Question(question.role, question.instructions, context, question.schema)


def _plan(brief: Brief, draft: JSON, tools: Registry, form: Form) -> Plan:
    steps = draft.get("steps") if isinstance(draft, Mapping) else None
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise PlanError([Fault("plan", "the draft has no list of steps", "Return an object with `steps`, a list")])
    reasoning = draft.get("reasoning", "") if isinstance(draft, Mapping) else ""
    wire = _ordered(steps, tools) if form == "lean" else [_objects(step, tools) for step in steps]
    return parse_plan(brief.goal, wire, tools, context=brief.context, reasoning=str(reasoning))


def _objects(step: JSON, tools: Registry) -> JSON:
    """Arguments given as name/value pairs become an object, each value of the type that the tool wants."""
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


def _ordered(steps: Sequence[JSON], tools: Registry) -> list[JSON]:
    """Number lean steps by position and add the order that a small model leaves out: whatever changes something
    comes after all before it, and before all after it. References forward mean the step before.
    """
    wire: list[JSON] = []
    last_change = 0
    for number, step in enumerate(steps, 1):
        if not isinstance(step, Mapping):
            wire.append(step)
            continue
        tool = str(step.get("tool"))
        changes = tools.risk(tool) > Risk.LOW
        after = list(range(1, number)) if changes else [last_change] if last_change else []
        arguments = _backward(step.get("arguments"), number)
        expected = _EXPECTED[tools.risk(tool)]
        wire.append({**step, "id": number, "arguments": arguments, "depends_on": after, "expected_output": expected})
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


def _schema(tools: Registry, form: Form) -> Mapping[str, JSON]:
    pair = _object({"name": {"type": "string"}, "value": {"type": "string"}})
    arguments: JSON = {"type": "object"} if form == "wire" else {"type": "array", "items": pair}
    step = _object(
        {
            "id": {"type": "integer"},
            "description": {"type": "string"},
            "tool": {"type": "string", "enum": [tool.name for tool in tools]},
            "arguments": arguments,
            "depends_on": {"type": "array", "items": {"type": "integer"}},
            "expected_output": {"type": "string"},
        }
    )
    return _object({"reasoning": {"type": "string"}, "steps": {"type": "array", "items": step}})


def _lean_schema(brief: Brief, tools: Registry) -> Mapping[str, JSON]:
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
    return {**_object({"steps": {"anyOf": lists}}), "$defs": parts}


def _lean_step(tool: Tool, brief: Brief) -> JSON:
    return _object(
        {
            "description": {"type": "string", "maxLength": 60},
            "tool": {"const": tool.name},
            "arguments": _object({name: _lean_parameter(tool, name, brief) for name in _required(tool)}),
        }
    )


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


def _object(properties: Mapping[str, JSON]) -> Mapping[str, JSON]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _first(text: str) -> str:
    return text.split(". ")[0].split("\n")[0].rstrip(".")


_EXPECTED = {
    Risk.LOW: "A result that the later steps can use.",
    Risk.MEDIUM: "The change is made.",
    Risk.HIGH: "The change is made, as approved.",
}
