"""The journal and the rows agree, writes are all or nothing, and a late writer is fenced."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores import owned

from forethought.app import open_store
from forethought.database import StaleError
from forethought.driving import OPEN
from forethought.models import Models
from forethought.rows import Entry, Fact
from forethought.runs import Runs
from forethought.settings import Settings
from forethought.sqlite import SQLite
from forethought.store import Store
from forethought.terms import Terms
from forethought_patterns import Decision, Policy
from forethought_patterns.gates import Verb
from forethought_tools import (
    JSON,
    Answerer,
    AnswerError,
    FencedError,
    Limits,
    Question,
    Registry,
    Risk,
    Role,
    StoreError,
    Tool,
    ToolError,
)

pytestmark = pytest.mark.anyio

NEVER = Terms(replan="never")
STARTED: dict[str, JSON] = {"revision": 1, "budget": {}}


def fold(entries: list[Entry]) -> tuple[dict[str, Any], dict[int, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The rows of one run, from its journal alone: written apart from the SQL, so that the two check each other."""
    run: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    messages: dict[str, dict[str, Any]] = {}
    for entry in entries:
        body: Any = entry.body
        match entry.kind:
            case "run_created":
                run = {"id": entry.run, "plan": body["plan"], "kind": body["kind"], "state": "running", "epoch": 1,
                       "owner": body["owner"], "options": body["options"], "error": "", "stopping": 0, "pausing": 0,
                       "revision": body["revision"], "replans": 0, "answer": "", "budget": body["budget"],
                       "dollars": 0.0, "unpriced": 0, "model_calls": 0, "tool_calls": 0, "seconds": 0.0,
                       "input_tokens": 0, "output_tokens": 0, "created": entry.at, "ended": None}  # fmt: skip
                steps = {n: _pending(entry.run, n) for n in body["steps"]}
            case "run_claimed":
                run |= {"owner": body["owner"], "epoch": run["epoch"] + 1, "state": "running",
                        "pausing": run["pausing"] % 2}  # fmt: skip
                for message in messages.values():
                    if (
                        message["state"] == "answered"
                        and message["kind"] == "gate"
                        and _lapses(message, body["oldest"])
                    ):
                        message |= {"state": "open", "answer": None, "by": "", "channel": "", "answered": None}
                    if message["state"] == "answered":
                        message["state"] = "used"
            case "run_parked":
                run |= {"state": "waiting", "owner": None, "seconds": run["seconds"] + body["seconds"]}
            case "run_ended":
                run |= {"state": body["state"], "error": body["error"], "answer": body["answer"], "ended": entry.at,
                        "owner": None, "seconds": run["seconds"] + body["seconds"]}  # fmt: skip
                for message in messages.values():
                    if message["state"] == "open":
                        message["state"] = "closed"
            case "stop_asked":
                run |= {"stopping": 1, "state": "waiting" if run["state"] == "paused" else run["state"]}
            case "pause_asked":
                run |= {"pausing": 1, "state": "paused" if run["owner"] is None else run["state"]}
            case "run_paused":
                run |= {"state": "paused", "owner": None, "seconds": run["seconds"] + body["seconds"]}
            case "resume_asked":
                held = run["state"] == "paused"
                run |= {"pausing": 2 if held else 0, "state": "waiting" if held else run["state"]}
            case "spent":
                for name in ("model_calls", "input_tokens", "output_tokens", "dollars", "unpriced"):
                    run[name] += body[name]
            case "plan_revised":
                run |= {"revision": body["revision"], "replans": run["replans"] + body["replanned"]}
                for number in body["dropped"]:
                    steps[number]["dropped"] = 1
                steps |= {number: _pending(entry.run, number) for number in body["steps"]}
            case "budget_raised":
                run["budget"] = {**run["budget"], body["measure"]: body["limit"]}
            case "budget_nearly_spent" | "step_allowed":
                pass
            case "step_added":
                steps[body["step"]] = _pending(entry.run, body["step"]) | {
                    "body": body["body"], "dropped": body["dropped"]}  # fmt: skip
            case "step_started":
                steps[body["step"]] |= {"state": "running", "arguments": body["arguments"], "epoch": body["epoch"],
                                        "returned": 0, "result": None, "started": entry.at}  # fmt: skip
                run["tool_calls"] += 1
            case "call_started":
                run["tool_calls"] += 1
            case "step_returned":
                steps[body["step"]] |= {"returned": 1, "result": body["result"]}
            case "step_again":
                step = steps[body["step"]]
                step |= {"state": "pending", "attempt": step["attempt"] + 1, "round": step["round"] + 1,
                         "feedback": body["feedback"], "error": body["error"], "arguments": None, "returned": 0,
                         "result": None}  # fmt: skip
            case "step_waiting":
                steps[body["step"]]["state"] = "waiting"
            case "step_resumed":
                steps[body["step"]]["state"] = "running"
            case "step_in_doubt":
                steps[body["step"]] |= {"state": "in_doubt", "doubt": 1}
            case "step_redone":
                step = steps[body["step"]]
                step |= {"state": "pending", "doubt": 0, "attempt": step["attempt"] + 1, "arguments": None}
            case "step_retrying":
                steps[body["step"]]["attempt"] += 1
                steps[body["step"]]["error"] = body["error"]
            case "step_settled":
                steps[body["step"]] |= {name: body[name] for name in ("state", "result", "error")} | {
                    "ended": entry.at, "doubt": 0}  # fmt: skip
            case "asked":
                told = {name: body[name] for name in ("id", "key", "kind", "step", "body")}
                messages[body["id"]] = {"run": entry.run, "state": "open", "answer": None, "approval": 0, "by": "",
                                        "channel": "", "asked": entry.at, "answered": None, **told}  # fmt: skip
            case "answered":
                said = {name: body[name] for name in ("answer", "approval", "by", "channel")}
                messages[body["id"]] |= {"state": "answered", "answered": entry.at, **said}  # fmt: skip
            case "noted" | "kept":
                told = {name: body[name] for name in ("id", "key", "step", "body")}
                kind = "note" if entry.kind == "noted" else "undo"
                told |= {"run": entry.run, "kind": kind, "state": "closed", "answer": None, "approval": 0, "by": ""}
                messages[body["id"]] = {**told, "channel": "", "asked": entry.at, "answered": None}
            case "lesson_learned" | "lessons_forgotten":
                pass  # they are no part of a run
            case "used":
                messages[body["id"]]["state"] = "used"
            case "lapsed":
                messages[body["id"]] |= {"state": "open", "answer": None, "by": "", "channel": "", "answered": None}
            case other:
                raise AssertionError(f"a fact that the fold does not know: {other}")
    return run, steps, messages


