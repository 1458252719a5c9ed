"""Tree search: every trap of earlier implementations, and what a caller can rely on."""

import itertools
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.letters import SOLUTION, Letters, Tree, Word, words

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Observation, search
from forethought_tools import BudgetError, ModelError

pytestmark = pytest.mark.anyio


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


async def test_a_search_without_end_stops_at_its_bounds() -> None:
    rising = {"".join(word): len(word) / 10 for size in range(6) for word in itertools.product("abc", repeat=size)}
    world = Letters(length=10**6, values=rising)
    result = await search("", world, Bounds(iterations=4, max_depth=5))
    assert (result.iterations, result.stopped) == (4, "iterations")
    assert max(node.depth for node in result.root.walk()) == 5


async def test_a_way_goes_on_only_where_the_whole_tree_would_and_counts_for_what_it_seems_worth() -> None:
    world = Letters(length=10**6, values={"b": 0.8, "c": 0.9, "ca": 0.65, "cb": 0.6})
    result = await search("", world, Bounds(iterations=1, max_depth=9, value_weight=1.0, exploration=0.0))
    assert world.calls == ["propose ", "evaluate a b c", "propose c", "evaluate ca cb cc"], "b is worth more than ca"
    (first,) = [node for node in result.root.walk() if node.state == "c"]
    assert (first.visits, first.total) == (2, 0.65)


@pytest.mark.parametrize(("parallel", "calls", "most"), [(1, 24, 1), (1, 40, 2), (1, 300, 4), (2, 60, 4), (6, 300, 6)])
async def test_a_long_search_goes_on_at_more_places_at_a_time(parallel: int, calls: int, most: int) -> None:
    """One way is always the best by far."""
    world = Letters(solution="none", length=10**6, values={"a" * length: 0.9 for length in range(300)})
    await search("", world, Bounds(iterations=999, max_depth=999, parallel=parallel, model_calls=calls))
    assert world.most_under_way == most


async def test_where_all_seems_alike_four_places_are_asked_at_the_same_time() -> None:
    world = Letters(solution="none", length=6)
    await search("", world, Bounds(iterations=999, model_calls=100))
    assert world.most_under_way == 4


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
    told = [(child.action, child.sampled, child.prior) for child in result.root.children]
    assert told == [("a", 1, 0.25), ("b", 3, 0.75)]


@dataclass
class Hopeless(Letters):
    """Ends come early, and none is a success."""

    learned: str = "not {}"

    async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
        await super().propose(node, n, slot)
        return [f"{node.proposals}{letter}" for letter in "abc"]

    async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
        return Observation(f"{node.state}{action} ", terminal=True, reward=0.0)

    async def reflect(self, node: Tree, slot: Slot) -> str:
        return self.learned.format(await super().reflect(node, slot))


async def test_dead_ends_become_at_most_three_lessons_that_later_proposals_see() -> None:
    world = Hopeless()
    result = await search("", world, Bounds(iterations=100))
    asked = [number for number, call in enumerate(world.calls, 1) if call.startswith("reflect")]
    assert len(asked) == len(result.root.lessons) == 3
    assert all(number > 25 * place for place, number in enumerate(asked, 1)), "one for every 25 calls"
    assert world.lessons[0] == ()
    assert world.lessons[-1] == tuple(result.root.lessons)


async def test_whoever_has_nothing_to_learn_is_not_asked_again() -> None:
    world = Hopeless(learned=" ")
    result = await search("", world, Bounds(iterations=100))
    assert len([call for call in world.calls if call.startswith("reflect")]) == 1
    assert result.root.lessons == []


async def test_no_lesson_is_asked_for_where_too_few_calls_are_left_to_make_use_of_it() -> None:
    for bound, lessons in ((50, 0), (60, 1)):
        world = Hopeless()
        await search("", world, Bounds(iterations=100, model_calls=bound))
        assert len([call for call in world.calls if call.startswith("reflect")]) == lessons


class Claimed(Letters):
    """No step knows what is right: whoever evaluates says so."""

    async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
        return Observation(node.state + action, terminal=True)


async def test_what_only_the_evaluation_calls_a_success_is_judged_by_two_more_questions() -> None:
    world = Claimed(values={"a": 1.0, "b": 1.0}, doubted={"a": (1, 2)})
    result = await search("", world)
    assert (result.solved, result.best.state) == (True, "b")
    asked = ["propose ", "evaluate a b c", "confirm 1 a b", "confirm 2 a b"]
    assert world.calls == asked, "all that is claimed, in one call a question"
    assert result.model_calls == 4


async def test_once_a_claim_holds_nobody_is_asked_of_the_others() -> None:
    world = Claimed(values={"a": 1.0, "b": 1.0}, doubted={"a": (2,)})
    result = await search("", world)
    assert (result.solved, result.best.state, len(world.calls)) == (True, "b", 4), (
        "of a there is one for and one against"
    )


@pytest.mark.parametrize(
    ("doubted", "asked", "solved"),
    [
        ((), 2, True),
        ((1,), 4, True),
        ((2, 3), 6, True),
        ((1, 2), 2, False),
        ((1, 3, 4), 4, False),
        ((1, 3, 5), 6, False),
    ],
)
async def test_a_claim_holds_if_verdicts_for_it_are_three_ahead_within_six_questions(
    doubted: Sequence[int], asked: int, solved: bool
) -> None:
    world = Claimed(values={"a": 1.0}, doubted={"a": doubted})
    result = await search("", world, Bounds(model_calls=2 + asked))
    assert (result.solved, len(world.calls)) == (solved, 2 + asked)


