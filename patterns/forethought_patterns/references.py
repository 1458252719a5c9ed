"""References: `{{3}}` is the result of step 3, `{{3.items.0.name}}` a part of it, `\\{{` a plain `{{`.
A name with a dot or a bracket in it stands in quotes: `{{3.rows.0["a.b"]}}`.
An argument that is `{{?}}` is left to the executor, who sees the results that the step depends on.
In a loop `{{item}}` is the item of this turn, `{{item.path}}` a part of it, `{{index}}` its place in the list, from 0.
There `{{2.index}}` is what stands at this place in the list that step 2 has brought: what came of another loop over the
same list in the same turn.

Text is read once, from left to right: what a reference brings in is never read again, so a tool's output cannot refer.
"""

__all__ = [
    "INDEX",
    "MAX_FILLED",
    "UNKNOWN",
    "Reference",
    "Turn",
    "escaped",
    "fill",
    "find",
    "fitted",
    "in_turns",
    "map_texts",
    "mistaken",
    "numbered",
    "part",
    "path_of",
    "pieces",
    "shifted",
    "tokens",
    "turned",
    "unknown",
    "whole",
]

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from forethought_tools import JSON, ToolError
from forethought_tools.tabular import told
from forethought_tools.text import as_text, clipped

# Bounded, else a text full of opening brackets is searched to its end for each of them.
_QUOTED = r"""\["(?:[^"\\{}]|\\["\\]){1,200}"\]|\['(?:[^'\\{}]|\\['\\]){1,200}'\]"""
_PATH = rf"(?:\.[^.{{}}\[\]|]*[^.{{}}\[\]|\s]|{_QUOTED})*"
_TOKEN = re.compile(rf"\\\{{\{{|\{{\{{\s*(?P<step>[0-9]{{1,9}})(?P<path>{_PATH})\s*\}}\}}")
_TURN = re.compile(rf"\\\{{\{{|\{{\{{\s*(?P<step>[0-9]{{1,9}}|item|index)(?P<path>{_PATH})\s*\}}\}}")
_WORDED = re.compile(
    rf"(?<!\\)\{{\{{\s{{0,9}}(?:(?:step|task|s|t)\s?[_#-]?\s?|#)(?P<reference>[0-9]{{1,9}}{_PATH})\s*\}}\}}",
    re.IGNORECASE,
)
_SPELT = re.compile(rf"(?<!\\)(\{{\{{\s{{0,9}})(item|index)({_PATH}\s*\}}\}})", re.IGNORECASE)
_PART = re.compile(rf"{_QUOTED}|\.[^.\[]+")
_PLAIN = re.compile(r"[^.{}\[\]|\s]|[^.{}\[\]|\s][^.{}\[\]|]*[^.{}\[\]|\s]")
# Whatever else stands in double braces and holds a number was most probably meant as one. The number is looked for
# afterwards: in the expression it would make the search quadratic.
_IN_BRACES = re.compile(r"(?<!\\)\{\{([^{}]*)\}\}")
_NUMBER = re.compile(r"[0-9]")
_SHOWN = 80  # characters of a reference that is quoted
_INDEX = 9  # digits
_DOTS = 20  # parts of a name with dots in it: each more is another one to look for
INDEX = "index"
_OF_TURN = ("item", INDEX)
UNKNOWN = "{{?}}"
MAX_FILLED = 2_000_000  # characters of all results that go into the arguments of one call
_OF_INDEX = re.compile(r"\s*([0-9]{1,9})[\s.\[{]*(?:index|item)\b", re.IGNORECASE)
# The same as `{{2.{{index}}}}`, which the expression above does not see: braces stand inside of braces there.
_BY_TURN = re.compile(
    r"(?<!\\)\{\{(\s{0,9}[0-9]{1,9}\s{0,9}[.\[]{1,2}\s{0,9})\{\{\s{0,9}(?:index|item)[^{}]{0,80}\}\}[^{}]{0,80}\}\}",
    re.IGNORECASE,
)
_PARTS = re.compile(r"([0-9]{1,9})((?:\s*\.\s*[\w-]+|\s*\[[\w'\"-]+\])*)")


@dataclass(frozen=True, slots=True)
class Reference:
    """The result of a step, or the part of it that `path` leads to."""

    step: int
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "{{" + str(self.step) + "".join(map(_written, self.path)) + "}}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a loop: what `{{item}}` and `{{index}}` stand for."""

    item: JSON
    index: int

    def look_up(self, token: re.Match[str]) -> JSON:
        """What a token of this turn stands for. Raises ToolError where it leads nowhere."""
        whole: JSON = self.item if token["step"] == "item" else self.index
        try:
            return part(Reference(0, path_of(token["path"])), whole)
        except ToolError as error:
            raise ToolError(str(error).replace("{{0", "{{" + token["step"])) from None


