"""What a run of a plan is given: ports to work through, rules to follow, and what earlier activations have done."""

__all__ = ["Ports", "Replan", "Resumed", "Rules"]

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forethought_patterns.agent import Bounds
from forethought_patterns.budget import Budget
from forethought_patterns.gates import Policy
from forethought_patterns.loops import MAX_ITEMS
from forethought_patterns.plan import Plan, Strategy
from forethought_patterns.ports import Approver, Journal, PlanJournal
from forethought_patterns.slots import Slot
from forethought_patterns.strategies import Override
from forethought_patterns.watcher import Outcome
from forethought_tools import Look, Registry

Replan: TypeAlias = Literal["on_failure", "every_step", "never"]


def _unknown(_: Plan) -> str:
    return "not known"


@dataclass(frozen=True, slots=True)
class Ports:
    """What a run works through."""

    tools: Registry
    """What steps can call."""
    journal: Journal
    steps: PlanJournal
    approver: Approver
    """Asks a person."""
    budget: Budget
    """What may be spent."""
    estimate: Callable[[Plan], str] = _unknown
    """Tells what a plan may cost, for a person who approves it."""
    look: Look | None = None
    """How files stand, for judging what was done. None: what a goal says of files is not judged."""
    slot: Slot = field(default_factory=Slot)
    """Of the run itself."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run follows."""

    policy: Policy = field(default_factory=Policy)
    """When a person is asked."""
    replan: Replan = "on_failure"
    """When the rest of the plan is planned anew."""
    max_replans: int = 3
    """How often at most."""
    max_parallel: int = 8
    """Calls in flight at once."""
    strategies: Override = field(default_factory=dict[str, Strategy])
    """How steps are done, by id or `*`, instead of what the plan says."""
    max_items: int = MAX_ITEMS
    """Items of one loop."""
    ask_about: Collection[int] = frozenset()
    """Steps that a person is asked about, whatever their risk."""
    agent: Bounds = field(default_factory=Bounds)
    """How far a model of ours goes with the piece of work of one step."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What earlier activations of the same run have done."""

    finished: Mapping[int, Outcome] = field(default_factory=dict[int, Outcome])
    """Steps that have ended."""
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the calls that failed said, by digest."""
    approved: Plan | None = None
    """The latest revision that a person has approved as a whole."""
