"""A process that drives runs, with tools that do as they are told, and people who answer."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from tests.stores import owned

from forethought.engine import Engine
from forethought.engine.records import Records
from forethought.engine.runs import Runs
from forethought.engine.supervisor import Supervisor
from forethought.journal.database import StaleError
from forethought.journal.rows import OPEN
from forethought.journal.store import Store
from forethought.models import Models
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_patterns import Decision
from forethought_patterns.gates import Verb
from forethought_tools import JSON, Answerer, AnswerError, Limits, Question, Registry, Risk, Role, Tool, ToolError

NEVER = Terms(replan="never")


async def good(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    return {"got": dict(arguments)}


async def _bad(_: Mapping[str, JSON], __: Answerer) -> JSON:
    raise ToolError("no luck")


async def _asks(_: Mapping[str, JSON], ask: Answerer) -> JSON:
    return [await ask(Question(Role.EXECUTOR, f"q{n}", "", {"type": "string"})) for n in (1, 2)]


def registry(flaky: Callable[[Mapping[str, JSON], Answerer], Any] = good) -> Registry:
    anything: dict[str, JSON] = {"type": "object"}
    return Registry(
        [
            Tool("good", "", anything, good, Risk.LOW, repeatable=True),
            Tool("bad", "", anything, _bad, Risk.LOW, repeatable=True),
            Tool("asks", "", anything, _asks, Risk.LOW, repeatable=True),
            Tool("risky", "", anything, good, Risk.HIGH),
            Tool("flaky", "", anything, flaky, Risk.LOW, repeatable=True, limits=Limits(attempts=2)),
        ]
    )


def runs_over(store: Store, tools: Registry, models: Models, terms: Terms | None = None) -> Runs:
    """The runs of a journal, with these tools and in no folder."""
    engine = Engine(store, Records(store.queries, tools), models)
    return Runs(engine, Supervisor(engine), terms=terms)


@asynccontextmanager
async def serving(settings: Settings, tools: Registry) -> AsyncGenerator[Runs]:
    with owned(settings) as store:
        runs = runs_over(store, tools, Models(settings), settings.terms)
        async with runs.supervisor.serving():
            yield runs


async def until(runs: Runs, run_id: str, met: Callable[[], bool]) -> None:
    """Wait for something to be so, which the run's changes bring."""
    with anyio.fail_after(30):
        while not met():
            await runs.watchers.changed(run_id, 0.05)


async def settle(runs: Runs, run_id: str, approve: Callable[[], bool], *, doubt: Verb = "skip") -> None:
    """Answer whatever is asked until the run has ended."""
    with anyio.fail_after(30):
        while (run := runs.queries.run(run_id)).state in OPEN:
            for message in runs.queries.open_messages(run_id):
                with suppress(StaleError, AnswerError):  # a run that is being stopped takes no more answers
                    if message.kind == "gate":
                        in_doubt = message.body["kind"] == "doubt"
                        verb: Verb = doubt if in_doubt else "approve" if approve() else "reject"
                        await runs.decide(message, Decision(verb, by="p", channel="test"))
                    else:
                        await runs.answer(run_id, [(message.id, f"re {message.key}")], by="agent", channel="report")
            if runs.queries.run(run_id) == run:
                await runs.watchers.changed(run_id, 0.05)
