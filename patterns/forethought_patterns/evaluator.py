"""Whether a step's result is what was expected: by the step's own check where it names one, else by a model."""

__all__ = ["evaluate"]

from collections.abc import Mapping, Sequence

from forethought_patterns.checks import CallTool, examine
from forethought_patterns.cuts import with_reading
from forethought_patterns.drafts import closed_object
from forethought_patterns.plan import Step
from forethought_patterns.ports import Dialect, Journal
from forethought_patterns.problem import Problem
from forethought_patterns.quoting import quoted
from forethought_patterns.roles import EVALUATOR, MATERIAL, MEETS
from forethought_patterns.slots import Slot
from forethought_tools import JSON, Question, Role
from forethought_tools.text import as_text, compact

_RESULT = 12_000  # characters of a result that an evaluator is shown
_CALL = {"wire": 300, "flat": 2000, "lean": 2000}  # characters of the call; the calling agent knows its plan
_VERDICT = closed_object(
    {
        "success": {"type": "boolean"},
        "issues": {"type": "array", "items": {"type": "string"}},
        "suggestion": {"type": "string"},
    }
)


async def evaluate(
    step: Step,
    arguments: Mapping[str, JSON],
    value: JSON,
    journal: Journal,
    *,
    slot: Slot,
    key: str,
    call: CallTool,
) -> Problem | None:
    """What is wrong with a result, if anything is. `call` makes the call of a check, through its gate."""
    if step.check is not None:
        return _all_of(await examine(step.check, value, call))
    if not step.expected_output.strip():
        return None
    dialect = journal.dialect(Role.EVALUATOR)
    context = _context(step, arguments, value, dialect)
    if dialect == "lean":
        sure = await journal.judge(key, Question(Role.EVALUATOR, MEETS, context, {"type": "boolean"}), slot=slot)
        if sure is None:
            return Problem("nobody could judge whether it is as expected")
        return None if sure >= 0.5 else Problem(f"the evaluator is only {sure:.0%} sure that it is as expected")
    schema = (
        {name: _VERDICT[name] for name in ("type", "properties")} | {"required": ["success"]}
        if dialect == "wire"
        else _VERDICT
    )
    verdict = await journal.ask(key, Question(Role.EVALUATOR, EVALUATOR, context, schema), slot=slot)
    if not isinstance(verdict, Mapping) or verdict["success"]:
        return None
    issues = verdict.get("issues")
    wrong = "; ".join(map(str, issues)) if isinstance(issues, list) and issues else "it is not what was expected"
    return Problem(f"{wrong}. {verdict.get('suggestion') or ''}".strip())


def _all_of(problems: Sequence[Problem]) -> Problem | None:
    return Problem("; ".join(map(str, problems))) if problems else None


def _context(step: Step, arguments: Mapping[str, JSON], value: JSON, dialect: Dialect) -> str:
    called = step.arguments if dialect == "wire" else arguments  # with references, since their results are told too
    call = f"{step.tool} {as_text(called)[: _CALL[dialect]]}"
    shown = compact(value) if dialect == "wire" else value
    return (
        f"{MATERIAL}\n{quoted('result', with_reading(step.id, shown, _RESULT, dialect))}\n\n"
        f"Step: {step.description or step.tool}\nCall: {call}\nExpected: {step.expected_output}"
    )
