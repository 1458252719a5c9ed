"""How one model at one endpoint is asked: what it has refused is learnt once, and done otherwise from then on.

No phrase of any endpoint is known here: an error is searched for the names of what was sent.
"""

__all__ = ["FORMS", "JSON_MODE", "SCHEMA", "STRICT", "TEXT", "Known", "Learnt", "Refusal", "Way", "named"]

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from forethought_tools import JSON

Body: TypeAlias = dict[str, JSON]

FORMS = ("strict JSON schema", "JSON schema", "JSON mode", "text")
STRICT, SCHEMA, JSON_MODE, TEXT = range(4)

_NEEDED = frozenset({"model", "messages"})
_LIMITS = ("max_completion_tokens", "max_tokens")
# What the same is called elsewhere, where the name itself does not stand in an error.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "response_format": ("response_schema", "structured_output", "grammar", "json_mode", "guided"),
    "system": ("system", "role", "developer_instruction"),
    "reasoning_effort": ("effort",),
}
_OTHERWISE = frozenset({400, 404, 415, 422, 500, 501})
_STEPWISE = frozenset({400, 415, 422, 501})
_NEVER = frozenset({401, 402, 408, 429})
# A question that is too long, a key or credit: no other words for the same mend these.
_ELSEWHERE = re.compile(
    r"context|too long|too large|tokens? limit|reduce the length"
    r"|api[ _-]?key|unauthori|authenticat|insufficient|billing",
    re.IGNORECASE,
)
_SCHEMA = re.compile(r"invalid schema|schema conversion|grammar", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an endpoint says instead of an answer."""

    status: int
    said: str
    blamed: str = ""
    """What the endpoint itself says is to blame, where it has a field for that."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to ask: in which form an answer is wanted at the best, and what is left out or put otherwise."""

    form: int = STRICT
    without: frozenset[str] = frozenset()

    def put(self, body: Body) -> Body:
        """A request, put in this way."""
        body = {name: value for name, value in body.items() if name not in self.without - {*_LIMITS}}
        for name, other in (_LIMITS, _LIMITS[::-1]):
            if name in self.without and name in body:
                limit = body.pop(name)
                body |= {other: limit} if other not in self.without else {}
        if "stream" not in body:
            body.pop("stream_options", None)
        return {**body, "messages": _folded(cast("list[JSON]", body["messages"]))} if "system" in self.without else body

    def otherwise(self, body: Body, refusal: Refusal, *, proved: frozenset[str]) -> "Way | None":
        """Another way for a request that was refused, or none that is worth a try. Each leaves out more than the last,
        so that there is an end."""
        to_blame = named(body, refusal)
        if to_blame:
            form = self._next(refusal) if "response_format" in to_blame else self.form
            return replace(self, form=form, without=self.without | to_blame - {"response_format"})
        parts = frozenset(_parts(body))
        if refusal.status not in _OTHERWISE or not parts or _ELSEWHERE.search(refusal.said):
            return None
        if refusal.status in _STEPWISE and "response_format" in parts:
            return replace(self, form=self.form + 1)
        if parts <= proved or (refusal.status == 404 and _says("model", refusal.said.casefold())):
            return None
        return Way(TEXT, self.without | parts - {"response_format"})

    def _next(self, refusal: Refusal) -> int:
        """The next form; where schemas are refused altogether, the one after."""
        said = refusal.said.casefold()
        return (
            JSON_MODE
            if self.form == STRICT and _says("json_schema", said) and not _says("strict", said)
            else self.form + 1
        )


@dataclass(slots=True)
class Known:
    """What is known of one model at one endpoint, whoever asks it: what settings send along is told by its value."""

    way: Way = field(default_factory=Way)
    proved: frozenset[str] = frozenset()
    schemas: dict[str, int] = field(default_factory=dict[str, int])
    """The forms in which single schemas are taken."""
    logprobs: bool = True
    """Whether the likeliest first tokens are told, as far as is known."""


class Learnt:
    """What a model at an endpoint takes that is asked with these options. Another role may ask it with others: that one
    value of an option is refused says nothing of another."""

    def __init__(self, options: Mapping[str, JSON], known: Known | None = None) -> None:
        self._known = known or Known()
        self._marks = {name: f"{name}={json.dumps(value, sort_keys=True)}" for name, value in options.items()}
        self._names = {mark: name for name, mark in self._marks.items()}

    @property
    def way(self) -> Way:
        return replace(self._known.way, without=self._named(self._known.way.without))

    @property
    def proved(self) -> frozenset[str]:
        """What has been taken before."""
        return self._named(self._known.proved)

    @property
    def logprobs(self) -> bool:
        return self._known.logprobs

    @logprobs.setter
    def logprobs(self, can: bool) -> None:
        self._known.logprobs = can

    def begin(self, schema: Mapping[str, JSON]) -> Way:
        """The way to ask for an answer of this schema."""
        return replace(self.way, form=max(self._known.way.form, self._known.schemas.get(_key(schema), STRICT)))

    def keep(self, way: Way, body: Body, schema: Mapping[str, JSON], refusals: Mapping[int, Refusal]) -> None:
        """A request was taken, after these refusals of other forms. What has been taken before is not given up for one
        refusal, and a schema that is called invalid says nothing about others."""
        known, form = self._known, self._known.way.form
        for tried, refusal in refusals.items():
            if _SCHEMA.search(refusal.said):
                known.schemas[_key(schema)] = max(tried + 1, known.schemas.get(_key(schema), STRICT))
            elif f"form {tried}" not in known.proved:
                form = max(form, tried + 1)
        known.way = Way(form, known.way.without | self._marked(way.without - self.proved))
        self.prove(*_parts(body), *([f"form {way.form}"] if "response_format" in body else []))

    def prove(self, *parts: str) -> None:
        """These were taken."""
        self._known.proved |= self._marked(parts)

    def leave_out(self, part: str) -> None:
        """Never send this again."""
        known = self._known
        known.way = replace(known.way, without=known.way.without | self._marked([part]))

    def _marked(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self._marks.get(name, name) for name in names)

    def _named(self, marks: Iterable[str]) -> frozenset[str]:
        """What of all that is known is about a request with these options."""
        return frozenset(self._names.get(mark, mark) for mark in marks if "=" not in mark or mark in self._names)


def named(body: Body, refusal: Refusal) -> frozenset[str]:
    """The parts of a request that an error names, if they can be left out or be put otherwise."""
    if refusal.status in _NEVER:
        return frozenset()
    for text in (refusal.blamed.casefold(), refusal.said.casefold()[:20_000]):
        if found := frozenset(part for part in _parts(body) if any(_says(word, text) for word in _words(part, body))):
            return found
    return frozenset()


def _parts(body: Body) -> Iterator[str]:
    yield from (name for name in body if name not in _NEEDED)
    messages = body["messages"]
    if isinstance(messages, list) and any(isinstance(turn, Mapping) and turn["role"] == "system" for turn in messages):
        yield "system"


def _words(part: str, body: Body) -> Iterator[str]:
    """What an error may call a part of a request: its name, and the names inside of it."""
    yield part
    yield from _ALSO.get(part, ())
    if part == "response_format":
        form = cast("Mapping[str, JSON]", body[part])
        yield from (str(form["type"]), "strict", "schema") if form["type"] == "json_schema" else (str(form["type"]),)
    elif isinstance(value := body.get(part), Mapping):
        yield from (name for name in value if len(name) > 5)


def _says(word: str, text: str) -> bool:
    """Whether a text holds a name, however it is written: `max_tokens`, `maxTokens`, `max tokens`."""
    spelled = r"[\s_-]*".join(map(re.escape, word.casefold().split("_")))
    return re.search(rf"(?<![a-z]){spelled}(?:s|ed|ing)?(?![a-z])", text) is not None


def _folded(messages: list[JSON]) -> list[JSON]:
    """The instructions as the beginning of what the user says, for templates that know no system."""
    turns = [cast("Mapping[str, str]", turn) for turn in messages]
    if turns[0]["role"] != "system":
        return messages
    first, second, *rest = turns
    return [{**second, "content": f"{first['content']}\n\n{second['content']}"}, *rest]


def _key(schema: Mapping[str, JSON]) -> str:
    return json.dumps(schema, sort_keys=True)
