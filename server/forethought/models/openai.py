"""Any OpenAI-compatible endpoint as a `Model`: OpenAI itself, Azure, Ollama, vLLM, llama.cpp, gateways.

Structured output is asked for in the strictest of four forms that the endpoint takes, and the note of the answer says
so where that was not the first. Every answer is checked against the question's schema, whatever the endpoint promises.
"""

__all__ = ["OpenAIModel", "messages"]

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import httpx2
import openai

from forethought.address import read_address
from forethought.models.acting import Functions, acting
from forethought.models.connection import Connection
from forethought.models.endpoint import Endpoint, refusal_of
from forethought.models.prices import price
from forethought.models.replies import Reply, ReplyError
from forethought.models.structured import boxed, is_strict, read
from forethought.models.thoughts import spoken
from forethought.models.ways import FORMS, JSON_MODE, SCHEMA, STRICT, TEXT, Body, Known, Learnt, Refusal, Way
from forethought.options import ModelOptions
from forethought_patterns.ports import Answer, Free, Heard, Meter, Usage
from forethought_tools import JSON, ModelError, Question

logger = logging.getLogger(__name__)

_FREE = Free()
_REPAIRS = 2
_NO_OPTIONS = ModelOptions()
_UNHEARD = (openai.OpenAIError, httpx2.HTTPError, ReplyError)

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


