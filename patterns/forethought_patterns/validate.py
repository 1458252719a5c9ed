"""From raw steps to a `Plan`: every fault is found at once, each with its mend, so that one repair is enough.

Only the schemas and patterns of checks are looked at afterwards, and apart: looking at one may take for ever.
"""

__all__ = ["advice", "parse_plan", "read_step", "refuse_unusable"]

import json
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from forethought_patterns.checks import CHECK_FORM, tool_faults, unusable, with_arguments
from forethought_patterns.conditions import check_condition
from forethought_patterns.numbering import COUNTS_FROM_0, counts_from_0, step_as_meant, steps_as_meant
from forethought_patterns.plan import Plan, Step, graph_faults
from forethought_patterns.references import INDEX, UNKNOWN, find, in_turns, mistaken, unknown, whole
from forethought_patterns.signatures import signature
from forethought_tools import JSON, Fault, PlanError, Registry, SchemaFault, ToolError
from forethought_tools.delegating import DELEGATE, may_call, may_write
from forethought_tools.errors import MOST_SHOWN
from forethought_tools.text import clipped

MAX_STEPS = 10_000
MAX_DEPENDENCIES = 100_000
MAX_ARGUMENTS = 1_000_000  # characters of one step's arguments, as JSON
_SHAPES = {
    "id": "Give a whole number from 1, such as 1",
    "description": 'Give a text, such as "read the notes"',
    "tool": 'Give the name of a tool, such as "read_file"',
    "arguments": 'Give an object, such as {"path": "notes.txt"}',
    "depends_on": "Give a list of ids, such as [1, 2]",
    "expected_output": 'Give a text, such as "a table by month"',
    "check": 'Give an object, such as {"matches": "total"}, or leave it out',
    "confidence": "Give a number from 0 to 1, such as 0.9",
    "strategy": "Give one of direct, reflect, search",
    "for_each": 'Give the reference to a list, such as "{{1.files}}", or a list',
    "when": 'Give an expression over results, such as "{{1.count}} > 0"',
}
_INSIDE = f'{CHECK_FORM}, such as {{"matches": "total"}}'
_NAME = 100  # characters of a tool's name that are told
_UNREAD = "(unread)"  # stands for a tool whose name could not be read


def parse_plan(
    goal: str,
    steps: Sequence[JSON],
    tools: Registry,
    *,
    context: str = "",
    reasoning: str = "",
    revision: int = 1,
    planned: bool = False,
) -> Plan:
    """Read steps in the wire format and judge them as a whole.

    Raises:
        PlanError: with every fault: shape, ids, dependencies, cycles, tools, arguments, references.
    """
    if len(steps) > MAX_STEPS:
        raise PlanError([Fault("plan", f"it has {len(steps)} steps", f"Give at most {MAX_STEPS}")])
    steps = steps_as_meant(given := steps)
    if sum(_declared(raw) for raw in steps) > MAX_DEPENDENCIES:
        raise PlanError([Fault("plan", "its steps depend on too many", f"At most {MAX_DEPENDENCIES} times in all")])
    faults: list[Fault] = []
    parsed: list[Step] = []
    for position, raw in enumerate(steps, 1):
        try:
            parsed.append(_with_arguments(Step.model_validate(raw), tools))
        except ValidationError as error:
            faults += _shape_faults(position, raw, error)
            parsed += _readable(raw, error)
    for step in parsed:  # what is like a name takes a moment to find, and only so many faults are told
        faults += _tool_faults(step, tools, told=len(faults) < MOST_SHOWN)
    # A step whose id could not be read may be the very one that others depend on.
    faults += [*graph_faults(parsed, all_known=len(parsed) == len(steps)), *_turn_faults(parsed)]
    if faults:
        raise PlanError(faults, COUNTS_FROM_0 if counts_from_0(given) else "")
    return Plan(goal, tuple(parsed), reasoning, context, revision, planned)


def _declared(raw: JSON) -> int:
    needed = raw.get("depends_on") if isinstance(raw, Mapping) else None
    return len(needed) if isinstance(needed, Sequence) else 0


async def refuse_unusable(plan: Plan) -> None:
    """Raises PlanError where the check of a step holds a schema or a pattern that cannot be used."""
    if faults := await unusable([(f"step {step.id}", step.check) for step in plan.steps if step.check]):
        raise PlanError(faults)


