"""Tools in a line each: in short for a planner that can look up more, and with all that is said of their arguments."""

__all__ = ["detailed", "signature", "signatures"]

from collections.abc import Mapping, Sequence

from forethought_tools import JSON, Registry, Risk, Tool
from forethought_tools.text import clipped, one_line

_SIGNATURE = 300  # characters; tools of other servers may take many arguments
_DESCRIPTION = 160
_TYPES = {"string": "str", "integer": "int", "number": "num", "boolean": "bool", "object": "obj", "array": "list"}


def signatures(tools: Registry) -> str:
    """Every tool in a line: what it takes and what it does, with its risk where that is not low."""
    return "\n".join(f"{_headed(tool, tools)} {clipped(one_line(tool.description), _DESCRIPTION)}" for tool in tools)


def detailed(tool: Tool, tools: Registry) -> str:
    """A tool with all that is said of it and of each of its arguments."""
    told = [
        f"{name}: {one_line(said)}"
        for name, schema in _parameters(tool).items()
        if isinstance(said := schema.get("description"), str)
    ]
    return " | ".join([f"{_headed(tool, tools)} {one_line(tool.description)}", *told])


def signature(tool: Tool) -> str:
    """A tool's name and arguments with their types; what may be left out has a question mark."""
    needed = _required(tool)
    names = sorted(_parameters(tool), key=lambda name: name not in needed)
    taken = [f"{name}{'' if name in needed else '?'}: {_type(_parameters(tool)[name])}" for name in names]
    return clipped(f"{tool.name}({', '.join(taken)})", _SIGNATURE)


def _headed(tool: Tool, tools: Registry) -> str:
    risk = tools.risk(tool.name)
    return f"{signature(tool)}:" if risk is Risk.LOW else f"{signature(tool)} [{str(risk).upper()}]:"


def _type(schema: Mapping[str, JSON]) -> str:
    kind, choices, items = schema.get("type"), schema.get("enum"), schema.get("items")
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return "|".join(map(str, choices))
    if isinstance(items, Mapping):
        return f"[{_type(items)}]"
    return _TYPES.get(kind, kind) if isinstance(kind, str) else "any"


def _parameters(tool: Tool) -> Mapping[str, Mapping[str, JSON]]:
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: schema for name, schema in properties.items() if isinstance(schema, Mapping)}


def _required(tool: Tool) -> frozenset[str]:
    required = tool.parameters.get("required")
    return frozenset(map(str, required)) if isinstance(required, Sequence) else frozenset()
