"""The journal and the rows agree, whatever a run does."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fold import fold
from tests.serving import registry, serving, settle

from forethought.engine.kinds import plan as plans
from forethought.journal.database import StaleError
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_tools import JSON, Risk

pytestmark = pytest.mark.anyio

NEVER = Terms(replan="never")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), size=st.integers(1, 8))
def test_folding_the_journal_of_any_run_gives_its_rows(
    make_settings: Callable[..., Settings], data: st.DataObject, size: int
) -> None:
    names, earlier = st.sampled_from(["good", "bad", "asks", "risky"]), st.integers(1, 8)
    steps: list[JSON] = [
        {"id": n, "tool": data.draw(names), "depends_on": [d for d in data.draw(st.sets(earlier, max_size=2)) if d < n]}
        for n in range(1, size + 1)
    ]
    stop = data.draw(st.booleans())
    verdicts = iter(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))

    async def check() -> None:
        async with serving(make_settings(terms=NEVER), registry()) as runs:
            plan_id = await plans.save(runs, "goal", "", steps)
            run = await plans.start(runs, plan_id)
            if stop:
                await runs.watchers.changed(run.id, 0.02)
                with suppress(StaleError):  # it may have ended already
                    await runs.stop(run.id)
            await settle(runs, run.id, lambda: next(verdicts))
            store = runs.store
            folded = fold(store.queries.journal(run.id, limit=10_000))
            assert folded[0] == asdict(store.queries.run(run.id))
            assert folded[1] == {row.id: asdict(row) for row in store.queries.steps(run.id)}
            assert folded[2] == {name: asdict(store.queries.message(name)) for name in folded[2]}
            assert {row.state for row in store.queries.steps(run.id)} <= {
                "succeeded",
                "failed",
                "skipped",
                "rejected",
                "in_doubt",
            }

    anyio.run(check)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.takes(9)
def test_folding_gives_the_rows_of_runs_that_are_judged_planned_anew_and_paid_for(
    make_settings: Callable[..., Settings], tmp_path: Path, data: st.DataObject
) -> None:
    coin, names = st.booleans(), st.sampled_from(["good", "bad", "asks", "risky"])

    def draft(first: int) -> JSON:
        plain: dict[str, JSON] = {
            "description": "",
            "arguments": [],
            "depends_on": [],
            "confidence": 1,
            "strategy": "direct",
        }
        steps: list[JSON] = [
            {**plain, "id": n, "tool": data.draw(names), "expected_output": data.draw(st.sampled_from(["", "good"]))}
            for n in range(first, first + data.draw(st.integers(1, 4)))
        ]
        return {"reasoning": "", "steps": steps}

    script: dict[str, JSON] = {
        "planner": [draft(first) for first in (1, 10, 20, 30)],
        "executor": [{"always": "said"}],
        "evaluator": [{"always": {"success": data.draw(coin), "issues": [], "suggestion": ""}}],
        "joiner": [{"always": {"done": data.draw(coin), "answer": "a", "missing": "more"}}],
    }
    file = tmp_path / "script.json"
    file.write_text(json.dumps(script), encoding="utf-8")
    terms = Terms(
        approve_plan=data.draw(coin),
        ask_from=data.draw(st.sampled_from(list(Risk))),
        budget={"tool_calls": data.draw(st.integers(0, 9))},
        max_replans=2,
    )

    async def check() -> None:
        async with serving(make_settings(model=f"scripted:{file}", terms=terms), registry()) as runs:
            run = await plans.start_goal(runs, "goal", "")
            await settle(runs, run.id, lambda: data.draw(coin))
            store = runs.store
            entries = store.queries.journal(run.id, limit=10_000)
            folded = fold(entries)
            assert folded[0] == asdict(store.queries.run(run.id))
            assert folded[1] == {row.id: asdict(row) for row in store.queries.steps(run.id)}
            assert folded[2] == {name: asdict(store.queries.message(name)) for name in folded[2]}
            for entry in entries:
                if entry.kind == "plan_revised":
                    told: Any = entry.body
                    row = store.queries.plan(run.plan, told["revision"])
                    assert (row.goal, row.body, row.created) == (told["goal"], told["body"], entry.at)

    anyio.run(check)
