"""The tree of a search: nodes, UCT, backup. Pure arithmetic; nobody is asked anything here.

Values after LATS (Zhou et al., arXiv 2310.04406, section 4.2), with three changes. To ask a node again is an arm of its
own beside its children, worth less where asking again brings little that is new, and more the more it is visited. A
first value leans on the parent's, since one estimate errs more than those of a whole way. And what a node is worth is
nearly the best that is still open below, since actions lead where they have led before: a failure beside a way takes
hardly anything from it. What is open is kept along the way, not walked anew.
"""

__all__ = [
    "News",
    "Node",
    "Spread",
    "again",
    "backup",
    "best_leaf",
    "blend",
    "catch_up",
    "enter",
    "leave",
    "select",
    "settle",
    "uct",
    "undoubted",
]

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")
A = TypeVar("A")

_BARREN = 2  # times in a row that proposals may bring nothing new before a node counts as exhausted
_AGAIN = 0.85  # what asking a node once more is worth, over the time before
_WIDER = 10  # visits; where there are four times as many, two times count as one
_EXPECTED = 2  # times that asking again counts as having brought as much as the first time, before it was ever tried
_OPEN = 0.9  # weight of the best that is open below, against the mean
_PARENT = 0.3  # weight of the parent's prior in that of its children


@dataclass(eq=False, slots=True)
class Node(Generic[S, A]):
    """A state, the action that led to it, and what the search knows of it."""

    state: S
    action: A | None = None
    """None at the root."""
    parent: "Node[S, A] | None" = None
    depth: int = 0
    """Steps from the root."""
    position: int = 0
    """Among the siblings."""
    lessons: list[str] = field(default_factory=list[str])
    """What was learned from failed trajectories; one list for the whole tree."""
    terminal: bool = False
    reward: float | None = None
    """Of a terminal state, once it is known: from 0 to 1, where 1 is success."""
    estimate: float = 0.0
    """What the evaluation said, from 0 to 1; of a late node, what it said of its parent. 0 if nobody was asked."""
    late: bool = False
    """Nobody has valued it yet: it waits for the next round, or no call was left for it."""
    sampled: int = 1
    """How often its action was proposed."""
    prior: float = 0.0
    """Its value before any trajectory went through: the estimate, blended with self-consistency and the parent's."""
    rise: int = 0
    """How many steps in a row, up to here, each led to a higher prior."""
    visits: int = 1
    """The evaluation, and each trajectory that went through."""
    total: float = 0.0
    """What those trajectories brought, summed up."""
    pending: int = 0
    """Trajectories that are under way through here (virtual loss)."""
    asking: bool = False
    """Candidates are being asked for here."""
    open: float | None = None
    """What the best that is left to ask is worth, here or below. None: there is none, or all of it is under way."""
    children: "list[Node[S, A]]" = field(default_factory=list["Node[S, A]"])
    alive: "list[Node[S, A]]" = field(default_factory=list["Node[S, A]"])
    """The children that were not dead when this node was last looked at."""
    tried: "dict[A, Node[S, A]]" = field(default_factory=dict[A, "Node[S, A]"])
    """The children by what led to them, as far as that can be hashed."""
    proposals: int = 0
    """How often proposals were asked for here."""
    drawn: int = 0
    """How often the actions of the children were proposed, all together."""
    barren: int = 0
    """How often in a row they brought nothing new."""
    news: float = 1.0
    """What asking here once more is likely to bring, over a first time."""
    exhausted: bool = False
    """Asking for more proposals brings nothing new."""
    repeats: bool = False
    """The same state stands elsewhere in the tree, and is searched there."""
    dead: bool = False
    """Nothing is left to try from here on."""

    @property
    def name(self) -> str:
        """The way here: the position among the siblings at each level, such as `0.2.1`."""
        return ".".join(["0", *(str(node.position) for node in self.way)])

    @property
    def mean(self) -> float:
        """Of the prior, which counts as the first visit, and of all that was backed up since."""
        return (self.prior + self.total) / self.visits

    @property
    def value(self) -> float:
        """V: mostly the best that is open below, and the mean; where nothing is open, the mean alone."""
        return _worth(self, self.mean)

    @property
    def worth_asking(self) -> float:
        """What it is worth to ask here for candidates next: the prior, less with each time, and where that brings
        little. Beyond `_WIDER` visits it may be asked more often, with their square root (after progressive widening:
        Chaslot et al., Progressive Strategies for Monte-Carlo Tree Search, 2008)."""
        times = self.proposals / math.sqrt(max(1.0, self.visits / _WIDER))
        return self.prior * math.pow(_AGAIN, times) * self.news

    @property
    def succeeded(self) -> bool:
        return self.reward is not None and self.reward >= 1

    @property
    def way(self) -> "list[Node[S, A]]":
        """The nodes from below the root to this one."""
        found: list[Node[S, A]] = []
        node = self
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]

    def grow(self, action: A, state: S, sampled: int = 1) -> "Node[S, A]":
        """Add a child."""
        child = Node(state, action, self, self.depth + 1, len(self.children), self.lessons, sampled=sampled)
        self.children.append(child)
        self.alive.append(child)
        self.drawn += sampled
        with suppress(TypeError):
            self.tried.setdefault(action, child)
        return child

    def child(self, action: A) -> "Node[S, A] | None":
        """What this action has led to from here. None: it was not tried."""
        try:
            return self.tried.get(action)
        except TypeError:
            return next((child for child in self.children if child.action == action), None)

    def named_again(self) -> None:
        """Its action was proposed once more."""
        self.sampled += 1
        if self.parent is not None:
            self.parent.drawn += 1

    def is_below(self, other: "Node[S, A]") -> bool:
        """Whether the way here leads through another node."""
        node = self
        while node.parent is not None and node.depth > other.depth:
            node = node.parent
        return node is other and node is not self

    def end(self) -> None:
        """Nothing is left to try from here on. Those above are told (`settle`)."""
        self.dead, self.open = True, None

    def wait(self) -> None:
        """Stand for its parent until it is valued."""
        if self.parent is not None:
            self.estimate = self.parent.estimate

    def asked(self, named: int, fresh: int) -> None:
        """Candidates were asked for here: so many were named, and so many of them are new here."""
        self.proposals += 1
        self.barren = 0 if fresh else self.barren + 1
        self.exhausted = self.barren >= _BARREN or not named

    def walk(self) -> "Iterator[Node[S, A]]":
        """This node and all below it, parents first."""
        left: list[Node[S, A]] = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))


