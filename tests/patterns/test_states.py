"""Tree search where several ways lead to the same state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.letters import Letters, Tree, Word

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Node, Observation, search

pytestmark = pytest.mark.anyio


async def test_equal_states_are_evaluated_and_searched_once() -> None:
    @dataclass
    class Sums(Letters):
        async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
            word = "".join(sorted(node.state + action))
            return Observation(word, terminal=len(word) == self.length, reward=0.0)

    world = Sums(solution="none")
    await search("", world, Bounds(iterations=1000, max_depth=3))
    asked = [word for call in world.calls if call.startswith("evaluate") for word in call.split()[1:]]
    assert sorted(asked) == sorted(set(asked))
    expanded = [call for call in world.calls if call.startswith("propose")]
    assert set(expanded) == {f"propose {word}" for word in ("", "a", "b", "c", "aa", "ab", "ac", "bb", "bc", "cc")}


@dataclass
class Graph(Letters):
    """States are letters with links between them, named a few at a time; z is the goal."""

    links: Mapping[str, str] = field(default_factory=dict[str, str])
    at_a_time: int = 1

    async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
        await super().propose(node, n, slot)
        return self.links.get(node.state, "")[len(node.children) :][: self.at_a_time]

    async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
        return Observation(action, terminal=action == "z", reward=1.0)


async def test_a_state_that_is_come_to_by_a_shorter_way_is_searched_there_and_not_asked_about_again() -> None:
    """The way over a and b to x is too long for the goal; that x is beside a comes with the second asking."""
    links = {"": "ax", "a": "b", "b": "x", "x": "y", "y": "w", "w": "z"}
    world = Graph(links=links, values=dict.fromkeys("abxyw", 1.0))
    result = await search("", world, Bounds(max_depth=4))
    assert result.solved
    assert [node.state for node in result.path] == ["x", "y", "w", "z"]
    assert world.calls.index("propose x") < world.calls.index("propose ", 1)
    assert world.calls[world.calls.index("propose ", 1) :] == ["propose ", "propose y", "propose w"]
    (further,) = [node for node in result.root.walk() if node.state == "x" and node.depth == 3]
    assert further.repeats
    assert further.dead


LETTERS = "abcdefg"


@settings(max_examples=200, deadline=None)
@given(
    links=st.fixed_dictionaries({state: st.text(f"{LETTERS}z", max_size=4) for state in ["", *LETTERS]}),
    values=st.fixed_dictionaries({state: st.floats(0, 1) for state in LETTERS}),
    at_a_time=st.integers(1, 3),
    max_depth=st.integers(1, 5),
    parallel=st.integers(1, 3),
)
async def test_it_finds_the_goal_if_and_only_if_some_way_is_short_enough(
    links: dict[str, str], values: dict[str, float], at_a_time: int, max_depth: int, parallel: int
) -> None:
    links = {state: "".join(dict.fromkeys(named)) for state, named in links.items()}
    level = {""}
    for _ in range(max_depth):
        level |= {to for state in level for to in links.get(state, "")}
    world = Graph(links=links, values=values, at_a_time=at_a_time)
    bounds = Bounds(iterations=10**6, max_depth=max_depth, parallel=parallel)
    result = await search("", world, bounds)
    assert (result.solved, result.stopped) == (("z" in level), "solved" if "z" in level else "no solution")


async def test_states_that_cannot_be_hashed_are_all_different() -> None:
    class Lists:
        async def propose(self, node: Node[list[int], int], n: int, slot: Slot) -> Sequence[int]:
            return [1, 2]

        async def step(self, node: Node[list[int], int], action: int, slot: Slot) -> Observation[list[int]]:
            state = [*node.state, action]
            return Observation(state, len(state) == 2, float(state == [2, 1]))

        async def evaluate(self, nodes: Sequence[Node[list[int], int]], slot: Slot) -> Sequence[float]:
            return [0.5] * len(nodes)

        async def confirm(self, nodes: Sequence[Node[list[int], int]], question: int, slot: Slot) -> Sequence[float]:
            raise AssertionError("a step tells what is right")

        async def reflect(self, node: Node[list[int], int], slot: Slot) -> str:
            return ""

    result = await search([], Lists(), Bounds(max_depth=2))
    assert result.solved
