"""How the loops of a run unfold: within bounds, on record before anything starts, and asked about together."""

__all__ = ["Unfolding"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from forethought_patterns.gates import Gate, call_gate, digest
from forethought_patterns.loop_gate import calls_gate
from forethought_patterns.loops import turns_of, with_ids
from forethought_patterns.plan import Step
from forethought_patterns.references import fill, unknown
from forethought_patterns.rules import Ports, Rules
from forethought_patterns.signals import Rejected
from forethought_patterns.slots import Slot
from forethought_patterns.tool_calls import Admitted
from forethought_patterns.watcher import Item, Outcome, Unfolded
from forethought_tools import JSON, ToolError


@dataclass
class Unfolding:
    """The loops of one revision of a plan, and what a person has said of their items."""

    ports: Ports
    rules: Rules
    done: Mapping[str, JSON]
    """What the items of earlier loops have brought, by the digests of their calls. None is made again."""
    _agreed: dict[int, Admitted] = field(default_factory=dict[int, Admitted])
    _refused: dict[int, str] = field(default_factory=dict[int, str])

    async def of(self, loop: Step, results: Mapping[int, JSON], slot: Slot) -> Unfolded:
        """The items of a loop, the same whenever it is asked. Raises ToolError."""
        unfolded = Unfolded(self.ports.steps.items(loop))
        if not unfolded.items:
            planned = await turns_of(loop, results, self.rules.max_items)
            self._refuse_beyond_budget(loop, sum(each.left_out is None for each in planned))
            unfolded = self._without_done(with_ids(planned, self.ports.steps.next_step()))
            self._refuse_writing_over(loop, unfolded.items)
            if unfolded.items:
                await self.ports.steps.unfold(loop, unfolded, slot=slot)
        await self._ask(loop, unfolded.items, slot)
        return unfolded

    def agreed(self, step: Step, arguments: Mapping[str, JSON], attempt: int) -> Admitted | None:
        """The call of an item as a person has agreed to it together with others. It is good for one call.

        Raises:
            Rejected: the person did not want it.
        """
        if reason := self._refused.pop(step.id, ""):
            raise Rejected(f"Rejected by a person: {reason}")
        call = self._agreed.pop(step.id, None)
        same = call is not None and digest(step.tool, call.arguments) == digest(step.tool, arguments)
        return call if same and attempt == 1 else None

    def _refuse_beyond_budget(self, loop: Step, calls: int) -> None:
        for measure in ("tool_calls", "model_calls") if self.ports.tools.asks(loop.tool) else ("tool_calls",):
            room = self.ports.budget.room(measure)
            if room is not None and calls > room:
                raise ToolError(
                    f"Its {calls} items do not fit into the budget: {max(room, 0):g} {measure.replace('_', ' ')} are"
                    f" left. Narrow the list, or raise the budget of {measure}."
                )

    def _refuse_writing_over(self, loop: Step, items: Sequence[Item]) -> None:
        """Items run in any order, so what one replaces another has written is lost."""
        tools = self.ports.tools
        if not tools.repeatable(loop.tool) or (claims := tools.known(loop.tool).claims) is None:
            return  # it does not replace what is there, or nobody knows
        first: dict[frozenset[tuple[str, ...]], Item] = {}
        for item in items:
            if not item.open or unknown(item.step.arguments):
                continue
            arguments = tools.as_meant(loop.tool, _call(item.step))
            try:
                writes: frozenset[tuple[str, ...]] = (
                    frozenset() if tools.faults(loop.tool, arguments) else claims(arguments).writes
                )
            except ToolError:  # the item says it itself
                continue
            other = first.setdefault(writes, item)
            if writes and digest(loop.tool, _call(other.step)) != digest(loop.tool, _call(item.step)):
                raise ToolError(
                    f"{other} and {item} write the same place, and one would replace what the other has written. Put"
                    " a part of the item or {{index}} into its name, or write what all bring in a step after the loop."
                )

    def _without_done(self, unfolded: Unfolded) -> Unfolded:
        items, ended = list[Item](), dict(unfolded.ended)
        for item in unfolded.items:
            made = digest(item.step.tool, _call(item.step))
            known = item.open and made in self.done
            if known:
                ended[item.step.id] = Outcome("succeeded", value=self.done[made])
            items.append(replace(item, open=False) if known else item)
        return Unfolded(items, ended)

    async def _ask(self, loop: Step, items: Sequence[Item], slot: Slot) -> None:
        """Put the calls of all items that wait for a person before them at once. One by itself asks as a step does, and
        so does what is not known yet."""
        if all(item.ended for item in items):
            return
        purpose = f"gate/{loop.id}/items"
        gates = {item.index: gate for item in items if item.open and (gate := await self._gate(item, purpose))}
        if len(gates) < 2:
            return
        gate = calls_gate(loop, gates, len(items))
        decision = await self.ports.approver.decide(gate, key=f"{purpose}/{gate.digest}", slot=slot)
        dropped = (decision.arguments or {}).get("drop") if decision.verb == "edit" else None
        for item in items:
            if (own := gates.get(item.index)) is None:
                continue
            if decision.approved and not (isinstance(dropped, list) and item.index + 1 in dropped):
                self._agreed[item.step.id] = Admitted(own.details, own.rests_on)
            else:
                self._refused[item.step.id] = decision.reason or "no reason given"

    async def _gate(self, item: Item, purpose: str) -> Gate | None:
        step, tools = item.step, self.ports.tools
        if unknown(step.arguments) or tools.faults(step.tool, arguments := tools.as_meant(step.tool, _call(step))):
            return None
        asked = step.id in self.rules.ask_about
        gate = call_gate(step, arguments, tools, self.rules.policy, asked=asked)
        gate = gate and gate.resting_on(await tools.rests_on(step.tool, arguments))
        return None if gate is None or await self.ports.approver.ruled(gate, among=purpose) else gate


def _call(step: Step) -> Mapping[str, JSON]:
    """The arguments of an item, in which nothing is left to fill in."""
    arguments = fill(step.arguments, {})
    assert isinstance(arguments, Mapping)
    return arguments
