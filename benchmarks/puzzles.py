"""Two worlds to search, with seeded stand-ins for a model: the Game of 24, and Blocksworld.

A stand-in proposes and values by chance, each draw from a hash of its seed, the puzzle and the state, so that every
method meets the same model, and a second run says the same.
"""

import functools
import hashlib
import itertools
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from forethought_patterns import Slot
from forethought_patterns.lats import Node, Observation

S = TypeVar("S")
A = TypeVar("A")

Numbers: TypeAlias = tuple[Fraction, ...]
Towers: TypeAlias = tuple[str, ...]
"""Each tower from the table up, a letter for a block; sorted."""

GOOD = 1.4  # how much rather a good move is proposed: 25.1% of GPT-4's proposals keep 24 reachable, 19.5% of all moves
SURE, LIKELY, IMPOSSIBLE = 1.0, 0.3, 0.0


def seeded(*key: object) -> random.Random:
    """A source of chance of its own for each key."""
    return random.Random(hashlib.sha256(repr(key).encode()).digest())


class StandIn(ABC, Generic[S, A]):
    """What the worlds share: a `World` that counts its calls, and draws proposals without replacement.

    `told`: a proposer that is asked again knows what it proposed here before, and leaves it out.
    """

    lost = 0.0
    """The share of proposals that are illegal or cannot be read."""

    def __init__(self, root: S, seed: int, *, told: bool = True) -> None:
        self.root = root
        self.seed = seed
        self.told = told
        self.calls = 0
        self._asked: dict[S, int] = {}

    @abstractmethod
    def moves(self, state: S) -> Mapping[A, S]:
        """All that is legal here, and where it leads."""

    @abstractmethod
    def weight(self, state: S, after: S) -> float:
        """How much rather than others a move is proposed."""

    @abstractmethod
    def value(self, state: S) -> float:
        """How promising the model takes a state to be."""

    @abstractmethod
    def outcome(self, state: S) -> Observation[S]:
        """Whether it ends here, and how."""

    async def propose(self, node: Node[S, A], n: int, slot: Slot | None = None) -> list[A]:
        """Draw up to `n` legal moves."""
        self.calls += 1
        asked = self._asked.get(node.state, 0)
        self._asked[node.state] = asked + 1
        chance = seeded("propose", self.seed, self.root, node.state, asked)
        tried = {child.action for child in node.children} if self.told else set[A | None]()
        legal = self.moves(node.state)
        left = [move for move in legal if move not in tried]
        weights = [self.weight(node.state, legal[move]) for move in left]
        drawn: list[A] = []
        for _ in range(n):
            if left and chance.random() >= self.lost:
                place = chance.choices(range(len(left)), weights)[0]
                weights.pop(place)
                drawn.append(left.pop(place))
        return drawn

    async def step(self, node: Node[S, A], action: A, slot: Slot | None = None) -> Observation[S]:
        """Move."""
        return self.outcome(self.moves(node.state)[action])

    async def evaluate(self, nodes: Sequence[Node[S, A]], slot: Slot | None = None) -> list[float]:
        """Value all siblings in one call."""
        self.calls += 1
        return [self.value(node.state) for node in nodes]

    async def confirm(self, nodes: Sequence[Node[S, A]], question: int, slot: Slot | None = None) -> list[float]:
        """Agree."""
        self.calls += 1
        return [node.estimate for node in nodes]

    async def reflect(self, node: Node[S, A], slot: Slot | None = None) -> str:
        """Learn nothing."""
        self.calls += 1
        return ""


class Sum(NamedTuple):
    """Two numbers that become one."""

    left: Fraction
    sign: str
    right: Fraction


@functools.cache
def sums(numbers: Numbers) -> Mapping[Sum, Numbers]:
    """All that can be done with two of the numbers."""
    found: dict[Sum, Numbers] = {}
    for i, j in itertools.combinations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = [*numbers[:i], *numbers[i + 1 : j], *numbers[j + 1 :]]
        results = {Sum(a, "+", b): a + b, Sum(a, "-", b): a - b, Sum(b, "-", a): b - a, Sum(a, "*", b): a * b}
        if b:
            results[Sum(a, "/", b)] = a / b
        if a:
            results[Sum(b, "/", a)] = b / a
        found |= {each: tuple(sorted([*rest, result])) for each, result in results.items()}
    return found


@functools.cache
def reachable(numbers: Numbers) -> bool:
    """Whether 24 can still be made of all of them."""
    if len(numbers) == 1:
        return numbers[0] == 24
    return any(reachable(after) for after in sums(numbers).values())


def all_puzzles() -> tuple[list[Numbers], list[Numbers]]:
    """Every four numbers from 1 to 13: the 1,362 that can be solved, and the 458 that cannot."""
    drawn = itertools.combinations_with_replacement(range(1, 14), 4)
    puzzles = [tuple(Fraction(number) for number in each) for each in drawn]
    return [each for each in puzzles if reachable(each)], [each for each in puzzles if not reachable(each)]


