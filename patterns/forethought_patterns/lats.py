"""Tree search over actions: Language Agent Tree Search (Zhou et al., arXiv 2310.04406, Algorithm 1 and section 4.2).

Each trajectory selects a node by UCT, expands it, has the new nodes evaluated, and goes on below it, keeping every
node; what comes of it is backed up. It goes on only while that is where the whole tree would go next, else the estimate
is backed up; `tree` says what nodes are worth. Several trajectories go on at the same time, more of them the longer the
search takes and the less they differ, in step with each other: over the same answers it is the same search.

Nothing here knows of models or tools: a `World` proposes, acts, evaluates and reflects.
"""

__all__ = ["Bounds", "Node", "Observation", "SearchResult", "SearchWatcher", "World", "search"]

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from forethought_patterns.search_ports import Bounds, Observation, SearchWatcher, World
from forethought_patterns.slots import Slot, together
from forethought_patterns.states import States
from forethought_patterns.tree import (
    News,
    Node,
    Spread,
    backup,
    best_leaf,
    blend,
    catch_up,
    enter,
    leave,
    select,
    settle,
    undoubted,
)
from forethought_tools import BudgetError, ModelError

S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")

SOLVED = "solved"
_DOUBTED = 0.95  # what an end is worth, at most, that only its evaluation calls a success
_PACE = 25  # model calls; for so many, one more trajectory goes on beside the others, and one lesson is asked for
_LESSONS = 3  # at most
_CONFIRMING = ((1, 2), (3, 4), (5, 6))  # questions, two at the same time, until they have decided it
_FEW = 20  # ends; of so many wrong ones hardly any gets three verdicts ahead (1 of 850, if one of ten is false)
_NEAR = 0.6  # of the spread of siblings: so little less than the best is asked beside it; half for each step up to here


