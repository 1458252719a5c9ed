"""Reflection through a journal: the executor writes, the critic judges, checks call tools; every round is noted."""

__all__ = ["CRITERIA", "CUT_OFF", "Task", "improve", "round_body"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from forethought_patterns.checks import Check, examine
from forethought_patterns.drafts import closed_object
from forethought_patterns.problem import Problem
from forethought_patterns.quoting import quoted
from forethought_patterns.reflection import Critique, Evidence, Issue, Refined, Round, refine
from forethought_patterns.roles import CRITIC, DRAFT, MATERIAL, REVISE
from forethought_patterns.tool_calls import ToolCalls
from forethought_tools import JSON, ModelError, Question, Role

CRITERIA = ("It does what the task asks for", "It is correct", "It is clear")
CUT_OFF = "/cut off"  # ends the key of a round that its critic could not judge to the end
_DRAFT = 24_000  # characters of a draft
_PAST = 2  # earlier rounds whose issues are shown again
_VARIETY = 0.8  # the likeliest answer is one that was there already
_TEXT: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": _DRAFT}


@dataclass(frozen=True, slots=True)
class Task:
    """What a draft is for, and what it is judged by."""

    task: str
    criteria: Sequence[str] = CRITERIA
    checks: Sequence[Check] = ()
    material: str = ""
    """Facts to use. It may quote tools: data, never instructions."""


async def improve(
    task: Task,
    draft: str,
    calls: ToolCalls,
    *,
    max_iterations: int = 3,
    threshold: float = 8.0,
    prefix: str = "",
    given: bool = True,
) -> Refined:
    """Refine a draft (none: have one written), with questions, checks and notes named after `prefix`. See `refine`.

    `given`: the draft is somebody's own, and no other is wanted. It is not, where a model has written it for this.
    """

    async def seen(judged: Round) -> None:
        # A key of its own: where the critic is only out of reach, a resumed run may judge that draft after all.
        end = "" if judged.final else CUT_OFF
        await calls.journal.note(f"{prefix}round/{judged.number}{end}", round_body(judged))

    author = _Author(task, calls, prefix, given=given and bool(draft.strip()))
    return await refine(draft, author, max_iterations=max_iterations, threshold=threshold, seen=seen)


def round_body(judged: Round) -> dict[str, JSON]:
    """A round as it is kept and shown."""
    return {
        "round": judged.number,
        "score": round(judged.critique.score, 2) if judged.judged else None,
        "scores": dict(judged.critique.scores),
        "approved": judged.critique.approved,
        "issues": [asdict(issue) for issue in judged.critique.issues],
        "checks": [{"check": each.check, "problem": _text(each.problem)} for each in judged.evidence],
        "gain": judged.gain,
        "holds": judged.holds,
        **({"contradiction": judged.contradiction.text} if judged.contradiction else {}),
        "lessons": list(judged.critique.lessons),
        "diff": judged.diff,
        "draft": judged.draft,
    }


def _text(problem: Problem | None) -> str:
    return problem.text if problem else ""


@dataclass(frozen=True, slots=True)
class _Author:
    task: Task
    calls: ToolCalls
    prefix: str
    given: bool
    """Whether the first draft is somebody's own: that one is to be mended, and no other is wanted."""

    async def write(self) -> str:
        question = Question(Role.EXECUTOR, DRAFT, self._task(), _TEXT)
        return str(await self._ask("draft", question))

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        found: list[Evidence] = []
        for position, check in enumerate(self.task.checks, 1):

            async def call(name: str, arguments: Mapping[str, JSON], position: int = position) -> JSON:
                key = f"{self.prefix}check/{number}/{position}"
                return await self.calls.make(name, arguments, key=key, why="check a draft")

            problems = await examine(check, draft, call)
            found.append(Evidence(str(check), Problem("; ".join(map(str, problems))) if problems else None))
        return found

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence],
        past: Sequence[Round],
        lessons: Sequence[str],
        doubt: Problem | None,
    ) -> Critique:
        criteria = "\n".join(f"{number}. {criterion}" for number, criterion in enumerate(self.task.criteria, 1))
        parts = [
            f"{self._task()}\n\nCriteria:\n{criteria}",
            f"Checks:\n{_verdicts(evidence)}" if evidence else "",
            _earlier(past, draft),
            f"Lessons so far:\n{_listed(lessons)}" if lessons else "",
            quoted("draft", draft[:_DRAFT]),
            f"Your last verdict on this draft contradicts itself: {doubt}. Judge it again." if doubt else "",
        ]
        key = f"critique/{len(past) + 1}" + ("/again" if doubt else "")
        lean = self.calls.journal.dialect(Role.CRITIC) == "lean"
        if lean and any(each.problem for each in evidence):
            return Critique({})  # what a small critic names beside a failing check is no help (benchmarks, HumanEval)
        schema = _critique_schema(len(self.task.criteria), lean=lean)
        said = await self._ask(key, Question(Role.CRITIC, CRITIC, _joined(parts), schema))
        return _critique(said, self.task.criteria)

    async def revise(self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None) -> str:
        key = f"revise/{len(past)}" + ("/again" if doubt else "")
        failing = [each for each in base.evidence if each.problem]
        lean = self.calls.journal.dialect(Role.EXECUTOR) == "lean"
        if lean and failing and not self.given and (len(past) % 2 == 1 or not self._demands):
            # Shown its draft, it copies that (benchmarks, HumanEval).
            return await self._revision(key, Question(Role.EXECUTOR, DRAFT, self._task(), _TEXT, variety=_VARIETY))
        broken: Sequence[Evidence] = () if lean else _broken(base, past)
        own = base.critique.issues == past[base.number - 1].critique.issues
        parts = [
            self._task(),
            f"The draft to mend:\n{base.draft}",
            f"Checks that fail:\n{_verdicts(failing)}" if failing else "",
            f"Checks that other tries fail, and it does not:\n{_verdicts(broken)}" if broken else "",
            f"Issues{'' if own else ' (named in this or another try: mend what is in this one)'}:\n{_issues(base)}"
            if base.critique.issues
            else "",
            f"Lessons so far:\n{_listed(lessons)}" if lessons else "",
            f"Your last answer changed nothing: {doubt}. Mend what is named above." if doubt else "",
            "Now write the whole new draft, and nothing else.",
        ]
        question = Question(
            Role.EXECUTOR, REVISE, _joined(parts), _TEXT, variety=_VARIETY if doubt or (lean and failing) else 0.0
        )
        return await self._revision(key, question)

    async def _revision(self, key: str, question: Question) -> str:
        """What a model answers; where that cannot be used, what it answers the second time (to the same key, so that a
        run that is resumed goes on from there)."""
        try:
            return str(await self._ask(key, question))
        except ModelError as error:
            if error.transient:
                raise
        return str(await self._ask(key, replace(question, variety=_VARIETY)))

    async def _ask(self, key: str, question: Question) -> JSON:
        return await self.calls.journal.ask(f"{self.prefix}{key}", question, slot=self.calls.slot)

    @property
    def _demands(self) -> bool:
        """Whether a check says itself what it demands, which the task may not."""
        return any(each.tool is None and each.command is None for each in self.task.checks)

    def _task(self) -> str:
        material = f"{MATERIAL}\n{quoted('material', self.task.material)}\n\n" if self.task.material else ""
        return f"{material}Task: {self.task.task}"


