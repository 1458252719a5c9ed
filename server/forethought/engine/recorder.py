"""What every pattern sees of the world: its `Journal` and its `Approver`. Every question, call and decision is recorded
under a key that says what it is for, before it is acted on; what is recorded is not asked or done again.
"""

__all__ = ["IN_DOUBT", "Recorder"]

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import count
from typing import cast

import anyio

from forethought.engine import Engine
from forethought.engine.claims import Claims
from forethought.engine.in_flight import InFlight
from forethought.engine.lessons import learned
from forethought.engine.questions import Questions
from forethought.engine.spending import Spender
from forethought.engine.watchers import Watchers
from forethought.engine.writing import overheard
from forethought.gates.standing import rule_for
from forethought.journal.codec import decision_of, gate_body, question_body
from forethought.journal.database import new_id
from forethought.journal.rows import Fact, MessageKind, MessageRow, RunRow
from forethought_patterns import Again, Answer, Decision, Dialect, Gate, Heard, Meter, Model, Slot
from forethought_tools import JSON, FencedError, Kept, ModelError, Place, Question, Role, StoreError, ToolError
from forethought_tools.text import as_text, one_line
from forethought_tools.visible import visible

logger = logging.getLogger(__name__)

_CALLS = ("call", "calls")  # kinds of gates
IN_DOUBT = "the call was cut off: whether it took effect is not known. Look before it is done again"


