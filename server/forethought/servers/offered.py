"""Tools of other servers as steps may call them: named `server/tool`, their risk by what is known of them.

What a server says of its tools is a claim, and its words are text of others: it can raise a risk, and lower it only as
far as a claim can. A tool that has become another one is HIGH until a person has agreed to it once.
"""

__all__ = ["RESOURCES", "Source", "said_of", "tools_of"]

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

from forethought.servers.pins import Pins, Said, differences, fingerprint
from forethought.servers.schemas import bounded, harmless_schema, shallow
from forethought_patterns.signatures import claim
from forethought_tools import JSON, Answerer, Limits, Risk, Tool
from forethought_tools.registry import withheld
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import visible

if TYPE_CHECKING:
    from mcp.types import Tool as Listed

RESOURCES = ""
"""What a server's resources are kept under, which are no tool of its own."""
_READ = "read_resource"
"""The name of our tool that reads a server's resources; a tool of its own by that name gets a number."""

Make: TypeAlias = Callable[[str, Said, Mapping[str, JSON]], Awaitable[JSON]]
"""Makes a call of a tool by the name that its server gives it, if it still is what was said of it."""

_SAID = 20_000  # characters of a description that are kept
_TOLD = 600  # of those that are told
_NAME = 64  # characters of a tool's name
_LONGEST = {"description": _SAID, "schema": 200_000, "annotations": 5_000, "start": 2_000}  # characters


@dataclass(frozen=True)
class Source:
    """A server, as its tools need it."""

    name: str
    trusted: bool
    pins: Pins
    make: Make
    read: Callable[[str], Awaitable[JSON]]
    """Reads a resource."""


def said_of(tool: "Listed", started: str, redact: Callable[[str], str] = str) -> Said:
    """What makes a tool what it is, without secrets, and no part of it larger than can be kept. Annotations that are
    not given are not made up."""
    annotations = tool.annotations.model_dump(mode="json", exclude_none=True, by_alias=True) if tool.annotations else {}
    said: Said = {
        "description": tool.description or "",
        "schema": shallow(tool.input_schema),
        "annotations": {name: bounded(part, _TOLD) for name, part in annotations.items()},
        "start": started,
    }
    return {part: bounded(value, _LONGEST[part]) for part, value in cast("Said", withheld(said, redact)).items()}


def tools_of(source: Source) -> list[Tool]:
    """The tools that a server has listed last."""
    names = _names(source.pins.ever(source.name))
    return [
        _reader(source, said) if own == RESOURCES else _tool(source, names[own], own, said)
        for own, said in source.pins.now(source.name).items()
    ]


def _names(ever: Iterable[str]) -> Mapping[str, str]:
    """Names that cannot be taken for another one of the same server, by its own. Who came first keeps theirs, also when
    the server lists in another order, or leaves out one of those that share a name."""
    names: dict[str, str] = {}
    taken = {_READ}
    used: Counter[str] = Counter()
    for own in ever:
        if own == RESOURCES:
            continue
        name = base = re.sub(r"[^A-Za-z0-9_.-]+", "_", own)[:_NAME]
        while name.casefold() in taken:
            used[base.casefold()] += 1
            name = f"{base}-{used[base.casefold()] + 1}"
        taken.add(name.casefold())
        names[own] = name
    return names


def _tool(source: Source, name: str, own: str, said: Said) -> Tool:
    hints = said.get("annotations")
    risk, why, reads = _judged(hints if isinstance(hints, Mapping) else {}, source)
    idempotent = isinstance(hints, Mapping) and hints.get("idempotentHint") is True
    repeatable = reads or (idempotent and source.trusted)

    async def run(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        return await source.make(own, said, arguments)

    return _guarded(
        source,
        own,
        said,
        Tool(
            name=f"{source.name}/{name}",
            description=_quoted(source, str(said.get("description", ""))),
            parameters=harmless_schema(said.get("schema")),
            run=run,
            risk=risk,
            repeatable=repeatable,
            limits=Limits(
                timeout=None, attempts=2 if repeatable else 1
            ),  # the connection has the clock, which stands still while a person is asked
            trusted=source.trusted,
            reads_only=reads and source.trusted,
            source=source.name,
            why=why,
            fingerprint=fingerprint(said),
        ),
    )


def _reader(source: Source, said: Said) -> Tool:
    names, addresses = said.get("description"), said.get("resources")

    async def run(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        return await source.read(str(arguments["uri"]))

    risk = Risk.LOW if source.trusted else Risk.MEDIUM
    return Tool(
        name=f"{source.name}/{_READ}",
        description=f"Read a resource of the server {source.name} by its address. {_quoted(source, str(names))}",
        parameters={
            "type": "object",
            "properties": {"uri": {"type": "string", "minLength": 1, "maxLength": 2000}},
            "required": ["uri"],
            "additionalProperties": False,
        },
        run=run,
        risk=risk,
        repeatable=True,
        limits=Limits(timeout=None),
        trusted=source.trusted,
        reads_only=source.trusted,
        source=source.name,
        addresses=tuple(visible(str(each)) for each in addresses) if isinstance(addresses, list) else (),
        why=f"It reads from the server {source.name}{'' if source.trusted else ', which you have not said to trust'}.",
    )


def _guarded(source: Source, own: str, said: Said, tool: Tool) -> Tool:
    """A tool that has become another one asks a person, who sees how, before it is called."""
    if not (changed := _has_become(source, own, said)):
        return tool
    shown = {f"what {tool.name} says of itself": fingerprint(said)}

    def raised(_: Mapping[str, JSON]) -> str:
        if not _has_become(source, own, said):
            return ""
        return visible(f"{tool.name} is not what it was when you saw it first: {'; '.join(changed)}.")

    def rests_on(_: Mapping[str, JSON]) -> Mapping[str, str]:
        return shown

    return replace(tool, raised=raised, rests_on=rests_on)


def _has_become(source: Source, own: str, said: Said) -> list[str]:
    accepted = source.pins.accepted(source.name, own)
    return differences(accepted, said) if accepted is not None else []


def _judged(hints: Mapping[str, JSON], source: Source) -> tuple[Risk, str, bool]:
    """The risk of a tool by the hints of its server, why, and whether it says that it only reads."""
    claim = f"The server {source.name} says that it"
    distrust = "" if source.trusted else ", and you have not said to trust it"
    if not hints:
        return Risk.HIGH, f"The server {source.name} does not say what it does.", False
    if hints.get("readOnlyHint") is True:
        if hints.get("openWorldHint") is False:
            return Risk.LOW, f"{claim} only reads, and reaches nobody else.", True
        return (
            (Risk.LOW if source.trusted else Risk.MEDIUM),
            f"{claim} only reads, also from elsewhere{distrust}.",
            True,
        )
    if hints.get("destructiveHint") is False:
        return Risk.MEDIUM, f"{claim} writes and destroys nothing.", False
    return Risk.HIGH, f"{claim} may destroy something." if "destructiveHint" in hints else f"{claim} writes.", False


def _quoted(source: Source, text: str) -> str:
    """What a server says, as data: whoever reads it must not take it for our words."""
    said = visible(clipped(one_line(text), _TOLD)).replace('"', "'")
    return f'{claim(source.name)}"{said}"' if said else f"A tool of the server {source.name}."
