"""What only the run of a plan keeps: its `PlanJournal`, over the records that every run has."""

__all__ = ["StepRecorder"]

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from itertools import starmap

from forethought.engine.recorder import Recorder
from forethought.journal.codec import item_body, item_of, loop_form, plan_body, settled_fact, step_of_row, tried_of
from forethought.journal.rows import SETTLED, Fact, RunRow, StepRow
from forethought_patterns import Outcome, Paused, Plan, Slot, Step, Tried
from forethought_patterns.agent import told_by_agents
from forethought_patterns.watcher import Item, Unfolded
from forethought_tools import JSON, Place

_UNTRIED = Tried()


class StepRecorder:
    """The records of the steps of one activation."""

    def __init__(self, run: RunRow, recorder: Recorder) -> None:
        self._run = run
        self._recorder = recorder
        recorder.revision = run.revision
        rows = recorder.store.queries.steps(run.id)
        self._rows = {row.id for row in rows}
        self._early = {row.id: step for row in rows if (step := step_of_row(row)) and item_of(row) is None}
        self._items = _items(rows)
        self._ended = {row.id for row in rows if row.state in SETTLED and not row.doubt}
        self._tried = {row.id: tried_of(row) for row in rows}
        # Parked in the middle of an attempt: it goes on, and is not begun anew.
        self._under_way = {
            row.id
            for row in rows
            if row.arguments is not None and not row.doubt and (row.state == "waiting" or row.returned)
        }

    def tried(self, step: Step) -> Tried:
        return self._tried.get(step.id, _UNTRIED)

    async def arrived(self, step: Step) -> None:
        if step.id not in self._rows:
            self._rows.add(step.id)
            self._early[step.id] = step
            late = int((self._recorder.revision or 0) > 0)  # the plan has come meanwhile, and does without it
            await self._recorder.record(Fact("step_added", {"step": step.id, "body": step.wire(), "dropped": late}))

    def early(self) -> Mapping[int, Step]:
        return self._early

    def items(self, loop: Step | None = None) -> Sequence[Item]:
        own = loop and (loop.id, loop_form(loop))
        found = [items for key, items in self._items.items() if own in (None, key)]
        return [replace(item, ended=item.step.id in self._ended) for items in found for item in items]

    async def unfold(self, loop: Step, unfolded: Unfolded, *, slot: Slot) -> None:
        form = loop_form(loop)
        self._items[loop.id, form] = list(unfolded.items)
        self._rows |= {item.step.id for item in unfolded.items}
        self._ended |= unfolded.ended.keys()
        revision = self._recorder.revision
        added = [
            Fact(
                "step_added",
                {"step": item.step.id, "body": item_body(item, loop.id, form), "dropped": 0, "revision": revision},
            )
            for item in unfolded.items
        ]
        ended = starmap(settled_fact, unfolded.ended.items())
        await self._recorder.claims.begun(*added, *ended, slot=slot)

    def starting(
        self, step: Step, arguments: Mapping[str, JSON], place: Place, *, slot: Slot
    ) -> AbstractAsyncContextManager[None]:
        if self.tried(step).returned is not None:
            return nullcontext()  # it is not called again
        if step.id in self._under_way:
            return self._resuming(step, place, slot)
        return self._beginning(step, arguments, place, slot)

    @asynccontextmanager
    async def _resuming(self, step: Step, place: Place, slot: Slot) -> AsyncGenerator[None]:
        """It was paid for when it began; what it claims it has to claim again."""
        async with AsyncExitStack() as stack:
            if place.claim:
                resumed = Fact("step_resumed", {"step": step.id})
                await stack.enter_async_context(self._taken(step, place, resumed, slot))
            self._begun(step)
            yield

    @asynccontextmanager
    async def _beginning(
        self, step: Step, arguments: Mapping[str, JSON], place: Place, slot: Slot
    ) -> AsyncGenerator[None]:
        attempt = self.tried(step).attempt
        started = Fact("step_started", {"step": step.id, "arguments": arguments, "attempt": attempt})
        async with AsyncExitStack() as stack:
            if not place.claim:
                await self._recorder.claims.until_resumed(slot)
            async with self._recorder.spender.tool_call(slot):
                if place.claim:
                    await stack.enter_async_context(self._taken(step, place, started, slot))
                else:
                    await self._recorder.claims.begun(started, slot=slot)
            self._begun(step)
            yield

    def _taken(self, step: Step, place: Place, fact: Fact, slot: Slot) -> AbstractAsyncContextManager[None]:
        return self._recorder.claims.taken(_key(step), place, fact, slot=slot)

    def _begun(self, step: Step) -> None:
        self._recorder.begun(_key(step), repeatable=self._recorder.tools.repeatable(step.tool))

    async def returned(self, step: Step, value: JSON) -> None:
        self._recorder.claims.free(_key(step))
        await self._recorder.record(Fact("step_returned", {"step": step.id, "result": value}))
        self._recorder.landed(_key(step))

    async def retrying(self, step: Step, error: str, delay: float, *, feedback: str = "") -> None:
        tried = self.tried(step)
        self._under_way.discard(step.id)
        if feedback:
            self._tried[step.id] = Tried(tried.attempt + 1, tried.round + 1, feedback)
            fact = Fact("step_again", {"step": step.id, "error": error, "feedback": feedback})
        else:
            self._tried[step.id] = replace(tried, attempt=tried.attempt + 1)
            fact = Fact("step_retrying", {"step": step.id, "error": error, "delay": delay})
        await self._recorder.record(fact)
        if feedback:
            self._recorder.landed(_key(step))

    async def in_doubt(self, step: Step, arguments: Mapping[str, JSON]) -> None:
        """A call that must not be made twice was cut off in an earlier activation."""
        self._tried[step.id] = replace(self.tried(step), doubt=arguments)
        await self._recorder.record(Fact("step_in_doubt", {"step": step.id}))

    async def redone(self, step: Step) -> None:
        tried = self.tried(step)
        self._tried[step.id] = replace(tried, attempt=tried.attempt + 1, doubt=None)
        await self._recorder.record(Fact("step_redone", {"step": step.id}))

    async def recalled(self, steps: Sequence[Step]) -> None:
        begun = {row.id for row in self._recorder.store.queries.steps(self._run.id) if row.state != "pending"}
        facts: list[Fact] = []
        for step in steps:
            if step.id in begun:
                self._under_way.discard(step.id)
                self._tried[step.id] = replace(self.tried(step), attempt=self.tried(step).attempt + 1, returned=None)
                facts.append(Fact("step_recalled", {"step": step.id}))
        await self._recorder.record(*facts)

    async def settled(self, step: Step, outcome: Outcome) -> None:
        self._ended.add(step.id)
        await self._recorder.record(settled_fact(step.id, outcome))
        self._recorder.landed(_key(step))

    async def revised(self, plan: Plan, why: str) -> None:
        if self.superseded():
            raise Paused  # somebody has changed the plan meanwhile
        loops = [step for step in plan.steps if step.is_loop]
        present = {*plan.by_id, *(item.step.id for loop in loops for item in self.items(loop))}
        self._recorder.revision = plan.revision
        body: dict[str, JSON] = {
            **plan_body(self._run.plan, plan, folders=self._run.options["folders"], why=why),
            "replanned": 0 if plan.approved or plan.revision == 1 else 1,
            "steps": sorted(present - self._rows),
            "dropped": sorted(self._rows - present),
        }
        self._rows |= present
        await self._recorder.record(Fact("plan_revised", body))

    def told(self) -> Mapping[int, Sequence[str]]:
        notes = self._recorder.store.queries.messages(self._run.id, "note")
        return told_by_agents((note.key, note.body) for note in notes)

    def pausing(self) -> bool:
        return self._recorder.holding()

    def superseded(self) -> bool:
        return self._recorder.superseded()

    def next_step(self) -> int:
        return max(self._rows, default=0) + 1


def _items(rows: Sequence[StepRow]) -> dict[tuple[int, str], list[Item]]:
    """The items of the loops that have unfolded, in order."""
    found: defaultdict[tuple[int, str], list[Item]] = defaultdict(list)
    for row in rows:
        if known := item_of(row):
            loop, form, item = known
            found[loop, "" if row.dropped else form].append(item)  # a loop that becomes what it was begins anew
    return {loop: sorted(items, key=lambda item: item.index) for loop, items in found.items()}


def _key(step: Step) -> str:
    """What a step's call is in flight, and claims, as."""
    return f"step/{step.id}"
