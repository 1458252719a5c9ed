"""What an endpoint sends back, read as it is meant: whole or in pieces, with parts too many, too few or of other types.

Nothing here is believed to be there. What cannot be read is an error of ours, never an exception of Python's.
"""

__all__ = ["Pieces", "Reply", "ReplyError", "events", "reply_of", "shown"]

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from forethought_patterns.ports import Usage
from forethought_tools import JSON
from forethought_tools.text import as_text, one_line

_LENGTH = re.compile(r"length|max.*token|token.*(max|limit)|truncat|incomplete|window", re.IGNORECASE)
_FILTER = re.compile(r"filter|safety|prohibited|recitation|blocklist|spii|moderat", re.IGNORECASE)
_BROKEN = re.compile(r"error|abort|cancel|resource|network", re.IGNORECASE)
# Where a part of a content has its text, and what else may stand beside that.
_HOLDS = ("text", "output_text", "content", "value", "parts", "output", "json", "summary", "input", "arguments")
_FRAME = frozenset(
    {*_HOLDS, "type", "id", "index", "role", "name", "annotations", "logprobs", "cache_control", "signature", "status"}
    | {"mime_type", "mimeType", "format"}
)
_GROUPS = {"reason": "thinking", "think": "thinking", "refus": "refusal", "tool": "call", "function": "call"}
_PARTS = re.compile(r"text|think|reason|refus|output|json|tool|function|image|audio|file|message|summary")
_REASONING = re.compile(r"reason|think|thought")  # what the fields are called in which a model's reasoning stands
_NAMED = re.compile(r"text|message|markdown|answer|final")  # the kinds of parts whose only text is what they say
_CHOICES = 20  # that are kept beside the first one
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body)", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)


class ReplyError(Exception):
    """A reply with status 200 that holds no answer: `error` is what the endpoint says instead, if it says anything."""

    def __init__(self, problem: str, *, error: JSON = None, broken: bool = False) -> None:
        """`broken`: the answer was begun, or should have been, and another try may bring it."""
        super().__init__(problem)
        self.error = error
        self.broken = broken

    @property
    def status(self) -> int:
        """The status that the endpoint means, where it tells one."""
        if self.broken:
            return 503
        told = (
            [self.error.get(key) for key in ("status", "code", "status_code")]
            if isinstance(self.error, Mapping)
            else []
        )
        return next((number for code in told if 400 <= (number := _count(code)) < 600), 0)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of an endpoint."""

    text: str
    """What it says, or what it would call a tool with: some endpoints put answers there."""
    ended: str
    """Why it ended: `length`, `filter`, `refusal`, or nothing for an end like any other."""
    refusal: str
    usage: Usage | None
    logprobs: JSON
    note: str = ""
    """What is odd about it, for the journal."""
    thought: bool = False
    """Whether it is the model's reasoning, since there is nothing else."""
    call: tuple[str, str] | None = None
    """The tool that it calls, and its arguments as they were written: the first call, since one is made at a time."""


def reply_of(body: JSON) -> Reply:
    """The answer in the body of a reply that came whole.

    Raises:
        ReplyError: there is none.
    """
    pieces = Pieces()
    pieces.take(body, whole=True)
    return pieces.reply()


