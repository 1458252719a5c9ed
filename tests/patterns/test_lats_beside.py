"""Tree search: what is asked at the same time."""

import itertools
from collections.abc import Sequence

import pytest
from tests.patterns.letters import Letters

from forethought_patterns.lats import Bounds, search

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("calls", "together"), [(50, 1), (99, 1), (100, 4), (300, 4), (301, 1), (None, 1)])
async def test_how_many_calls_there_are_in_all_says_how_many_trajectories_start_together(
    calls: int | None, together: int
) -> None:
    """One way is the best by far."""
    world = Letters(solution="none", length=10**6, values={"a": 0.9})
    await search("", world, Bounds(model_calls=calls))
    assert len(list(itertools.takewhile(lambda call: call.startswith("propose"), world.calls[2:]))) == together


@pytest.mark.parametrize(
    ("values", "asked"), [((0.95, 0.91, 0.6), "ab"), ((0.95, 0.4, 0.91), "ac"), ((0.95, 0.91, 0.9), "a")]
)
async def test_what_is_worth_hardly_less_than_the_best_is_asked_beside_it(values: Sequence[float], asked: str) -> None:
    """0.04 is hardly less where siblings are 0.19 or 0.31 apart, but not where they are 0.03."""
    world = Letters(solution="none", length=10**6, values=dict(zip("abc", values, strict=True)))
    await search("", world, Bounds(model_calls=6, value_weight=1.0, exploration=0.0))
    together = list(itertools.takewhile(lambda call: call.startswith("propose"), world.calls[2:]))
    assert together == [f"propose {state}" for state in asked]


@pytest.mark.parametrize(("values", "asked"), [((0.95, 0.94, 0.88), ["aa", "ab"]), ((0.9, 1.0, 0.94), ["aa"])])
async def test_less_is_asked_beside_a_step_that_leads_up(values: Sequence[float], asked: Sequence[str]) -> None:
    """Priors 0.943 and 0.901 below 0.95; then 0.97 and 0.928 above 0.9. Siblings are 0.135 apart: near is 0.081, or
    half of that."""
    world = Letters(solution="none", length=10**6, values={"b": 0.7, "c": 0.7, "ac": 0.6})
    world.values |= dict(zip(("a", "aa", "ab"), values, strict=True))
    await search("", world, Bounds(model_calls=8, value_weight=1.0, exploration=0.0))
    together = list(itertools.takewhile(lambda call: call.startswith("propose"), world.calls[4:]))
    assert together == [f"propose {state}" for state in asked]


async def test_each_further_trajectory_explores_more() -> None:
    """To the third a, where nobody has asked, is worth 0.86 + 0.3 * 1.18, and c, where one goes on, 0.92 + 0.3 * 0.83;
    by 0.1, as for the first, c were worth more."""
    world = Letters(solution="none", length=10**6, offers="abcd", values={"a": 0.86, "b": 1.0, "c": 0.99, "d": 0.98})
    world.values |= {first + second: 0.1 for first in "bcd" for second in "abcd"} | {"bb": 1.0, "cc": 1.0, "ca": 0.955}
    await search("", world, Bounds(model_calls=9, value_weight=1.0, exploration=0.1, parallel=3))
    assert world.calls[2:5] == ["propose b", "propose c", "propose d"]
    assert world.calls[6:] == ["propose bb", "propose cc", "propose a"]


async def test_what_was_asked_already_is_not_asked_beside_the_best() -> None:
    world = Letters(solution="none", length=10**6, values={"a": 0.95, "b": 0.5, "c": 0.5})
    await search("", world, Bounds(model_calls=5, candidates=3, value_weight=1.0, exploration=0.0))
    assert world.calls[2:] == ["propose a", "evaluate aa ab ac", "propose "], "to ask at the root again is worth 0.85"


async def test_where_asking_again_would_go_alone_the_best_that_was_never_asked_goes_along() -> None:
    world = Letters(solution="none", length=10**6, values={"a": 0.4, "b": 0.4, "c": 0.1})
    await search("", world, Bounds(model_calls=6, candidates=3, value_weight=1.0, exploration=0.0))
    assert world.calls[2:] == ["propose ", "propose a", "evaluate aa ab ac", "propose aa"], (
        "b is far below what asking again is worth"
    )
