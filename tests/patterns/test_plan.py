"""A plan is valid from the moment it exists; every fault is told at once, each with its mend."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns import Plan, Step, advice, parse_plan
from forethought_tools import JSON, Answerer, PlanError, Registry, Risk, Tool


async def _nothing(_: object, __: Answerer) -> JSON:
    return None


def _tool(name: str, **properties: JSON) -> Tool:
    schema: dict[str, JSON] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return Tool(name, f"Does {name}", schema, _nothing, Risk.LOW, reads_only=True)


TOOLS = Registry(
    [
        _tool("read_file", path={"type": "string"}),
        _tool("add", a={"type": "integer"}, b={"type": "integer"}),
        _tool("srv/get-page.v2"),
    ]
)


def _faults(*steps: JSON) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan("goal", steps, TOOLS)
    return [str(fault) for fault in caught.value.faults]


def test_every_fault_is_reported_at_once_each_naming_its_step_and_mend() -> None:
    faults = _faults(
        {"id": 1, "tool": "read_fil", "arguments": {"path": "x"}},
        {"id": 2, "tool": "add", "arguments": {"a": "one", "c": 2}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "{{9}}"}},
        {"id": 3, "tool": "read_file", "arguments": {"path": "{{result_1}}"}, "depends_on": [7]},
    )
    text = "\n".join(faults)
    assert "step 1: there is no tool 'read_fil'. Did you mean read_file?" in text
    assert "step 2: arguments.a: 'one' is not of type 'integer'" in text
    assert "'c' was unexpected" in text
    assert "'b' is a required property" in text
    assert "step 2: 2 steps have the id 2" in text
    assert "step 2: it refers to {{9}}, which is not in the plan" in text
    assert "step 3: it depends on step 7, which is not in the plan" in text
    assert "step 3: {{result_1}} is not a reference. Write {{1}}" in text


def test_a_step_that_is_not_whole_hides_no_other_fault() -> None:
    text = "\n".join(
        _faults(
            {"id": 1, "tool": "read_fil", "args": {}},
            {"id": 2, "arguments": {"path": "{{77}}"}, "depends_on": [3]},
            {"id": 3, "tool": "read_file", "arguments": {"path": 5}, "depends_on": [2]},
            {"id": 3, "tool": "read_file", "arguments": {"path": "x"}, "depends_on": [9]},
            {"id": 4, "tool": "read_file", "arguments": {"path": "x"}, "depends_on": [5]},
            {"id": 5, "tool": "read_file", "arguments": {"path": "x"}, "depends_on": [4]},
        )
    )
    for fault in (
        "step 1: unknown field 'args'",
        "Did you mean read_file",
        "step 2: field 'tool' is missing",
        "{{77}}",
        "5 is not of type",
        "2 steps have the id 3",
        "depends on step 9",
        "steps 4, 5: they wait for each other",
    ):
        assert fault in text, fault


def test_arguments_have_a_size() -> None:
    (fault,) = _faults({"id": 1, "tool": "read_file", "arguments": {"path": "x" * 1_000_001}})
    assert "Put them into a file" in fault


def test_more_faults_than_can_be_shown_are_counted() -> None:
    steps: list[JSON] = [{"id": n, "tool": "nonsense"} for n in range(1, 101)]
    with pytest.raises(PlanError, match=r"not valid \(100 faults\)") as caught:
        parse_plan("goal", steps, TOOLS)
    lines = str(caught.value).splitlines()
    assert len(lines) == 52
    assert lines[-1] == "- and 50 more: mend these first"


def _needs(*steps: tuple[int, list[int]]) -> list[tuple[int, list[int]]]:
    return list(steps)


@pytest.mark.parametrize(
    "steps", [_needs((1, []), (1, [1])), _needs((1, [2]), (1, []), (2, [1])), _needs((1, []), (2, [1]), (1, [2]))]
)
def test_two_steps_with_one_id_are_no_circle(steps: list[tuple[int, list[int]]]) -> None:
    sent: list[JSON] = [{"id": number, "tool": "srv/get-page.v2", "depends_on": after} for number, after in steps]
    faults = _faults(*sent)
    assert faults == ["step 1: 2 steps have the id 1. Give each step an id of its own"]


def test_an_empty_plan_is_a_fault() -> None:
    assert _faults() == ["plan: it has no steps. Give at least one step"]


def test_a_cycle_is_named_in_full() -> None:
    def step(number: int, after: int) -> JSON:
        return {"id": number, "tool": "read_file", "arguments": {"path": "x"}, "depends_on": [after]}

    (fault,) = _faults(step(1, 3), step(2, 1), step(3, 2))
    assert "1, 2, 3" in fault
    assert fault.count("->") == 3


def test_a_step_that_needs_itself_is_a_cycle() -> None:
    assert "wait for each other: 1 -> 1" in _faults({"id": 1, "tool": "read_file", "arguments": {"path": "{{1}}"}})[0]


def test_unknown_fields_and_wrong_shapes_are_named_never_ignored() -> None:
    text = "\n".join(_faults({"id": 0, "tool": "add", "args": {}}, "go", {"tool": "add"}))
    assert "unknown field 'args'" in text
    assert "field 'id'" in text
    assert "position 2" in text
    assert "field 'id' is missing" in text


def test_a_reference_implies_the_dependency() -> None:
    plan = parse_plan(
        "g",
        [
            {"id": 1, "tool": "read_file", "arguments": {"path": "x"}},
            {"id": 2, "tool": "add", "arguments": {"a": "{{1}}", "b": 2}},
        ],
        TOOLS,
    )
    assert plan.by_id[2].needs == (1,)


def test_a_whole_reference_may_stand_for_any_type_but_text_around_it_is_text() -> None:
    one: JSON = {"id": 1, "tool": "read_file", "arguments": {"path": "x"}}
    parse_plan("g", [one, {"id": 2, "tool": "add", "arguments": {"a": "{{1}}", "b": "{{1.n}}"}}], TOOLS)
    assert "not of type 'integer'" in _faults(one, {"id": 2, "tool": "add", "arguments": {"a": "n {{1}}", "b": 1}})[0]


def test_tool_names_may_hold_dashes_dots_and_slashes() -> None:
    assert parse_plan("g", [{"id": 1, "tool": "srv/get-page.v2"}], TOOLS).steps[0].tool == "srv/get-page.v2"


def test_levels_width_and_critical_path() -> None:
    plan = Plan(
        "g",
        tuple(Step(id=i, tool="t", depends_on=d) for i, d in [(1, ()), (2, ()), (3, (1,)), (4, (3, 2)), (5, ())]),
    )
    assert plan.levels == ((1, 2, 5), (3,), (4,))
    assert (plan.width, plan.critical_path) == (3, (1, 3, 4))


def test_what_a_plan_is_for_are_the_results_that_no_step_uses() -> None:
    plan = Plan(
        "g",
        (
            Step(id=1, tool="t"),
            Step(id=2, tool="t", arguments={"x": "{{1}}"}),
            Step(id=3, tool="t", depends_on=(2,)),
        ),
    )
    assert plan.last == (2, 3)


@given(st.lists(st.sets(st.integers(1, 12), max_size=3), min_size=1, max_size=12))
def test_a_plan_exists_only_if_it_is_a_dag(needs: list[set[int]]) -> None:
    steps = tuple(Step(id=i, tool="t", depends_on=tuple(n)) for i, n in enumerate(needs, 1))
    reach = {i: {n for n in step.needs if n <= len(needs)} for i, step in enumerate(steps, 1)}
    for _ in reach:
        reach = {i: direct.union(*(reach[n] for n in direct)) for i, direct in reach.items()}
    valid = all(n <= len(needs) for step in steps for n in step.needs) and not any(i in reach[i] for i in reach)
    if not valid:
        with pytest.raises(PlanError):
            Plan("g", steps)
        return
    plan = Plan("g", steps)
    place = {step_id: position for position, step_id in enumerate(plan.order)}
    assert all(place[n] < place[step.id] for step in steps for n in step.needs)
    assert sorted(sum(plan.levels, ())) == sorted(place)


def test_ten_thousand_steps_are_no_problem_and_more_are_refused() -> None:
    raw: list[JSON] = [
        {"id": i, "tool": "srv/get-page.v2", "depends_on": [i - 1] if i > 1 else []} for i in range(1, 10_002)
    ]
    started = time.process_time()
    assert len(parse_plan("g", raw[:-1], TOOLS).critical_path) == 10_000
    assert time.process_time() - started < 60  # only a guard against quadratic work
    with pytest.raises(PlanError, match="10001 steps"):
        parse_plan("g", raw, TOOLS)


def test_advice_names_vague_and_crowded_steps() -> None:
    plan = Plan(
        "g",
        (
            Step(id=1, tool="t", description="read and sort and filter and save", expected_output="x"),
            Step(id=2, tool="t"),
        ),
    )
    vague, crowded = advice(plan)
    assert vague.endswith("judged: 2.")
    assert "several: 1" in crowded
