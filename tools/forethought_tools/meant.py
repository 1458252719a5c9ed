"""What a value means where a JSON schema says what is due: clients send `null` for what is not given, and text where a
list, an object, a number or a flag is due.

The one place that reads arguments, answers and forms like this. A value that fits stays as it is, and so does one that
would not fit either way: whoever checks it says what is wrong.
"""

__all__ = ["as_meant", "decoded", "holds_half_a_character"]

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from forethought_tools.schemas import fits
from forethought_tools.text import unfenced
from forethought_tools.tool import JSON

_LONGEST = 2_000_000  # characters of JSON text
_DEEPEST = 64  # levels of a value
_DIGITS = 400
_MOST_IN_ONE = 2_000  # characters of a text that is a list of numbers
_LAYERS = 3  # JSON text in JSON text, and choices within choices
_REFERENCES = 20  # of a schema, one after the other
_WORDS: Mapping[str, JSON] = {"": None, "null": None, "none": None, "true": True, "false": False}
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)  # or a whole text, in which brackets do not count
_BETWEEN = re.compile(r"[\s,;]+")
_NO_ITEM = re.compile(r"\s*[\[{]|\{\{")  # JSON that cannot be read, or a reference to what may be a list
_WORDY = frozenset({"string", "object", "array", "boolean"})
_ANYTHING: Mapping[str, JSON] = {}
_NULL, _LIST, _OBJECT = frozenset({"null"}), frozenset({"array"}), frozenset({"object"})
_EVERYTHING = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def as_meant(schema: Mapping[str, JSON], value: JSON) -> JSON:
    """The value in the shape that the schema asks for, where it has that meaning.

    `null` is left out where it does not fit. Text becomes what it holds as JSON, in a fence or not, where no text fits
    and that does; one object, number or text becomes a list of it where a list of such is due, and numbers in one text
    a list of them; an empty list becomes an empty object where that is due, and the other way round; a word of an
    enumeration may be written in other letters; a number without a fraction becomes an integer where one is due.
    References (`{{1}}`) stay, since they are no JSON.
    """
    return _Reader(schema).read(schema, value, 0, 0)


def decoded(text: str) -> JSON:
    """What a JSON text holds, with line breaks inside of texts as models write them.

    Raises ValueError where it is none, or too long or too deep to be read.
    """
    if len(text) > _LONGEST or _is_too_deep(text):
        raise ValueError(f"it has over {_LONGEST:,} characters, or over {_DEEPEST} levels")
    value: JSON = json.loads(text, strict=False, parse_constant=_no_value, parse_float=_finite)
    if holds_half_a_character(value):
        raise ValueError("it holds half of a character (a lone surrogate)")
    return value