def _pending(run: str, number: int) -> dict[str, Any]:
    return {"run": run, "id": number, "state": "pending", "attempt": 1, "round": 0, "feedback": "", "epoch": 0,
            "arguments": None, "returned": 0, "result": None, "error": "", "dropped": 0, "doubt": 0, "body": None,
            "started": None, "ended": None}  # fmt: skip


def _lapses(message: Mapping[str, Any], oldest: float) -> bool:
    return message["answered"] < oldest and message["answer"]["verb"] in ("approve", "approve_tool", "edit", "again")


async def _good(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    return {"got": dict(arguments)}


async def _bad(_: Mapping[str, JSON], __: Answerer) -> JSON:
    raise ToolError("no luck")


async def _asks(_: Mapping[str, JSON], ask: Answerer) -> JSON:
    return [await ask(Question(Role.EXECUTOR, f"q{n}", "", {"type": "string"})) for n in (1, 2)]


def _registry(flaky: Callable[[Mapping[str, JSON], Answerer], Any] = _good) -> Registry:
    anything: dict[str, JSON] = {"type": "object"}
    return Registry([
        Tool("good", "", anything, _good, Risk.LOW, repeatable=True),
        Tool("bad", "", anything, _bad, Risk.LOW, repeatable=True),
        Tool("asks", "", anything, _asks, Risk.LOW, repeatable=True),
        Tool("risky", "", anything, _good, Risk.HIGH),
        Tool("flaky", "", anything, flaky, Risk.LOW, repeatable=True, limits=Limits(attempts=2)),
    ])  # fmt: skip


@asynccontextmanager
async def _serving(settings: Settings, tools: Registry) -> AsyncIterator[Runs]:
    with owned(settings) as (store, owner):
        runs = Runs(store, tools, Models(settings), owner, terms=settings.terms)
        async with runs.serving():
            yield runs


async def _settle(runs: Runs, run_id: str, approve: Callable[[], bool], *, doubt: Verb = "skip") -> None:
    """Answer whatever is asked until the run has ended."""
    with anyio.fail_after(30):
        while (run := runs.store.run(run_id)).state in OPEN:
            for message in runs.store.open_messages(run_id):
                with suppress(StaleError, AnswerError):  # a run that is being stopped takes no more answers
                    if message.kind == "gate":
                        in_doubt = message.body["kind"] == "doubt"
                        verb: Verb = doubt if in_doubt else "approve" if approve() else "reject"
                        await runs.decide(message, Decision(verb, by="p", channel="test"))
                    else:
                        await runs.answer(run_id, [(message.id, f"re {message.key}")], by="agent", channel="report")
            if runs.store.run(run_id) == run:
                await runs.changed(run_id, 0.05)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), size=st.integers(1, 8))
