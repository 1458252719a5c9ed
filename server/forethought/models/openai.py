"""Any OpenAI-compatible endpoint as a `Model`: OpenAI itself, Ollama, vLLM, llama.cpp, gateways.

Structured output is asked for in the strictest of four ways that the endpoint takes, and the note of the answer says so
where that was not the first.
Every answer is checked against the question's schema, whatever the endpoint promises.
"""

__all__ = ["OpenAIModel", "messages"]

import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion

from forethought.models.endpoint import Endpoint, blames_schema, refuses_form
from forethought.models.prices import price
from forethought.models.structured import boxed, is_strict, read
from forethought_patterns.ports import Answer, Free, Heard, Meter, Usage
from forethought_tools import JSON, ModelError, Question

_FREE = Free()
_REPAIRS = 2
_LADDER = ("strict JSON schema", "JSON schema", "JSON mode", "text")
_STRICT, _SCHEMA, _JSON_MODE, _TEXT = range(4)

_BELIEF: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["yes", "confidence"],
    "additionalProperties": False,
}
_YES, _NO = frozenset({"yes", "y", "true"}), frozenset({"no", "n", "false"})
# Below this share of the first token, yes and no are noise: the model was about to say something else.
_LEAST_SHARE = 0.05

Messages: TypeAlias = list[dict[str, str]]


class _BrokenOffError(openai.OpenAIError):
    """A stream has ended in the middle of the answer."""