def _worth(node: Node[S, A], mean: float) -> float:
    return mean if node.open is None else _OPEN * node.open + (1 - _OPEN) * mean


def blend(node: Node[S, A], weight: float) -> None:
    """Give the children their priors: V = weight * estimate + (1 - weight) * self-consistency (LATS, section 4.2), of
    which a part is the parent's prior; the root, which nobody has valued, lends none.

    Self-consistency is the share of all proposals here that named the child's action. A terminal state is known, and
    needs no opinion. Those above are told (`settle`).
    """
    above = _PARENT if node.parent is not None else 0.0
    for child in node.children:
        if child.reward is None:
            opinion = weight * child.estimate + (1 - weight) * child.sampled / node.drawn
            child.prior = (1 - above) * opinion + above * node.prior
            child.rise = node.rise + 1 if child.prior > node.prior else 0
        else:
            child.prior = child.reward
        if not child.dead:
            _look(child)
    settle(node)


def catch_up(node: Node[S, A], weight: float) -> None:
    """A late node was valued, and stands for itself from now on."""
    if node.parent is not None:
        blend(node.parent, weight)


def undoubted(candidates: int, weight: float) -> float:
    """The prior of the root: that of one of so many candidates, none named twice, that is sure to lead to the goal."""
    return weight + (1 - weight) / candidates


def uct(node: Node[S, A], exploration: float) -> float:
    """V(s) + w * sqrt(ln N(parent) / N(s)). Trajectories under way count as visits that brought 0.

    Raises:
        ValueError: the root, which is never chosen among siblings.
    """
    if node.parent is None:
        raise ValueError("the root has no siblings")
    visits = node.visits + node.pending
    return _worth(node, (node.prior + node.total) / visits) + exploration * _bonus(node.parent, visits)


def again(node: Node[S, A], exploration: float) -> float:
    """The same of the arm that asks this node once more."""
    return node.worth_asking + exploration * _bonus(node, max(1, node.proposals))


