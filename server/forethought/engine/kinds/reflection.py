"""Reflection: a text is written or improved, judged in rounds, and the best draft is the answer."""

__all__ = ["REFLECTION", "rounds", "start"]

from collections.abc import Mapping, Sequence
from typing import cast

from forethought.engine.kinds.kind import Caller, Creator, Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.notes import bounded, notes
from forethought.engine.plan_views import check_calls
from forethought.journal.queries import Queries
from forethought.journal.rows import RunRow
from forethought.terms import Terms
from forethought_patterns import Check
from forethought_patterns.author import CRITERIA, Task, improve
from forethought_patterns.checks import read_checks
from forethought_tools import JSON
from forethought_tools.text import clipped, one_line

_LINE = 320  # characters that one round is told in


class ReflectionOptions(Options):
    """What a text is for, what it is judged by, and when it is good enough."""

    draft: str = ""
    """Nothing: the first draft is written, too."""
    criteria: Sequence[str] = ()
    checks: Sequence[Check] = ()
    max_iterations: int = 3
    threshold: float = 8.0
    """A score from 0 to 10."""


async def start(
    creator: Creator,
    task: str,
    *,
    draft: str = "",
    criteria: Sequence[str] = (),
    checks: Sequence[JSON] = (),
    max_iterations: int = 3,
    threshold: float = 8.0,
    terms: Terms | None = None,
    caller: Caller | None = None,
) -> RunRow:
    """Start to write a text, or to improve a draft. Raises FaultsError where a check cannot be used."""
    options = ReflectionOptions(
        goal=task,
        draft=draft,
        criteria=criteria,
        checks=await read_checks(checks, "check", creator.records.tools),
        max_iterations=max_iterations,
        threshold=threshold,
    )
    return await creator.create(REFLECTION, options, terms=terms, caller=caller)


async def _drive(work: Work[ReflectionOptions]) -> Ending:
    options = work.options
    refined = await improve(
        Task(options.goal, options.criteria or CRITERIA, options.checks),
        options.draft,
        work.calls(),
        max_iterations=options.max_iterations,
        threshold=options.threshold,
    )
    best = refined.best
    answer: dict[str, JSON] = {
        "draft": best.draft,
        "score": round(best.critique.score, 2) if best.judged else None,
        "round": best.number,
        "stopped": refined.stopped,
        "failing_checks": [f"{each.check}: {each.problem}" for each in best.evidence if each.problem],
    }
    return Ending(answer, refined.problem)


def rounds(queries: Queries, run_id: str) -> list[View]:
    """Each round of a reflection, or of those in the steps of a plan (`for` names the step)."""
    return [
        {**({"for": note.purpose} if note.purpose else {}), **note.body}
        for note in notes(queries, run_id)
        if note.kind == "round"
    ]


def _progress(queries: Queries, run: RunRow) -> Progress:
    judged = rounds(queries, run.id)
    most = REFLECTION.read(run).max_iterations
    scores = [float(str(each["score"])) for each in judged if each["score"] is not None]
    best = f", best score {max(scores):g} of 10" if scores else ""
    return Progress(len(scores), most, f"{len(scores)} of at most {most} drafts judged{best}")


def _view(look: Look) -> View:
    head = look.head(_progress(look.records.queries, look.run).text)
    calls = check_calls(REFLECTION.read(look.run).checks, "a check", look.records.tools)
    return {**head, **calls, **look.trouble(), **({} if look.waiting else _drafts(look)), **look.tail()}


def _drafts(look: Look) -> View:
    """The best draft as far as it is known, and a line for each round."""
    run, judged = look.run, rounds(look.records.queries, look.run.id)
    answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
    view: View = {}
    if answer:
        view = {"draft": bounded(str(answer["draft"])), **_score(answer), "stopped": answer["stopped"]}
    elif judged and run.state == "cancelled":
        best = [each for each in judged if each.get("holds", each["gain"])][-1]
        view = {"draft": bounded(str(best["draft"])), **_score(best)}
    view["rounds"] = [_round_line(each) for each in judged]
    if answer and answer["failing_checks"]:
        view["failing_checks"] = answer["failing_checks"]
    return {**view, "details": f"run://{run.id}/rounds"}


def _score(judged: Mapping[str, JSON]) -> View:
    unjudged = "no critic has judged this draft: look at it before you use it"
    return {"unjudged": unjudged} if judged["score"] is None else {"score": judged["score"]}


def _round_line(body: Mapping[str, JSON]) -> str:
    checks = cast("Sequence[Mapping[str, JSON]]", body["checks"])
    failing = [each for each in checks if each["problem"]]
    issues = cast("Sequence[Mapping[str, JSON]]", body["issues"])
    parts = [
        f"draft {body['round']}: " + ("not judged" if body["score"] is None else f"{body['score']} of 10"),
        f"{len(checks) - len(failing)} of {len(checks)} checks pass" if checks else "",
        "no gain" if not body["gain"] and body["score"] is not None else "",
        f"the critic's verdict does not count: {body['contradiction']}" if body.get("contradiction") else "",
        "; ".join(str(each["problem"]) for each in issues[:3]),
    ]
    return clipped(one_line(", ".join(filter(None, parts))), _LINE)


def _next(look: Look) -> str:
    if not look.run.answer:
        return 'reflect(task="...") again, once what is in the way is mended'
    return 'use the draft, or reflect(task="...", draft="...") with it and other criteria or checks'


REFLECTION = Kind(
    name="reflection",
    options=ReflectionOptions,
    drive=_drive,
    progress=_progress,
    view=_view,
    next=_next,
)
