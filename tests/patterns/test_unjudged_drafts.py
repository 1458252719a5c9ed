"""Reflection that nobody goes on with: what comes back then."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.patterns.critics import DEFECT, Scripted, critique

from forethought_patterns import Problem
from forethought_patterns.reflection import Critique, Evidence, Refined, Round, refine
from forethought_tools import BudgetError, ModelError

pytestmark = pytest.mark.anyio


async def run(author: Scripted) -> Refined:
    return await refine("", author)


TROUBLES = pytest.mark.parametrize("trouble", [BudgetError("no more money"), ModelError("no model")])


@TROUBLES
async def test_who_will_not_go_on_ends_it_with_the_best_so_far(trouble: Exception) -> None:
    @dataclass
    class Limited(Scripted):
        async def revise(
            self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None
        ) -> str:
            raise trouble

    refined = await run(Limited([critique(5, DEFECT)]))
    assert (refined.best.draft, refined.stopped, refined.problem) == ("draft 1", "refused", Problem(str(trouble)))


@dataclass
class Unjudged(Scripted):
    """Nobody judges any more when the script is at its end."""

    trouble: Exception = field(default_factory=lambda: BudgetError("no more money"))

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence],
        past: Sequence[Round],
        lessons: Sequence[str],
        doubt: Problem | None,
    ) -> Critique:
        if not self.critiques:
            raise self.trouble
        return await super().critique(draft, evidence, past, lessons, doubt)


@TROUBLES
async def test_the_last_draft_that_nobody_has_judged_comes_back_unless_more_checks_fail(trouble: Exception) -> None:
    refined = await run(Unjudged([critique(5, DEFECT)], trouble=trouble))
    assert (refined.best.draft, refined.best.judged, refined.stopped) == ("draft 2", False, "refused")
    assert (refined.best.gain, refined.problem) == (False, Problem(str(trouble)))
    refined = await run(Unjudged([critique(5, DEFECT)], failing=["draft 2", "draft 3"], trouble=trouble))
    assert (refined.best.draft, len(refined.rounds)) == ("draft 1", 3)
    refined = await run(Unjudged([critique(9, DEFECT)], failing=["draft 1", "draft 2"], trouble=trouble))
    assert refined.best.draft == "draft 3"


@pytest.mark.parametrize(
    ("wrong", "score", "later", "best"),
    [(1, 4, 1, "draft 1"), (1, 4, 2, "draft 1"), (1, 5, 1, "draft 3"), (2, 4, 1, "draft 3"), (5, 4, 5, "draft 3")],
    ids=["lower", "lower with more wrong", "as good", "lower with less wrong", "much to mend"],
)
async def test_a_last_draft_that_nobody_has_judged_does_not_come_back_where_the_one_before_got_worse(
    wrong: int, score: float, later: int, best: str
) -> None:
    issues = [replace(DEFECT, where=f"line {number}") for number in range(9)]
    refined = await run(Unjudged([critique(5, *issues[:wrong]), critique(score, *issues[:later])]))
    assert refined.best.draft == best


async def test_a_last_draft_that_nobody_has_judged_is_measured_by_the_best_that_somebody_has() -> None:
    """The best is the third, which was spared a critic; the fourth was judged worse than the second."""
    failing = [f"draft {number}" for number in range(1, 6)]
    refined = await run(Unjudged([critique(5, DEFECT), critique(4, DEFECT)], failing=failing))
    assert [each.judged for each in refined.rounds] == [False, True, False, True, False]
    assert refined.best.draft == "draft 3"


async def test_a_draft_whose_verdict_is_in_doubt_and_that_is_not_judged_again_does_not_come_back() -> None:
    refined = await run(Unjudged([critique(5, DEFECT), critique(7, approved=True)]))
    assert (refined.best.draft, refined.stopped) == ("draft 1", "refused")
    assert "below 8" in str(refined.rounds[1].contradiction)


async def test_a_verdict_counts_though_nobody_gives_a_second_on_the_same_draft() -> None:
    refined = await run(Unjudged([critique(5, DEFECT)], texts=["draft 1"]))
    assert (refined.best.critique.score, len(refined.rounds), refined.stopped) == (5, 1, "refused")


async def test_where_not_even_the_first_draft_is_judged_it_fails() -> None:
    with pytest.raises(BudgetError, match="no more money"):
        await run(Unjudged([]))


async def test_a_first_draft_that_checks_have_seen_comes_back_though_nobody_judges_it() -> None:
    refined = await run(Unjudged([], checked=True))
    assert (refined.best.draft, refined.best.judged, refined.stopped) == ("draft 1", False, "refused")
    assert refined.problem == Problem("no more money")
