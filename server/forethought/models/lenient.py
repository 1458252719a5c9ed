"""JSON as models write it: in prose, in fences, with commas too many, in quotes of another kind.

What is missing is never made up: an answer that was cut off, or that leaves something out, is no answer.
"""

__all__ = ["values"]

import json
import re
from collections.abc import Mapping
from typing import NoReturn, cast

from forethought.models.thoughts import spoken
from forethought_tools import JSON

_MOST = 50_000  # characters that are repaired: what is longer is asked for again
_DEEPEST = 60
_MANY = 50  # pieces of a text that are looked at
_BEGINS = re.compile(
    r"""\{(?=\s*(?:["'“}/#]|[A-Za-z_]\w*\s*:))|\[(?=\s*(?:[\[{"'“\]/#\d-]|(?:[Tt]rue|[Ff]alse|null|None)\b))"""
)
_MARKS = re.compile(r"""["'“{}\[\]#]|//|/\*|\.\.\.|…""")
_CLOSES: Mapping[str, str] = {"{": "}", "[": "]"}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_EXACT = json.JSONDecoder(parse_constant=_no_constant)
_ROUGH = json.JSONDecoder(parse_constant=_no_constant, strict=False)  # takes line breaks inside of texts


def values(text: str) -> list[JSON]:
    """The JSON values that a text holds: itself, or the objects and lists that stand in it, in their order.

    Raises:
        ValueError: there is none, or one is not whole. It says what is wrong, for whoever wrote it.
    """
    text = text.strip().lstrip("\ufeff")
    said = spoken(text)
    problem = ValueError("nothing was said")
    for whole in dict.fromkeys([text, said]):  # a tag inside of a JSON text is no tag
        try:
            return [_whole(whole)]
        except ValueError as error:
            problem = error if said else problem
    if found := _pieces(said):
        return found
    raise problem


def _whole(text: str) -> JSON:
    try:
        return cast("JSON", _EXACT.decode(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _pieces(text: str) -> list[JSON]:
    """Every object and list that stands in a text."""
    found, at = list[JSON](), 0
    while (begins := _BEGINS.search(text, at)) and len(found) < _MANY:
        start = begins.start()
        try:
            value, at = cast("tuple[JSON, int]", _ROUGH.raw_decode(text, start))
        except (json.JSONDecodeError, RecursionError):
            at = _end(text, start)
            value = _repaired(text[start:at])
        found.append(value)
    return found


def _end(text: str, start: int) -> int:
    """Where the object or list ends that begins there. Raises ValueError where it is not whole."""
    closing, at = list[str](), start
    while mark := _MARKS.search(text, at):
        sign, at = mark.group(), mark.end()
        if sign in _CLOSES:
            closing.append(_CLOSES[sign])
        elif sign in "}]":
            if closing.pop() != sign:
                raise ValueError("its brackets do not belong together")
            if not closing:
                return at
        elif sign in ("...", "…"):
            raise ValueError("it leaves something out: write all of it")
        else:
            at = _skipped(text, sign, mark.start())
        if len(closing) > _DEEPEST:
            raise ValueError("it is nested too deeply")
    raise _cut_off()


def _skipped(text: str, sign: str, at: int) -> int:
    """Where a text in quotes, or a comment, is over."""
    if sign in ("//", "#"):
        return _after(text, "\n", at)
    if sign == "/*":
        return _after(text, "*/", at)
    if text.startswith('"""', at):
        raise ValueError("a text begins with three quotation marks: use one")
    if sign == "'" and text[:at].rstrip()[-1:] not in ("{", "[", ",", ":"):
        return at + 1  # an apostrophe
    ends = {'"': r'(?:[^"\\]|\\.)*"', "“": r"[^”]*”", "'": r"(?:[^'\\]|\\.|'(?!\s*[,:}\]]))*'"}[sign]
    over = re.compile(ends, re.DOTALL).match(text, at + 1)
    if over is None:
        raise _cut_off()
    return over.end()


def _after(text: str, sign: str, at: int) -> int:
    found = text.find(sign, at)
    if found < 0:
        raise _cut_off()
    return found + len(sign)


def _cut_off() -> ValueError:
    return ValueError("it is cut off before its end")


def _repaired(text: str) -> JSON:
    """A whole object or list that is not quite JSON. Raises ValueError where repair would lose a part of it."""
    import json_repair  # here, because nearly every answer is JSON

    if len(text) > _MOST:
        raise ValueError("it is too long to be mended: write proper JSON")
    value = cast("JSON", json_repair.loads(text, skip_json_loads=True))
    _EXACT.decode(json.dumps(value))  # no NaN
    if _held(value) != _brackets(text):
        raise ValueError("a part of it cannot be read")
    return value


def _held(value: JSON) -> tuple[int, int]:
    """How many objects and lists there are in a value."""
    if isinstance(value, Mapping):
        held = [_held(part) for part in value.values()]
        return 1 + sum(objects for objects, _ in held), sum(lists for _, lists in held)
    if isinstance(value, list):
        held = [_held(part) for part in value]
        return sum(objects for objects, _ in held), 1 + sum(lists for _, lists in held)
    return 0, 0


def _brackets(text: str) -> tuple[int, int]:
    """How many objects and lists a text begins."""
    counted, at = {"{": 0, "[": 0}, 0
    while mark := _MARKS.search(text, at):
        sign, at = mark.group(), mark.end()
        if sign in counted:
            counted[sign] += 1
        elif sign not in "}]":
            at = _skipped(text, sign, mark.start())
    return counted["{"], counted["["]