def test_folding_the_journal_of_any_run_gives_its_rows(
    make_settings: Callable[..., Settings], data: st.DataObject, size: int
) -> None:
    names, earlier = st.sampled_from(["good", "bad", "asks", "risky"]), st.integers(1, 8)
    steps: list[JSON] = [
        {"id": n, "tool": data.draw(names), "depends_on": [d for d in data.draw(st.sets(earlier, max_size=2)) if d < n]}
        for n in range(1, size + 1)
    ]  # fmt: skip
    stop = data.draw(st.booleans())
    verdicts = iter(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))

    async def check() -> None:
        async with _serving(make_settings(terms=NEVER), _registry()) as runs:
            plan_id = await runs.save_plan("goal", "", steps)
            run = await runs.start(plan_id)
            if stop:
                await runs.changed(run.id, 0.02)
                with suppress(StaleError):  # it may have ended already
                    await runs.stop(run.id)
            await _settle(runs, run.id, lambda: next(verdicts))
            store = runs.store
            folded = fold(store.journal(run.id, limit=10_000))
            assert folded[0] == asdict(store.run(run.id))
            assert folded[1] == {row.id: asdict(row) for row in store.steps(run.id)}
            assert folded[2] == {name: asdict(store.message(name)) for name in folded[2]}
            assert {row.state for row in store.steps(run.id)} <= {
                "succeeded",
                "failed",
                "skipped",
                "rejected",
                "in_doubt",
            }

    anyio.run(check)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
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
    policy = Policy(approve_plan=data.draw(coin), ask_from=data.draw(st.sampled_from(list(Risk))))
    terms = Terms(policy=policy, budget={"tool_calls": data.draw(st.integers(0, 9))}, max_replans=2)

    async def check() -> None:
        async with _serving(make_settings(model=f"scripted:{file}", terms=terms), _registry()) as runs:
            run = await runs.start_goal("goal", "")
            await _settle(runs, run.id, lambda: data.draw(coin))
            store = runs.store
            entries = store.journal(run.id, limit=10_000)
            folded = fold(entries)
            assert folded[0] == asdict(store.run(run.id))
            assert folded[1] == {row.id: asdict(row) for row in store.steps(run.id)}
            assert folded[2] == {name: asdict(store.message(name)) for name in folded[2]}
            for entry in entries:
                if entry.kind == "plan_revised":
                    told: Any = entry.body
                    row = store.plan(run.plan, told["revision"])
                    assert (row.goal, row.body, row.created) == (told["goal"], told["body"], entry.at)

    anyio.run(check)


