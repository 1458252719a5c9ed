"""A run goes on though what was around it has changed: its tools, its model, its terms, its owner."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import anyio
import anyio.lowlevel
import pytest
from tests.fold import fold
from tests.serving import NEVER, registry, serving, settle, until
from tests.stores import owned

from forethought.engine.kinds import plan as plans
from forethought.gates.decisions import decision_facts
from forethought.journal.rows import Fact
from forethought.models import Models
from forethought.settings import Settings
from forethought_patterns import Answer, Decision, Heard, Meter, Usage
from forethought_patterns.gates import Verb
from forethought_tools import JSON, Answerer, Question, Registry, Risk, StoreError, Tool

pytestmark = pytest.mark.anyio


async def test_a_tool_that_is_gone_fails_its_step_and_not_the_run(make_settings: Callable[..., Settings]) -> None:
    steps: list[JSON] = [
        {"id": 1, "tool": "good"},
        {"id": 2, "tool": "bad"},
        {"id": 3, "tool": "good", "depends_on": [2]},
    ]
    async with serving(make_settings(), registry()) as runs:
        plan_id = await plans.save(runs, "g", "", steps)
    fewer = Registry(tool for tool in registry() if tool.name != "bad")
    async with serving(make_settings(terms=NEVER), fewer) as runs:
        run = await plans.start(runs, plan_id)
        await settle(runs, run.id, lambda: True)
        rows = runs.queries.steps(run.id)
    assert [row.state for row in rows] == ["succeeded", "failed", "skipped"]
    assert "There is no tool 'bad'" in rows[1].error


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

    def make(_: Models, spec: str, role: str | None) -> _Own | None:
        assert role is None
        return None if spec == "host" else own

    monkeypatch.setattr(Models, "_make", make)
    configured = make_settings(model=first)
    async with serving(configured, registry()) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "asks"}]))
        await until(
            runs, run.id, lambda: bool(runs.queries.messages(run.id, "order" if first == "host" else "question"))
        )
    async with serving(replace(configured, model="own" if first == "host" else "host"), registry()) as runs:
        await runs.supervisor.ensure_driven(run.id)
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
        plan = await plans.save(runs, "g", "", [{"id": 1, "tool": "good"}])
        with pytest.raises(StoreError):
            await plans.start(runs, plan)
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

        def everybody(_: object) -> bool:
            return True

        monkeypatch.setattr(runs.store.database, "alive", everybody)
        run = await plans.start(runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "good"}]))
        await runs.watchers.changed(run.id, 0.3)
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
        run = await plans.start(runs, await plans.save(runs, "g", "", plan))
        await until(runs, run.id, lambda: runs.queries.run(run.id).state == "waiting")
        (gate,) = runs.queries.open_messages(run.id)
    decision = Decision(verb, by="p", channel="test", arguments={"path": "b"} if verb == "edit" else None)
    with owned(configured) as store:
        store.commit(run.id, *decision_facts(gate, decision, tools(Risk.HIGH)))
    async with serving(configured, tools(Risk.MEDIUM)) as runs:
        await runs.supervisor.ensure_driven(run.id)
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
                await plans.start(
                    runs, await plans.save(runs, "g", "", [{"id": 1, "tool": "act"}, {"id": 2, "tool": "hang"}])
                )
            with anyio.fail_after(60):
                while len(calls) == len(gates) or not runs.queries.open_messages():
                    await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            gates.append([message.id for message in runs.queries.open_messages()])
    assert calls == ["hang", "hang"]
    assert gates[0] == gates[1]