class OpenAIModel:
    """A model behind a chat-completions API. Its client is made on first use, in the running loop."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None,
        api_key: str,
        lean: bool = False,
        timeout: float = 300,
        max_tokens: int = 1024,
        retries: int = 2,
    ) -> None:
        """`max_tokens` bounds the answers of a lean model only. After network failures, 429 and 5xx a request is made
        again, with backoff, at most `retries` times."""
        self._model = model
        self._endpoint = Endpoint(model, base_url, api_key.strip())
        self._lean = lean
        self._timeout = timeout
        self._retries = retries
        self._limits: dict[str, Any] = {"temperature": 0, "max_tokens": max_tokens} if lean else {}
        self._client: openai.AsyncOpenAI | None = None
        self._highest = _STRICT  # the first rung that the endpoint has not refused
        self._proved: set[int] = set()
        self._logprobs = True
        self._streams = True

    @property
    def name(self) -> str:
        return self._model

    @property
    def lean(self) -> bool:
        return self._lean

    async def aclose(self) -> None:
        """Close the connections. Another question opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def cost(self, usage: Usage) -> float | None:
        return price(self._model, self._endpoint.base_url, usage)

    async def answer(self, question: Question, *, meter: Meter = _FREE, heard: Heard | None = None) -> Answer:
        if question.schema.get("type") != "string":
            return await self._structured(question, meter, heard)
        try:
            form = {"temperature": question.variety} if self._lean and question.variety else {}
            return await self._converse(messages(question), question.schema, form, meter, heard, plain=True)
        except openai.APIStatusError as error:
            raise self._endpoint.explained(error) from None

    async def verdict(self, question: Question, *, meter: Meter = _FREE) -> Answer:
        spent = Usage()
        can = False
        if self._logprobs:
            options = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 10}
            try:
                asked = messages(question, ask="Answer with one word: Yes or No.")
                completion = await self._complete(asked, options, meter)
            except openai.APIStatusError:
                pass
            else:
                spent, chances = _usage(completion), _chances(completion)
                if (yes := _yes_share(chances)) is not None:
                    return Answer(value=yes, usage=spent, model=self._model)
                can = bool(chances)
        believes = Question(question.role, question.instructions, question.context, _BELIEF)
        answer = await self._structured(believes, meter)
        self._logprobs = can  # only now: had the question itself been refused, this would have failed as well
        why = "the first token is neither yes nor no" if can else "the endpoint gives no log probabilities"
        note = f"verdict as JSON, because {why}" + (f"; {answer.note}" if answer.note else "")
        return Answer(value=_believed(answer.value), usage=spent + answer.usage, model=self._model, note=note)

    async def _structured(self, question: Question, meter: Meter, heard: Heard | None = None) -> Answer:
        schema, is_boxed = boxed(question.schema)
        first = _STRICT if is_strict(schema) else _SCHEMA
        refused = self._highest
        for rung in range(max(first, self._highest), len(_LADDER)):
            asked = messages(question, schema=schema if rung >= _JSON_MODE else None)
            try:
                answer = await self._converse(asked, schema, _form(rung, schema), meter, heard)
            except openai.APIStatusError as error:
                if rung == _TEXT:
                    raise self._endpoint.explained(error) from None
                # A rung that has worked before, or a schema called invalid, is no limit of the endpoint.
                if rung not in self._proved and not blames_schema(error):
                    refused = rung + 1
                continue
            self._proved.add(rung)
            self._highest = max(self._highest, refused)
            steps = [f"by {_LADDER[rung]}: the endpoint takes no {_LADDER[first]}"] if rung != first else []
            value = cast("Mapping[str, JSON]", answer.value)["value"] if is_boxed else answer.value
            return Answer(
                value, answer.usage, self._model, "; ".join([*steps, *([answer.note] if answer.note else [])])
            )
        raise AssertionError("the last rung answers or raises")

    async def _converse(
        self,
        messages: Messages,
        schema: Mapping[str, JSON],
        form: Mapping[str, Any],
        meter: Meter,
        heard: Heard | None,
        *,
        plain: bool = False,
    ) -> Answer:
        """Ask, and ask again with the faults, until the answer fits."""
        usage, faults = Usage(), list[str]()
        for repairs in range(1 + _REPAIRS):
            completion = await self._complete(messages, form, meter, heard)
            usage += _usage(completion)
            text = self._text(completion)
            value, faults = read(text, schema, plain=plain)
            if not faults:
                return Answer(value, usage, self._model, f"repaired {repairs} times" if repairs else "")
            messages = [*messages, *_repair(text, faults, None if plain else schema)]
        raise ModelError(
            f"{self._model} gave no answer that fits the schema in {1 + _REPAIRS} tries: {'; '.join(faults)[:600]}."
            " Set FORETHOUGHT_MODEL to a more able model."
        )

    async def _complete(
        self, messages: Messages, options: Mapping[str, Any], meter: Meter, heard: Heard | None = None
    ) -> ChatCompletion:
        """One request. Raises `openai.APIStatusError` only where another form of it may be accepted."""
        async with meter.request(_tokens(messages, options)) as charge:
            most = {"max_completion_tokens": charge.most} if charge.most and not self._lean else {}
            request = {"model": self._model, "messages": messages, **self._limits, **most, **options}
            try:
                completion = await self._send(request, heard)
            except openai.APIStatusError as error:
                if refuses_form(error):
                    raise
                raise self._endpoint.explained(error) from None
            except openai.OpenAIError as error:
                raise self._endpoint.explained(error) from None
            except ValueError as error:
                raise self._endpoint.explained(openai.OpenAIError(f"no JSON: {error}")) from None
            # The client passes on whatever came with status 200: a web page as str, an error without choices.
            if not isinstance(completion, ChatCompletion) or not completion.choices:
                raise self._endpoint.explained(openai.OpenAIError(f"no choices in {completion!r:.200}"))
            charge.settle(_usage(completion))
        return completion

    async def _send(self, request: Mapping[str, Any], heard: Heard | None) -> object:
        self._client = self._client or self._open()
        create: Any = self._client.chat.completions.create
        if heard is not None and self._streams:
            try:
                said = await _streamed(create, request, heard)
            except openai.APIStatusError as error:
                if not refuses_form(error):
                    raise
                answer: object = await create(**request)  # if this works, it was the streaming that it refused
                self._streams = False
                return answer
            except _BrokenOffError:
                heard(None)  # what was said does not count: it is asked once more, and not in pieces
            else:
                self._streams = said.usage is not None  # budgets count tokens: not every endpoint does in a stream
                return said
        whole: object = await create(**request)
        return whole

    def _open(self) -> openai.AsyncOpenAI:
        if not (self._endpoint.api_key.isascii() and self._endpoint.api_key.isprintable()):
            # The HTTP client would quote such a key in its error.
            raise ModelError("FORETHOUGHT_API_KEY holds characters that no key has. Set it again.")
        host = urlsplit(self._endpoint.base_url or "").hostname
        # A proxy of the environment cannot reach this machine's own loopback.
        direct = openai.DefaultAsyncHttpxClient(trust_env=False) if host in ("localhost", "127.0.0.1", "::1") else None
        try:
            return openai.AsyncOpenAI(
                api_key=self._endpoint.api_key or "none",  # local endpoints want none, the client wants one
                base_url=self._endpoint.base_url,
                timeout=openai.Timeout(self._timeout, connect=min(10.0, self._timeout)),
                max_retries=self._retries,
                http_client=direct,
            )
        except (openai.OpenAIError, ValueError) as error:
            raise self._endpoint.explained(openai.OpenAIError(str(error))) from None

    def _text(self, completion: ChatCompletion) -> str:
        choice = completion.choices[0]
        if refusal := choice.message.refusal:
            raise ModelError(
                f"{self._model} refused to answer: {self._endpoint.safe(refusal)}."
                " Reword the question or change FORETHOUGHT_MODEL."
            )
        if choice.finish_reason == "length":
            raise ModelError(
                f"The answer of {self._model} was cut off after {_usage(completion).output_tokens} tokens."
                " Ask for less (a tighter maxLength or maxItems), or change FORETHOUGHT_MODEL."
            )
        if choice.finish_reason == "content_filter":
            raise ModelError(f"The endpoint's filter stopped {self._model}. Change the question or FORETHOUGHT_MODEL.")
        return choice.message.content or ""


