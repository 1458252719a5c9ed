"""A kind of run is one file and one row of a table: here is a sixth, and nothing else knows of it."""

from collections.abc import Callable

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import view
from tests.serving import registry, serving, until

from forethought.engine.kinds import KINDS
from forethought.engine.kinds.kind import Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.views import run_view
from forethought.journal.database import new_id
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, RunRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Problem
from forethought_tools import JSON, Question, Role, StoreError

pytestmark = pytest.mark.anyio


class SurveyOptions(Options):
    people: int


async def _drive(work: Work[SurveyOptions]) -> Ending:
    said: list[str] = []
    for person in range(1, work.options.people + 1):
        question = Question(Role.EXECUTOR, f"Person {person}: {work.options.goal}", "", {"type": "string"})
        said.append(str(await work.recorder.ask(f"person/{person}", question, slot=work.recorder.slot)))
        await work.recorder.note(f"said/{person}", {"said": said[-1]})
    return Ending({"said": said}, None if any(said) else Problem("Nobody said anything."))


def _progress(queries: Queries, run: RunRow) -> Progress:
    done, of = len(queries.messages(run.id, "note")), SURVEY.read(run).people
    return Progress(done, of, f"{done} of {of} people asked")


def _view(look: Look) -> View:
    answer = look.run.answer if isinstance(look.run.answer, dict) else {}
    return {**look.head(_progress(look.records.queries, look.run).text), **look.trouble(), **answer, **look.tail()}


SURVEY = Kind(
    name="survey",
    options=SurveyOptions,
    drive=_drive,
    progress=_progress,
    view=_view,
    next=lambda look: f"tell {len(str(look.run.answer))} characters to whoever wanted to know",
)


@pytest.fixture(autouse=True)
def survey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, SURVEY.name, SURVEY)


async def test_a_sixth_kind_is_started_resumed_followed_and_ended_like_any_other(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(folders=())
    async with serving(settings, registry()) as runs:
        run = await runs.create(SURVEY, SurveyOptions(goal="tea?", people=2))
        await until(runs, run.id, lambda: bool(runs.queries.open_ids(run.id)))
        (first,) = runs.queries.open_messages(run.id)
        await runs.answer(run.id, [(first.id, "yes")], by="agent", channel="report")
        await until(runs, run.id, lambda: first.id not in runs.queries.open_ids(run.id) and _waits(runs.queries, run))
    heard: list[tuple[float, float | None, str | None]] = []

    async def follow(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    with anyio.fail_after(60):
        async with Client(build_server(settings)) as client:
            seen = view(await client.call_tool("report", {"run_id": run.id, "answers": []}, progress_callback=follow))
            assert (seen["status"], seen["progress"]) == ("waiting", "1 of 2 people asked")
            (order,) = seen["waiting_on"]
            assert "Person 2: tea?" in order["instructions"], "what was answered before the restart is not asked again"
            assert "report(" in seen["next"]
            answers = [{"order": order["order"], "answer": "no"}]
            done = view(
                await client.call_tool("report", {"run_id": run.id, "answers": answers}, progress_callback=follow)
            )
    assert (done["status"], done["said"], done["progress"]) == ("succeeded", ["yes", "no"], "2 of 2 people asked")
    assert done["next"].startswith("tell ")
    assert heard[-1][1:] == (2.0, "2 of 2 people asked")


async def test_a_sixth_kind_fails_with_its_problem(make_settings: Callable[..., Settings]) -> None:
    async with serving(make_settings(), registry()) as runs:
        run = await runs.create(SURVEY, SurveyOptions(goal="tea?", people=0))
        await until(runs, run.id, lambda: runs.queries.run(run.id).ended is not None)
        assert runs.queries.run(run.id).error == "Nobody said anything."


async def test_a_run_of_an_unknown_kind_is_an_error_and_is_not_driven(
    make_settings: Callable[..., Settings],
) -> None:
    async with serving(make_settings(), registry()) as runs:
        body: dict[str, JSON] = {
            "plan": "",
            "kind": "seance",
            "options": {"goal": "g", "folders": []},
            "budget": {},
            "revision": 0,
        }
        run_id = new_id("run")
        await runs.store.write(run_id, Fact("run_created", {**body, "owner": "", "steps": []}))
        await runs.supervisor.ensure_driven(run_id)
        run = runs.queries.run(run_id)
        assert (run.state, run.owner) == ("running", None)
        with pytest.raises(StoreError, match="seance"):
            run_view(runs.records, run)


def _waits(queries: Queries, run: RunRow) -> bool:
    return queries.run(run.id).state == "waiting"
