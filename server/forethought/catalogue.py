"""Which tools are nearest to some words: full-text search over names, descriptions and parameters."""

__all__ = ["nearest_tools"]

import re
from collections.abc import Iterator, Mapping

from forethought.journal.sqlite import ranked
from forethought.recipes import words_of
from forethought_tools import JSON, Registry, Tool

_WEIGHTS = (4.0, 2.0, 1.0)  # of a tool's name, of what it does, and of what it takes
_READ = 2000  # characters of each part, and of the words
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # of names such as listOpenIssues


def nearest_tools(words: str, tools: Registry, n: int, *, ours: bool = True) -> list[Tool]:
    """The tools that have to do with these words, at most `n`, the nearest first; only those of other servers, where
    `ours` are known anyway."""
    searched = [tool for tool in tools if ours or tool.source]
    wanted = list(dict.fromkeys(words_of(_JOINT.sub(" ", words[:_READ]))))
    if not searched or not wanted:
        return []
    return [searched[place] for place, _ in ranked([_parts(tool) for tool in searched], _WEIGHTS, wanted)[:n]]


def _parts(tool: Tool) -> tuple[str, str, str]:
    """What is searched of a tool, a part for each weight."""
    taken = " ".join(_taken(tool.parameters))[:_READ]
    return _JOINT.sub(" ", tool.name), tool.description[:_READ], _JOINT.sub(" ", taken)


def _taken(schema: Mapping[str, JSON]) -> Iterator[str]:
    """The names of parameters, and what is said of them."""
    properties = schema.get("properties")
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        yield name
        if isinstance(part, Mapping) and isinstance(text := part.get("description"), str):
            yield text
