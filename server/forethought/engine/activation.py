"""One activation of one run: re-runs a pattern over what is recorded, and records what is new.

When nothing can go on without someone outside, the run parks: it becomes rows only, and whoever answers has it driven
again, by this process or another.
"""

__all__ = ["Driver"]

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import anyio
import anyio.lowlevel

from forethought.engine.estimate import estimate
from forethought.engine.lessons import learned
from forethought.engine.recorder import IN_DOUBT, Recorder
from forethought.engine.records import effects_of
from forethought.engine.step_recorder import StepRecorder
from forethought.journal.codec import decision_of, plan_body, settled_fact
from forethought.journal.rows import SETTLED, Fact, RunRow, StepRow
from forethought.journal.store import Store
from forethought.models import Models
from forethought.terms import Terms
from forethought_patterns import (
    Brief,
    Check,
    Ended,
    Outcome,
    Paused,
    Plan,
    Ports,
    Problem,
    Resumed,
    Rules,
    Step,
    make_plan,
    run_plan,
)
from forethought_patterns.author import CRITERIA, Task, improve
from forethought_patterns.gates import digest
from forethought_patterns.planner import doubt
from forethought_patterns.rollback import roll_back
from forethought_patterns.tool_calls import ToolCalls
from forethought_patterns.worlds import Kind, Quest, find
from forethought_tools import (
    JSON,
    BudgetError,
    FencedError,
    ModelError,
    PlanError,
    Registry,
    SettingsError,
    StoreError,
)

logger = logging.getLogger(__name__)


