"""One activation of one run: re-runs a pattern over what is recorded, and records what is new.

A driver is what a pattern sees as its `Journal` and its `Approver`. When nothing can go on without someone outside,
it parks: the run becomes rows only, and whoever answers has it driven again, by this process or another.
"""

__all__ = ["Driver"]

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import cast

import anyio
import anyio.lowlevel

from forethought.models import Models
from forethought.rows import Fact, MessageRow, RunRow, StepRow
from forethought.store import Store, new_id
from forethought_patterns import (
    Answer,
    Brief,
    Decision,
    Gate,
    Outcome,
    Plan,
    Step,
    Usage,
    make_plan,
    run_plan,
    waiting,
)
from forethought_patterns.planner import Form, doubt
from forethought_tools import JSON, FencedError, ForethoughtError, ModelError, Question, Registry, StoreError

logger = logging.getLogger(__name__)

SETTLED = frozenset({"succeeded", "failed", "skipped", "rejected", "in_doubt"})


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
        changed: Callable[[RunRow], None],
    ) -> None:
        self.run = run
        self._store = store
        self._tools = tools
        self._models = models
        self._load = load
        self._changed = changed
        self._scope = anyio.CancelScope()
        self._wanted: dict[str, anyio.Event] = {}
        self._attempts: dict[int, int] = {}
        self._interrupted: set[int] = set()  # steps that were parked in the middle of an attempt
        self._parking = False
        self._stopping = bool(run.stopping)

    # Driving

    async def drive(self) -> None:
        """Go on with the run. Returns when it has ended or is parked.

        Raises (in a group):
            FencedError: the run belongs to another process now.
            StoreError: the journal cannot be written; the run stops where it is.
        """
        with self._scope:
            if self._stopping:
                self._scope.cancel()
            await anyio.lowlevel.checkpoint()
            try:
                await self._work()
            except* (FencedError, StoreError):
                raise
            except* Exception as group:
                logger.exception("run %s failed", self.run.id)
                await self._end("failed", f"Internal error: {type(group.exceptions[0]).__name__}. The log has more.")
        if self._store.run(self.run.id).state != "running":
            return  # it ended before the cancellation reached it
        if self._stopping:
            await self._end_stopped()
        elif self._parking:
            await self._record(Fact("run_parked"))

    def stop(self) -> None:
        """Cancel what is in flight, and end the run as cancelled."""
        self._stopping = True
        self._scope.cancel()

    def notice(self) -> None:
        """Someone may have answered, or asked to stop: look."""
        if self._store.run(self.run.id).stopping and not self._stopping:
            self.stop()
        if self._wanted:
            for message_id in self._wanted.keys() - self._store.open_ids(self.run.id):
                self._wanted.pop(message_id).set()

    async def _work(self) -> None:
        if self.run.kind == "planning":
            await self._make_plan()
        else:
            await self._run_plan()

    async def _make_plan(self) -> None:
        told = self.run.options
        files = cast("Mapping[str, str]", told["files"])
        names = cast("list[str]", told["new_files"])
        brief = Brief(str(told["goal"]), str(told["context"]), files, names)
        try:
            plan = await make_plan(brief, self._tools, self, form=self._form())
            confidence = await doubt(plan, self)
        except* ForethoughtError as group:
            await self._end("failed", str(group.exceptions[0]))
        else:
            saved = Fact("plan_saved", plan_body(self.run.plan, plan, confidence))
            await self._record(saved, Fact("run_ended", {"state": "succeeded", "error": ""}))

    def _form(self) -> Form:
        model = self._models.for_role("planner")
        return "wire" if model is None else "lean" if model.lean else "flat"

    async def _run_plan(self) -> None:
        plan = self._load(self.run.plan, cast("int", self.run.options["revision"]))
        rows = self._store.steps(self.run.id)
        self._attempts = {row.id: row.attempt for row in rows}
        self._interrupted = {row.id for row in rows if row.state == "waiting" and row.arguments is not None}
        finished = {row.id: _outcome(row) for row in rows if row.state in SETTLED}
        for row in rows:
            if row.state == "running" and not self._tools.repeatable(plan.by_id[row.id].tool):
                finished[row.id] = Outcome("in_doubt", error=_IN_DOUBT)
                await self.settled(plan.by_id[row.id], finished[row.id])
        outcomes = await run_plan(
            plan,
            tools=self._tools,
            journal=self,
            approver=self,
            max_parallel=cast("int", self.run.options["max_parallel"]),
            finished=finished,
        )
        bad = [f"step {step} {_VERB[outcome.state]}: {outcome.error}" for step, outcome in sorted(outcomes.items())
               if outcome.state not in ("succeeded", "skipped")]  # fmt: skip
        await self._end("failed" if bad else "succeeded", "\n".join(bad))

    async def _end(self, state: str, error: str) -> None:
        await self._record(Fact("run_ended", {"state": state, "error": error}))

    async def _end_stopped(self) -> None:
        open_steps = [row for row in self._store.steps(self.run.id) if row.state not in SETTLED]
        facts = [_settled(row.id, self._cut_off(row)) for row in open_steps]
        await self._record(*facts, Fact("run_ended", {"state": "cancelled", "error": "Stopped on request."}))

    def _cut_off(self, row: StepRow) -> Outcome:
        if row.state != "running":
            return Outcome("skipped", error="the run was stopped")
        plan = self._load(self.run.plan, cast("int", self.run.options["revision"]))
        if self._tools.repeatable(plan.by_id[row.id].tool):
            return Outcome("failed", error="cut off: the run was stopped")
        return Outcome("in_doubt", error=_IN_DOUBT)

    async def _record(self, *facts: Fact) -> None:
        await self._store.write(self.run.id, *facts, epoch=self.run.epoch)
        self._changed(self.run)

    # What a pattern calls

    async def ask(self, key: str, question: Question, *, step: int | None = None) -> JSON:
        known = self._store.message_for(self.run.id, key)
        if known and known.state in ("answered", "used"):
            return known.answer
        model = self._models.for_role(question.role)
        if model is not None:
            return (await self._ask_model(key, question, step, known, model.answer)).value
        if known is None:
            known = await self._open("order", key, _body(question), step)
        return (await self._outside(known)).answer

    async def judge(self, key: str, question: Question) -> float | None:
        known = self._store.message_for(self.run.id, key)
        if known and known.state in ("answered", "used"):
            return cast("float | None", known.answer)
        model = self._models.for_role(question.role)
        if model is None:
            return None
        try:
            answer = await self._ask_model(key, question, None, known, model.verdict)
        except ModelError as error:
            logger.warning("no verdict: %s", error)  # an opinion is worth having, and not worth failing for
            return None
        return cast("float", answer.value)

    async def decide(self, gate: Gate) -> Decision:
        key = f"gate/{gate.step}/{self._attempts[gate.step]}/{gate.digest}"
        known = self._store.message_for(self.run.id, key)
        if known is None:
            body: dict[str, JSON] = {**asdict(gate), "risk": str(gate.risk)}
            known = await self._open("gate", key, body, gate.step)
        answer = (await self._outside(known)).answer
        return Decision(**cast("dict[str, str]", answer))  # type: ignore[arg-type]  # written by `Runs.decide` only

    async def started(self, step: Step, arguments: Mapping[str, JSON]) -> None:
        if step.id not in self._interrupted:
            await self._record(Fact("step_started", {"step": step.id, "arguments": arguments}))

    async def retrying(self, step: Step, error: str, delay: float) -> None:
        self._attempts[step.id] += 1
        self._interrupted.discard(step.id)
        await self._record(Fact("step_retrying", {"step": step.id, "error": error, "delay": delay}))

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self._record(_settled(step.id, outcome))

    def attempt(self, step: Step) -> int:
        return self._attempts[step.id]

    def stalled(self) -> None:
        self._parking = True
        self._scope.cancel()

    # Questions

    async def _ask_model(
        self,
        key: str,
        question: Question,
        step: int | None,
        known: MessageRow | None,
        answering: Callable[[Question], Awaitable[Answer]],
    ) -> Answer:
        if known is None:
            known = await self._open("question", key, _body(question), step)
        answer = await answering(question)
        body: dict[str, JSON] = {
            "id": known.id,
            "kind": known.kind,
            "answer": answer.value,
            "by": answer.model,
        }
        await self._record(
            Fact("answered", {**body, "channel": "model", "note": answer.note}),
            Fact("used", {"id": known.id}),
            _spent(answer.usage),
        )
        return answer

    async def _open(self, kind: str, key: str, body: Mapping[str, JSON], step: int | None) -> MessageRow:
        message_id = new_id(kind)
        facts = [Fact("asked", {"id": message_id, "key": key, "kind": kind, "step": step, "body": body})]
        if step is not None and kind != "question":
            facts.append(Fact("step_waiting", {"step": step}))
        await self._record(*facts)
        return self._store.message(message_id)

    async def _outside(self, message: MessageRow) -> MessageRow:
        """Wait until someone outside has answered; then the answer is used up."""
        if message.state == "open":
            async with waiting():
                answered = self._wanted.setdefault(message.id, anyio.Event())
                if self.run.kind == "planning":
                    self.stalled()
                if self._store.message(message.id).state != "open":
                    answered.set()
                await answered.wait()
            message = self._store.message(message.id)
        if message.state == "answered":
            facts = [Fact("used", {"id": message.id})]
            if message.step is not None:
                facts.append(Fact("step_resumed", {"step": message.step}))
            await self._record(*facts)
        return message


def plan_body(plan_id: str, plan: Plan, confidence: float | None) -> dict[str, JSON]:
    """A plan as the store keeps it."""
    steps: list[JSON] = [step.model_dump(mode="json") for step in plan.steps]
    body = {"reasoning": plan.reasoning, "context": plan.context, "steps": steps, "confidence": confidence}
    return {"plan": plan_id, "revision": plan.revision, "goal": plan.goal, "body": body}


def _body(question: Question) -> dict[str, JSON]:
    return {
        "role": question.role,
        "instructions": question.instructions,
        "context": question.context,
        "schema": question.schema,
    }


def _outcome(row: StepRow) -> Outcome:
    return Outcome(row.state, value=row.result, error=row.error, attempts=row.attempt)


def _settled(step: int, outcome: Outcome) -> Fact:
    body: dict[str, JSON] = {"state": outcome.state, "result": outcome.value, "error": outcome.error}
    return Fact("step_settled", {"step": step, **body})


def _spent(usage: Usage) -> Fact:
    return Fact("spent", {**asdict(usage)})


_IN_DOUBT = "the call was cut off: whether it took effect is not known. Look before it is done again"
_VERB = {"failed": "failed", "rejected": "was rejected", "in_doubt": "is in doubt"}
