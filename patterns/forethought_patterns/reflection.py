"""Reflection: draft, critique, revise, and keep the best.

After Self-Refine (Madaan et al., arXiv 2303.17651) and Reflexion (Shinn et al., arXiv 2303.11366), without their traps:
verdicts are values, checks outweigh the critic, and a draft that got worse does not come back. A critic is wrong now
and then, so a verdict counts as two opinions, its score and how much it calls wrong: a later draft takes the place of
the best only if both say that it is no worse, and is revised further unless it is clearly worse by both. Nothing here
knows of models or tools: an `Author` writes, checks, judges and revises.
"""

__all__ = ["Author", "Critique", "Evidence", "Issue", "Refined", "Round", "contradiction", "refine"]

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

from forethought_patterns.problem import Problem
from forethought_tools import BudgetError, ModelError
from forethought_tools.text import one_line

Stopped: TypeAlias = Literal["approved", "threshold", "taste", "no gain", "iterations", "refused"]

_PATIENCE = 3  # rounds without gain
_SPARED = 2  # drafts that the critic is spared, at most, never one after the other; and so many more drafts in all
_FALL = 5.0  # of 10 points: a score that falls further is believed, however little is named
_FEW = 9  # things, of all that two verdicts name; where they name more, mending brings more than it breaks
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
    holds: bool = True
    """Whether it took the place of the best so far."""
    final: bool = True
    """Whether no more was to be said of it: not where nobody would go on in the middle of it."""

    @property
    def judged(self) -> bool:
        """Whether the critic has scored it: not where its failing checks said enough, nor a last draft when nobody is
        left to judge it."""
        return bool(self.critique.scores)

    @property
    def sound(self) -> bool:
        """Whether the critic has judged it, and does not contradict itself."""
        return self.judged and not self.contradiction

    @property
    def failing(self) -> int:
        return sum(each.problem is not None for each in self.evidence)

    @property
    def defects(self) -> int:
        """How much the critic calls wrong, matters of taste aside."""
        return sum(not issue.taste for issue in self.critique.issues)

    @property
    def rank(self) -> tuple[int, float]:
        """What makes one draft better than another: checks first, since they outweigh any praise; then the scores."""
        return (-self.failing, self.critique.score if self.sound else 0.0)


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

    async def revise(self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None) -> str:
        """A better draft than `base`, which may name issues of another try, too.

        With `doubt`: another one, since the last was none that is new.
        """
        ...


@dataclass(frozen=True, slots=True)
class Refined:
    """What came of it."""

    best: Round
    rounds: Sequence[Round]
    lessons: Sequence[str]
    stopped: Stopped
    problem: Problem | None = None
    """Where nobody would go on: why."""


@dataclass
class _State:
    author: Author
    max_iterations: int
    threshold: float
    seen: Callable[[Round], Awaitable[None]] | None
    rounds: list[Round] = field(default_factory=list[Round])
    lessons: list[str] = field(default_factory=list[str])
    under_way: Round | None = None
    """A draft with what is known of it until its round is at an end."""

    @property
    def best(self) -> Round:
        return [each for each in self.rounds if each.holds][-1]

    @property
    def base(self) -> Round:
        """What is revised. With what was named last in another draft, too, unless its own verdict is the latest, and it
        took the place of the best by that: it may be there still, and where verdicts disagree one of them errs."""
        judged = [each for each in self.rounds if each.judged]
        if not judged:
            return self.best
        base = _promising(self.best, judged[-1])
        if base.sound and base is judged[-1] and base.holds:
            return base
        other = [each for each in judged if each.sound and each is not base][-1:]
        issues = dict.fromkeys([*base.critique.issues, *(issue for each in other for issue in each.critique.issues)])
        return replace(base, critique=replace(base.critique, issues=list(issues)))

    def refined(self, stopped: Stopped, problem: Problem | None = None) -> Refined:
        return Refined(self.best, self.rounds, self.lessons, stopped, problem)


async def refine(
    draft: str,
    author: Author,
    *,
    max_iterations: int = 3,
    threshold: float = 8.0,
    seen: Callable[[Round], Awaitable[None]] | None = None,
) -> Refined:
    """Improve a draft until it is good, or nothing is gained any more, and return the best that there was.

    A draft that fails a check is revised by what its checks say and what the critic named last, and no critic is asked:
    at most twice, and never twice in a row, for checks do not see all. A later draft takes the place of the best so far
    if fewer checks fail, or as many and the critic neither scores it lower nor calls more wrong, or if it ends the work
    as good. So does one that nobody has judged, if no more checks fail, unless the last verdict was a lower score than
    that of the best, with no less called wrong, and both name little. As long as the best fails a check it is known to
    be wrong: want of gain does not end the work, but that no other draft comes does.

    Args:
        draft: What to start from. Empty: the author writes it.
        author: Writes, checks, judges, revises.
        max_iterations: Drafts that the critic judges, at most; of all drafts there are two more, at most.
        threshold: Mean score from 0 to 10 at which a draft is good enough, if no check fails and nothing is named that
            is wrong. Matters of taste are seen to once.
        seen: Told of each round as it ends.

    Raises:
        ValueError: a bound that cannot be.
        ModelError, BudgetError: there is no draft yet that the critic or a check has seen. Later they end it with what
            there is.
    """
    if max_iterations < 1 or not 0 <= threshold <= 10:
        raise ValueError("max_iterations must be at least 1, and threshold from 0 to 10")
    state = _State(author, max_iterations, threshold, seen)
    try:
        text: str | None = draft if draft.strip() else await author.write()
        stopped: Stopped | None = None
        while text is not None and stopped is None:
            judged = await _judge(text, state)
            stopped = _good(judged, state)
            await _settle(judged, state, good=bool(stopped))
            stopped = stopped or _given_up(state)
            text = None if stopped else await _revised(state)
        return state.refined(stopped or "no gain")
    except (ModelError, BudgetError) as error:
        if not state.rounds and not (state.under_way and state.under_way.evidence):
            raise
        if state.under_way and not any(each.draft == state.under_way.draft for each in state.rounds):
            await _settle(replace(state.under_way, final=False), state)
        return state.refined("refused", Problem(str(error)))