class OpenAIModel:
    """A model behind a chat-completions API."""

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
        options: ModelOptions = _NO_OPTIONS,
        known: Known | None = None,
    ) -> None:
        """`max_tokens` bounds the answers of a lean model only. After network failures, 429 and 5xx a request is made
        again, with backoff, at most `retries` times. What is `known` of the model is shared by all who ask it there."""
        key = "" if api_key == "none" else api_key.strip()
        address = read_address(base_url, model=model, api_key=key)
        hidden = {key, *options.secrets, *address.secrets} - {""}
        self._model = model
        self._endpoint = Endpoint(model, address, hidden)
        self._connection = Connection(self._endpoint, api_key=key, options=options, timeout=timeout, retries=retries)
        self._lean = lean
        self._always: Body = {**({"temperature": 0, "max_tokens": max_tokens} if lean else {}), **options.body}
        self._learnt = Learnt(options.body, known)

    @property
    def name(self) -> str:
        return self._model

    @property
    def lean(self) -> bool:
        return self._lean

    @property
    def where(self) -> str:
        """The endpoint's address, for people: without a password or a query."""
        return self._endpoint.where

    async def aclose(self) -> None:
        """Close the connections. Another question opens new ones."""
        await self._connection.aclose()

    def cost(self, usage: Usage) -> float | None:
        return price(self._model, self._endpoint.address.url, usage)

    async def answer(self, question: Question, *, meter: Meter = _FREE, heard: Heard | None = None) -> Answer:
        """Ask, and ask again with the faults, until the answer fits."""
        if not question.tools or self._lean or "tools" in self._learnt.way.without:
            return await self._fitting(question, meter, heard)
        acted = await self._acted(question, meter)
        if isinstance(acted, Answer):
            return acted
        answer = await self._fitting(question, meter, heard)
        if acted is None:
            return answer
        # Only now: had the question itself been refused, this would have failed as well.
        self._learnt.leave_out("tools")
        return replace(answer, note="; ".join(filter(None, ["the endpoint takes no tools", answer.note])))

    async def _acted(self, question: Question, meter: Meter) -> Answer | Refusal | None:
        """The next call of an agent in the endpoint's own form; or why it does not take that; or none, where it says
        nothing."""
        functions, way = Functions.of(question.tools), self._learnt.way
        asked = cast("Messages", functions.messages(question))
        while True:
            body = self._body(asked, functions.body())
            async with meter.request(_tokens(body)) as charge:
                sent = way.put(_limited(body, charge.most) if charge.most else body)
                try:
                    reply = await self._connection.send(sent)
                except _UNHEARD as error:
                    way, refusal = self._otherwise(way, sent, error)
                    if "tools" in way.without:
                        return refusal
                    continue
                charge.settle(reply.usage or Usage(1))
            for part in way.without - self._learnt.way.without:
                self._learnt.leave_out(part)
            if reply.call is None or reply.ended:
                reply = replace(reply, text=self._text(reply))
            else:
                self._learnt.prove("tools")
            value = acting(reply, functions)
            return Answer(value, reply.usage or Usage(1), self._model) if value else None

    async def _fitting(self, question: Question, meter: Meter, heard: Heard | None) -> Answer:
        plain = question.schema.get("type") == "string"
        schema, is_boxed = (question.schema, False) if plain else boxed(question.schema)
        first = TEXT if plain else STRICT if is_strict(schema) else SCHEMA
        form: Body = {"temperature": question.variety} if plain and self._lean and question.variety else {}
        way, turns = self._learnt.begin(schema), Messages()
        usage, faults, text = Usage(), list[str](), ""
        for repairs in range(1 + _REPAIRS):
            way = replace(way, form=max(way.form, first))
            reply, way = await self._asked(_Asked(question, schema, first, turns, form), way, meter, heard)
            usage += reply.usage or Usage(1)
            text = self._text(reply)
            value, faults = read(text, schema, plain=plain, thought=reply.thought)
            notes = [reply.note] if reply.note else []
            if not faults:
                value = cast("Mapping[str, JSON]", value)["value"] if is_boxed else value
                if way.form > first:
                    notes.insert(0, f"by {FORMS[way.form]}: the endpoint takes no {FORMS[first]}")
                notes += [f"repaired {repairs} times"] if repairs else []
                return Answer(value, usage, self._model, "; ".join(notes))
            turns = [*turns, *_repair(text, faults, None if plain else schema)]
        raise self._hopeless(faults, text)

    async def verdict(self, question: Question, *, meter: Meter = _FREE) -> Answer:
        spent, can = Usage(), False
        if self._learnt.logprobs and (reply := await self._first_token(question, meter)):
            spent, chances = reply.usage or Usage(1), _chances(reply.logprobs)
            if (yes := _yes_share(chances)) is not None:
                return Answer(value=yes, usage=spent, model=self._model)
            can = bool(chances)
        answer = await self.answer(
            Question(question.role, question.instructions, question.context, _BELIEF), meter=meter
        )
        self._learnt.logprobs = can  # only now: had the question itself been refused, this would have failed as well
        why = "the first token is neither yes nor no" if can else "the endpoint gives no log probabilities"
        note = f"verdict as JSON, because {why}" + (f"; {answer.note}" if answer.note else "")
        return Answer(value=_believed(answer.value), usage=spent + answer.usage, model=self._model, note=note)

    async def _asked(self, asked: "_Asked", way: Way, meter: Meter, heard: Heard | None) -> tuple[Reply, Way]:
        """The reply to a question, in the first way that the endpoint takes; what it refuses is learnt."""
        refusals: dict[int, Refusal] = {}
        while True:
            body = self._body(asked.messages(way.form), asked.wanted(way.form), heard)
            async with meter.request(_tokens(body)) as charge:
                sent = way.put(body if self._lean or not charge.most else _limited(body, charge.most))
                try:
                    reply = await self._connection.send(sent, heard if "stream" in sent else None)
                except _UNHEARD as error:
                    other, refusal = self._otherwise(way, sent, error)
                    refusals |= dict.fromkeys(range(way.form, other.form), refusal)
                    way = other
                    continue
                charge.settle(reply.usage or Usage(1))
            self._learn(way, sent, asked.schema, refusals)
            if reply.usage is None and "stream" in sent:
                self._learnt.leave_out("stream")  # budgets count tokens: not every endpoint does in a stream
            return reply, way

    def _otherwise(self, way: Way, sent: Body, error: Exception) -> tuple[Way, Refusal]:
        refusal = refusal_of(error)
        other = way.otherwise(sent, refusal, proved=self._learnt.proved) if refusal else None
        if refusal is None or other is None:
            raise self._endpoint.explained(error) from None
        return other, refusal

    def _learn(self, way: Way, body: Body, schema: Mapping[str, JSON], refusals: Mapping[int, Refusal]) -> None:
        before = self._learnt.way
        self._learnt.keep(way, body, schema, refusals)
        if self._learnt.way != before:
            parts = ", ".join(sorted(self._learnt.way.without)) or "nothing"
            logger.warning(
                "%s refuses a part of what is sent to it. From now on it is sent without: %s; answers by %s.",
                f"{self._model} at {self._endpoint.where}",
                parts,
                FORMS[self._learnt.way.form],
            )

    def _body(self, asked: Messages, wanted: Body, heard: Heard | None = None) -> Body:
        streams: Body = {"stream": True, "stream_options": {"include_usage": True}} if heard is not None else {}
        return {"model": self._model, "messages": cast("list[JSON]", asked), **self._always, **wanted, **streams}

    async def _first_token(self, question: Question, meter: Meter) -> Reply | None:
        """The reply to a yes/no question with the likeliest first tokens, or none where the endpoint refuses that."""
        asked = messages(question, ask="Answer with one word: Yes or No.")
        wanted: Body = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 10}
        body = self._learnt.way.put(self._body(asked, wanted))
        async with meter.request(_tokens(body)) as charge:
            try:
                reply = await self._connection.send(body)
            except _UNHEARD as error:
                refusal = refusal_of(error)
                if refusal is None or refusal.status in (401, 402, 429):
                    raise self._endpoint.explained(error) from None
                return None
            charge.settle(reply.usage or Usage(1))
        return reply

    def _text(self, reply: Reply) -> str:
        if reply.ended == "refusal":
            raise ModelError(
                f"{self._model} refused to answer: {self._endpoint.safe(reply.refusal)}."
                " Reword the question or change FORETHOUGHT_MODEL."
            )
        if reply.ended == "length":
            raise ModelError(
                f"The answer of {self._model} was cut off after {(reply.usage or Usage()).output_tokens} tokens."
                " Ask for less (a tighter maxLength or maxItems), have it reason less"
                " (FORETHOUGHT_MODEL_OPTIONS=reasoning_effort=low), or change FORETHOUGHT_MODEL."
            )
        if reply.ended == "filter":
            raise ModelError(f"The endpoint's filter stopped {self._model}. Change the question or FORETHOUGHT_MODEL.")
        if reply.note:
            logger.warning("The answer of %s at %s was %s.", self._model, self._endpoint.where, reply.note)
        return reply.text

    def _hopeless(self, faults: list[str], text: str) -> ModelError:
        tries = f"{self._model} gave no answer that fits the schema in {1 + _REPAIRS} tries"
        if not spoken(text):
            return ModelError(
                f"{tries}: its answers were empty, but for reasoning. Have it reason less"
                " (FORETHOUGHT_MODEL_OPTIONS=reasoning_effort=low), or change FORETHOUGHT_MODEL."
            )
        return ModelError(f"{tries}: {'; '.join(faults)[:600]}. Set FORETHOUGHT_MODEL to a more able model.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and what was said of its answers so far."""

    question: Question
    schema: Mapping[str, JSON]
    first: int
    """The strictest form that its schema allows."""
    turns: Messages
    form: Body

    def messages(self, form: int) -> Messages:
        shown = self.schema if form >= JSON_MODE and self.first != TEXT else None
        return [*messages(self.question, schema=shown), *self.turns]

    def wanted(self, form: int) -> Body:
        if form == TEXT:
            return self.form
        if form == JSON_MODE:
            return {**self.form, "response_format": {"type": "json_object"}}
        described: Body = {"name": "answer", "schema": self.schema, "strict": form == STRICT}
        return {**self.form, "response_format": {"type": "json_schema", "json_schema": described}}


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


def _tokens(body: Body) -> int:
    """How many tokens a request has at the most, about: nearly all of them have the two bytes counted here, or more."""
    return len(json.dumps(body).encode()) // 2 + 50


def _limited(body: Body, most: int) -> Body:
    """The request with the most tokens that its answer may have; a person's own limit counts where it is lower."""
    name = next((name for name in ("max_completion_tokens", "max_tokens") if name in body), "max_completion_tokens")
    limit = body.get(name)
    return {**body, name: min(most, limit) if isinstance(limit, int) else most}


def _repair(text: str, faults: list[str], schema: Mapping[str, JSON] | None) -> Messages:
    listed = "\n".join(f"- {fault}" for fault in faults)
    wanted = f"\nIt must fit this JSON schema:\n{json.dumps(schema)}" if schema is not None else ""
    again = f"That answer has faults:\n{listed}{wanted}\nGive the whole answer again, mended, and nothing else."
    return [{"role": "assistant", "content": text or "(nothing)"}, {"role": "user", "content": again}]


def _chances(logprobs: JSON) -> dict[str, float]:
    """The likeliest first tokens, with their probabilities."""
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = tokens[0] if isinstance(tokens, list) and tokens else None
    if not isinstance(first, Mapping):
        return {}
    top = first.get("top_logprobs")
    each = [first, *(top if isinstance(top, list) else [])]
    told = [(token.get("token"), token.get("logprob")) for token in each if isinstance(token, Mapping)]
    return {
        name: math.exp(min(share, 0.0))
        for name, share in told
        if isinstance(name, str) and isinstance(share, int | float)
    }


def _yes_share(chances: Mapping[str, float]) -> float | None:
    words = [(re.sub(r"[^a-z]", "", token.casefold()), chance) for token, chance in chances.items()]
    yes = sum(chance for word, chance in words if word in _YES)
    no = sum(chance for word, chance in words if word in _NO)
    return yes / (yes + no) if yes + no >= _LEAST_SHARE else None


def _believed(value: JSON) -> float:
    belief = cast("Mapping[str, float]", value)
    sure = max(float(belief["confidence"]), 0.5)  # a model that says yes with little confidence still says yes
    return sure if belief["yes"] else 1 - sure
