"""A person approves, rejects or edits steps and whole plans, and what is unsure waits."""

from typing import Any, get_args

import pytest
from tests.patterns.executing import DONE, draft, execute, states, step

from forethought_patterns import (
    Decision,
    InMemoryJournal,
    Policy,
)
from forethought_patterns.gates import Verb

pytestmark = pytest.mark.anyio


def test_only_a_word_of_consent_approves_and_whole_plans_are_asked_about_where_that_is_wanted() -> None:
    verbs = get_args(Verb)
    assert {verb for verb in verbs if Decision(verb).approved} == {"approve", "approve_tool", "edit", "again", "answer"}
    assert all(Decision(verb).approved is False for verb in ("reject", "cancel"))
    assert not Policy().approve_plan


async def test_the_command_of_a_check_is_a_call_with_its_own_gate() -> None:
    steps = [step(1, check={"command": "true"})]
    ended, journal = await execute(steps, {})
    assert states(ended) == {1: "succeeded"}
    assert [(gate.tool, gate.details) for gate in journal.gates] == [("run_command", {"command": "true"})]
    refused, journal = await execute(steps, {}, replan="never", decide=lambda _: Decision("reject", reason="no"))
    assert "Rejected by a person: no" in str(refused.problem)
    failed, _ = await execute([step(1, check={"command": "false"})], {}, replan="never")
    assert "exit status 1" in str(failed.problem)


async def test_what_the_planner_or_the_executor_is_unsure_of_waits_for_a_person() -> None:
    unsure: dict[str, Any] = {"id": 3, "tool": "echo", "arguments": {"value": "{{?}}"}, "confidence": 0.9}
    ended, journal = await execute(
        [step(1, confidence=0.4), step(2, confidence=0.8), unsure],
        {"executor": [{"arguments": {"value": "a guess"}, "confidence": 0.2}]},
        policy=Policy(ask_below=0.5),
    )
    assert ended.problem is None
    assert {gate.step: gate.reason for gate in journal.gates} == {
        1: "It only reads. The model is only 40% sure of this step.",
        3: "It only reads. The model is only 20% sure of this step.",
    }


async def test_a_rejected_step_is_planned_around_with_the_reason() -> None:
    ended, journal = await execute(
        [step(1, "send", "all"), step(2, "echo", "{{1}}")],
        {"planner": [draft(step(3, "save", "a draft instead"))]},
        decide=lambda _: Decision("reject", reason="too soon"),
    )
    assert states(ended) == {3: "succeeded"}
    assert "too soon" in journal.questions[0].context
    assert [number for number, _ in journal.calls] == [3]


async def test_edited_arguments_are_what_is_called() -> None:
    ended, journal = await execute(
        [step(1, "send", "all")], {}, decide=lambda _: Decision("edit", arguments={"value": "one"})
    )
    assert journal.calls == [(1, {"value": "one"})]
    assert ended.outcomes[1].value == "one"


async def test_a_whole_plan_is_approved_rejected_with_a_reason_or_edited() -> None:
    policy = Policy(approve_plan=True)
    steps = [step(1), step(2, "save", "{{1}}"), step(3, "echo", "not needed")]
    decisions = iter([Decision("reject", reason="do not save"), Decision("approve")])
    ended, journal = await execute(
        steps, {"planner": [draft(step(4, "echo", "only read"))]}, policy=policy, decide=lambda _: next(decisions)
    )
    assert states(ended) == {4: "succeeded"}
    assert "do not save" in journal.questions[0].context
    assert [gate.kind for gate in journal.gates] == ["plan", "plan"]
    assert "2. save (medium) after 1" in journal.gates[0].details
    dropped, journal = await execute(
        steps, {}, policy=policy, decide=lambda gate: Decision("edit", steps=list(gate.steps)[:2])
    )
    assert states(dropped) == {1: "succeeded", 2: "succeeded"}
    assert [plan.revision for plan in journal.plans] == [1, 2]
    assert len(journal.gates) == 1, "a plan as a person has written it needs no further approval"


async def test_nothing_starts_before_a_plan_is_approved_where_that_is_asked_for() -> None:
    async def check() -> InMemoryJournal:
        _, journal = await execute(
            None,
            {"planner": [draft(step(1), step(2, "save"))] * 3, "joiner": [DONE]},
            policy=Policy(approve_plan=True),
            decide=lambda _: Decision("reject", reason="no"),
            max_replans=0,
            pieces=3,
        )
        return journal

    assert (await check()).calls == []


async def test_after_a_plan_was_rejected_nothing_of_an_earlier_one_counts_as_agreed_to() -> None:
    plans = iter([Decision("approve"), Decision("reject", reason="not so"), Decision("approve")])
    ended, journal = await execute(
        [step(1, "send", "all"), step(2)],
        {"planner": [draft(step(3, "save", "a")), draft(step(4, "echo", "b"))]},
        policy=Policy(approve_plan=True),
        decide=lambda gate: next(plans) if gate.kind == "plan" else Decision("reject", reason="no"),
    )
    assert ended.problem is None
    _, changed, last = (gate for gate in journal.gates if gate.kind == "plan")
    assert "since revision 1, which was approved" in changed.reason
    assert "approved" not in last.reason
