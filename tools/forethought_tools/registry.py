"""The tools of a run, by name. Arguments are checked against the tool's schema before every call."""

__all__ = ["WITHHELD", "Registry", "withheld"]

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from anyio import to_thread

from forethought_tools.claims import Claim, Claims, Place
from forethought_tools.errors import ToolError
from forethought_tools.likeness import Names
from forethought_tools.meant import as_meant
from forethought_tools.offering import fixed, offers
from forethought_tools.risk import Risk
from forethought_tools.rules import read_rule
from forethought_tools.schemas import SchemaFault, schema_faults
from forethought_tools.tool import JSON, Answerer, Limits, Tool

_NOTHING = Claim()
WITHHELD = "[secret withheld]"
"""What stands in the journal, and in results, in place of a key or password."""
_NAMED = 40  # tools that an error names


class Registry:
    """Tools by name, in the order in which they were given."""

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        risks: Mapping[str, Risk] | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        """`risks` are what the user has set, by rule. The last one that fits counts, and it lowers the risk of trusted
        tools only. What `redact` takes out of texts is kept out of all results, and of all calls."""
        self._redact = redact
        self._tools = {tool.name: tool if redact is None else _discreet(tool, redact) for tool in tools}
        self._risks = [(text, read_rule(text), risk) for text, risk in (risks or {}).items()]
        self._claims = Claims()
        self._names: Names | None = None
        self.unreached: Mapping[str, str] = {}
        """Why the tools of a source are not there, by the name of the source."""

    def offer(self, source: str, tools: Iterable[Tool]) -> None:
        """The tools that a source offers now, instead of those that it has offered before. What is built in stays."""
        kept = {name: tool for name, tool in self._tools.items() if tool.source != source}
        new = {tool.name: tool for tool in tools if tool.name not in kept}
        redact = self._redact
        self._tools = kept | {name: tool if redact is None else _discreet(tool, redact) for name, tool in new.items()}
        self._names = None

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def nearest(self, name: str) -> list[str]:
        """The known names most like this one, best first, at most three."""
        if self._names is None:
            self._names = Names(self._tools)
        return self._names.nearest(name)

    def instead_of(self, name: str) -> str:
        """What is to be done where there is no tool of this name: the nearest, or the first of all."""
        if lacking := self.lacking(name):
            return lacking
        if near := self.nearest(name):
            return f"Did you mean {' or '.join(near)}?"
        more = f" and {len(self) - _NAMED} more" if len(self) > _NAMED else ""
        return f"Known tools: {', '.join(list(self._tools)[:_NAMED])}{more}"

    def lacking(self, name: str) -> str:
        """Why a tool that nobody knows is not there, as far as that is known."""
        source = name.partition("/")[0]
        why = self.unreached.get(source, "")
        return f"The server {source} cannot be reached: {why}" if why else ""

    def risk(self, name: str, arguments: Mapping[str, JSON] | None = None) -> Risk:
        """The risk of calling this tool, with these arguments. A tool that nobody knows is HIGH."""
        return self._judged(name, arguments)[0]

    def spared(self, name: str, arguments: Mapping[str, JSON], ask_from: Risk) -> str:
        """The rule without which a person would be asked about a call, from this risk on; nothing if there is none."""
        risk, rule, without = self._judged(name, arguments)
        return rule if risk < ask_from <= without else ""

    def _judged(self, name: str, arguments: Mapping[str, JSON] | None) -> tuple[Risk, str, Risk]:
        """The risk of a call, the rule that has lowered it, and what it would be if none had."""
        known = self._tools.get(name)
        risk = without = known.risk if known else Risk.HIGH
        if (arguments or (known is not None and known.source)) and self.raised(name, arguments or {}):
            return Risk.HIGH, "", Risk.HIGH
        lowered = ""
        for text, rule, wanted in self._risks:
            if wanted > risk and rule.may_cover(name, known, arguments):
                risk, lowered = wanted, ""
            elif wanted < risk and known is not None and known.trusted and rule.covers(known, arguments or {}):
                risk, lowered = wanted, text
            without = max(without, risk)
        return risk, lowered, without

    def offers(self, name: str, arguments: Mapping[str, JSON]) -> list[str]:
        """Rules that a person could make of this call, from narrow to wide. None of one that is always asked about."""
        known = self._tools.get(name)
        return [] if known is None or self.raised(name, arguments) else offers(known, arguments)

    def covered(self, rule: str, name: str, arguments: Mapping[str, JSON]) -> bool:
        """Whether a rule lets this call pass. Some are asked about whatever the rules."""
        known = self._tools.get(name)
        return known is not None and not self.raised(name, arguments) and read_rule(rule).covers(known, arguments)

    async def bound_to(self, rule: str, name: str, arguments: Mapping[str, JSON]) -> Mapping[str, str]:
        """The files that a rule rests on: those that a call names by words which the rule does not leave open."""
        known = self.known(name)
        return await self.rests_on(name, fixed(read_rule(rule), known, arguments))

    def fingerprint(self, name: str) -> str:
        """What a rule for a tool of others is bound to: it may become another tool. Nothing, where it is trusted and
        ours."""
        known = self.known(name)
        if known.fingerprint:
            return known.fingerprint
        told = json.dumps([known.name, known.description, known.parameters], sort_keys=True)
        return "" if known.trusted else hashlib.sha256(told.encode()).hexdigest()

    def raised(self, name: str, arguments: Mapping[str, JSON]) -> str:
        """Why this very call is HIGH, whatever is set for its tool; nothing, where it is not."""
        known = self._tools.get(name)
        if known and known.undo and not known.undo.keeps(arguments):
            return "What it replaces is too large to be kept: it cannot be undone."
        return known.raised(arguments) if known and known.raised else ""

    def standing(self, name: str) -> tuple[Risk, str]:
        """The risk of a tool's calls as far as their arguments do not matter, and in a sentence why it is that."""
        known = self._tools.get(name)
        if known is None:
            return Risk.HIGH, "Nobody knows this tool."
        if known.source and (changed := self.raised(name, {})):
            return Risk.HIGH, changed
        if (risk := self.risk(name)) is not known.risk:
            return risk, f"FORETHOUGHT_RISKS sets it; without that it is {known.risk}."
        return risk, known.why or (f"Nothing is known of what {known.source} does." if known.source else "Built in.")

    def lasting(self, name: str) -> bool:
        """Whether what a call does stays, and cannot be undone."""
        known = self._tools.get(name)
        return known is None or not (known.undo or known.reads_only)

    def reads_only(self, name: str) -> bool:
        """Whether calling it changes nothing, whatever its risk was set to. Of a tool that nobody knows: no."""
        known = self._tools.get(name)
        return known is not None and known.reads_only

    def asks(self, name: str) -> bool:
        """Whether its calls put questions to a model: then a model has worded its results."""
        known = self._tools.get(name)
        return known is not None and known.asks

    def repeatable(self, name: str) -> bool:
        """Whether doing it twice does no harm, as far as is known."""
        known = self._tools.get(name)
        return known is not None and known.repeatable

    def limits(self, name: str) -> Limits:
        known = self._tools.get(name)
        return known.limits if known else Limits()

    def faults(self, name: str, arguments: Mapping[str, JSON]) -> list[SchemaFault]:
        """Everything in the arguments that does not fit the schema of a known tool."""
        return schema_faults(self._tools[name].parameters, arguments)

    def as_meant(self, name: str, arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
        """The arguments as the schema of a known tool means them. Of any other they stay as they are."""
        known = self._tools.get(name)
        meant = as_meant(known.parameters, arguments) if known else arguments
        return meant if isinstance(meant, Mapping) else arguments

    def known(self, name: str) -> Tool:
        """The tool of this name. Raises ToolError where there is none."""
        if name not in self._tools:
            raise ToolError(f"There is no tool {name[:100]!r}. {self.instead_of(name)}")
        return self._tools[name]

    def check(self, name: str, arguments: Mapping[str, JSON]) -> Tool:
        """The tool, if it can be called with these arguments.

        Raises:
            ToolError: no such tool, arguments that do not fit, or a call that can never be made.
        """
        known = self.known(name)
        if _holds(arguments, WITHHELD) or (self._redact and withheld(arguments, self._redact) is not arguments):
            raise ToolError(
                f"The arguments hold {WITHHELD!r}: a key or password of this server stood there, which is kept out of"
                " the journal. Nothing is done with the rest. Do without what holds it."
            )
        if faults := self.faults(name, arguments):
            raise ToolError(
                f"{name} cannot use these arguments: " + "; ".join(fault.at("arguments") for fault in faults[:10])
            )
        if known.refuse:
            known.refuse(arguments)
        return known

    def check_changed(self, name: str, arguments: Mapping[str, JSON]) -> None:
        """Look at a call that a person has changed, as the call itself would.

        Raises:
            ToolError: it can never be made (see `check`), or would fail by now.
        """
        known = self.check(name, arguments)
        if known.ready:
            known.ready(arguments)

    def place(self, tool: Tool, arguments: Mapping[str, JSON]) -> Place:
        """A call's place among all calls of this process, whatever their run. While the place is held no other call
        writes what this one touches, or reads what it writes."""
        return self.place_for(_NOTHING if tool.claims is None else tool.claims(arguments))

    def place_for(self, claim: Claim) -> Place:
        """The place of work on what is claimed."""
        return Place(claim, self._claims)

    async def rests_on(self, name: str, arguments: Mapping[str, JSON]) -> Mapping[str, str]:
        """What a call depends on beside its arguments, as it is now."""
        known = self._tools.get(name)
        if known is None or known.rests_on is None:
            return {}
        return await to_thread.run_sync(known.rests_on, arguments, abandon_on_cancel=True)

    async def call(self, name: str, arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        """Call a tool.

        Raises:
            ToolError: no such tool, arguments that do not fit, or the tool's own failure.
        """
        tool = self.check(name, arguments)
        async with self.place(tool, arguments).held():
            return await tool.run(arguments, ask)


def withheld(value: JSON, redact: Callable[[str], str]) -> JSON:
    """The value without what `redact` takes out; the very same, where there is nothing."""
    text = json.dumps(value, ensure_ascii=False)
    return value if redact(text) == text else _redacted(value, redact)


def _redacted(value: JSON, redact: Callable[[str], str]) -> JSON:
    if isinstance(value, Mapping):
        return {redact(name): _redacted(part, redact) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_redacted(part, redact) for part in value]
    if isinstance(value, str):
        return redact(value)
    text = json.dumps(value)
    return value if redact(text) == text else WITHHELD


def _discreet(tool: Tool, redact: Callable[[str], str]) -> Tool:
    async def run(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        try:
            return withheld(await tool.run(arguments, ask), redact)
        except ToolError as error:
            error.args = (redact(str(error)),)
            raise

    return replace(tool, run=run)


def _holds(value: JSON, text: str) -> bool:
    if isinstance(value, str):
        return text in value
    if isinstance(value, Mapping):
        return any(_holds(part, text) for part in value.values())
    return isinstance(value, Sequence) and any(_holds(part, text) for part in value)