class Calibrated(StandIn[Numbers, Sum]):
    """The Game of 24 with the rates of a public log of GPT-4."""

    lost = 0.049

    def moves(self, state: Numbers) -> Mapping[Sum, Numbers]:
        return sums(state)

    def weight(self, state: Numbers, after: Numbers) -> float:
        return GOOD if reachable(after) else 1.0

    def outcome(self, state: Numbers) -> Observation[Numbers]:
        return Observation(state, len(state) == 1, (1.0 if state[0] == 24 else 0.0) if len(state) == 1 else None)

    def value(self, state: Numbers) -> float:
        drawn = seeded("value", self.seed, self.root, state).random()
        if len(state) == 3:
            sure, likely = (0.51, 0.42) if reachable(state) else (0.004, 0.86)
        else:
            sure, likely = (0.995, 0.005) if reachable(state) else (0.0, 0.44)
        return SURE if drawn < sure else LIKELY if drawn < sure + likely else IMPOSSIBLE


class Harder(Calibrated):
    """The Game of 24 with proposals at random, and one value of four wrong."""

    lost = 0.0

    def weight(self, state: Numbers, after: Numbers) -> float:
        return 1.0

    def value(self, state: Numbers) -> float:
        right = seeded("value", self.seed, self.root, state).random() < 0.75
        return SURE if reachable(state) == right else IMPOSSIBLE


class Put(NamedTuple):
    """A block that is moved."""

    block: str
    onto: str
    """A block, or nothing: the table."""


@functools.cache
def puts(towers: Towers) -> Mapping[Put, Towers]:
    """Every block that is free, onto every other that is, or onto the table."""
    found: dict[Put, Towers] = {}
    for tower in towers:
        block, below = tower[-1], tower[:-1]
        others = [other for other in towers if other != tower]
        for onto in others:
            rest = [other for other in others if other != onto]
            found[Put(block, onto[-1])] = tuple(sorted([*rest, onto + block, *([below] if below else [])]))
        if below:
            found[Put(block, "")] = tuple(sorted([*others, below, block]))
    return found


def conditions(towers: Towers) -> set[tuple[str, str]]:
    """What stands on what."""
    return {(block, below) for tower in towers for below, block in itertools.pairwise(["", *tower])}


@dataclass(frozen=True)
class Instance:
    """Blocks to be moved, and how far each state is from the goal."""

    start: Towers
    goal: Towers
    distances: Mapping[Towers, int]

    @property
    def optimal(self) -> int:
        return self.distances[self.start]


def instances(count: int) -> list[Instance]:
    """Random ones of 4, 5 and 6 blocks in turn."""
    chance = random.Random(0)
    found: list[Instance] = []
    while len(found) < count:
        blocks = "ABCDEF"[: 4 + len(found) % 3]
        start, goal = _towers(blocks, chance), _towers(blocks, chance)
        if start != goal:
            found.append(Instance(start, goal, _distances(goal)))
    return found


def _towers(blocks: str, chance: random.Random) -> Towers:
    towers: list[str] = []
    for block in chance.sample(blocks, len(blocks)):
        place = chance.randrange(len(towers) + 1)
        if place == len(towers):
            towers.append(block)
        else:
            towers[place] += block
    return tuple(sorted(towers))


def _distances(goal: Towers) -> dict[Towers, int]:
    """By breadth-first search; every move can be taken back."""
    distances = {goal: 0}
    waiting = deque([goal])
    while waiting:
        here = waiting.popleft()
        for after in puts(here).values():
            if after not in distances:
                distances[after] = distances[here] + 1
                waiting.append(after)
    return distances


class Blocksworld(StandIn[Towers, Put]):
    """Values are the share of goal conditions that hold, give or take one."""

    def __init__(self, instance: Instance, seed: int, *, told: bool = True) -> None:
        super().__init__(instance.start, seed, told=told)
        self.instance = instance
        self.wanted = conditions(instance.goal)

    def moves(self, state: Towers) -> Mapping[Put, Towers]:
        return puts(state)

    def weight(self, state: Towers, after: Towers) -> float:
        return GOOD if self.instance.distances[after] < self.instance.distances[state] else 1.0

    def outcome(self, state: Towers) -> Observation[Towers]:
        solved = state == self.instance.goal
        return Observation(state, solved, 1.0 if solved else None)

    def value(self, state: Towers) -> float:
        noise = seeded("value", self.seed, self.root, self.instance.goal, state).gauss(0, 1)
        return min(1.0, max(0.0, (len(conditions(state) & self.wanted) + noise) / len(self.wanted)))
