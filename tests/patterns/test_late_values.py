"""Tree search: which values nobody is asked for yet, or at all."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.patterns.letters import SOLUTION, Letters, Tree, Word

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Observation, SearchWatcher, search

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("calls", "last"), [(3, "propose b"), (4, "propose a"), (5, "propose ba")])
async def test_the_last_call_goes_to_a_proposal_and_not_to_values_that_nothing_could_follow(
    calls: int, last: str
) -> None:
    world = Letters(solution="none", length=10**6, values={"b": 0.95, "a": 0.88, "c": 0.85, "ba": 0.95})
    await search("", world, Bounds(model_calls=calls, value_weight=1.0, exploration=0.0))
    assert world.calls[-1] == last


async def test_the_first_ideas_are_valued_even_with_the_last_call_and_nothing_that_was_not_counts_as_bad() -> None:
    world = Letters(solution="none", length=10**6, values={"b": 0.9})
    result = await search("", world, Bounds(model_calls=2))
    assert (world.calls, result.best.state) == (["propose ", "evaluate a b c"], "b")
    world = Letters(solution="none", length=10**6, values={"b": 0.95, "a": 0.5, "c": 0.5})
    result = await search("", world, Bounds(model_calls=4, value_weight=1.0))
    assert world.calls[2:] == ["propose b", "propose "]
    (best,) = [node for node in result.root.walk() if node.state == "b"]
    assert (best.visits, best.total) == (1, 0.0), "no way has come to its end there"
    assert result.best is best, "what nobody has valued does not hide what it came of"


@dataclass
class Corridor(Letters):
    """One way goes on from each word, but from the root and from aaaa."""

    async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
        await super().propose(node, n, slot)
        return self.offers if node.state in ("", "aaaa") else self.offers[:1]


async def test_one_node_alone_is_valued_with_the_next_and_stands_for_its_parent_until_then() -> None:
    world = Corridor(solution="none", length=10**6, values={"a": 0.9, "aa": 0.2, "aaa": 0.8, "aaaa": 0.8})
    seen: list[tuple[str, float]] = []

    class Watcher(SearchWatcher[Word, str]):
        async def grown(self, node: Tree, children: Sequence[Tree]) -> None:
            seen.extend((child.state, child.estimate) for child in children if child.state.startswith("aa"))

        async def valued(self, node: Tree) -> None:
            seen.append((f"{node.state}!", node.estimate))

    bounds = Bounds(model_calls=9, value_weight=1.0, exploration=0.0, max_depth=9)
    result = await search("", world, bounds, watcher=Watcher())
    assert world.calls[:5] == ["propose ", "evaluate a b c", "propose a", "propose aa", "evaluate aa aaa"]
    assert seen[:3] == [("aa", 0.9), ("aa!", 0.2), ("aaa", 0.8)]
    (late,) = [node for node in result.root.walk() if node.state == "aa"]
    assert late.prior == pytest.approx(0.7 * 0.2 + 0.3 * 0.9)


async def test_an_end_that_nobody_but_its_evaluation_knows_is_valued_at_once_though_it_is_alone() -> None:
    @dataclass
    class Single(Letters):
        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            await super().propose(node, n, slot)
            return SOLUTION[len(node.state)]

        async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
            word = node.state + action
            return Observation(word, terminal=word == SOLUTION)

    world = Single(values={"b": 0.95, "bcb": 1.0})
    result = await search("", world, Bounds(max_depth=3))
    assert result.solved
    assert world.calls[:6] == ["propose ", "evaluate b", "propose b", "propose bc", "evaluate bc bcb", "confirm 1 bcb"]


async def test_one_node_alone_is_valued_in_the_next_round_though_nothing_else_is() -> None:
    """All else that is found are wrong ends, which nobody has to value."""

    @dataclass
    class Walls(Corridor):
        async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
            word = node.state + action
            return Observation(word, terminal=len(word) == 3, reward=0.0)

    world = Walls(solution="none", values={"a": 0.95, "aa": 0.1})
    await search("", world, Bounds(model_calls=9))
    assert world.calls[2:5] == ["propose a", "propose aa", "evaluate aa"]


async def test_where_no_way_may_go_on_one_node_alone_is_valued_at_once() -> None:
    world = Corridor(solution="none", length=10**6, values={"a": 0.9, "aa": 0.1})
    result = await search("", world, Bounds(iterations=1, max_depth=2))
    assert world.calls == ["propose ", "evaluate a b c", "propose a", "evaluate aa"]
    assert result.best.state == "b"


async def test_a_search_that_ends_by_its_trajectories_leaves_nothing_late() -> None:
    world = Corridor(solution="none", length=10**6, values={"a": 0.9, "b": 0.9, "c": 0.9, "aa": 0.1})
    result = await search("", world, Bounds(iterations=1, value_weight=1.0, exploration=1.0, parallel=1))
    assert world.calls[-1].startswith("evaluate a")
    assert not [node for node in result.root.walk() if node.late]


@pytest.mark.parametrize(("trajectories", "last"), [(1, "evaluate aa ab ac"), (2, "propose ")])
async def test_the_last_call_is_for_values_where_no_trajectory_is_left_that_could_propose(
    trajectories: int, last: str
) -> None:
    world = Letters(solution="none", length=10**6, values={"a": 0.9, "b": 0.5, "aa": 0.95})
    result = await search("", world, Bounds(iterations=trajectories, model_calls=4, value_weight=1.0, exploration=0.0))
    assert world.calls[-1] == last
    assert result.best.state == ("aa" if trajectories == 1 else "a")


async def test_siblings_are_valued_together_though_one_of_them_is_late() -> None:
    """While ac waits, it is asked for more, and so is a: ac stands with the new ones at a."""

    @dataclass
    class Families(Letters):
        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            await super().propose(node, n, slot)
            return "ab" if node.parent is None else "cdefg"[len(node.children) :][: 1 if not node.children else 2]

    values = {"a": 0.5, "b": 0.1, "ac": 0.9, "bc": 0.1, "acc": 0.95, "bcc": 0.95}
    world = Families(solution="none", length=10**6, values=values)
    await search("", world, Bounds(model_calls=20, parallel=2))
    assert world.calls[2:7] == ["propose ", "propose a", "propose ac", "propose a", "evaluate ac ad ae acc"]
