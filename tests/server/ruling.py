"""A person who makes rules."""

from collections.abc import Mapping
from typing import Any

from forethought.app import open_journal
from forethought.gates.decisions import record_decision, take_decision
from forethought.settings import Settings


async def always(settings: Settings, run: Mapping[str, Any], which: int, *, channel: str = "terminal") -> object:
    """What becomes of it if a person takes this rule at the only question of a run."""
    return await say(settings, run, f"always {which}", channel=channel)


async def say(settings: Settings, run: Mapping[str, Any], decision: str, *, channel: str = "terminal") -> object:
    """What becomes of it if a person says this to the only question of a run."""
    with open_journal(settings) as journal:
        (gate,) = journal.queries.open_messages(str(run["run_id"]), "gate")

        async def record(message: Any, decided: Any) -> None:
            await record_decision(journal.store, journal.records.tools, message, decided)

        return await take_decision(gate, {"decision": decision}, by="p", channel=channel, record=record)