@pytest.mark.parametrize(("ends", "asked"), [(20, 2), (21, 4)])
async def test_of_more_than_twenty_ends_one_has_to_be_five_verdicts_ahead(ends: int, asked: int) -> None:
    world = Claimed(offers=[str(number) for number in range(ends)], values={"0": 1.0})
    result = await search("", world, Bounds(candidates=ends))
    assert (result.solved, result.model_calls) == (True, 2 + asked)


async def test_a_claim_that_nobody_confirms_is_no_success() -> None:
    for doubted, calls in (((1, 2), 4), ((), 3)):
        world = Claimed(values={"a": 1.0}, doubted={"a": doubted})
        result = await search("", world, Bounds(model_calls=calls))
        assert (result.solved, result.model_calls, len(world.calls)) == (False, calls - calls % 2, calls - calls % 2)
        assert result.best.state == "a", "it is the best there is to show"


async def test_all_that_has_grown_at_the_same_time_is_valued_in_one_call_siblings_together() -> None:
    world = Letters(solution="none", values={"a": 0.9, "b": 0.9})
    await search("", world, Bounds(parallel=2, iterations=3, candidates=3))
    rounds = [call.split()[1:] for call in world.calls if call.startswith("evaluate")]
    assert ["aa", "ab", "ac", "ba", "bb", "bc"] in rounds


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
    told = {"c": 0.9, "cc": 0.9}
    one, many = Letters(solution="ccc", values=told), Letters(solution="ccc", values=told, delays=(0.001,))
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


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (BudgetError("a person wants no more spent"), "a person wants no more spent"),
        (ModelError("solved"), "solved"),
        (ModelError(""), "a refusal that says nothing"),
    ],
)
@pytest.mark.parametrize("refused", ["step ca", "propose a"])
async def test_what_others_bring_is_not_lost_where_one_is_refused(trouble: Exception, told: str, refused: str) -> None:
    """The answer cc is beside ca, and after c, which is asked beside a. No refusal makes an answer by what it says."""

    @dataclass
    class Partly(Letters):
        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            if refused == f"propose {node.state}":
                raise trouble
            return await super().propose(node, n, slot)

        async def step(self, node: Tree, action: str, slot: Slot) -> Observation[Word]:
            if refused == f"step {node.state}{action}":
                raise trouble
            return await super().step(node, action, slot)

    values = {"a": 0.95, "c": 0.95, "b": 0.1}
    found = await search("", Partly(solution="cc", length=2, values=values), Bounds(max_depth=2))
    assert (found.solved, found.best.state) == (True, "cc")
    unsolved = Partly(solution="none", length=3, values=values)
    result = await search("", unsolved, Bounds(max_depth=3))
    assert (result.solved, result.stopped) == (False, told)
    assert "cc" in words(result)
    assert not any(node.asking or node.pending for node in result.root.walk()), "nothing is under way any more"
    assert unsolved.calls[-1].startswith("propose"), "nobody is asked any more"


async def test_a_world_that_breaks_its_word_is_told() -> None:
    @dataclass
    class Wrong(Letters):
        said: Sequence[float] = ()

        async def evaluate(self, nodes: Sequence[Tree], slot: Slot) -> Sequence[float]:
            return self.said

    with pytest.raises(ValueError, match="2 values were returned for 3 nodes"):
        await search("", Wrong(said=[0.1, 0.2]))
    with pytest.raises(ValueError, match="from 0 to 1, not 7"):
        await search("", Wrong(said=[0.1, 0.2, 7]))
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        await search("", Letters(), Bounds(iterations=0))
    with pytest.raises(ValueError, match="parallel"):
        Bounds(parallel=0)
    with pytest.raises(ValueError, match="model_calls"):
        Bounds(model_calls=-1)
    with pytest.raises(ValueError, match="exploration"):
        Bounds(exploration=float("nan"))


async def test_a_seed_makes_ties_fall_differently_and_repeatably() -> None:
    first = [words(await search("", Letters(solution="none"), Bounds(iterations=1, seed=n))) for n in (1, 1, 2, 3, 4)]
    assert first[0] == first[1]
    assert len(set(map(tuple, first))) > 1


async def test_a_tree_may_be_as_deep_as_it_likes() -> None:
    length = sys.getrecursionlimit() + 100
    world = Letters(solution="a" * length, length=length, offers=("a",))
    world.values = {"a" * size: size / 2000 for size in range(length)}
    result = await search("", world, Bounds(max_depth=2000, exploration=0.0))
    assert (result.solved, len(result.path)) == (True, length)


@pytest.mark.parametrize(("length", "calls"), [(10**6, 4100), (1, 2010)], ids=["a tree", "ends of one node"])
async def test_the_ten_thousandth_node_is_as_little_work_as_the_thousandth(length: int, calls: int) -> None:
    """Work is counted, not timed: the calls of functions between two askings."""

    @dataclass
    class Wide(Letters):
        work: int = 0
        spent: list[int] = field(default_factory=list[int])

        async def propose(self, node: Tree, n: int, slot: Slot) -> Sequence[str]:
            self.spent.append(self.work)
            self.work = 0
            return [f"{len(node.children) + place}," for place in range(n)]

        async def evaluate(self, nodes: Sequence[Tree], slot: Slot) -> Sequence[float]:
            return [random.Random(node.state).random() for node in nodes]

    world = Wide(solution="none", length=length)

    def count(frame: FrameType, event: str, argument: object) -> None:
        world.work += 1

    sys.setprofile(count)
    try:
        result = await search("", world, Bounds(iterations=10**6, max_depth=7, model_calls=calls))
    finally:
        sys.setprofile(None)
    assert len(words(result)) > 10_000
    early, late = (statistics.mean(world.spent[begin : begin + 200]) for begin in (200, 1800))
    assert late < 2 * early