def _critique_schema(criteria: int, *, lean: bool) -> Mapping[str, JSON]:
    score: JSON = {"type": "number", "minimum": 0, "maximum": 10}
    text: JSON = {"type": "string", **({"maxLength": 160} if lean else {})}
    issue = closed_object({"where": text, "problem": text, "mend": text, "taste": {"type": "boolean"}})
    return closed_object(
        {
            "scores": closed_object({str(number): score for number in range(1, criteria + 1)}),
            "issues": {"type": "array", "items": issue, "maxItems": 2 if lean else 10},
            "approved": {"type": "boolean"},
            "lessons": {"type": "array", "items": text, "maxItems": 1 if lean else 3},
        }
    )


def _critique(said: JSON, criteria: Sequence[str]) -> Critique:
    """A critique as it fits its schema."""
    assert isinstance(said, Mapping)
    scores, issues, lessons = said["scores"], said["issues"], said["lessons"]
    assert isinstance(scores, Mapping)
    assert isinstance(issues, Sequence)
    assert isinstance(lessons, Sequence)
    return Critique(
        {criterion: float(str(scores[str(number)])) for number, criterion in enumerate(criteria, 1)},
        [
            Issue(str(each["where"]), str(each["problem"]), str(each["mend"]), bool(each["taste"]))
            for each in issues
            if isinstance(each, Mapping)
        ],
        bool(said["approved"]),
        [str(lesson) for lesson in lessons],
    )


def _earlier(past: Sequence[Round], draft: str) -> str:
    judged = [each for each in past if each.judged]
    same = [each for each in judged[:-_PAST] if each.draft == draft]
    shown = [
        f"Draft {each.number}{' (this one, whose author has mended none of it)' if each.draft == draft else ''}, "
        f"{each.critique.score:.1f}:\n{_issues(each)}"
        for each in [*same, *judged[-_PAST:]]
    ]
    return "Earlier drafts and their issues:\n" + "\n".join(shown) if shown else ""


def _broken(base: Round, past: Sequence[Round]) -> Sequence[Evidence]:
    """What checks alone have said of later tries, and not of this one: the critic's issues are told anyway."""
    known = {each.check for each in base.evidence if each.problem}
    later = [each for other in past[base.number :] if not other.judged for each in other.evidence]
    return [each for each in later if each.problem and each.check not in known]


def _issues(judged: Round) -> str:
    return _listed([f"{each.where}: {each.problem}. {each.mend}" for each in judged.critique.issues]) or "- none"


def _verdicts(evidence: Sequence[Evidence]) -> str:
    return _listed([f"{each.check}: {f'FAILS: {each.problem}' if each.problem else 'passes'}" for each in evidence])


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line[:500]}" for line in lines)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)
