"""The scheduler: a step starts when its last input is ready, and a failing tool is data."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought_patterns import Outcome, Plan, Rejected, Slot, Step, Watcher, execute
from forethought_tools import JSON, Limits, ToolError

pytestmark = pytest.mark.anyio

Arguments = Mapping[str, JSON]


def _plan(*needs: tuple[int, ...], tool: str = "t") -> Plan:
    return Plan("g", tuple(Step(id=i, tool=tool, depends_on=n) for i, n in enumerate(needs, 1)))


def _states(outcomes: Mapping[int, Outcome]) -> dict[int, str]:
    return {step: outcome.state for step, outcome in sorted(outcomes.items())}


async def test_a_step_starts_when_its_own_inputs_are_ready_not_when_a_wave_ends() -> None:
    slow_may_end = anyio.Event()

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        if step.id == 2:
            await slow_may_end.wait()  # ends only once step 3, which needs step 1 alone, has run
        if step.id == 3:
            slow_may_end.set()
        return step.id

    with anyio.fail_after(60):
        outcomes = await execute(_plan((), (), (1,)), call)
    assert set(_states(outcomes).values()) == {"succeeded"}


async def test_a_failing_tool_skips_its_dependents_and_leaves_its_siblings_alone() -> None:
    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        if step.id == 1:
            raise RuntimeError("boom")
        return step.id

    with anyio.fail_after(60):
        outcomes = await execute(_plan((), (), (1,), (3,), (2,)), call)
    assert _states(outcomes) == {1: "failed", 2: "succeeded", 3: "skipped", 4: "skipped", 5: "succeeded"}
    assert outcomes[1].error == "t failed: RuntimeError: boom"
    assert outcomes[4].error == "it needs step 1, which failed"


async def test_results_reach_dependents_with_their_types_and_are_not_read_again() -> None:
    seen: dict[int, Arguments] = {}

    async def call(step: Step, arguments: Arguments, slot: Slot) -> JSON:
        seen[step.id] = arguments
        return {"n": [1, 2.5], "text": "price is {{1}} only"}

    plan = Plan(
        "g",
        (
            Step(id=1, tool="t", arguments={"q": "x", "k": 2}),
            Step(id=2, tool="t", arguments={"whole": "{{1}}", "part": "{{1.n.1}}", "inside": "<{{1.text}}>"}),
        ),
    )
    await execute(plan, call)
    assert seen[1] == {"q": "x", "k": 2}
    assert seen[2] == {
        "whole": {"n": [1, 2.5], "text": "price is {{1}} only"},
        "part": 2.5,
        "inside": "<price is {{1}} only>",
    }


async def test_a_reference_to_a_missing_part_fails_only_its_step() -> None:
    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        return {"a": 1}

    plan = Plan("g", (Step(id=1, tool="t"), Step(id=2, tool="t", arguments={"x": "{{1.b}}"})))
    outcomes = await execute(plan, call)
    assert outcomes[2].state == "failed"
    assert "has 'a', but no 'b'" in outcomes[2].error


async def test_no_more_calls_run_at_once_than_allowed() -> None:
    now = peak = 0

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await anyio.lowlevel.checkpoint()
        now -= 1
        return None

    await execute(_plan(*[()] * 800), call, max_parallel=7)
    assert peak == 7
    peak = 0
    await execute(_plan(*[()] * 50), call, max_parallel=7, limits=lambda _: Limits(at_once=2))
    assert peak == 2


async def test_the_longest_remaining_chain_goes_first() -> None:
    order: list[int] = []

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        order.append(step.id)
        return None

    await execute(_plan((), (), (2,), (3,)), call, max_parallel=1)
    assert order[0] == 2


async def test_a_step_that_takes_too_long_fails_and_says_so() -> None:
    async def call(_: Step, __: Arguments, slot: Slot) -> JSON:
        await anyio.sleep_forever()
        return None

    with anyio.fail_after(60):
        outcomes = await execute(_plan((), (1,)), call, limits=lambda _: Limits(timeout=0.02))
    assert outcomes[1].error == "t did not finish within 0.02 s."
    assert outcomes[2].state == "skipped"


@pytest.mark.parametrize("seconds", [None, 30])
async def test_a_tool_that_says_that_something_took_too_long_is_quoted_whatever_its_own_limit(
    seconds: float | None,
) -> None:
    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        raise TimeoutError("the printer sleeps")

    outcomes = await execute(_plan(()), call, limits=lambda _: Limits(timeout=seconds))
    assert outcomes[1].error == "t failed: TimeoutError: the printer sleeps"


@pytest.mark.parametrize(("transient", "attempts", "calls"), [(True, 2, 2), (False, 2, 1), (True, 1, 1)])
async def test_only_passing_failures_are_retried_and_only_as_often_as_allowed(
    transient: bool, attempts: int, calls: int
) -> None:
    made = 0

    async def call(_: Step, __: Arguments, slot: Slot) -> JSON:
        nonlocal made
        made += 1
        raise ToolError("not now", transient=transient)

    outcomes = await execute(_plan(()), call, limits=lambda _: Limits(attempts=attempts))
    assert (made, outcomes[1].state, outcomes[1].attempts) == (calls, "failed", calls)


async def test_cancelling_a_run_cancels_what_is_in_flight() -> None:
    started, ended = anyio.Event(), anyio.Event()

    async def call(_: Step, __: Arguments, slot: Slot) -> JSON:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return None

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(execute, _plan(()), call)
            await started.wait()
            tasks.cancel_scope.cancel()
    assert ended.is_set()


async def test_a_rejected_call_is_never_made_and_its_dependents_are_skipped() -> None:
    class No(Watcher):
        async def admit(self, step: Step, arguments: Arguments, slot: Slot) -> Arguments:
            if step.id == 1:
                raise Rejected("no")
            return arguments

    made: list[int] = []

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        made.append(step.id)
        return None

    outcomes = await execute(_plan((), (1,), ()), call, watcher=No())
    assert _states(outcomes) == {1: "rejected", 2: "skipped", 3: "succeeded"}
    assert made == [3]


async def test_a_step_that_waits_for_someone_gives_its_place_to_others() -> None:
    answered = anyio.Event()

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        if step.id == 1:
            async with slot.waiting():
                await answered.wait()
        else:
            answered.set()
        return step.id

    with anyio.fail_after(60):
        outcomes = await execute(_plan((), ()), call, max_parallel=1, limits=lambda _: Limits(timeout=30, at_once=1))
    assert _states(outcomes) == {1: "succeeded", 2: "succeeded"}


async def test_steps_that_come_back_from_waiting_keep_the_limit_of_their_tool() -> None:
    now = peak = gone = 0
    all_gone = anyio.Event()

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        nonlocal now, peak, gone
        async with slot.waiting():
            gone += 1
            if gone == 6:
                all_gone.set()
            await all_gone.wait()
        now += 1
        peak = max(peak, now)
        await anyio.lowlevel.checkpoint()
        now -= 1
        return None

    with anyio.fail_after(60):
        outcomes = await execute(_plan(*[()] * 6), call, limits=lambda _: Limits(timeout=None, at_once=1))
    assert len(outcomes) == 6
    assert peak == 1


async def test_waiting_for_someone_does_not_use_up_the_time_of_a_step() -> None:
    answered = anyio.Event()

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        if step.id == 1:
            async with slot.waiting():
                await answered.wait()
            return "late"
        with anyio.move_on_after(0.2):  # longer than the time-out of step 1
            await anyio.sleep_forever()
        answered.set()
        return None

    limits = {1: Limits(timeout=0.1), 2: Limits(timeout=5)}
    with anyio.fail_after(60):
        outcomes = await execute(_plan((), ()), call, limits=lambda step: limits[step.id])
    assert outcomes[1].value == "late"


async def test_the_watcher_is_told_when_everything_waits_and_only_then() -> None:
    class Stalls(Watcher):
        stalls = 0

        def stalled(self) -> None:
            self.stalls += 1
            assert seen == {1, 2, 3}
            for event in events.values():
                event.set()

    seen: set[int] = set()
    events = {i: anyio.Event() for i in (1, 2)}

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        seen.add(step.id)
        if step.id in events:
            async with slot.waiting():
                await events[step.id].wait()
        return None

    watcher = Stalls()
    with anyio.fail_after(60):
        await execute(_plan((), (), ()), call, max_parallel=1, watcher=watcher)
    assert watcher.stalls >= 1


async def test_finished_steps_are_not_run_again() -> None:
    made: list[int] = []

    async def call(step: Step, arguments: Arguments, slot: Slot) -> JSON:
        made.append(step.id)
        return arguments.get("x")

    plan = Plan(
        "g",
        (
            Step(id=1, tool="t"),
            Step(id=2, tool="t", arguments={"x": "{{1}}"}),
            Step(id=3, tool="t"),
            Step(id=4, tool="t", depends_on=(3,)),
        ),
    )
    done = {1: Outcome("succeeded", value=[7]), 3: Outcome("in_doubt")}
    outcomes = await execute(plan, call, finished=done)
    assert made == [2]
    assert outcomes[2].value == [7]
    assert outcomes[4].error == "it needs step 3, which is in doubt"


async def test_every_fact_is_told_before_it_is_acted_on() -> None:
    facts: list[str] = []

    class Notes(Watcher):
        @asynccontextmanager
        async def starting(self, step: Step, arguments: Arguments, slot: Slot) -> AsyncGenerator[None]:
            await anyio.lowlevel.checkpoint()
            facts.append(f"start {step.id}")
            yield

        async def settled(self, step: Step, outcome: Outcome) -> None:
            await anyio.lowlevel.checkpoint()
            facts.append(f"settled {step.id}")

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        facts.append(f"call {step.id}")
        return None

    await execute(_plan((), (1,)), call, watcher=Notes())
    assert facts == ["start 1", "call 1", "settled 1", "start 2", "call 2", "settled 2"]


async def test_ten_thousand_steps_run() -> None:
    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        return step.id

    plan = _plan(*[(i - 1,) if i % 3 == 0 else () for i in range(1, 10_001)])
    with anyio.fail_after(60):
        assert len(await execute(plan, call)) == 10_000


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 25), parallel=st.integers(1, 5))
def test_every_step_of_any_plan_ends_as_its_inputs_say(data: st.DataObject, size: int, parallel: int) -> None:
    needs = [tuple(data.draw(st.sets(st.integers(1, i), max_size=3))) if i else () for i in range(size)]
    failing = data.draw(st.sets(st.integers(1, size), max_size=4))
    running: set[int] = set()
    done: set[int] = set()

    async def call(step: Step, _: Arguments, slot: Slot) -> JSON:
        assert step.id not in running | done
        assert set(step.needs) <= done
        running.add(step.id)
        assert len(running) <= parallel
        await anyio.lowlevel.checkpoint()
        running.discard(step.id)
        if step.id in failing:
            raise ToolError("no")
        done.add(step.id)
        return step.id

    async def run() -> dict[int, Outcome]:
        with anyio.fail_after(60):
            return await execute(_plan(*needs), call, max_parallel=parallel)

    outcomes = anyio.run(run)
    expected: dict[int, str] = {}
    for step, before in enumerate(needs, 1):
        fed = all(expected[n] == "succeeded" for n in before)
        expected[step] = ("failed" if step in failing else "succeeded") if fed else "skipped"
    assert _states(outcomes) == expected
