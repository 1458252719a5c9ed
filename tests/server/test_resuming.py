"""What was done is not done again, and what was cut off is looked at first."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.fold import fold
from tests.serving import good, registry, serving, settle, until
from tests.stores import owned

from forethought.engine.supervisor import OPEN
from forethought.gates.decisions import decision_facts
from forethought.journal.rows import Fact
from forethought.models import Models
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_patterns import Answer, Decision, Heard, Meter, Usage
from forethought_patterns.gates import Verb
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Role, StoreError, Tool, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.undo import Vault

pytestmark = pytest.mark.anyio

NEVER = Terms(replan="never")
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
        run = await runs.start(await runs.save_plan("g", "", [{"id": 1, "tool": "flaky"}]))
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
    options: dict[str, JSON] = {"terms": Terms(replan="never").body(), "goal": "g", "folders": []}
    configured = make_settings()
    async with serving(configured, registry()) as runs:
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
        in_flight = Fact("step_started", {"step": 1, "arguments": {}})
        await runs.store.write("run_1", Fact("run_created", created), in_flight)
        await runs.ensure_driven("run_1")
        await runs.changed("run_1", 0.3)
    asked: list[str] = []
    for _ in range(2):
        async with serving(configured, registry()) as runs:
            await runs.ensure_driven("run_1")
            await runs.changed("run_1", 0.3)
            asked += [message.id for message in runs.queries.open_messages("run_1")]
    assert len(set(asked)) <= 1, "one gate, whose id stays"
    async with serving(configured, registry()) as runs:
        await runs.ensure_driven("run_1")
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
        run_id = (await runs.start(await runs.save_plan("g", "", [step]))).id
        await hangs.wait()
    for _ in range(2):  # until somebody has looked, nothing is done
        async with serving(configured, tools) as runs:
            with anyio.fail_after(20):
                while not (gates := runs.queries.open_messages(run_id, "gate")):
                    await runs.changed(run_id, 0.05)
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
            "terms": Terms().body(),
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
        await runs.ensure_driven("run_1")
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
        run = await runs.start(await runs.save_plan("g", "", steps))
        with anyio.fail_after(30):
            while (now := runs.queries.run(run.id)).state in OPEN:
                for message in runs.queries.open_messages(run.id, limit=1):
                    await runs.answer(run.id, [(message.id, "x")], by="agent", channel="report")
                if runs.queries.run(run.id) == now:
                    await runs.changed(run.id, 0.05)
        kinds = [entry.kind for entry in runs.queries.journal(run.id, limit=10_000)]
        folded = fold(runs.queries.journal(run.id, limit=10_000))
        assert folded[1] == {row.id: asdict(row) for row in runs.queries.steps(run.id)}
    assert now.state == "succeeded"
    assert kinds.count("step_started") == 20


async def test_a_tool_that_is_gone_fails_its_step_and_not_the_run(make_settings: Callable[..., Settings]) -> None:
    steps: list[JSON] = [
        {"id": 1, "tool": "good"},
        {"id": 2, "tool": "bad"},
        {"id": 3, "tool": "good", "depends_on": [2]},
    ]
    async with serving(make_settings(), registry()) as runs:
        plan_id = await runs.save_plan("g", "", steps)
    fewer = Registry(tool for tool in registry() if tool.name != "bad")
    async with serving(make_settings(terms=NEVER), fewer) as runs:
        run = await runs.start(plan_id)
        await settle(runs, run.id, lambda: True)
        rows = runs.queries.steps(run.id)
    assert [row.state for row in rows] == ["succeeded", "failed", "skipped"]
    assert "There is no tool 'bad'" in rows[1].error


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
        run_id = (await runs.start(await runs.save_plan("g", "", [step]))).id
        await gone.wait()
    (work / "a.txt").write_text("theirs", encoding="utf-8")
    async with serving(configured, tools) as runs:
        await settle(runs, run_id, lambda: True)
        (row,) = runs.queries.steps(run_id)
    assert (work / "a.txt").read_text(encoding="utf-8") == "theirs"
    assert row.state == "failed"
    assert "changed since by others" in row.error


class _Own:
    """A model of ours that answers at once, or never."""

    name, lean = "own", False

    def __init__(self, *, answers: bool) -> None:
        self.asked = 0
        self._answers = answers

    def cost(self, usage: Usage) -> float:
        return 0.0

    async def answer(self, question: Question, *, meter: Meter, heard: Heard | None = None) -> Answer:
        self.asked += 1
        if not self._answers:
            await anyio.sleep_forever()
        async with meter.request(1) as charge:
            charge.settle(Usage(1, 1, 1))
        return Answer("ours", Usage(1, 1, 1), "own")


@pytest.mark.parametrize("first", ["host", "own"])
async def test_a_run_goes_on_with_another_model_than_it_was_begun_with(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Open work orders go to a model of ours, and what our model was asked to the agent. Nothing is asked twice."""
    own = _Own(answers=first == "host")
    monkeypatch.setattr(Models, "_make", lambda _, spec: None if spec == "host" else own)
    configured = make_settings(model=first)
    async with serving(configured, registry()) as runs:
        run = await runs.start(await runs.save_plan("g", "", [{"id": 1, "tool": "asks"}]))
        await until(
            runs, run.id, lambda: bool(runs.queries.messages(run.id, "order" if first == "host" else "question"))
        )
    async with serving(replace(configured, model="own" if first == "host" else "host"), registry()) as runs:
        await runs.ensure_driven(run.id)
        if first == "host":
            await until(runs, run.id, lambda: runs.queries.run(run.id).ended is not None)
        else:
            await settle(runs, run.id, lambda: True)
        (step,) = runs.queries.steps(run.id)
        assert fold(runs.queries.journal(run.id))[1] == {1: asdict(step)}
        spent = runs.queries.run(run.id).model_calls
    assert step.result == (["ours", "ours"] if first == "host" else ["re step/1/1/1", "re step/1/1/2"])
    assert (own.asked, spent) == ((2, 2) if first == "host" else (1, 0))