async def test_a_retry_is_a_new_attempt_with_its_own_record(make_settings: Callable[..., Settings]) -> None:
    tries = 0

    async def flaky(_: Mapping[str, JSON], ask: Answerer) -> JSON:
        nonlocal tries
        tries += 1
        said = await ask(Question(Role.EXECUTOR, "q", "", {"type": "string"}))
        if tries < 3:  # once before parking, once after: the same attempt
            raise ToolError("passing", transient=True)
        return said

    async with _serving(make_settings(), _registry(flaky)) as runs:
        run = await runs.start(await runs.save_plan("g", "", [{"id": 1, "tool": "flaky"}]))
        await _settle(runs, run.id, lambda: True)
        (step,) = runs.store.steps(run.id)
        keys = [e.body["key"] for e in runs.store.journal(run.id) if e.kind == "asked"]
        assert fold(runs.store.journal(run.id))[1] == {1: asdict(step)}
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
    options: dict[str, JSON] = {"terms": Terms(replan="never").body(), "goal": "g", "folders": []}
    configured = make_settings()
    async with _serving(configured, _registry()) as runs:
        steps: list[JSON] = [{"id": 1, "tool": tool}, {"id": 2, "tool": "good", "depends_on": [1]}]
        plan_id = await runs.save_plan("g", "", steps)
        created: dict[str, JSON] = {
            "plan": plan_id,
            "kind": "plan",
            "options": options,
            **STARTED,
            "owner": "owner_dead",
            "steps": [1, 2],
        }
        await runs.store.write("run_1", Fact("run_created", created))
        await runs.store.write("run_1", Fact("step_started", {"step": 1, "arguments": {}}), epoch=1)
        await runs.ensure_driven("run_1")
        await runs.changed("run_1", 0.3)
    asked: list[str] = []
    for _ in range(2):
        async with _serving(configured, _registry()) as runs:
            await runs.ensure_driven("run_1")
            await runs.changed("run_1", 0.3)
            asked += [message.id for message in runs.store.open_messages("run_1")]
    assert len(set(asked)) <= 1, "one gate, whose id stays"
    async with _serving(configured, _registry()) as runs:
        await runs.ensure_driven("run_1")
        await _settle(runs, "run_1", lambda: True, doubt=doubt)
        first, second = runs.store.steps("run_1")
        kinds = [entry.kind for entry in runs.store.journal("run_1")]
        assert fold(runs.store.journal("run_1"))[1] == {row.id: asdict(row) for row in (first, second)}
        gates = runs.store.messages("run_1", "gate")
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
    tools = Registry([Tool("good", "", anything, _good, Risk.LOW), Tool("probe", "", anything, probe, Risk.LOW)])
    configured = make_settings(terms=NEVER)
    async with _serving(configured, tools) as runs:
        step: JSON = {"id": 1, "tool": "good", "check": {"tool": "probe", "matches": "fine"}}
        run_id = (await runs.start(await runs.save_plan("g", "", [step]))).id
        await hangs.wait()
    for _ in range(2):  # until somebody has looked, nothing is done
        async with _serving(configured, tools) as runs:
            with anyio.fail_after(20):
                while not (gates := runs.store.open_messages(run_id, "gate")):
                    await runs.changed(run_id, 0.05)
            assert gates[0].body["choices"] == ["again", "skip", "cancel"]
            assert made == ["call"]
    async with _serving(configured, tools) as runs:
        await _settle(runs, run_id, lambda: True, doubt=verb)
        assert [row.state for row in runs.store.steps(run_id)] == [state]
    assert len(made) == calls