@dataclass(frozen=True, slots=True)
class SearchResult(Generic[S, A]):
    """What a search has found."""

    solved: bool
    path: Sequence[Node[S, A]]
    """From below the root to `best`."""
    best: Node[S, A]
    """Where it succeeded; else the best leaf. The root only if nothing could be tried, or all led back."""
    root: Node[S, A]
    model_calls: int
    iterations: int
    stopped: str
    """Why: solved, no solution (every branch is dead), iterations, model calls; or why nobody would go on."""


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
    start = Node[S, A](root, prior=undoubted(bounds.candidates, bounds.value_weight))
    return await _Search(start, world, bounds, chance, watcher or SearchWatcher(), slot or Slot()).run()


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
    judged: int = 0
    """Ends of which no `step` knew what they are worth."""
    reflections: int = 0
    """How many failures were reflected upon."""
    failed: list[Node[S, A]] = field(default_factory=list[Node[S, A]])
    """Where trajectories came to a dead end, and nothing was learned from it yet."""
    active: list[Node[S, A]] = field(default_factory=list[Node[S, A]])
    """Where each trajectory stands."""
    late: list[Node[S, A]] = field(default_factory=list[Node[S, A]])
    """What waits to be valued in the next round; one node at most."""
    closing: bool = False
    """What has grown is not valued any more: the last call is for one more proposal."""
    states: States[S, A] = field(default_factory=States[S, A])
    news: News = field(default_factory=News)
    spread: Spread = field(default_factory=Spread)

    async def run(self) -> SearchResult[S, A]:
        self.states.add(self.root)
        settle(self.root)
        try:
            while not self.stopped:
                self._select()
                if not self.active:
                    await self._evaluate([])
                    self.stopped = "no solution" if self.root.dead else "iterations"
                    break
                growths = await self._expand()
                await self._evaluate(growths)
                await self._go_on(growths)
        except (ModelError, BudgetError) as error:
            if not self.root.children:
                raise
            self.stopped = _reason(error)
        for node in self.active:
            leave(node)
        best = best_leaf(self.root)
        return SearchResult(best.succeeded, best.way, best, self.root, self.calls, self.started, self.stopped)

    def _select(self) -> None:
        """Start trajectories, as many as may go on together, each exploring more, and what goes along with them."""
        many = min(self.bounds.widest, self.bounds.at_first + self.calls // _PACE)
        best = max((node.worth_asking for node in self.active), default=0.0)
        near = _NEAR * self.spread.deviation * 0.5 ** max((node.rise for node in self.active), default=0)
        while len(self.active) < self.bounds.widest and self.started < self.bounds.iterations:
            further = len(self.active) < many
            node = select(self.root, self.bounds.exploration * (1 + len(self.active) if further else 1))
            if node is None or not (further or self._goes_along(node, best, near)):
                return
            best = max(best, node.worth_asking)
            enter(node)
            self.started += 1
            self.active.append(node)

    def _goes_along(self, node: Node[S, A], best: float, near: float) -> bool:
        """Whether it is asked beside as many as may be: what never was, if it is worth hardly less than the best (which
        of them comes first is chance), or if all of these were asked before (which may bring nothing)."""
        again = all(other.proposals for other in self.active)
        return node.worth_asking >= best or (not node.proposals and (again or node.worth_asking >= best - near))

    async def _expand(self) -> list[_Growth[S, A]]:
        """Ask for candidates where each trajectory stands, and try those that are new."""
        growths = [_Growth(node, self._fresh(node, actions)) for node, actions in await self._propose()]
        tries = [partial(self.world.step, growth.node, action) for growth in growths for action, _ in growth.candidates]
        observations = iter(await self._answers(tries))
        for growth in growths:
            for action, sampled in growth.candidates:
                if (observation := next(observations)) is None:
                    continue
                child = growth.node.grow(action, observation.state, sampled)
                child.terminal = observation.terminal
                if observation.terminal:
                    child.reward = None if observation.reward is None else _share(observation.reward)
                else:
                    self.states.add(child)
                growth.children.append(child)
        return growths

    async def _propose(self) -> list[tuple[Node[S, A], Sequence[A]]]:
        """The candidates where each trajectory stands, as far as they are known or there are model calls left."""
        known = {node: self.states.proposed(node) for node in self.active}
        asking = self._afforded([node for node, actions in known.items() if actions is None])
        said = await self._answers([partial(self.world.propose, node, self.bounds.candidates) for node in asking])
        for node, actions in zip(asking, said, strict=True):
            known[node] = actions
            if actions is not None:
                self.states.of(node).proposed.append(actions)
        return [(node, actions) for node, actions in known.items() if actions is not None]

    async def _answers(self, calls: Sequence[Callable[[Slot], Awaitable[T]]]) -> list[T | None]:
        """What comes of them at the same time; an error if all are refused. None where only some are, by a model or the
        budget: the search ends with this round then, and what the others brought counts."""
        refusals: dict[int, ModelError | BudgetError] = {}

        async def tried(place: int, call: Callable[[Slot], Awaitable[T]], slot: Slot) -> T | None:
            try:
                return await call(slot)
            except (ModelError, BudgetError) as error:
                refusals[place] = error
                return None

        came = await together(self.slot, [partial(tried, place, call) for place, call in enumerate(calls)])
        if refusals:
            first = refusals[min(refusals)]
            self.stopped = _reason(first)
            if len(refusals) == len(calls):
                raise first
        return came

    def _fresh(self, node: Node[S, A], actions: Sequence[A]) -> list[tuple[A, int]]:
        """The actions that are new here, with how often each was named. Others add to the count of their node."""
        fresh: list[tuple[A, int]] = []
        for action in actions:
            known = node.child(action)
            place = next((place for place, (other, _) in enumerate(fresh) if other == action), None)
            if known is not None:
                known.named_again()
            elif place is not None:
                fresh[place] = (action, fresh[place][1] + 1)
            elif len(fresh) < self.bounds.candidates:
                fresh.append((action, 1))
        if self.chance is not None:
            self.chance.shuffle(fresh)
        node.asked(len(actions), len(fresh))
        return fresh

    async def _evaluate(self, growths: Sequence[_Growth[S, A]]) -> None:
        """Give the new nodes their values: one call for all that have grown, and none for what is known already."""
        late, self.late = [node for node in self.late if not node.repeats], []
        due = self._due(late, [child for growth in growths for child in growth.children])
        for nodes in self._afforded([_together(due)] if due and not self.stopped else []):
            for node, value in zip(nodes, _shares(await self.world.evaluate(nodes, self.slot), nodes), strict=True):
                node.estimate, node.late = value, False
                if node.terminal:
                    node.reward = min(value, _DOUBTED)
                    self.judged += 1
                else:
                    self.states.of(node).estimate = value
            await self._confirm([node for node in nodes if node.terminal and node.estimate >= 1])
            for node in late:
                catch_up(node, self.bounds.value_weight)
                await self.watcher.valued(node)
        for growth in growths:
            blend(growth.node, self.bounds.value_weight)
            self.spread.count(growth.children)

    def _due(self, late: Sequence[Node[S, A]], grown: Sequence[Node[S, A]]) -> Sequence[Node[S, A]]:
        """Which of them are valued now, if there is a call for it.

        One node alone waits for the next round: there is nothing new to choose it from, and a way there mostly goes on.
        The last call is for a proposal of one more trajectory, unless there may be none, nothing was valued yet, or an
        end has come up: it may be the answer.
        """
        unknown = [] if any(child.succeeded for child in grown) else self._unknown([*late, *grown])
        if not unknown or any(node.terminal for node in unknown):
            return unknown
        self.closing = self._left == 1 and self.calls > 1 and self.started < self.bounds.iterations
        if not late and len(unknown) == 1 and 1 < unknown[0].depth < self.bounds.max_depth and self._left > 1:
            unknown[0].wait()
            self.late = unknown
        return [] if self.closing or self.late else unknown

    async def _confirm(self, claimed: Sequence[Node[S, A]]) -> None:
        """Have what only the evaluation calls a success judged by others until verdicts for it are far enough ahead."""
        enough = 3 if self.judged <= _FEW else 5
        ahead = dict.fromkeys(claimed, 1)
        for questions in _CONFIRMING:
            over = any(node.succeeded for node in ahead)
            claimed = [node for node in claimed if 0 < ahead[node] < enough and not over]
            if not claimed or not self._afforded([questions], each=len(questions)):
                return
            said = await together(self.slot, [partial(self.world.confirm, claimed, question) for question in questions])
            for node, *values in zip(claimed, *(_shares(values, claimed) for values in said), strict=True):
                ahead[node] += sum(1 if value >= 1 else -1 for value in values)
                node.reward = 1.0 if ahead[node] >= enough else min(_DOUBTED, *values)

    def _unknown(self, children: Sequence[Node[S, A]]) -> list[Node[S, A]]:
        """The nodes whose values somebody has to tell; equal states that are no ends share one."""
        unknown: list[Node[S, A]] = []
        for child in (each for each in children if each.reward is None and not each.repeats):
            known = None if child.terminal else self.states.of(child).estimate
            child.late = known is None
            if known is None:
                unknown.append(child)
            else:
                child.estimate = known
        return unknown

    async def _go_on(self, growths: Sequence[_Growth[S, A]]) -> None:
        """Have each trajectory go on where the whole tree would go next, or end it and back up what it has come to."""
        for growth in growths:
            await self.watcher.grown(growth.node, growth.children)
            self._close(growth)
        moved: list[Node[S, A]] = []
        for growth in growths:
            node = growth.node
            success = next((child for child in growth.children if child.succeeded), None)
            leave(node)
            if success is None and (self.stopped or self.closing):
                continue  # it was cut off, and has come to nothing yet
            if success is None and (further := self._further(node)) is not None:
                enter(further)
                moved.append(further)
                continue
            leaf = success or max(growth.children, key=lambda child: (child.reward or 0.0, child.value), default=node)
            await self._end(leaf)
            if leaf.dead and not leaf.succeeded and growth.children:
                self.failed.append(leaf)
        self.active = [*moved, *(node for node in self.active if all(node is not growth.node for growth in growths))]
        if not self.stopped:
            await self._reflect()

    def _further(self, node: Node[S, A]) -> Node[S, A] | None:
        """Where a trajectory goes on: below its node, if the whole tree would go there next."""
        found = select(self.root, self.bounds.exploration)
        return found if found is not None and found.is_below(node) else None

    def _close(self, growth: _Growth[S, A]) -> None:
        """See what is left to try: nothing where it ends, or is too deep. (What repeats is closed already.)"""
        for child in growth.children:
            if child.terminal or child.depth >= self.bounds.max_depth:
                child.end()
        self.news.count(growth.node, sum(not child.repeats for child in growth.children))
        settle(growth.node)

    async def _end(self, leaf: Node[S, A]) -> None:
        reward = leaf.estimate if leaf.reward is None else leaf.reward
        backup(leaf, reward)
        self.ended += 1
        await self.watcher.ended(self.ended, leaf, reward)
        if leaf.succeeded:
            self.stopped = SOLVED

    async def _reflect(self) -> None:
        """Learn from the latest dead ends, as long as there are calls left for which it pays."""
        due = max(0, min(_LESSONS, self.calls // _PACE) - self.reflections) if self._left > _PACE else 0
        asking = self._afforded([self.failed.pop() for _ in self.failed[:due]])
        self.reflections += len(asking)
        for lesson in await together(self.slot, [partial(self.world.reflect, leaf) for leaf in asking]):
            if not lesson.strip():
                self.reflections = _LESSONS
            elif lesson.strip() not in self.root.lessons:
                self.root.lessons.append(lesson.strip())

    @property
    def _left(self) -> float:
        """How many model calls may still be made."""
        return math.inf if self.bounds.model_calls is None else max(0, self.bounds.model_calls - self.calls)

    def _afforded(self, wanted: Sequence[T], *, each: int = 1) -> Sequence[T]:
        """As many as there are model calls left for, which each of them costs; these are spent now."""
        afforded = wanted[: int(min(each * len(wanted), self._left)) // each]
        self.calls += each * len(afforded)
        if len(afforded) < len(wanted) and not self.stopped:
            self.stopped = "model calls"
        return afforded


def _reason(error: ModelError | BudgetError) -> str:
    return str(error) or "a refusal that says nothing"


def _together(nodes: Sequence[Node[S, A]]) -> Sequence[Node[S, A]]:
    """The same, each beside its siblings."""
    parents = dict.fromkeys(node.parent for node in nodes)
    return [node for parent in parents for node in nodes if node.parent is parent]


def _shares(said: Sequence[float], nodes: Sequence[Node[S, A]]) -> list[float]:
    if len(said) != len(nodes):
        raise ValueError(f"{len(said)} values were returned for {len(nodes)} nodes")
    return [_share(value) for value in said]


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"a value must be from 0 to 1, not {value}")
    return float(value)
