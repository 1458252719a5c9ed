"""Reflection: draft, critique, revise, and keep the best.

After Self-Refine (Madaan et al., arXiv 2303.17651) and Reflexion (Shinn et al., arXiv 2303.11366), without their traps:
verdicts are values, checks outweigh the critic, and the best draft comes back, not the last. Nothing here knows of
models or tools: an `Author` writes, checks, judges and revises.
"""

__all__ = ["Author", "Critique", "Evidence", "Issue", "Refined", "Round", "contradiction", "refine"]

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from forethought_patterns.problem import Problem
from forethought_tools import BudgetError, ModelError
from forethought_tools.text import one_line

Stopped: TypeAlias = Literal["approved", "threshold", "taste", "no gain", "iterations", "refused"]

_PATIENCE = 2  # rounds without gain
_LESSONS = 3
_LESSON = 200  # characters of one


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to mend."""

    where: str
    problem: str
    mend: str
    taste: bool = False
    """A matter of taste: better perhaps, and not wrong as it is."""


@dataclass(frozen=True, slots=True)
class Critique:
    """A critic's opinion of one draft."""

    scores: Mapping[str, float]
    """From 0 to 10, by criterion."""
    issues: Sequence[Issue] = ()
    approved: bool = False
    lessons: Sequence[str] = ()
    """What to remember in later rounds, a line each."""

    @property
    def score(self) -> float:
        """The mean over the criteria."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a check, which is no model, has found."""

    check: str
    problem: Problem | None = None
    """None: it has passed."""


@dataclass(frozen=True, slots=True)
class Round:
    """One draft, and what was said of it."""

    number: int
    """From 1."""
    draft: str
    evidence: Sequence[Evidence]
    critique: Critique
    diff: str = ""
    """What changed since the draft that was revised."""
    contradiction: Problem | None = None
    """How the critic's verdict contradicts its own scores. Such a verdict does not count."""
    gain: bool = True
    """Whether it is better than all before."""

    @property
    def failing(self) -> int:
        return sum(each.problem is not None for each in self.evidence)

    @property
    def rank(self) -> tuple[int, float]:
        """What makes one draft better than another: checks first, since they outweigh any praise; then the scores."""
        return (-self.failing, self.critique.score)


class Author(Protocol):
    """Who writes and who judges. `write`, `critique` and `revise` are model calls, `check` is none."""

    async def write(self) -> str:
        """A first draft."""
        ...

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        """What the checks say."""
        ...

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence],
        past: Sequence[Round],
        lessons: Sequence[str],
        doubt: Problem | None,
    ) -> Critique:
        """Judge a draft. With `doubt`: judge it again, since the last verdict contradicts its own scores."""
        ...

    async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
        """A better draft than `best`, which is the best so far."""
        ...


@dataclass(frozen=True, slots=True)
class Refined:
    """What came of it."""

    best: Round
    rounds: Sequence[Round]
    lessons: Sequence[str]
    stopped: Stopped
    why: str = ""
    """Where nobody would go on: what they said."""


@dataclass
class _State:
    rounds: list[Round] = field(default_factory=list[Round])
    lessons: list[str] = field(default_factory=list[str])

    @property
    def best(self) -> Round:
        # The first of equals: a change that brings nothing is not worth having.
        return max(self.rounds, key=lambda each: (*each.rank, -each.number))


async def refine(
    draft: str,
    author: Author,
    *,
    max_iterations: int = 3,
    threshold: float = 8.0,
    seen: Callable[[Round], Awaitable[None]] | None = None,
) -> Refined:
    """Improve a draft until it is good, or nothing is gained any more, and return the best that there was.

    Args:
        draft: What to start from. Empty: the author writes it.
        author: Writes, checks, judges, revises.
        max_iterations: Drafts that are judged, at most, the first one included.
        threshold: Mean score from 0 to 10 at which a draft is good enough, if no check fails.
        seen: Told of each round as it ends.

    Raises:
        ValueError: a bound that cannot be.
        ModelError, BudgetError: there is no judged draft yet. Later they end it with what there is.
    """
    if max_iterations < 1 or not 0 <= threshold <= 10:
        raise ValueError("max_iterations must be at least 1, and threshold from 0 to 10")
    state = _State()
    try:
        text = draft if draft.strip() else await author.write()
        base = ""
        while True:
            judged = await _judge(text, base, state, author, threshold)
            state.rounds.append(judged)
            if seen is not None:
                await seen(judged)
            if stopped := _stopped(state, max_iterations, threshold):
                return Refined(state.best, state.rounds, state.lessons, stopped)
            base = state.best.draft
            text = await author.revise(state.best, state.rounds, state.lessons)
            if any(text == each.draft for each in state.rounds):
                return Refined(state.best, state.rounds, state.lessons, "no gain")
    except (ModelError, BudgetError) as error:
        if not state.rounds:
            raise
        return Refined(state.best, state.rounds, state.lessons, "refused", str(error))


async def _judge(text: str, base: str, state: _State, author: Author, threshold: float) -> Round:
    number = len(state.rounds) + 1
    evidence = await author.check(text, number)
    critique = await author.critique(text, evidence, state.rounds, state.lessons, None)
    doubt = contradiction(critique, evidence, threshold)
    if doubt:
        critique = await author.critique(text, evidence, state.rounds, state.lessons, doubt)
        doubt = contradiction(critique, evidence, threshold)
    _learn(state.lessons, critique.lessons)
    judged = Round(number, text, evidence, critique, _diff(base, text) if base else "", doubt)
    better = not state.rounds or judged.rank > state.best.rank
    return judged if better else Round(number, text, evidence, critique, judged.diff, doubt, gain=False)


def contradiction(critique: Critique, evidence: Sequence[Evidence], threshold: float) -> Problem | None:
    """How a critique contradicts itself or what is known, if it does."""
    failing = [each for each in evidence if each.problem]
    defects = [issue for issue in critique.issues if not issue.taste]
    if critique.approved and failing:
        return Problem(f"it approves, though this check fails: {failing[0].check}: {failing[0].problem}")
    if critique.approved and critique.score < threshold:
        below = f"its scores are {critique.score:.1f} on average, below {threshold:g}"
        return Problem(f"it approves, though {below}")
    if critique.approved and defects:
        return Problem(f"it approves, though it names something that is wrong: {defects[0].problem}")
    if not critique.approved and not failing and not critique.issues:
        return Problem("it does not approve, though it names nothing to mend")
    return None


def _stopped(state: _State, max_iterations: int, threshold: float) -> Stopped | None:
    last = state.rounds[-1]
    if not last.failing:
        if last.critique.approved and not last.contradiction:
            return "approved"
        if last.critique.score >= threshold:
            return "threshold"
        if last.evidence and last.critique.issues and all(issue.taste for issue in last.critique.issues):
            return "taste"
    if len(state.rounds) >= max_iterations:
        return "iterations"
    without = state.rounds[-_PATIENCE:]
    return "no gain" if len(state.rounds) > _PATIENCE and not any(each.gain for each in without) else None


def _learn(lessons: list[str], more: Sequence[str]) -> None:
    """Keep the latest three, one line each."""
    for lesson in more:
        line = one_line(lesson)[:_LESSON]
        if line and line not in lessons:
            lessons.append(line)
    del lessons[:-_LESSONS]


def _diff(old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "after", lineterm="")
    return "\n".join(lines)
