"""Reflection: the best draft comes back, checks outweigh the critic, and a critic that contradicts itself is caught."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.critics import DEFECT, TASTE, WORSE, Scripted, critique

from forethought_patterns import Problem
from forethought_patterns.reflection import Critique, Evidence, Refined, Round, contradiction, refine

pytestmark = pytest.mark.anyio


async def run(author: Scripted, **bounds: Any) -> Refined:
    return await refine("", author, **bounds)


async def test_the_best_draft_comes_back_not_the_last() -> None:
    author = Scripted([critique(5, DEFECT), critique(7, DEFECT), *[critique(score, *WORSE) for score in (3, 2, 5.9)]])
    refined = await run(author, max_iterations=9)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "no gain")
    assert [each.critique.score for each in refined.rounds] == [5, 7, 3, 2, 5.9], "three without gain end it"
    assert author.revised == ["draft 1", *["draft 2"] * 3], "the best is revised, not the last"
    assert [each.gain for each in refined.rounds] == [True, True, False, False, False]
    assert refined.rounds[2].diff.splitlines()[2:] == ["@@ -1 +1 @@", "-draft 2", "+draft 3"]


@pytest.mark.parametrize(
    ("later", "holds", "revised"),
    [
        (critique(6, DEFECT), True, "draft 2"),
        (critique(7, *WORSE), False, "draft 2"),
        (critique(5.9, DEFECT), False, "draft 2"),
        (critique(5.9, *WORSE), False, "draft 1"),
        (critique(1, DEFECT), False, "draft 2"),
        (critique(0.9, DEFECT), False, "draft 1"),
    ],
)
async def test_a_draft_is_better_or_worse_where_score_and_defects_say_so_or_the_score_falls_far(
    later: Critique, holds: bool, revised: str
) -> None:
    author = Scripted([critique(6, DEFECT), later, critique(1, DEFECT)])
    refined = await run(author)
    assert refined.rounds[1].holds is holds
    assert author.revised == ["draft 1", revised]


async def test_who_goes_back_to_the_best_mends_what_was_named_in_the_worse_one_too() -> None:
    author = Scripted([critique(5, DEFECT), critique(4, *WORSE), critique(6, DEFECT)])
    await run(author)
    assert author.named == [[DEFECT], [*WORSE]], "each once"


async def test_where_a_verdict_says_that_it_got_worse_what_the_one_before_named_is_mended_too() -> None:
    other = replace(DEFECT, where="line 3")
    author = Scripted([critique(5, DEFECT), critique(4, other), critique(6, DEFECT), critique(7, other)])
    await run(author, max_iterations=4)
    assert author.revised == ["draft 1", "draft 2", "draft 3"]
    assert author.named == [[DEFECT], [other, DEFECT], [DEFECT]], "one of them errs; a better verdict stands alone"


async def test_what_the_critic_named_last_is_mended_beside_what_fails_though_it_is_not_asked() -> None:
    author = Scripted([critique(5, DEFECT), critique(6, DEFECT)], failing=["draft 1", "draft 2", "draft 3"])
    refined = await run(author, max_iterations=2)
    assert [each.judged for each in refined.rounds] == [False, True, False, True]
    assert author.named == [[], [DEFECT], [DEFECT]]
    assert not refined.rounds[2].critique.issues, "they are said of another draft"


async def test_fewer_failing_checks_decide_before_any_score() -> None:
    author = Scripted([critique(score, DEFECT) for score in (2, 1)], failing=["draft 2"])
    refined = await run(author, max_iterations=2)
    assert (refined.best.draft, refined.best.failing) == ("draft 1", 0)
    author = Scripted([critique(score, DEFECT) for score in (2, 9)], failing=["draft 2", "draft 3"])
    assert (await run(author, max_iterations=2)).best.draft == "draft 1"
    author = Scripted([critique(score, DEFECT) for score in (9, 1)], failing=["draft 1", "draft 2"])
    assert (await run(author, max_iterations=2)).best.draft == "draft 3"


async def test_a_draft_that_fails_a_check_is_mended_by_what_the_check_says_and_no_critic_is_asked() -> None:
    author = Scripted([critique(9, approved=True)], failing=["draft 1"])
    refined = await run(author)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "approved")
    assert [each.judged for each in refined.rounds] == [False, True]
    assert str(refined.rounds[0].evidence[0].problem) == "it does not hold"


async def test_checks_alone_mend_twice_at_most_and_never_twice_in_a_row() -> None:
    failing = [f"draft {number}" for number in range(1, 7)]
    refined = await run(Scripted([critique(5, DEFECT) for _ in range(3)], failing=failing))
    assert [each.judged for each in refined.rounds] == [False, True, False, True, True]
    assert refined.stopped == "iterations", "drafts that the critic judges are counted"


async def test_what_fails_a_check_is_not_given_up_for_want_of_gain() -> None:
    failing = [f"draft {number}" for number in range(1, 7)]
    critiques = [*[critique(5, DEFECT) for _ in range(4)], critique(9, approved=True)]
    refined = await run(Scripted(critiques, failing=failing), max_iterations=9)
    assert [each.gain for each in refined.rounds[3:6]] == [False] * 3
    assert (refined.best.draft, refined.stopped) == ("draft 7", "approved")


async def test_where_all_checks_pass_every_draft_is_judged() -> None:
    refined = await run(Scripted([critique(score, DEFECT) for score in (2, 4, 6)], checked=True))
    assert all(each.judged for each in refined.rounds)


@pytest.mark.parametrize(("later", "revised"), [(critique(4, DEFECT), "draft 3"), (critique(4, *WORSE), "draft 1")])
async def test_one_check_more_that_fails_is_mended_unless_the_draft_is_clearly_worse(
    later: Critique, revised: str
) -> None:
    author = Scripted([critique(5, DEFECT), later], failing=["draft 2", "draft 3", "draft 4"])
    refined = await run(author)
    assert author.revised == ["draft 1", "draft 1", revised]
    assert refined.best.draft == "draft 1", "it is only revised: what comes back is by the checks"


async def test_two_checks_more_that_fail_send_back_to_the_best() -> None:
    @dataclass
    class Twice(Scripted):
        async def check(self, draft: str, number: int) -> Sequence[Evidence]:
            return [*await super().check(draft, number)] * 2

    author = Twice([critique(5, DEFECT), critique(9, DEFECT), critique(1, DEFECT)], failing=["draft 2", "draft 3"])
    await run(author)
    assert author.revised == ["draft 1"] * 3


async def test_the_threshold_is_reached_only_where_nothing_is_wrong() -> None:
    author = Scripted([critique(9, DEFECT, TASTE), critique(8, TASTE), critique(8, TASTE)])
    refined = await run(author)
    assert (refined.best.draft, refined.stopped) == ("draft 3", "threshold")


async def test_matters_of_taste_are_seen_to_once() -> None:
    refined = await run(Scripted([critique(8, TASTE), critique(9, TASTE)]))
    assert (refined.best.draft, refined.stopped) == ("draft 2", "threshold")
    refined = await run(Scripted([critique(8, TASTE), critique(9, DEFECT), critique(9, TASTE)]))
    assert (refined.best.draft, refined.stopped) == ("draft 3", "iterations"), "what is wrong comes before"


async def test_the_draft_that_is_good_comes_back_though_one_with_a_defect_had_a_higher_score() -> None:
    author = Scripted([critique(9, DEFECT), critique(6.5, approved=True)])
    refined = await run(author, threshold=6)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "approved")


async def test_it_stops_on_approval_threshold_taste_and_iterations() -> None:
    assert (await run(Scripted([critique(9, approved=True)]))).stopped == "approved"
    assert (await run(Scripted([critique(8)] * 2))).stopped == "threshold", "it does not approve, and names nothing"
    assert (await run(Scripted([critique(6, TASTE)] * 2, checked=True))).stopped == "taste"
    assert (await run(Scripted([critique(6, TASTE), critique(8, TASTE)]))).stopped == "threshold"
    assert (
        await run(Scripted([critique(score, DEFECT) for score in (1, 2)]), max_iterations=2)
    ).stopped == "iterations"


async def test_a_failing_check_outweighs_any_praise() -> None:
    author = Scripted(
        [critique(10, approved=True), critique(10, approved=True), critique(4, DEFECT), critique(6, DEFECT)],
        failing=["draft 1", "draft 2", "draft 4", "draft 5"],
    )
    refined = await run(author)
    assert refined.stopped == "iterations"
    assert refined.best.draft == "draft 3", "no check fails there, though the critic likes it least"
    assert "a check: it does not hold" in author.doubts[1]
    assert refined.rounds[1].contradiction


@pytest.mark.parametrize(
    ("said", "failing", "wrong"),
    [
        (critique(9, approved=True), False, ""),
        (critique(9, TASTE, approved=True), False, ""),
        (critique(5, DEFECT), False, ""),
        (critique(5), True, ""),
        (critique(5, approved=True), False, "below 8"),
        (critique(9, DEFECT, approved=True), False, "it is wrong"),
        (critique(9, approved=True), True, "this check fails"),
        (critique(5), False, "nothing to mend"),
    ],
)
async def test_a_critic_that_contradicts_itself_is_caught(said: Critique, failing: bool, wrong: str) -> None:
    found = contradiction(said, [Evidence("a check", Problem("no") if failing else None)], 8)
    assert wrong in str(found or "")
    assert bool(found) is bool(wrong)


async def test_it_is_asked_again_once_and_then_its_verdict_does_not_count() -> None:
    author = Scripted([critique(3, approved=True), critique(3, approved=True), critique(9, approved=True)])
    refined = await run(author)
    assert [bool(doubt) for doubt in author.doubts] == [False, True, False]
    assert "below 8" in str(refined.rounds[0].contradiction)
    assert (refined.best.draft, refined.stopped) == ("draft 2", "approved")


async def test_a_verdict_that_contradicts_itself_is_no_bar_for_later_drafts() -> None:
    flattered = critique(9.5, DEFECT, approved=True)
    refined = await run(Scripted([flattered, flattered, critique(5, DEFECT), critique(6, DEFECT)]))
    assert [each.gain for each in refined.rounds] == [True, True, True]
    assert refined.best.draft == "draft 3"


async def test_a_draft_that_nobody_has_judged_is_no_bridge_for_a_worse_one() -> None:
    failing = [f"draft {number}" for number in range(1, 5)]
    refined = await run(Scripted([critique(7, DEFECT), critique(0, *WORSE)], failing=failing), max_iterations=2)
    assert [each.judged for each in refined.rounds] == [False, True, False, True]
    assert (refined.best.number, refined.rounds[3].holds) == (3, False)


async def test_lessons_are_carried_one_line_each_and_three_at_most() -> None:
    author = Scripted(
        [
            critique(1, DEFECT, lessons=["one", "two\nlines", ""]),
            critique(2, DEFECT, lessons=["one", "three", "four"]),
            critique(3, DEFECT),
        ]
    )
    refined = await run(author)
    assert author.known == [(), ("one", "two lines"), ("two lines", "three", "four")]
    assert refined.lessons == ["two lines", "three", "four"]


@pytest.mark.parametrize(
    ("texts", "drafts", "stopped"),
    [
        (["another", "draft 1", "draft 1"], 2, "no gain"),
        (["another", "draft 1", "one more"], 3, "approved"),
    ],
)
async def test_an_earlier_draft_again_is_not_judged_again_and_another_is_asked_for_once(
    texts: list[str], drafts: int, stopped: str
) -> None:
    author = Scripted([critique(5, DEFECT), critique(6, DEFECT), critique(9, approved=True)], texts=texts)
    refined = await run(author)
    assert (len(refined.rounds), refined.stopped) == (drafts, stopped)
    assert author.asked == ["", "", "it is draft 1 again, word for word"]


@pytest.mark.parametrize(("texts", "best"), [([" \n", "", "late"], "draft 1"), (["", "better"], "better")])
async def test_an_empty_text_is_no_draft_and_another_is_asked_for_once(texts: list[str], best: str) -> None:
    author = Scripted([critique(5, DEFECT), critique(9, approved=True)], texts=texts)
    refined = await run(author)
    assert (refined.best.draft, author.asked) == (best, ["", "it was empty"])


async def test_a_draft_that_is_left_as_it_is_is_judged_once_more() -> None:
    author = Scripted([critique(5, DEFECT), critique(9, approved=True)], texts=["draft 1"])
    refined = await run(author)
    assert ([each.draft for each in refined.rounds], refined.stopped) == (["draft 1"] * 2, "approved")
    author = Scripted([critique(5, DEFECT), critique(4, *WORSE)], texts=["draft 1", "draft 1"])
    refined = await run(author, max_iterations=9)
    assert (len(refined.rounds), refined.best.number, refined.stopped) == (2, 1, "no gain")
    assert author.asked == ["", "it is draft 1 again, word for word"]


async def test_a_draft_that_is_judged_once_more_is_not_checked_again() -> None:
    checked: list[int] = []

    @dataclass
    class Counting(Scripted):
        async def check(self, draft: str, number: int) -> Sequence[Evidence]:
            checked.append(number)
            return await super().check(draft, number)

    author = Counting([critique(5, DEFECT), critique(9, approved=True)], texts=["draft 1"], checked=True)
    refined = await run(author)
    assert ([len(each.evidence) for each in refined.rounds], checked) == ([1, 1], [1])


async def test_after_another_try_a_draft_with_two_verdicts_is_revised_as_any_other() -> None:
    script = [critique(5, DEFECT), critique(5, DEFECT), critique(1, *WORSE), critique(9, approved=True)]
    author = Scripted(script, texts=["draft 1", "another", "another", "good"])
    refined = await run(author, max_iterations=9)
    assert (refined.best.draft, refined.stopped) == ("good", "approved")
    assert author.asked == ["", "it is draft 2 again, word for word", "", "it is draft 3 again, word for word"]


async def test_a_draft_that_fails_a_check_is_not_judged_again_where_it_is_left_as_it_is() -> None:
    author = Scripted([], failing=["draft 1"], texts=["draft 1", "draft 1"])
    refined = await run(author)
    assert (len(refined.rounds), refined.stopped) == (1, "no gain")
    assert author.asked == ["", "it is draft 1 again, word for word"]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9), lies=st.sampled_from([0.0, 0.1, 0.3, 1.0]), rounds=st.integers(1, 8))
async def test_with_checks_the_returned_draft_is_never_worse_than_the_first(
    seed: int, lies: float, rounds: int
) -> None:
    """A draft is a set of requirements met; checks see them, the critic lies at will."""
    chance = random.Random(seed)

    class Liar:
        async def write(self) -> str:
            return "".join(chance.choice("01") for _ in range(6))

        async def check(self, draft: str, number: int) -> Sequence[Evidence]:
            return [Evidence(str(place), None if met == "1" else Problem("missing")) for place, met in enumerate(draft)]

        async def critique(
            self,
            draft: str,
            evidence: Sequence[Evidence],
            past: Sequence[Round],
            lessons: Sequence[str],
            doubt: Problem | None,
        ) -> Critique:
            true = 10 * draft.count("1") / len(draft)
            score = chance.uniform(0, 10) if chance.random() < lies else true
            return critique(score, DEFECT, approved=score >= 8)

        async def revise(
            self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None
        ) -> str:
            return "".join(chance.choice((met, "1", "0")) for met in base.draft)

    refined = await refine("", Liar(), max_iterations=rounds)
    assert refined.best.draft.count("1") >= refined.rounds[0].draft.count("1")