async def _judge(text: str, state: _State) -> Round:
    number, author = len(state.rounds) + 1, state.author
    known = [each.evidence for each in state.rounds if each.draft == text]
    evidence = known[0] if known else await author.check(text, number)
    diff = _diff(state.base.draft, text) if state.rounds else ""
    judged = state.under_way = Round(number, text, evidence, Critique({}), diff)
    if _is_spared(judged, state.rounds):
        return judged
    doubt: Problem | None = None
    for _ in range(2):
        critique = await author.critique(text, evidence, state.rounds, state.lessons, doubt)
        doubt = contradiction(critique, evidence, state.threshold)
        judged = state.under_way = replace(judged, critique=critique, contradiction=doubt)
        if not doubt:
            break
    _learn(state.lessons, judged.critique.lessons)
    return judged


def _is_spared(draft: Round, rounds: Sequence[Round]) -> bool:
    """Whether its failing checks say enough of what is to be mended next, so that the critic is not asked."""
    spared = sum(not each.judged for each in rounds)
    return draft.failing > 0 and spared < _SPARED and (not rounds or rounds[-1].judged)


async def _settle(judged: Round, state: _State, *, good: bool = False) -> None:
    """End a round: compare its draft with those before."""
    gain = all(judged.rank > each.rank for each in state.rounds)
    holds = not state.rounds or good or _holds(judged, state)
    state.rounds.append(replace(judged, gain=gain, holds=holds))
    state.under_way = None
    if state.seen is not None:
        await state.seen(state.rounds[-1])


def _holds(later: Round, state: _State) -> bool:
    best = state.best
    if later.failing != best.failing:
        return later.failing < best.failing
    sound = [each for each in state.rounds if each.sound and each.failing == best.failing]
    rivals = [each for each in sound if each.holds][-1:]
    if not later.judged:
        return not any(_got_worse(sound[-1], rival) and _named_in(sound[-1], rival) <= _FEW for rival in rivals)
    return later.sound and all(
        later.critique.score >= each.critique.score and later.defects <= each.defects for each in rivals
    )


def _got_worse(latest: Round, best: Round) -> bool:
    return latest.critique.score < best.critique.score and latest.defects >= best.defects


def _named_in(*judged: Round) -> int:
    return sum(len(each.critique.issues) for each in judged)


def _promising(best: Round, last: Round) -> Round:
    """Of the best and the latest that was judged, the one to revise: the latest, even if it fails one check more,
    unless it is clearly worse or the best came later.

    Revisions break things here and there: to go back for one of them loses all that was mended beside it.
    """
    if last.number < best.number or last.failing > best.failing + 1:
        return best
    fall = best.critique.score - last.critique.score
    worse = fall > _FALL or (fall > 0 and last.defects > best.defects)
    return best if worse and best.sound and last.sound else last


async def _revised(state: _State) -> str | None:
    """What is judged next: a draft that says something and that there was not yet, which is asked for once more if need
    be. It may be the base as it is, once: where its author mends nothing of what the critic alone calls wrong, one of
    them errs. None: there is nothing."""
    base, doubt = state.base, None
    opinions = [each for each in state.rounds if each.draft == base.draft]
    if len(opinions) > 1 and state.rounds[-1].draft == base.draft:
        doubt = Problem(f"it is draft {base.number} again, word for word")
    for _ in range(1 if doubt else 2):
        text = await state.author.revise(base, state.rounds, state.lessons, doubt)
        if not text.strip():
            doubt = Problem("it was empty")
            continue
        same = [each.number for each in state.rounds if each.draft == text]
        if not same or (text == base.draft and base.judged and not base.failing and len(opinions) == 1):
            return text
        doubt = Problem(f"it is draft {same[0]} again, word for word")
    return None


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


def _good(judged: Round, state: _State) -> Stopped | None:
    """Why a draft is good enough, if it is."""
    critique = judged.critique
    if judged.failing:
        return None
    if critique.approved and not judged.contradiction:
        return "approved"
    if not _is_taste(judged) or (critique.issues and not (state.rounds and _is_taste(state.rounds[-1]))):
        return None
    if critique.score >= state.threshold:
        return "threshold"
    return "taste" if judged.evidence and critique.issues else None


def _is_taste(judged: Round) -> bool:
    """Whether nothing is wrong with it as far as anybody has said."""
    return judged.judged and not judged.failing and all(issue.taste for issue in judged.critique.issues)


def _given_up(state: _State) -> Stopped | None:
    """Why nothing more is tried though no draft is good enough, if so."""
    judged, most = sum(each.judged for each in state.rounds), state.max_iterations
    if judged >= most or len(state.rounds) >= most + _SPARED:
        return "iterations"
    late = state.rounds[-_PATIENCE:]
    tired = len(state.rounds) > _PATIENCE and not any(each.gain for each in late)
    return "no gain" if tired and not state.best.failing else None


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
