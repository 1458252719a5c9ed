"""The joiner writes the answer from the results, or says what is missing: a verdict with a field for it, never prose
that is searched for a word. After LLMCompiler (Kim et al., arXiv 2312.04511, section 3.4, dynamic replanning).
"""

__all__ = ["Joined", "join"]

from collections.abc import Mapping
from dataclasses import dataclass

from forethought_patterns.drafts import closed_object
from forethought_patterns.plan import Plan
from forethought_patterns.ports import Journal
from forethought_patterns.problem import Problem
from forethought_patterns.roles import JOINER, LEAN_JOINER, MATERIAL
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Outcome
from forethought_tools import Question, Role
from forethought_tools.text import shortened

_ALL = 24_000  # characters of all results that a joiner is shown
_LEAN_ALL = 4_000
_VERDICT = closed_object({"done": {"type": "boolean"}, "answer": {"type": "string"}, "missing": {"type": "string"}})
# A small model's opinion of its own work is not worth another plan.
_LEAN_VERDICT = closed_object({"answer": {"type": "string", "minLength": 1, "maxLength": 400}})


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to the goal, or what is missing for one."""

    answer: str = ""
    missing: Problem | None = None


async def join(plan: Plan, outcomes: Mapping[int, Outcome], journal: Journal, *, slot: Slot) -> Joined:
    """Ask the joiner about a revision whose steps have all succeeded."""
    lean = journal.dialect(Role.JOINER) == "lean"
    share = (_LEAN_ALL if lean else _ALL) // len(plan.steps)
    results = "\n".join(
        f"<result step={step.id} tool={step.tool}>\n{shortened(outcomes[step.id].value, share)}\n</result>"
        for step in plan.steps
    )
    context = f"{MATERIAL}\n{results}\n\nGoal: {plan.goal}"
    instructions, schema = (LEAN_JOINER, _LEAN_VERDICT) if lean else (JOINER, _VERDICT)
    question = Question(Role.JOINER, instructions, context, schema)
    verdict = await journal.ask(f"join/{plan.revision}", question, slot=slot)
    assert isinstance(verdict, Mapping)
    if lean:
        return Joined(answer=_whole_sentences(str(verdict["answer"])))
    if verdict["done"]:
        return Joined(answer=str(verdict["answer"]))
    missing = str(verdict["missing"]) or "the joiner did not say what"
    return Joined(missing=Problem(f"Something is missing: {missing}"))


def _whole_sentences(text: str) -> str:
    """Without a last sentence that the limit has cut off."""
    ended = text.rstrip().endswith((".", "!", "?"))
    return text if ended or ". " not in text else text[: text.rindex(". ") + 1]
