"""Tree search over actions: Language Agent Tree Search (Zhou et al., arXiv 2310.04406, Algorithm 1 and section 4.2).

Each trajectory selects a node by UCT, expands it, and goes on with the best child to an end, keeping every node; what
comes of it is backed up. Where two moves in a row bring no gain it is cut off, and the estimate is backed up. Nodes are
expanded again as their visits grow. Several trajectories go on at the same time, in step with each other, so that over
the same answers a search is the same search, whoever was quicker.

Nothing here knows of models or tools: a `World` proposes, acts, evaluates and reflects.
"""

__all__ = ["Bounds", "Node", "Observation", "SearchResult", "SearchWatcher", "World", "search"]

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from forethought_patterns.slots import Slot, together
from forethought_patterns.tree import Node, backup, best_leaf, blend, close, mark, ranked, select
from forethought_tools import BudgetError, ModelError

S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")

SOLVED = "solved"
_BARREN = 2  # times in a row that proposals may bring nothing new before a node counts as exhausted


@dataclass(frozen=True, slots=True)
class Observation(Generic[S]):
    """What an action led to."""

    state: S
    """All that matters of the way here. Where states can be hashed, equal ones are evaluated and searched only once."""
    terminal: bool = False
    reward: float | None = None
    """Of a terminal state: from 0 to 1, where 1 is success. None: its evaluation tells."""


class World(Protocol[S, A]):
    """Where a search goes on. Each `propose`, `evaluate` and `reflect` counts as one model call. A `slot` is whoever
    asks, for a world that has to wait for someone."""

    async def propose(self, node: Node[S, A], n: int, slot: Slot) -> Sequence[A]:
        """Up to `n` actions to try from here. One may be named more than once: that counts as agreement on it.
        `node.children` hold what was proposed before, `node.lessons` what went wrong elsewhere."""
        ...

    async def step(self, node: Node[S, A], action: A, slot: Slot) -> Observation[S]:
        """Do it, or imagine it."""
        ...

    async def evaluate(self, nodes: Sequence[Node[S, A]], slot: Slot) -> Sequence[float]:
        """How promising each of these siblings is, from 0 to 1, all in one call."""
        ...

    async def reflect(self, node: Node[S, A], slot: Slot) -> str:
        """What is to be learned from the failed trajectory that ended here. Nothing: it is not asked again."""
        ...


class SearchWatcher(Generic[S, A]):
    """Sees a search as it goes on. Each method is awaited before the search goes on."""

    async def grown(self, node: Node[S, A], children: Sequence[Node[S, A]]) -> None:
        """A node was expanded, and its new children have their values."""

    async def ended(self, number: int, leaf: Node[S, A], reward: float) -> None:
        """A trajectory has ended at `leaf`."""


