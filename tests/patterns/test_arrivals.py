"""Steps start while their plan is still being written, and however the text is cut, none is lost or run twice."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.executing import DONE, TOOLS, draft, step

from forethought.models.scripted import ScriptedModel
from forethought_patterns import (
    Brief,
    Budget,
    Decision,
    Ended,
    InMemoryJournal,
    Policy,
    Ports,
    Rules,
    Slot,
    Spending,
    Step,
    run_plan,
)
from forethought_patterns.arrivals import Arrivals
from forethought_tools import JSON, Answerer, ForethoughtError, Question, Registry, Risk, Tool

pytestmark = pytest.mark.anyio

TEXT = json.dumps(
    draft(
        step(1, "echo", 'a "quoted" {brace} [bracket] \\ ünï \u2028'),
        step(2, "save", "{{1}}"),
        step(3, "echo", "{{1}} {{2}}"),
        step(4, "nonsense", "?"),
        step(5, "echo", "{{1}}", description="x" * 50),
    )
)


def _hear(*pieces: str | None) -> list[Step]:
    offered: list[Step] = []
    arrivals = Arrivals(TOOLS, Policy(), offered.append)
    arrivals.heard(None)
    for piece in pieces:
        arrivals.heard(piece)
    return offered


def test_every_cut_of_the_text_gives_the_same_steps_each_once() -> None:
    whole = [each.id for each in _hear(TEXT)]
    assert whole == [1, 3, 5], "what writes and what is faulty waits for the whole plan"
    for cut in range(len(TEXT) + 1):
        assert [each.id for each in _hear(TEXT[:cut], TEXT[cut:])] == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(TEXT)), max_size=40))
def test_any_number_of_cuts_gives_the_same_steps(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(places)]
    assert _hear(*pieces) == _hear(TEXT)


def test_a_step_is_offered_with_its_last_character() -> None:
    end = TEXT.index("}]}") + 3
    assert _hear(TEXT[: end - 1]) == []
    assert [each.id for each in _hear(TEXT[:end])] == [1]


def test_a_draft_that_begins_anew_offers_nothing_twice() -> None:
    other = json.dumps(draft(step(1, "echo", "something else"), step(7, "echo", "y")))
    assert [each.id for each in _hear(TEXT[:900], None, TEXT)] == [1, 3, 5]
    assert [(each.id, each.arguments["value"]) for each in _hear(TEXT, None, other)][-1] == (7, "y")


@pytest.mark.parametrize("text", ["", "no JSON at all", '{"steps": "none"}', '{"steps": [1, {"id": 1', "[[[", "{}"])
def test_what_is_no_draft_offers_nothing(text: str) -> None:
    assert _hear(text) == []


class Writing:
    """A planner that is still writing: says the draft up to a mark, waits there, and then says the rest."""

    def __init__(self, *drafts: Mapping[str, Any], mark: str) -> None:
        self.drafts = list(drafts)
        self.mark = mark
        self.go_on = anyio.Event()
        self.base = ScriptedModel({"joiner": [{"always": DONE}]})

    name, lean = "writing", False

    def cost(self, usage: object) -> float | None:
        return 0.0

    async def answer(self, question: Question, *, meter: Any = None, heard: Any = None) -> Any:
        if question.role != "planner":
            return await self.base.answer(question)
        said = self.drafts.pop(0)
        if heard:
            text = json.dumps(said)
            cut = text.index(self.mark)
            heard(None)
            heard(text[:cut])
            await self.go_on.wait()
            heard(text[cut:])
        scripted = ScriptedModel({"planner": [said]})
        return await scripted.answer(question)

    async def verdict(self, question: Question, *, meter: Any = None) -> Any:
        return await self.base.verdict(question)


def _registry(calls: list[str], writing: Writing, after: int) -> Registry:
    """Tools that note their calls; once `after` of them were made, the planner goes on."""

    async def note(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        calls.append(str(arguments["value"]))
        if len(calls) == after:
            writing.go_on.set()
        return arguments["value"]

    schema = next(tool for tool in TOOLS if tool.name == "echo").parameters
    risks = {"echo": Risk.LOW, "save": Risk.MEDIUM, "send": Risk.HIGH}
    return Registry(
        Tool(name, "", schema, note, risk, repeatable=True, reads_only=risk == Risk.LOW) for name, risk in risks.items()
    )


async def _run(writing: Writing, tools: Registry, policy: Policy | None = None) -> tuple[Ended, InMemoryJournal]:
    journal = InMemoryJournal(writing, lambda _: Decision("approve"))

    async def ask(_: str, __: float, ___: Spending, ____: Slot) -> float | None:
        return None

    async def tell(_: str, __: float, ___: float) -> None: ...

    with anyio.fail_after(60):
        ended = await run_plan(
            None,
            Brief("g"),
            ports=Ports(tools, journal, journal, journal, Budget({}, Spending(), ask=ask, tell=tell)),
            rules=Rules(policy or Policy()),
        )
    return ended, journal


async def test_steps_run_and_their_dependents_too_while_the_plan_is_still_being_written() -> None:
    writing = Writing(
        draft(step(1, "echo", "a"), step(2, "echo", "{{1}}b"), step(3, "save", "{{2}}c"), step(4, "echo", "late")),
        mark='"late"',
    )
    calls: list[str] = []
    ended, journal = await _run(writing, _registry(calls, writing, after=2))
    assert ended.problem is None
    assert calls[:2] == ["a", "ab"], "both ran before the planner had said its last word"
    assert sorted(calls[2:]) == ["abc", "late"]
    assert [number for number, _ in journal.calls].count(1) == 1


@pytest.mark.parametrize("tool", ["save", "send"])
async def test_what_writes_never_starts_before_the_whole_plan_is_valid(tool: str) -> None:
    writing = Writing(
        draft(step(1, tool, "early"), step(2, "echo", "a"), step(3, "echo", "b", depends_on=[9])),
        draft(step(1, tool, "early"), step(2, "echo", "a"), step(3, "echo", "b")),
        mark='"b"',
    )
    calls: list[str] = []
    ended, journal = await _run(writing, _registry(calls, writing, after=1))
    assert ended.problem is None
    assert calls[0] == "a"
    assert sorted(calls) == ["a", "b", "early"]
    assert [gate.tool for gate in journal.gates] == (["send"] if tool == "send" else [])


async def test_a_fault_of_the_whole_plan_stops_only_what_depends_on_it_and_repeats_nothing() -> None:
    faulty = draft(step(1, "echo", "a"), step(2, "echo", "b", depends_on=[3]), step(3, "echo", "c", depends_on=[2]))
    mended = draft(step(1, "echo", "a"), step(2, "echo", "b"), step(3, "echo", "c", depends_on=[2]))
    writing = Writing(faulty, mended, mark='"c"')
    calls: list[str] = []
    ended, _ = await _run(writing, _registry(calls, writing, after=1))
    assert ended.problem is None
    assert calls == ["a", "b", "c"]


async def test_a_plan_that_cannot_be_mended_leaves_what_has_run_and_says_why() -> None:
    faulty = draft(step(1, "echo", "a"), step(2, "save", "b", depends_on=[9]))
    writing = Writing(faulty, faulty, faulty, mark='"b"')
    calls: list[str] = []
    with pytest.raises(ForethoughtError, match="depends on step 9"):
        await _run(writing, _registry(calls, writing, after=1))
    assert calls == ["a"]


async def test_a_repair_may_not_rewrite_what_has_started() -> None:
    writing = Writing(
        draft(step(1, "echo", "a"), step(2, "echo", "b", depends_on=[9])),
        draft(step(1, "echo", "changed"), step(2, "echo", "b")),
        draft(step(3, "echo", "changed"), step(2, "echo", "b")),
        mark='"b"',
    )
    calls: list[str] = []
    ended, journal = await _run(writing, _registry(calls, writing, after=1))
    assert ended.problem is None
    assert "it has started already as it was" in journal.questions[2].context
    assert sorted(calls) == ["a", "b", "changed"]
    assert sorted(ended.outcomes) == [2, 3]


async def test_a_model_that_does_not_stream_serves_as_well() -> None:
    model = ScriptedModel({"planner": [draft(step(1, "echo", "a"), step(2, "save", "{{1}}b"))], "joiner": [DONE]})
    calls: list[str] = []
    writing = Writing(mark="")
    tools = _registry(calls, writing, after=1)
    journal = InMemoryJournal(model)

    async def nothing(*_: object) -> None: ...

    ended = await run_plan(
        None,
        Brief("g"),
        ports=Ports(tools, journal, journal, journal, Budget({}, Spending(), ask=nothing, tell=nothing)),
    )
    assert (ended.answer, calls) == ("all is done", ["a", "ab"])
