"""Calls that are no step of a plan: of a check, or of a search. Each passes its gate, and is made once."""

__all__ = ["ToolCalls", "judged_again", "keep"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import anyio

from forethought_patterns.gates import Policy, call_gate, digest, doubt_gate
from forethought_patterns.plan import Step
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.slots import Slot
from forethought_tools import JSON, ForethoughtError, Kept, Question, Registry, Tool, ToolError


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
            arguments, approved_for = await self._admitted(tool, arguments, key, why)

            async def act() -> JSON:
                judged_again(tool, arguments, self.tools, asked=approved_for is not None)
                if approved_for is not None and await self.tools.rests_on(name, arguments) != approved_for:
                    raise ToolError(f"A file that the call of {name} names was changed after it was approved.")
                await keep(tool, arguments, self.journal, key=key, slot=self.slot)
                return await _run(tool, arguments)

            async def again(question: str) -> bool:
                return await self._wanted_again(tool, arguments, question, why)

            doubtful = None if tool.repeatable else again
            place = self.tools.place(tool, arguments)
            body: dict[str, JSON] = {"tool": name, "arguments": arguments}
            return await self.journal.once(key, body, place, act, slot=self.slot, again=doubtful)

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

    async def _admitted(
        self, tool: Tool, arguments: Mapping[str, JSON], key: str, why: str
    ) -> tuple[Mapping[str, JSON], Mapping[str, str] | None]:
        """The arguments to use, and what the call rested on when a person approved it, if one was asked."""
        purpose = f"gate/{key}"
        asked = self.approver.asked(purpose)
        rests_on = await self.tools.rests_on(tool.name, arguments)
        step = self._as_step(tool, why)
        gate = call_gate(step, arguments, self.tools, self.policy, asked=asked, rests_on=rests_on)
        if gate is None:
            return arguments, None
        if self.slot.step is None:
            gate = replace(gate, step=None, subject=f"The run wants to call {tool.name}.")
        decision = await self.approver.decide(gate, key=f"{purpose}/{gate.digest}", slot=self.slot)
        if not decision.approved:
            raise ToolError(f"Rejected by a person: {decision.reason or 'no reason given'}")
        if decision.arguments is not None:
            self.tools.check(tool.name, decision.arguments)
            return decision.arguments, await self.tools.rests_on(tool.name, decision.arguments)
        if await self.tools.rests_on(tool.name, arguments) != rests_on:
            return await self._admitted(tool, arguments, key, why)  # it is another call, to be asked about
        return arguments, rests_on


def judged_again(tool: Tool, arguments: Mapping[str, JSON], tools: Registry, *, asked: bool) -> None:
    """Right before a call that nobody was `asked` about: what it touches may have changed since it was judged.

    Raises:
        ToolError: by now a person has to be asked.
    """
    if not asked and (raised := tools.raised(tool.name, arguments)):
        raise ToolError(f"{raised} That has changed since the call was judged, so it is not made. Plan it again.")


async def keep(tool: Tool, arguments: Mapping[str, JSON], journal: Journal, *, key: str, slot: Slot) -> None:
    """Before a call that can be undone: keep what that takes, named after what the call is for.

    Raises:
        ToolError: the call was cut off before, and others have changed since what it writes.
    """
    if (undo := tool.undo) is None:
        return

    async def before() -> Kept:
        return {"tool": tool.name, "kept": await undo.before(arguments)}

    # A person may have edited what is cut off and made again.
    earlier = await journal.keep(f"undo/{key}/{digest(tool.name, arguments)[:12]}", before, slot=slot)
    if earlier is not None and await undo.stands(cast("Kept", earlier["kept"])) == "changed":
        raise ToolError(
            f"{tool.name} was cut off, and what it writes was changed since by others. It is left as it is now:"
            " look at it before it is written again."
        )


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
