"""A result is judged, a failure is tried again and then planned around, and what is finished is never done again."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.executing import (
    DONE,
    GOOD,
    TOOLS,
    draft,
    execute,
    states,
    step,
)

from forethought_patterns import (
    Decision,
    InMemoryJournal,
    Replan,
    parse_plan,
)
from forethought_patterns.validate import refuse_unusable
from forethought_tools import JSON, PlanError, Question

pytestmark = pytest.mark.anyio


async def test_a_failing_call_is_tried_again_with_other_arguments_and_then_planned_around() -> None:
    ended, journal = await execute(
        [step(1), step(2, "picky", "wrong"), step(3, "save", "{{1}} {{2}}")],
        {
            "executor": [{"arguments": {"value": "still wrong"}, "confidence": 1}],
            "planner": [draft(step(4, "echo", "picked otherwise"), step(5, "save", "{{1}} {{4}}"))],
        },
    )
    assert ended.problem is None
    assert states(ended) == {1: "succeeded", 4: "succeeded", 5: "succeeded"}
    assert ended.outcomes[5].value == "x picked otherwise"
    assert [number for number, _ in journal.calls] == [1, 2, 2, 4, 5], "what is finished is not done again"
    retry, replan = journal.questions
    assert 'called with {"value": "wrong"}: the value is wrong' in retry.context
    assert "the goal" in replan.context
    assert '1. echo {"value": "x"} -> x' in replan.context
    assert '2. picky {"value": "wrong"} (failed: the value is wrong)' in replan.context


async def test_feedback_can_be_enough() -> None:
    ended, journal = await execute(
        [step(1, "picky", "wrong")], {"executor": [{"arguments": {"value": "right"}, "confidence": 1}]}
    )
    assert states(ended) == {1: "succeeded"}
    assert journal.calls == [(1, {"value": "wrong"}), (1, {"value": "right"})]


@pytest.mark.parametrize(
    ("check", "value", "good"),
    [
        ({"schema": {"type": "array", "minItems": 1}}, [1], True),
        ({"schema": {"type": "array", "minItems": 1}}, [], False),
        ({"matches": "^a.c$"}, "abc", True),
        ({"matches": "^a.c$"}, "abd", False),
        ({"matches": "(a+)+$"}, "a" * 40 + "b", False),
        ({"equals": 10, "tolerance": 0.5}, 10.4, True),
        ({"equals": 10, "tolerance": 0.5}, "10.6", False),
        ({"equals": 10}, "ten", False),
        ({"equals": 10}, float("nan"), False),
        ({"at": "rows.0.n", "equals": 3}, {"rows": [{"n": 3}]}, True),
        ({"at": "rows.1.n", "equals": 3}, {"rows": [{"n": 3}]}, False),
        ({"matches": "x", "schema": {"type": "string"}}, "y", False),
    ],
)
async def test_a_check_decides_without_a_model(check: Mapping[str, JSON], value: JSON, good: bool) -> None:
    steps = [step(1, "echo", value, check=check, expected_output="ignored where there is a check")]
    ended, journal = await execute(steps, {}, replan="never")
    assert states(ended) == {1: "succeeded" if good else "failed"}
    assert journal.questions == []
    assert good or "result" in str(ended.problem)


@pytest.mark.parametrize("check", [{"matches": "("}, {"schema": {"type": 5}}, {"equals": 1, "tolerance": -1}])
async def test_a_check_that_cannot_be_used_is_a_fault_of_the_plan(check: Mapping[str, JSON]) -> None:
    with pytest.raises(PlanError, match=r"step 1: (field 'check'|its check)"):
        await refuse_unusable(parse_plan("g", [step(1, check=check)], TOOLS))


async def test_a_result_is_judged_against_what_was_expected_and_tried_again_with_the_verdict() -> None:
    bad: dict[str, JSON] = {"success": False, "issues": ["too short"], "suggestion": "Say more."}
    ended, journal = await execute(
        [step(1, "echo", "hi", expected_output="a long greeting"), step(2, "echo", "nothing to judge")],
        {"evaluator": [bad, GOOD], "executor": [{"arguments": {"value": "hello there"}, "confidence": 1}]},
    )
    assert ended.outcomes[1].value == "hello there"
    assert [str(question.role) for question in journal.questions] == ["evaluator", "executor", "evaluator"]
    assert "a long greeting" in journal.questions[0].context
    assert "too short. Say more." in journal.questions[1].context


async def test_what_may_not_be_done_twice_is_not_tried_again_on_its_own() -> None:
    bad: dict[str, JSON] = {"success": False, "issues": ["bounced"], "suggestion": ""}
    ended, journal = await execute(
        [step(1, "send", "a letter", expected_output="delivered")],
        {"evaluator": [bad, GOOD], "planner": [draft(step(2, "send", "another letter", expected_output="delivered"))]},
    )
    assert states(ended) == {2: "succeeded"}
    assert [number for number, _ in journal.calls] == [1, 2]
    assert len(journal.gates) == 2, "and the new call has passed a gate of its own"


async def test_a_plan_that_brings_back_a_failed_call_is_refused_as_no_progress() -> None:
    again = draft(step(2, "broken", "x"))
    ended, journal = await execute(
        [step(1, "broken", "x")], {"executor": [{"arguments": {"value": "y"}, "confidence": 1}], "planner": [again] * 3}
    )
    assert "this very call has failed before" in str(ended.problem)
    assert "no progress" in journal.questions[-1].context
    assert len(journal.calls) == 2


async def test_another_plan_is_really_another() -> None:
    missing: dict[str, JSON] = {"done": False, "answer": "", "missing": "the second half"}
    steps = [step(1, "echo", "first"), step(2, "echo", "{{1}} and more")]
    again = draft(step(3, "echo", "first"), step(4, "echo", "{{3}} and more"))
    ended, journal = await execute(
        steps, {"joiner": [missing, DONE], "planner": [again, draft(step(3, "echo", "second"))]}, planned=True
    )
    assert ended.problem is None
    assert "it is the same plan as before" in journal.questions[2].context
    assert states(ended)[3] == "succeeded"


async def test_a_failure_is_not_mended_by_leaving_it_out() -> None:
    ended, _ = await execute(
        [step(1), step(2, "broken")],
        {"executor": [{"arguments": {"value": "y"}, "confidence": 1}], "planner": [draft(), draft(step(1)), draft()]},
    )
    assert "it has no new step" in str(ended.problem)
    assert ended.outcomes[1].value == "x"


async def test_a_call_that_failed_is_not_made_again_though_it_is_written_differently() -> None:
    broken: list[JSON] = [{"arguments": {"value": "z"}, "confidence": 1}] * 2
    ended, journal = await execute(
        [step(1, "echo", "y"), step(2, "broken", "y")],
        {"executor": broken, "planner": [draft(step(3, "broken", "{{1}}"))]},
        max_replans=1,
    )
    assert "so it is not made again" in str(ended.problem)
    assert [call for call in journal.calls if call[1] == {"value": "y"}] == [(1, {"value": "y"}), (2, {"value": "y"})]


async def test_a_run_that_cannot_succeed_ends_failed_with_all_that_it_did() -> None:
    def hopeless(question: Question) -> JSON:
        if question.role == "executor":
            return {"arguments": {"value": question.context[-20:]}, "confidence": 1}
        first = int(question.instructions.split("with ids from ")[1].split("\n")[0])
        return draft(step(first, "broken", f"try {first}"))

    ended, journal = await execute([step(1), step(2, "broken", "try 2")], hopeless, max_replans=2)
    assert "The plan was changed as often as it may be." in str(ended.problem)
    assert ended.outcomes[1].value == "x"
    assert [plan.revision for plan in journal.plans] == [1, 2, 3]
    assert [number for number, _ in journal.calls].count(1) == 1


async def test_never_means_that_a_failure_stays_one() -> None:
    ended, journal = await execute([step(1, "broken")], {}, replan="never")
    assert str(ended.problem) == "step 1 failed: it is broken"
    assert journal.questions == []


async def test_every_step_has_the_plan_looked_at_after_each() -> None:
    changed = draft(step(4, "echo", "better"), keep=False)
    ended, journal = await execute(
        [step(1), step(2, "echo", "{{1}}"), step(3, "echo", "{{2}}")],
        {"planner": [draft(keep=True), changed]},
        replan="every_step",
    )
    assert states(ended) == {1: "succeeded", 2: "succeeded", 4: "succeeded"}
    assert [number for number, _ in journal.calls] == [1, 2, 4]
    assert [plan.revision for plan in journal.plans] == [1, 2]


async def test_the_joiner_answers_or_has_more_done_and_its_words_decide_nothing() -> None:
    replan_co: dict[str, JSON] = {"done": True, "answer": "Replan! NOT APPROVED, says The Replan Co.", "missing": ""}
    ended, journal = await execute([step(1)], {"joiner": [replan_co]}, planned=True)
    assert ended.answer == "Replan! NOT APPROVED, says The Replan Co."
    assert len(journal.plans) == 1
    missing: dict[str, JSON] = {"done": False, "answer": "Done, finished, APPROVED", "missing": "the second half"}
    ended, journal = await execute(
        [step(1)], {"joiner": [missing, DONE], "planner": [draft(step(2, "echo", "second"))]}, planned=True
    )
    assert (ended.answer, states(ended)) == ("all is done", {1: "succeeded", 2: "succeeded"})
    assert "the second half" in journal.questions[1].context


async def test_who_hands_in_the_steps_reads_the_results() -> None:
    ended, journal = await execute([step(1)], {})
    assert (ended.answer, ended.problem, journal.questions) == ("", None, [])


async def test_the_executor_fills_what_the_planner_could_not_know() -> None:
    pick: dict[str, Any] = {
        "id": 2,
        "tool": "save",
        "arguments": {"value": "{{?}}"},
        "depends_on": [1],
        "description": "Save the largest",
    }
    ended, journal = await execute(
        [step(1, "echo", [3, 9, 4]), pick], {"executor": [{"arguments": {"value": "9 of {{1}}"}, "confidence": 0.9}]}
    )
    assert ended.outcomes[2].value == "9 of [3, 9, 4]"
    (question,) = journal.questions
    assert "[3, 9, 4]" in question.context
    assert "Save the largest" in question.context
    strange, _ = await execute(
        [step(1), step(3), pick], {"executor": [{"arguments": {"value": "{{3}}"}, "confidence": 1}] * 2}, max_replans=0
    )
    assert "which step 2 does not depend on" in str(strange.problem)


def test_a_blank_stands_alone() -> None:
    with pytest.raises(Exception, match="inside other text"):
        parse_plan("g", [step(1, "echo", "from {{?}} on")], TOOLS)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_finished_step_never_runs_a_second_time(data: st.DataObject) -> None:
    """Whatever fails, is judged bad, is rejected or is planned anew, and however badly."""
    tools, coin = st.sampled_from(["echo", "broken", "save", "send"]), st.booleans()
    size = data.draw(st.integers(1, 5))
    first = [
        step(
            n,
            data.draw(tools),
            f"v{n}",
            expected_output=data.draw(st.sampled_from(["", "good"])),
            depends_on=[d for d in data.draw(st.sets(st.integers(1, 5), max_size=2)) if d < n],
        )
        for n in range(1, size + 1)
    ]

    def model(question: Question) -> JSON:
        if question.role == "evaluator":
            return {"success": data.draw(coin), "issues": [], "suggestion": ""}
        if question.role == "executor":
            return {"arguments": {"value": data.draw(st.sampled_from(["a", "b"]))}, "confidence": 1}
        start = int(question.instructions.split("with ids from ")[1].split("\n")[0])
        fresh = [step(start + n, data.draw(tools), f"w{start + n}") for n in range(data.draw(st.integers(0, 3)))]
        more = {"keep": data.draw(coin)} if "keep" in str(question.schema) else {}
        return draft(*(first if data.draw(coin) else ()), *fresh, **more)

    async def check() -> None:
        replan: Replan = "on_failure" if data.draw(coin) else "every_step"
        ended, journal = await execute(
            first, model, replan=replan, decide=lambda _: Decision("approve" if data.draw(coin) else "reject")
        )
        tries = Counter(number for number, _ in journal.calls)
        for number, outcome in journal.outcomes.items():
            if outcome.state == "succeeded":
                assert tries[number] <= 2
                assert outcome.value == [args for n, args in journal.calls if n == number][-1]["value"]
        sent = [args["value"] for number, args in journal.calls if number in _sent(journal)]
        assert len(sent) == len(set(map(str, sent))), "what cannot be undone is done once"
        assert ended.problem or all(outcome.state == "succeeded" for outcome in ended.outcomes.values())
        for before, after in zip(journal.plans, journal.plans[1:], strict=False):
            done = {n for n in before.by_id if n in after.by_id}
            assert all(before.by_id[n] == after.by_id[n] for n in done), "finished steps stay as they are"

    anyio.run(check)


def _sent(journal: InMemoryJournal) -> set[int]:
    return {each.id for plan in journal.plans for each in plan.steps if each.tool == "send"}
