"""What is spent stays within its limits, however many calls are in flight; beyond them a person is asked."""

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought_patterns import Budget, Slot, Spending
from forethought_tools import BudgetError

pytestmark = pytest.mark.anyio


class Person:
    """Raises a limit as often as told, and remembers being asked."""

    def __init__(self, *raised: float) -> None:
        self.raised = list(raised)
        self.asked: list[tuple[str, float]] = []
        self.told: list[tuple[str, float]] = []

    async def ask(self, measure: str, limit: float, spent: Spending, slot: Slot) -> float | None:
        self.asked.append((measure, limit))
        await anyio.lowlevel.checkpoint()
        return self.raised.pop(0) if self.raised else None

    async def tell(self, measure: str, spent: float, limit: float) -> None:
        self.told.append((measure, spent))


def _budget(person: Person, spent: Spending | None = None, **limits: float) -> Budget:
    return Budget(limits, spent or Spending(), ask=person.ask, tell=person.tell, clock=lambda: 0.0)


@settings(max_examples=100, deadline=None)
@given(
    limit=st.integers(0, 3000),
    costs=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1)), min_size=100, max_size=100),
    pauses=st.integers(0, 5),
)
def test_a_hundred_calls_at_once_do_not_overshoot_together(
    limit: int, costs: list[tuple[int, float]], pauses: int
) -> None:
    async def check() -> None:
        person = Person()
        budget = _budget(person, tokens=limit)
        spent = made = refused = 0

        async def call(most: int, share: float) -> None:
            nonlocal spent, made, refused
            try:
                async with budget.reserved(Spending(tokens=most), Slot()) as settle:
                    for _ in range(pauses):
                        await anyio.lowlevel.checkpoint()
                    used = int(most * share)
                    spent += used
                    made += 1
                    settle(Spending(tokens=used))
                    assert spent <= limit
            except BudgetError:
                refused += 1

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for most, share in costs:
                    tasks.start_soon(call, most, share)
        assert budget.spent.tokens == spent <= limit
        assert made + refused == 100
        assert len(person.asked) == (1 if refused else 0), "a person who has refused is not asked again"

    anyio.run(check)


async def test_a_call_that_may_fit_once_others_have_ended_waits_for_them_and_asks_nobody() -> None:
    person = Person()
    budget = _budget(person, tokens=100)
    order: list[str] = []
    may_end = anyio.Event()

    async def first() -> None:
        async with budget.reserved(Spending(tokens=80), Slot()) as settle:
            await may_end.wait()
            settle(Spending(tokens=10))
            order.append("first")

    async def second() -> None:
        async with budget.reserved(Spending(tokens=80), Slot()) as settle:
            settle(Spending(tokens=80))
            order.append("second")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(second)
            await anyio.lowlevel.checkpoint()
            may_end.set()
    assert order == ["first", "second"]
    assert person.asked == []


async def test_a_person_can_raise_a_limit_and_many_calls_ask_once() -> None:
    person = Person(20)
    budget = _budget(person, model_calls=10)

    async def call() -> None:
        async with budget.reserved(Spending(model_calls=1), Slot()) as settle:
            settle(Spending(model_calls=1))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
    assert person.asked == [("model_calls", 10)]
    assert budget.spent.model_calls == 20
    with pytest.raises(BudgetError, match="budget of 20 model calls is used up"):
        await call()
    with pytest.raises(BudgetError):
        await call()
    assert len(person.asked) == 2


async def test_the_end_is_announced_once_at_four_fifths() -> None:
    person = Person()
    budget = _budget(person, Spending(tool_calls=3), tool_calls=10, dollars=1)
    for _ in range(7):
        async with budget.reserved(Spending(tool_calls=1), Slot()) as settle:
            settle(Spending(tool_calls=1))
    assert person.told == [("tool_calls", 8)]


async def test_seconds_are_those_at_work() -> None:
    now = 0.0
    person = Person()
    budget = Budget({"seconds": 60}, Spending(seconds=50), ask=person.ask, tell=person.tell, clock=lambda: now)
    async with budget.reserved(Spending(model_calls=1), Slot()):
        now = 11.0
    with pytest.raises(BudgetError, match="60 seconds"):
        async with budget.reserved(Spending(model_calls=1), Slot()):
            raise AssertionError("this call was not to be made")
    assert budget.spent.seconds == 61


async def test_what_failed_is_not_held_against_the_budget() -> None:
    budget = _budget(Person(), tokens=10)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            async with budget.reserved(Spending(tokens=10), Slot()):
                raise RuntimeError
    assert budget.spent.tokens == 0
    assert budget.room("tokens") == 10
    assert budget.room("dollars") is None
