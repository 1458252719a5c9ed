"""A search in words through a journal: which questions are asked, and that it is resumed as if nothing had been."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Check, InMemoryJournal, Policy, Slot
from forethought_patterns.lats import Bounds, SearchResult
from forethought_patterns.ports import Heard
from forethought_patterns.tool_calls import ToolCalls
from forethought_patterns.worlds import Move, Quest, Way, find
from forethought_tools import JSON, ModelError, Question, Registry, Role

pytestmark = pytest.mark.anyio


class CutError(Exception):
    """The process has ended."""


def answer(question: Question, chance: random.Random) -> JSON:
    """Of somebody who is wrong now and then."""
    properties = question.schema["properties"]
    numbers = list(properties) if isinstance(properties, Mapping) else []
    if question.role is Role.PROPOSER:
        ways = [f"say {chance.randrange(30)}" for _ in range(3)]
        return {"candidates": [{"action": way, "result": way, "final": chance.random() < 0.6} for way in ways]}
    if "score" in str(properties):
        return {number: {"score": 9, "solved": chance.random() < 0.5} for number in numbers}
    if "fault" in str(properties):
        return {number: {"fault": "", "right": chance.random() < 0.5} for number in numbers}
    return {"lesson": "look twice"}


@dataclass
class Answering(InMemoryJournal):
    """Each question is answered by its own name, whoever comes first; after so many the process ends."""

    left: int = 1000
    put: list[tuple[str, Question]] = field(default_factory=list[tuple[str, Question]])

    async def ask(self, key: str, question: Question, *, slot: Slot, heard: Heard | None = None) -> JSON:
        if key not in self.answers:
            if not self.left:
                raise CutError
            self.left -= 1
            self.put.append((key, question))
            self.answers[key] = answer(question, random.Random(key))
        return self.answers[key]


async def searched(journal: Answering) -> SearchResult[Way, Move]:
    calls = ToolCalls(Registry(), journal, journal, Policy())
    return await find(Quest("g", bounds=Bounds(parallel=2, max_depth=3, model_calls=40)), "simulate", calls)


def journal(answers: Mapping[str, JSON] | None = None, left: int = 1000) -> Answering:
    return Answering(ScriptedModel({}), answers=dict(answers or {}), left=left)


async def test_a_search_that_is_cut_off_anywhere_ends_as_if_it_had_not_been() -> None:
    whole = journal()
    expected = await searched(whole)
    assert any(key.startswith("confirm/") for key, _ in whole.put)
    for left in range(1, len(whole.put)):
        first = journal(left=left)
        with pytest.raises((CutError, ExceptionGroup, ModelError)):
            await searched(first)
        second = journal(first.answers)
        result = await searched(second)
        assert [(node.name, node.value, node.reward) for node in result.root.walk()] == [
            (node.name, node.value, node.reward) for node in expected.root.walk()
        ]
        assert (result.solved, result.best.name, result.model_calls) == (
            expected.solved,
            expected.best.name,
            expected.model_calls,
        )
        asked = [key for key, _ in first.put + second.put]
        assert sorted(asked) == sorted(key for key, _ in whole.put), "nothing is asked twice"


async def test_an_answer_is_confirmed_by_two_roles_in_other_words_each_time() -> None:
    whole = journal()
    await searched(whole)
    asked = [(key.split("/")[-1], question) for key, question in whole.put if key.startswith("confirm/")]
    assert {question.role for _, question in asked} == {Role.CRITIC, Role.EVALUATOR}
    for (_, one), (_, other) in itertools.pairwise(asked):
        assert one.instructions != other.instructions


async def test_a_small_model_is_asked_for_one_whole_answer_each_time_and_not_shown_what_failed() -> None:
    memory = InMemoryJournal(ScriptedModel({"proposer": ["one", "another", "no", "the answer"]}, lean=True))
    quest = Quest("g", verifier=Check.model_validate({"matches": "^the answer$"}), bounds=Bounds(model_calls=4))
    found = await find(quest, "simulate", ToolCalls(Registry(), memory, memory, Policy()))
    assert (found.solved, found.model_calls, found.path[-1].state[-1].result) == (True, 4, "the answer")
    asked = memory.questions
    assert [question.schema["type"] for question in asked] == ["string"] * 4
    assert len({question.context for question in asked}) == 1
    assert [question.variety > 0 for question in asked] == [False, True, True, True], "else it says the same again"


async def test_two_answers_that_are_proposed_in_the_same_words_are_two() -> None:
    first: JSON = {"candidates": [{"action": "write it", "result": each, "final": True} for each in ("a", "b")]}
    memory = InMemoryJournal(ScriptedModel({"proposer": [first]}))
    quest = Quest("g", verifier=Check.model_validate({"matches": "b"}), bounds=Bounds(model_calls=1))
    found = await find(quest, "simulate", ToolCalls(Registry(), memory, memory, Policy()))
    assert (found.solved, len(found.root.children)) == (True, 2)


async def test_what_is_too_long_to_be_told_again_loses_its_end_and_not_what_was_wrong_with_it() -> None:
    long = [f"{letter}" * 3_900 for letter in "abcd"]
    first: JSON = {"candidates": [{"action": f"try {each[0]}", "result": each, "final": True} for each in long]}
    last: JSON = {"candidates": [{"action": "try", "result": "yes", "final": True}]}
    memory = InMemoryJournal(ScriptedModel({"proposer": [first, last]}))
    quest = Quest("g", verifier=Check.model_validate({"matches": "yes"}), bounds=Bounds(candidates=4, model_calls=2))
    assert (await find(quest, "simulate", ToolCalls(Registry(), memory, memory, Policy()))).solved
    asked = memory.questions[1].context
    assert asked.count("Wrong: result: 'yes' is not found in it") == 4
    assert len(asked) < 9_000