def read_step(raw: JSON, tools: Registry) -> Step:
    """One step by itself; whether what it needs is there only the whole plan can tell. Raises PlanError."""
    raw = step_as_meant(raw)
    try:
        step = _with_arguments(Step.model_validate(raw), tools)
    except ValidationError as error:
        raise PlanError(_shape_faults(1, raw, error)) from None
    if faults := _tool_faults(step, tools):
        raise PlanError(faults)
    return step


def _with_arguments(step: Step, tools: Registry) -> Step:
    """The step with its arguments, and those of its check, as their tools' schemas mean them."""
    check = with_arguments(step.check, tools) if step.check else None
    return step.model_copy(update={"arguments": tools.as_meant(step.tool, step.arguments), "check": check})


def advice(plan: Plan) -> list[str]:
    """What could be better, though the plan is valid."""
    found: list[str] = []
    vague = [str(step.id) for step in plan.steps if not step.expected_output.strip()]
    if vague and len(vague) < len(plan.steps):
        found.append(f"Steps without expected_output cannot be judged: {', '.join(vague[:10])}.")
    crowded = [str(step.id) for step in plan.steps if step.description.count(" and ") + step.description.count(";") > 2]
    if crowded:
        found.append(f"These steps seem to hold several: {', '.join(crowded[:10])}. One step, one call.")
    if len(plan.steps) > 50:
        found.append(f"{len(plan.steps)} steps are many: a person must still be able to read the plan.")
    return found


def _shape_faults(position: int, raw: JSON, error: ValidationError) -> list[Fault]:
    step_id = raw.get("id") if isinstance(raw, Mapping) else None
    where = f"step {step_id}" if isinstance(step_id, int) else f"the step at position {position}"
    known = ", ".join(Step.model_fields)
    faults: dict[str, Fault] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name, *inside = map(str, problem["loc"]) if problem["loc"] else [""]
        if inside:
            place = f"field {name!r}, {'.'.join(inside)}: {problem['msg']}"
            faults.setdefault(name, Fault(where, place, _INSIDE if name == "check" else _SHAPES.get(name, known)))
        elif problem["type"] == "extra_forbidden":
            faults[name] = Fault(where, f"unknown field {name!r}", f"A step has: {known}")
        elif problem["type"] == "missing":
            faults[name] = Fault(where, f"field {name!r} is missing", f"Add {name!r}")
        else:
            what = f"field {name!r}: {problem['msg']}" if name else problem["msg"]
            faults.setdefault(name, Fault(where, what, _SHAPES.get(name, f"A step is an object with: {known}")))
    return list(faults.values())


def _readable(raw: JSON, error: ValidationError) -> list[Step]:
    """What can be read of a step that is not whole, so that its other faults are found as well."""
    bad = {str(problem["loc"][0]) for problem in error.errors(include_url=False) if problem["loc"]}
    kept = {name: value for name, value in raw.items() if name not in bad} if isinstance(raw, Mapping) else {}
    try:
        return [Step.model_validate({"tool": _UNREAD, **kept})]
    except ValidationError:
        return []


def _tool_faults(step: Step, tools: Registry, *, told: bool = True) -> list[Fault]:
    where = f"step {step.id}"
    faults = [
        Fault(where, f"{wrong} is not a reference", f"Write {right} to refer to a result, or \\{wrong} for plain text")
        for wrong, right in mistaken([step.arguments, step.for_each, step.when])
    ]
    faults += _loop_faults(step, where)
    faults += [
        Fault(where, f"argument {name!r} holds {UNKNOWN} inside other text", f"Give the whole argument as {UNKNOWN}")
        for name, value in step.arguments.items()
        if UNKNOWN in json.dumps(value) and name not in unknown(step.arguments)
    ]
    if len(json.dumps(step.arguments)) > MAX_ARGUMENTS:
        faults.append(Fault(where, f"its arguments have over {MAX_ARGUMENTS} characters", "Put them into a file"))
    faults += tool_faults(step.check, where, tools, told=told) if step.check else []
    if step.tool == _UNREAD:
        return faults
    if step.strategy != "direct" and (known := tools.get(step.tool)) is not None and not known.asks:
        asking = " or ".join(tool.name for tool in tools if tool.asks) or "a tool that asks a model"
        problem = f"{step.tool} asks no model, so there is nothing to {step.strategy}"
        faults.append(Fault(where, problem, f'Use {asking}, or the strategy "direct"'))
    if step.tool not in tools:
        mend = tools.instead_of(step.tool) if told else "Use a known tool"
        return [*faults, Fault(where, f"there is no tool {clipped(step.tool, _NAME)!r}", mend)]
    faults += _agent_faults(step, where, tools) if step.tool == DELEGATE else []
    unfit = [fault for fault in tools.faults(step.tool, step.arguments) if not _hidden(fault, in_loop=step.is_loop)]
    return faults + [Fault(where, fault.at("arguments"), _mend(step.tool, fault, tools)) for fault in unfit]


