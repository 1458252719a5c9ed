"""A crash at every single write to the journal, before it and after it: nothing is lost, and nothing is done twice.

What was done is counted in a file that the tools write, not in our own records.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from tests.serving import runs_over
from tests.stores import owned

from forethought.engine.kinds import plan as plans
from forethought.engine.kinds import reflection, rollback, search
from forethought.engine.runs import Runs
from forethought.journal.audit import fault
from forethought.journal.database import Database
from forethought.journal.rows import RunRow
from forethought.journal.store import Store
from forethought.models import Models
from forethought.models.scripted import ScriptedModel
from forethought.settings import Settings
from forethought_patterns import Decision
from forethought_patterns.lats import Bounds
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Tool, ToolError
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders
from forethought_tools.undo import Vault

pytestmark = pytest.mark.anyio

STEPS: list[JSON] = [
    {"id": 1, "tool": "note", "arguments": {"text": "1"}},
    {"id": 2, "tool": "send", "arguments": {"text": "2"}},
    {"id": 3, "tool": "note", "arguments": {"text": "3"}, "expected_output": "the text"},
    {"id": 4, "tool": "send", "arguments": {"text": "4 {{1}}"}, "depends_on": [2]},
    {"id": 5, "tool": "words", "arguments": {"text": "5"}, "strategy": "reflect"},
    {"id": 6, "tool": "words", "arguments": {"text": "6"}, "strategy": "search", "check": {"matches": "found"}},
    {"id": 7, "tool": "broken", "arguments": {"text": "7 {{6}}"}},
]
LOOPS: list[JSON] = [
    {"id": 1, "tool": "send", "for_each": ["x", "y"], "arguments": {"text": "{{item}} {{index}}"}},
    {
        "id": 2,
        "tool": "note",
        "for_each": ["x", "y"],
        "arguments": {"text": "{{item}}"},
        "when": '{{item}} == "y" and len({{1}}) == 2',
    },
    {"id": 3, "tool": "send", "arguments": {"text": "end {{2.0}}"}, "when": "len({{2}}) == 1"},
]
REPLANNED: list[JSON] = [
    {"id": 1, "tool": "send", "for_each": ["good", "bad"], "arguments": {"text": "{{item}} {{index}}"}},
    {"id": 2, "tool": "send", "arguments": {"text": "end {{1.0}}"}},
]


def drafted(number: int, text: str, **more: JSON) -> JSON:
    """A step as a planner writes it."""
    return {
        "id": number,
        "description": "",
        "tool": "send",
        "arguments": [{"name": "text", "value": text}],
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
        **more,
    }


REPLACED = drafted(8, "8 {{3}}", depends_on=[4])
MENDED: list[JSON] = [
    drafted(8, "{{item}} {{index}}", for_each='["good", "mended"]'),
    drafted(9, "end", depends_on=[8]),
]


class Crash(BaseException):
    """The process dies here."""


class Dying(Store):
    """A store whose process dies at its n-th commit: before anything is written, or when it is but nobody was told."""

    def __init__(self, database: Database, dies_at: int, *, after: bool) -> None:
        super().__init__(database)
        self.commits = 0
        self._dies_at = dies_at
        self._after = after

    def _commit(self, writes: Sequence[Any]) -> None:
        self.commits += 1
        if self.commits > self._dies_at or (self.commits == self._dies_at and not self._after):
            raise Crash
        super()._commit(writes)
        if self.commits == self._dies_at:
            raise Crash


def add(effects: Path, line: str) -> None:
    effects.parent.mkdir(parents=True, exist_ok=True)
    with effects.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def done_so_far(effects: Path) -> list[str]:
    return effects.read_text(encoding="utf-8").splitlines()


def say(question: Question) -> JSON:
    """A model that answers by role alone, so that it does not matter how often it is asked."""
    match question.role:
        case "planner":
            return {"reasoning": "", "steps": MENDED if "bad" in question.context else [REPLACED]}
        case "evaluator" if "candidates" in question.instructions or "search" in question.instructions:
            count = len(cast("Mapping[str, JSON]", question.schema["properties"]))
            return {str(number): {"score": 7, "solved": False} for number in range(1, count + 1)}
        case "evaluator":
            return {"success": True, "issues": [], "suggestion": ""}
        case "critic" if "A search" in question.instructions:
            return {"lesson": "look again"}
        case "critic":
            good = "better" in question.context
            issue: JSON = {"where": "", "problem": "bad", "mend": "mend", "taste": False}
            scores: JSON = {str(n): 9 if good else 4 for n in (1, 2, 3)}
            return {"scores": scores, "approved": good, "lessons": [], "issues": [] if good else [issue]}
        case "proposer":
            if "note" in question.context.split("The way so far")[-1] and "The way so far" in question.context:
                return {"candidates": [{"thought": "", "tool": "answer", "arguments": [], "answer": "found"}]}
            return {
                "candidates": [
                    {"thought": "", "tool": "look", "answer": "", "arguments": [{"name": "text", "value": "note"}]}
                ]
            }
        case _:
            return "better words"


def tools(effects: Path) -> Registry:
    def does(kind: str) -> Callable[[Mapping[str, JSON], Answerer], Any]:
        async def run(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
            if str(arguments["text"]).startswith("bad"):
                raise ToolError("it is bad")
            add(effects, f"{kind} {arguments['text']}")
            return arguments["text"]

        return run

    async def words(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        return await ask(Question("executor", "words", str(arguments["text"]), {"type": "string"}))  # type: ignore[arg-type]

    async def look(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        return arguments["text"]

    async def broken(_: Mapping[str, JSON], __: Answerer) -> JSON:
        raise RuntimeError("broken")

    work = effects.parent / "work"
    work.mkdir(exist_ok=True)
    text: dict[str, JSON] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return Registry(
        [
            Tool("note", "", text, does("note"), Risk.MEDIUM, repeatable=True),
            Tool("send", "", text, does("send"), Risk.HIGH),
            Tool("look", "", text, look, Risk.LOW, repeatable=True),
            Tool("words", "", text, words, Risk.LOW, repeatable=True, asks=True),
            Tool("broken", "", text, broken, Risk.LOW),
            *file_tools(Folders([work]), Vault(effects.parent / "vault")),
        ]
    )


class Scripted(Models):
    """Every role is played by the model that answers by role. What it is asked is written down, too."""

    def __init__(self, settings: Settings, effects: Path) -> None:
        super().__init__(settings)
        self._effects = effects

    def for_role(self, role: str) -> ScriptedModel:
        return ScriptedModel(self._say)

    def _say(self, question: Question) -> JSON:
        add(self._effects, f"asked {question.role} {hash((question.instructions, question.context))}")
        return say(question)


@asynccontextmanager
async def serving(
    settings: Settings, effects: Path, wrapped: Callable[[Database], Store] = Store
) -> AsyncGenerator[Runs]:
    with owned(settings) as store:
        runs = runs_over(wrapped(store.database), tools(effects), Scripted(settings, effects))
        async with runs.supervisor.serving():
            yield runs


async def answer_until_the_end(runs: Runs, run_id: str, effects: Path) -> list[str]:
    """A person approves, and looks at what came of calls that were cut off. Returns what was in doubt."""
    doubts: list[str] = []
    with anyio.fail_after(60):
        while runs.queries.run(run_id).ended is None:
            for gate in runs.queries.open_messages(run_id, "gate"):
                verb: Any = "approve"
                if gate.body["kind"] == "doubt":
                    text = cast("Mapping[str, JSON]", gate.body["details"])["text"]
                    doubts.append(str(text))
                    verb = "happened" if f"send {text}" in done_so_far(effects) else "again"
                await runs.decide(gate, Decision(verb, by="p", channel="test"))
            await runs.watchers.changed(run_id, 0.02)
    return doubts


async def start_plan(runs: Runs) -> RunRow:
    return await plans.start(runs, await plans.save(runs, "the goal", "", STEPS))


async def start_loops(runs: Runs) -> RunRow:
    return await plans.start(runs, await plans.save(runs, "the goal", "", LOOPS))


async def start_replanned(runs: Runs) -> RunRow:
    return await plans.start(runs, await plans.save(runs, "the goal", "", REPLANNED))


async def start_reflection(runs: Runs) -> RunRow:
    return await reflection.start(runs, "words", checks=[{"matches": "words"}])


async def start_search(runs: Runs) -> RunRow:
    return await search.start(
        runs,
        "found",
        "act",
        verifier={"matches": "found"},
        bounds=Bounds(candidates=1, parallel=1, iterations=6),
    )


async def start_writing(runs: Runs) -> RunRow:
    steps: list[JSON] = [
        {"id": n, "tool": "write_file", "arguments": {"path": f"{n % 2}.txt", "content": f"{n}"}} for n in range(1, 4)
    ]
    return await plans.start(runs, await plans.save(runs, "write", "", steps))


async def start_undoing(runs: Runs) -> RunRow:
    return await rollback.start(runs, runs.queries.runs(limit=1)[0].id)


JOBS = {
    "plan": [start_plan],
    "loops": [start_loops],
    "replanned": [start_replanned],
    "reflection": [start_reflection],
    "search": [start_search],
    "rollback": [start_writing, start_undoing],
}


async def work_off(runs: Runs, job: str, effects: Path) -> list[str]:
    """Start what was not started yet, and stay with it to the end. Returns what was in doubt."""
    begun = [run.id for run in reversed(runs.queries.runs())]
    doubts: list[str] = []
    for number, start in enumerate(JOBS[job]):
        run_id = begun[number] if number < len(begun) else (await start(runs)).id
        doubts += await answer_until_the_end(runs, run_id, effects)
    return doubts


async def crashed(settings: Settings, job: str, effects: Path, dies_at: int, *, after: bool) -> tuple[int, list[str]]:
    """Do a job in a process that dies at its n-th commit, then in one that lives. Returns how many commits it made, and
    what was in doubt."""
    add(effects, "begun")
    dying: list[Dying] = []

    def wrapped(database: Database) -> Store:
        dying.append(Dying(database, dies_at, after=after))
        return dying[0]

    try:
        async with serving(settings, effects, wrapped) as runs:
            await work_off(runs, job, effects)
    except BaseExceptionGroup as group:
        assert group.split(Crash)[0], group
    except Crash:
        pass
    # Nobody asks for it: the next server takes over what the dead one has left.
    async with serving(settings, effects) as runs:
        doubts = await work_off(runs, job, effects)
        for run in runs.queries.runs():
            assert run.state == "succeeded", run.error
            assert not fault(runs.queries, run.id)
            facts = Counter(
                (entry.kind, entry.body.get("step")) for entry in runs.queries.journal(run.id, limit=10_000)
            )
            assert all(count == 1 for (kind, _), count in facts.items() if kind == "step_settled"), (
                "each step ends once"
            )
            ended = [row.state for row in runs.queries.steps(run.id) if not row.dropped and row.state != "succeeded"]
            assert ended == (["skipped"] if job == "loops" else []), "of a loop the item that is left out"
            if job == "loops":
                assert_items(Counter(done_so_far(effects)))
            if job == "replanned":
                sent = Counter(line for line in done_so_far(effects) if line.startswith("send"))
                assert sent == {"send good 0": 1, "send mended 1": 1, "send end": 1}
            if job == "plan":
                assert_effects(Counter(done_so_far(effects)), facts)
    return dying[0].commits, doubts


def assert_effects(done: Counter[str], facts: Counter[tuple[str, JSON]]) -> None:
    assert {line: count for line, count in done.items() if line.startswith("send")} == {
        "send 2": 1,
        "send 4 1": 1,
        "send 8 3": 1,
    }
    for step, line in ((1, "note 1"), (3, "note 3")):
        assert 1 <= done[line] <= facts["step_started", step], "only what was cut off is done again"


def assert_items(done: Counter[str]) -> None:
    sent = {line: count for line, count in done.items() if line.startswith("send")}
    assert sent == {"send x 0": 1, "send y 1": 1, "send end y": 1}
    assert done["note y"] >= 1
    assert "note x" not in done


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.takes(45)
async def test_a_crash_at_any_write_loses_nothing_and_repeats_nothing(
    make_settings: Callable[..., Settings], new_store: Callable[[], str | None], tmp_path: Path, job: str
) -> None:
    whole = tmp_path / "whole" / "effects"
    commits, doubts = await crashed(make_settings(home=tmp_path / "home"), job, whole, 10**6, after=True)
    assert commits > 8
    assert doubts == []
    in_doubt = 0
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            effects = tmp_path / f"{dies_at}-{after}" / "effects"
            settings = make_settings(home=tmp_path / f"home-{dies_at}-{after}", store=new_store())
            in_doubt += len((await crashed(settings, job, effects, dies_at, after=after))[1])
            asked = [line for line in done_so_far(effects) if line.startswith("asked")]
            if job in ("reflection", "search"):
                most = len(done_so_far(whole)) + 1
                assert len(asked) <= most, "only the question that was cut off is asked again"
            assert list((effects.parent / "work").glob("*")) == [], "what was written was undone"
    assert (in_doubt > 0) == (job in ("plan", "loops", "replanned")), (
        "some crashes fall into the middle of a call that must not be repeated"
    )
