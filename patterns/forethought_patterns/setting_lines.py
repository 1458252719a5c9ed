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
_WORD = re.compile(r"\w+")

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
        """The line with another value, in the quotes that it has."""
        quote = self.value[0] if self.value[0] in "\"'" else ""
        return f"{self.before}{quote}{value}{quote}{self.after}"


def with_lines_that_are_there(steps: Steps, brief: Brief) -> Steps:
    """An edit of one setting that the file has in other words gets the line that the file has. A value that the goal
    names as the old one has to be there."""
    return [_mended(step, brief) for step in steps]


def _mended(step: Mapping[str, JSON], brief: Brief) -> Mapping[str, JSON]:
    given = cast("Mapping[str, JSON]", step["arguments"])
    path, old, new = (given.get(name) for name in ("path", "old", "new"))
    if step["tool"] != "edit_file" or not (isinstance(path, str) and isinstance(old, str) and isinstance(new, str)):
        return step
    text = brief.files.get(path, "")
    wanted, meant = _setting(_ABOVE.sub("", old)), _setting(_ABOVE.sub("", new))
    is_whole = len(text) < SHOWN
    if not is_whole or old in text or wanted is None or meant is None or wanted.name != meant.name:
        return step
    line = _line(text, wanted, brief.goal)
    there = _setting(line)
    if there is None or (there.bare != wanted.bare and wanted.bare in brief.goal):
        return step
    return {**step, "arguments": {**given, "old": line.strip(), "new": there.set_to(meant.bare).strip()}}


def _line(text: str, wanted: _Setting, goal: str) -> str:
    """The one line of this name; or where none has a value under it, the one of this value whose name the goal says:
    of nested settings models name the one above. Empty: there is none, or several."""
    lines = {line: each for line in text.splitlines() if (each := _setting(line))}
    found = [line for line, each in lines.items() if each.name == wanted.name]
    words = {word.lower() for word in _WORD.findall(goal)}
    found = found or [line for line, each in lines.items() if each.bare == wanted.bare and each.name.lower() in words]
    return found[0] if len(found) == 1 and text.splitlines().count(found[0]) == 1 else ""


def _setting(line: str) -> _Setting | None:
    found = _LINE.fullmatch(line)
    return _Setting(*found.groups()) if found else None
