"""The tree of a search: nodes, UCT, progressive widening, backup. Pure arithmetic; nobody is asked anything here.

Values after LATS (Zhou et al., arXiv 2310.04406, section 4.2), widening after Couëtoux et al. (LION 2011).
"""

__all__ = ["Node", "backup", "best_leaf", "blend", "close", "mark", "ranked", "select", "uct", "widens"]

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")
A = TypeVar("A")

_WIDENING = 1.5  # how often a node is asked for candidates, over the root of the visits to it


@dataclass(eq=False, slots=True)
class Node(Generic[S, A]):
    """A state, the action that led to it, and what the search knows of it."""

    state: S
    action: A | None = None
    """None at the root."""
    parent: "Node[S, A] | None" = None
    name: str = "0"
    """The way here: the position among the siblings at each level, such as `0.2.1`."""
    lessons: list[str] = field(default_factory=list[str])
    """What was learned from failed trajectories; one list for the whole tree."""
    terminal: bool = False
    reward: float | None = None
    """Of a terminal state, once it is known: from 0 to 1, where 1 is success."""
    estimate: float = 0.0
    """What the evaluation said, from 0 to 1."""
    sampled: int = 1
    """How often its action was proposed."""
    prior: float = 0.0
    """Its value before any trajectory went through: the estimate, blended with self-consistency."""
    visits: int = 1
    """The evaluation, and each trajectory that went through."""
    total: float = 0.0
    """What those trajectories brought, summed up."""
    pending: int = 0
    """Trajectories that are under way through here (virtual loss)."""
    children: "list[Node[S, A]]" = field(default_factory=list["Node[S, A]"])
    proposals: int = 0
    """How often proposals were asked for here."""
    exhausted: bool = False
    """Asking for more proposals brings nothing new."""
    repeats: bool = False
    """The same state stands elsewhere in the tree, and is searched there."""
    dead: bool = False
    """Nothing is left to try from here on."""

    @property
    def depth(self) -> int:
        return self.name.count(".")

    @property
    def value(self) -> float:
        """The mean of the prior, which counts as the first visit, and of all that was backed up since."""
        return (self.prior + self.total) / self.visits

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
        child = Node(state, action, self, f"{self.name}.{len(self.children)}", self.lessons, sampled=sampled)
        self.children.append(child)
        return child

    def walk(self) -> "Iterator[Node[S, A]]":
        """This node and all below it, parents first."""
        left: list[Node[S, A]] = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))


def blend(node: Node[S, A], weight: float) -> None:
    """Give the children their priors: V = weight * estimate + (1 - weight) * self-consistency (LATS, section 4.2).

    Self-consistency is the share of all proposals here that named the child's action. A terminal state is known, and
    needs no opinion.
    """
    drawn = sum(child.sampled for child in node.children)
    for child in node.children:
        opinion = weight * child.estimate + (1 - weight) * child.sampled / drawn
        child.prior = opinion if child.reward is None else child.reward


def uct(node: Node[S, A], exploration: float) -> float:
    """V(s) + w * sqrt(ln N(parent) / N(s)); V is a mean already. Trajectories under way count as visits that brought 0.

    Raises:
        ValueError: the root, which is never chosen among siblings.
    """
    if node.parent is None:
        raise ValueError("the root has no siblings")
    visits = node.visits + node.pending
    bonus = math.sqrt(math.log(node.parent.visits + node.parent.pending) / visits)
    return (node.prior + node.total) / visits + exploration * bonus


def widens(node: Node[S, A]) -> bool:
    """Whether a node asks for (more) candidates: at once, and again while proposals < 1.5 * visits ** 0.5.

    So the children grow with the visits: an early choice among few candidates never bounds what can be found.
    """
    if node.exhausted or node.terminal or node.dead:
        return False
    return not node.proposals or node.proposals + 1 <= _WIDENING * math.sqrt(node.visits)


def select(root: Node[S, A], exploration: float, busy: Collection[Node[S, A]] = ()) -> Node[S, A] | None:
    """The node that asks for candidates next: down by UCT, past what is dead or `busy`. None if there is none.

    A node whose candidates have all failed is asked again before its time only if nothing else is left or under way.
    """
    found = _select(root, exploration, busy, early=False)
    return _select(root, exploration, busy, early=True) if found is None and not busy else found


def _select(root: Node[S, A], exploration: float, busy: Collection[Node[S, A]], *, early: bool) -> Node[S, A] | None:
    """Depth first, the best child first; on the way back up, if it may be early, whoever could be asked again."""
    left = [(root, False)]
    while left:
        node, returning = left.pop()
        if node.dead:
            continue
        free = node not in busy and not node.exhausted
        if free and (returning or widens(node)):
            return node
        if not returning:
            if early:
                left.append((node, True))
            left.extend((child, False) for child in reversed(ranked(node, exploration)))
    return None


def ranked(node: Node[S, A], exploration: float) -> list[Node[S, A]]:
    """The children from which there is something left to try, best first."""
    alive = [child for child in node.children if not child.dead]
    return sorted(alive, key=lambda child: uct(child, exploration), reverse=True)


def mark(node: Node[S, A], pending: int, *, above: Node[S, A] | None = None) -> None:
    """Count a trajectory as under way (1) or no longer (-1) on the way from below `above`, or the root, to here."""
    here: Node[S, A] | None = node
    while here is not None and here is not above:
        here.pending += pending
        here = here.parent


def backup(leaf: Node[S, A], reward: float) -> None:
    """A trajectory has ended here: every node on its way has one visit more, and the reward in its mean."""
    node: Node[S, A] | None = leaf
    while node is not None:
        node.visits += 1
        node.total += reward
        node = node.parent


def close(node: Node[S, A]) -> None:
    """Nothing is left to try from here on: nor above, where all else is dead and no more proposals are expected."""
    node.dead = True
    above = node.parent
    while above is not None and above.exhausted and all(child.dead for child in above.children):
        above.dead = True
        above = above.parent


def best_leaf(root: Node[S, A]) -> Node[S, A]:
    """What there is to show: an end with a reward before the most promising leaf; the root only if it is alone."""
    leaves = [node for node in root.walk() if not node.children and not node.repeats and node is not root]
    if not leaves:
        return root
    return max(leaves, key=lambda node: (node.reward or 0.0, node.value, node.depth))
