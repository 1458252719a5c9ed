"""What drives runs: from the request that starts one to the entry that ends it."""

__all__ = ["Engine"]

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from forethought.engine.ages import Ages
from forethought.engine.records import Records
from forethought.journal.codec import decision_of
from forethought.journal.rows import MessageRow
from forethought.journal.store import Store
from forethought.models import Models
from forethought_patterns import Brief


async def _only_the_goal(goal: str) -> Brief:
    return Brief(goal)


@dataclass(frozen=True)
class Engine:
    """What every run of one process is driven with."""

    store: Store
    records: Records
    models: Models
    brief: Callable[[str], Awaitable[Brief]] = _only_the_goal
    """What a planner is told of a goal."""
    decision_seconds: float = 3600.0
    """How long an approval that was not used yet is good for."""
    lessons: bool = True
    """Whether failures and refusals teach."""
    recipes: bool = True
    """Whether plans that have reached their goals are kept."""
    lease_seconds: float = 600.0
    """How long a piece of work is its taker's without a word."""
    shown: Callable[[str], str] = str
    """What may be told of a text while it is being written: no secret, and no beginning of one."""
    ages: Ages = field(default_factory=Ages)

    def is_late(self, gate: MessageRow) -> bool:
        """An approval is good for a while only: the world may have changed since it was given."""
        if gate.answered is None or not decision_of(gate).approved:
            return False
        return self.ages.is_older(gate, self.decision_seconds)