def _agent_faults(step: Step, where: str, tools: Registry) -> list[Fault]:
    """What an agent may call stands in the plan, for whoever approves it."""
    named, given = may_call(step.arguments), step.arguments.get("tools", [])
    faults: list[Fault] = []
    if given is not None and (not isinstance(given, list) or len(named) < len(given) or find(given)):
        faults.append(Fault(where, "what its agent may call is not named", "Give tools as a list of their names"))
    for name in named:
        known, near = tools.get(name), " or ".join(tools.nearest(name))
        if find(name):
            continue
        if known is None:
            mend = f"Did you mean {near}?" if near else f"Known tools: {', '.join(tool.name for tool in tools)}"
            faults.append(Fault(where, f"its agent may call {clipped(name, _NAME)!r}, and there is no such tool", mend))
        elif known.asks:
            faults.append(Fault(where, f"its agent cannot call {name}, which asks a model", "Leave it out of tools"))
    faults += [
        Fault(where, f"{path!r} is a pattern, and no place that its agent may write", "Name files and folders")
        for path in may_write(step.arguments)
        if "*" in path and not find(path)
    ]
    if step.strategy != "direct":
        faults.append(Fault(where, "the work of an agent is done once, and judged", 'Use the strategy "direct"'))
    return faults


def _loop_faults(step: Step, where: str) -> list[Fault]:
    """What is wrong with its list, with its condition, and with what stands for an item where there is none."""
    faults: list[Fault] = []
    if isinstance(step.for_each, str) and whole(step.for_each) is None:
        faults.append(Fault(where, f"for_each {step.for_each[:80]!r} is no list", _SHAPES["for_each"]))
    check = step.check.model_dump(mode="json", exclude_defaults=True) if step.check else None
    used = in_turns([step.arguments, check, step.expected_output, step.when])
    if used and not step.is_loop:
        mend = rf'Give the step for_each, such as "{{{{1.files}}}}", or write \{used[0]} for plain text'
        faults.append(Fault(where, f"{used[0]} stands in no loop", mend))
    if nested := in_turns(step.for_each):
        faults.append(Fault(where, f"for_each goes over {nested[0]}: there are no loops in loops", _SHAPES["for_each"]))
    try:
        if step.when:
            check_condition(step.when)
    except ToolError as error:
        faults.append(Fault(where, f"its condition {step.when!r} cannot be told", str(error).rstrip(".")))
    return faults


def _turn_faults(steps: Sequence[Step]) -> list[Fault]:
    """What refers to the same turn of a loop that has no such turn."""
    loops = {step.id: step for step in steps if step.is_loop}
    faults: list[Fault] = []
    for step in steps:
        for each in sorted(find([step.arguments, step.when]), key=str):
            loop = loops.get(each.step) if each.path[:1] == (INDEX,) else None
            if loop and (loop.when or loop.for_each != step.for_each):
                turns = "leaves out turns" if loop.when and step.is_loop else "goes over another list"
                mend = f"Have both go over the same list, {loop.for_each}, without a condition in step {loop.id}"
                faults.append(Fault(f"step {step.id}", f"{each} is of the same turn, and step {loop.id} {turns}", mend))
    return faults


def _hidden(fault: SchemaFault, *, in_loop: bool) -> bool:
    """Only the run can tell what a reference, an item, or the executor brings; but inside a longer text it is text."""
    value = fault.instance
    if isinstance(value, str) and value.strip() == UNKNOWN:
        return True
    if not isinstance(value, str) or not (find(value) or (in_loop and in_turns(value))):
        return False
    whole = value.strip().startswith("{{") and value.strip().endswith("}}") and value.count("{{") == 1
    return whole or fault.rule != "type"


def _mend(tool: str, fault: SchemaFault, tools: Registry) -> str:
    known = tools.get(tool)
    if known and (known.source or fault.rule in ("required", "additionalProperties")):
        return f"It is called as {signature(known)}"
    return f"See the schema of {tool}: {str(fault.schema)[:200]}"
