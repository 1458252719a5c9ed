"""The executor fills the arguments that a planner could not know, and mends those of a call that went wrong."""

__all__ = ["PreparedCall", "arguments_for"]

import json
from collections.abc import Mapping
from dataclasses import dataclass

from forethought_patterns.cuts import with_reference
from forethought_patterns.drafts import closed_object, lean_arguments
from forethought_patterns.plan import Step
from forethought_patterns.ports import Dialect, Journal, Tried
from forethought_patterns.quoting import quoted
from forethought_patterns.references import fill, find, unknown
from forethought_patterns.roles import EXECUTOR, MATERIAL
from forethought_patterns.slots import Slot
from forethought_tools import JSON, Question, Registry, Role, ToolError
from forethought_tools.text import as_text

_RESULT = 6000  # characters of each result that an executor is shown


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """The arguments of one call, and how sure the executor is of them, if it was asked."""

    arguments: Mapping[str, JSON]
    confidence: float | None = None


async def arguments_for(
    step: Step, results: Mapping[int, JSON], goal: str, tools: Registry, journal: Journal, tried: Tried, slot: Slot
) -> PreparedCall:
    """The arguments of a step's next call; the executor is asked where some are unknown, or the last call went wrong.

    Raises:
        ToolError: they cannot be filled.
    """
    asked = bool(tried.feedback or unknown(step.arguments))
    answer: Mapping[str, JSON] = {}
    if asked:
        dialect = journal.dialect(Role.EXECUTOR)
        question = _question(step, results, goal, tools, tried, dialect)
        said = await journal.ask(f"step/{step.id}/arguments/{tried.round}", question, slot=slot)
        answer = said if isinstance(said, Mapping) else {}
    given = _given(answer, step, tried) if asked else step.arguments
    if strangers := {reference.step for reference in find(given)} - results.keys():
        raise ToolError(
            f"The arguments refer to step {min(strangers)}, which step {step.id} does not depend on."
            f" It can refer to: {', '.join(map(str, results)) or 'none'}."
        )
    filled = fill(given, results)
    confidence = answer.get("confidence")
    assert isinstance(filled, Mapping)
    return PreparedCall(
        tools.as_meant(step.tool, filled), float(confidence) if isinstance(confidence, int | float) else None
    )


def _given(answer: Mapping[str, JSON], step: Step, tried: Tried) -> Mapping[str, JSON]:
    said = answer.get("arguments")
    if not isinstance(said, Mapping):
        raise ToolError("The executor gave no arguments.")
    if tried.feedback:
        return said
    blank = unknown(step.arguments)
    return {**step.arguments, **{name: value for name, value in said.items() if name in blank}}


def _question(
    step: Step, results: Mapping[int, JSON], goal: str, tools: Registry, tried: Tried, dialect: Dialect
) -> Question:
    tool = tools.known(step.tool)
    shown = "\n".join(
        quoted("result", with_reference(number, value, _RESULT), f"step={number}") for number, value in results.items()
    )
    taken = "" if dialect == "wire" else f"\nArguments: {json.dumps(tool.parameters)}"  # the schema says it already
    parts = [
        f"Tool: {tool.name}: {tool.description}{taken}",
        f"{MATERIAL}\n{shown}" if results else "",
        f"Goal: {goal}",
        f"Step {step.id}: {step.description or tool.name}",
        f"Expected: {step.expected_output}" if step.expected_output else "",
        f"Planned arguments: {as_text(step.arguments)}",
        f"What went wrong so far: {tried.feedback}" if tried.feedback else "",
    ]
    arguments = lean_arguments(tool) if dialect == "lean" else tool.parameters
    sure: JSON = {"type": "number", "minimum": 0, "maximum": 1}
    schema = closed_object({"arguments": arguments, **({} if dialect == "lean" else {"confidence": sure})})
    return Question(Role.EXECUTOR, EXECUTOR, "\n\n".join(part for part in parts if part), schema)
