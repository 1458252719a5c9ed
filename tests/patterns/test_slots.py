"""Who waits gives their seat to others; what is done together waits as one; decisions pass every `except Exception`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from forethought_patterns import Happened, Paused, Rejected, Signal, Slot, together

pytestmark = pytest.mark.anyio


@dataclass
class Noted:
    """A seat that remembers what was done with it."""

    log: list[str] = field(default_factory=list[str])
    left: anyio.Event = field(default_factory=anyio.Event)

    def leave(self) -> None:
        self.log.append("leave")
        self.left.set()

    async def rejoin(self) -> None:
        self.log.append("rejoin")

    def abandon(self) -> None:
        self.log.append("abandon")


def _waits_for(event: anyio.Event, value: int) -> Callable[[Slot], Awaitable[int]]:
    async def call(slot: Slot) -> int:
        async with slot.waiting():
            await event.wait()
        await anyio.lowlevel.checkpoint()  # as whoever records the answer does
        return value

    return call


async def test_each_has_a_slot_of_its_own_in_the_same_step_and_results_keep_their_order() -> None:
    slots: list[Slot] = []
    second_was_quicker = anyio.Event()

    async def first(slot: Slot) -> int:
        slots.append(slot)
        await second_was_quicker.wait()
        return 1

    async def second(slot: Slot) -> int:
        slots.append(slot)
        second_was_quicker.set()
        return 2

    with anyio.fail_after(5):
        assert await together(Slot(7, Noted()), [first, second]) == [1, 2]
    assert [slot.step for slot in slots] == [7, 7]
    assert slots[0] != slots[1]
    assert not any(slot.alone for slot in slots)


async def test_when_all_wait_it_is_the_step_around_them_that_waits() -> None:
    seat, answered = Noted(), anyio.Event()

    async def answer(_: Slot) -> int:
        await anyio.wait_all_tasks_blocked()
        assert seat.log == [], "one is still at work"
        return 3

    async def someone() -> None:
        await seat.left.wait()
        answered.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(someone)
            assert await together(Slot(1, seat), [_waits_for(answered, 1), _waits_for(answered, 2), answer]) == [
                1,
                2,
                3,
            ]
    assert seat.log == ["leave", "rejoin"]


async def test_when_all_wait_and_nothing_is_around_them_the_run_is_stalled() -> None:
    answered = anyio.Event()
    run = Slot(stalled=answered.set)
    assert run.alone
    with anyio.fail_after(5):
        assert await together(run, [_waits_for(answered, 1), _waits_for(answered, 2)]) == [1, 2]


async def test_a_wait_that_is_cancelled_takes_no_seat_back() -> None:
    seat = Noted()
    with anyio.move_on_after(5) as scope:
        async with Slot(1, seat).waiting():
            scope.cancel()
            await anyio.sleep_forever()
    assert seat.log == ["leave", "abandon"]


@pytest.mark.parametrize("error", [ValueError("no"), Rejected("no")])
async def test_all_of_it_ends_before_the_first_error_is_raised(error: BaseException) -> None:
    ended: list[int] = []

    async def fails(_: Slot) -> None:
        raise error

    async def goes_on(_: Slot) -> None:
        await anyio.wait_all_tasks_blocked()
        ended.append(1)

    with anyio.fail_after(5), pytest.raises(type(error)):
        await together(Slot(), [goes_on, fails, goes_on])
    assert ended == [1, 1]


@pytest.mark.parametrize("signal", [Paused(), Rejected("no"), Happened(1)])
async def test_a_decision_is_no_exception(signal: Signal) -> None:
    assert not isinstance(signal, Exception)
