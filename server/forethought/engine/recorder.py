"""What a pattern sees of the world: its `Journal` and its `Approver`. Every question, call and decision is recorded
under a name that says what it is for, before it is acted on; what is recorded is not asked or done again.
"""

__all__ = ["IN_DOUBT", "Recorder"]

import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from itertools import count
from typing import cast

import anyio

from forethought.engine.claims import Turns
from forethought.engine.lessons import learned
from forethought.engine.spending import Spender
from forethought.journal.codec import decision_of, gate_body, plan_body, question_body, settled_fact, tried_of
from forethought.journal.database import new_id
from forethought.journal.rows import Fact, MessageRow, RunRow
from forethought.journal.store import Store
from forethought.models import Models
from forethought_patterns import (
    Again,
    Answer,
    Decision,
    Form,
    Gate,
    Heard,
    Meter,
    Model,
    Outcome,
    Plan,
    Step,
    Tried,
    waiting,
)
from forethought_patterns.outside import in_step
from forethought_tools import JSON, Kept, ModelError, Place, Question, Registry, Role, ToolError

logger = logging.getLogger(__name__)

_UNTRIED = Tried()
IN_DOUBT = "the call was cut off: whether it took effect is not known. Look before it is done again"


class Recorder:
    """The records of one activation of one run."""

    def __init__(
        self,
        run: RunRow,
        *,
        store: Store,
        tools: Registry,
        models: Models,
        decision_seconds: float,
        changed: Callable[[RunRow], None],
        lessons: bool,
        park: Callable[[], None],
    ) -> None:
        """`park` is called when nothing can go on; with `lessons`, refusals teach."""
        self.run = run
        self._store = store
        self._tools = tools
        self._models = models
        self._decision_seconds = decision_seconds
        self._changed = changed
        self._lessons = lessons
        self._park = park
        self._wanted: dict[str, anyio.Event] = {}
        rows = store.queries.steps(run.id)
        self._rows = {row.id for row in rows}
        self._early = {row.id: Step.model_validate(row.body) for row in rows if row.body is not None}
        self._tried = {row.id: tried_of(row) for row in rows}
        # Parked in the middle of an attempt: it goes on, and is not begun anew.
        self._under_way = {
            row.id
            for row in rows
            if row.arguments is not None and not row.doubt and (row.state == "waiting" or row.returned)
        }
        gates = store.queries.messages(run.id, "gate")
        self._asked_about = {gate.key.rpartition("/")[0] for gate in gates}
        self._allowed = _allowed(gates)
        self._turns = Turns(run.id, store=store, record=self.record, write=self._write, pausing=self.pausing)
        self._delicate: set[int] = set()  # steps in flight that must not be cut off
        self._landed = anyio.Event()
        self.spender = Spender(run, record=self.record, decide=self.decide)

    async def record(self, *facts: Fact) -> None:
        if facts := (*self._turns.over(), *facts):
            await self._write(*facts)

    async def _write(self, *facts: Fact) -> None:
        await self._store.write(self.run.id, *facts, epoch=self.run.epoch)
        self._changed(self.run)

    def notice(self) -> None:
        """Someone may have answered, or want a pause, or no pause any more."""
        self._turns.notice()
        if self._wanted:
            for message_id in self._wanted.keys() - self._store.queries.open_ids(self.run.id):
                self._wanted.pop(message_id).set()

    # What a pattern asks

    def form(self, role: Role) -> Form:
        model = self._models.for_role(role)
        return "wire" if model is None else "lean" if model.lean else "flat"

    async def ask(self, key: str, question: Question, *, step: int | None = None, heard: Heard | None = None) -> JSON:
        known = self._store.queries.message_for(self.run.id, key)
        if known and known.state in ("answered", "used"):
            return known.answer
        model = self._models.for_role(question.role)
        kind = "order" if model is None else "question"
        if known is not None and known.kind != kind:
            known = await self._redirect(known, kind, question)
        if model is not None:

            async def answer(meter: Meter) -> Answer:
                return await model.answer(question, meter=meter, heard=heard)

            return (await self._ask_model(key, question, step, known, model, answer)).value
        if known is None:
            known = await self._open("order", key, question_body(question), step)
        return (await self._outside(known)).answer

    async def judge(self, key: str, question: Question, *, step: int | None = None) -> float | None:
        known = self._store.queries.message_for(self.run.id, key)
        if known and known.state in ("answered", "used"):
            return cast("float | None", known.answer)
        model = self._models.for_role(question.role)
        if model is None:
            return None

        async def verdict(meter: Meter) -> Answer:
            return await model.verdict(question, meter=meter)

        try:
            answer = await self._ask_model(key, question, step, known, model, verdict)
        except ModelError as error:
            logger.warning("no verdict: %s", error)  # an opinion is worth having, and not worth failing for
            return None
        return cast("float", answer.value)

    def asked(self, purpose: str) -> bool:
        return purpose in self._asked_about

    async def decide(self, gate: Gate, *, key: str) -> Decision:
        known = self._store.queries.message_for(self.run.id, key)
        if known is None and gate.kind == "call" and "approve_tool" in gate.choices and gate.tool in self._allowed:
            told: dict[str, JSON] = {"step": gate.step, "digest": gate.digest, "gate": self._allowed[gate.tool]}
            await self.record(Fact("step_allowed", told))
            return Decision("approve", by="an earlier decision in this run")
        if known is None:
            known = await self._open("gate", key, gate_body(gate), gate.step)
        elif known.state == "used" and gate.kind == "call" and self._is_late(known):
            known = await self._lapse(known)
        while True:
            if known.state == "answered" and self._is_late(known):
                known = await self._lapse(known)
            elif known.state == "open":
                await self._answered(known)
                known = self._store.queries.message(known.id)
            else:
                break
        await self._use(known)
        decision = decision_of(known)
        if decision.verb == "reject" and gate.kind != "budget" and (lessons := self._refusal(gate, decision)):
            await self.record(*lessons)
        if decision.verb == "approve_tool":
            self._allowed[gate.tool] = known.id
        if decision.verb == "cancel":
            await anyio.sleep_forever()  # the run is being ended
        return decision

    # What a pattern tells

    def tried(self, step: Step) -> Tried:
        return self._tried.get(step.id, _UNTRIED)

    async def arrived(self, step: Step) -> None:
        if step.id not in self._rows:
            self._rows.add(step.id)
            self._early[step.id] = step
            late = int(self.run.revision > 0)  # the plan has come meanwhile, and does without it
            await self.record(Fact("step_added", {"step": step.id, "body": step.wire(), "dropped": late}))

    def early(self) -> Mapping[int, Step]:
        return self._early

    @asynccontextmanager
    async def starting(self, step: Step, arguments: Mapping[str, JSON], place: Place) -> AsyncGenerator[None]:
        if self.tried(step).returned is not None:
            yield  # it is not called again
            return
        started = Fact("step_started", {"step": step.id, "arguments": arguments})
        paid: AbstractAsyncContextManager[object] = self.spender.tool_call()
        under_way = step.id in self._under_way
        if under_way:
            started, paid = Fact("step_resumed", {"step": step.id}), nullcontext()
        if place.claim:
            async with AsyncExitStack() as stack:
                async with paid:
                    await stack.enter_async_context(self._turns.taken(f"step/{step.id}", place, started))
                self._begun(step)
                yield
            return
        if not under_way:
            await self._turns.until_resumed()
            async with paid:
                await self.record(started)
        self._begun(step)
        yield

    def _begun(self, step: Step) -> None:
        if not self._tools.repeatable(step.tool):
            self._delicate.add(step.id)

    async def returned(self, step: Step, value: JSON) -> None:
        self._turns.free(f"step/{step.id}")
        await self.record(Fact("step_returned", {"step": step.id, "result": value}))
        self._land(step.id)

    async def retrying(self, step: Step, error: str, delay: float, *, feedback: str = "") -> None:
        tried = self.tried(step)
        self._under_way.discard(step.id)
        if feedback:
            self._tried[step.id] = Tried(tried.attempt + 1, tried.round + 1, feedback)
            await self.record(Fact("step_again", {"step": step.id, "error": error, "feedback": feedback}))
        else:
            self._tried[step.id] = replace(tried, attempt=tried.attempt + 1)
            await self.record(Fact("step_retrying", {"step": step.id, "error": error, "delay": delay}))

    async def in_doubt(self, step: Step, arguments: Mapping[str, JSON]) -> None:
        """A call that must not be made twice was cut off in an earlier activation."""
        self._tried[step.id] = replace(self.tried(step), doubt=arguments)
        await self.record(Fact("step_in_doubt", {"step": step.id}))

    async def redone(self, step: Step) -> None:
        tried = self.tried(step)
        self._tried[step.id] = replace(tried, attempt=tried.attempt + 1, doubt=None)
        await self.record(Fact("step_redone", {"step": step.id}))

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self.record(settled_fact(step.id, outcome))
        self._land(step.id)

    async def once(
        self,
        key: str,
        step: int | None,
        told: Mapping[str, JSON],
        place: Place,
        act: Callable[[], Awaitable[JSON]],
        *,
        again: Again | None = None,
    ) -> JSON:
        known = self._store.queries.message_for(self.run.id, key)
        if known is not None and known.state == "used":
            known_answer = cast("Mapping[str, JSON]", known.answer)
            if "error" in known_answer:
                raise ToolError(str(known_answer["error"]))
            return known_answer["value"]
        turn = self._turn(key) if known is not None else 1
        if known is not None and again is not None and not await again(f"doubt/{key}/{turn}"):
            await self._close(known.id, {"error": IN_DOUBT})
            raise ToolError(IN_DOUBT)
        asked = self._asked("call", key if known is None else f"again/{key}/{turn}", told, step)
        call = str(asked.body["id"]) if known is None else known.id
        try:
            async with AsyncExitStack() as stack:
                started = Fact("call_started", {"step": step, "key": key})
                async with self.spender.tool_call():
                    await stack.enter_async_context(self._turns.taken(key, place, asked, started))
                if again is not None:
                    self._delicate.add(step or 0)
                value = await act()
        except ToolError as error:
            await self._close(call, {"error": str(error)})
            raise
        else:
            await self._close(call, {"value": value})
        finally:
            self._land(step or 0)
        return value

    def _turn(self, key: str) -> int:
        """How often a call was made so far, that was cut off each time."""
        return next(
            turn for turn in count(1) if not self._store.queries.message_for(self.run.id, f"again/{key}/{turn}")
        )

    async def keep(self, key: str, step: int | None, kept: Callable[[], Awaitable[Kept]]) -> Kept | None:
        if (known := self._store.queries.message_for(self.run.id, key)) is not None:
            return known.body
        await self.record(Fact("kept", {"id": new_id("undo"), "key": key, "step": step, "body": await kept()}))
        return None

    async def note(self, key: str, body: Mapping[str, JSON]) -> None:
        if self._store.queries.message_for(self.run.id, key) is None:
            await self.record(Fact("noted", {"id": new_id("note"), "key": key, "step": None, "body": body}))

    async def revised(self, plan: Plan, why: str) -> None:
        present = {step.id for step in plan.steps}
        self.run = replace(self.run, revision=plan.revision)
        body: dict[str, JSON] = {
            **plan_body(self.run.plan, plan, folders=self.run.options["folders"], why=why),
            "replanned": 0 if plan.approved or plan.revision == 1 else 1,
            "steps": sorted(present - self._rows),
            "dropped": sorted(self._rows - present),
        }
        self._rows |= present
        await self.record(Fact("plan_revised", body))

    def pausing(self) -> bool:
        return self._store.queries.pausing(self.run.id)  # as it is now: nothing more starts once a person was told so

    def pause(self) -> None:
        """A person wants a pause: a plan's run has it once what is in flight has ended, any other at once."""
        # Nothing is lost: the questions of what has no steps are asked again if they were not answered.
        if self.run.kind != "plan" and not self._delicate and self.pausing():
            self._park()

    def next_step(self) -> int:
        return max(self._rows, default=0) + 1

    def stalled(self) -> None:
        if self._turns.aside and not self.pausing():
            self._turns.notice()  # what was put aside for a pause goes on
        else:
            self._park()

    def _land(self, step: int) -> None:
        self._delicate.discard(step)
        self._landed.set()
        self._landed = anyio.Event()
        self.pause()

    # Questions

    async def _ask_model(
        self,
        key: str,
        question: Question,
        step: int | None,
        known: MessageRow | None,
        model: Model,
        answering: Callable[[Meter], Awaitable[Answer]],
    ) -> Answer:
        if known is None:
            known = await self._open("question", key, question_body(question), step)
        answer = await answering(self.spender.meter(model))
        await self._close(known.id, answer.value, by=answer.model, note=answer.note)
        return answer

    async def _close(self, message: str, answer: JSON, *, by: str = "", note: str = "") -> None:
        kind, channel = ("question", "model") if by else ("call", "tool")
        told: dict[str, JSON] = {"id": message, "kind": kind, "answer": answer, "by": by, "note": note}
        await self.record(
            Fact("answered", {**told, "approval": False, "channel": channel}),
            Fact("used", {"id": message}),
        )

    async def _redirect(self, message: MessageRow, kind: str, question: Question) -> MessageRow:
        """Whoever was asked in an earlier activation is not who answers such questions now."""
        facts = [Fact("redirected", {"id": message.id, "kind": kind, "body": question_body(question)})]
        if message.step is not None:
            facts.append(Fact("step_waiting" if kind == "order" else "step_resumed", {"step": message.step}))
        await self.record(*facts)
        return self._store.queries.message(message.id)

    async def _open(self, kind: str, key: str, body: Mapping[str, JSON], step: int | None) -> MessageRow:
        asked = self._asked(kind, key, body, step)
        facts = [asked]
        if step is not None and kind in ("gate", "order"):
            facts.append(Fact("step_waiting", {"step": step}))
        await self.record(*facts)
        return self._store.queries.message(str(asked.body["id"]))

    def _asked(self, kind: str, key: str, body: Mapping[str, JSON], step: int | None) -> Fact:
        return Fact("asked", {"id": new_id(kind), "key": key, "kind": kind, "step": step, "body": body})

    async def _outside(self, message: MessageRow) -> MessageRow:
        """Wait until someone outside has answered; then the answer is used up."""
        if message.state == "open":
            await self._answered(message)
            message = self._store.queries.message(message.id)
        await self._use(message)
        return message

    async def _answered(self, message: MessageRow) -> None:
        async with waiting():
            answered = self._wanted.setdefault(message.id, anyio.Event())
            if not in_step():  # it is the run itself that waits
                while self._delicate:
                    await self._landed.wait()
                self.stalled()
            if self._store.queries.message(message.id).state != "open":
                answered.set()
            await answered.wait()

    def _refusal(self, gate: Gate, decision: Decision) -> list[Fact]:
        if not self._lessons:
            return []
        what = (
            f"{gate.tool} {json.dumps(gate.details, ensure_ascii=False)[:150]}" if gate.kind == "call" else "the plan"
        )
        why = f": {decision.reason}" if decision.reason else ""
        return learned(self._store.queries, self.run, [f"A person rejected {what}{why}"])

    async def _use(self, message: MessageRow) -> None:
        if message.state == "answered":
            facts = [Fact("used", {"id": message.id})]
            if message.step is not None:
                facts.append(Fact("step_resumed", {"step": message.step}))
            await self.record(*facts)

    def _is_late(self, message: MessageRow) -> bool:
        """An approval is good for a while only: the world may have changed since it was given."""
        if message.answered is None or not decision_of(message).approved:
            return False
        return time.time() - message.answered > self._decision_seconds

    async def _lapse(self, message: MessageRow) -> MessageRow:
        facts = [Fact("lapsed", {"id": message.id})]
        if message.step is not None:
            facts.append(Fact("step_waiting", {"step": message.step}))
        await self.record(*facts)
        return self._store.queries.message(message.id)


def _allowed(gates: Sequence[MessageRow]) -> dict[str, str]:
    """Tools that a person has approved for the rest of this run, with the gate where that was."""
    return {
        str(gate.body["tool"]): gate.id
        for gate in gates
        if isinstance(gate.answer, Mapping) and gate.answer.get("verb") == "approve_tool"
    }