def holds_half_a_character(value: JSON) -> bool:
    """Whether a text in it, or a name, holds a lone surrogate: half of a character, which no store can take."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


class _Reader:
    """Reads one value by one schema, whose own parts it may refer to."""

    def __init__(self, root: Mapping[str, JSON]) -> None:
        self._root = root

    def read(self, schema: JSON, value: JSON, depth: int, choices: int) -> JSON:
        rule = self._followed(schema)
        if depth > _DEEPEST or not rule:
            return value
        for part in _listed(rule.get("allOf")):
            value = self.read(part, value, depth + 1, choices)
        if options := [*_listed(rule.get("anyOf")), *_listed(rule.get("oneOf"))]:
            value = self._chosen(options, value, depth, choices)
        kinds = _kinds(rule)
        if alone := self._alone(rule, kinds, value, depth, choices):
            return alone
        value = _emptied(kinds, _undone(kinds, rule, _spelt(rule, value)))
        if isinstance(value, Mapping):
            return self._object(rule, value, depth, choices)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return self._list(rule, value, depth, choices)
        if isinstance(value, float) and "integer" in kinds and "number" not in kinds and value.is_integer():
            return int(value)
        return value

    def _object(
        self, rule: Mapping[str, JSON], value: Mapping[str, JSON], depth: int, choices: int
    ) -> Mapping[str, JSON]:
        properties, more = rule.get("properties"), rule.get("additionalProperties")
        named: Mapping[str, JSON] = properties if isinstance(properties, Mapping) else _ANYTHING
        known = _ANYTHING if "patternProperties" in rule else more
        read: dict[str, JSON] = {}
        for name, given in value.items():
            part = named.get(name, known)
            meant = self.read(part, given, depth + 1, choices)
            if meant is not None or self._takes_null(part):
                read[name] = meant
        return read

    def _alone(
        self, rule: Mapping[str, JSON], kinds: frozenset[str], value: JSON, depth: int, choices: int
    ) -> Sequence[JSON]:
        """The list that one value stands for, where only a list of such values is due; else nothing."""
        items = self._followed(rule.get("items"))
        due, read = _kinds(items), _undone(kinds, rule, value)
        if kinds - _NULL != _LIST or due == _EVERYTHING or read is None or _is(read, kinds):
            return []
        if isinstance(value, str) and "string" in due and _NO_ITEM.search(value):
            return []
        is_list = isinstance(value, str) and not due & _WORDY and len(value) <= _MOST_IN_ONE
        several = _BETWEEN.split(str(value).strip(" ,;")) if is_list else [value]
        meant = [self.read(items, each, depth + 1, choices) for each in several]
        return meant if all(each not in (None, {}) and fits(items, each, self._root) for each in meant) else []

    def _list(self, rule: Mapping[str, JSON], value: Sequence[JSON], depth: int, choices: int) -> Sequence[JSON]:
        items = rule.get("items")
        if "prefixItems" in rule or not isinstance(items, Mapping):
            return value
        read = [self.read(items, given, depth + 1, choices) for given in value]
        return read if self._takes_null(items) else [each for each in read if each is not None]

    def _chosen(self, options: Sequence[JSON], value: JSON, depth: int, choices: int) -> JSON:
        """The value as the first of several schemas that it has a meaning for; as it is, where it fits one already."""
        filled = [option for option in options if _kinds(self._followed(option)) != _NULL]
        if len(filled) == 1:
            takes = value is None and len(options) > 1
            return value if takes else self.read(filled[0], value, depth + 1, choices)
        if choices >= _LAYERS or any(fits(self._followed(option), value, self._root) for option in options):
            return value
        for option in filled:
            meant = self.read(option, value, depth + 1, choices + 1)
            if fits(self._followed(option), meant, self._root):
                return meant
        return value

    def _takes_null(self, schema: JSON, depth: int = 0) -> bool:
        """Whether null is a value there. Where nothing more is allowed, it is none."""
        rule = self._followed(schema)
        if schema is False or depth > _LAYERS:
            return False
        if options := [*_listed(rule.get("anyOf")), *_listed(rule.get("oneOf"))]:
            return any(self._takes_null(option, depth + 1) for option in options)
        return "null" in _kinds(rule) and all(self._takes_null(part, depth + 1) for part in _listed(rule.get("allOf")))

    def _followed(self, schema: JSON) -> Mapping[str, JSON]:
        """The schema that a reference within the whole one leads to. Where it leads nowhere, nothing is known."""
        for _ in range(_REFERENCES):
            if not isinstance(schema, Mapping):
                return {}
            target = schema.get("$ref")
            if target is None:
                return schema
            schema = self._at(target)
        return {}

    def _at(self, target: JSON) -> JSON:
        if not isinstance(target, str) or not target.startswith("#"):
            return {}
        found: JSON = self._root
        for name in target[1:].split("/")[1:]:
            found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
        return found


def _spelt(rule: Mapping[str, JSON], given: JSON) -> JSON:
    """The word of an enumeration that a text means, in whatever letters; the text itself, where that may be several."""
    words = [word for word in _listed(rule.get("enum")) if isinstance(word, str)]
    if not isinstance(given, str) or not given.strip() or given in words:
        return given
    like = [word for word in words if _letters(word) == _letters(given)]
    return like[0] if len(like) == 1 else given


def _letters(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word.strip().casefold())


def _undone(kinds: frozenset[str], rule: Mapping[str, JSON], given: JSON) -> JSON:
    """What a text holds where no text is due; the text itself, where that would not fit either."""
    choices = _listed(rule.get("enum"))
    if isinstance(given, str) and choices and "null" not in kinds and given not in choices and _is_nothing(given):
        return None
    value = given
    for _ in range(_LAYERS):
        if not isinstance(value, str) or "string" in kinds:
            break
        try:
            value = _emptied(kinds, _read(value))
        except (ValueError, RecursionError):
            return given
        if value is None or _is(value, kinds):
            return value
    return given


def _is_nothing(text: str) -> bool:
    plain = text.strip().lower()
    return plain in _WORDS and _WORDS[plain] is None


def _emptied(kinds: frozenset[str], value: JSON) -> JSON:
    """The empty object where only an object is due, and the empty list where only a list is: some languages have one
    value for both, and write either."""
    if value or not isinstance(value, Mapping | Sequence) or isinstance(value, str):
        return value
    due = kinds - _NULL
    return {} if due == _OBJECT else [] if due == _LIST else value


def _read(text: str) -> JSON:
    """What a text holds. Raises ValueError."""
    plain = unfenced(text).strip()
    if plain.lower() in _WORDS:
        return _WORDS[plain.lower()]
    if plain[0] in '[{"':
        return decoded(plain)
    if len(plain) > _DIGITS or not _NUMBER.fullmatch(plain):
        raise ValueError("it is neither JSON nor a number")
    return int(plain) if plain.lstrip("+-").isdecimal() else _finite(plain)


def _kinds(rule: Mapping[str, JSON]) -> frozenset[str]:
    """The types of values that fit a schema, as far as it says so itself."""
    kind, choices = rule.get("type"), rule.get("enum")
    if "const" in rule:
        choices = [rule["const"]]
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, Sequence):
        return frozenset(map(str, kind))
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return frozenset(map(_kind, choices))
    return _EVERYTHING


def _kind(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def _is(value: JSON, kinds: frozenset[str]) -> bool:
    kind = _kind(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _listed(value: JSON) -> Sequence[JSON]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _is_too_deep(text: str) -> bool:
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > _DEEPEST:
            return True
    return False


def _no_value(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
