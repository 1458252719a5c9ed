"""What a pattern sees of the world: its `Journal` and its `Approver`. Every question, call and decision is recorded
under a name that says what it is for, before it is acted on; what is recorded is not asked or done again.
"""

__all__ = [
    "IN_DOUBT",
    "SETTLED",
    "Recorder",
    "decision_of",
    "gate_of",
    "plan_body",
    "settled_fact",
    "told_spending",
]

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, cast

import anyio

from forethought.models import Models
from forethought.rows import Fact, MessageRow, RunRow, StepRow
from forethought.store import Store, new_id
from forethought_patterns import (
    Answer,
    Budget,
    Charge,
    Decision,
    Form,
    Gate,
    Heard,
    Meter,
    Model,
    Outcome,
    Plan,
    Returned,
    Spending,
    Step,
    Tried,
    Usage,
    waiting,
)
from forethought_patterns.gates import digest
from forethought_tools import JSON, BudgetError, ModelError, Question, Registry, Risk, Role, ToolError

logger = logging.getLogger(__name__)

SETTLED = frozenset({"succeeded", "failed", "skipped", "rejected", "in_doubt"})
IN_DOUBT = "the call was cut off: whether it took effect is not known. Look before it is done again"
_ANSWER = 8192  # the most tokens of one answer where tokens or money are counted


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
        park: Callable[[], None],
        cancel: Callable[[str], None],
    ) -> None:
        """`park` and `cancel` are called when nothing can go on, and when a person does not want it to."""
        self.run = run
        self._store = store
        self._tools = tools
        self._models = models
        self._decision_seconds = decision_seconds
        self._changed = changed
        self._park = park
        self._cancel = cancel
        self._wanted: dict[str, anyio.Event] = {}
        rows = store.steps(run.id)
        self._rows = {row.id for row in rows}
        self._early = {row.id: Step.model_validate(row.body) for row in rows if row.body is not None}
        self._tried = {row.id: _tried(row) for row in rows}
        # Parked in the middle of an attempt: it goes on, and is not begun anew.
        self._under_way = {
            row.id for row in rows if row.arguments is not None and (row.state == "waiting" or row.returned)
        }
        self._allowed = _allowed(store.messages(run.id, "gate"))
        self.budget = Budget(
            run.budget,
            Spending(run.dollars, run.input_tokens + run.output_tokens, run.model_calls, run.tool_calls, run.seconds),
            ask=self._beyond,
            tell=self._nearly_spent,
        )
        self._seconds_before = run.seconds

    @property
    def seconds(self) -> float:
        """How long this activation has been at work."""
        return self.budget.spent.seconds - self._seconds_before

    async def record(self, *facts: Fact) -> None:
        await self._store.write(self.run.id, *facts, epoch=self.run.epoch)
        self._changed(self.run)

    def notice(self) -> None:
        """Someone may have answered."""
        if self._wanted:
            for message_id in self._wanted.keys() - self._store.open_ids(self.run.id):
                self._wanted.pop(message_id).set()

    # What a pattern asks

    def form(self, role: Role) -> Form:
        model = self._models.for_role(role)
        return "wire" if model is None else "lean" if model.lean else "flat"

    async def ask(self, key: str, question: Question, *, step: int | None = None, heard: Heard | None = None) -> JSON:
        known = self._store.message_for(self.run.id, key)
        if known and known.state in ("answered", "used"):
            return known.answer
        model = self._models.for_role(question.role)
        if model is not None:

            async def answer(meter: Meter) -> Answer:
                return await model.answer(question, meter=meter, heard=heard)

            return (await self._ask_model(key, question, step, known, model, answer)).value
        if known is None:
            known = await self._open("order", key, _body(question), step)
        return (await self._outside(known)).answer

    async def judge(self, key: str, question: Question, *, step: int | None = None) -> float | None:
        known = self._store.message_for(self.run.id, key)
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

    async def decide(self, gate: Gate, *, key: str) -> Decision:
        known = self._store.message_for(self.run.id, key)
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
                known = self._store.message(known.id)
            else:
                break
        await self._use(known)
        decision = decision_of(known)
        if decision.verb == "approve_tool":
            self._allowed[gate.tool] = known.id
        if decision.verb == "cancel":
            self._cancel(decision.reason)
            await anyio.sleep_forever()
        return decision

    # What a pattern tells

    def tried(self, step: Step) -> Tried:
        return self._tried.setdefault(step.id, Tried())

    async def arrived(self, step: Step) -> None:
        if step.id not in self._rows:
            self._rows.add(step.id)
            self._early[step.id] = step
            body = step.model_dump(mode="json", by_alias=True, exclude_none=True)
            late = int(self.run.revision > 0)  # the plan has come meanwhile, and does without it
            await self.record(Fact("step_added", {"step": step.id, "body": body, "dropped": late}))

    def early(self) -> Mapping[int, Step]:
        return self._early

    async def started(self, step: Step, arguments: Mapping[str, JSON]) -> None:
        if step.id in self._under_way:
            return
        async with self.budget.reserved(Spending(tool_calls=1)) as settle:
            await self.record(Fact("step_started", {"step": step.id, "arguments": arguments}))
            settle(Spending(tool_calls=1))

    async def returned(self, step: Step, value: JSON) -> None:
        await self.record(Fact("step_returned", {"step": step.id, "result": value}))

    async def retrying(self, step: Step, error: str, delay: float, *, feedback: str = "") -> None:
        tried = self._tried[step.id]
        self._under_way.discard(step.id)
        if feedback:
            self._tried[step.id] = Tried(tried.attempt + 1, tried.round + 1, feedback)
            await self.record(Fact("step_again", {"step": step.id, "error": error, "feedback": feedback}))
        else:
            self._tried[step.id] = replace(tried, attempt=tried.attempt + 1)
            await self.record(Fact("step_retrying", {"step": step.id, "error": error, "delay": delay}))

    async def settled(self, step: Step, outcome: Outcome) -> None:
        await self.record(settled_fact(step.id, outcome))

    async def once(self, key: str, step: int, act: Callable[[], Awaitable[JSON]]) -> JSON:
        known = self._store.message_for(self.run.id, key)
        if known is not None:
            told = cast("Mapping[str, JSON]", known.answer) if known.state == "used" else {"error": IN_DOUBT}
            if "error" in told:
                raise ToolError(str(told["error"]))
            return told["value"]
        async with self.budget.reserved(Spending(tool_calls=1)) as settle:
            known = await self._open("command", key, {}, step, Fact("command_started", {"step": step}))
            settle(Spending(tool_calls=1))
        try:
            value = await act()
        except ToolError as error:
            await self._close(known, {"error": str(error)})
            raise
        await self._close(known, {"value": value})
        return value

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

    def next_step(self) -> int:
        return max(self._rows, default=0) + 1

    def stalled(self) -> None:
        self._park()

    # Money, tokens, calls, seconds

    @asynccontextmanager
    async def metered(self, model: Model, input_tokens: int) -> AsyncGenerator[Charge]:
        """Around one request of a model: reserved before, recorded after."""
        most = self._most(model, input_tokens)
        wanted = Usage(1, input_tokens, most or 0)
        dollars = model.cost(wanted)
        if dollars is None and self.budget.room("dollars") is not None:
            await self._unpriced(model)
        usage = Usage()

        def settle(cost: Usage) -> None:
            nonlocal usage
            usage += cost

        async with self.budget.reserved(_spending(wanted, dollars)) as reserved:
            yield Charge(most, settle)
            reserved(_spending(usage, model.cost(usage)))
        if usage.calls:
            told = {"model_calls": usage.calls, "input_tokens": usage.input_tokens}
            told["output_tokens"] = usage.output_tokens
            cost = model.cost(usage)
            unpriced = usage.calls if cost is None else 0
            await self.record(Fact("spent", {**told, "dollars": cost or 0.0, "unpriced": unpriced, "by": model.name}))

    def _most(self, model: Model, input_tokens: int) -> int | None:
        """The most tokens that an answer may have, where tokens or money are counted."""
        tokens, dollars = self.budget.room("tokens"), self.budget.room("dollars")
        if tokens is None and (dollars is None or model.cost(Usage(1, 0, 1)) is None):
            return None
        return int(max(256, min(_ANSWER, _ANSWER if tokens is None else tokens - input_tokens)))

    async def _beyond(self, measure: str, limit: float, spent: Spending) -> float | None:
        name = measure.replace("_", " ")
        first = cast("Mapping[str, float]", cast("Mapping[str, JSON]", self.run.options["terms"])["budget"])[measure]
        raised = limit + max(first, 1.0 if measure != "dollars" else 0.01)
        gate = Gate(
            kind="budget",
            subject=f"The next call would go beyond the budget of {limit:g} {name}.",
            details={"spent": told_spending(spent), "limit": f"{limit:g} {name}"},
            reason=f"Approve raises the limit to {raised:g} {name}, edit to what you say."
            " Reject stops the run with what it has done.",
            digest=digest("budget", {"measure": measure, "limit": limit}),
            choices=("approve", "edit", "reject", "cancel"),
        )
        decision = await self.decide(gate, key=f"budget/{measure}/{limit:g}")
        if not decision.approved:
            return None
        wanted = (decision.arguments or {}).get("limit", raised)
        raised = float(wanted) if isinstance(wanted, int | float) else raised
        await self.record(Fact("budget_raised", {"measure": measure, "limit": raised}))
        return raised

    async def _nearly_spent(self, measure: str, spent: float, limit: float) -> None:
        await self.record(Fact("budget_nearly_spent", {"measure": measure, "spent": spent, "limit": limit}))

    async def _unpriced(self, model: Model) -> None:
        gate = Gate(
            kind="budget",
            subject=f"The price of {model.name} is not known, so a budget in dollars cannot count it.",
            details={"model": model.name},
            reason="Approve goes on without counting this model's cost. Reject stops the run with what it has done.",
            digest=digest("unpriced", {"model": model.name}),
            choices=("approve", "reject", "cancel"),
        )
        async with self.budget.asking():
            if not self.budget.refused and not (await self.decide(gate, key=f"budget/unpriced/{model.name}")).approved:
                self.budget.refused = f"The price of {model.name} is not known, and a person did not want to go on."
        if self.budget.refused:
            raise BudgetError(self.budget.refused)

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
            known = await self._open("question", key, _body(question), step)
        answer = await answering(_Meter(self, model))
        await self._close(known, answer.value, by=answer.model, note=answer.note)
        return answer

    async def _close(self, message: MessageRow, answer: JSON, *, by: str = "", note: str = "") -> None:
        told: dict[str, JSON] = {"id": message.id, "kind": message.kind, "answer": answer, "by": by}
        await self.record(
            Fact("answered", {**told, "channel": "model" if by else "tool", "note": note}),
            Fact("used", {"id": message.id}),
        )

    async def _open(self, kind: str, key: str, body: Mapping[str, JSON], step: int | None, *more: Fact) -> MessageRow:
        message_id = new_id(kind)
        facts = [Fact("asked", {"id": message_id, "key": key, "kind": kind, "step": step, "body": body}), *more]
        if step is not None and kind in ("gate", "order"):
            facts.append(Fact("step_waiting", {"step": step}))
        await self.record(*facts)
        return self._store.message(message_id)

    async def _outside(self, message: MessageRow) -> MessageRow:
        """Wait until someone outside has answered; then the answer is used up."""
        if message.state == "open":
            await self._answered(message)
            message = self._store.message(message.id)
        await self._use(message)
        return message

    async def _answered(self, message: MessageRow) -> None:
        async with waiting():
            answered = self._wanted.setdefault(message.id, anyio.Event())
            if message.step is None:
                self.stalled()  # it is the run itself that waits
            if self._store.message(message.id).state != "open":
                answered.set()
            await answered.wait()

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
        return self._store.message(message.id)