@dataclass(slots=True)
class Pieces:
    """An answer that comes in pieces: that of the first choice; another counts only where the first one is empty."""

    ended: str | None = None
    choices: bool = False
    usage: Usage | None = None
    _index: JSON = None
    _text: list[str] = field(default_factory=list[str])
    _thought: list[str] = field(default_factory=list[str])
    _called: list[str] = field(default_factory=list[str])
    _tool: str = ""
    _refusal: list[str] = field(default_factory=list[str])
    _logprobs: JSON = None
    _others: "dict[str, Pieces]" = field(default_factory=dict[str, "Pieces"])

    def take(self, body: JSON, *, whole: bool = False) -> str:
        """Take the next piece, and give what it adds to the text."""
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, Mapping):
            raise ReplyError(f"it is no object but {shown(body)}")
        choice = self._chosen(body.get("choices"), whole)
        if error := body.get("error") or (choice or {}).get("error"):
            raise ReplyError(f"it says: {_told(error)}", error=error)
        self.usage = _usage(body.get("usage")) or self.usage
        if choice is not None:
            self.choices = True
            return self._add(choice, whole)
        if whole:
            raise ReplyError(f"no choices in {shown(body)}", error=body)
        return ""

    def _chosen(self, choices: JSON, whole: bool) -> Mapping[str, JSON] | None:
        """The first choice. Some send several, which are kept beside it, and some none."""
        first: Mapping[str, JSON] | None = None
        for choice in choices if isinstance(choices, list) else [choices]:
            if isinstance(choice, Mapping):
                self._index = choice.get("index", self._index) if self._index is None else self._index
                number = choice.get("index", self._index)
                if number == self._index and first is None:
                    first = choice
                elif len(self._others) < _CHOICES:
                    self._others.setdefault(str(number), Pieces())._add(choice, whole)
        return first

    def _add(self, choice: Mapping[str, JSON], whole: bool) -> str:
        message = choice.get("message") or choice.get("delta")
        if not isinstance(message, Mapping):
            message = {"content": choice.get("text") if message is None else message}
        said = _said(message.get("content"))
        self._text.append(said)
        thoughts = (_thought(part) for key, part in message.items() if _REASONING.search(key.casefold()))
        self._thought += list(filter(None, thoughts))[:1]
        self._thought += [_said(message.get("content"), of="thinking")]
        self._called += [_arguments(message) or _said(message.get("content"), of="call")]
        self._tool = self._tool or _tool(message)
        self._refusal += [_said(message.get("refusal")), _said(message.get("content"), of="refusal")]
        self._logprobs = choice.get("logprobs") or self._logprobs
        reason = choice.get("finish_reason") or choice.get("stop_reason")
        if reason or whole:
            self.ended = str(reason or "stop")
        return said

    def reply(self) -> Reply:
        """The whole answer, once it has ended.

        Raises:
            ReplyError: it was broken off.
        """
        reason = self.ended or ""
        if _BROKEN.search(reason):
            raise ReplyError(f"it was broken off: {reason}", broken=True)
        text, refusal = "".join(self._text), "".join(self._refusal)
        ended = "length" if _LENGTH.search(reason) else "filter" if _FILTER.search(reason) else ""
        call = (self._tool, "".join(self._called)) if self._tool else None
        whole = Reply(text, "refusal" if refusal else ended, refusal, self.usage, self._logprobs, call=call)
        return whole if text.strip() or refusal or ended == "filter" else self._instead(whole)

    def _instead(self, empty: Reply) -> Reply:
        """What stands elsewhere in a reply whose content is empty."""
        if (called := "".join(self._called).strip()) and not empty.ended:
            return replace(empty, text=called, note="taken from the call of a tool, since the content is empty")
        for other in (each.reply() for each in self._others.values() if "".join(each._text).strip()):
            note = "taken from another choice, since the first one is empty"
            return replace(other, usage=self.usage, note=note)
        if (thought := "".join(self._thought).strip()) and not empty.ended:
            note = "taken from the field for reasoning, since the content is empty"
            return replace(empty, text=thought, note=note, thought=True)
        return empty


async def events(lines: AsyncIterator[str]) -> AsyncGenerator[JSON]:
    """What an event stream holds, until it says that it is done. The last is `[DONE]` where it says so."""
    held = ""
    async for line in lines:
        name, _, data = line.partition(":")
        if name.strip("\ufeff ") != "data":
            held = "" if not line.strip() and _refuse(held) else held
            continue
        if data.strip() == "[DONE]":
            yield "[DONE]"
            return
        held += data
        try:
            yield cast("JSON", json.loads(held or "{}"))
        except ValueError:
            continue  # an event may have several lines
        held = ""


