"""The tree of a search: its arithmetic by hand."""

import math
from typing import TypeAlias

import pytest

from forethought_patterns.tree import (
    News,
    Node,
    Spread,
    again,
    backup,
    best_leaf,
    blend,
    enter,
    leave,
    select,
    settle,
    uct,
    undoubted,
)

Tree: TypeAlias = Node[str, str]


def family(*children: tuple[float, int, float]) -> Tree:
    """A root that was visited ten times, with children of so much prior, visits and total."""
    root: Tree = Node("", visits=10)
    for position, (prior, visits, total) in enumerate(children):
        child = root.grow(str(position), str(position))
        child.prior, child.visits, child.total = prior, visits, total
    return root


def test_the_root_is_worth_as_much_as_a_candidate_that_is_sure() -> None:
    assert undoubted(5, 0.8) == pytest.approx(0.84)
    assert undoubted(2, 0.5) == pytest.approx(0.75)


def test_uct_is_the_mean_and_one_division() -> None:
    fresh, tried = family((0.6, 1, 0.0), (0.5, 5, 4.0)).children
    assert uct(fresh, 1.0) == pytest.approx(0.6 + math.sqrt(math.log(10)))
    assert uct(tried, 1.0) == pytest.approx(4.5 / 5 + math.sqrt(math.log(10) / 5))
    assert uct(tried, 0.0) == pytest.approx(0.9)
    (often,) = family((1.0, 11, 10.0)).children
    assert uct(often, 0.0) == pytest.approx(1.0), "ten rewards of 1 are a value of 1, not of 0.1"
    with pytest.raises(ValueError, match="siblings"):
        uct(family(), 1.0)


def test_the_best_that_is_open_below_counts_for_more_than_the_mean() -> None:
    root = family((0.6, 3, 0.0))
    (node,) = root.children
    node.proposals = 1
    for prior in (0.9, 0.4):
        child = node.grow("", "")
        child.prior = prior
        settle(child)
    assert (node.open, root.open) == (0.9, 0.9)
    assert uct(node, 0.0) == pytest.approx(0.9 * 0.9 + 0.1 * 0.6 / 3)
    assert node.value == pytest.approx(0.83)
    node.children[0].dead = True
    settle(node.children[0])
    assert node.open == pytest.approx(0.6 * 0.85), "to ask it once more is worth more than what is left below"
    assert node.value == pytest.approx(0.9 * 0.51 + 0.1 * 0.2)


@pytest.mark.parametrize(("proposals", "worth"), [(0, 0.8), (1, 0.68), (2, 0.578), (3, 0.4913)])
def test_to_ask_again_is_worth_less_each_time(proposals: int, worth: float) -> None:
    root = family()
    root.prior, root.proposals = 0.8, proposals
    assert again(root, 0.0) == pytest.approx(worth)
    assert again(root, 1.0) == pytest.approx(worth + math.sqrt(math.log(10) / max(1, proposals)))


def test_the_more_often_a_node_was_visited_the_more_often_it_may_be_asked() -> None:
    root = family((0.1, 1, 0.0))
    root.prior, root.proposals = 0.8, 4
    (child,) = root.children
    for visits in range(root.visits + 1, 41):
        backup(child, 0.0)
        assert root.visits == visits
        assert root.open == root.worth_asking, "known above without being walked anew"
    assert root.worth_asking == pytest.approx(0.8 * 0.85**2), "four times as many visits as ten: half as many times"


def test_to_ask_again_is_worth_less_where_that_brings_little_that_is_new() -> None:
    news, root = News(), family((0.1, 1, 0.0))
    (child,) = root.children
    root.prior = 0.8
    root.asked(4, 4)
    news.count(root, 4)
    assert again(root, 0.0) == pytest.approx(0.8 * 0.85), "nothing is known of asking again"
    root.asked(4, 1)
    news.count(root, 1)
    # Anywhere: a quarter, and two times that are taken for as good as the first. Here: a quarter, half a state each.
    assert root.news == pytest.approx(math.sqrt((0.25 + 2) / (1 + 2) * 1.5 / 4.5))
    assert again(root, 0.0) == pytest.approx(0.8 * 0.85**2 * 0.5)
    child.asked(4, 4)
    news.count(child, 4)
    assert child.news == pytest.approx(math.sqrt(0.75)), "of the others it is known, and not of this one"
    root.asked(4, 4)
    news.count(root, 30)
    assert root.news == 1, "no more than a first time"


def test_nothing_new_the_first_time_says_nothing_of_asking_again() -> None:
    news, root = News(), family()
    root.asked(5, 0)
    news.count(root, 0)
    assert root.news == 1


