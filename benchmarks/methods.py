"""The methods that are compared: sampling, greedy search and beams, and this project's tree search; who pays for what.

Everybody pays one model call to propose at one state, and one to value all that is new there. Values are kept by state
for everybody, a move that solves it is seen without a call, and no state is entered twice in one pass.
"""

import heapq
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
from puzzles import StandIn, seeded

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Node, SearchResult, SearchWatcher, World, search
from forethought_patterns.tree import backup

S = TypeVar("S")
A = TypeVar("A")
MARKS = (25, 50, 100, 200, 400)
CALLS = MARKS[-1]
USUAL = Bounds()
ENDLESS = 10**6
BEAM = 5
EXPLORATION, LAMBDA = 0.05, 0.8  # of the tree with one expansion a node; these are its best of 0.05, 0.2 and 1

Run: TypeAlias = frozenset[int]
"""Which of the numbers of model calls were enough to solve a puzzle."""
Worlds: TypeAlias = Callable[..., StandIn[Any, Any]]
"""Makes the world; takes `told`."""
Method: TypeAlias = Callable[[Worlds, int, int], Awaitable[Run]]
"""Takes how to make the world, how many candidates to ask for, and how deep to go."""


# The baselines


class SpentError(Exception):
    """No model calls are left."""


@dataclass
class Payer(Generic[S, A]):
    """Grows the trees of a baseline, pass after pass, as long as there are calls."""

    world: StandIn[S, A]
    candidates: int
    max_depth: int
    values: dict[S, float] = field(default_factory=dict[S, float])

    async def children(self, node: Node[S, A], entered: set[S]) -> list[Node[S, A]]:
        """What is proposed here and leads to states that this pass has not entered yet, each once."""
        self._pay()
        found: list[Node[S, A]] = []
        for action in await self.world.propose(node, self.candidates):
            outcome = await self.world.step(node, action)
            if outcome.state not in entered:
                entered.add(outcome.state)
                found.append(node.grow(action, outcome.state))
                found[-1].terminal, found[-1].reward = outcome.terminal, outcome.reward
        return found

    async def valued(self, children: Sequence[Node[S, A]]) -> None:
        """Give siblings their estimates."""
        if unknown := [child for child in children if child.state not in self.values]:
            self._pay()
            told = await self.world.evaluate(unknown)
            self.values.update(zip((child.state for child in unknown), told, strict=True))
        for child in children:
            child.estimate = self.values[child.state]

    def _pay(self) -> None:
        if self.world.calls >= CALLS:
            raise SpentError


async def sample(payer: Payer[S, A]) -> Node[S, A] | None:
    """One chain of proposals, chosen at random."""
    node, entered = Node[S, A](payer.world.root), {payer.world.root}
    chance = seeded("sample", payer.world.root, payer.world.calls)
    while not node.terminal and node.depth < payer.max_depth:
        children = await payer.children(node, set(entered))
        if not children:
            return None
        node = chance.choice(children)
        entered.add(node.state)
    return node if node.succeeded else None


async def beam(payer: Payer[S, A], *, width: int) -> Node[S, A] | None:
    """Breadth first, and only the best of each level are kept (Tree of Thoughts, arXiv 2305.10601). Greedy with 1.

    A whole level is valued in one call.
    """
    level, entered = [Node[S, A](payer.world.root)], {payer.world.root}
    for _ in range(payer.max_depth):
        found: list[Node[S, A]] = []
        here = set(entered)
        for node in level:
            children = await payer.children(node, here)
            if solved := next((child for child in children if child.succeeded), None):
                return solved
            found += [child for child in children if not child.terminal]
        await payer.valued(found)
        level = sorted(found, key=lambda child: child.estimate, reverse=True)[:width]
        entered |= {node.state for node in level}
    return None


async def best_first(payer: Payer[S, A], *, factor: float) -> Node[S, A] | None:
    """The best of all that is known is asked next, and goes back in for so much less, as long as it has news."""
    root = Node[S, A](payer.world.root)
    entered, waiting, count = {root.state}, [(-1.0, 0, root)], 0
    while waiting:
        worth, _, node = heapq.heappop(waiting)
        children = await payer.children(node, entered)
        if solved := next((child for child in children if child.succeeded), None):
            return solved
        alive = [child for child in children if not child.terminal]
        await payer.valued(alive)
        again = [(factor * worth, node)] if children else []
        for value, each in [*((-child.estimate, child) for child in alive if child.depth < payer.max_depth), *again]:
            count += 1
            heapq.heappush(waiting, (value, count, each))
    return None


