"""Runs belong to the server, not to the request that started them: create, answer, decide, stop.

Everything here goes through the store, so it works the same whether the run is driven by this process, by another,
or by nobody at the moment. How a run of one kind is started is told in that kind's file.
"""

__all__ = ["Runs"]

import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from forethought.engine import Engine
from forethought.engine.kinds.kind import Caller, Kind, Options
from forethought.engine.leases import NOBODY, Taker, answering, is_free, is_work, order_named
from forethought.engine.orders import MOST
from forethought.engine.supervisor import Supervisor
from forethought.gates.decisions import record_decision
from forethought.journal.codec import plan_body
from forethought.journal.database import StaleError, UnderWayError, new_id
from forethought.journal.rows import Fact, LeaseRow, MessageRow, RunRow
from forethought.terms import Terms
from forethought_patterns import Brief, Decision, Plan
from forethought_patterns.agent import LONGEST_NOTE, as_kept, reported
from forethought_patterns.numbering import step_as_meant
from forethought_tools import JSON, AnswerError, Fault, NotFoundError, schema_faults
from forethought_tools.meant import as_meant

_TRIES = 20


class Runs:
    """The runs of one journal."""

    def __init__(self, engine: Engine, supervisor: Supervisor, *, terms: Terms | None = None) -> None:
        self.store = engine.store
        self.queries = engine.store.queries
        self.records = engine.records
        self.supervisor = supervisor
        self.watchers = supervisor.watchers
        self.brief: Callable[[str], Awaitable[Brief]] = engine.brief
        self.terms = terms or Terms()
        self.lease_seconds = engine.lease_seconds

    async def save_plan(self, plan: Plan, advice: Sequence[str] = ()) -> str:
        """Keep a plan, with what could be better. Returns its id."""
        plan_id = new_id("plan")
        saved = Fact("plan_saved", plan_body(plan_id, plan, folders=self.records.folders, advice=advice))
        await self.store.write(plan_id, saved)
        self.watchers.on_change(plan_id, None)
        return plan_id

    async def create(
        self,
        kind: Kind[Any],
        options: Options,
        *,
        terms: Terms | None = None,
        plan_id: str = "",
        revision: int = 0,
        steps: Sequence[int] = (),
        facts: Sequence[Fact] = (),
        caller: Caller | None = None,
    ) -> RunRow:
        """Record a new run, and have it driven. `facts` are recorded with it.

        Raises:
            StaleError: a fact is stale.
            UnderWayError: this caller has started the same already, and it is open.
        """
        terms = terms or self.terms
        whole = options.model_copy(update={"folders": self.records.folders, "terms": terms})
        body: dict[str, JSON] = {
            "plan": plan_id,
            "kind": kind.name,
            "options": whole.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "budget": dict(terms.budget),
            "revision": revision,
            "owner": self.supervisor.first_owner,
            "steps": steps,
        }
        created = Fact("run_created", body)
        if caller is None:
            return await self.supervisor.begin(new_id("run"), created, *facts)
        return await self._begin_once(_calls(caller, kind, whole), created, *facts, another=caller.another)

    async def _begin_once(self, calls: Sequence[str], *facts: Fact, another: bool) -> RunRow:
        """Begin a run unless such a call has one open; where `another` is wanted, unless it has two."""
        for _ in range(_TRIES):
            started = {call: self.queries.started(call) for call in calls}
            open_runs = [run for run in started.values() if run]
            free = [call for call, run in started.items() if not run]
            if open_runs and not (another and free):
                raise UnderWayError(open_runs[-1].id)
            with suppress(StaleError):  # another call was quicker
                return await self.supervisor.begin(new_id("run"), *facts, Fact("call_begun", {"call": free[0]}))
        raise StaleError("The same is started again and again elsewhere. Call again.")

    def within_reach(self, run_id: str, taker: Taker) -> set[str]:
        """The open orders of a run that this taker may do: not the work that others have."""
        leases, now = self.queries.leases(run_id), time.time()
        others = {order for order, lease in leases.items() if not is_free(lease, taker.id, now)}
        return self.queries.open_ids(run_id, "order") - others

    async def take(self, run_id: str, taker: Taker, most: int | None = None) -> None:
        """Have a taker do the work of a run that nobody does, so that it has at `most` so many pieces, and no more than
        one answer can tell. What it has already stays its own for longer."""
        now, room = time.time(), MOST
        until = now + self.lease_seconds
        leases = self.queries.leases(run_id)
        work = [order for order in self.queries.open_messages(run_id, "order") if is_work(order.key)]
        own = [order for order in work if (lease := leases.get(order.id)) and lease.holder == taker.id]
        rest = [order for order in work if order not in own and is_free(leases.get(order.id), taker.id, now)]
        for order in [*own, *(rest if most is None else rest[: max(0, most - len(own))])]:
            size = len(json.dumps(order.body))
            if size > room and room < MOST and order in rest:
                return
            room -= size
            if order in own and leases[order.id].until - now > self.lease_seconds / 2:
                continue
            with suppress(StaleError):  # somebody was quicker
                await self.store.write(run_id, taker.takes(order.id, until))

    async def answer(
        self, run_id: str, answers: Sequence[tuple[str, JSON]], *, by: str, channel: str, taker: Taker = NOBODY
    ) -> None:
        """Hand in answers to work orders: all of them, or none. What was handed in before is not wrong to repeat.

        Raises:
            AnswerError: every order that is unknown, not open, which somebody else does, or whose answer does not fit
                its schema.
        """
        takings = dict(order_named(name) for name, _ in answers)
        answers = [(order_named(name)[0], answer) for name, answer in answers]
        answers = [(name, answer) for name, answer in answers if not self._was_said(run_id, name, answer)]
        open_ids = self.queries.open_ids(run_id, "order")
        orders = {name: self.queries.message(name) for name, _ in answers if name in open_ids}
        answers = [(name, _meant(orders[name], said) if name in orders else said) for name, said in answers]
        answers = _without_repeats(answers)
        faults = [fault for name, said in answers for fault in _order_faults(name, said, orders.get(name), open_ids)]
        said_twice = sorted(name for name, times in Counter(name for name, _ in answers).items() if times > 1)
        faults += [Fault(f"order {name}", "it has several answers", "Give one of them") for name in said_twice]
        facts: list[Fact] = []
        for name, said in answers if not faults else ():
            told = self._reported(orders[name], said, takings[name], taker)
            if isinstance(told, Fault):
                faults.append(told)
                continue
            facts += told if _goes_on(orders[name], said) else [*told, _answered(name, said, by, channel)]
        if faults:
            raise AnswerError(faults)
        if not facts:
            return
        try:
            await self.store.write(run_id, *facts)
        except StaleError:
            meanwhile = Fault("answers", "somebody answered meanwhile, or the run has ended", "Look at the run again")
            raise AnswerError([meanwhile]) from None
        await self.supervisor.wake(run_id)

    def _reported(self, order: MessageRow, said: JSON, taking: int | None, taker: Taker) -> Sequence[Fact] | Fault:
        """What is recorded beside an answer: of work, that it is given back, or a note of somebody who goes on."""
        if not is_work(order.key):
            return []
        if (length := len(reported(said).note)) > LONGEST_NOTE:
            return Fault(f"order {order.id}", f"its note has {length:,} characters", f"Give at most {LONGEST_NOTE:,}")
        goes_on, now = _goes_on(order, said), time.time()
        until = now + self.lease_seconds if goes_on else 0.0
        lease: LeaseRow | None = self.queries.leases(order.run).get(order.id)
        facts = answering(order.id, taking, lease, taker, now, until=until)
        if isinstance(facts, Fault) or not goes_on:
            return facts
        before = [note for note in self.queries.messages(order.run, "note") if note.key.startswith(f"{order.key}/")]
        body: dict[str, JSON] = {"note": reported(said).note, "by": taker.name}
        key = f"{order.key}/note/{len(before) + 1}"
        return [*facts, Fact("noted", {"id": new_id("note"), "key": key, "step": order.step, "body": body})]

    def _was_said(self, run_id: str, order: str, answer: JSON) -> bool:
        """Whether an order has this very answer: the call that brought it was cut off, and is made again."""
        with suppress(NotFoundError):
            message = self.queries.message(order)
            said = answer is not None and message.answer in (answer, as_kept(answer))
            return said and (message.run, message.kind) == (run_id, "order")
        return False

    async def decide(self, gate: MessageRow, decision: Decision) -> None:
        """Record a person's decision about an open gate.

        Raises:
            AnswerError: the gate does not offer this choice, or an edit is not valid; it stays open.
            StaleError: it was decided before, or its run has ended.
        """
        await record_decision(self.store, self.records.tools, gate, decision)
        await self.supervisor.wake(gate.run)

    async def stop(self, run_id: str) -> None:
        """Ask a run to stop, whoever drives it."""
        await self.store.write(run_id, Fact("stop_asked"))
        await self.supervisor.wake(run_id)