class Recorder:
    """The records of one activation of one run."""

    def __init__(
        self,
        run: RunRow,
        engine: Engine,
        *,
        watchers: Watchers,
        park: Callable[[], None],
        pauses_at_once: bool,
    ) -> None:
        """`watchers` are told of each entry, and `park` is called when nothing can go on. What `pauses_at_once` has no
        steps that would have to end first."""
        self.run = run
        self.store = engine.store
        self.tools = engine.records.tools
        self._engine = engine
        self._watchers = watchers
        self._park = park
        self._pauses_at_once = pauses_at_once
        self.revision: int | None = None
        """Of its plan, where steps are run: the one that this activation knows."""
        self._in_flight = InFlight()
        gates = self.store.queries.messages(run.id, "gate")
        self._asked_about = {gate.key.rpartition("/")[0] for gate in gates}
        self._allowed = _allowed(gates)
        self._ruled = {step: call for step, (_, call) in self.store.queries.calls_ruled(run.id).items()}
        """Calls that a rule has let pass, by step: the digest of the latest."""
        self.claims = Claims(run.id, store=self.store, record=self.record, write=self._write, holding=self.holding)
        self.spender = Spender(run, record=self.record, decide=self.decide)
        self.slot = Slot(stalled=self._stalled)
        """Of the run itself."""
        self._questions = Questions(
            run.id,
            store=self.store,
            record=self.record,
            in_flight=self._in_flight,
            is_late=engine.is_late,
        )

    async def record(self, *facts: Fact) -> None:
        if facts := (*self.claims.over(), *facts):
            await self._write(*facts)

    async def _write(self, *facts: Fact) -> None:
        await self.store.write(self.run.id, *facts, epoch=self.run.epoch)
        self._watchers.ring(self.run)

    def notice(self) -> None:
        """Someone may have answered, or want a pause, or no pause any more."""
        self.claims.notice()
        self._questions.notice()

    def pausing(self) -> bool:
        return self.store.queries.pausing(self.run.id)  # as it is now: nothing more starts once a person was told so

    def superseded(self) -> bool:
        """Whether somebody has changed the plan that this activation runs."""
        return self.revision is not None and self.store.queries.revision(self.run.id) > self.revision

    def holding(self) -> bool:
        """Whether nothing more may start here: asked before every call, and so both in one look."""
        paused, revision = self.store.queries.steered(self.run.id)
        return paused or (self.revision is not None and revision > self.revision)

    def pause(self) -> None:
        """A person wants a pause: whoever has no steps in flight that have to end first has it at once."""
        # Nothing is lost: what was not answered is asked again.
        if self._pauses_at_once and not self._in_flight and self.pausing():
            self._park()

    def begun(self, key: str, *, repeatable: bool) -> None:
        """A call is in flight, of a step or of the run itself."""
        if not repeatable:
            self._in_flight.begin(key)

    def landed(self, key: str) -> None:
        """It is not any more."""
        self._in_flight.land(key)
        self.pause()

    def _stalled(self) -> None:
        if self.claims.aside and not self.holding():
            self.claims.notice()  # what was put aside for a pause goes on
        else:
            self._park()

    # Questions to models

    def dialect(self, role: Role) -> Dialect:
        model = self._engine.models.for_role(role)
        return "wire" if model is None else "lean" if model.lean else "flat"

    async def ask(self, key: str, question: Question, *, slot: Slot, heard: Heard | None = None) -> JSON:
        known = self._questions.known(key)
        if known and known.state in ("answered", "used"):
            return known.answer
        model = self._engine.models.for_role(question.role)
        kind: MessageKind = "order" if model is None else "question"
        if known is not None and known.kind != kind:
            known = await self._questions.redirect(known, kind, question)
        if known is None:
            known = await self._questions.open(kind, key, question_body(question), slot.step)
        if model is None:
            answered = await self._questions.answered(known, slot)
            await self._questions.use(answered)
            return answered.answer

        async def answer(meter: Meter) -> Answer:
            return await model.answer(question, meter=meter, heard=overhearing)

        shown = self._engine.shown
        with overheard(self.run.id, question.role, self._watchers, shown=shown, also=heard) as overhearing:
            return (await self._answered_by(model, known, answer, slot)).value

    async def judge(self, key: str, question: Question, *, slot: Slot) -> float | None:
        known = self._questions.known(key)
        if known and known.state in ("answered", "used"):
            return cast("float | None", known.answer)
        model = self._engine.models.for_role(question.role)
        if model is None:
            return None

        async def verdict(meter: Meter) -> Answer:
            return await model.verdict(question, meter=meter)

        if known is None:
            known = await self._questions.open("question", key, question_body(question), slot.step)
        try:
            return cast("float", (await self._answered_by(model, known, verdict, slot)).value)
        except ModelError as error:
            logger.warning("no verdict: %s", error)  # an opinion is worth having, and not worth failing for
            return None

    async def _answered_by(
        self, model: Model, message: MessageRow, answering: Callable[[Meter], Awaitable[Answer]], slot: Slot
    ) -> Answer:
        answer = await answering(self.spender.meter(model, slot))
        await self._questions.close(message.id, answer.value, by=answer.model, note=answer.note)
        return answer

    def tell(self, text: str) -> None:
        if text:
            self._watchers.tell(self.run.id, visible(one_line(self._engine.shown(text))))
        else:
            self._watchers.hush(self.run.id)

    async def note(self, key: str, body: Mapping[str, JSON]) -> None:
        if self._questions.known(key) is None:
            await self.record(Fact("noted", {"id": new_id("note"), "key": key, "step": None, "body": body}))

    # Decisions of people

    def asked(self, purpose: str) -> bool:
        return purpose in self._asked_about

    async def spared(self, step: int | None, tool: str, digest: str, rule: str) -> None:
        await self._rule_used(step, tool, digest, rule)

    async def _rule_used(self, step: int | None, tool: str, digest: str, rule: str, by: str = "") -> None:
        used: dict[str, JSON] = {"step": step, "tool": tool, "digest": digest, "rule": rule, "id": by}
        if step is not None:
            self._ruled[step] = digest
        await self.record(Fact("rule_used", used))

    async def ruled(self, gate: Gate, *, among: str = "") -> bool:
        if among and (gate.step in self._ruled or self.asked(among)):
            return self._ruled.get(gate.step or 0) == gate.digest
        rule = await rule_for(gate, self.run, self.store.queries, self.tools)
        if among and rule:
            await self._rule_used(gate.step, gate.tool, gate.digest, rule.rule, rule.id)
        return rule is not None

    def _is_on_record(self, gate: Gate) -> bool:
        """Whether it is in the journal already that this very call passes by a rule, and it was not made since."""
        if self._ruled.get(gate.step or 0) != gate.digest:
            return False
        return any(row.id == gate.step and row.started is None for row in self.store.queries.steps(self.run.id))

    async def decide(self, gate: Gate, *, key: str, slot: Slot) -> Decision:
        known = self._questions.known(key)
        if known is None and gate.kind in _CALLS and "approve_tool" in gate.choices and gate.tool in self._allowed:
            body: dict[str, JSON] = {"step": gate.step, "digest": gate.digest, "gate": self._allowed[gate.tool]}
            await self.record(Fact("step_allowed", body))
            return Decision("approve", by="an earlier decision in this run")
        while gate.kind == "question" and known is not None and known.state in ("closed", "used"):
            key = f"{key}/again"  # an earlier activation has asked, and its call was cut off
            known = self._questions.known(key)
        if known is None and (rule := await rule_for(gate, self.run, self.store.queries, self.tools)):
            if not self._is_on_record(gate):
                await self._rule_used(gate.step, gate.tool, gate.digest, rule.rule, rule.id)
            return Decision("approve", by=f"{rule.id}, made in {rule.run}", rule=rule.rule)
        if known is None:
            step = None if gate.kind == "question" else gate.step  # the step of a question is under way
            known = await self._questions.open("gate", key, gate_body(gate), step)
        elif known.state == "used" and gate.kind in _CALLS and self._questions.is_late(known):
            known = await self._questions.lapse(known)
        try:
            decided = await self._questions.decided(known, slot)
        except anyio.get_cancelled_exc_class():
            if gate.kind == "question":
                await self._withdraw(known)
            raise
        await self._questions.use(decided)
        decision = decision_of(decided)
        if decision.verb == "approve_tool":
            self._allowed[gate.tool] = decided.id
        await self._heed(gate, decision)
        return decision

    async def withdraw(self, purpose: str) -> None:
        """Close what was asked for this by a call that was cut off: nobody waits for the answer."""
        left = [gate for gate in self.store.queries.open_messages(self.run.id, "gate") if gate.key.startswith(purpose)]
        await self.record(*(Fact("withdrawn", {"id": gate.id}) for gate in left))

    async def _withdraw(self, message: MessageRow) -> None:
        """Whoever has asked does not wait for it any more."""
        with anyio.CancelScope(shield=True), suppress(StoreError, FencedError):
            await self.record(Fact("withdrawn", {"id": message.id}))

    async def _heed(self, gate: Gate, decision: Decision) -> None:
        if decision.verb == "reject" and gate.kind in ("call", "plan") and (lessons := self._refusal(gate, decision)):
            await self.record(*lessons)
        if decision.verb == "cancel":
            await anyio.sleep_forever()  # the run is being ended

    def _refusal(self, gate: Gate, decision: Decision) -> list[Fact]:
        if not self._engine.lessons:
            return []
        what = f"{gate.tool} {as_text(gate.details)[:150]}" if gate.kind in _CALLS else "the plan"
        why = f": {decision.reason}" if decision.reason else ""
        return learned(self.store.queries, self.run, [f"A person rejected {what}{why}"])

    # Calls of tools that are no steps

    async def once(
        self,
        key: str,
        body: Mapping[str, JSON],
        place: Place,
        act: Callable[[], Awaitable[JSON]],
        *,
        slot: Slot,
        again: Again | None = None,
    ) -> JSON:
        known = self._questions.known(key)
        if known is not None and known.state == "used":
            return _result(known)
        call = _Call(key, place, act, slot, repeatable=again is None)
        if known is None:
            first = self._questions.asked("call", key, body, slot.step)
            return await self._made(call, first, str(first.body["id"]))
        repetition = self._repetition(key)
        if again is not None and not await again(f"doubt/{key}/{repetition}"):
            await self._questions.close(known.id, {"error": IN_DOUBT})
            raise ToolError(IN_DOUBT)
        repeated = self._questions.asked("call", f"again/{key}/{repetition}", body, slot.step)
        return await self._made(call, repeated, known.id)

    def _repetition(self, key: str) -> int:
        """How often a call was made so far, and cut off each time."""
        return next(number for number in count(1) if self._questions.known(f"again/{key}/{number}") is None)

    async def _made(self, call: "_Call", asked: Fact, message: str) -> JSON:
        """Make a call that these facts tell of, and keep what came of it as the answer to `message`."""
        step = call.slot.step
        try:
            async with AsyncExitStack() as stack:
                started = Fact("call_started", {"step": step, "key": call.key})
                async with self.spender.tool_call(call.slot):
                    taken = self.claims.taken(call.key, call.place, asked, started, slot=call.slot)
                    await stack.enter_async_context(taken)
                self.begun(call.key, repeatable=call.repeatable)
                value = await call.act()
        except ToolError as error:
            await self._questions.close(message, {"error": str(error)})
            raise
        else:
            await self._questions.close(message, {"value": value})
        finally:
            self.landed(call.key)
        return value

    async def keep(self, key: str, kept: Callable[[], Awaitable[Kept]], *, slot: Slot) -> Kept | None:
        if (known := self._questions.known(key)) is not None:
            return known.body
        await self.record(Fact("kept", {"id": new_id("undo"), "key": key, "step": slot.step, "body": await kept()}))
        return None


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is to be made once."""

    key: str
    place: Place
    act: Callable[[], Awaitable[JSON]]
    slot: Slot
    repeatable: bool


def _result(call: MessageRow) -> JSON:
    """What came of a call that was made."""
    answer = cast("Mapping[str, JSON]", call.answer)
    if "error" in answer:
        raise ToolError(str(answer["error"]))
    return answer["value"]


def _allowed(gates: Sequence[MessageRow]) -> dict[str, str]:
    """Tools that a person has approved for the rest of this run, with the gate where that was."""
    return {
        str(gate.body["tool"]): gate.id
        for gate in gates
        if isinstance(gate.answer, Mapping) and gate.answer.get("verb") == "approve_tool"
    }
