"""A world of letters for tests of tree search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio

from forethought_patterns import Slot
from forethought_patterns.lats import Node, Observation, SearchResult

Word: TypeAlias = str
Tree: TypeAlias = Node[Word, str]
SOLUTION = "bcb"


@dataclass
class Letters:
    """Spell a word: each action appends a letter. Only the whole word is a success."""

    solution: str = SOLUTION
    length: int = 3
    offers: Sequence[str] = ("a", "b", "c")
    values: dict[str, float] = field(default_factory=dict[str, float])
    doubted: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    """Which questions do not confirm it."""
    delays: Sequence[float] = (0.0,)
    calls: list[str] = field(default_factory=list[str])
    lessons: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """What was known of failures at each proposal."""
    under_way: int = 0
    most_under_way: int = 0

    async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
        self.calls.append(f"propose {node.state}")
        self.lessons.append(tuple(node.lessons))
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await anyio.sleep(self.delays[len(self.calls) % len(self.delays)])
        self.under_way -= 1
        return self.offers

    async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
        word = node.state + action
        if len(word) < self.length:
            return Observation(word)
        return Observation(word, terminal=True, reward=float(word == self.solution))

    async def evaluate(self, nodes: Sequence[Tree], slot: Slot) -> Sequence[float]:
        self.calls.append(f"evaluate {' '.join(node.state for node in nodes)}")
        await anyio.sleep(self.delays[len(self.calls) % len(self.delays)])
        return [self.values.get(node.state, 0.5) for node in nodes]

    async def confirm(self, nodes: Sequence[Tree], question: int, slot: Slot) -> Sequence[float]:
        self.calls.append(f"confirm {question} {' '.join(node.state for node in nodes)}")
        return [0.5 if question in self.doubted.get(node.state, ()) else 1.0 for node in nodes]

    async def reflect(self, node: Tree, slot: Slot) -> str:
        self.calls.append(f"reflect {node.state}")
        return f"not {node.state}"


def words(result: SearchResult[Word, str]) -> list[str]:
    return [node.state for node in result.root.walk()]