def messages(question: Question, *, schema: Mapping[str, JSON] | None = None, ask: str = "") -> Messages:
    """Instructions first, as servers keep a shared prefix; what is asked last, as small models want it."""
    system = f"You are the {question.role}.\n\n{question.instructions}"
    if schema is not None:
        shown = json.dumps(schema)
        system += f"\n\nAnswer with one JSON value that fits this JSON schema, and nothing else:\n{shown}"
    if question.schema.get("type") == "string" and "maxLength" in question.schema and not ask:
        system += f"\n\nAnswer in at most {question.schema['maxLength']} characters."
    user = "\n\n".join(part for part in (question.context, ask) if part) or "Begin."
    turns: Messages = [{"role": "system", "content": system}]
    for asked, answered in question.examples:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return [*turns, {"role": "user", "content": user}]


async def _streamed(create: Any, request: Mapping[str, Any], heard: Heard) -> ChatCompletion:
    """One request whose answer is passed to `heard` piece by piece, as it comes."""
    heard(None)
    said, refusal, last, usage = list[str](), list[str](), "", None
    stream = await create(**request, stream=True, stream_options={"include_usage": True})
    try:
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in (chunk.choices or ())[:1]:  # some send none at all
                if choice.delta.content:
                    said.append(choice.delta.content)
                    heard(choice.delta.content)
                refusal += [choice.delta.refusal] if choice.delta.refusal else []
                last = choice.finish_reason or last
    except openai.APITimeoutError:
        raise
    except (openai.APIError, ValueError) as error:
        raise _BrokenOffError(str(error)) from None
    if not last:
        raise _BrokenOffError
    message = {"role": "assistant", "content": "".join(said), "refusal": "".join(refusal) or None}
    return ChatCompletion.model_validate(
        {
            "id": "",
            "created": 0,
            "model": request["model"],
            "object": "chat.completion",
            "usage": usage,
            "choices": [{"index": 0, "finish_reason": last, "logprobs": None, "message": message}],
        }
    )


def _tokens(messages: Messages, options: Mapping[str, Any]) -> int:
    """How many tokens a request has at the most, about: nearly all of them have the two bytes counted here, or more."""
    return (len(json.dumps(messages).encode()) + len(json.dumps(dict(options)).encode())) // 2 + 50


def _repair(text: str, faults: list[str], schema: Mapping[str, JSON] | None) -> Messages:
    listed = "\n".join(f"- {fault}" for fault in faults)
    wanted = f"\nIt must fit this JSON schema:\n{json.dumps(schema)}" if schema is not None else ""
    again = f"That answer has faults:\n{listed}{wanted}\nGive the whole answer again, mended, and nothing else."
    return [{"role": "assistant", "content": text or "(nothing)"}, {"role": "user", "content": again}]


def _form(rung: int, schema: Mapping[str, JSON]) -> dict[str, Any]:
    if rung == _TEXT:
        return {}
    if rung == _JSON_MODE:
        return {"response_format": {"type": "json_object"}}
    described = {"name": "answer", "schema": schema, "strict": rung == _STRICT}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _usage(completion: ChatCompletion) -> Usage:
    spent = completion.usage
    return Usage(1, spent.prompt_tokens or 0, spent.completion_tokens or 0) if spent else Usage(1)


def _chances(completion: ChatCompletion) -> dict[str, float]:
    """The likeliest first tokens, with their probabilities."""
    logprobs = completion.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        return {}
    first = logprobs.content[0]
    return {token.token: math.exp(token.logprob) for token in (first, *(first.top_logprobs or ()))}


def _yes_share(chances: Mapping[str, float]) -> float | None:
    words = [(re.sub(r"[^a-z]", "", token.casefold()), chance) for token, chance in chances.items()]
    yes = sum(chance for word, chance in words if word in _YES)
    no = sum(chance for word, chance in words if word in _NO)
    return yes / (yes + no) if yes + no >= _LEAST_SHARE else None


def _believed(value: JSON) -> float:
    belief = cast("Mapping[str, Any]", value)
    sure = max(float(belief["confidence"]), 0.5)  # a model that says yes with little confidence still says yes
    return sure if belief["yes"] else 1 - sure