@dataclass(slots=True)
class _Room:
    """How much references may still bring in."""

    left: int = MAX_FILLED

    def take(self, brought: str) -> str:
        self.left -= len(brought)
        if self.left < 0:
            raise ToolError(f"What is referred to here has over {MAX_FILLED} characters. Refer to less.")
        return brought


def find(value: JSON) -> set[Reference]:
    """All references inside a value."""
    return {_reference(token) for text in _texts(value) for token in _TOKEN.finditer(text) if token["step"]}


def in_turns(value: JSON) -> list[str]:
    """What of a value stands for the turn of a loop: `{{item}}`, a part of it, or `{{index}}`."""
    tokens = (token for text in _texts(value) for token in _TURN.finditer(text))
    return [token[0] for token in tokens if token["step"] in _OF_TURN]


def fitted(value: JSON, turn: Turn, write: Callable[[JSON], str], *, typed: bool = False) -> JSON:
    """A value in which what stands for the turn of a loop is written as this function does. All else stays. Where it is
    `typed`, a text that is nothing else keeps the type of what it stands for.

    Raises:
        ToolError: it leads to something that the item does not have, or all of it is too long.
    """
    read, brought = _Room(), _Room()
    known: dict[tuple[str, str], str] = {}

    def written(token: re.Match[str]) -> str:
        if token["step"] not in _OF_TURN:
            return token[0]
        name = token["step"], token["path"]
        if name not in known:
            found = turn.look_up(token)
            read.take(as_text(found))
            known[name] = write(found)
        return brought.take(known[name])

    def text(source: str) -> JSON:
        if typed and (token := _TURN.fullmatch(source)) and token["step"] in _OF_TURN:
            found = turn.look_up(token)
            brought.take(as_text(found))
            return found
        return _TURN.sub(written, source)

    return map_texts(value, text)


def tokens(text: str, change: Callable[[str], str]) -> str:
    """A text with something else in the place of each reference, and of what stands for the turn of a loop: that is
    made of the reference as it is written without blanks around it."""
    return _TURN.sub(lambda token: change(f"{{{{{token['step']}{token['path']}}}}}") if token["step"] else "{{", text)


def escaped(value: JSON) -> JSON:
    """A value that reads as it stands: nothing in it is a reference."""
    return map_texts(value, lambda text: text.replace("{{", "\\{{"))


def pieces(text: str) -> list[str | Reference]:
    """A text in pieces: what stands in it, with `\\{{` as the `{{` that it means, and its references."""
    found: list[str | Reference] = []
    end = 0
    for token in _TOKEN.finditer(text):
        plain = text[end : token.start()] + ("" if token["step"] else "{{")
        if plain and found and isinstance(found[-1], str):
            found[-1] += plain
        elif plain:
            found.append(plain)
        found += [_reference(token)] if token["step"] else []
        end = token.end()
    if (rest := text[end:]) and found and isinstance(found[-1], str):
        found[-1] += rest
    elif rest:
        found.append(rest)
    return found


def mistaken(value: JSON) -> list[tuple[str, str]]:
    """What was probably meant as a reference, such as `{{step_3}}`, with the form that would be one."""
    found = [
        match
        for text in _texts(value)
        for match in (*_IN_BRACES.finditer(text), *_BY_TURN.finditer(text))
        if _NUMBER.search(match[1]) and not _TURN.fullmatch(match[0])
    ]
    return [(clipped(each[0], _SHOWN), clipped(_suggested(each[0].strip("{}")), _SHOWN)) for each in found]


def numbered(value: JSON) -> JSON:
    """A value whose references name steps by their numbers alone: `{{step_1.rows}}` and `{{ #1.rows }}` are written
    `{{1.rows}}`."""
    return map_texts(value, lambda text: _WORDED.sub(r"{{\g<reference>}}", text))


def turned(value: JSON) -> JSON:
    """A value of a loop in which `{{Item.path}}` and `{{ INDEX }}` are written as `{{item.path}}` and `{{index}}`."""
    return map_texts(value, lambda text: _SPELT.sub(lambda found: found[1] + found[2].lower() + found[3], text))


def unknown(arguments: Mapping[str, JSON]) -> list[str]:
    """The arguments that are left to the executor."""
    return [name for name, value in arguments.items() if isinstance(value, str) and value.strip() == UNKNOWN]


def whole(value: JSON) -> Reference | None:
    """The reference that a value consists of, if it is nothing else."""
    token = _TOKEN.fullmatch(value.strip()) if isinstance(value, str) else None
    return _reference(token) if token and token["step"] else None


