"""What one run spends: every request of a model is reserved, made and recorded; beyond a limit a person is asked."""

__all__ = ["Spender"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, cast

from forethought.journal.rows import Fact, RunRow
from forethought_patterns import Budget, Charge, Decision, Gate, Model, Problem, Slot, Spending, Usage
from forethought_patterns.gates import digest
from forethought_tools import JSON, BudgetError

_ANSWER = 8192  # the most tokens of one answer where tokens or money are counted


class _Decide(Protocol):
    def __call__(self, gate: Gate, *, key: str, slot: Slot) -> Awaitable[Decision]: ...


class Spender:
    """The budget of one activation of a run, and who may spend it."""

    def __init__(self, run: RunRow, *, record: Callable[[Fact], Awaitable[None]], decide: _Decide) -> None:
        self._run = run
        self._record = record
        self._decide = decide
        self.budget = Budget(
            run.budget,
            Spending(run.dollars, run.input_tokens + run.output_tokens, run.model_calls, run.tool_calls, run.seconds),
            ask=self._beyond,
            tell=self._nearly_spent,
        )

    @property
    def seconds(self) -> float:
        """How long this activation has been at work."""
        return self.budget.spent.seconds - self._run.seconds

    def tool_call(self, slot: Slot) -> AbstractAsyncContextManager[object]:
        """Around the record that a tool is called: the call is paid for once it is on record."""
        return self.budget.reserved(_TOOL_CALL, slot)

    def meter(self, model: Model, slot: Slot) -> "_Meter":
        """What counts the requests of one model, for whoever asks it."""
        return _Meter(self, model, slot)

    @asynccontextmanager
    async def metered(self, model: Model, input_tokens: int, slot: Slot) -> AsyncGenerator[Charge]:
        """Around one request of a model: reserved before, recorded after."""
        most = self._most(model, input_tokens)
        wanted = Usage(1, input_tokens, most or 0)
        dollars = model.cost(wanted)
        if dollars is None and self.budget.room("dollars") is not None:
            await self._unpriced(model, slot)
        usage = Usage()

        def settle(cost: Usage) -> None:
            nonlocal usage
            usage += cost

        async with self.budget.reserved(_spending(wanted, dollars), slot) as reserved:
            yield Charge(most, settle)
            reserved(_spending(usage, model.cost(usage)))
        if usage.calls:
            await self._record(_spent(model, usage))

    def _most(self, model: Model, input_tokens: int) -> int | None:
        """The most tokens that an answer may have, where tokens or money are counted."""
        tokens, dollars = self.budget.room("tokens"), self.budget.room("dollars")
        if tokens is None and (dollars is None or model.cost(Usage(1, 0, 1)) is None):
            return None
        return int(max(256, min(_ANSWER, _ANSWER if tokens is None else tokens - input_tokens)))

    async def _beyond(self, measure: str, limit: float, spent: Spending, slot: Slot) -> float | None:
        first = cast("Mapping[str, float]", cast("Mapping[str, JSON]", self._run.options["terms"])["budget"])[measure]
        raised = limit + max(first, 1.0 if measure != "dollars" else 0.01)
        gate = _beyond_gate(measure, limit, raised, float(getattr(spent, measure)))
        decision = await self._decide(gate, key=f"budget/{measure}/{float(limit)!r}", slot=slot)
        if not decision.approved:
            return None
        wanted = (decision.arguments or {}).get("limit", raised)
        raised = float(wanted) if isinstance(wanted, int | float) else raised
        limits: dict[str, JSON] = {**self.budget.limits, measure: raised}
        await self._record(Fact("budget_raised", {"measure": measure, "limit": raised, "budget": limits}))
        return raised

    async def _nearly_spent(self, measure: str, spent: float, limit: float) -> None:
        await self._record(Fact("budget_nearly_spent", {"measure": measure, "spent": spent, "limit": limit}))

    async def _unpriced(self, model: Model, slot: Slot) -> None:
        gate = Gate(
            kind="budget",
            subject=f"The price of {model.name} is not known, so a budget in dollars cannot count it.",
            details={"model": model.name},
            reason="Approve goes on without counting this model's cost. Reject stops the run with what it has done.",
            digest=digest("unpriced", {"model": model.name}),
            choices=("approve", "reject", "cancel"),
        )
        async with self.budget.asking(slot):
            if not self.budget.refused:
                decision = await self._decide(gate, key=f"budget/unpriced/{model.name}", slot=slot)
                if not decision.approved:
                    why = f"The price of {model.name} is not known, and a person did not want to go on."
                    self.budget.refused = Problem(why)
        if self.budget.refused:
            raise BudgetError(self.budget.refused.text)


_TOOL_CALL = Spending(tool_calls=1)


class _Meter:
    def __init__(self, spender: Spender, model: Model, slot: Slot) -> None:
        self._spender = spender
        self._model = model
        self._slot = slot

    def request(self, input_tokens: int) -> AbstractAsyncContextManager[Charge]:
        return self._spender.metered(self._model, input_tokens, self._slot)


def _beyond_gate(measure: str, limit: float, raised: float, spent: float) -> Gate:
    name = measure.replace("_", " ")
    return Gate(
        kind="budget",
        subject=f"The next call would go beyond the budget of {limit:g} {name}.",
        details={name: f"{spent:g} of {limit:g} are spent"},
        reason=f"Approve raises the limit to {raised:g} {name}, edit to what you say."
        " Reject stops the run with what it has done.",
        digest=digest("budget", {"measure": measure, "limit": limit}),
        choices=("approve", "edit", "reject", "cancel"),
        limit=limit,
    )


def _spent(model: Model, usage: Usage) -> Fact:
    cost = model.cost(usage)
    body: dict[str, JSON] = {
        "model_calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "dollars": cost or 0.0,
        "unpriced": usage.calls if cost is None else 0,
        "by": model.name,
    }
    return Fact("spent", body)


def _spending(usage: Usage, dollars: float | None) -> Spending:
    return Spending(dollars or 0.0, usage.input_tokens + usage.output_tokens, usage.calls)
