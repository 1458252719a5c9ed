"""What endpoints send back is read as it is meant: one row for each oddity, each whole, structured and in a stream."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.endpoints.fake import STRICT, TEXT, Endpoint, Reply, asked, event, failure, in_turn, model_at, said

from forethought_patterns import Answer, Usage

pytestmark = pytest.mark.anyio

SAID = '{"n": 1}'

# A message whose answer is SAID.
MESSAGES: Mapping[str, dict[str, Any]] = {
    "a text": {"content": SAID},
    "a list of parts": {"content": [{"type": "text", "text": '{"n":'}, {"type": "text", "text": " 1}"}]},
    "a list of texts": {"content": ['{"n":', " 1}"]},
    "parts with annotations": {"content": [{"type": "output_text", "text": SAID, "annotations": [], "logprobs": []}]},
    "a text in an object": {"content": [{"type": "text", "text": {"value": SAID}}]},
    "one part": {"content": {"type": "text", "text": SAID}},
    "parts whose text is their content": {"content": [{"type": "text", "content": SAID, "id": "a", "index": 0}]},
    "parts whose text is their value": {"content": [{"type": "output_text", "value": SAID}]},
    "parts without a type": {"content": [{"content": '{"n":'}, {"content": " 1}", "index": 1}]},
    "parts of another name": {"content": [{"type": "output_text", "output_text": SAID, "more": 1, "and": 2}]},
    "parts whose text has a name of its own": {"content": [{"type": "text", "response": SAID, "id": "a"}]},
    "parts whose text has the name of their type": {"content": [{"type": "markdown", "markdown": SAID}]},
    "a message as a part": {"content": [{"type": "message", "body": SAID, "more": 1, "and": 2}]},
    "parts in parts": {"content": [{"type": "message", "content": [{"type": "text", "text": SAID}], "role": "x"}]},
    "parts that are null": {"content": [None, {"text": SAID}]},
    "parts in an object": {"content": {"role": "model", "parts": [{"text": '{"n":'}, {"text": " 1}"}]}},
    "a value as a part": {"content": [{"type": "json", "json": {"n": 1}}]},
    "a picture beside it": {
        "content": [{"type": "text", "text": SAID}, {"type": "image_url", "image_url": {"url": "data:,{"}, "id": 1}]
    },
    "the call of a tool as a part": {
        "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"n": 1}, "caller": {}}]
    },
    "sealed reasoning as a part": {
        "content": [{"type": "redacted_thinking", "data": "Z2Vo"}, {"type": "text", "text": SAID, "citations": None}]
    },
    "reasoning as a part": {"content": [{"type": "thinking", "thinking": "{}"}, {"type": "text", "text": SAID}]},
    "reasoning as a summary": {
        "content": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "?"}]},
            {"type": "text", "text": SAID},
        ]
    },
    "a value": {"content": {"n": 1}},
    "only reasoning_content": {"content": "", "reasoning_content": SAID},
    "only reasoning": {"content": None, "reasoning": SAID},
    "only reasoning_details": {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": SAID}]},
    "only reasoning of another name": {"content": "", "reasoning_text": SAID},
    "only reasoning in blocks": {"content": "", "thinking_blocks": [{"type": "thinking", "thinking": SAID}]},
    "only reasoning in an object": {"content": "", "reasoning": {"content": SAID}},
    "reasoning beside it": {"content": SAID, "reasoning_content": 'no: {"n": 2}'},
    "the call of a tool": {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": SAID}}]},
    "a call with an object": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"n": 1}}}]},
    "the call of a function": {"content": None, "function_call": {"name": "f", "arguments": SAID}},
    "a byte-order mark": {"content": f"\ufeff{SAID}"},
    "tags": {"content": f"<think>{{}}</think>\n\n{SAID}"},
    "other tags": {"content": f"<Thinking level='high'>\n{{\n</Thinking>{SAID}"},
    "brackets": {"content": f'[THINK]{{"n": 2}}[/THINK]{SAID}'},
    "reflection": {"content": f"<reflection>\nHm</reflection><reasoning>So</reasoning>{SAID}"},
    "only a closing tag": {"content": f'Perhaps {{"n": 3}}?\n</think>\n{SAID}'},
    "a namespace": {"content": f"<seed:think>x</seed:think>{SAID}"},
    "channels": {
        "content": f"<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>{SAID}"
    },
    "channels with a form": {
        "content": "<|start|>assistant<|channel|>analysis<|message|>{<|end|><|start|>assistant"
        f"<|channel|>final <|constrain|>json<|message|>{SAID}<|return|>"
    },
    "tags in tags": {"content": f"<think>a <think>b</think> c</think>{SAID}"},
    "reasoning behind it": {"content": f"{SAID}\n<think>Was that right?</think>"},
    "reasoning that never ends": {"content": f"{SAID}\n<think>Was that right? {{"},
}
# What else may come with SAID.
BODIES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "usage is missing": lambda body: {name: value for name, value in body.items() if name != "usage"},
    "usage is null": lambda body: body | {"usage": None},
    "usage in fractions and texts": lambda body: body | {"usage": {"prompt_tokens": 10.0, "completion_tokens": "5"}},
    "usage of nulls": lambda body: body | {"usage": {"prompt_tokens": None, "completion_tokens": None}},
    "usage is a text": lambda body: body | {"usage": "much"},
    "an end of another name": lambda body: _choice(body, finish_reason="eos_token"),
    "no end": lambda body: _choice(body, finish_reason=None),
    "an end in capitals": lambda body: _choice(body, finish_reason="STOP"),
    "several choices": lambda body: body | {"choices": [*body["choices"], {"index": 1, "message": {"content": "no"}}]},
    "a first choice that is empty": lambda body: (
        body
        | {
            "choices": [
                {"index": 0, "message": {"content": ""}, "finish_reason": "stop"},
                body["choices"][0] | {"index": 1},
            ]
        }
    ),
    "a first choice that only thinks": lambda body: (
        body | {"choices": [{"message": {"content": None, "reasoning": "{}"}}, {"message": {"content": SAID}}]}
    ),
    "a first choice without room": lambda body: (
        body
        | {
            "choices": [
                {"index": 3, "message": {"content": ""}, "finish_reason": "length"},
                {"message": {"content": SAID}},
            ]
        }
    ),
    "an error that is null": lambda body: body | {"error": None},
    "nothing around it": lambda body: {"choices": body["choices"]},
    "no role": lambda body: _choice(body, message={"content": SAID}),
    "a list around it": lambda body: [body],
    "types of their own": lambda body: body | {"id": 7, "created": "now", "object": None, "model": None},
}


def _choice(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return body | {"choices": [body["choices"][0] | changes]}


def _body(message: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = said(SAID)[1]
    return _choice(body, message={"role": "assistant", **message})


def _streamed(message: dict[str, Any], *more: str) -> str:
    return "".join(
        [event({"delta": message}), *more, event({"delta": {}, "finish_reason": "stop"}), "data: [DONE]\n\n"]
    )


async def _asked(endpoint: Endpoint, way: str) -> Answer:
    heard = list[str | None]().append if way == "streamed" else None
    async with model_at(endpoint.base_url) as model:
        return await model.answer(asked(TEXT if way == "complete" else STRICT), heard=heard)


def _fits(answer: Answer, way: str) -> bool:
    value = json.loads(str(answer.value)) if way == "complete" else answer.value
    return bool(value == {"n": 1})


@pytest.mark.parametrize("way", ["complete", "structured", "streamed"])
@pytest.mark.parametrize("oddity", MESSAGES)
async def test_an_answer_is_found_wherever_it_stands(endpoint: Endpoint, oddity: str, way: str) -> None:
    message = MESSAGES[oddity]
    endpoint.reply = lambda _: (200, _streamed(message) if way == "streamed" else _body(message))
    answer = await _asked(endpoint, way)
    assert _fits(answer, way), answer
    assert len(endpoint.asked) == 1
    assert ("reasoning" in answer.note) == oddity.startswith("only reasoning")


@pytest.mark.parametrize("way", ["complete", "structured", "streamed"])
@pytest.mark.parametrize("oddity", BODIES)
async def test_what_comes_with_an_answer_does_no_harm(endpoint: Endpoint, oddity: str, way: str) -> None:
    # A stream is asked for, and what comes is whole: some know no streams, and say nothing of it.
    endpoint.reply = lambda _: (200, BODIES[oddity](_body({"content": SAID})))
    answer = await _asked(endpoint, way)
    assert _fits(answer, way)
    assert answer.usage in (Usage(1, 10, 5), Usage(1))


STREAMS: Mapping[str, str] = {
    "comments": ": keep-alive\n\n" + _streamed({"content": SAID}, ": processing\n\n"),
    "choices that are null": _streamed({"content": SAID}, event(None).replace('"choices": []', '"choices": null')),
    "no choices at all": _streamed({"content": SAID}, 'data: {"id": "1"}\n\n', 'data: {"choices": []}\n\n'),
    "no delta": _streamed({"content": SAID}, 'data: {"choices": [{"index": 0}]}\n\n'),
    "a delta that is null": _streamed({"content": SAID}, 'data: {"choices": [{"delta": null}]}\n\n'),
    "an end of another name": _streamed({"content": SAID}).replace('"stop"', '"eos_token"'),
    "no end but the last event": _streamed({"content": SAID}).replace('"stop"', "null"),
    "no last event": _streamed({"content": SAID}).replace("data: [DONE]\n\n", ""),
    "no space after the colon": _streamed({"content": SAID}).replace("data: ", "data:"),
    "other ends of lines": _streamed({"content": SAID}).replace("\n", "\r\n"),
    "names of events": _streamed({"content": SAID}).replace("data: {", "event: message\nid: 1\ndata: {"),
    "a whole message": _streamed({}, event({"message": {"content": SAID}, "finish_reason": "stop"})),
    "another choice": _streamed({"content": SAID}, event({"delta": {"content": "no"}, "index": 1})),
    "another choice beside an empty one": _streamed({"content": ""}, event({"delta": {"content": SAID}, "index": 1})),
    "arguments in pieces": _streamed(
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"n"'}}]},
        event({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}}),
    ),
    "an empty event": _streamed({"content": SAID}, "data: \n\n", "data:\n\n"),
    "lines in texts": _streamed({"content": SAID, "role": "a\u2028b\u0085c"}),
}


@pytest.mark.parametrize("way", ["structured", "streamed"])
@pytest.mark.parametrize("oddity", STREAMS)
async def test_a_stream_is_read_whatever_is_in_it(endpoint: Endpoint, oddity: str, way: str) -> None:
    # Also where none was asked for: some always stream.
    endpoint.reply = lambda _: (200, STREAMS[oddity])
    if not STREAMS[oddity].startswith("data:"):
        endpoint.headers["Content-Type"] = "text/event-stream"
    assert _fits(await _asked(endpoint, way), way)
    assert len(endpoint.asked) == 1


THOUGHTS = [f'Perhaps {{"n": 3}}? No: {SAID}', f'{{"n": "?"}}\n{SAID}', f"{SAID} {SAID}", f'{SAID} So {{"m": 2}}']


@pytest.mark.parametrize("thought", THOUGHTS)
async def test_of_what_was_only_thought_the_last_that_fits_is_the_answer(endpoint: Endpoint, thought: str) -> None:
    endpoint.reply = lambda _: (200, _body({"content": "", "reasoning_content": thought}))
    answer = await _asked(endpoint, "structured")
    assert answer.value == {"n": 1}
    assert "reasoning" in answer.note


async def test_of_two_answers_that_were_said_none_is_chosen(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said(f'{{"n": 3}} {SAID}'), said(SAID))
    answer = await _asked(endpoint, "structured")
    assert (answer.value, len(endpoint.asked)) == ({"n": 1}, 2)


BROKEN: Mapping[str, Reply] = {
    "an error in mid-stream": (
        200,
        event({"delta": {"content": '{"n"'}}) + 'data: {"error": {"message": "overloaded"}}\n\n',
    ),
    "an error as an event": (
        200,
        event({"delta": {"content": "{"}}) + 'event: error\ndata: {"error": "gone", "choices": []}\n\n',
    ),
    "an error in a choice": (
        200,
        event({"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "?"}}),
    ),
    "an end for want of resources": (
        200,
        event({"delta": {"content": "{"}, "finish_reason": "insufficient_system_resource"}),
    ),
    "no end": (200, event({"delta": {"content": '{"n"'}})),
    "an event that is no JSON": (200, "data: {this is no JSON\n\n"),
    "an error with status 200": (200, {"error": {"message": "Provider returned error", "code": 502}}),
    "an empty body": (200, b""),
    "half a body": (200, json.dumps(said(SAID)[1])[:60].encode()),
}


@pytest.mark.parametrize("way", ["complete", "structured", "streamed"])
@pytest.mark.parametrize("fault", BROKEN)
async def test_an_answer_that_breaks_off_is_asked_for_once_more(endpoint: Endpoint, fault: str, way: str) -> None:
    endpoint.reply = in_turn(BROKEN[fault], said(SAID))
    assert _fits(await _asked(endpoint, way), way)
    assert ["stream" in body for body in endpoint.asked] == [way == "streamed", False]


@pytest.mark.parametrize("way", ["complete", "structured", "streamed"])
@pytest.mark.parametrize("fault", BROKEN)
async def test_an_endpoint_that_always_breaks_off_is_an_error_that_names_the_endpoint(
    endpoint: Endpoint, fault: str, way: str
) -> None:
    endpoint.reply = lambda _: BROKEN[fault]
    error = await failure(endpoint, TEXT if way == "complete" else STRICT, retries=0)
    assert "FORETHOUGHT_BASE_URL" in str(error)
    assert "127.0.0.1" in str(error)
    assert len(endpoint.asked) <= 3


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"])
@pytest.mark.parametrize("way", ["structured", "streamed"])
async def test_an_answer_that_was_cut_off_is_none_whatever_that_is_called(
    endpoint: Endpoint, reason: str, way: str
) -> None:
    whole = _choice(_body({"content": '{"n": 1'}), finish_reason=reason)
    endpoint.reply = lambda _: (
        200,
        _streamed({"content": '{"n": 1'}).replace('"stop"', f'"{reason}"') if way == "streamed" else whole,
    )
    assert "cut off" in str(await failure(endpoint, STRICT))


@pytest.mark.parametrize("content", ["", None, "<think>I am not sure", "  ", [], "<think>So it is.</think>"])
async def test_nothing_is_never_an_answer(endpoint: Endpoint, content: Any) -> None:
    endpoint.reply = lambda _: (200, _body({"content": content}))
    error = await failure(endpoint, TEXT)
    assert "FORETHOUGHT_MODEL" in str(error)
    assert len(endpoint.asked) == 3
    endpoint.reply = in_turn((200, _body({"content": content})), said("Hello."))
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).value == "Hello."


@pytest.mark.parametrize(
    "text", ["Write `</think>` behind it.", "The tag '<think>' opens it.", "<?xml?><a><thought>x</thought></a>"]
)
async def test_a_text_about_tags_is_left_as_it_is(endpoint: Endpoint, text: str) -> None:
    endpoint.reply = lambda _: said(text)
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).value == text


async def test_a_tag_inside_of_a_json_text_is_no_tag(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: said('{"text": "a</think>b", "n": 1}')
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked({"type": "object", "required": ["text"]}))).value == {
            "text": "a</think>b",
            "n": 1,
        }


@pytest.mark.parametrize(
    "refusal",
    [{"content": None, "refusal": "I will not."}, {"content": [{"type": "refusal", "refusal": "I will not."}]}],
)
async def test_a_refusal_is_told_as_one(endpoint: Endpoint, refusal: dict[str, Any]) -> None:
    endpoint.reply = lambda _: (200, _body(refusal))
    assert "refused to answer: I will not." in str(await failure(endpoint, TEXT))
