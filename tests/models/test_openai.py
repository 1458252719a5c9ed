"""Against a real HTTP server on loopback, which can be told what it is able to do."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import anyio
import pytest

from forethought.models.openai import OpenAIModel
from forethought_patterns import Charge, Usage
from forethought_tools import JSON, ModelError, Question, Role

KEY = "sk-secret-0123456789"
STRICT: dict[str, JSON] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
LOOSE: dict[str, JSON] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TEXT: dict[str, JSON] = {"type": "string"}

Body: TypeAlias = dict[str, Any]
Reply: TypeAlias = tuple[int, Any]


@dataclass
class Endpoint:
    base_url: str
    reply: Callable[[Body], Reply] = lambda _: (500, {})
    asked: list[Body] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def forms(self) -> list[str]:
        """What each request wanted as its form."""
        return [_form(body) for body in self.asked]


def _form(body: Body) -> str:
    form = body.get("response_format", {"type": "text"})
    if form["type"] == "json_schema":
        return "strict" if form["json_schema"]["strict"] else "schema"
    return str(form["type"])


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            there.asked.append(body)
            assert self.path == "/v1/chat/completions"
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            status, said = there.reply(body)
            content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            kind = "text/html" if isinstance(said, str) else "application/json"
            self.send_response(status)
            streams = kind == "text/html" and said.startswith("data:")
            self.send_header("Content-Type", "text/event-stream" if streams else kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield there
        there.released.set()
        server.shutdown()
        serving.join()


def said(content: str | None, *, finish: str = "stop", **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": more.pop("refusal", None)}
    choice = {"index": 0, "finish_reason": finish, "message": message, **more}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def refused(message: str, status: int = 400, **more: Any) -> Reply:
    return status, {"error": {"message": message, **more}}


def in_turn(*replies: Reply) -> Callable[[Body], Reply]:
    left = iter(replies)
    return lambda _: next(left)


def able(*forms: str, content: str = '{"n": 1}') -> Callable[[Body], Reply]:
    """An endpoint that knows these forms only."""
    return lambda body: said(content) if _form(body) in forms else refused("response_format is not supported")


def asked(schema: dict[str, JSON]) -> Question:
    return Question(Role.CRITIC, "The instructions.", "The context.", schema)


@asynccontextmanager
async def model_at(base_url: str, **options: Any) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(model="m", base_url=base_url, api_key=KEY, **options)
    try:
        with anyio.fail_after(20):
            yield model
    finally:
        await model.aclose()


async def failure(endpoint: Endpoint, schema: dict[str, JSON] = TEXT, **options: Any) -> ModelError:
    async with model_at(endpoint.base_url, **options) as model:
        with pytest.raises(ModelError) as caught:
            await model.answer(asked(schema))
    assert KEY not in str(caught.value)
    return caught.value


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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("schema", "form"),
    [
        (STRICT, "strict"),
        (LOOSE, "schema"),
        ({**STRICT, "required": []}, "schema"),
        ({**STRICT, "properties": {"n": {}}}, "schema"),
        ({**STRICT, "properties": {"n": {"type": "array", "items": LOOSE}}}, "schema"),
        ({**STRICT, "properties": {"n": {"anyOf": [{"type": "null"}, STRICT]}}}, "strict"),
        ({**STRICT, "properties": {"n": {"type": "array", "uniqueItems": True}}}, "schema"),
    ],
)
async def test_strict_is_asked_for_only_where_the_schema_allows_it(
    endpoint: Endpoint, schema: dict[str, JSON], form: str
) -> None:
    endpoint.reply = in_turn(refused("stop here", 401))
    await failure(endpoint, schema)
    assert endpoint.forms() == [form]
    assert endpoint.asked[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("can", "tried"),
    [
        ("strict", ["strict"]),
        ("schema", ["strict", "schema"]),
        ("json_object", ["strict", "schema", "json_object"]),
        ("text", ["strict", "schema", "json_object", "text"]),
    ],
)
async def test_structured_output_goes_down_to_what_the_endpoint_can_do_and_remembers(
    endpoint: Endpoint, can: str, tried: list[str]
) -> None:
    endpoint.reply = able(can)
    async with model_at(endpoint.base_url) as model:
        first = await model.answer(asked(STRICT))
        second = await model.answer(asked(STRICT))
    assert first.value == second.value == {"n": 1}
    assert endpoint.forms() == [*tried, can]
    assert first.note == second.note
    assert bool(first.note) == (can != "strict")
    shown = '"additionalProperties"' in endpoint.asked[-1]["messages"][0]["content"]
    assert shown == (can in ("json_object", "text"))


@pytest.mark.anyio
async def test_a_schema_that_is_refused_does_not_degrade_the_next_one(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("Invalid schema for response_format"), said('{"n": 1}'), said('{"n": 2}'))
    async with model_at(endpoint.base_url) as model:
        await model.answer(asked(STRICT))
        await model.answer(asked(STRICT))
    assert endpoint.forms() == ["strict", "schema", "strict"]


@pytest.mark.anyio
async def test_a_form_that_has_worked_is_not_given_up_for_one_refusal(endpoint: Endpoint) -> None:
    good = said('{"n": 1}')
    endpoint.reply = in_turn(good, refused("no"), good, good)
    async with model_at(endpoint.base_url) as model:
        for _ in range(3):
            await model.answer(asked(STRICT))
    assert endpoint.forms() == ["strict", "strict", "schema", "strict"]


@pytest.mark.anyio
async def test_a_question_that_every_form_is_refused_for_is_an_error_and_teaches_nothing(
    endpoint: Endpoint,
) -> None:
    endpoint.reply = in_turn(*[refused("no")] * 4, said('{"n": 1}'))
    async with model_at(endpoint.base_url) as model:
        with pytest.raises(ModelError, match=r"refused the question: .*FORETHOUGHT_MODEL"):
            await model.answer(asked(STRICT))
        await model.answer(asked(STRICT))
    assert endpoint.forms()[-1] == "strict"


@pytest.mark.anyio
async def test_a_question_that_is_too_long_is_asked_once(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("This exceeds the maximum context length"))
    assert "Shorten the material" in str(await failure(endpoint, STRICT))
    assert len(endpoint.asked) == 1


@pytest.mark.anyio
async def test_a_schema_that_is_no_object_travels_in_a_box(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said('{"value": [1, 2]}'))
    schema: dict[str, JSON] = {
        "type": "array",
        "items": {"$ref": "#/$defs/n"},
        "$defs": {"n": {"type": "integer"}},
    }
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(schema))).value == [1, 2]
    sent = endpoint.asked[0]["response_format"]["json_schema"]
    assert sent["strict"]
    assert sent["schema"]["properties"]["value"] == {"type": "array", "items": {"$ref": "#/$defs/n"}}
    assert sent["schema"]["$defs"] == {"n": {"type": "integer"}}


@pytest.mark.anyio
@pytest.mark.parametrize("content", ['```json\n{"n": 1}\n```', 'Sure: {"n": 1}. Good luck!', ' {"n": 1}\n'])
async def test_json_is_found_in_what_surrounds_it(endpoint: Endpoint, content: str) -> None:
    endpoint.reply = able("text", content=content)
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(STRICT))).value == {"n": 1}


@pytest.mark.anyio
async def test_faults_are_shown_and_mended_and_all_calls_counted(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("No idea."), said('{"n": "one"}'), said('{"n": 1}'))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked(STRICT))
    assert (answer.value, answer.note) == ({"n": 1}, "repaired 2 times")
    assert (answer.usage.calls, answer.usage.input_tokens, answer.usage.output_tokens) == (3, 30, 15)
    assert "this is not JSON" in endpoint.asked[1]["messages"][-1]["content"]
    assert "answer.n: 'one' is not of type 'integer'" in endpoint.asked[2]["messages"][-1]["content"]


@pytest.mark.anyio
async def test_repair_is_bounded(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: said('{"n": NaN}')
    error = await failure(endpoint, STRICT)
    assert "no answer that fits the schema in 3 tries: this is not JSON: NaN" in str(error)
    assert (len(endpoint.asked), error.transient) == (3, False)


@pytest.mark.anyio
async def test_an_answer_that_was_cut_off_says_what_to_do(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said('{"n": 1', finish="length"))
    assert "cut off after 5 tokens. Ask for less" in str(await failure(endpoint, STRICT))


@pytest.mark.anyio
async def test_a_refusal_and_a_filter_are_errors(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said(None, refusal="I will not."), said("", finish="content_filter"))
    assert "refused to answer: I will not." in str(await failure(endpoint))
    assert "filter" in str(await failure(endpoint))


@pytest.mark.anyio
async def test_busy_and_broken_endpoints_are_asked_again(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("slow down", 429), refused("oops", 503), said("Hello."))
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).value == "Hello."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "setting", "transient"),
    [
        (refused(f"Incorrect API key provided: {KEY}", 401), "FORETHOUGHT_API_KEY", False),
        (refused("not for you", 403), "FORETHOUGHT_API_KEY", False),
        (refused("no such model", 404), "FORETHOUGHT_MODEL", False),
        (refused("slow down", 429), "FORETHOUGHT_API_KEY", True),
        (refused("pay first", 429, code="insufficient_quota"), "FORETHOUGHT_API_KEY", False),
        (refused("oops", 500), "FORETHOUGHT_BASE_URL", True),
        ((200, "<html>A web page</html>"), "FORETHOUGHT_BASE_URL", False),
        ((200, {"error": "gateway"}), "FORETHOUGHT_BASE_URL", False),
    ],
)
async def test_errors_name_the_setting_and_never_hold_the_key(
    endpoint: Endpoint, reply: Reply, setting: str, transient: bool
) -> None:
    endpoint.reply = lambda _: reply
    error = await failure(endpoint, retries=0)
    assert setting in str(error)
    assert error.transient == transient


@pytest.mark.anyio
async def test_an_endpoint_that_hangs_is_a_transient_error(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: said("late") if endpoint.released.wait() else refused("")
    error = await failure(endpoint, timeout=0.2, retries=0)
    assert "did not answer in time" in str(error)
    assert error.transient


@pytest.mark.anyio
async def test_an_endpoint_that_is_not_there_names_its_address_without_a_password() -> None:
    async with model_at("http://someone:hidden@127.0.0.1:1/v1", retries=0) as model:
        with pytest.raises(ModelError, match=r"at http://127\.0\.0\.1:1/v1 cannot .*FORETHOUGHT_BASE_URL") as caught:
            await model.answer(asked(TEXT))
    assert "hidden" not in str(caught.value)
    assert caught.value.transient


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-one\u2026"])
async def test_a_key_that_cannot_be_sent_is_not_repeated(key: str) -> None:
    model = OpenAIModel(model="m", base_url="http://127.0.0.1:1/v1", api_key=key, retries=0)
    with pytest.raises(ModelError, match="FORETHOUGHT_API_KEY holds characters") as caught:
        await model.answer(asked(TEXT))
    assert "sk-one" not in str(caught.value)


@pytest.mark.anyio
async def test_a_line_end_after_the_key_does_no_harm(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("Hello."))
    model = OpenAIModel(model="m", base_url=endpoint.base_url, api_key=f"{KEY}\n")
    assert (await model.answer(asked(TEXT))).value == "Hello."
    await model.aclose()


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


def streamed(*pieces: str, finish: str = "stop", whole: bool = True) -> Reply:
    """The answer as a stream of events."""
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    last: list[dict[str, Any]] = [{**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    spent: list[dict[str, Any]] = [{**base, "choices": [], "usage": usage}]
    events = [*deltas, *(last + spent if whole else [])]
    return 200, "".join(f"data: {json.dumps(event)}\n\n" for event in events) + ("data: [DONE]\n\n" if whole else "")


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
async def test_a_stream_that_breaks_off_is_no_answer(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: streamed('{"n"', whole=False)
    async with model_at(endpoint.base_url) as asking:
        with pytest.raises(ModelError, match="in the middle of the answer"):
            await asking.answer(asked(STRICT), heard=list[str | None]().append)


class Counting:
    """A meter that lets answers have so many tokens, and remembers what it was told."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.told: list[Usage] = []

    @asynccontextmanager
    async def request(self, input_tokens: int) -> AsyncIterator[Charge]:
        assert input_tokens > 20
        yield Charge(self.most, self.told.append)


@pytest.mark.anyio
async def test_each_request_is_metered_and_bounded(endpoint: Endpoint) -> None:
    meter = Counting(700)
    endpoint.reply = in_turn(said("no JSON"), said('{"n": 1}'))
    async with model_at(endpoint.base_url) as asking:
        await asking.answer(asked(STRICT), meter=meter)
    assert meter.told == [Usage(1, 10, 5)] * 2
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