@pytest.mark.parametrize(("best", "chosen"), [(0.86, "0"), (0.84, "")])
def test_asking_again_competes_with_the_children(best: float, chosen: str) -> None:
    root = family((best, 1, 0.0), (0.1, 1, 0.0))
    root.prior, root.proposals = 1.0, 1
    for child in root.children:
        settle(child)
    found = select(root, 0.0)
    assert found is not None
    assert found.state == chosen


def test_a_trajectory_under_way_counts_as_a_visit_that_brought_nothing() -> None:
    root = family((0.6, 1, 0.0), (0.2, 1, 0.0))
    root.proposals, root.exhausted = 1, True
    for child in root.children:
        settle(child)
    assert uct(root.children[0], 1.0) == pytest.approx(0.6 + math.sqrt(math.log(10)))
    enter(root.children[0])
    assert uct(root.children[0], 1.0) == pytest.approx(0.3 + math.sqrt(math.log(11) / 2))
    assert root.open == 0.2, "nobody else asks there meanwhile"
    assert select(root, 0.0) is root.children[1]
    leave(root.children[0])
    assert uct(root.children[0], 1.0) == pytest.approx(0.6 + math.sqrt(math.log(10)))
    assert select(root, 0.0) is root.children[0]


def test_values_blend_the_evaluation_with_self_consistency() -> None:
    root = family()
    for estimate, sampled in ((0.8, 3), (0.4, 1), (0.9, 4)):
        root.grow("", "", sampled).estimate = estimate
    root.children[2].reward = 0.25
    blend(root, 0.5)
    assert [child.prior for child in root.children] == pytest.approx([0.5875, 0.2625, 0.25])
    blend(root, 1.0)
    assert [child.prior for child in root.children] == pytest.approx([0.8, 0.4, 0.25]), "the root lends nothing"


def test_a_first_value_leans_on_that_of_the_parent() -> None:
    (parent,) = family((0.5, 1, 0)).children
    for estimate in (0.8, 0.2, 0.9):
        parent.grow("", "").estimate = estimate
    parent.children[2].reward = 0.0
    blend(parent, 1.0)
    assert [child.prior for child in parent.children] == pytest.approx([0.71, 0.29, 0.0]), "what is known leans on none"
    assert [child.rise for child in parent.children] == [1, 0, 0]


def test_backup_is_the_running_mean_along_the_way() -> None:
    root: Tree = Node("")
    inner = root.grow("a", "a")
    leaf = inner.grow("b", "ab")
    inner.prior, leaf.prior = 0.4, 0.7
    inner.exhausted = leaf.exhausted = True
    backup(leaf, 1.0)
    backup(inner, 0.0)
    assert (root.visits, inner.visits, leaf.visits) == (3, 3, 2)
    assert inner.value == pytest.approx((0.4 + 1 + 0) / 3)
    assert leaf.value == pytest.approx(0.85)
    assert [node.name for node in leaf.way] == ["0.0", "0.0.0"]


def test_what_is_dead_is_never_selected_and_death_spreads_upwards() -> None:
    root = family((0.9, 1, 0.0), (0.1, 1, 0.0))
    root.exhausted = True
    for child in root.children:
        child.exhausted = True
        end = child.grow("x", "x")
        assert not root.dead
        end.dead = True
        settle(end)
        assert child.dead
    assert root.dead
    assert select(root, 1.0) is None


def test_the_best_leaf_has_the_highest_reward_or_else_the_highest_value() -> None:
    root = family((0.9, 1, 0.0), (0.2, 1, 0.0))
    root.children[1].terminal, root.children[1].reward = True, 0.3
    assert best_leaf(root).state == "1"
    root.children[1].reward = 0.0
    assert best_leaf(root).state == "0"


def test_what_leads_back_does_not_hide_what_it_came_of() -> None:
    root = family((0.9, 1, 0.0), (0.2, 1, 0.0))
    back = root.children[0].grow("back", "")
    back.repeats = True
    assert best_leaf(root).state == "0"
    root.children[0].grow("on", "0 on")
    assert best_leaf(root).state != "0"


def test_how_far_siblings_are_apart_counts_all_families_and_none_without_a_worth_of_its_own() -> None:
    spread = Spread()
    spread.count([])
    assert spread.deviation == 0
    spread.count(family((0.7, 1, 0.0)).children)
    assert spread.deviation == 0, "one child alone"
    spread.count(family((0.2, 1, 0.0), (0.4, 1, 0.0), (0.6, 1, 0.0)).children)
    assert spread.deviation == pytest.approx(0.2)
    late = family((0.9, 1, 0.0), (0.8, 1, 0.0), (0.1, 1, 0.0), (0.1, 1, 0.0), (0.1, 1, 0.0))
    late.children[2].late, late.children[3].repeats, late.children[4].reward = True, True, 0.1
    spread.count(late.children)
    assert spread.deviation == pytest.approx(math.sqrt((0.08 + 0.005) / 3)), "0.3 apart though these families are"
