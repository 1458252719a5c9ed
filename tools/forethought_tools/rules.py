"""Rules: a standing word on calls of one shape, such as `run_command(pytest *)`, and which calls that covers.

Whatever cannot be read for certain is not covered by a rule that lowers a risk, and is by one that raises it.
"""

__all__ = ["NAMED", "Rule", "read_rule", "separated"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from forethought_tools.matching import Part, as_told, by_name, fits, may_fit, properties_of
from forethought_tools.tool import JSON, Tool

MAX_RULE = 2000  # characters
NAMED = re.compile(r"\s*([A-Za-z_][\w.-]*)=", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of calls. Without `arguments` it covers every call of the tools that it names."""

    tool: str
    """A pattern of names."""
    arguments: Mapping[str, Part] | None = None
    """By name. The empty name is that of the tool's first text argument."""

    def __str__(self) -> str:
        if self.arguments is None:
            return self.tool
        parts = (f"{name}={part}" if name else str(part) for name, part in self.arguments.items())
        return f"{self.tool}({', '.join(parts)})"

    def names(self, tool: str) -> bool:
        return fnmatchcase(tool, self.tool)

    def covers(self, tool: Tool, arguments: Mapping[str, JSON]) -> bool:
        """Whether this very call is of the shape: each argument that is given fits its pattern. One that no pattern is
        given for must be one that every call has, or be at its default."""
        if not self.names(tool.name):
            return False
        if self.arguments is None:
            return True
        parts = by_name(self.arguments, tool)
        rest = arguments.keys() - parts.keys()
        return all(fits(tool, name, part, arguments.get(name)) for name, part in parts.items()) and all(
            _is_free(tool, name, arguments[name]) for name in rest
        )

    def may_cover(self, name: str, tool: Tool | None, arguments: Mapping[str, JSON] | None) -> bool:
        """Whether such a call could be of the shape, as far as can be told."""
        if not self.names(name):
            return False
        if self.arguments is None or tool is None or arguments is None:
            return True
        return all(may_fit(tool, at, part, arguments.get(at)) for at, part in by_name(self.arguments, tool).items())


@lru_cache(maxsize=1000)
def read_rule(text: str) -> Rule:
    """A rule as it is written. Raises ValueError, which says what is wrong."""
    if len(text) > MAX_RULE:
        raise ValueError(f"a rule has at most {MAX_RULE} characters")
    tool, opened, inside = text.strip().partition("(")
    if not opened:
        return Rule(tool)
    if not tool or not inside.endswith(")") or not inside[:-1].strip():
        raise ValueError("patterns of arguments stand in brackets behind the name of a tool: run_command(git status*)")
    arguments: dict[str, Part] = {}
    for part in separated(inside[:-1]):
        named = NAMED.match(part)
        name, pattern = (named[1], part[named.end() :]) if named else ("", part)
        if name in arguments:
            raise ValueError(f"{name or 'the first argument'} has two patterns; put one that holds a comma in quotes")
        arguments[name] = _part(pattern.strip())
    return Rule(tool.strip(), arguments)


def separated(text: str) -> Iterator[str]:
    """The parts of a text between commas, where those stand neither in brackets nor in quotes. Raises ValueError."""
    depth, quoted, begun, skipped = 0, False, 0, False
    for at, sign in enumerate(text):
        if skipped or (quoted and sign == "\\"):
            skipped = not skipped
        elif sign == '"':
            quoted = not quoted
        elif not quoted and sign in "()":
            depth += 1 if sign == "(" else -1
            if depth < 0:
                raise ValueError("a bracket is closed that was never opened; put it in quotes")
        elif not quoted and not depth and sign == ",":
            yield text[begun:at]
            begun = at + 1
    if depth or quoted:
        raise ValueError("a bracket or a quote is left open")
    yield text[begun:]


def _part(text: str) -> Part:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            value = json.loads(text)
        except ValueError:
            return Part(text)
        return Part(str(value), literal=True)
    return Part(text)


def _is_free(tool: Tool, name: str, value: JSON) -> bool:
    """Whether an argument may be what it is, though a rule says nothing of it."""
    schema = properties_of(tool).get(name)
    if name in tool.harmless or value is None:
        return True
    required = tool.parameters.get("required")
    if isinstance(required, Sequence) and name in required:
        return True
    return isinstance(schema, Mapping) and "default" in schema and as_told(schema["default"]) == as_told(value)
