"""Runs belong to the server, not to the request that started them: start, watch, answer, decide, stop.

Everything here goes through the store, so it works the same whether the run is driven by this process, by another,
or by nobody at the moment.
"""

__all__ = ["OPEN", "Records", "Runs", "decision_fact"]

import json
import logging
import shlex
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from forethought.database import StaleError, new_id
from forethought.driver import Driver
from forethought.facts import effects_of, gate_of, plan_body
from forethought.lessons import workspace_of
from forethought.models import Models
from forethought.owners import Owner
from forethought.rows import Fact, MessageRow, PlanRow, RunRow
from forethought.store import Store
from forethought.terms import Terms
from forethought_patterns import Brief, Decision, Plan, Step, parse_plan
from forethought_patterns.checks import read_checks
from forethought_patterns.gates import decision_faults
from forethought_patterns.rollback import Effect
from forethought_patterns.worlds import Kind, Move, path_steps
from forethought_tools import (
    JSON,
    AnswerError,
    Fault,
    FencedError,
    ForethoughtError,
    NotFoundError,
    Registry,
    Risk,
    StoreError,
    schema_faults,
)

logger = logging.getLogger(__name__)

_LOOK = 0.25  # seconds between looks for what other processes have written
_ORPHANS = 1.0  # seconds between looks for runs that a dead process has left behind
_KEPT_PLANS = 8
_CITED = 3  # lessons that a planner is told
OPEN = ("running", "waiting")


class Records:
    """What the journal holds, for looking at. `Runs` can change it."""

    def __init__(self, store: Store, tools: Registry, folders: Sequence[str] = ()) -> None:
        self.store = store
        self.tools = tools
        self.folders: list[JSON] = list(folders)
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()

    def plan(self, plan_id: str, revision: int) -> Plan:
        """A plan that was saved, ready to run."""
        key = (plan_id, revision)
        if key not in self._plans:
            self._plans[key] = _restore(self.store.plan(plan_id, revision))
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]

    def undoable(self, run_id: str, step: int | None) -> list[Effect]:
        """What a run, or one step of it, has done that can be undone: the latest first.

        Raises:
            ForethoughtError: there is nothing, or the run goes on.
        """
        run = self.store.run(run_id)
        if run.ended is None:
            raise ForethoughtError(f'{run_id} goes on. Stop it first: stop(run_id="{run_id}").')
        if run.options["folders"] != self.folders:
            raise ForethoughtError(f"{run_id} worked in other folders. Roll it back where they are granted.")
        effects = effects_of(self.store.messages(run_id, "undo"), step)
        if not effects:
            stays = "; ".join(self.lasting(run_id, step))
            more = f" It has done what cannot be undone: {stays}." if stays else ""
            raise ForethoughtError(f"{run_id} has done nothing that can be undone.{more}")
        return effects

    def lasting(self, run_id: str, step: int | None) -> list[str]:
        """What a run has done, or may have done, that cannot be undone."""
        run = self.store.run(run_id)
        plan = self.plan(run.plan, run.revision) if run.revision else None
        rows = [row for row in self.store.steps(run_id) if plan and row.id in plan.by_id and step in (None, row.id)]
        return [
            f"step {row.id} {plan.by_id[row.id].tool}"
            for row in rows
            if plan and row.state in ("succeeded", "in_doubt") and self.tools.risk(plan.by_id[row.id].tool) == Risk.HIGH
        ]


