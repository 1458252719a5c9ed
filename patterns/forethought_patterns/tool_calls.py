"""How a call is admitted, looked at again, and what it takes to undo it kept: of a step, of a check, or of a search.

`ToolCalls` makes those that are no step of a plan. Each passes its gate, and is made once.
"""

__all__ = ["Admitted", "ToolCalls", "keep", "kept_before", "look_again"]

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import anyio

from forethought_patterns.callers import calling
from forethought_patterns.gates import Policy, call_gate, digest, doubt_gate
from forethought_patterns.plan import Step
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.signals import Rejected
from forethought_patterns.slots import Slot
from forethought_tools import JSON, ChangedError, ForethoughtError, Kept, Question, Registry, Tool, ToolError


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may be made."""

    arguments: Mapping[str, JSON]
    approved_for: Mapping[str, str] | None = None
    """What it rested on when a person approved it. None: nobody was asked."""
    rule: str = ""
    """The rule by which nobody had to be asked."""
    stands: Callable[[], Awaitable[bool]] | None = None
    """Whether the rule still stands, where a person has made it and may take it back."""


@dataclass
class ToolCalls:
    """Makes calls of tools for whoever has this slot."""

    tools: Registry
    journal: Journal
    approver: Approver
    policy: Policy
    slot: Slot = field(default_factory=Slot)
    _locks: dict[str, anyio.Lock] = field(default_factory=dict[str, anyio.Lock])

    def within(self, slot: Slot) -> "ToolCalls":
        """The same, made in another slot."""
        return replace(self, slot=slot)

    async def make(self, name: str, arguments: Mapping[str, JSON], *, key: str, why: str) -> JSON:
        """Call a tool for the purpose that `key` names; what came of it is remembered under that name.

        Raises:
            ToolError: it cannot be called like this, it failed, or a person did not want it.
        """
        async with self._locks.setdefault(key, anyio.Lock()):
            tool = self.tools.check(name, arguments)
            try:
                call = await self.admitted(self._as_step(tool, why), arguments, purpose=f"gate/{key}")
            except Rejected as rejected:  # what the call is for goes on without it
                raise ToolError(str(rejected)) from None
            arguments = call.arguments

            async def act() -> JSON:
                await look_again(tool, call, self.tools)
                await keep(tool, arguments, self.journal, key=key, slot=self.slot)
                with calling(self.approver, self.journal, self.slot, key):
                    return await _run(tool, arguments)

            async def again(question: str) -> bool:
                return await self._wanted_again(tool, arguments, question, why)

            doubtful = None if tool.repeatable else again
            place = self.tools.place(tool, arguments)
            body: dict[str, JSON] = {"tool": name, "arguments": arguments}
            return await self.journal.once(key, body, place, act, slot=self.slot, again=doubtful)

    async def admitted(
        self,
        step: Step,
        arguments: Mapping[str, JSON],
        *,
        purpose: str,
        confidence: float | None = None,
        asked: bool = False,
    ) -> Admitted:
        """The call as it may be made, once a person has agreed where one has to, or was `asked` before.

        Raises:
            Rejected: the person did not want it.
            ToolError: the person has changed it to one that cannot be made.
        """
        asked, tool = asked or self.approver.asked(purpose), step.tool
        while True:
            gate = call_gate(step, arguments, self.tools, self.policy, confidence=confidence, asked=asked)
            if gate is None:
                rule = self.tools.spared(tool, arguments, self.policy.ask_from)
                if rule:
                    await self.approver.spared(self.slot.step, tool, digest(tool, arguments), rule)
                return Admitted(arguments, rule=rule)
            if self.slot.step is None:
                gate = replace(gate, step=None, subject=f"The run wants to call {tool}.")
            offers = gate.offers and {rule: await self.tools.bound_to(rule, tool, arguments) for rule in gate.offers}
            gate = replace(gate, offers=offers).resting_on(await self.tools.rests_on(tool, arguments))
            decision = await self.approver.decide(gate, key=f"{purpose}/{gate.digest}", slot=self.slot)
            if not decision.approved:
                raise Rejected(f"Rejected by a person: {decision.reason or 'no reason given'}")
            if decision.verb == "edit" and decision.arguments is not None:
                self.tools.check(tool, decision.arguments)
                return Admitted(decision.arguments, await self.tools.rests_on(tool, decision.arguments))
            if await self.tools.rests_on(tool, arguments) == gate.rests_on:  # else it is another call to ask about
                stands = partial(self.approver.ruled, gate) if decision.rule and not decision.channel else None
                return Admitted(arguments, gate.rests_on, decision.rule or "", stands)

    async def _wanted_again(self, tool: Tool, arguments: Mapping[str, JSON], key: str, why: str) -> bool:
        """A call that must not be made twice was cut off. Its result is what it was made for, so it cannot be taken as
        happened."""
        gate = replace(
            doubt_gate(self._as_step(tool, why), arguments, self.tools, self.policy),
            step=self.slot.step,
            subject=f"The call of {tool.name} to {why} was cut off.",
            choices=("again", "skip", "cancel"),
        )
        return (await self.approver.decide(gate, key=key, slot=self.slot)).verb == "again"

    def _as_step(self, tool: Tool, why: str) -> Step:
        return Step(id=self.slot.step or 1, tool=tool.name, description=why)


async def look_again(tool: Tool, call: Admitted, tools: Registry) -> None:
    """Right before a call, when nothing of ours writes what it touches any more: it must be what was judged.

    Raises:
        ChangedError: a person has approved something else.
        ToolError: nobody was asked about it, and by now a person has to be.
    """
    taken_back = call.stands is not None and not await call.stands()
    if taken_back or (call.rule and not tools.covered(call.rule, tool.name, call.arguments)):
        raise ChangedError(f"The rule {call.rule} does not cover the call of {tool.name} any more.")
    if call.approved_for is None:
        if raised := tools.raised(tool.name, call.arguments):
            raise ToolError(f"{raised} That has changed since the call was judged, so it is not made. Plan it again.")
    elif await tools.rests_on(tool.name, call.arguments) != call.approved_for:
        raise ChangedError(f"A file that the call of {tool.name} names was changed after it was approved.")


async def keep(tool: Tool, arguments: Mapping[str, JSON], journal: Journal, *, key: str, slot: Slot) -> None:
    """Before a call that can be undone: keep what that takes, named after what the call is for.

    Raises:
        ToolError: the call was cut off before, and others have changed since what it writes.
    """
    earlier = await kept_before(tool, arguments, journal, key=key, slot=slot)
    if earlier is None or tool.undo is None:
        return
    if await tool.undo.stands(cast("Kept", earlier["kept"])) == "changed":
        raise ToolError(
            f"{tool.name} was cut off, and what it writes was changed since by others. It is left as it is now:"
            " look at it before it is written again."
        )


async def kept_before(
    tool: Tool, arguments: Mapping[str, JSON], journal: Journal, *, key: str, slot: Slot
) -> Kept | None:
    """Keep what it takes to undo a call, unless that was kept before: then that."""
    if (undo := tool.undo) is None:
        return None

    async def before() -> Kept:
        return {"tool": tool.name, "kept": await undo.before(arguments)}

    # A person may have edited what is cut off and made again.
    return await journal.keep(f"undo/{key}/{digest(tool.name, arguments)[:12]}", before, slot=slot)


async def _run(tool: Tool, arguments: Mapping[str, JSON]) -> JSON:
    try:
        with anyio.fail_after(tool.limits.timeout):
            return await tool.run(arguments, _nobody)
    except TimeoutError:
        raise ToolError(f"{tool.name} did not finish within {tool.limits.timeout:g} s.") from None
    except ForethoughtError:
        raise
    except Exception as error:  # a failing tool is data
        raise ToolError(f"{tool.name} failed: {type(error).__name__}: {error}") from error


async def _nobody(_: Question) -> JSON:
    raise ToolError("A check may not ask a model.")
