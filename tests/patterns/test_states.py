"""Tree search where several ways lead to the same state."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
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


async def test_a_state_that_is_come_to_by_a_shorter_way_is_searched_there_and_not_asked_about_again() -> None:
    """The way over a and b to x is too long for the goal; that x is beside a comes with the second asking."""
    links = {"": ["a", "x"], "a": ["b"], "b": ["x"], "x": ["y"], "y": ["z"], "z": ["goal"]}

    @dataclass
    class Ways(Letters):
        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            await super().propose(node, n, slot)
            return links[node.state][len(node.children) :][:1]

        async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
            return Observation(action, terminal=action == "goal", reward=1.0)

    world = Ways(values=dict.fromkeys("abxyz", 1.0))
    result = await search("", world, Bounds(max_depth=4))
    assert result.solved
    assert [node.state for node in result.path] == ["x", "y", "z", "goal"]
    assert world.calls.index("propose x") < world.calls.index("propose ", 1)
    assert world.calls[world.calls.index("propose ", 1) :] == ["propose ", "propose y", "evaluate z", "propose z"]
    (further,) = [node for node in result.root.walk() if node.state == "x" and node.depth == 3]
    assert further.repeats
    assert further.dead


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