class Runs(Records):
    """The runs of one journal, as one process sees and drives them."""

    def __init__(
        self,
        store: Store,
        tools: Registry,
        models: Models,
        owner: Owner,
        *,
        folders: Sequence[str] = (),
        terms: Terms | None = None,
        decision_seconds: float = 3600.0,
        look: Callable[[str], Brief] = Brief,
        lessons: bool = True,
        offer: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`terms` hold for every run; `look` tells a planner of a goal and the files that it names; with `lessons`
        what runs teach is kept, and told to planners; `offer` has some server of a cluster drive a run, and without
        it this process drives what it starts."""
        super().__init__(store, tools, folders)
        self._terms = terms or Terms()
        self._decision_seconds = decision_seconds
        self._look_at = look
        self._lessons = lessons
        self.on_change: Callable[[str, str | None], None] = lambda _, __: None
        """Told of each change: the plan, and the run if it is one of a run."""
        self._models = models
        self._owner = owner
        self._offer = offer
        self._interrupted: set[str] = set()  # runs of ours whose journal could not be written for a while
        self._drivers: dict[str, Driver] = {}
        self._claiming = anyio.Lock()  # between a claim and its driver nobody of ours may claim again
        self._watchers: defaultdict[str, set[anyio.Event]] = defaultdict(set)
        self._tasks: TaskGroup

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[TaskGroup]:
        """Drive runs while this is open. On leaving, what is in flight is cut off; the journal knows what it was."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._look_elsewhere)
            yield self._tasks
            self._tasks.cancel_scope.cancel()

    # Starting

    async def save_plan(self, goal: str, context: str, steps: Sequence[JSON]) -> str:
        """Validate steps and keep them as a plan. Raises PlanError with every fault."""
        plan = parse_plan(goal, steps, self.tools, context=context)
        plan_id = new_id("plan")
        await self.store.write("", Fact("plan_saved", plan_body(plan_id, plan, folders=self.folders)))
        self.on_change(plan_id, None)
        return plan_id

    async def start_planning(self, goal: str, context: str) -> RunRow:
        """Start to make a plan. The run's `plan` is the id that the plan will have."""
        return await self._create("planning", new_id("plan"), self._told(goal, context), self._terms, 0, [])

    async def start(self, plan_id: str, terms: Terms | None = None) -> RunRow:
        """Start a run of a plan's latest revision. If one is open already, whoever started it, that is the run."""
        row = self.store.plan(plan_id)
        if row.body["folders"] != self.folders:
            raise ForethoughtError(
                f"Plan {plan_id} was made for other folders than this server may use. Run it where they are granted:"
                f" forethought run --resume {plan_id} {_flags(row.body)}"
            )
        plan = self.plan(plan_id, row.revision)
        steps = [step.id for step in plan.steps]
        try:
            return await self._create("plan", plan_id, {"goal": plan.goal}, terms or self._terms, row.revision, steps)
        except StaleError:
            return self.store.runs(plan=plan_id, limit=1)[0]

    async def start_goal(self, goal: str, context: str, terms: Terms | None = None) -> RunRow:
        """Start to plan a goal and to run the plan, in one run. Its `plan` is the id that the plan will have."""
        return await self._create("plan", new_id("plan"), self._told(goal, context), terms or self._terms, 0, [])

    async def start_reflection(
        self,
        task: str,
        *,
        draft: str = "",
        criteria: Sequence[str] = (),
        checks: Sequence[JSON] = (),
        max_iterations: int = 3,
        threshold: float = 8.0,
        terms: Terms | None = None,
    ) -> RunRow:
        """Start to write a text, or to improve a draft. Raises FaultsError where a check cannot be used."""
        read_checks(checks, "check", self.tools)
        options: dict[str, JSON] = {
            "goal": task, "draft": draft, "criteria": list(criteria), "checks": list(checks),
            "max_iterations": max_iterations, "threshold": threshold,
        }  # fmt: skip
        return await self._create("reflection", "", options, terms or self._terms, 0, [])

    async def start_search(
        self, goal: str, kind: Kind, *, verifier: JSON = None, terms: Terms | None = None, **bounds: JSON
    ) -> RunRow:
        """Start to search a way to a goal. Raises FaultsError where the verifier cannot be used."""
        read_checks([] if verifier is None else [verifier], "verifier", self.tools)
        options: dict[str, JSON] = {"goal": goal, "world": kind, "verifier": verifier, "bounds": bounds}
        return await self._create("search", "", options, terms or self._terms, 0, [])

    async def start_rollback(self, run_id: str, step: int | None = None) -> RunRow:
        """Start to undo what a run, or one step of it, has done. A person is asked first. See `undoable`."""
        self.undoable(run_id, step)
        lasting: list[JSON] = list(self.lasting(run_id, step))
        options: dict[str, JSON] = {"goal": f"undo {run_id}", "of": run_id, "step": step, "lasting": lasting}
        return await self._create("rollback", "", options, self._terms, 0, [])

    def searched(self, run_id: str, goal: str, context: str) -> tuple[str, str, list[JSON] | None]:
        """What a plan of the way that a search has found is made of: goal, context, and the steps where tools were
        called. Without steps a planner has to make them.

        Raises:
            ForethoughtError: the run is no search, has not ended, or has found nothing.
        """
        run = self.store.run(run_id)
        answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
        path = cast("Sequence[Mapping[str, Any]]", answer.get("path", ()))
        if run.kind != "search" or not path:
            raise ForethoughtError(f"{run_id} is no search that has found a way. lats_search makes one.")
        way = [Move("", each["action"], each["tool"], each["arguments"], each["result"]) for each in path]
        goal = goal or str(run.options["goal"])
        steps = path_steps(way, self.tools, self._terms.policy)
        told = "\n".join(f"{number}. {move}" for number, move in enumerate(way, 1))
        context = f"{context}\nA search has found this way to the goal; follow it:\n{told}".strip()[:100_000]
        return goal, context, steps or None

    def _told(self, goal: str, context: str) -> dict[str, JSON]:
        brief = self._brief(goal)
        files: dict[str, JSON] = dict(brief.files)
        told: dict[str, JSON] = {"goal": goal, "context": context, "files": files}
        return {**told, "new_files": list(brief.new_files), "lessons": list(brief.lessons)}

    def _brief(self, goal: str) -> Brief:
        """What a planner is told of a goal: the files that it names, and what runs in these folders have taught."""
        brief = self._look_at(goal)
        if not self._lessons:
            return brief
        near = self.store.lessons(workspace_of(self.folders), about=goal, limit=_CITED)
        return replace(brief, lessons=[lesson.text for lesson in near])

    @property
    def terms(self) -> Terms:
        """What holds for a run unless whoever starts it wants stricter terms."""
        return self._terms

    def reachable(self, run: RunRow) -> None:
        """Make sure that somebody can go on with a run.

        Raises:
            ForethoughtError: it works in folders that are not ours, and nobody who has them is there.
        """
        if run.state in OPEN and not self.may_drive(run) and not self._owner.alive(run.owner):
            raise ForethoughtError(
                f"Run {run.id} works in other folders than this server may use. Go on with it where they are granted:"
                f" forethought run --resume {run.id} {_flags(run.options)}"
            )

    def may_drive(self, run: RunRow) -> bool:
        """Whether a run started here, or by a server that may touch the very same folders.

        What a call means depends on them: an approval given for one folder must not be used in another.
        """
        return run.options.get("folders") == self.folders

    async def _create(
        self, kind: str, plan_id: str, options: Mapping[str, JSON], terms: Terms, revision: int, steps: Sequence[int]
    ) -> RunRow:
        run_id = new_id("run")
        body: dict[str, JSON] = {
            "plan": plan_id,
            "kind": kind,
            "options": {**options, "folders": self.folders, "terms": terms.body()},
            "budget": dict(terms.budget),
            "revision": revision,
            "owner": "" if self._offer else self._owner.id,
            "steps": steps,
        }
        async with self._claiming:
            await self.store.write(run_id, Fact("run_created", body))
            run = self.store.run(run_id)
            if not self._offer:
                self._drive(run)
        if self._offer:
            await self._offer(run_id)
        return run

    # Driving

    async def ensure_driven(self, run_id: str) -> None:
        """Have a run driven that nobody drives although it could go on: its process is gone, or it was answered."""
        if self._can_go_on(self.store.run(run_id)):
            await (self._offer or self._claim)(run_id)

    async def activate(self, run_id: str) -> None:
        """Drive a run here, if it can go on and nobody else does. Returns once it has ended, waits, or is another's."""
        await self._claim(run_id)
        if driver := self._drivers.get(run_id):
            await driver.left.wait()

    def _can_go_on(self, run: RunRow) -> bool:
        if run.id in self._drivers or run.state not in OPEN or not self.may_drive(run):
            return False
        if run.owner is None:
            return run.state == "running" or run.id in self.store.answered_while_parked()
        return run.owner == self._owner.id or not self._owner.alive(run.owner)

    async def _claim(self, run_id: str) -> None:
        async with self._claiming:
            run = self.store.run(run_id)
            if not self._can_go_on(run):
                return
            oldest = time.time() - self._decision_seconds
            claim: dict[str, JSON] = {"owner": self._owner.id, "previous": run.owner, "oldest": oldest}
            try:
                await self.store.write(run_id, Fact("run_claimed", claim))
            except StaleError:
                return  # another process was first
            self._drive(self.store.run(run_id))

    def _drive(self, run: RunRow) -> None:
        driver = Driver(
            run, store=self.store, tools=self.tools, models=self._models, load=self.plan, look=self._brief,
            changed=self._ring, decision_seconds=self._decision_seconds, lessons=self._lessons,
        )  # fmt: skip
        self._drivers[run.id] = driver
        self._tasks.start_soon(self._driven, driver)

    async def _driven(self, driver: Driver) -> None:
        try:
            await driver.drive()
        except* FencedError:
            logger.info("run %s is driven by another process now", driver.run.id)
        except* StoreError as group:
            logger.error("run %s stops here: %s", driver.run.id, group.exceptions[0])  # noqa: TRY400 - said once
            self._interrupted.add(driver.run.id)
        except* Exception:
            # One run's trouble must not end the server and the runs of others.
            logger.exception("run %s stops here", driver.run.id)
        finally:
            if self._drivers.get(driver.run.id) is driver:
                del self._drivers[driver.run.id]
            driver.left.set()
            self._ring(driver.run)

    async def _look_elsewhere(self) -> None:
        orphans_due = 0.0
        while True:
            try:
                self._tell(await self.store.changes(_LOOK))
                for run_id in self.store.answered_while_parked():
                    await self.ensure_driven(run_id)
                if anyio.current_time() >= orphans_due:
                    orphans_due = anyio.current_time() + _ORPHANS
                    await self._take_over()
            except StoreError as error:
                logger.warning("%s", error)
                await anyio.sleep(_LOOK)

    async def _take_over(self) -> None:
        """Go on with runs whose process has died, and with our own that could not be recorded for a while."""
        for run_id, owner in self.store.driven():
            if run_id not in self._drivers and (owner != self._owner.id or run_id in self._interrupted):
                self._interrupted.discard(run_id)
                await self.ensure_driven(run_id)

    def _tell(self, subjects: Collection[str]) -> None:
        """Of what was written. What is ours was told already, but somebody may have answered it."""
        for subject in {*self._watchers, *self._drivers} if "" in subjects else subjects:
            if subject.startswith("plan_"):
                self.on_change(subject, None)
                continue
            with suppress(NotFoundError):  # it was forgotten meanwhile
                run = self.store.run(subject)
                if driver := self._drivers.get(subject):
                    driver.notice()
                    self._wake_watchers(subject)
                else:
                    self._ring(run)

    # Watching

    def _ring(self, run: RunRow) -> None:
        self._wake_watchers(run.id)
        self.on_change(run.plan, run.id)

    def _wake_watchers(self, run_id: str) -> None:
        for event in self._watchers.pop(run_id, ()):
            event.set()

    async def changed(self, run_id: str, seconds: float) -> bool:
        """Wait for something to happen to a run; False after so many seconds of silence."""
        event = anyio.Event()
        self._watchers[run_id].add(event)
        try:
            with anyio.move_on_after(seconds):
                await event.wait()
                return True
            return False
        finally:
            self._watchers[run_id].discard(event)
            if not self._watchers[run_id]:
                del self._watchers[run_id]

    # Answering

    async def answer(self, run_id: str, answers: Sequence[tuple[str, JSON]], *, by: str, channel: str) -> None:
        """Hand in answers to work orders: all of them, or none.

        Raises:
            AnswerError: every order that is unknown, not open, or whose answer does not fit its schema.
        """
        open_ids = self.store.open_ids(run_id, "order")
        faults = [
            fault
            for name, answer in answers
            for fault in _order_faults(name, answer, self.store.message(name) if name in open_ids else None, open_ids)
        ]
        if faults:
            raise AnswerError(faults)
        facts = [_answered(name, "order", answer, by, channel) for name, answer in answers]
        if not facts:
            return
        try:
            await self.store.write(run_id, *facts)
        except StaleError:
            meanwhile = Fault("answers", "somebody answered meanwhile, or the run has ended", "Look at the run again")
            raise AnswerError([meanwhile]) from None
        await self._wake(run_id)

    async def decide(self, gate: MessageRow, decision: Decision) -> None:
        """Record a person's decision about an open gate.

        Raises:
            AnswerError: the gate does not offer this choice, or an edit is not valid; it stays open.
            StaleError: it was decided before, or its run has ended.
        """
        await self.store.write(gate.run, decision_fact(gate, decision, self.tools))
        await self._wake(gate.run)

    async def stop(self, run_id: str) -> None:
        """Ask a run to stop, whoever drives it."""
        await self.store.write(run_id, Fact("stop_asked"))
        await self._wake(run_id)

    async def _wake(self, run_id: str) -> None:
        if run_id in self._drivers:
            self._drivers[run_id].notice()
        await self.ensure_driven(run_id)
        self._ring(self.store.run(run_id))


def decision_fact(gate: MessageRow, decision: Decision, tools: Registry) -> Fact:
    """A decision as a fact, for whoever records it. Raises AnswerError where the gate cannot take it."""
    if faults := decision_faults(gate_of(gate), decision, tools):
        raise AnswerError(faults)
    body: dict[str, JSON] = {"verb": decision.verb, "reason": decision.reason}
    body |= {"arguments": decision.arguments} if decision.arguments is not None else {}
    body |= {"steps": decision.steps} if decision.steps is not None else {}
    return _answered(gate.id, "gate", body, decision.by, decision.channel, approval=decision.approved)


def _flags(made_in: Mapping[str, JSON]) -> str:
    return " ".join(f"--folder {shlex.quote(folder)}" for folder in cast("list[str]", made_in["folders"]))


def _answered(message_id: str, kind: str, answer: JSON, by: str, channel: str, *, approval: bool = False) -> Fact:
    told: dict[str, JSON] = {"id": message_id, "kind": kind, "answer": answer, "by": by, "channel": channel}
    return Fact("answered", {**told, "approval": approval})


def _order_faults(name: str, answer: JSON, order: MessageRow | None, open_ids: Collection[str]) -> list[Fault]:
    if order is None:
        known = ", ".join(sorted(open_ids)[:20]) or "none"
        return [Fault(f"order {name}", "it is not open in this run", f"Open orders: {known}")]
    schema = cast("Mapping[str, JSON]", order.body["schema"])
    return [
        Fault(
            f"order {name}",
            fault.at("answer"),
            f"The answer must fit this JSON schema: {json.dumps(fault.schema)[:300]}",
        )
        for fault in schema_faults(schema, answer)[:20]
    ]


def _restore(row: PlanRow) -> Plan:
    steps = cast("list[JSON]", row.body["steps"])
    return Plan(
        goal=row.goal,
        steps=tuple(Step.model_validate(step) for step in steps),
        reasoning=str(row.body["reasoning"]),
        context=str(row.body["context"]),
        revision=row.revision,
        planned=bool(row.body["planned"]),
        approved=bool(row.body["approved"]),
    )