async def test_steps_that_ran_before_their_plan_was_whole_are_not_run_again_after_a_crash(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    calls: list[Mapping[str, JSON]] = []

    async def flaky(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        calls.append(arguments)
        return "fresh"

    first: dict[str, JSON] = {"id": 1, "description": "", "tool": "flaky", "depends_on": [], "expected_output": "",
                              "strategy": "direct"}  # fmt: skip
    draft: JSON = {"reasoning": "", "steps": [
        {**first, "arguments": [], "confidence": 1},
        {**first, "id": 2, "arguments": [], "confidence": 1},
    ]}  # fmt: skip
    done: JSON = {"done": True, "answer": "a", "missing": ""}
    (tmp_path / "s.json").write_text(json.dumps({"planner": [draft], "joiner": [done]}), encoding="utf-8")
    settings = make_settings(model=f"scripted:{tmp_path / 's.json'}")
    async with _serving(settings, _registry(flaky)) as runs:
        options: dict[str, JSON] = {
            "goal": "g", "context": "", "files": {}, "new_files": [], "lessons": [], "folders": [],
            "terms": Terms().body(),
        }  # fmt: skip
        created: dict[str, JSON] = {"plan": "plan_1", "kind": "plan", "options": options, "revision": 0, "budget": {}}
        await runs.store.write("run_1", Fact("run_created", {**created, "owner": "owner_dead", "steps": []}))
        body: JSON = {**first, "arguments": {}, "confidence": 1.0}
        early: dict[str, JSON] = {"step": 1, "state": "succeeded", "result": "early", "error": ""}
        await runs.store.write(
            "run_1", Fact("step_added", {"step": 1, "body": body, "dropped": 0}),
            Fact("step_started", {"step": 1, "arguments": {}}), Fact("step_settled", early), epoch=1,
        )  # fmt: skip
        await runs.ensure_driven("run_1")
        await _settle(runs, "run_1", lambda: True)
        rows, run = runs.store.steps("run_1"), runs.store.run("run_1")
    assert (run.state, run.answer) == ("succeeded", "a")
    assert [row.result for row in rows] == ["early", "fresh"]
    assert len(calls) == 1


async def test_a_tool_that_is_gone_fails_its_step_and_not_the_run(make_settings: Callable[..., Settings]) -> None:
    steps: list[JSON] = [
        {"id": 1, "tool": "good"},
        {"id": 2, "tool": "bad"},
        {"id": 3, "tool": "good", "depends_on": [2]},
    ]
    async with _serving(make_settings(), _registry()) as runs:
        plan_id = await runs.save_plan("g", "", steps)
    fewer = Registry(tool for tool in _registry() if tool.name != "bad")
    async with _serving(make_settings(terms=NEVER), fewer) as runs:
        run = await runs.start(plan_id)
        await _settle(runs, run.id, lambda: True)
        rows = runs.store.steps(run.id)
    assert [row.state for row in rows] == ["succeeded", "failed", "skipped"]
    assert "There is no tool 'bad'" in rows[1].error


async def test_a_driver_that_has_lost_its_run_cannot_write_to_it(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [1]}
    await store.write("r", Fact("run_created", body))
    await store.write("r", Fact("run_claimed", {"owner": "b", "previous": "a", "oldest": 0}))
    with pytest.raises(FencedError):
        await store.write("r", Fact("step_started", {"step": 1, "arguments": {}}), epoch=1)
    assert store.steps("r")[0].state == "pending"
    store.close()


async def test_one_refused_write_undoes_all_of_itself_and_none_of_its_neighbours(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {
        "plan": "p",
        "kind": "plan",
        "options": {},
        **STARTED,
        "owner": "a",
        "steps": [*range(1, 101)],
    }
    await store.write("r", Fact("run_created", body))
    refused = 0

    async def settle(step: int) -> None:
        nonlocal refused
        good = Fact("step_settled", {"step": step, "state": "succeeded", "result": step, "error": ""})
        bad = Fact("used", {"id": "message_of_nobody"})
        try:
            await store.write("r", *([good, bad] if step % 3 == 0 else [good]))
        except StaleError:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for step in range(1, 101):
            tasks.start_soon(settle, step)
    assert refused == 33
    assert store.progress("r") == {"succeeded": 67, "pending": 33}
    assert len([e for e in store.journal("r", limit=1000) if e.kind == "step_settled"]) == 67
    store.close()


async def test_what_cannot_be_recorded_is_refused_alone_and_nobody_is_told_a_lie(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    told: dict[str, str] = {}

    async def create(name: str, value: JSON) -> None:
        body: dict[str, JSON] = {"plan": name, "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [value]}
        try:
            await store.write(name, Fact("run_created", body))
            told[name] = "written"
        except StoreError:
            told[name] = "refused"

    async with anyio.create_task_group() as tasks:
        for name, value in (("a", 1), ("huge", 2**70), ("b", 2), ("c", 3)):
            tasks.start_soon(create, name, value)
    assert told["huge"] == "refused" or store.steps("huge")
    assert {name for name, said in told.items() if said == "written"} == {run.id for run in store.runs()}
    odd: dict[str, JSON] = {"plan": "p", "revision": 1, "goal": "a lone \ud800 surrogate", "body": {"name": "Gr\udcfc"}}
    await store.write("", Fact("plan_saved", odd))
    assert store.plan("p").goal == "a lone ? surrogate"
    store.close()


async def test_an_answer_at_a_time_does_not_start_the_waiting_steps_over_and_over(
    make_settings: Callable[..., Settings],
) -> None:
    steps: list[JSON] = [{"id": n, "tool": "asks"} for n in range(1, 21)]
    async with _serving(make_settings(), _registry()) as runs:
        run = await runs.start(await runs.save_plan("g", "", steps))
        with anyio.fail_after(30):
            while (now := runs.store.run(run.id)).state in OPEN:
                for message in runs.store.open_messages(run.id, limit=1):
                    await runs.answer(run.id, [(message.id, "x")], by="agent", channel="report")
                if runs.store.run(run.id) == now:
                    await runs.changed(run.id, 0.05)
        kinds = [entry.kind for entry in runs.store.journal(run.id, limit=10_000)]
        folded = fold(runs.store.journal(run.id, limit=10_000))
        assert folded[1] == {row.id: asdict(row) for row in runs.store.steps(run.id)}
    assert now.state == "succeeded"
    assert kinds.count("step_started") == 20


async def test_a_write_that_began_is_finished_though_its_caller_is_cancelled(
    make_settings: Callable[..., Settings],
) -> None:
    store = open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": []}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, "r", Fact("run_created", body))
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert store.run("r").state == "running"
    store.close()


def test_secrets_are_kept_out_of_every_table(tmp_path: Path) -> None:
    store = Store(SQLite(tmp_path / "j.sqlite"), redact=lambda text: text.replace("hunter22", "[secret]"))
    body: dict[str, JSON] = {
        "plan": "p",
        "kind": "plan",
        "options": {"goal": "log in with hunter22"},
        **STARTED,
        "owner": "a",
        "steps": [1],
    }
    store.commit("r", Fact("run_created", body))
    store.commit("r", Fact("step_started", {"step": 1, "arguments": {"password": "hunter22"}}))
    store.close()
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"[secret]" in everything
    assert b"hunter22" not in everything


def test_a_file_that_is_no_journal_or_a_newer_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database at all, but long enough to be read as one" * 20)
    before = broken.read_bytes()
    with pytest.raises(StoreError, match="cannot be opened as a journal"):
        SQLite(broken)
    assert broken.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="newer forethought"):
        SQLite(newer)


async def test_two_processes_worth_of_stores_lose_no_write(make_settings: Callable[..., Settings]) -> None:
    first, second = open_store(make_settings()), open_store(make_settings())
    body: dict[str, JSON] = {"plan": "p", "kind": "plan", "options": {}, **STARTED, "owner": "a", "steps": [*range(60)]}
    await first.write("r", Fact("run_created", body))
    async with anyio.create_task_group() as tasks:
        for step in range(60):
            fact = Fact("step_settled", {"step": step, "state": "succeeded", "result": None, "error": ""})
            tasks.start_soon((first if step % 2 else second).write, "r", fact)
    assert first.progress("r") == second.progress("r") == {"succeeded": 60}
    first.close()
    second.close()
