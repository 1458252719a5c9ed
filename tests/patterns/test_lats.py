"""Tree search: the arithmetic by hand, every trap of earlier implementations, and what a caller can rely on."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Node, Observation, SearchResult, search
from forethought_patterns.tree import backup, best_leaf, blend, close, mark, select, uct, widens
from forethought_tools import BudgetError, ModelError

pytestmark = pytest.mark.anyio

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

    async def reflect(self, node: Tree, slot: Slot) -> str:
        self.calls.append(f"reflect {node.state}")
        return f"not {node.state}"


def family(*children: tuple[float, int, float]) -> Tree:
    """A root that was visited ten times, with children of so much prior, visits and total."""
    root: Tree = Node("", visits=10)
    for position, (prior, visits, total) in enumerate(children):
        child = root.grow(str(position), str(position))
        child.prior, child.visits, child.total = prior, visits, total
    return root


def words(result: SearchResult[Word, str]) -> list[str]:
    return [node.state for node in result.root.walk()]


async def test_uct_is_the_mean_and_one_division() -> None:
    fresh, tried = family((0.6, 1, 0.0), (0.5, 5, 4.0)).children
    assert uct(fresh, 1.0) == pytest.approx(0.6 + math.sqrt(math.log(10)))
    assert uct(tried, 1.0) == pytest.approx(4.5 / 5 + math.sqrt(math.log(10) / 5))
    assert uct(tried, 0.0) == pytest.approx(0.9)
    (often,) = family((1.0, 11, 10.0)).children
    assert uct(often, 0.0) == pytest.approx(1.0), "ten rewards of 1 are a value of 1, not of 0.1"
    with pytest.raises(ValueError, match="siblings"):
        uct(family(), 1.0)


async def test_a_trajectory_under_way_counts_as_a_visit_that_brought_nothing() -> None:
    root = family((0.6, 1, 0.0))
    mark(root.children[0], 1)
    assert uct(root.children[0], 1.0) == pytest.approx(0.3 + math.sqrt(math.log(11) / 2))
    mark(root.children[0], -1)
    assert uct(root.children[0], 1.0) == pytest.approx(0.6 + math.sqrt(math.log(10)))


async def test_values_blend_the_evaluation_with_self_consistency() -> None:
    root = family((0, 1, 0), (0, 1, 0), (0, 1, 0))
    for child, estimate, sampled in zip(root.children, (0.8, 0.4, 0.9), (3, 1, 4), strict=True):
        child.estimate, child.sampled = estimate, sampled
    root.children[2].reward = 0.25
    blend(root, 0.5)
    assert [child.prior for child in root.children] == pytest.approx([0.5875, 0.2625, 0.25])
    blend(root, 1.0)
    assert [child.prior for child in root.children] == pytest.approx([0.8, 0.4, 0.25])


async def test_backup_is_the_running_mean_along_the_way() -> None:
    root: Tree = Node("")
    inner = root.grow("a", "a")
    leaf = inner.grow("b", "ab")
    inner.prior, leaf.prior = 0.4, 0.7
    backup(leaf, 1.0)
    backup(inner, 0.0)
    assert (root.visits, inner.visits, leaf.visits) == (3, 3, 2)
    assert inner.value == pytest.approx((0.4 + 1 + 0) / 3)
    assert leaf.value == pytest.approx(0.85)
    assert [node.name for node in leaf.way] == ["0.0", "0.0.0"]


@pytest.mark.parametrize(
    ("proposals", "visits", "again"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 3, False), (2, 4, True), (3, 7, False), (3, 8, True)],
)
async def test_children_grow_with_the_square_root_of_the_visits(proposals: int, visits: int, again: bool) -> None:
    node: Tree = Node("", visits=visits, proposals=proposals)
    assert widens(node) is again
    node.exhausted = True
    assert not widens(node)


async def test_what_is_dead_is_never_selected_and_death_spreads_upwards() -> None:
    root = family((0.9, 1, 0.0), (0.1, 1, 0.0))
    root.proposals = root.children[0].proposals = root.children[1].proposals = 9
    for child in root.children:
        child.exhausted = True
        close(child.grow("x", "x"))
        assert child.dead
    root.exhausted = True
    close(root.children[1])
    assert root.dead
    assert select(root, 1.0) is None


async def test_it_finds_the_word_and_stops_at_once() -> None:
    world = Letters(values={"b": 0.9, "bc": 0.9})
    result = await search("", world, Bounds(max_depth=3))
    assert result.solved
    assert [node.action for node in result.path] == ["b", "c", "b"]
    assert (result.best.state, result.stopped, result.iterations) == (SOLUTION, "solved", 1)
    assert world.calls == [
        "propose ",
        "evaluate a b c",
        "propose b",
        "evaluate ba bb bc",
        "propose bc",
    ], "ends with a known reward are not evaluated, and success is not reflected upon"
    assert result.model_calls == 5
    assert {"a", "c", "ba", "bb", "bca", "bcc"} <= set(words(result)), "what was seen on the way is kept"


async def test_values_land_on_the_right_children_when_an_end_comes_first() -> None:
    world = Letters(solution="none", values={"b": 0.9, "c": 0.2})

    async def step(node: Tree, action: str, slot: Slot) -> Observation[Word]:
        return Observation(node.state + action, terminal=action == "a", reward=0.0)

    world.step = step  # type: ignore[method-assign]
    result = await search("", world, Bounds(iterations=1, max_depth=1, value_weight=1.0))
    assert [child.prior for child in result.root.children] == [0.0, 0.9, 0.2]


async def test_all_dead_is_no_solution_with_the_best_leaf() -> None:
    world = Letters(solution="none", values={"b": 0.9, "bb": 0.8})
    result = await search("", world, Bounds(iterations=1000, max_depth=3))
    assert (result.solved, result.stopped) == (False, "no solution")
    assert result.best is not result.root
    assert len(words(result)) == 1 + 3 + 9 + 27, "each way was tried once"


async def test_nothing_proposed_is_no_solution() -> None:
    result = await search("", Letters(offers=()))
    assert (result.solved, result.stopped, result.best, result.path) == (False, "no solution", result.root, [])


async def test_the_best_leaf_has_the_highest_reward_or_else_the_highest_value() -> None:
    root = family((0.9, 1, 0.0), (0.2, 1, 0.0))
    root.children[1].terminal, root.children[1].reward = True, 0.3
    assert best_leaf(root).state == "1"
    root.children[1].reward = 0.0
    assert best_leaf(root).state == "0"


async def test_a_search_without_end_stops_at_its_bounds() -> None:
    rising = {"".join(word): len(word) / 10 for size in range(6) for word in itertools.product("abc", repeat=size)}
    world = Letters(length=10**6, values=rising)
    result = await search("", world, Bounds(iterations=4, max_depth=5))
    assert (result.iterations, result.stopped) == (4, "iterations")
    assert max(node.depth for node in result.root.walk()) == 5


async def test_a_way_without_gain_is_cut_off_and_counts_for_what_it_seems_worth() -> None:
    world = Letters(length=10**6, values={"c": 0.8, "ca": 0.7, "caa": 0.6})
    result = await search("", world, Bounds(iterations=1, max_depth=9, value_weight=1.0))
    (first,) = [node for node in result.root.walk() if node.state == "c"]
    assert max(node.depth for node in result.root.walk()) == 3, "two moves after c are worth no more than c"
    assert (first.visits, first.total) == (2, 0.6)


@settings(max_examples=60, deadline=None)
@given(bound=st.integers(0, 60), parallel=st.integers(1, 5), weight=st.floats(0, 2))
async def test_model_calls_are_a_hard_bound(bound: int, parallel: int, weight: float) -> None:
    world = Letters(solution="none", length=4)
    bounds = Bounds(iterations=50, max_depth=4, model_calls=bound, parallel=parallel, exploration=weight)
    result = await search("", world, bounds)
    assert len(world.calls) == result.model_calls <= bound
    assert result.stopped in ("model calls", "iterations", "no solution")


async def test_a_node_is_asked_again_so_that_early_choices_do_not_bound_the_search() -> None:
    """With one expansion per node this world has no solution: the right first letter comes with the second asking."""

    @dataclass
    class Late(Letters):
        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            await super().propose(node, n, slot)
            return ["a"] if not node.children else ["b", "c"]

    result = await search("", Late(), Bounds(iterations=30, max_depth=3))
    assert result.solved
    assert result.root.proposals > 1


async def test_proposals_that_repeat_count_as_agreement_and_make_no_new_nodes() -> None:
    world = Letters(solution="none", offers=("a", "b", "b", "b"))
    result = await search("", world, Bounds(iterations=1, max_depth=1, value_weight=0.0))
    assert [(child.action, child.sampled, child.prior) for child in result.root.children] == [
        ("a", 1, 0.25),
        ("b", 3, 0.75),
    ]


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


async def test_states_that_cannot_be_hashed_are_all_different() -> None:
    class Lists:
        async def propose(self, node: Node[list[int], int], n: int, slot: Slot) -> Sequence[int]:
            return [1, 2]

        async def step(self, node: Node[list[int], int], action: int, slot: Slot) -> Observation[list[int]]:
            state = [*node.state, action]
            return Observation(state, len(state) == 2, float(state == [2, 1]))

        async def evaluate(self, nodes: Sequence[Node[list[int], int]], slot: Slot) -> Sequence[float]:
            return [0.5] * len(nodes)

        async def reflect(self, node: Node[list[int], int], slot: Slot) -> str:
            return ""

    result = await search([], Lists(), Bounds(max_depth=2))
    assert result.solved


async def test_failures_become_at_most_three_lessons_that_later_proposals_see() -> None:
    world = Letters(solution="none")
    result = await search("", world, Bounds(iterations=1000, max_depth=3))
    reflected = [call for call in world.calls if call.startswith("reflect")]
    assert len(reflected) == len(result.root.lessons) == 3
    assert world.lessons[0] == ()
    assert world.lessons[-1] == tuple(result.root.lessons)


async def test_whoever_has_nothing_to_learn_is_not_asked_again() -> None:
    @dataclass
    class Silent(Letters):
        async def reflect(self, node: Tree, slot: Slot) -> str:
            await super().reflect(node, slot)
            return " "

    world = Silent(solution="none")
    result = await search("", world, Bounds(iterations=50, max_depth=3))
    assert len([call for call in world.calls if call.startswith("reflect")]) == 1
    assert result.root.lessons == []


@settings(max_examples=25, deadline=None)
@given(delays=st.lists(st.sampled_from([0.0, 0.0005, 0.002]), min_size=1, max_size=5), parallel=st.integers(2, 4))
async def test_whoever_is_quicker_the_tree_is_the_same(delays: list[float], parallel: int) -> None:
    slow, plain = Letters(solution="cab", delays=delays), Letters(solution="cab")
    trees = [
        [
            (node.name, node.state, node.visits, node.value)
            for node in (await search("", world, Bounds(max_depth=3, parallel=parallel))).root.walk()
        ]
        for world in (slow, plain)
    ]
    assert trees[0] == trees[1]


async def test_several_trajectories_go_on_at_the_same_time() -> None:
    one, many = Letters(solution="ccc"), Letters(solution="ccc", delays=(0.001,))
    assert (await search("", one, Bounds(max_depth=3))).solved
    assert (await search("", many, Bounds(max_depth=3, parallel=4))).solved
    assert one.most_under_way == 1
    assert many.most_under_way > 1


@pytest.mark.parametrize("trouble", [BudgetError("a person wants no more spent"), ModelError("the model is gone")])
async def test_who_will_not_go_on_ends_it_with_what_there_is(trouble: Exception) -> None:
    @dataclass
    class Limited(Letters):
        allowed: int = 3

        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            if len(self.calls) >= self.allowed:
                raise trouble
            return await super().propose(node, n, slot)

    result = await search("", Limited(values={"c": 0.9}, allowed=2), Bounds(max_depth=3))
    assert (result.solved, result.stopped, result.best.state) == (False, str(trouble), "c")
    with pytest.raises(type(trouble)):
        await search("", Limited(allowed=0), Bounds(max_depth=3))


async def test_a_world_that_breaks_its_word_is_told() -> None:
    @dataclass
    class Wrong(Letters):
        said: Sequence[float] = ()

        async def evaluate(self, nodes: Sequence[Tree], slot: Slot) -> Sequence[float]:
            return self.said

    with pytest.raises(ValueError, match="2 values for 3 nodes"):
        await search("", Wrong(said=[0.1, 0.2]))
    with pytest.raises(ValueError, match="from 0 to 1, not 7"):
        await search("", Wrong(said=[0.1, 0.2, 7]))
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        await search("", Letters(), Bounds(iterations=0))


async def test_a_seed_makes_ties_fall_differently_and_repeatably() -> None:
    first = [
        words(await search("", Letters(solution="none"), Bounds(iterations=1, seed=seed))) for seed in (1, 1, 2, 3, 4)
    ]
    assert first[0] == first[1]
    assert len(set(map(tuple, first))) > 1


async def test_a_tree_may_be_as_deep_as_it_likes() -> None:
    world = Letters(solution="a" * 1500, length=1500, offers=("a",))
    world.values = {"a" * size: size / 2000 for size in range(1500)}
    result = await search("", world, Bounds(max_depth=2000, exploration=0.0))
    assert (result.solved, len(result.path)) == (True, 1500)
