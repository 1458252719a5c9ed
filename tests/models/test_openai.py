"""Answers, verdicts and streams of a real HTTP server on loopback, which can be told what it is able to do."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.endpoints.fake import (
    STRICT,
    TEXT,
    Endpoint,
    Reply,
    asked,
    in_turn,
    model_at,
    pieces,
    refused,
    said,
)

from forethought.models.openai import OpenAIModel
from forethought_patterns import Charge, Usage


@pytest.mark.anyio
async def test_plain_text_is_one_completion_of_instructions_and_context(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said(" Hello. "))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked(TEXT))
    assert (answer.value, answer.model, answer.note) == ("Hello.", "m", "")
    assert (answer.usage.calls, answer.usage.input_tokens, answer.usage.output_tokens) == (1, 10, 5)
    system = {"role": "system", "content": "You are the critic.\n\nThe instructions."}
    assert endpoint.asked == [
        {"model": "m", "messages": [system, {"role": "user", "content": "The context."}]},
    ]


@pytest.mark.anyio
async def test_lean_models_are_bounded_and_at_temperature_zero(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("Hello."))
    async with model_at(endpoint.base_url, lean=True, max_tokens=99) as model:
        await model.answer(asked(TEXT))
    assert (endpoint.asked[0]["temperature"], endpoint.asked[0]["max_tokens"]) == (0, 99)


@pytest.mark.anyio
async def test_thoughts_before_an_answer_are_no_part_of_it(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("<think>Hm. {}</think>\n\nHello."))
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).value == "Hello."


@pytest.mark.anyio
async def test_a_text_that_is_too_long_goes_back_with_its_length(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("far too long"), said("short"))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked({"type": "string", "maxLength": 5}))
    assert (answer.value, answer.note, answer.usage.calls) == ("short", "repaired 1 times", 2)
    assert "12 characters are too long, at most 5" in endpoint.asked[1]["messages"][-1]["content"]


def first_token(**chances: float) -> Any:
    top = [{"token": token, "logprob": chance, "bytes": None} for token, chance in chances.items()]
    return {"content": [{**top[0], "top_logprobs": top}]}


@pytest.mark.anyio
async def test_a_verdict_is_the_share_of_yes_in_the_first_token(endpoint: Endpoint) -> None:
    likely = first_token(**{"Yes": -0.693147, " yes": -2.302585, "No": -1.609438, "Maybe": -3.0})
    endpoint.reply = in_turn(said("Yes", finish="length", logprobs=likely))
    async with model_at(endpoint.base_url) as model:
        answer = await model.verdict(asked({}))
    assert answer.value == pytest.approx(0.75, abs=1e-4)
    assert answer.note == ""
    sent = endpoint.asked[0]
    assert (sent["max_tokens"], sent["temperature"], sent["logprobs"]) == (1, 0, True)
    assert sent["messages"][-1]["content"] == "The context.\n\nAnswer with one word: Yes or No."


@pytest.mark.anyio
@pytest.mark.parametrize("without", [refused("logprobs are not supported"), said("Yes", finish="length")])
async def test_without_log_probabilities_a_verdict_is_json_and_this_is_remembered(
    endpoint: Endpoint, without: Reply
) -> None:
    belief = said('{"yes": false, "confidence": 0.9}')
    endpoint.reply = in_turn(without, belief, belief)
    async with model_at(endpoint.base_url) as model:
        first, second = await model.verdict(asked({})), await model.verdict(asked({}))
    assert first.value == second.value == pytest.approx(0.1)
    assert "no log probabilities" in first.note
    assert endpoint.forms() == ["text", "strict", "strict"]


@pytest.mark.anyio
async def test_a_first_token_that_is_no_verdict_is_asked_about_in_json(endpoint: Endpoint) -> None:
    thinking = said("<think>", finish="length", logprobs=first_token(**{"<think>": -0.01, "Yes": -9.0}))
    endpoint.reply = in_turn(thinking, said('{"yes": true, "confidence": 0.2}'))
    async with model_at(endpoint.base_url) as model:
        answer = await model.verdict(asked({}))
    assert answer.value == 0.5
    assert (answer.usage.calls, "neither yes nor no" in answer.note) == (2, True)


def streamed(*texts: str, whole: bool = True) -> Reply:
    """The answer as a stream of events."""
    sent = list(pieces(*texts))
    return 200, "".join(sent if whole else sent[: len(texts)])


@pytest.mark.anyio
async def test_an_answer_is_heard_while_it_is_said(endpoint: Endpoint) -> None:
    heard: list[str | None] = []
    endpoint.reply = lambda _: streamed('{"n"', ": 4", "2}")
    async with model_at(endpoint.base_url) as asking:
        answer = await asking.answer(asked(STRICT), heard=heard.append)
    assert heard == [None, '{"n"', ": 4", "2}"]
    assert answer.value == {"n": 42}
    assert (answer.usage.calls, answer.usage.input_tokens, answer.usage.output_tokens) == (1, 10, 5)
    assert endpoint.asked[0]["stream_options"] == {"include_usage": True}


@pytest.mark.anyio
async def test_a_stream_that_does_not_fit_is_begun_anew(endpoint: Endpoint) -> None:
    heard: list[str | None] = []
    endpoint.reply = in_turn(streamed('{"m": 1}'), streamed('{"n": 1}'))
    async with model_at(endpoint.base_url) as asking:
        answer = await asking.answer(asked(STRICT), heard=heard.append)
    assert heard == [None, '{"m": 1}', None, '{"n": 1}']
    assert answer.value == {"n": 1}


@pytest.mark.anyio
async def test_an_endpoint_that_does_not_stream_is_asked_without(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: refused("stream is not supported") if body.get("stream") else said('{"n": 1}')
    async with model_at(endpoint.base_url) as asking:
        for _ in range(2):
            assert (await asking.answer(asked(STRICT), heard=list[str | None]().append)).value == {"n": 1}
    assert [bool(body.get("stream")) for body in endpoint.asked] == [True, False, False]
    assert set(endpoint.forms()) == {"strict"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "broken",
    [
        streamed('{"n"', whole=False),
        (200, 'data: {"error": {"message": "overloaded"}}\n\n'),
        (200, "data: {this is no JSON\n\n"),
    ],
)
async def test_a_stream_that_breaks_off_is_no_answer_and_the_question_is_asked_once_more_whole(
    endpoint: Endpoint, broken: Reply
) -> None:
    heard: list[str | None] = []
    endpoint.reply = lambda body: broken if body.get("stream") else said('{"n": 7}')
    async with model_at(endpoint.base_url) as asking:
        answer = await asking.answer(asked(STRICT), heard=heard.append)
    assert answer.value == {"n": 7}
    assert heard[-1] is None, "what was heard of the broken answer does not count"
    assert [bool(body.get("stream")) for body in endpoint.asked] == [True, False]


@pytest.mark.anyio
async def test_an_event_without_choices_is_none_of_the_answer(endpoint: Endpoint) -> None:
    nothing = 'data: {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": null}\n\n'
    endpoint.reply = lambda _: (200, nothing + streamed('{"n": 1}')[1])
    async with model_at(endpoint.base_url) as asking:
        assert (await asking.answer(asked(STRICT), heard=list[str | None]().append)).value == {"n": 1}


@pytest.mark.anyio
async def test_what_does_not_count_its_tokens_in_a_stream_is_asked_whole_from_then_on(endpoint: Endpoint) -> None:
    uncounted = "".join(part + "\n\n" for part in streamed('{"n": 1}')[1].split("\n\n") if "usage" not in part)
    endpoint.reply = lambda body: (200, uncounted) if body.get("stream") else said('{"n": 1}')
    async with model_at(endpoint.base_url) as asking:
        for calls in range(2):
            answer = await asking.answer(asked(STRICT), heard=list[str | None]().append)
            assert bool(answer.usage.input_tokens) == bool(calls)
    assert [bool(body.get("stream")) for body in endpoint.asked] == [True, False]


class Counting:
    """A meter that lets answers have so many tokens, and remembers what was spent."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.settled: list[Usage] = []

    @asynccontextmanager
    async def request(self, input_tokens: int) -> AsyncGenerator[Charge]:
        assert input_tokens > 20
        yield Charge(self.most, self.settled.append)


@pytest.mark.anyio
async def test_each_request_is_metered_and_bounded(endpoint: Endpoint) -> None:
    meter = Counting(700)
    endpoint.reply = in_turn(said("no JSON"), said('{"n": 1}'))
    async with model_at(endpoint.base_url) as asking:
        await asking.answer(asked(STRICT), meter=meter)
    assert meter.settled == [Usage(1, 10, 5)] * 2
    assert [body["max_completion_tokens"] for body in endpoint.asked] == [700, 700]


@pytest.mark.parametrize(
    ("name", "url", "known"),
    [
        ("gpt-4o-mini", None, True),
        ("gpt-4o-mini", "https://api.openai.com/v1", True),
        ("a-model-of-nobody", None, False),
        ("gpt-4o-mini", "http://127.0.0.1:9/v1", False),
    ],
)
def test_a_price_is_known_or_said_to_be_unknown(name: str, url: str | None, known: bool) -> None:
    cost = OpenAIModel(model=name, base_url=url, api_key="none").cost(Usage(1, 1_000_000, 0))
    assert (cost is not None) == known
    assert cost is None or 0 < cost < 100