async def one_expansion(payer: Payer[S, A]) -> Node[S, A] | None:
    """UCT on means, each node expanded once, as the reference implementation of LATS has it (Zhou et al., 2310.04406).

    What the best child is worth is backed up at once: with a simulation that goes on to the end it solved less of
    Blocksworld, the web and the 8-puzzle, and the same of the Game of 24.
    """
    root = Node[S, A](payer.world.root)
    entered = {root.state}
    while not root.dead:
        node = root
        while node.children:
            node = max((child for child in node.children if not child.dead), key=_uct)
        children = await payer.children(node, entered)
        if solved := next((child for child in children if child.succeeded), None):
            return solved
        await payer.valued([child for child in children if not child.terminal])
        for child in children:
            child.prior = LAMBDA * child.estimate + (1 - LAMBDA) / len(children)
            child.dead = child.terminal or child.depth >= payer.max_depth
        best = max(children, key=lambda child: (not child.dead, child.prior), default=node)
        backup(best, 0.0 if best.dead or best is node else best.prior)
        above: Node[S, A] | None = node
        while above is not None and all(child.dead for child in above.children):
            above.dead = True
            above = above.parent
    return None


def _uct(node: Node[Any, Any]) -> float:
    above = node.parent
    assert above is not None
    return node.mean + EXPLORATION * math.sqrt(math.log(above.visits) / node.visits)


async def repeated(
    one: Callable[[Payer[Any, Any]], Awaitable[Node[Any, Any] | None]], worlds: Worlds, candidates: int, max_depth: int
) -> Run:
    """Pass after pass until one succeeds."""
    world = worlds()
    payer: Payer[Any, Any] = Payer(world, candidates, max_depth)
    try:
        while await one(payer) is None:
            pass
    except SpentError:
        return frozenset()
    return frozenset(mark for mark in MARKS if world.calls <= mark)


# Tree search


class Once(SearchWatcher[Any, Any]):
    """Has each node expanded once only."""

    async def grown(self, node: Node[Any, Any], children: Sequence[Node[Any, Any]]) -> None:
        node.exhausted = True


@dataclass
class Rounds(Generic[S, A]):
    """A world that counts how many calls follow one another; those at the same time are one round."""

    world: World[S, A]
    rounds: int = 0
    under_way: int = 0

    async def _round(self) -> None:
        self.rounds += not self.under_way
        self.under_way += 1
        await anyio.lowlevel.checkpoint()
        self.under_way -= 1

    async def propose(self, node: Node[S, A], n: int, slot: Slot) -> Sequence[A]:
        await self._round()
        return await self.world.propose(node, n, slot)

    async def step(self, node: Node[S, A], action: A, slot: Slot) -> Any:
        return await self.world.step(node, action, slot)

    async def evaluate(self, nodes: Sequence[Node[S, A]], slot: Slot) -> Sequence[float]:
        await self._round()
        return await self.world.evaluate(nodes, slot)

    async def confirm(self, nodes: Sequence[Node[S, A]], question: int, slot: Slot) -> Sequence[float]:
        await self._round()
        return await self.world.confirm(nodes, question, slot)

    async def reflect(self, node: Node[S, A], slot: Slot) -> str:
        await self._round()
        return await self.world.reflect(node, slot)


async def tree(
    worlds: Worlds,
    candidates: int,
    max_depth: int,
    *,
    exploration: float = USUAL.exploration,
    once: bool = False,
    told: bool = True,
    parallel: int | None = None,
) -> Run:
    """This project's search, once with each bound of model calls: it knows how many it has."""
    enough: set[int] = set()
    for calls in MARKS:
        world = worlds(told=told)
        result: SearchResult[Any, Any] = await search(
            world.root,
            world,
            Bounds(
                iterations=ENDLESS,
                candidates=candidates,
                max_depth=max_depth,
                exploration=exploration,
                model_calls=calls,
                parallel=parallel,
            ),
            watcher=Once() if once else None,
        )
        assert world.calls == result.model_calls <= calls
        if result.solved:
            enough.add(calls)
    return frozenset(enough)


async def on_the_way(worlds: Worlds, candidates: int, max_depth: int) -> Run:
    """The same with the last of these bounds only, and looked at on the way: it does not know how many it has."""
    world = worlds()
    bounds = Bounds(iterations=ENDLESS, candidates=candidates, max_depth=max_depth, model_calls=CALLS)
    result: SearchResult[Any, Any] = await search(world.root, world, bounds)
    return frozenset(mark for mark in MARKS if result.solved and result.model_calls <= mark)


METHODS: Mapping[str, Method] = {
    "independent samples": partial(repeated, sample),
    "greedy, restarts": partial(repeated, partial(beam, width=1)),
    f"beam of {BEAM}, restarts": partial(repeated, partial(beam, width=BEAM)),
    "best-first, again at x 0.7": partial(repeated, partial(best_first, factor=0.7)),
    "best-first, again at x 0.9": partial(repeated, partial(best_first, factor=0.9)),
    "tree, one expansion a node": partial(repeated, one_expansion),
    "**ours**": tree,
    "ours, one expansion a node": partial(tree, once=True),
    "ours, bound by 400, looked at on the way": on_the_way,
    "ours, w = 1": partial(tree, exploration=1.0),
    "ours, proposer not told what was tried": partial(tree, told=False),
    "ours, 4 in parallel": partial(tree, parallel=4),
}
OURS = "**ours**"
BASELINES = [name for name in METHODS if "ours" not in name and "samples" not in name]
"""Those that ours is to be no worse than."""
