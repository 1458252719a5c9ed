"""What a run puts to someone, each under a key that says what it is for: opened, waited for, answered, used up.

Everything that has a key is a row of the journal: questions to models, work orders, gates, and calls of tools.
"""

__all__ = ["Questions"]

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import anyio

from forethought.engine.in_flight import InFlight
from forethought.journal.codec import question_body
from forethought.journal.database import new_id
from forethought.journal.rows import Fact, MessageKind, MessageRow
from forethought.journal.store import Store
from forethought_patterns import Slot
from forethought_tools import JSON, Question


class _Record(Protocol):
    def __call__(self, *facts: Fact) -> Awaitable[None]: ...


class Questions:
    """The questions of one activation."""

    def __init__(
        self, run: str, *, store: Store, record: _Record, in_flight: InFlight, is_late: Callable[[MessageRow], bool]
    ) -> None:
        self._run = run
        self._store = store
        self._record = record
        self._in_flight = in_flight
        self.is_late = is_late
        self._awaited: dict[str, anyio.Event] = {}

    def known(self, key: str) -> MessageRow | None:
        """What was put under this key, in this activation or an earlier one."""
        return self._store.queries.message_for(self._run, key)

    def notice(self) -> None:
        """Someone may have answered."""
        if self._awaited:
            for message_id in self._awaited.keys() - self._store.queries.open_ids(self._run):
                self._awaited.pop(message_id).set()

    def asked(self, kind: MessageKind, key: str, body: Mapping[str, JSON], step: int | None) -> Fact:
        """The fact that opens a question."""
        return Fact("asked", {"id": new_id(kind), "key": key, "kind": kind, "step": step, "body": body})

    async def open(self, kind: MessageKind, key: str, body: Mapping[str, JSON], step: int | None) -> MessageRow:
        asked = self.asked(kind, key, body, step)
        facts = [asked]
        if step is not None and kind in ("gate", "order"):
            facts.append(Fact("step_waiting", {"step": step}))
        await self._record(*facts)
        return self._store.queries.message(str(asked.body["id"]))

    async def redirect(self, message: MessageRow, kind: MessageKind, question: Question) -> MessageRow:
        """Whoever was asked in an earlier activation is not who answers such questions now."""
        facts = [Fact("redirected", {"id": message.id, "kind": kind, "body": question_body(question)})]
        if message.step is not None:
            facts.append(Fact("step_waiting" if kind == "order" else "step_resumed", {"step": message.step}))
        await self._record(*facts)
        return self._store.queries.message(message.id)

    async def close(self, message: str, answer: JSON, *, by: str = "", note: str = "") -> None:
        """A model, or a tool, has answered at once."""
        kind, channel = ("question", "model") if by else ("call", "tool")
        body: dict[str, JSON] = {"id": message, "kind": kind, "answer": answer, "by": by, "note": note}
        await self._record(
            Fact("answered", {**body, "approval": False, "channel": channel}),
            Fact("used", {"id": message}),
        )

    async def answered(self, message: MessageRow, slot: Slot) -> MessageRow:
        """The question once someone outside has answered it."""
        if message.state == "open":
            await self._wait(message, slot)
            message = self._store.queries.message(message.id)
        return message

    async def decided(self, message: MessageRow, slot: Slot) -> MessageRow:
        """The gate once a person has decided, which must not be too long ago."""
        while True:
            if message.state == "answered" and self.is_late(message):
                message = await self.lapse(message)
            elif message.state == "open":
                message = await self.answered(message, slot)
            else:
                return message

    async def use(self, message: MessageRow) -> None:
        """The run acts on the answer now."""
        if message.state == "answered":
            facts = [Fact("used", {"id": message.id})]
            if message.step is not None:
                facts.append(Fact("step_resumed", {"step": message.step}))
            await self._record(*facts)

    async def lapse(self, message: MessageRow) -> MessageRow:
        """The approval counts no more: the gate is open again."""
        facts = [Fact("lapsed", {"id": message.id})]
        if message.step is not None:
            facts.append(Fact("step_waiting", {"step": message.step}))
        await self._record(*facts)
        return self._store.queries.message(message.id)

    async def _wait(self, message: MessageRow, slot: Slot) -> None:
        async with slot.waiting():
            answered = self._awaited.setdefault(message.id, anyio.Event())
            if slot.alone:
                await self._in_flight.all_landed()
                slot.stalled()
            if self._store.queries.message(message.id).state != "open":
                answered.set()
            await answered.wait()
            if self._store.queries.message(message.id).state == "closed":
                await anyio.sleep_forever()  # withdrawn, as the plan has changed: this activation is left soon
