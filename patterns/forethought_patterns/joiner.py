"""The joiner writes the answer from the results, or says what is missing: a verdict with a field for it, never prose
that is searched for a word. After LLMCompiler (Kim et al., arXiv 2312.04511, section 3.4, dynamic replanning).
"""

__all__ = ["Joined", "join"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forethought_patterns.cuts import with_reading
from forethought_patterns.drafts import closed_object
from forethought_patterns.plan import Plan, Step
from forethought_patterns.ports import Journal
from forethought_patterns.problem import Problem
from forethought_patterns.roles import JOINER, MATERIAL
from forethought_patterns.slots import Slot
from forethought_patterns.strategies import writer_of
from forethought_patterns.watcher import Outcome
from forethought_tools import JSON, Question, Registry, Role, tabular
from forethought_tools.text import as_text, shortened

_ALL = 24_000  # characters of all results that a joiner is shown
_KNOWN = 150  # characters of one that the calling agent has written or judged itself
_TOLD = 4_000  # characters of one result in an answer that no model writes
_BEFORE = "\n[cut: {left} more characters, which you were told or have written before in this run]"
_DONE: Mapping[str, str] = {
    "write_table": "Wrote",
    "write_file": "Wrote",
    "append_file": "Added to",
    "edit_file": "Edited",
    "delete_file": "Deleted",
    "move_file": "Moved to",
    "copy_file": "Copied to",
    "make_folder": "Made",
}
_NOTHING: Mapping[int, Sequence[str]] = {}
_VERDICT = closed_object({"done": {"type": "boolean"}, "answer": {"type": "string"}, "missing": {"type": "string"}})


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to the goal, or what is missing for one."""

    answer: str = ""
    missing: Problem | None = None


async def join(
    plan: Plan,
    outcomes: Mapping[int, Outcome],
    tools: Registry,
    journal: Journal,
    *,
    slot: Slot,
    told: Mapping[int, Sequence[str]] = _NOTHING,
) -> Joined:
    """Ask the joiner about a revision whose steps are done, or left out. A small model is not asked: what its plan says
    is told, word for word, so that no number is lost on the way. Of some steps an agent has `told` more than that."""
    dialect = journal.dialect(Role.JOINER)
    if dialect == "lean":
        return Joined(answer=_plainly(plan, outcomes))
    share = _ALL // len(plan.steps)
    known = _known(plan, tools, journal)

    def shown(step: Step) -> str:
        if outcomes[step.id].left_out:
            return f"(left out: {outcomes[step.id].error})"
        value = outcomes[step.id].value
        text = (
            shortened(value, min(_KNOWN, share), _BEFORE)
            if step.id in known
            else with_reading(step.id, value, share, dialect)
        )
        return "\n".join([text, *(f"Its agent notes: {shortened(note, share)}" for note in told.get(step.id, ()))])

    results = "\n".join(f"<result step={step.id} tool={step.tool}>\n{shown(step)}\n</result>" for step in plan.steps)
    context = f"{MATERIAL}\n{results}\n\nGoal: {plan.goal}"
    question = Question(Role.JOINER, JOINER, context, _VERDICT)
    verdict = await journal.ask(f"join/{plan.revision}", question, slot=slot)
    assert isinstance(verdict, Mapping)
    if verdict["done"]:
        return Joined(answer=str(verdict["answer"]))
    missing = str(verdict["missing"]) or "the joiner did not say what"
    return Joined(missing=Problem(f"Something is missing: {missing}"))


def _known(plan: Plan, tools: Registry, journal: Journal) -> set[int]:
    """The steps whose results the calling agent, who is asked here, has written or has judged before."""
    if journal.dialect(Role.JOINER) != "wire":
        return set()
    judges = journal.dialect(Role.EVALUATOR) == "wire"
    return {
        step.id
        for step in plan.steps
        if (tools.asks(step.tool) and journal.dialect(writer_of(step)) == "wire")
        or (judges and step.expected_output.strip() and step.check is None)
    }


def _plainly(plan: Plan, outcomes: Mapping[int, Outcome]) -> str:
    """What the plan tells; else what it found and nothing used, and what it has done."""
    done = [step for step in plan.steps if not outcomes[step.id].left_out]
    told = [each for step in done if step.tool == "tell" for each in _texts(step, outcomes[step.id].value)]
    if told:
        return "\n".join(told)
    lines: list[str] = []
    for step in done:
        value = outcomes[step.id].value
        written = value if step.is_loop and isinstance(value, list) else [value]
        if (verb := _DONE.get(step.tool)) and all(isinstance(each, Mapping) for each in written):
            places = [
                str(each.get("path", each.get("destination", ""))) for each in written if isinstance(each, Mapping)
            ]
            lines.append(f"{verb} {', '.join(places) or 'nothing'}.")
        elif not any(step.id in _referred(other) for other in plan.steps):
            lines.append(shortened(tabular.told(value), _TOLD))
    return "\n".join(lines)


def _texts(step: Step, value: JSON) -> list[str]:
    """What a step tells; a loop tells something for each item."""
    return [as_text(each) for each in value] if step.is_loop and isinstance(value, list) else [as_text(value)]


def _referred(step: Step) -> set[int]:
    return set(step.refers)
