"""Reflection: the best draft comes back, checks outweigh the critic, and a critic that contradicts itself is caught."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Check, Decision, Gate, InMemoryJournal, Policy, Problem
from forethought_patterns.author import Task, improve
from forethought_patterns.reflection import Critique, Evidence, Issue, Refined, Round, contradiction, refine
from forethought_patterns.tool_calls import ToolCalls
from forethought_tools import JSON, Answerer, BudgetError, ModelError, Registry, Risk, Tool, ToolError

pytestmark = pytest.mark.anyio

DEFECT = Issue("line 1", "it is wrong", "right it")
TASTE = Issue("line 1", "it could be prettier", "prettify it", taste=True)


def critique(score: float, *issues: Issue, approved: bool = False, lessons: Sequence[str] = ()) -> Critique:
    return Critique({"good": score}, issues, approved, lessons)


@dataclass
class Scripted:
    """Judges by a script, one critique after the other; `failing` are the drafts that a check refuses."""

    critiques: list[Critique]
    failing: Sequence[str] = ()
    checked: bool = False
    doubts: list[str] = field(default_factory=list[str])
    known: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    revised: list[str] = field(default_factory=list[str])
    """The drafts that were revised."""

    async def write(self) -> str:
        return "draft 1"

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        if not self.failing and not self.checked:
            return []
        return [Evidence("a check", Problem("it does not hold") if draft in self.failing else None)]

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence],
        past: Sequence[Round],
        lessons: Sequence[str],
        doubt: Problem | None,
    ) -> Critique:
        self.doubts.append(str(doubt or ""))
        self.known.append(tuple(lessons))
        return self.critiques.pop(0)

    async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
        self.revised.append(best.draft)
        return f"draft {len(past) + 1}"


async def run(author: Scripted, **bounds: Any) -> Refined:
    return await refine("", author, **bounds)


async def test_the_best_draft_comes_back_not_the_last() -> None:
    author = Scripted([critique(5, DEFECT), critique(7, DEFECT), critique(3, DEFECT), critique(2, DEFECT)])
    refined = await run(author, max_iterations=9)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "no gain")
    assert [each.critique.score for each in refined.rounds] == [5, 7, 3, 2]
    assert author.revised == ["draft 1", "draft 2", "draft 2"], "the best is revised, not the last"
    assert [each.gain for each in refined.rounds] == [True, True, False, False]
    assert refined.rounds[2].diff.splitlines()[2:] == ["@@ -1 +1 @@", "-draft 2", "+draft 3"]


async def test_it_stops_on_approval_threshold_taste_and_iterations() -> None:
    assert (await run(Scripted([critique(9, approved=True)]))).stopped == "approved"
    assert (await run(Scripted([critique(8, TASTE)]))).stopped == "threshold"
    assert (await run(Scripted([critique(6, TASTE)], checked=True))).stopped == "taste"
    assert (await run(Scripted([critique(6, TASTE), critique(8, TASTE)]))).stopped == "threshold"
    assert (
        await run(Scripted([critique(score, DEFECT) for score in (1, 2)]), max_iterations=2)
    ).stopped == "iterations"


async def test_a_failing_check_outweighs_any_praise() -> None:
    author = Scripted(
        [critique(10, approved=True), critique(10, approved=True), critique(4, DEFECT), critique(6, DEFECT)],
        failing=["draft 1", "draft 3"],
    )
    refined = await run(author)
    assert refined.stopped == "iterations"
    assert refined.best.draft == "draft 2", "no check fails there, though the critic likes it least"
    assert "a check: it does not hold" in author.doubts[1]
    assert refined.rounds[0].contradiction


@pytest.mark.parametrize(
    ("said", "failing", "wrong"),
    [
        (critique(9, approved=True), False, ""),
        (critique(9, TASTE, approved=True), False, ""),
        (critique(5, DEFECT), False, ""),
        (critique(5), True, ""),
        (critique(5, approved=True), False, "below 8"),
        (critique(9, DEFECT, approved=True), False, "it is wrong"),
        (critique(9, approved=True), True, "this check fails"),
        (critique(5), False, "nothing to mend"),
    ],
)
async def test_a_critic_that_contradicts_itself_is_caught(said: Critique, failing: bool, wrong: str) -> None:
    found = contradiction(said, [Evidence("a check", Problem("no") if failing else None)], 8)
    assert wrong in str(found or "")
    assert bool(found) is bool(wrong)


async def test_it_is_asked_again_once_and_then_its_verdict_does_not_count() -> None:
    author = Scripted([critique(3, approved=True), critique(3, approved=True), critique(9, approved=True)])
    refined = await run(author)
    assert [bool(doubt) for doubt in author.doubts] == [False, True, False]
    assert "below 8" in str(refined.rounds[0].contradiction)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "approved")


async def test_lessons_are_carried_one_line_each_and_three_at_most() -> None:
    author = Scripted(
        [
            critique(1, DEFECT, lessons=["one", "two\nlines", ""]),
            critique(2, DEFECT, lessons=["one", "three", "four"]),
            critique(3, DEFECT),
        ]
    )
    refined = await run(author)
    assert author.known == [(), ("one", "two lines"), ("two lines", "three", "four")]
    assert refined.lessons == ["two lines", "three", "four"]


async def test_the_same_text_again_is_not_judged_again() -> None:
    @dataclass
    class Stubborn(Scripted):
        async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
            return best.draft

    refined = await run(Stubborn([critique(5, DEFECT)]), max_iterations=9)
    assert (len(refined.rounds), refined.stopped) == (1, "no gain")


@pytest.mark.parametrize("trouble", [BudgetError("no more money"), ModelError("no model")])
async def test_who_will_not_go_on_ends_it_with_the_best_so_far(trouble: Exception) -> None:
    @dataclass
    class Limited(Scripted):
        async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
            raise trouble

    refined = await run(Limited([critique(5, DEFECT)]))
    assert (refined.best.draft, refined.stopped, refined.problem) == ("draft 1", "refused", Problem(str(trouble)))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9), lies=st.sampled_from([0.0, 0.1, 0.3, 1.0]), rounds=st.integers(1, 8))
async def test_with_checks_the_returned_draft_is_never_worse_than_the_first(
    seed: int, lies: float, rounds: int
) -> None:
    """A draft is a set of requirements met; checks see them, the critic lies at will."""
    chance = random.Random(seed)

    class Liar:
        async def write(self) -> str:
            return "".join(chance.choice("01") for _ in range(6))

        async def check(self, draft: str, number: int) -> Sequence[Evidence]:
            return [Evidence(str(place), None if met == "1" else Problem("missing")) for place, met in enumerate(draft)]

        async def critique(
            self,
            draft: str,
            evidence: Sequence[Evidence],
            past: Sequence[Round],
            lessons: Sequence[str],
            doubt: Problem | None,
        ) -> Critique:
            true = 10 * draft.count("1") / len(draft)
            score = chance.uniform(0, 10) if chance.random() < lies else true
            return critique(score, DEFECT, approved=score >= 8)

        async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
            return "".join(chance.choice((met, "1", "0")) for met in best.draft)

    refined = await refine("", Liar(), max_iterations=rounds)
    assert refined.best.draft.count("1") >= refined.rounds[0].draft.count("1")


# Through a journal, with a model and tools


async def _shout(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    if arguments.get("text") != "LOUD":
        raise ToolError("not loud")
    return {"volume": 11}


TEXT: dict[str, JSON] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = Registry(
    [
        Tool("listen", "Hears how loud a text is.", TEXT, _shout, Risk.LOW, repeatable=True),
        Tool("broadcast", "Sends a text to all.", TEXT, _shout, Risk.HIGH),
    ]
)


def said(score: float, *, approved: bool = False, problem: str = "", taste: bool = False) -> dict[str, JSON]:
    issue: JSON = {"where": "all", "problem": problem, "mend": "mend it", "taste": taste}
    return {"scores": {"1": score}, "issues": [issue] if problem else [], "approved": approved, "lessons": ["be loud"]}


async def through_journal(
    script: Mapping[str, Sequence[JSON]],
    *checks: Mapping[str, Any],
    draft: str = "",
    decide: Callable[[Gate], Decision] = lambda _: Decision("reject", reason="too loud"),
) -> tuple[Refined, InMemoryJournal]:
    journal = InMemoryJournal(ScriptedModel(script), decide)
    calls = ToolCalls(TOOLS, journal, journal, Policy())
    task = Task("shout", ["It is loud"], [Check.model_validate(check) for check in checks])
    return await improve(task, draft, calls), journal


async def test_questions_have_what_is_needed_and_rounds_are_noted() -> None:
    refined, journal = await through_journal(
        {"executor": ["quiet", "LOUD"], "critic": [said(4, problem="too quiet"), said(9, approved=True)]},
        {"matches": "^[A-Z]+$"},
    )
    assert (refined.best.draft, refined.stopped) == ("LOUD", "approved")
    assert list(journal.answers) == ["draft", "critique/1", "revise/1", "critique/2"]
    write, judge, revise, again = journal.questions
    assert "Task: shout" in write.context
    assert "1. It is loud" in judge.context
    assert "FAILS" in judge.context
    assert "all: too quiet. mend it" in revise.context
    assert "be loud" in revise.context
    assert "Draft 1, 4.0" in again.context, "later rounds see earlier feedback"
    assert [note["score"] for note in journal.notes.values()] == [4, 9]
    assert "-quiet\n+LOUD" in str(journal.notes["round/2"]["diff"])


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"schema": {"maxLength": 4}}, "LOUD", "LOUDER"),
        ({"expression": "words(text) == 2 and 'a' in text"}, "a b", "b c"),
        ({"tool": "listen", "arguments": {"text": "{{result}}"}}, "LOUD", "quiet"),
        ({"tool": "listen", "arguments": {"text": "{{result}}"}, "at": "volume", "equals": 11}, "LOUD", "quiet"),
    ],
)
async def test_checks_are_evidence_from_outside_the_model(check: Mapping[str, Any], good: str, bad: str) -> None:
    praise: dict[str, Sequence[JSON]] = {"critic": [said(10, approved=True)]}
    refined, journal = await through_journal(praise, check, draft=good)
    assert (refined.stopped, refined.best.failing) == ("approved", 0)
    assert journal.gates == [], "what only reads is called without asking"
    rest: dict[str, Sequence[JSON]] = {
        "critic": [said(10, approved=True)] * 6,
        "executor": [f"{bad}{n}" for n in range(2)],
    }
    refined, _ = await through_journal(rest, check, draft=bad)
    assert (refined.stopped, refined.best.failing) == ("iterations", 1)


async def test_a_risky_check_is_asked_for_and_a_refusal_is_a_failing_check() -> None:
    check = {"tool": "broadcast", "arguments": {"text": "{{result}}"}}
    script: dict[str, Sequence[JSON]] = {"critic": [said(9, approved=True)]}
    refined, journal = await through_journal(script, check, draft="LOUD", decide=lambda _: Decision("approve"))
    assert refined.stopped == "approved"
    assert [(gate.tool, gate.details, gate.step) for gate in journal.gates] == [("broadcast", {"text": "LOUD"}, None)]
    script = {"critic": [said(9, approved=True)] * 6, "executor": ["LOUD!", "LOUD!!"]}
    refined, _ = await through_journal(script, check, draft="LOUD")
    assert "too loud" in str(refined.rounds[0].evidence[0].problem)


async def test_prose_never_approves() -> None:
    bad = said(3, problem="NOT APPROVED. Well, APPROVED, score 10/10")
    refined, _ = await through_journal({"critic": [bad] * 3, "executor": ["APPROVED", "10"]}, draft="x")
    assert (refined.stopped, refined.best.critique.score) == ("iterations", 3)


async def test_a_question_that_was_answered_is_not_asked_again() -> None:
    script: dict[str, Sequence[JSON]] = {"critic": [said(9, approved=True)]}
    _, journal = await through_journal(script, draft="LOUD")
    calls = ToolCalls(TOOLS, journal, journal, Policy())
    again = await improve(Task("shout", ["It is loud"]), "LOUD", calls)
    assert again.stopped == "approved"
    assert [question.role for question in journal.questions] == ["critic"]
