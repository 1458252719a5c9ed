"""A step can put words to the run's model, and can wait."""

import json
from collections.abc import Iterator

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.lengths import Length, length_of
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


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("```markdown\n# List\n- a\n```", "# List\n- a"),
        ("\n```\nx = 1\n```\n", "x = 1"),
        ("Look:\n```\nx = 1\n```", "Look:\n```\nx = 1\n```"),
        ("```\na\n```\nand\n```\nb\n```", "```\na\n```\nand\n```\nb\n```"),
    ],
)
async def test_a_text_that_is_all_in_a_fence_is_written_without_it(reply: str, text: str) -> None:
    assert (await call("write", reply, brief="Such a text"))[0] == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ann won.", "Ann won."),
        (42, "42"),
        ({"rows": [{"child": "Ann"}], "count": 1, "truncated": False}, "Ann"),
        (
            {"rows": [{"child": "Ann", "age": 9}], "count": 1, "truncated": False},
            "| child | age |\n| --- | --- |\n| Ann | 9 |",
        ),
    ],
)
async def test_any_result_can_be_told(text: JSON, said: str) -> None:
    assert await Registry(word_tools()).call("tell", {"text": text}, answering("", [])) == said


@pytest.mark.parametrize("nothing", ["", " \n"])
async def test_nothing_cannot_be_told(nothing: JSON) -> None:
    with pytest.raises(ToolError, match="nothing"):
        await Registry(word_tools()).call("tell", {"text": nothing}, answering("", []))


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


@pytest.mark.parametrize(
    ("wish", "length"),
    [
        ("A summary in at most 80 words", Length(80, "word")),
        ("Max. 300 characters, please", Length(300, "character")),
        ("say it in two sentences", Length(2, "sentence")),
        ("a 50-word limit, friendly", Length(50, "word")),
        ("no more than 5 short lines", Length(5, "line")),
        ("A text of 80 words", None),
        ("at most 80 words in at most 3 sentences", None),
        ("the words of 80 people", None),
    ],
)
def test_a_wish_may_say_how_long_a_text_may_be(wish: str, length: Length | None) -> None:
    assert length_of(wish) == length


def test_lengths_are_counted_as_people_count() -> None:
    text = "One - two, three. Four?!\n\nFive..."
    for unit, count in {"word": 5, "sentence": 3, "line": 2, "paragraph": 2}.items():
        assert not Length(count, unit).exceeded(text)
        assert Length(count - 1, unit).exceeded(text) == f"has {count} {unit}s, more than {count - 1}"
    for part in (" ", "-", ".", "a.", "\n", "\r\n \n", "at most 1 "):
        assert length_of(part * 100_000) is None or part.startswith("at")
        assert Length(0, "sentence").exceeded(part * 100_000)[:3] in ("", "has")


async def test_a_short_text_is_asked_for_in_parts_that_a_grammar_counts() -> None:
    text, question = await call("write", ["Ann signs.", "By May."], brief="A summary in at most 40 words", material="x")
    assert text == "Ann signs. By May."
    assert question.schema["maxItems"] == 2, "what a small model cannot count"
    assert "at most 40 words" in question.instructions
    with pytest.raises(ToolError, match="has 6 words, more than 2"):
        await call("write", ["one two three", "four five six"], brief="At most 2 words")


async def test_a_brief_that_is_said_again_is_no_text() -> None:
    brief = "A notice in at most 40 words. It must say what is broken, and on which day it will be repaired"
    replies: Iterator[JSON] = iter(
        [["A notice in at most 40 words. It must say what", "is broken, and on which day"], "x y"]
    )
    asked: list[Question] = []

    async def ask(question: Question) -> JSON:
        asked.append(question)
        return next(replies)

    assert await Registry(word_tools()).call("write", {"brief": brief, "material": "lift"}, ask) == "x y"
    assert [question.context for question in asked] == ["lift", "lift"]


async def test_a_long_text_that_is_too_long_is_shortened() -> None:
    replies: Iterator[JSON] = iter(["word " * 300, ["word " * 20] * 9])
    asked: list[Question] = []

    async def ask(question: Question) -> JSON:
        asked.append(question)
        return next(replies)

    arguments: dict[str, JSON] = {"brief": "A report in at most 200 words"}
    assert str(await Registry(word_tools()).call("write", arguments, ask)).count("word") == 180
    assert asked[1].context == "word " * 300


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