@dataclass(frozen=True, slots=True)
class SearchResult(Generic[S, A]):
    """What a search has found."""

    solved: bool
    path: Sequence[Node[S, A]]
    """From below the root to `best`."""
    best: Node[S, A]
    """Where it succeeded; else the best leaf. The root only if nothing could be tried."""
    root: Node[S, A]
    model_calls: int
    iterations: int
    stopped: str
    """Why: solved, no solution (every branch is dead), iterations, model calls; or why nobody would go on."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes, and what it goes by. Raises ValueError where one cannot be."""

    iterations: int = 30
    """Trajectories, at most."""
    candidates: int = 5
    """How many actions are asked for at a time (n)."""
    max_depth: int = 7
    """Actions in a row, at most."""
    exploration: float = 1.0
    """Weight of exploration in UCT (w). 0 is greedy."""
    value_weight: float = 0.5
    """Weight of the evaluation against self-consistency in a node's first value (lambda)."""
    parallel: int = 1
    """How many trajectories go on at the same time."""
    model_calls: int | None = None
    """Hard bound on calls of the world's `propose`, `evaluate` and `reflect` together."""
    seed: int | None = None
    """Shuffles new candidates, so that ties fall differently. None: they fall to what was proposed first."""

    def __post_init__(self) -> None:
        for name in ("iterations", "candidates", "max_depth", "parallel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.value_weight <= 1 or self.exploration < 0:
            raise ValueError("value_weight must be from 0 to 1, and exploration at least 0")


_USUAL = Bounds()


async def search(
    root: S,
    world: World[S, A],
    bounds: Bounds = _USUAL,
    *,
    watcher: SearchWatcher[S, A] | None = None,
    slot: Slot | None = None,
) -> SearchResult[S, A]:
    """Search for a terminal state with reward 1.

    Args:
        root: The state to start from.
        world: Proposes, acts, evaluates, reflects.
        bounds: How far the search goes, and what it goes by.
        watcher: Sees the tree grow.
        slot: Whoever searches; what goes on at the same time has slots of its own within.

    Raises:
        ValueError: a value that is not from 0 to 1; values that are not one for each node.
        Exception: whatever the world raises, except ModelError and BudgetError: once there is something to show, they
            end the search.
    """
    chance = None if bounds.seed is None else random.Random(bounds.seed)  # noqa: S311 - breaks ties, keeps no secret
    return await _Search(Node(root), world, bounds, chance, watcher or SearchWatcher(), slot or Slot()).run()


@dataclass
class _Growth(Generic[S, A]):
    """One expansion: the candidates that are new to a node, how often each was proposed, and what they led to."""

    node: Node[S, A]
    candidates: list[tuple[A, int]]
    children: list[Node[S, A]] = field(default_factory=list[Node[S, A]])


@dataclass
class _Search(Generic[S, A]):
    root: Node[S, A]
    world: World[S, A]
    bounds: Bounds
    chance: random.Random | None
    watcher: SearchWatcher[S, A]
    slot: Slot
    calls: int = 0
    started: int = 0
    ended: int = 0
    stopped: str = ""
    reflections: int = 3
    """How many more failures are reflected upon."""
    active: list[Node[S, A]] = field(default_factory=list[Node[S, A]])
    """Where each trajectory stands."""
    states: dict[Any, Node[S, A]] = field(default_factory=dict[Any, Node[S, A]])
    """The node nearest to the root of each state that can be hashed."""
    estimates: dict[Any, float] = field(default_factory=dict[Any, float])
    barren: dict[Node[S, A], int] = field(default_factory=dict[Node[S, A], int])

    async def run(self) -> SearchResult[S, A]:
        self._repeats(self.root)
        try:
            while not self.stopped:
                self._select()
                if not self.active:
                    self.stopped = "no solution" if self.root.dead else "iterations"
                    break
                growths = await self._expand()
                await self._evaluate(growths)
                await self._go_on(growths)
        except (ModelError, BudgetError) as error:
            if not self.root.children:
                raise
            self.stopped = str(error)
        best = best_leaf(self.root)
        return SearchResult(self.stopped == SOLVED, best.way, best, self.root, self.calls, self.started, self.stopped)

    def _select(self) -> None:
        """Start trajectories, as many as may go on at the same time."""
        while len(self.active) < self.bounds.parallel and self.started < self.bounds.iterations:
            node = select(self.root, self.bounds.exploration, self.active)
            if node is None:
                return
            mark(node, 1)
            self.started += 1
            self.active.append(node)

    async def _expand(self) -> list[_Growth[S, A]]:
        """Ask for candidates where each trajectory stands, and try those that are new."""
        asking = self._afforded(self.active)
        said = await self._together([partial(self.world.propose, node, self.bounds.candidates) for node in asking])
        growths = [_Growth(node, self._fresh(node, actions)) for node, actions in zip(asking, said, strict=True)]
        tries = [partial(self.world.step, growth.node, action) for growth in growths for action, _ in growth.candidates]
        observations = iter(await self._together(tries))
        for growth in growths:
            for action, sampled in growth.candidates:
                observation = next(observations)
                child = growth.node.grow(action, observation.state, sampled)
                child.terminal = observation.terminal
                if observation.terminal:
                    child.reward = None if observation.reward is None else _share(observation.reward)
                else:
                    child.repeats = self._repeats(child)
                growth.children.append(child)
        return growths

    def _fresh(self, node: Node[S, A], actions: Sequence[A]) -> list[tuple[A, int]]:
        """The actions that are new here, with how often each was named. Others add to the count of their node."""
        node.proposals += 1
        fresh: list[tuple[A, int]] = []
        for action in actions:
            known = next((child for child in node.children if child.action == action), None)
            place = next((place for place, (other, _) in enumerate(fresh) if other == action), None)
            if known is not None:
                known.sampled += 1
            elif place is not None:
                fresh[place] = (action, fresh[place][1] + 1)
            elif len(fresh) < self.bounds.candidates:
                fresh.append((action, 1))
        if self.chance is not None:
            self.chance.shuffle(fresh)
        self.barren[node] = 0 if fresh else self.barren.get(node, 0) + 1
        node.exhausted = self.barren[node] >= _BARREN or not actions
        return fresh

    async def _evaluate(self, growths: Sequence[_Growth[S, A]]) -> None:
        """Give the new nodes their values: one call for all siblings, and none for what is known already."""
        over = any(child.succeeded for growth in growths for child in growth.children)
        unknown = [
            (growth, children) for growth in growths if not over and (children := self._unknown(growth.children))
        ]
        asking = self._afforded(unknown)
        values = await self._together([partial(self.world.evaluate, children) for _, children in asking])
        for (_, children), said in zip(asking, values, strict=True):
            if len(said) != len(children):
                raise ValueError(f"evaluate returned {len(said)} values for {len(children)} nodes")
            for child, value in zip(children, said, strict=True):
                child.estimate = _share(value)
                if child.terminal:
                    child.reward = child.estimate
                elif _is_key(child.state):
                    self.estimates[child.state] = child.estimate
        for growth in growths:
            blend(growth.node, self.bounds.value_weight)

    def _unknown(self, children: Sequence[Node[S, A]]) -> list[Node[S, A]]:
        """The nodes whose values somebody has to tell; equal states share one."""
        unknown: list[Node[S, A]] = []
        for child in children:
            if child.reward is not None or child.repeats:
                continue
            if not child.terminal and _is_key(child.state) and child.state in self.estimates:
                child.estimate = self.estimates[child.state]
            else:
                unknown.append(child)
        return unknown

    async def _go_on(self, growths: Sequence[_Growth[S, A]]) -> None:
        """Move each trajectory to its best child, or end it and back up what it has come to."""
        moved: list[Node[S, A]] = []
        failed: list[Node[S, A]] = []
        for growth in growths:
            node = growth.node
            await self.watcher.grown(node, growth.children)
            self._close(growth)
            success = next((child for child in growth.children if child.succeeded), None)
            further = None if success or self.stopped else self._further(node, moved)
            if further is not None:
                mark(further, 1, above=node)
                moved.append(further)
                continue
            if self.stopped and success is None:
                continue  # it was cut off, and has come to nothing yet
            leaf = success or max(growth.children, key=lambda child: (child.reward or 0.0, child.value), default=node)
            mark(node, -1)
            await self._end(leaf)
            if success is None and growth.children:
                failed.append(leaf)
        self.active = moved
        if not self.stopped:
            await self._reflect(failed)

    def _further(self, node: Node[S, A], moved: Sequence[Node[S, A]]) -> Node[S, A] | None:
        """Where a trajectory goes on: below the best child that is free, unless two moves in a row bring no gain."""
        for child in ranked(node, self.bounds.exploration):
            if (found := select(child, self.bounds.exploration, [*self.active, *moved])) is not None:
                return None if found.parent is node and _idle(node, found) else found
        return None

    def _close(self, growth: _Growth[S, A]) -> None:
        for child in growth.children:
            if child.terminal or child.repeats or child.depth >= self.bounds.max_depth:
                close(child)
        if growth.node.exhausted and all(child.dead for child in growth.node.children):
            close(growth.node)

    async def _end(self, leaf: Node[S, A]) -> None:
        reward = leaf.estimate if leaf.reward is None else leaf.reward
        backup(leaf, reward)
        self.ended += 1
        await self.watcher.ended(self.ended, leaf, reward)
        if leaf.succeeded:
            self.stopped = SOLVED

    async def _reflect(self, failed: Sequence[Node[S, A]]) -> None:
        """Learn from trajectories that have failed: at most three lessons in one search."""
        asking = self._afforded(failed[: self.reflections])
        self.reflections -= len(asking)
        for lesson in await self._together([partial(self.world.reflect, leaf) for leaf in asking]):
            if not lesson.strip():
                self.reflections = 0
            elif lesson.strip() not in self.root.lessons:
                self.root.lessons.append(lesson.strip())

    def _afforded(self, wanted: Sequence[T]) -> Sequence[T]:
        """As many as there are model calls left for; these are spent now."""
        afforded = wanted if self.bounds.model_calls is None else wanted[: max(0, self.bounds.model_calls - self.calls)]
        self.calls += len(afforded)
        if len(afforded) < len(wanted) and not self.stopped:
            self.stopped = "model calls"
        return afforded

    def _repeats(self, node: Node[S, A]) -> bool:
        """Whether a node at least as near to the root has the same state already."""
        if not _is_key(node.state):
            return False
        known = self.states.setdefault(node.state, node)
        if known is node or known.depth > node.depth:
            self.states[node.state] = node
            return False
        return True

    async def _together(self, calls: Sequence[Callable[[Slot], Awaitable[T]]]) -> list[T]:
        return await together(self.slot, calls)


def _idle(node: Node[S, A], child: Node[S, A]) -> bool:
    """Whether neither this node nor the next is worth more than the one before them."""
    before = node.parent
    return before is not None and before.parent is not None and max(node.prior, child.prior) <= before.prior


def _is_key(state: object) -> bool:
    try:
        hash(state)
    except TypeError:
        return False
    return True


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"a value must be from 0 to 1, not {value}")
    return float(value)