class _Meter:
    """Counts the requests of one model for one run."""

    def __init__(self, recorder: Recorder, model: Model) -> None:
        self._recorder = recorder
        self._model = model

    def request(self, input_tokens: int) -> AbstractAsyncContextManager[Charge]:
        return self._recorder.metered(self._model, input_tokens)


def gate_body(gate: Gate) -> dict[str, JSON]:
    """A gate as the journal keeps it."""
    return {**asdict(gate), "risk": str(gate.risk)}


def gate_of(message: MessageRow) -> Gate:
    """The gate that a message holds."""
    body: dict[str, Any] = {**message.body, "risk": Risk[str(message.body["risk"]).upper()]}
    return Gate(**body)


def decision_of(message: MessageRow) -> Decision:
    """The decision that a gate's message holds."""
    return Decision(**cast("dict[str, Any]", message.answer), by=message.by, channel=message.channel)


def plan_body(
    plan_id: str, plan: Plan, *, folders: JSON, confidence: float | None = None, why: str = ""
) -> dict[str, JSON]:
    """A plan as the journal keeps it: what its calls mean depends on the folders that it was made for."""
    body: dict[str, JSON] = {
        "reasoning": plan.reasoning,
        "context": plan.context,
        "steps": plan.wire(),
        "planned": plan.planned,
        "approved": plan.approved,
        "folders": folders,
        "confidence": confidence,
        "why": why,
    }
    return {"plan": plan_id, "revision": plan.revision, "goal": plan.goal, "body": body}


