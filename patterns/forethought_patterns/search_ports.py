"""What a tree search is given: a world, how far it may go, and whoever watches it."""

__all__ = ["Bounds", "Observation", "SearchWatcher", "World"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from forethought_patterns.slots import Slot
from forethought_patterns.tree import Node

S = TypeVar("S")
A = TypeVar("A")

_WIDEST = 4  # trajectories at the same time, unless more are asked for
_BROAD = range(100, 301)  # calls in all: too few to start with one trajectory at a time, and enough for `_WIDEST`


@dataclass(frozen=True, slots=True)
class Observation(Generic[S]):
    """What an action led to."""

    state: S
    """All that matters of the way here. Equal ones (that can be hashed, and are no ends) are searched once."""
    terminal: bool = False
    reward: float | None = None
    """Of a terminal state: from 0 to 1, where 1 is success. None: its evaluation tells, and has to be confirmed."""


class World(Protocol[S, A]):
    """Where a search goes on. All but `step` are one model call each; a `slot` is for a world that has to wait."""

    async def propose(self, node: Node[S, A], n: int, slot: Slot) -> Sequence[A]:
        """Up to `n` actions to try from here. One may be named more than once: that counts as agreement on it (by hash
        and `==`; by `==` alone where it cannot be hashed). `node.children` hold what was proposed before,
        `node.lessons` what went wrong elsewhere."""
        ...

    async def step(self, node: Node[S, A], action: A, slot: Slot) -> Observation[S]:
        """Do it, or imagine it."""
        ...

    async def evaluate(self, nodes: Sequence[Node[S, A]], slot: Slot) -> Sequence[float]:
        """How promising each of these is, from 0 to 1, all in one call. Siblings stand together; where several
        trajectories go on at the same time there are those of several parents."""
        ...

    async def confirm(self, nodes: Sequence[Node[S, A]], question: int, slot: Slot) -> Sequence[float]:
        """The same of ends that `evaluate` calls a success (1) where no `step` knew: by a question, from 1, that errs
        independently of it and of the others."""
        ...

    async def reflect(self, node: Node[S, A], slot: Slot) -> str:
        """What is to be learned from the failed trajectory that ended here. Nothing: it is not asked again."""
        ...


class SearchWatcher(Generic[S, A]):
    """Sees a search as it goes on. Each method is awaited before the search goes on."""

    async def grown(self, node: Node[S, A], children: Sequence[Node[S, A]]) -> None:
        """A node was expanded, and its new children have their values (a late one that of its parent)."""

    async def valued(self, node: Node[S, A]) -> None:
        """A node that was late has its own value now."""

    async def ended(self, number: int, leaf: Node[S, A], reward: float) -> None:
        """A trajectory has ended at `leaf`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes, and what it goes by. Raises ValueError where one cannot be."""

    iterations: int = 30
    """Trajectories, at most."""
    candidates: int = 5
    """How many actions are asked for at a time (n)."""
    max_depth: int = 7
    """Actions in a row, at most."""
    exploration: float = 0.03
    """Weight of exploration in UCT (w). 0 is greedy."""
    value_weight: float = 0.8
    """Weight of the evaluation against self-consistency in a node's first value (lambda)."""
    parallel: int | None = None
    """How many trajectories go on at the same time, at first. None: four for 100 to 300 model calls, else one."""
    model_calls: int | None = None
    """Hard bound on calls of the world's `propose`, `evaluate`, `confirm` and `reflect` together."""
    seed: int | None = None
    """Shuffles new candidates, so that ties fall differently. None: they fall to what was proposed first."""

    def __post_init__(self) -> None:
        for name in ("iterations", "candidates", "max_depth", "parallel"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not (0 <= self.value_weight <= 1 and self.exploration >= 0 and (self.model_calls or 0) >= 0):
            raise ValueError("value_weight must be from 0 to 1, and exploration and model_calls at least 0")

    @property
    def at_first(self) -> int:
        """How many start together: `parallel`, or what is usual."""
        return self.parallel or (_WIDEST if self.model_calls in _BROAD else 1)

    @property
    def widest(self) -> int:
        """How many may go on at the same time in the end."""
        return max(self.at_first, _WIDEST)
