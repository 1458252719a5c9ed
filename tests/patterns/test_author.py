"""Reflection through a journal, with a model and tools: what is asked, checked and noted, and how it is resumed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Check, Decision, Gate, InMemoryJournal, Policy, Slot
from forethought_patterns.author import Task, improve
from forethought_patterns.reflection import Refined
from forethought_patterns.tool_calls import ToolCalls
from forethought_tools import JSON, Answerer, ModelError, Question, Registry, Risk, Tool, ToolError

pytestmark = pytest.mark.anyio


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
        {"executor": ["quiet", "LOUd", "LOUD"], "critic": [said(4, problem="too quiet"), said(9, approved=True)]},
        {"matches": "^[A-Z]+$"},
    )
    assert (refined.best.draft, refined.stopped) == ("LOUD", "approved")
    assert list(journal.answers) == ["draft", "revise/1", "critique/2", "revise/2", "critique/3"]
    write, mend, judge, revise, again = journal.questions
    assert "Task: shout" in write.context
    assert "FAILS" in mend.context, "the check says what is to be mended, before any critic"
    assert "Issues" not in mend.context
    assert "1. It is loud" in judge.context
    assert "FAILS" in judge.context
    assert "Draft 1" not in judge.context, "nobody has judged it"
    assert "all: too quiet. mend it" in revise.context
    assert "be loud" in revise.context
    assert "Draft 2, 4.0" in again.context, "later rounds see earlier feedback"
    assert [note["score"] for note in journal.notes.values()] == [None, 4, 9]
    assert "-LOUd\n+LOUD" in str(journal.notes["round/3"]["diff"])


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"schema": {"maxLength": 4}}, "LOUD", "LOUDER"),
        ({"expression": "words(text) == 2 and 'a' in text"}, "a b", "b c"),
        ({"expression": "(len(text) == 4) == true"}, "LOUD", "LOUDER"),
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
        "executor": [f"{bad}{n}" for n in range(4)],
    }
    refined, _ = await through_journal(rest, check, draft=bad)
    assert (refined.stopped, refined.best.failing) == ("iterations", 1)


async def test_a_risky_check_is_asked_for_and_a_refusal_is_a_failing_check() -> None:
    check = {"tool": "broadcast", "arguments": {"text": "{{result}}"}}
    script: dict[str, Sequence[JSON]] = {"critic": [said(9, approved=True)]}
    refined, journal = await through_journal(script, check, draft="LOUD", decide=lambda _: Decision("approve"))
    assert refined.stopped == "approved"
    assert [(gate.tool, gate.details, gate.step) for gate in journal.gates] == [("broadcast", {"text": "LOUD"}, None)]
    script = {"critic": [said(9, approved=True)] * 6, "executor": [f"LOUD{n}" for n in range(4)]}
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


class CutOffError(BaseException):
    """The process ends."""


class Dying(InMemoryJournal):
    left = 99
    """So many more answers until then."""

    async def ask(
        self, key: str, question: Question, *, slot: Slot, heard: Callable[[str | None], None] | None = None
    ) -> JSON:
        if key not in self.answers:
            self.left -= 1
            if self.left < 0:
                raise CutOffError
        return await super().ask(key, question, slot=slot, heard=heard)


Scene: TypeAlias = tuple[Mapping[str, Sequence[JSON]], Sequence[str]]
"""What models say, and what they are asked for."""

REPEATED: Scene = (
    {
        "executor": ["aa", "aa", "bbb", "cc", "LOUD", "LOUDER"],
        "critic": [said(3, approved=True), *[said(4, problem="dull")] * 2, said(9, approved=True)],
    },
    [
        "draft",
        "revise/1",
        "revise/1/again",
        "critique/2",
        "critique/2/again",
        "revise/2",
        "revise/3",
        "critique/4",
        "revise/4",
        "critique/5",
    ],
)
KEPT: Scene = (
    {
        "executor": ["LOUD", "LOUD", "LOUDER"],
        "critic": [said(4, problem="dull"), said(5, approved=True), said(4, problem="dull"), said(9, approved=True)],
    },
    ["draft", "critique/1", "revise/1", "critique/2", "critique/2/again", "revise/2/again", "critique/3"],
)


@pytest.mark.parametrize("answered", range(11))
@pytest.mark.parametrize(("script", "keys"), [REPEATED, KEPT])
async def test_a_reflection_that_is_cut_off_and_resumed_equals_one_that_is_not(
    answered: int, script: Mapping[str, Sequence[JSON]], keys: Sequence[str]
) -> None:
    checks = [Check.model_validate({"matches": "^[A-Z]+$"})]

    async def reflected(journal: InMemoryJournal) -> Refined:
        calls = ToolCalls(TOOLS, journal, journal, Policy())
        return await improve(Task("shout", ["It is loud"], checks), "", calls)

    whole = InMemoryJournal(ScriptedModel(script))
    expected = await reflected(whole)
    assert list(whole.answers) == keys
    asked = dict(zip(keys, whole.questions, strict=True))
    again = [key for key in keys if key.startswith("revise/") and key.endswith("/again")]
    assert all(asked[key].variety > asked["revise/1"].variety for key in again), (
        "a small model would say the same once more"
    )
    dying = Dying(ScriptedModel(script))
    dying.left = answered
    if answered < len(keys):
        with pytest.raises(CutOffError):
            await reflected(dying)
    dying.left = len(keys)
    assert await reflected(dying) == expected
    assert (dying.answers, dying.notes) == (whole.answers, whole.notes)


async def test_a_critic_is_told_that_the_draft_is_the_one_it_has_judged() -> None:
    script, keys = KEPT
    _, journal = await through_journal(script)
    again = dict(zip(keys, journal.questions, strict=True))["critique/2"]
    assert "Draft 1 (this one, whose author has mended none of it), 4.0:\n- all: dull. mend it" in again.context


async def test_what_was_named_in_another_try_is_told_as_such() -> None:
    issue: JSON = {"where": "all", "problem": "duller", "mend": "mend it", "taste": False}
    worse = {**said(3), "issues": [issue] * 2}
    script: dict[str, Sequence[JSON]] = {
        "executor": ["aa", "bb", "cc"],
        "critic": [said(4, problem="dull"), worse, said(9, approved=True)],
    }
    _, journal = await through_journal(script)
    first, second = [each for each in journal.questions if "The draft to mend" in each.context]
    assert "Issues:\n- all: dull. mend it\n" in first.context
    assert "The draft to mend:\naa" in second.context
    assert "another try: mend what is in this one):\n- all: dull. mend it\n- all: duller. mend it" in second.context


async def test_what_another_try_has_broken_is_told_so_that_no_question_is_asked_twice() -> None:
    script: dict[str, Sequence[JSON]] = {
        "executor": ["LOUD", "loud again", "LOUDER"],
        "critic": [said(4, problem="dull"), said(9, approved=True)],
    }
    refined, journal = await through_journal(script, {"matches": "^[A-Z]+$"}, {"schema": {"maxLength": 6}})
    assert [each.draft for each in refined.rounds if each.holds] == ["LOUD", "LOUDER"]
    first, second = [each.context for each in journal.questions if "The draft to mend:\nLOUD\n" in each.context]
    assert "other tries" not in first
    assert second.count("FAILS") == 2
    assert "Checks that other tries fail, and it does not:\n- " in second


async def test_a_verdict_that_was_cut_off_is_noted_apart_from_what_a_resumed_run_makes_of_it() -> None:
    script: dict[str, Sequence[JSON]] = {
        "executor": ["LOUDER"],
        "critic": [said(4, problem="dull"), said(3, approved=True)],
    }
    cut_off, journal = await through_journal(script, draft="LOUD")
    assert cut_off.stopped == "refused"
    resumed = InMemoryJournal(ScriptedModel({"critic": [said(9, approved=True)]}))
    resumed.answers, resumed.notes = journal.answers, journal.notes
    again = await improve(Task("shout", ["It is loud"]), "LOUD", ToolCalls(TOOLS, resumed, resumed, Policy()))
    assert again.stopped == "approved"
    scores = {key: note["score"] for key, note in resumed.notes.items()}
    assert scores == {"round/1": 4, "round/2/cut off": 3, "round/2": 9}


@pytest.mark.parametrize(
    ("errors", "rounds", "stopped"),
    [
        ([ModelError("cut off")], 2, "approved"),
        ([ModelError("cut off"), ModelError("cut off")], 1, "refused"),
        ([ModelError("out of reach", transient=True)], 1, "refused"),
    ],
)
async def test_a_revision_that_a_model_could_not_give_is_asked_for_once_more(
    errors: list[ModelError], rounds: int, stopped: str
) -> None:
    class Failing(InMemoryJournal):
        async def ask(
            self, key: str, question: Question, *, slot: Slot, heard: Callable[[str | None], None] | None = None
        ) -> JSON:
            if key.startswith("revise/") and errors:
                raise errors.pop(0)
            return await super().ask(key, question, slot=slot, heard=heard)

    script: dict[str, Sequence[JSON]] = {
        "executor": ["LOUD"],
        "critic": [said(3, problem="dull"), said(9, approved=True)],
    }
    memory = Failing(ScriptedModel(script))
    refined = await improve(Task("shout", ["It is loud"]), "quiet", ToolCalls(TOOLS, memory, memory, Policy()))
    assert (len(refined.rounds), refined.stopped) == (rounds, stopped)
    assert "revise/1/again" not in memory.answers, "a resumed run asks by the same key, and goes on from its answer"


LISTENS = Check.model_validate({"tool": "listen", "arguments": {"text": "{{result}}"}})
CAPITALS = Check.model_validate({"matches": "^[A-Z]+$"})


async def shouted(
    draft: str, *said_by_executor: str, checks: Sequence[Check] = (CAPITALS, LISTENS), given: bool = True
) -> tuple[Refined, InMemoryJournal]:
    """By a small model."""
    script: dict[str, Sequence[JSON]] = {"executor": said_by_executor, "critic": [said(9, approved=True)]}
    memory = InMemoryJournal(ScriptedModel(script, lean=True))
    task = Task("shout", ["It is loud"], checks)
    return await improve(task, draft, ToolCalls(TOOLS, memory, memory, Policy()), given=given), memory


@pytest.mark.parametrize(("check", "shown"), [(LISTENS, []), (CAPITALS, ["revise/2"])])
async def test_a_small_model_writes_anew_where_a_check_fails_and_no_small_critic_is_asked_about_that(
    check: Check, shown: list[str]
) -> None:
    """What a tool says is of this draft only; what else is demanded it is told every other time."""
    refined, memory = await shouted("", "quiet", "whisper", "murmur", "LOUD", checks=[check])
    assert (refined.best.draft, refined.stopped) == ("LOUD", "approved")
    assert [question.role for question in memory.questions] == [*["executor"] * 4, "critic"]
    draft, *anew, _ = memory.questions
    names = [f"revise/{number}" for number in (1, 2, 3)]
    assert [name for name, each in zip(names, anew, strict=True) if each.context != draft.context] == shown
    assert [each.variety > 0 for each in (draft, *anew)] == [False, True, True, True]


async def test_where_no_critic_is_asked_drafts_are_bounded_all_the_same() -> None:
    refined, _ = await shouted("", *(f"quiet {number}" for number in range(9)))
    assert (len(refined.rounds), refined.stopped) == (5, "iterations")


async def test_a_draft_of_somebody_else_is_mended_by_a_small_model_too() -> None:
    refined, memory = await shouted("quiet", "whisper", "LOUD")
    assert (refined.best.draft, refined.stopped) == ("LOUD", "approved")
    for draft, question in zip(("quiet", "whisper"), memory.questions, strict=False):
        assert f"The draft to mend:\n{draft}" in question.context
        assert question.variety > 0
    _, memory = await shouted("QUIET", "whisper", "LOUD")
    assert "The draft to mend:\nQUIET" in memory.questions[1].context, "the later one fails more, and nobody likes it"


async def test_a_draft_that_a_step_has_written_is_not_shown_to_a_small_model() -> None:
    refined, memory = await shouted("quiet", "LOUD", given=False)
    assert refined.stopped == "approved"
    assert "quiet" not in memory.questions[0].context