def _calls(caller: Caller, kind: Kind[Any], options: Options) -> Sequence[str]:
    """The names of a call, and of the one that wants a second run beside its first."""
    wanted = {**options.wanted(), "goal": " ".join(options.goal.split())}
    whole = json.dumps([caller.name, kind.name, wanted], sort_keys=True)
    call = hashlib.sha256(whole.encode()).hexdigest()
    return call, f"{call}/another"


def _goes_on(order: MessageRow, said: JSON) -> bool:
    """Whether an agent has told something and is not done."""
    return is_work(order.key) and not reported(said).done


def _answered(order: str, answer: JSON, by: str, channel: str) -> Fact:
    body: dict[str, JSON] = {"id": order, "kind": "order", "answer": answer, "by": by, "channel": channel}
    return Fact("answered", {**body, "approval": False})


def _order_faults(name: str, answer: JSON, order: MessageRow | None, open_ids: Collection[str]) -> list[Fault]:
    if order is None:
        known = ", ".join(sorted(open_ids)[:20]) or "none"
        return [Fault(f"order {name}", "it is not open in this run", f"Open orders: {known}")]
    return [
        Fault(
            f"order {name}",
            fault.at("answer"),
            f"The answer must fit this JSON schema: {json.dumps(fault.schema)[:300]}",
        )
        for fault in schema_faults(_schema(order), answer)
    ]


def _without_repeats(answers: Sequence[tuple[str, JSON]]) -> list[tuple[str, JSON]]:
    """The answers, without those that say once more what the first one to their order says."""
    first: dict[str, JSON] = {}
    kept: list[tuple[str, JSON]] = []
    for name, said in answers:
        if name not in first or said != first[name]:
            kept.append((name, said))
        first.setdefault(name, said)
    return kept


def _meant(order: MessageRow, said: JSON) -> JSON:
    """An answer as its order means it; the steps of a plan as steps may be written anywhere."""
    read = as_meant(schema := _schema(order), said)
    if is_work(order.key):
        return as_kept(read)
    due = schema.get("properties")
    if not isinstance(read, Mapping) or not isinstance(due, Mapping) or "steps" not in due:
        return read
    steps = read.get("steps")
    if not isinstance(steps, list):
        return read
    return {**read, "steps": list(map(step_as_meant, steps))}


def _schema(order: MessageRow) -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", order.body["schema"])
