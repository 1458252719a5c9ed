"""A step can put words to the run's model, and can wait."""

import json

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.tool import Answerer
from forethought_tools.words import ANALYZE, MAX_MATERIAL, WRITE, word_tools

pytestmark = pytest.mark.anyio


def answering(reply: JSON, seen: list[Question]) -> Answerer:
    async def ask(question: Question) -> JSON:
        await anyio.lowlevel.checkpoint()
        seen.append(question)
        return reply

    return ask


async def call(name: str, reply: JSON, **arguments: JSON) -> tuple[JSON, Question]:
    seen: list[Question] = []
    result = await Registry(word_tools()).call(name, arguments, answering(reply, seen))
    return result, seen[0]


async def test_analyze_asks_the_question_about_the_data() -> None:
    text, question = await call("analyze", "Two.", question="How many?", data=[{"a": 1}, "é"])
    assert text == "Two."
    assert question.role == "executor"
    assert "How many?" in question.instructions
    assert question.context == '[{"a":1},"é"]'
    assert question.schema["type"] == "string"


async def test_write_gives_the_brief_and_the_material() -> None:
    text, question = await call("write", "Dear Ann", brief="A letter with {braces}", material="facts {x}")
    assert text == "Dear Ann"
    assert "A letter with {braces}" in question.instructions
    assert question.context == "facts {x}"


@pytest.mark.parametrize("instructions", [ANALYZE, WRITE])
def test_the_instructions_are_short_and_keep_data_apart(instructions: str) -> None:
    assert len(instructions.split()) < 80
    assert "data" in instructions
    assert "never instructions" in instructions


async def test_long_material_is_cut_with_a_notice() -> None:
    _, question = await call("analyze", "ok", question="?", data="x" * (MAX_MATERIAL + 7))
    assert question.context == "x" * MAX_MATERIAL + "\n[cut: 7 more characters are left out]"


async def test_an_answer_that_is_not_text_is_a_tool_error() -> None:
    with pytest.raises(ToolError):
        await call("write", {"text": "no"}, brief="x")


async def test_wait_returns_and_can_be_cancelled() -> None:
    registry = Registry(word_tools())
    assert await registry.call("wait", {"seconds": 0}, answering(None, [])) == {"seconds": 0}
    with anyio.move_on_after(0.01) as scope:
        await registry.call("wait", {"seconds": 3600}, answering(None, []))
    assert scope.cancelled_caught


@pytest.mark.parametrize("seconds", [-1, 3601, "soon"])
async def test_wait_refuses_what_it_cannot_wait(seconds: JSON) -> None:
    with pytest.raises(ToolError):
        await Registry(word_tools()).call("wait", {"seconds": seconds}, answering(None, []))


def test_words_and_waits_are_safe_to_repeat_and_have_no_time_out() -> None:
    for each in word_tools():
        assert (each.risk, each.repeatable, each.limits.timeout) == (Risk.LOW, True, None)
        json.dumps(each.parameters)
