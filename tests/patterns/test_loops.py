"""A loop is the same as its steps written out by hand, and what is done of it is not done again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.executing import DONE, TOOLS, draft, execute, states, step

from forethought_patterns import Outcome, Plan, Slot, Step, Watcher, parse_plan
from forethought_patterns import execute as run
from forethought_patterns.conditions import check_condition, held
from forethought_patterns.loops import turns_of, with_ids
from forethought_patterns.references import escaped
from forethought_patterns.watcher import Item, Unfolded
from forethought_tools import JSON, PlanError, ToolError

pytestmark = pytest.mark.anyio

Calls = list[tuple[str, JSON]]

TEXTS = st.text(alphabet="ab{}\\1?.item ", max_size=8)
ITEMS = st.lists(st.one_of(TEXTS, st.integers(), st.fixed_dictionaries({"name": TEXTS, "n": st.integers(0, 3)})))


class Kill(BaseException):
    """The process ends here, in the middle of calls."""


@dataclass
class World(Watcher):
    """What calls do, and what is kept of them by whoever drives a plan and may be killed."""

    fails: set[int]
    """The places of items whose calls always fail."""
    once: set[int]
    """The same, where only the first one fails."""
    kills: list[int]
    """After how many calls the process is killed, each counted from the start."""
    calls: Calls = field(default_factory=Calls)
    kept: dict[int, Outcome] = field(default_factory=dict[int, Outcome])
    most: int = 0
    _items: dict[int, Sequence[Item]] = field(default_factory=dict[int, Sequence[Item]])
    _tried: set[int] = field(default_factory=set[int])
    _flying: int = 0

    async def call(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        assert step.id not in self.kept, "what has ended is not called again"
        self.calls.append((step.tool, arguments))
        self._flying += 1
        self.most = max(self.most, self._flying)
        at = arguments["at"] if step.tool == "each" else None
        assert at is None or isinstance(at, int)
        for _ in range((at or 0) % 3):  # others overtake it
            await anyio.lowlevel.checkpoint()
        if self.kills and len(self.calls) >= self.kills[0]:
            self.kills.pop(0)
            raise Kill
        self._flying -= 1
        if at in self.fails or (at in self.once and step.id not in self._tried):
            raise ToolError("it fails")
        return arguments

    async def unfold(self, loop: Step, results: Mapping[int, JSON], slot: Slot) -> Unfolded:
        if loop.id in self._items:
            return Unfolded(self._items[loop.id])
        unfolded = with_ids(await turns_of(loop, results), 100)
        self._items[loop.id] = unfolded.items
        self.kept |= unfolded.ended
        return unfolded

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        tried = step.id in self._tried
        self._tried.add(step.id)
        return not tried

    async def settled(self, step: Step, outcome: Outcome) -> None:
        self.kept[step.id] = outcome

    async def done(self, plan: Plan, parallel: int) -> dict[int, Outcome]:
        """Run a plan to its end, however often its process is killed."""
        with anyio.fail_after(120):
            while True:
                self._flying = 0
                try:
                    return await run(plan, self.call, max_parallel=parallel, watcher=self, finished=dict(self.kept))
                except BaseExceptionGroup as group:
                    if not group.split(Kill)[0]:
                        raise


def _escaped(item: JSON) -> Any:
    return escaped(item)


def _plans(items: list[JSON], below: int) -> tuple[Plan, Plan, list[Step]]:
    """A plan with a loop, and the same written out, with the steps that stand for its items."""
    first = Step(id=1, tool="first", arguments={"list": _escaped(items)})
    body = {"it": "{{item}}", "at": "{{index}}", "of": "{{1.list}}"}
    holds = f"{{{{index}}}} != {below}"
    loop = Step(id=2, tool="each", arguments=body, for_each="{{1.list}}", when=holds)
    after = Step(id=3, tool="after", arguments={"all": "{{2}}"})
    hand = [
        Step(id=10 + at, tool="each", arguments={"it": _escaped(item), "at": at, "of": "{{1.list}}"})
        for at, item in enumerate(items)
        if at != below
    ]
    gathered = Step(id=3, tool="after", arguments={"all": [f"{{{{{each.id}}}}}" for each in hand]}, depends_on=(1,))
    return Plan("g", (first, loop, after)), Plan("g", (first, *hand, gathered)), hand


PLACES = st.sets(st.integers(0, 5), max_size=2)


@given(items=ITEMS, fails=PLACES, once=PLACES, below=st.integers(-1, 4), parallel=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_loop_is_the_same_as_its_steps_written_out(
    items: list[JSON], fails: set[int], once: set[int], below: int, parallel: int
) -> None:
    looping, writing, hand = _plans(items, below)
    loop, same = World(fails, once, []), World(fails, once, [])
    looped = anyio.run(loop.done, looping, parallel)
    written = anyio.run(same.done, writing, parallel)
    assert loop.calls == same.calls
    assert loop.most == same.most
    assert (looped[3].state, looped[3].value) == (written[3].state, written[3].value)
    made = [each.state for number, each in sorted(looped.items()) if number > 3 and not each.left_out]
    assert made == [written[each.id].state for each in hand]


@given(
    items=ITEMS,
    fails=PLACES,
    once=PLACES,
    below=st.integers(-1, 4),
    parallel=st.integers(1, 4),
    kills=st.lists(st.integers(1, 12), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_a_loop_that_is_killed_ends_as_if_it_had_not_been_and_repeats_only_what_was_in_flight(
    items: list[JSON], fails: set[int], once: set[int], below: int, parallel: int, kills: list[int]
) -> None:
    looping, writing, hand = _plans(items, below)
    killed, whole = World(fails, once, sorted(kills)), World(fails, once, [])
    looped = anyio.run(killed.done, looping, parallel)
    written = anyio.run(whole.done, writing, parallel)
    assert (looped[3].state, looped[3].value) == (written[3].state, written[3].value)
    made = [each.state for number, each in sorted(looped.items()) if number > 3 and not each.left_out]
    assert made == [written[each.id].state for each in hand]
    assert len(killed.calls) <= len(whole.calls) + (len(kills) - len(killed.kills)) * parallel
    assert all(call in killed.calls for call in whole.calls), "none is lost"


async def test_dependents_of_a_loop_wait_for_all_of_its_items() -> None:
    ended: list[int] = []

    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        await anyio.lowlevel.checkpoint()
        ended.append(step.id)
        return arguments

    loop = Step(id=1, tool="t", for_each=tuple(range(20)), arguments={"n": "{{item}}"})
    with anyio.fail_after(60):
        outcomes = await run(Plan("g", (loop, Step(id=2, tool="t", depends_on=(1,)))), call)
    assert ended[-1] == 2
    assert len(ended) == 21
    assert outcomes[1].value == [{"n": n} for n in range(20)]


async def test_a_loop_has_what_another_over_the_same_list_has_brought_in_the_same_turn() -> None:
    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        return {"said": f"Dear {arguments['to']}"} if step.tool == "word" else arguments

    names = ("Ann", "Bob")
    word = Step(id=1, tool="word", for_each=names, arguments={"to": "{{item}}"})
    save = Step(
        id=2,
        tool="save",
        for_each=names,
        arguments={"path": "{{item}}.txt", "text": "{{1.index.said}}", "of": "{{1.0}}"},
    )
    with anyio.fail_after(60):
        outcomes = await run(Plan("g", (word, save)), call)
    assert outcomes[2].value == [
        {"path": f"{name}.txt", "text": f"Dear {name}", "of": {"said": "Dear Ann"}} for name in names
    ]


async def test_a_part_of_a_result_that_is_called_index_is_this_part() -> None:
    async def call(step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        return {"index": 7} if step.id == 1 else arguments

    look = Step(id=1, tool="look")
    loop = Step(id=2, tool="t", for_each=("a",), arguments={"n": "{{1.index}}"})
    with anyio.fail_after(60):
        assert (await run(Plan("g", (look, loop)), call))[2].value == [{"n": 7}]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {"for_each": ["c"]}, "goes over another list"),
        ({}, {"for_each": None}, "goes over another list"),
        ({"when": "{{index}} > 0"}, {}, "leaves out turns"),
    ],
)
def test_of_a_turn_that_another_loop_may_not_have_nothing_is_taken(
    first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    loops = [{**step(1, "echo", "{{item}}"), "for_each": ["a", "b"], **first}]
    loops.append({**step(2, "echo", "{{1.index}}"), "for_each": ["a", "b"], **second})
    with pytest.raises(PlanError, match=said):
        parse_plan("g", loops, TOOLS)


async def test_a_new_plan_keeps_what_is_done_of_a_loop_and_does_not_do_it_again() -> None:
    loop = step(1, "picky", "{{item}}", for_each=["right", "wrong", "right"])
    rest = draft(step(5, "echo", "{{2}} and {{4}}", depends_on=[2, 4]))
    ended, journal = await execute([loop], {"planner": [rest], "joiner": [DONE]}, planned=True)
    assert states(ended) == {2: "succeeded", 4: "succeeded", 5: "succeeded"}
    assert ended.outcomes[5].value == "picked and picked"
    assert [number for number, _ in journal.calls].count(2) == 1


async def test_a_loop_that_is_planned_again_takes_the_results_of_the_calls_that_it_has_in_common() -> None:
    loop = step(1, "picky", "{{item}}", for_each=["right", "wrong"])
    again = {**step(4, "picky", "{{item}}"), "for_each": '["right", "right"]'}
    ended, journal = await execute([loop], {"planner": [draft(again)], "joiner": [DONE]}, planned=True)
    assert ended.outcomes[4].value == ["picked", "picked"]
    assert len([number for number, _ in journal.calls if number > 4]) == 0, "both are the call that was made before"


async def test_the_very_loop_that_has_failed_does_not_come_back() -> None:
    loop = step(1, "picky", "{{item}}", for_each=["wrong"])
    back = {**step(3, "picky", "{{item}}"), "for_each": '["wrong"]'}
    ended, _ = await execute([loop], {"planner": [draft(back)] * 3}, planned=True)
    assert ended.problem
    assert "it is the same plan as before" in ended.problem.text


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"arguments": {"value": "{{item}}"}}, "{{item}} stands in no loop"),
        ({"expected_output": "about {{index}}"}, "{{index}} stands in no loop"),
        ({"for_each": "1.files"}, "for_each '1.files' is no list"),
        ({"for_each": "{{7.files}}"}, "it refers to {{7.files}}, which is not in the plan"),
        ({"for_each": ["{{item}}"]}, "there are no loops in loops"),
        ({"when": '"{{2}}" == "x"'}, "stands in quotes"),
        ({"when": "{{2}} == ok"}, "There is no name 'ok'"),
        ({"when": "True"}, "refers to no result"),
        ({"when": "{{2}}.count > 0"}, "is not arithmetic"),
        ({"when": "{{2}} >"}, "is not an arithmetic expression"),
        ({"when": "{{9}} > 1"}, "it refers to {{9}}, which is not in the plan"),
        ({"when": "open({{2}})"}, "There is no name 'open'"),
        ({"when": "{{2}} is bigger than 3"}, "'{{2}} is bigger than 3' is not an arithmetic expression"),
    ],
)
def test_faults_of_loops_and_conditions_are_told_with_their_mend(more: dict[str, Any], fault: str) -> None:
    with pytest.raises(PlanError) as error:
        parse_plan("g", [{**step(1), **more}, step(2)], TOOLS)
    assert fault in str(error.value)


def test_what_is_blank_is_no_loop_and_no_condition() -> None:
    plan = parse_plan("g", [{**step(1), "for_each": "", "when": " "}], TOOLS)
    assert not plan.steps[0].is_loop
    assert plan.steps[0].when is None


@pytest.mark.parametrize("nothing", ["null", "None", " none ", None])
def test_null_in_words_is_no_loop_and_no_condition(nothing: str | None) -> None:
    plan = parse_plan("g", [{**step(1), "for_each": nothing, "when": nothing}], TOOLS)
    assert (plan.steps[0].for_each, plan.steps[0].when) == (None, None)


async def test_what_stands_for_an_item_may_be_written_in_other_letters_in_a_loop_alone() -> None:
    loop = step(1, "echo", "{{ Item.a }} at {{INDEX}}, \\{{Item}}", for_each=[{"a": "x"}])
    plain = step(2, "echo", "Dear {{Item}}")
    plan = parse_plan("g", [loop, plain], TOOLS)
    assert [each.arguments["value"] for each in plan.steps] == [
        "{{ item.a }} at {{index}}, \\{{Item}}",
        "Dear {{Item}}",
    ]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{{1}} > 0 && {{1}} < 9", True),
        ("{{1}} > 7 || {{1}} === 5", True),
        ("{{1}} !== 5", False),
        ("{{1}} <> 5 OR NOT {{1}} = 5", False),
        ("{{1}} >= 5 AND TRUE", True),
        ("{{1}} != NULL and {{1}} <= 5", True),
        ("'a && b' == \"a && b\" and {{1}} == 5", True),
    ],
)
async def test_a_condition_in_words_of_sql_or_javascript_is_read_as_meant(when: str, holds: bool) -> None:
    assert await held(when, {1: 5}) == [holds]
    check_condition(when)


def test_ids_from_zero_are_renumbered_in_loops_and_conditions_too() -> None:
    plan = parse_plan(
        "g", [step(0), {**step(1, value="{{item}}"), "for_each": "{{0.a}}", "when": "{{0.b}} > 1"}], TOOLS
    )
    assert (plan.steps[1].for_each, plan.steps[1].when) == ("{{1.a}}", "{{1.b}} > 1")


async def test_an_item_stands_in_checks_as_a_value_and_never_as_code() -> None:
    items = ['x" or True or "', "a.c"]
    loop = step(1, "echo", "abc", for_each=items, check={"expression": "lower({{item}}) == text"})
    ended, _ = await execute([loop], {}, max_replans=0)
    assert ended.problem
    pattern = step(1, "echo", "abc", for_each=["a.c"], check={"matches": "^{{item}}$"})
    ended, _ = await execute([pattern], {}, max_replans=0)
    assert ended.problem, "a dot of an item is a dot"


async def test_a_list_inside_of_a_result_that_is_cut_off_is_no_whole_list() -> None:
    found: JSON = [{"rows": [1], "truncated": False}, {"rows": [1], "truncated": True}]
    steps = [step(1, "echo", {"all": found}), step(2, "echo", "{{item}}", for_each="{{1.all.1.rows}}")]
    ended, _ = await execute(steps, {}, max_replans=0)
    assert ended.problem
    assert "{{1.all.1.rows}} is cut off" in ended.problem.text
    steps[1]["for_each"] = "{{1.all.0.rows}}"
    ended, _ = await execute(steps, {}, max_replans=0)
    assert ended.outcomes[2].value == [1]


async def test_an_object_in_the_place_of_a_list_names_its_list_as_it_has_to_be_written() -> None:
    steps = [step(1, "echo", {"a b": {"x.y": [1]}}), step(2, "echo", "{{item}}", for_each="{{1.a b}}")]
    ended, _ = await execute(steps, {}, max_replans=0)
    assert ended.problem
    assert 'an object. Refer to {{1.a b["x.y"]}}' in ended.problem.text
