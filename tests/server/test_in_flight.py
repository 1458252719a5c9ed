"""Calls that must not be cut off keep a pause waiting, each for itself."""

import anyio
import pytest

from forethought.engine.in_flight import InFlight

pytestmark = pytest.mark.anyio


async def test_two_calls_of_one_run_are_in_flight_until_both_have_landed() -> None:
    calls = InFlight()
    calls.begin("check/1")
    calls.begin("check/2")
    calls.land("check/1")
    assert calls, "the other one is still in flight"
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.all_landed)
            await anyio.wait_all_tasks_blocked()
            calls.land("check/2")
    assert not calls