def _refuse(held: str) -> bool:
    if held.strip():
        raise ReplyError(f"an event is no JSON: {held[:200]}")
    return True


def _said(content: JSON, *, of: str = "text") -> str:
    """The text of a content, which may be one, a list of parts, or a value."""
    if content is None or content is False:
        return ""
    if isinstance(content, list) and all(part is None or isinstance(part, str) or _is_part(part) for part in content):
        return "".join(_part(part, of) for part in content if part is not None)
    if isinstance(content, Mapping) and (_is_part(content, alone=True) or isinstance(content.get("parts"), list)):
        return _part(content, of)
    return as_text(content) if of == "text" else ""


def _thought(content: JSON) -> str:
    """The text of a field for reasoning, whose parts may be called so again."""
    parts: JSON = [content] if isinstance(content, Mapping) else content
    return _said(parts) or _said(parts, of="thinking")


def _is_part(part: JSON, *, alone: bool = False) -> bool:
    """Whether an object is a part of a content. One that stands `alone` may as well be a value, which is the answer."""
    if not isinstance(part, Mapping):
        return False
    named = bool({"text", "thinking", "refusal", "summary"} & part.keys()) or _is_other(part)
    return named or (not alone and bool(part.keys() & set(_HOLDS)) and part.keys() <= _FRAME)


def _is_other(part: Mapping[str, JSON]) -> bool:
    kind = part.get("type")
    return isinstance(kind, str) and (len(part) <= 3 or _PARTS.search(kind.casefold()) is not None)


def _part(part: JSON, of: str) -> str:
    if isinstance(part, str):
        return part if of == "text" else ""
    assert isinstance(part, Mapping)
    kind = str(part.get("type", "text")).casefold()
    group = next((group for sign, group in _GROUPS.items() if sign in kind), "text")
    if group != of:
        return ""
    inner = next((held for key in ("text", group, *_HOLDS) if (held := part.get(key)) not in (None, "", [])), None)
    if inner is None and _NAMED.search(kind):
        others = [held for key, held in part.items() if key not in _FRAME and isinstance(held, str) and held]
        inner = others[0] if len(others) == 1 else None
    if isinstance(inner, Mapping) and inner.keys() <= _FRAME:
        inner = next((held for key in _HOLDS if isinstance(held := inner.get(key), str | list)), inner)
    return _said(inner) or (_said(inner, of=of) if of != "text" else "")


def _called(message: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """A tool that would be called: the first, since there is one answer."""
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else message.get("function_call")
    if not isinstance(call, Mapping) or call.get("index", 0) not in (0, None):
        return {}
    function = call.get("function", call)
    return function if isinstance(function, Mapping) else {}


def _arguments(message: Mapping[str, JSON]) -> str:
    """What it would be called with."""
    arguments = _called(message).get("arguments")
    return "" if arguments is None else as_text(arguments)


def _tool(message: Mapping[str, JSON]) -> str:
    name = _called(message).get("name")
    return name if isinstance(name, str) else ""


def _usage(usage: JSON) -> Usage | None:
    if not isinstance(usage, Mapping):
        return None
    asked = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    answered = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    if not asked + answered:
        answered = _count(usage.get("total_tokens"))
    return Usage(1, asked, answered) if asked + answered else None


def _count(value: JSON) -> int:
    """A number of things, which may come as text or with a fraction; nonsense is none."""
    try:
        return max(0, int(float(value))) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def _told(error: JSON) -> str:
    message = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
    return shown(message or error)


def shown(value: JSON) -> str:
    """A body, short enough to be told. Of a web page that is its title."""
    text = as_text(value)
    if _HTML.match(text):
        title = _TITLE.search(text[:20_000])
        return f"a web page ({one_line(title[2])[:100]})" if title else "a web page"
    return one_line(text)[:300]
