"""Edits of settings, by the line as it stands in the file: small planners leave out quotes, or guess its value."""

__all__ = ["SETTINGS", "SHOWN", "with_lines_that_are_there"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from forethought_patterns.drafts import Brief
from forethought_tools import JSON

SETTINGS = (".ini", ".cfg", ".conf", ".toml", ".yaml", ".yml", ".env", ".properties")
"""How the names of files of settings end. Planners see of them what comes first, whole: any line may be the one."""

SHOWN = 1500
"""Characters of a file of settings that a planner sees."""

# Blanks, the name, the sign, then a value in quotes or a bare one, and what comes after it.
_LINE = re.compile(
    r"([ \t]*[\"']?([\w.-]+)[\"']?[ \t]*[=:][ \t]*)"
    r"(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;#\"']+)"
    r"([ \t]*(?:,[ \t]*)?(?:[#;].*)?)"
)

_ABOVE = re.compile(
    r"\A(?:[\w.-]+:[ \t]+)+(?=[\w.-]+[ \t]*[=:])"
)  # `log: level: info` of a YAML file: what is above it
_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_HEADER = re.compile(r"[ \t]*(?:\[{1,2}([^\]\n]+)\]{1,2}|[\"']?([\w.-]+)[\"']?[ \t]*:[ \t]*[\[{]?)[ \t]*(?:#.*)?")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"-?[\d._]+")
_FLAGS = (("true", "false"), ("yes", "no"), ("on", "off"))

Steps: TypeAlias = Sequence[Mapping[str, JSON]]


@dataclass(frozen=True, slots=True)
class _Setting:
    """A line that sets something to one value."""

    before: str
    name: str
    value: str
    after: str

    @property
    def bare(self) -> str:
        """The value without quotes."""
        return self.value.strip("\"'")

    def set_to(self, value: str) -> str:
        """The line with another value, in the quotes that it has; a flag in the words that it has."""
        quote = self.value[0] if self.value[0] in "\"'" else ""
        pair = next((pair for pair in _FLAGS if self.bare.lower() in pair), None)
        if pair and _is_on(value) is not None:
            word = pair[0] if _is_on(value) else pair[1]
            value = word.upper() if self.bare.isupper() else word.title() if self.bare[0].isupper() else word
        return f"{self.before}{quote}{value}{quote}{self.after}"

    def takes(self, value: str) -> bool:
        """Whether a value is of the kind that it has: a flag or a number."""
        numbers = _NUMBER.fullmatch(self.bare) and _NUMBER.fullmatch(value)
        return bool(numbers) or None not in (_is_on(self.bare), _is_on(value))


def with_lines_that_are_there(steps: Steps, brief: Brief) -> Steps:
    """An edit of one setting that the file has in other words gets the line that the file has. A value that the goal
    names as the old one has to be there."""
    texts = {path: text for path, text in brief.files.items() if len(text) < SHOWN}
    return [_mended(step, texts, brief.goal) for step in steps]


def _mended(step: Mapping[str, JSON], texts: dict[str, str], goal: str) -> Mapping[str, JSON]:
    """The step, after which the text of its file is as the step leaves it."""
    given = cast("Mapping[str, JSON]", step["arguments"])
    path, old, new, every = (given.get(name) for name in ("path", "old", "new", "all"))
    if step["tool"] != "edit_file" or not (isinstance(path, str) and isinstance(old, str) and isinstance(new, str)):
        return step
    if isinstance(every, str):  # where it is: what an edit has instead is the text as it stands there
        given = {name: value for name, value in given.items() if name != "all"}
    text = texts.get(path, "")
    goal = goal.replace(path, " ")  # what a file is called says nothing of its sections
    old, new = _as_it_stands(old, new, text, goal, every if isinstance(every, str) else "")
    texts[path] = text.replace(old, new, -1 if every is True else 1)
    return {**step, "arguments": {**given, "old": old, "new": new}}


def _as_it_stands(old: str, new: str, text: str, goal: str, where: str) -> tuple[str, str]:
    """The edit in the words of the text, as far as it is one of a setting that is there once."""
    wanted, meant = _setting(_ABOVE.sub("", old)), _setting(_ABOVE.sub("", new))
    if wanted and meant and wanted.name == meant.name and text.count(old) != 1:
        name, before, value = wanted.name, wanted.bare, meant.bare
    elif _NAME.fullmatch(old) and "\n" not in new and not meant:
        name, before, value = old, "", new
    else:
        return old, new
    lines = text.splitlines()
    at = _line(lines, f"{where}.{name}" if where else name, before, goal)
    there = _setting(lines[at]) if at is not None else None
    if at is None or there is None or (before not in ("", value, there.bare) and before in goal):
        return old, new
    if not before and old in text and not there.takes(value):  # may be any other edit of this text
        return old, new
    first = at
    while first and text.count(_block(lines[first : at + 1])) > 1:
        first -= 1
    block = _block(lines[first : at + 1])
    return (block, _block([*lines[first:at], there.set_to(value)])) if block in text else (old, new)


def _block(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip()


def _line(lines: Sequence[str], name: str, before: str, goal: str) -> int | None:
    """The number of the one line that sets this name (`web.port` may stand for a port below or in a section of web);
    where several do, of the one below a name that the goal says; where none does, of the one of this value whose name
    the goal says: of nested settings models name the one above. None: there is none, or several."""
    *above, last = name.split(".")
    settings = {number: each for number, line in enumerate(lines) if (each := _setting(line))}
    found = [number for number, each in settings.items() if each.name == name] or [
        number for number, each in settings.items() if each.name == last and _is_below(lines, number, above)
    ]
    words = {word.lower() for word in _WORD.findall(goal)}
    if len(found) > 1:
        found = [number for number in found if words.intersection(_above(lines, number))]
    if not found and before:
        found = [n for n, each in settings.items() if each.bare == before and each.name.lower() in words]
    return found[0] if len(found) == 1 else None


def _is_below(lines: Sequence[str], number: int, names: Sequence[str]) -> bool:
    above = _above(lines, number)
    return [each for each in above if each in map(str.lower, names)] == [*map(str.lower, names)]


def _above(lines: Sequence[str], number: int) -> list[str]:
    """The names that a line stands below, from the outermost, in small letters: of sections, and by indentation."""
    found: list[str] = []
    inner = _indented(lines[number])
    for line in reversed(lines[:number]):
        header = _HEADER.fullmatch(line)
        if header and header[1]:
            return [*header[1].lower().split("."), *found]
        if line.strip() and _indented(line) < inner:
            inner = _indented(line)
            found = [header[2].lower(), *found] if header else found
    return found


def _indented(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_on(value: str) -> bool | None:
    """What a word for a flag says; None: it is no such word."""
    return next((value.lower() == pair[0] for pair in _FLAGS if value.lower() in pair), None)


def _setting(line: str) -> _Setting | None:
    found = _LINE.fullmatch(line)
    return _Setting(*found.groups()) if found else None