@dataclass(slots=True)
class News:
    """How many new states asking has brought in a search: for the first time at a node, and again."""

    asked: list[int] = field(default_factory=lambda: [0, 0])
    brought: list[int] = field(default_factory=lambda: [0, 0])

    def count(self, node: Node[S, A], new: int) -> None:
        """A node was asked, and so many states are new. To ask it again is likely to bring what that has brought so
        far, in the whole search and here (the geometric mean of both, as shares of what a first time brings)."""
        again = node.proposals > 1
        self.asked[again] += 1
        self.brought[again] += new
        if first := self.brought[False] / self.asked[False]:
            anywhere = (self.brought[True] / first + _EXPECTED) / (self.asked[True] + _EXPECTED)
            here = (new + 0.5) / (first + 0.5) if again else 1.0
            node.news = min(1.0, math.sqrt(anywhere * here))


@dataclass(slots=True)
class Spread:
    """How far apart siblings are in a search, by their priors."""

    squares: float = 0.0
    degrees: int = 0

    def count(self, siblings: Sequence[Node[S, A]]) -> None:
        """Siblings are new. Ends are known, and what is late or repeats has no worth of its own."""
        priors = [node.prior for node in siblings if node.reward is None and not (node.late or node.repeats)]
        if priors:
            mean = math.fsum(priors) / len(priors)
            self.squares += math.fsum((prior - mean) ** 2 for prior in priors)
            self.degrees += len(priors) - 1

    @property
    def deviation(self) -> float:
        """The standard deviation of siblings, over all that are known (pooled); 0 before there are two."""
        return math.sqrt(self.squares / self.degrees) if self.degrees else 0.0


def _bonus(above: Node[S, A], visits: int) -> float:
    return math.sqrt(math.log(above.visits + above.pending) / visits)


def select(root: Node[S, A], exploration: float) -> Node[S, A] | None:
    """The node that is asked for candidates next: down the best arms until asking is one. None if nothing is open."""
    node = None if root.open is None else root
    while node is not None:
        children = [child for child in node.alive if child.open is not None]
        best = max(children, key=lambda child: uct(child, exploration), default=None)
        if _is_free(node) and (best is None or again(node, exploration) > uct(best, exploration)):
            return node
        node = best
    return None


def _is_free(node: Node[S, A]) -> bool:
    return not (node.dead or node.exhausted or node.asking)


def enter(node: Node[S, A]) -> None:
    """A trajectory asks here: it counts as under way from the root to here."""
    _count(node, 1)
    node.asking = True
    settle(node)


def leave(node: Node[S, A]) -> None:
    """The trajectory that asked here goes on elsewhere, or has ended."""
    _count(node, -1)
    node.asking = False
    settle(node)


def _count(node: Node[S, A], pending: int) -> None:
    here: Node[S, A] | None = node
    while here is not None:
        here.pending += pending
        here = here.parent


def backup(leaf: Node[S, A], reward: float) -> None:
    """A trajectory has ended here: every node on its way has one visit more, which says how often it may be asked, and
    the reward in its mean."""
    node: Node[S, A] | None = leaf
    while node is not None:
        node.visits += 1
        node.total += reward
        _look(node)
        node = node.parent


def settle(node: Node[S, A]) -> None:
    """Tell this node, and those above it as far as it matters to them, what is left to try."""
    here: Node[S, A] | None = node
    while here is not None and (_look(here) or here is node):
        here = here.parent


def _look(node: Node[S, A]) -> bool:
    """See what is left to try here and below, as far as the children know. Returns whether that has changed."""
    before = node.dead, node.open
    node.alive = [child for child in node.alive if not child.dead]
    node.dead = node.dead or node.repeats or (node.exhausted and not node.alive)
    arms = [child.open for child in node.alive if child.open is not None]
    node.open = None if node.repeats else max([*arms, node.worth_asking] if _is_free(node) else arms, default=None)
    return before != (node.dead, node.open)


def best_leaf(root: Node[S, A]) -> Node[S, A]:
    """What there is to show: an end with a reward before the most promising leaf; the root only if it is alone. What
    nobody has valued counts only where nothing was. Neither that nor what leads back hides what it came of."""
    leaves = [
        node for node in root.walk() if all(child.late or child.repeats for child in node.children) and not node.repeats
    ]
    shown = [node for node in leaves if node is not root]
    return max(shown, key=lambda node: (node.reward or 0.0, not node.late, node.mean, node.depth), default=root)
