"""Calls as a person reads them at a gate: on a line, or in lines."""

__all__ = ["brief_lines", "in_brief", "plain_name"]

import json
import re
from collections.abc import Mapping

from forethought_tools import JSON
from forethought_tools.visible import cut, has_lines, one_line_json, told, visible_json

_PART = 300  # characters of one argument


def in_brief(arguments: Mapping[str, JSON], most: int = _PART) -> str:
    """The arguments of a call on one line. Each is there, about `most` characters of it."""
    return one_line_json({name: _brief(value, most) for name, value in arguments.items()})


def brief_lines(call: str, arguments: Mapping[str, JSON]) -> list[str]:
    """A call with its arguments: on one line, or where they hold texts of several lines, each in a block of its own."""
    if not has_lines(arguments):
        return [f"{call}: {in_brief(arguments)}"]
    shown = [line for name, value in arguments.items() for line in told(plain_name(name), value, most=_PART)]
    return [f"{call}:", *(f"  {line}" for line in shown)]


def _brief(value: JSON, most: int) -> JSON:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= most else cut(text, most)


def plain_name(name: str) -> str:
    """The name of an argument, in quotes where it could be taken for a line of ours: those begin with a capital."""
    return name if re.fullmatch(r"[a-z0-9_][\w .,-]*", name, re.ASCII) else visible_json(name)
