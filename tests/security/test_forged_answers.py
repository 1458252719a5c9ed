"""An answer that no person has given, or that they gave for something else, or long ago, lets nothing happen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.client import Client
from tests.server.asking import TOOLS, delete, run_steps, view
from tests.stores import tampering

from forethought.app import open_store
from forethought.engine.ages import Ages
from forethought.gates.decisions import decision_facts
from forethought.journal.rows import Fact
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Decision

pytestmark = pytest.mark.anyio
DAY = 86_400


@pytest.mark.parametrize("ahead", [DAY, -DAY])
async def test_an_approval_of_another_day_lapses_whichever_way_the_clock_was_set(
    make_settings: Callable[..., Settings], work: Path, ahead: int
) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")])
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    store.commit(gate.run, *decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS))
    store.close()
    tampering(settings, f"UPDATE message SET answered = answered + {ahead} WHERE id = '{gate.id}'")
    async with Client(build_server(settings)) as client:
        again = view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
        assert again["status"] == "waiting"
        assert [each["gate"] for each in again["waiting_on"]] == [gate.id], "the same question is open again"
    assert (work / "old.txt").exists()


async def test_while_a_process_lives_no_clock_that_is_set_back_makes_an_answer_younger(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")])
    store = open_store(settings)
    (gate,) = store.queries.open_messages(waiting["run_id"], "gate")
    approved = decision_facts(gate, Decision("approve", by="p", channel="terminal"), TOOLS)
    store.commit(gate.run, *approved, Fact("stop_asked"))
    answer = store.queries.message(gate.id)
    store.close()
    assert answer.answered is not None
    given = answer.answered
    wall, steady = [given], [0.0]
    ages = Ages(lambda: wall[0], lambda: steady[0])
    ages.see([answer])
    steady[0], wall[0] = 3500.0, given + 3500
    assert not ages.is_older(answer, 3600)
    steady[0], wall[0] = 3700.0, given + 100  # an hour has passed, and the clock was set back by it
    assert ages.is_older(answer, 3600)
    assert not Ages(lambda: given - 2, lambda: 0.0).is_older(answer, 3600), "clocks of machines differ"
    assert Ages(lambda: given - 3600, lambda: 0.0).is_older(answer, 3600)