class Driver:
    """Drives one run until it ends or parks."""

    def __init__(
        self,
        run: RunRow,
        *,
        store: Store,
        tools: Registry,
        models: Models,
        load: Callable[[str, int], Plan],
        look: Callable[[str], Brief],
        changed: Callable[[RunRow], None],
        decision_seconds: float,
        lessons: bool,
    ) -> None:
        """`load` gives a revision of a plan, `look` what a planner is told of a goal; with `lessons` failures teach."""
        self.run = run
        self.left = anyio.Event()
        """Set once nobody drives it here any more."""
        self._store = store
        self._tools = tools
        self._models = models
        self._load = load
        self._look = look
        self._lessons = lessons
        self._scope = anyio.CancelScope()
        self._parking = False
        self._stopping = bool(run.stopping)
        self._terms = Terms.from_body(cast("Mapping[str, JSON]", run.options["terms"]))
        self._recorder = Recorder(
            run,
            store=store,
            tools=tools,
            models=models,
            decision_seconds=decision_seconds,
            changed=changed,
            lessons=lessons,
            park=self._park,
            pauses_at_once=run.kind != "plan",
        )
        self._steps = StepRecorder(self._recorder)

    async def drive(self) -> None:
        """Go on with the run. Returns when it has ended or is parked.

        Raises (in a group):
            FencedError: the run belongs to another process now.
            StoreError: the journal cannot be written; the run stops where it is.
        """
        with self._scope:
            if self._stopping:
                self._scope.cancel()
            elif self.run.pausing:
                self._recorder.pause()
            await anyio.lowlevel.checkpoint()
            try:
                await self._work()
            except* (FencedError, StoreError):
                raise
            except* Exception as group:
                logger.exception("run %s failed", self.run.id)
                await self._end("failed", f"Internal error: {type(group.exceptions[0]).__name__}. The log has more.")
        if self._store.queries.run(self.run.id).state != "running":
            return  # it ended before the cancellation reached it
        if self._stopping:
            await self._end_stopped()
        elif self._parking:
            kind = "run_paused" if self._recorder.pausing() else "run_parked"
            await self._recorder.record(Fact(kind, {"seconds": self._recorder.spender.seconds}))

    def notice(self) -> None:
        """Someone may have answered, or asked to stop: look."""
        run = self._store.queries.run(self.run.id)
        if run.stopping:
            self._stopping = True
            self._scope.cancel()  # what is in flight; then the run ends
        self._recorder.pause()
        self._recorder.notice()

    def _park(self) -> None:
        self._parking = True
        self._scope.cancel()

    async def _work(self) -> None:
        try:
            while not await self._worked():
                self.run = self._store.queries.run(self.run.id)  # it has paused, and is to go on already
        except (PlanError, ModelError, BudgetError, SettingsError) as error:
            await self._end("failed", str(error))

    async def _worked(self) -> bool:
        """Do what a run of this kind does. False where it has come to rest for a pause that nobody wants any more."""
        try:
            match self.run.kind:
                case "planning":
                    await self._make_plan()
                case "reflection":
                    await self._reflect()
                case "search":
                    await self._search()
                case "rollback":
                    await self._roll_back()
                case _:
                    await self._run_plan()
        except Paused:
            self._parking = self._recorder.pausing()
            return self._parking
        return True

    async def _make_plan(self) -> None:
        slot = self._recorder.slot
        plan = await make_plan(self._brief(), self._tools, self._recorder, slot=slot)
        confidence = await doubt(plan, self._recorder, slot=slot)
        folders = self.run.options["folders"]
        saved = Fact("plan_saved", plan_body(self.run.plan, plan, folders=folders, confidence=confidence))
        await self._recorder.record(saved, self._ended("succeeded", ""))

    def _brief(self) -> Brief:
        """What the planner was told when the run began, so that a resumed run reads its answer the same way."""
        told = self.run.options
        files = cast("Mapping[str, str]", told["files"])
        lists = cast("Mapping[str, list[str]]", told)
        return Brief(str(told["goal"]), str(told["context"]), files, lists["new_files"], lists["lessons"])

    async def _reflect(self) -> None:
        told = self.run.options
        checks = [Check.model_validate(check) for check in cast("Sequence[JSON]", told["checks"])]
        criteria = cast("Sequence[str]", told["criteria"]) or CRITERIA
        refined = await improve(
            Task(str(told["goal"]), criteria, checks),
            str(told["draft"]),
            self._calls(),
            max_iterations=cast("int", told["max_iterations"]),
            threshold=cast("float", told["threshold"]),
        )
        best = refined.best
        answer: dict[str, JSON] = {
            "draft": best.draft,
            "score": round(best.critique.score, 2),
            "round": best.number,
            "stopped": refined.stopped,
            "failing_checks": [f"{each.check}: {each.problem}" for each in best.evidence if each.problem],
        }
        await self._end("failed" if refined.why else "succeeded", refined.why, answer)

    async def _search(self) -> None:
        told = self.run.options
        bounds = cast("Mapping[str, Any]", told["bounds"])
        verifier = None if told["verifier"] is None else Check.model_validate(told["verifier"])
        found = await find(
            Quest(str(told["goal"]), verifier=verifier, **bounds), cast("Kind", told["world"]), self._calls()
        )
        way = [node.state[-1] for node in found.path]
        answer: dict[str, JSON] = {
            "answer": way[-1].result if way and found.best.terminal else "",
            "solved": found.solved,
            "value": round(found.best.value, 3),
            "stopped": found.stopped,
            "path": [asdict(move) for move in way],
        }
        problem = (
            "" if found.solved else f"No solution was found ({found.stopped}). The best way so far is in the answer."
        )
        await self._end("succeeded" if found.solved else "failed", problem, answer, found.root.lessons)

    async def _roll_back(self) -> None:
        told = self.run.options
        run, step = str(told["of"]), cast("int | None", told["step"])
        calls = frozenset(cast("Sequence[str]", told["calls"]))
        effects = [each for each in effects_of(self._store, run) if each.key in calls]
        of = f"run {run}" + (f", step {step}," if step else "")
        taken = await roll_back(
            effects,
            self._tools,
            self._recorder,
            self._recorder,
            slot=self._recorder.slot,
            of=of,
            lasting=cast("list[str]", told["lasting"]),
        )
        if isinstance(taken, Problem):
            await self._end("failed", taken.text)
            return
        left = [each for each in taken if each.verdict in ("conflict", "failed")]
        problem = "; ".join(f"{each.verdict}: {each.told}" for each in left)
        await self._end("failed" if left else "succeeded", problem, {"undone": [each.body() for each in taken]})

    def _calls(self) -> ToolCalls:
        return ToolCalls(self._tools, self._recorder, self._recorder, self._terms.policy, self._recorder.slot)

    async def _run_plan(self) -> None:
        plan = self._load(self.run.plan, self.run.revision) if self.run.revision else None
        rows = [row for row in self._store.queries.steps(self.run.id) if not row.dropped]
        finished = {row.id: _outcome(row) for row in rows if row.state in SETTLED and not row.doubt}
        for row in rows:
            if row.state == "running" and row.arguments is not None and not row.returned and not row.doubt:
                step = self._step(row)
                if not self._tools.repeatable(step.tool):
                    await self._steps.in_doubt(step, cast("Mapping[str, JSON]", row.arguments))
        terms = self._terms
        ended = await run_plan(
            plan,
            self._brief() if plan is None else self._look(plan.goal),
            ports=Ports(
                self._tools,
                journal=self._recorder,
                steps=self._steps,
                approver=self._recorder,
                budget=self._recorder.spender.budget,
                estimate=lambda plan: estimate(plan, self._tools, self._models),
                slot=self._recorder.slot,
            ),
            rules=Rules(
                terms.policy, terms.replan, terms.max_replans - self.run.replans, terms.max_parallel, terms.strategies
            ),
            resumed=Resumed(finished, self._failed_calls()),
        )
        await self._end_run(ended)

    async def _end_run(self, ended: Ended) -> None:
        failed = [
            f"{ended.plan.by_id[step].tool} {json.dumps(ended.plan.by_id[step].arguments, ensure_ascii=False)[:150]}"
            f" failed: {outcome.error[:200]}"
            for step, outcome in sorted(ended.outcomes.items())
            if outcome.state == "failed" and step in ended.plan.by_id
        ]
        refused = any(outcome.state == "rejected" for outcome in ended.outcomes.values())  # that has taught already
        taught = failed or ([] if refused else [ended.error])
        await self._end("failed" if ended.error else "succeeded", ended.error, ended.answer, taught)

    def _failed_calls(self) -> dict[str, str]:
        """What the calls that failed in this run said, by the digests of what was planned and what was called."""
        found: dict[str, str] = {}
        rows = {row.id: row for row in self._store.queries.steps(self.run.id) if row.state in ("failed", "rejected")}
        for revision in range(1, self.run.revision + 1) if rows else ():
            for step in self._load(self.run.plan, revision).steps:
                if step.id in rows:
                    row = rows[step.id]
                    called = cast("Mapping[str, JSON]", row.arguments or step.arguments)
                    found |= {digest(step.tool, step.arguments): row.error, digest(step.tool, called): row.error}
        return found

    def _ended(self, state: str, error: str, answer: JSON = "") -> Fact:
        told: dict[str, JSON] = {"state": state, "error": error, "answer": answer}
        return Fact("run_ended", {**told, "seconds": self._recorder.spender.seconds})

    async def _end(self, state: str, error: str, answer: JSON = "", taught: Sequence[str] = ()) -> None:
        """`taught` is what a failure is to be remembered for."""
        lessons = learned(self._store, self.run, taught) if state == "failed" and self._lessons else []
        await self._recorder.record(self._ended(state, error, answer), *lessons)

    async def _end_stopped(self) -> None:
        rows = [
            row
            for row in self._store.queries.steps(self.run.id)
            if (row.doubt or row.state not in SETTLED) and not row.dropped
        ]
        calls = self._cut_off_calls()
        facts = [settled_fact(row.id, self._cut_off(row, calls.get(row.id, ""))) for row in rows]
        why = self._why_stopped() + (f" {calls[None]}: {IN_DOUBT}." if None in calls else "")
        await self._recorder.record(*facts, self._ended("cancelled", why))

    def _cut_off_calls(self) -> dict[int | None, str]:
        """The tools that checks and searches were calling, of a step or of the run, and that may have taken effect."""
        calls = self._store.queries.messages(self.run.id, "call")
        cut_off = {call.step: str(call.body["tool"]) for call in calls if call.state == "open" and "tool" in call.body}
        return {step: tool for step, tool in cut_off.items() if not self._tools.repeatable(tool)}

    def _why_stopped(self) -> str:
        decisions = [decision_of(gate) for gate in self._store.queries.messages(self.run.id, "gate") if gate.answer]
        said = [f"Cancelled by a person. {each.reason}" for each in decisions if each.verb == "cancel"]
        return said[0].strip() if said else "Stopped on request."

    def _cut_off(self, row: StepRow, calling: str) -> Outcome:
        if row.doubt:
            return Outcome("in_doubt", error=IN_DOUBT)
        if calling:
            return Outcome("in_doubt", value=row.result, error=f"{calling}: {IN_DOUBT}")
        if row.returned:
            return Outcome("failed", value=row.result, error="it was not judged: the run was stopped")
        if row.state != "running" or row.arguments is None:
            return Outcome("skipped", error="the run was stopped")
        if self._tools.repeatable(self._step(row).tool):
            return Outcome("failed", error="cut off: the run was stopped")
        return Outcome("in_doubt", error=IN_DOUBT)

    def _step(self, row: StepRow) -> Step:
        if row.body is not None:
            return Step.model_validate(row.body)
        return self._load(self.run.plan, self._store.queries.run(self.run.id).revision).by_id[row.id]


def _outcome(row: StepRow) -> Outcome:
    return Outcome(row.state, value=row.result, error=row.error, attempts=row.attempt)