def settled_fact(step: int, outcome: Outcome) -> Fact:
    body: dict[str, JSON] = {"state": outcome.state, "result": outcome.value, "error": outcome.error}
    return Fact("step_settled", {"step": step, **body})


def told_spending(spent: Spending) -> str:
    """What was spent, in words."""
    return (
        f"{spent.dollars:.4g} dollars, {spent.tokens} tokens, {spent.model_calls} model calls,"
        f" {spent.tool_calls} tool calls, {spent.seconds:.0f} seconds"
    )


def _tried(row: StepRow) -> Tried:
    arguments = cast("Mapping[str, JSON]", row.arguments)
    returned = Returned(arguments, row.result) if row.returned and row.state not in SETTLED else None
    return Tried(row.attempt, row.round, row.feedback, returned)


def _allowed(gates: Sequence[MessageRow]) -> dict[str, str]:
    """Tools that a person has approved for the rest of this run, with the gate where that was."""
    return {
        str(gate.body["tool"]): gate.id
        for gate in gates
        if isinstance(gate.answer, Mapping) and gate.answer.get("verb") == "approve_tool"
    }


def _spending(usage: Usage, dollars: float | None) -> Spending:
    return Spending(dollars or 0.0, usage.input_tokens + usage.output_tokens, usage.calls)


def _body(question: Question) -> dict[str, JSON]:
    return {
        "role": question.role,
        "instructions": question.instructions,
        "context": question.context,
        "schema": question.schema,
    }
