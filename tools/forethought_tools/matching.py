"""How the arguments of calls are held against the patterns of rules: in linear time, and by what they are.

A command by its words, and only where no shell makes more of it; a path by where it leads; any other text by its signs.
"""

__all__ = [
    "Part",
    "as_told",
    "by_name",
    "called_as",
    "first_of",
    "fits",
    "may_fit",
    "opened",
    "properties_of",
    "words_of",
]

import json
import posixpath
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from forethought_tools.errors import ToolError
from forethought_tools.tool import JSON, Tool

_LONGEST = 2000  # characters of a value that is held against a pattern
_OPERATORS = frozenset(";&|<>`$()\\{}[]*?!#~^")  # also what a shell makes other words of
_WORD = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)
_BACK = re.compile(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=$|[/\\?#;]|%2f|%5c)", re.ASCII | re.IGNORECASE)
"""A name that leads elsewhere, such as `..`, in a path or an address, however it is written there."""
_Names: TypeAlias = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """What one argument has to be: a pattern, or a text taken literally."""

    text: str
    literal: bool = False

    def __str__(self) -> str:
        return json.dumps(self.text) if self.literal else self.text


def by_name(arguments: Mapping[str, Part], tool: Tool) -> dict[str, Part]:
    return {name or first_of(tool): part for name, part in arguments.items()}


def properties_of(tool: Tool) -> Mapping[str, JSON]:
    found = tool.parameters.get("properties")
    return found if isinstance(found, Mapping) else {}


def first_of(tool: Tool) -> str:
    """The name of a tool's first text argument."""
    kinds = {name: schema.get("type") for name, schema in properties_of(tool).items() if isinstance(schema, Mapping)}
    return next((name for name, kind in kinds.items() if kind == "string"), next(iter(kinds), ""))


def as_told(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def fits(tool: Tool, name: str, part: Part, value: JSON) -> bool:
    if name in tool.commands:
        return isinstance(value, str) and _fits_command(part, value)
    if value is None:
        return part == Part("*")
    if name in tool.paths:
        return isinstance(value, str) and _fits_path(part, value, tool)
    if part == Part("*"):
        return True
    text = as_told(value)
    return text == part.text if part.literal or "*" not in part.text else _fits_text(part.text, text)


def may_fit(tool: Tool, name: str, part: Part, value: JSON) -> bool:
    """The same, but for what does not fit for certain: spelling that is odd, or still to be filled in, may fit."""
    if value is None:
        return part == Part("*")
    text = as_told(value).casefold()
    loose = replace(part, text=part.text.casefold())
    if "{{" in text:
        return True
    if name in tool.commands:
        return _may_fit_command(loose, text)
    if name in tool.paths:
        called = called_as(value, tool) if isinstance(value, str) else None
        return called is None or any(_fits_names(loose, each.casefold()) for each in (*called, text))
    return loose.text == "*" or _fits_loosely(loose.text, text) or _fits_loosely(*map(_as_path, (loose.text, text)))


# Commands


def words_of(command: str, *, pattern: bool = False) -> list[str] | None:
    """The words of a simple command; none of one that a shell could make more of, or other words."""
    odd = _OPERATORS - {"*"} if pattern else _OPERATORS
    if len(command) > _LONGEST or sys.platform == "win32" or not command.isprintable() or odd & set(command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:  # a quote is left open
        return None
    return words if words and "=" not in words[0] else None


def _fits_command(part: Part, command: str) -> bool:
    words = words_of(command)
    if words is None:
        return False
    if part.literal:
        return words_of(part.text) == words
    wanted, is_open = opened(part.text)
    if wanted is None or len(words) < len(wanted) or (len(words) > len(wanted) and not is_open):
        return False
    return all(_fits_word(pattern, word) for pattern, word in zip(wanted, words, strict=False))


def _may_fit_command(part: Part, command: str) -> bool:
    """Whether a command holds the words of a pattern in their order, whatever stands between and before them: another
    program may have been put in front, an option in the middle, and a path be written in another way."""
    words = words_of(command)
    wanted = words_of(part.text) if part.literal else opened(part.text)[0]
    if words is None or wanted is None:
        return True
    left = iter([piece for word in words for piece in word.split()])  # `sh -c "..."` holds words of its own
    return all(any(_may_fit_word(pattern, word) for word in left) for pattern in wanted)


def _may_fit_word(pattern: str, word: str) -> bool:
    return any(_fits_loosely(_as_path(pattern), each) for each in (_as_path(word), word.rpartition("/")[2]))


def opened(pattern: str) -> tuple[list[str] | None, bool]:
    """The words of a pattern, and whether any others may follow: it ends with a star that is a word of its own, or
    stands at the end of a plain one."""
    words = words_of(pattern, pattern=True)
    if words and words[-1] == "*":
        return words[:-1], True
    if words and words[-1].endswith("*") and _WORD.fullmatch(words[-1][:-1]):
        return [*words[:-1], words[-1][:-1]], True
    return words, False


def _fits_word(pattern: str, word: str) -> bool:
    if "*" not in pattern:
        return pattern == word
    if word.startswith("-") and not pattern.startswith("-"):
        return False  # an option is no name of a file
    return ".." not in word.split("/") and _fits_segments(pattern.split("/"), word.split("/"))


# Paths


def called_as(path: str, tool: Tool) -> frozenset[str] | None:
    """What a path is called, seen from the first granted folder: itself, and what it leads to."""
    if not path.isprintable() or len(path) > _LONGEST or tool.leads is None:
        return None
    try:
        return tool.leads(path)
    except ToolError:
        return None


def _fits_path(part: Part, path: str, tool: Tool) -> bool:
    called = called_as(path, tool)
    if not called or ".." in re.split(r"[/\\]", path):
        return False
    return all(_fits_names(part, each) for each in called)


def _fits_names(part: Part, path: str) -> bool:
    if part.literal:
        return path == part.text.removeprefix("./")
    return _fits_segments(part.text.removeprefix("./").split("/"), path.split("/"))


def _fits_segments(patterns: Sequence[str], names: Sequence[str], fits_name: _Names | None = None) -> bool:
    """Whether names fit patterns one by one, where `**` stands for any number of them, at the end for one at least.
    Goes back to the last `**` only, which is enough."""
    fits_name = fits_name or _fits_name
    if names.count("") > patterns.count(""):
        return False  # `docs/` is no name in `docs`
    at = here = 0
    back = resumed = -1
    while here < len(names):
        if at < len(patterns) and patterns[at] == "**":
            back, resumed, at = at, here, at + 1
        elif at < len(patterns) and fits_name(patterns[at], names[here]):
            at, here = at + 1, here + 1
        elif back >= 0:
            resumed += 1
            at, here = back + 1, resumed
        else:
            return False
    return at == len(patterns)


def _fits_name(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern in which each star stands for any characters: the first place of each piece will
    do."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(first) or not name.endswith(rest[-1]) or len(name) < len(first) + len(rest[-1]):
        return False
    at, end = len(first), len(name) - len(rest[-1])
    for piece in rest[:-1]:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


# Other texts


def _as_path(text: str) -> str:
    """A text as it would be written if it is a path: without what leads nowhere, and back."""
    return posixpath.normpath(text.replace("\\", "/"))


def _fits_text(pattern: str, text: str) -> bool:
    """Whether a text fits, where a star stands for letters, digits and signs that separate nothing."""
    if len(text) > _LONGEST or not text.isprintable() or len(_BACK.findall(text)) > len(_BACK.findall(pattern)):
        return False
    return _fits_segments(pattern.split("/"), text.split("/"), _fits_one)


def _fits_one(pattern: str, name: str) -> bool:
    """Whether a name fits, and its stars stand for nothing that separates: what separates is in the pattern already."""
    separators = len(re.findall(r"[^\w.+-]", name, re.ASCII))
    return _fits_name(pattern, name) and separators == len(re.findall(r"[^\w.+*-]", pattern, re.ASCII))


def _fits_loosely(pattern: str, text: str) -> bool:
    """Whether a text could be meant by a pattern, its stars standing for anything."""
    return len(text) > _LONGEST or _fits_name(re.sub(r"\*+", "*", pattern), text)
