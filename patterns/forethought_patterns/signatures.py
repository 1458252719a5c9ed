"""Tools in a line each: in short for a planner that can look up more, and with all that is said of their arguments.

What another server says of its tools is data of others: it stands in quotes, on one line, with nothing unseen in it.
"""

__all__ = ["claim", "headed", "listed_tool", "said", "signature"]

from collections.abc import Mapping, Sequence

from forethought_tools import JSON, Registry, Risk, Tool
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import harmless

_SIGNATURE = 300  # characters; tools of other servers may take many arguments
_SAID = 600  # characters of what another server says
_SHORT = 160  # characters of what a tool does, in a list
_WHY = 300  # characters of why a risk is what it is
_DEEP = 4  # levels of a type that are told
_TYPES = {"string": "str", "integer": "int", "number": "num", "boolean": "bool", "object": "obj", "array": "list"}


def claim(source: str) -> str:
    """What stands before the words of a server, wherever these are read alone."""
    return f"The server {source} says of it: "


def headed(tool: Tool, tools: Registry) -> str:
    """What a tool takes, with its risk where that is not low."""
    risk, _ = tools.standing(tool.name)
    return f"{signature(tool)}:" if risk is Risk.LOW else f"{signature(tool)} [{str(risk).upper()}]:"


def said(tool: Tool, most: int) -> str:
    """What a tool is said to do, on one line of at most so many characters. What another server says is in quotes."""
    told = tool.description.removeprefix(claim(tool.source)) if tool.source else tool.description
    text = clipped(harmless(one_line(told[: most * 4])).strip('"' if tool.source else None), most)
    return f'"{text.replace(chr(34), chr(39))}"' if tool.source and text else text


def _detailed(tool: Tool, tools: Registry) -> str:
    """A tool with all that is said of it and of each of its arguments."""
    told = [
        f"{name}: {harmless(one_line(text))}"
        for name, schema in _parameters(tool).items()
        if isinstance(text := schema.get("description"), str)
    ]
    whole = " | ".join([f"{headed(tool, tools)} {said(tool, _SAID if tool.source else len(tool.description))}", *told])
    return clipped(whole, _SAID * 4) if tool.source else whole


def listed_tool(tool: Tool, tools: Registry, *, whole: bool = True) -> str:
    """A tool with where it comes from, its risk and why; `whole` with all that is said of its arguments."""
    risk, why = tools.standing(tool.name)
    told = _detailed(tool, tools) if whole else f"{headed(tool, tools)} {said(tool, _SHORT)}"
    return f"{told} | from {tool.source or 'forethought'}, risk {risk}: {clipped(harmless(one_line(why)), _WHY)}"


def signature(tool: Tool) -> str:
    """A tool's name and arguments with their types; what may be left out has a question mark."""
    needed = _required(tool)
    names = sorted(_parameters(tool), key=lambda name: name not in needed)
    taken = [f"{name}{'' if name in needed else '?'}: {_type(_parameters(tool)[name])}" for name in names]
    return clipped(harmless(one_line(f"{tool.name}({', '.join(taken)})")), _SIGNATURE)


def _type(schema: Mapping[str, JSON], deep: int = 0) -> str:
    kind, choices, items = schema.get("type"), schema.get("enum"), schema.get("items")
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return "|".join(map(str, choices))
    if isinstance(items, Mapping) and deep < _DEEP:
        return f"[{_type(items, deep + 1)}]"
    return _TYPES.get(kind, kind) if isinstance(kind, str) else "any"


def _parameters(tool: Tool) -> Mapping[str, Mapping[str, JSON]]:
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: schema for name, schema in properties.items() if isinstance(schema, Mapping)}


def _required(tool: Tool) -> frozenset[str]:
    required = tool.parameters.get("required")
    return frozenset(map(str, required)) if isinstance(required, Sequence) else frozenset()
