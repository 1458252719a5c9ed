"""What a search knows of each state: where it is searched, what it is worth, and what was proposed there.

Two nodes of the same state are the same place: it is valued once, asked once for the same, and searched at the node
that is nearest to the root. Where states cannot be hashed, each node is a place of its own.
"""

__all__ = ["Place", "States"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from forethought_patterns.tree import Node, settle

S = TypeVar("S")
A = TypeVar("A")


@dataclass(slots=True)
class Place(Generic[S, A]):
    """What is known of one state."""

    searched: Node[S, A]
    """Where: the node nearest to the root."""
    estimate: float | None = None
    """What the evaluation said. None: nobody was asked."""
    proposed: list[Sequence[A]] = field(default_factory=list[Sequence[A]])
    """The actions named here, each time that somebody was asked for them."""


@dataclass(slots=True)
class States(Generic[S, A]):
    """The places that a search has come to."""

    places: dict[Any, Place[S, A]] = field(default_factory=dict[Any, Place[S, A]])

    def of(self, node: Node[S, A]) -> Place[S, A]:
        """The place of this node."""
        try:
            return self.places.setdefault(node.state, Place(node))
        except TypeError:
            return Place(node)

    def add(self, node: Node[S, A]) -> None:
        """A node has come about: it repeats one that is at least as near to the root, or is searched in its place."""
        place = self.of(node)
        if place.searched.depth > node.depth:
            place.searched.repeats = True
            settle(place.searched)
            place.searched = node
        node.repeats = place.searched is not node

    def proposed(self, node: Node[S, A]) -> Sequence[A] | None:
        """What would be named if this node were asked now, as far as it was named before. None: somebody has to be
        asked."""
        said = self.of(node).proposed
        return said[node.proposals] if node.proposals < len(said) else None
