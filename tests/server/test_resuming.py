"""What was done is not done again, and what was cut off is looked at first."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import anyio
import pytest
from tests.fold import fold
from tests.serving import NEVER, good, registry, serving, settle

from forethought.engine.kinds import plan as plans
from forethought.journal.rows import OPEN, Fact
from forethought.settings import Settings
from forethought_patterns.gates import Verb
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Role, Tool, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.undo import Vault

pytestmark = pytest.mark.anyio
STARTED: dict[str, JSON] = {"revision": 1, "budget": {}}


async def test_a_retry_is_a_new_attempt_with_its_own_record(make_settings: Callable[..., Settings]) -> None:
    tries = 0

    async def flaky(_: Mapping[str, JSON], ask: Answerer) -> JSON:
        nonlocal tries
        tries += 1
        said = await ask(Question(Role.EXECUTOR, "q", "", {"type": "string"}))
        if tries < 3:  # once before parking, once after: the same attempt
            raise ToolError("passing", transient=True)
        return said

    async with serving(make_settings(), registry(flaky)) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "flaky"}]))
        await settle(runs, run.id, lambda: True)
        (step,) = runs.queries.steps(run.id)
        keys = [e.body["key"] for e in runs.queries.journal(run.id) if e.kind == "asked"]
        assert fold(runs.queries.journal(run.id))[1] == {1: asdict(step)}
    assert (step.state, step.attempt, step.result) == ("succeeded", 2, "re step/1/2/1")
    assert keys == ["step/1/1/1", "step/1/2/1"]


@pytest.mark.parametrize(
    ("tool", "doubt", "state", "made"),
    [
        ("good", "skip", "succeeded", 1),
        ("risky", "happened", "succeeded", 0),
        ("risky", "again", "succeeded", 1),
        ("risky", "skip", "rejected", 0),
    ],
)
async def test_a_step_in_flight_when_its_process_died_runs_again_only_if_that_does_no_harm(
    make_settings: Callable[..., Settings], tool: str, doubt: Verb, state: str, made: int
) -> None:
    """Else a person looks: it happened, again, or skip. Until then nothing is done, however often we start."""
    options: dict[str, JSON] = {"terms": {"replan": "never"}, "goal": "g", "folders": []}
    configured = make_settings()
    async with serving(configured, registry()) as runs:
        steps: list[JSON] = [{"id": 1, "tool": tool}, {"id": 2, "tool": "good", "depends_on": [1]}]
        plan_id = await plans.save(runs, "g", "", steps)
        created: dict[str, JSON] = {
            "plan": plan_id,
            "kind": "plan",
            "options": options,
            **STARTED,
            "owner": "owner_dead",
            "steps": [1, 2],
        }
        in_flight = Fact("step_started", {"step": 1, "arguments": {}})
        await runs.store.write("run_1", Fact("run_created", created), in_flight)
        await runs.supervisor.ensure_driven("run_1")
        await runs.watchers.changed("run_1", 0.3)
    asked: list[str] = []
    for _ in range(2):
        async with serving(configured, registry()) as runs:
            await runs.supervisor.ensure_driven("run_1")
            await runs.watchers.changed("run_1", 0.3)
            asked += [message.id for message in runs.queries.open_messages("run_1")]
    assert len(set(asked)) <= 1, "one gate, whose id stays"
    async with serving(configured, registry()) as runs:
        await runs.supervisor.ensure_driven("run_1")
        await settle(runs, "run_1", lambda: True, doubt=doubt)
        first, second = runs.queries.steps("run_1")
        kinds = [entry.kind for entry in runs.queries.journal("run_1")]
        assert fold(runs.queries.journal("run_1"))[1] == {row.id: asdict(row) for row in (first, second)}
        gates = runs.queries.messages("run_1", "gate")
    assert first.state == state
    assert second.state == ("succeeded" if state == "succeeded" else "skipped")
    assert kinds.count("step_started") == 1 + made + (second.state == "succeeded")
    assert [gate.body["kind"] for gate in gates] == ([] if tool == "good" else ["doubt"]), "not asked twice"


@pytest.mark.parametrize(("verb", "state", "calls"), [("again", "succeeded", 2), ("skip", "failed", 1)])
async def test_a_check_that_was_cut_off_is_made_again_only_if_a_person_says_so(
    make_settings: Callable[..., Settings], verb: Verb, state: str, calls: int
) -> None:
    made: list[str] = []
    hangs = anyio.Event()

    async def probe(_: Mapping[str, JSON], __: Answerer) -> JSON:
        made.append("call")
        if len(made) == 1:
            hangs.set()
            await anyio.sleep_forever()
        return "fine"

    anything: dict[str, JSON] = {"type": "object"}
    tools = Registry([Tool("good", "", anything, good, Risk.LOW), Tool("probe", "", anything, probe, Risk.LOW)])
    configured = make_settings(terms=NEVER)
    async with serving(configured, tools) as runs:
        step: JSON = {"id": 1, "tool": "good", "check": {"tool": "probe", "matches": "fine"}}
        run_id = (await plans.start(runs, await plans.save(runs, "g", "", [step]))).id
        await hangs.wait()
    for _ in range(2):  # until somebody has looked, nothing is done
        async with serving(configured, tools) as runs:
            with anyio.fail_after(20):
                while not (gates := runs.queries.open_messages(run_id, "gate")):
                    await runs.watchers.changed(run_id, 0.05)
            assert gates[0].body["choices"] == ["again", "skip", "cancel"]
            assert made == ["call"]
    async with serving(configured, tools) as runs:
        await settle(runs, run_id, lambda: True, doubt=verb)
        assert [row.state for row in runs.queries.steps(run_id)] == [state]
    assert len(made) == calls


async def test_steps_that_ran_before_their_plan_was_whole_are_not_run_again_after_a_crash(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    calls: list[Mapping[str, JSON]] = []

    async def flaky(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        calls.append(arguments)
        return "fresh"

    first: dict[str, JSON] = {
        "id": 1,
        "description": "",
        "tool": "flaky",
        "depends_on": [],
        "expected_output": "",
        "strategy": "direct",
    }
    draft: JSON = {
        "reasoning": "",
        "steps": [
            {**first, "arguments": [], "confidence": 1},
            {**first, "id": 2, "arguments": [], "confidence": 1},
        ],
    }
    done: JSON = {"done": True, "answer": "a", "missing": ""}
    (tmp_path / "s.json").write_text(json.dumps({"planner": [draft], "joiner": [done]}), encoding="utf-8")
    settings = make_settings(model=f"scripted:{tmp_path / 's.json'}")
    async with serving(settings, registry(flaky)) as runs:
        options: dict[str, JSON] = {
            "goal": "g",
            "context": "",
            "files": {},
            "new_files": [],
            "lessons": [],
            "folders": [],
            "terms": {},
        }
        created: dict[str, JSON] = {"plan": "plan_1", "kind": "plan", "options": options, "revision": 0, "budget": {}}
        body: JSON = {**first, "arguments": {}, "confidence": 1.0}
        early: dict[str, JSON] = {"step": 1, "state": "succeeded", "result": "early", "error": ""}
        await runs.store.write(
            "run_1",
            Fact("run_created", {**created, "owner": "owner_dead", "steps": []}),
            Fact("step_added", {"step": 1, "body": body, "dropped": 0}),
            Fact("step_started", {"step": 1, "arguments": {}}),
            Fact("step_settled", early),
        )
        await runs.supervisor.ensure_driven("run_1")
        await settle(runs, "run_1", lambda: True)
        rows, run = runs.queries.steps("run_1"), runs.queries.run("run_1")
    assert (run.state, run.answer) == ("succeeded", "a")
    assert [row.result for row in rows] == ["early", "fresh"]
    assert len(calls) == 1


async def test_an_answer_at_a_time_does_not_start_the_waiting_steps_over_and_over(
    make_settings: Callable[..., Settings],
) -> None:
    steps: list[JSON] = [{"id": n, "tool": "asks"} for n in range(1, 21)]
    async with serving(make_settings(), registry()) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", steps))
        with anyio.fail_after(30):
            while (now := runs.queries.run(run.id)).state in OPEN:
                for message in runs.queries.open_messages(run.id, limit=1):
                    await runs.answer(run.id, [(message.id, "x")], by="agent", channel="report")
                if runs.queries.run(run.id) == now:
                    await runs.watchers.changed(run.id, 0.05)
        kinds = [entry.kind for entry in runs.queries.journal(run.id, limit=10_000)]
        folded = fold(runs.queries.journal(run.id, limit=10_000))
        assert folded[1] == {row.id: asdict(row) for row in runs.queries.steps(run.id)}
    assert now.state == "succeeded"
    assert kinds.count("step_started") == 20


async def test_what_others_wrote_while_a_step_was_cut_off_is_not_written_over(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    tools = builtin(Folders([work]), vault=Vault(work.parent / "undo"))
    step: JSON = {"id": 1, "tool": "write_file", "arguments": {"path": "a.txt", "content": "ours"}}
    configured = make_settings(terms=NEVER)
    writes, gone = tools.known("write_file"), anyio.Event()

    async def never_returns(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        gone.set()
        await anyio.sleep_forever()
        return None

    async with serving(configured, Registry([replace(writes, run=never_returns)])) as runs:
        run_id = (await plans.start(runs, await plans.save(runs, "g", "", [step]))).id
        await gone.wait()
    (work / "a.txt").write_text("theirs", encoding="utf-8")
    async with serving(configured, tools) as runs:
        await settle(runs, run_id, lambda: True)
        (row,) = runs.queries.steps(run_id)
    assert (work / "a.txt").read_text(encoding="utf-8") == "theirs"
    assert row.state == "failed"
    assert "changed since by others" in row.error