async def test_a_claim_whose_commit_was_not_told_is_driven_all_the_same(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_settings(), registry()) as runs:
        write, lost = runs.store.write, list[str]()

        async def untold(run: str, *facts: Fact, epoch: int | None = None) -> None:
            await write(run, *facts, epoch=epoch)
            if facts[0].kind == "run_created" and not lost:
                lost.append(run)
                raise StoreError("the connection is gone")

        monkeypatch.setattr(runs.store, "write", untold)
        plan = await runs.save_plan("g", "", [{"id": 1, "tool": "good"}])
        with pytest.raises(StoreError):
            await runs.start(plan)
        await until(runs, lost[0], lambda: runs.queries.run(lost[0]).ended is not None)
        assert runs.queries.run(lost[0]).state == "succeeded"


async def test_who_claims_and_is_taken_for_dead_meanwhile_does_not_drive(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_settings(), registry()) as runs:
        write = runs.store.write

        async def overtaken(run: str, *facts: Fact, epoch: int | None = None) -> None:
            await write(run, *facts, epoch=epoch)
            if facts[0].kind == "run_created":
                claim: dict[str, JSON] = {"owner": "owner_2", "previous": runs.store.database.id, "oldest": 0.0}
                await write(run, Fact("run_claimed", claim))

        monkeypatch.setattr(runs.store, "write", overtaken)
        monkeypatch.setattr(runs.store.database, "alive", lambda _: True)
        run = await runs.start(await runs.save_plan("g", "", [{"id": 1, "tool": "good"}]))
        await runs.changed(run.id, 0.3)
        assert [entry.kind for entry in runs.queries.journal(run.id)] == ["run_created", "run_claimed"]


@pytest.mark.parametrize(
    ("verb", "state", "made"),
    [("reject", "rejected", 0), ("cancel", "skipped", 0), ("edit", "succeeded", 1), ("approve", "succeeded", 1)],
)
async def test_a_persons_word_counts_where_nobody_would_have_to_be_asked_any_more(
    make_settings: Callable[..., Settings], verb: Verb, state: str, made: int
) -> None:
    calls: list[Mapping[str, JSON]] = []

    async def act(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        calls.append(arguments)
        return None

    def tools(risk: Risk) -> Registry:
        return Registry([Tool("act", "", {"type": "object"}, act, Risk.HIGH, trusted=True)], {"act": risk})

    configured = make_settings(terms=NEVER)
    async with serving(configured, tools(Risk.HIGH)) as runs:
        plan: list[JSON] = [{"id": 1, "tool": "act", "arguments": {"path": "a"}}]
        run = await runs.start(await runs.save_plan("g", "", plan))
        await until(runs, run.id, lambda: runs.queries.run(run.id).state == "waiting")
        (gate,) = runs.queries.open_messages(run.id)
    decision = Decision(verb, by="p", channel="test", arguments={"path": "b"} if verb == "edit" else None)
    with owned(configured) as store:
        store.commit(run.id, *decision_facts(gate, decision, tools(Risk.HIGH)))
    async with serving(configured, tools(Risk.MEDIUM)) as runs:
        await runs.ensure_driven(run.id)
        await until(runs, run.id, lambda: runs.queries.run(run.id).ended is not None)
        assert [row.state for row in runs.queries.steps(run.id)] == [state]
    assert len(calls) == made
    assert calls == [{"path": "b" if verb == "edit" else "a"}][:made]


async def test_a_question_that_is_open_waits_though_nobody_would_have_to_be_asked_any_more(
    make_settings: Callable[..., Settings],
) -> None:
    calls: list[str] = []

    async def hang(_: Mapping[str, JSON], __: Answerer) -> JSON:
        calls.append("hang")
        await anyio.sleep(3600)
        return None

    async def act(_: Mapping[str, JSON], __: Answerer) -> JSON:
        calls.append("act")
        return None

    def tools(risk: Risk) -> Registry:
        anything: dict[str, JSON] = {"type": "object"}
        return Registry(
            [
                Tool("act", "", anything, act, Risk.HIGH, trusted=True),
                Tool("hang", "", anything, hang, Risk.LOW, repeatable=True),
            ],
            {"act": risk},
        )

    configured = make_settings()
    gates: list[list[str]] = []
    for risk in (Risk.HIGH, Risk.MEDIUM):
        async with serving(configured, tools(risk)) as runs:
            if not gates:
                await runs.start(await runs.save_plan("g", "", [{"id": 1, "tool": "act"}, {"id": 2, "tool": "hang"}]))
            with anyio.fail_after(30):
                while len(calls) == len(gates) or not runs.queries.open_messages():
                    await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            gates.append([message.id for message in runs.queries.open_messages()])
    assert calls == ["hang", "hang"]
    assert gates[0] == gates[1]