def shifted(value: JSON, by: int) -> JSON:
    """A value in which each reference leads to a step whose number is so much higher."""

    def moved(token: re.Match[str]) -> str:
        return token[0].replace(token["step"], str(int(token["step"]) + by), 1) if token["step"] else token[0]

    return map_texts(value, lambda text: _TOKEN.sub(moved, text))


def _suggested(inside: str) -> str:
    if turn := _OF_INDEX.match(inside):  # what another loop has brought in the same turn
        return str(Reference(int(turn[1]), (INDEX,)))
    parts = _PARTS.search(inside)
    path = re.findall(r"[\w-]+", parts[2]) if parts else []
    return str(Reference(int(parts[1]), tuple(path))) if parts else "{{1}}"


def fill(value: JSON, results: Mapping[int, JSON], turn: Turn | None = None) -> JSON:
    """Put results in the place of references, and in the turn of a loop its item.

    A text that is exactly one reference becomes the referenced value, with its type; inside a longer text
    the value is rendered: text as it is, a table as a Markdown table, anything else as JSON.

    Raises:
        ToolError: a reference leads to something that the result does not have, or all of it is too long.
    """
    brought, form = _Room(), _TURN if turn else _TOKEN

    def text(source: str) -> JSON:
        if (token := form.fullmatch(source.strip())) and token["step"]:
            value = look_up(token)
            brought.take(as_text(value))
            return value
        return form.sub(lambda token: brought.take(told(look_up(token))) if token["step"] else "{{", source)

    def look_up(token: re.Match[str]) -> JSON:
        if turn and token["step"] in _OF_TURN:
            return turn.look_up(token)
        reference = _reference(token)
        if reference.step not in results:
            raise ToolError(f"{reference}: there is no result of step {reference.step} here.")
        found = results[reference.step]
        if turn and reference.path[:1] == (INDEX,) and isinstance(found, list | tuple):
            reference = Reference(reference.step, (str(turn.index), *reference.path[1:]))
        return part(reference, found)

    return map_texts(value, text)


def _reference(token: re.Match[str]) -> Reference:
    return Reference(int(token["step"]), path_of(token["path"]))


def path_of(text: str) -> tuple[str, ...]:
    """The names in a path such as `.rows.0["a.b"]`."""
    if not re.fullmatch(_PATH, text):
        return tuple(text.removeprefix(".").split("."))
    return tuple(
        re.sub(r"\\(.)", r"\1", found[2:-2]) if found[0] == "[" else found[1:].strip() for found in _PART.findall(text)
    )


def _written(name: str) -> str:
    """A name as it stands in a path."""
    if _PLAIN.fullmatch(name) or not name:
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def part(reference: Reference, value: JSON) -> JSON:
    """What a reference's path leads to in a result. Raises ToolError where it leads nowhere."""
    depth = 0
    while depth < len(reference.path):
        key, here = reference.path[depth], Reference(reference.step, reference.path[:depth])
        missing, taken = repr(clipped(key, _SHOWN)), 1
        value = _of_table(value, key)
        if isinstance(value, Mapping):
            if key not in value:
                key, taken = _dotted(value, reference.path[depth:])
            if key not in value:
                raise _nowhere(reference, f"{here} has {_listed(value)}, but no {missing}")
            value = value[key]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if not key.isdecimal() or len(key) > _INDEX or int(key) >= len(value):
                raise _nowhere(reference, f"{here} is a list of {len(value)}, and has no {missing}")
            value = value[int(key)]
        else:
            raise _nowhere(reference, f"{here} is a plain value without parts, so it has no {missing}")
        depth += taken
    return value


def _dotted(value: Mapping[str, JSON], path: Sequence[str]) -> tuple[str, int]:
    """A name with dots in it that the path spells without quotes, and how much of the path it is."""
    names = ((".".join(path[:count]), count) for count in range(2, min(len(path), _DOTS) + 1))
    return next(((name, count) for name, count in names if name in value), (path[0], 1))


def _of_table(value: JSON, key: str) -> JSON:
    """The rows of a table that is taken for them, as in `{{1.0.total}}`, and the only one of a table that has no other,
    as in `{{1.total}}`; any other value as it is."""
    rows = value.get("rows") if isinstance(value, Mapping) and key not in value else None
    match rows:
        case [*_] if key.isdecimal():
            return rows
        case [Mapping() as row] if key in row:
            return row
        case _:
            return value


def _nowhere(reference: Reference, why: str) -> ToolError:
    return ToolError(f"{clipped(str(reference), 2 * _SHOWN)} leads nowhere: {why}.")


def _listed(names: Mapping[str, JSON]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "nothing"


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part)


def map_texts(value: JSON, change: Callable[[str], JSON]) -> JSON:
    """A value with each text in it changed; the names of its parts stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_texts(part, change) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [map_texts(part, change) for part in value]
    return value
