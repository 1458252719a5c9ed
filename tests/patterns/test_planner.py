"""From a goal to a valid plan: drafts in three forms, exact faults back to the planner, never more than three tries."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Brief, Dialect, InMemoryJournal, Plan, Slot, make_plan
from forethought_patterns.planner import doubt
from forethought_tools import JSON, PlanError, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

TOOLS: Registry = builtin(Folders([]))


def _wire(*steps: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "description": "",
        "arguments": {},
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    return {"reasoning": "because", "steps": [{**empty, **step} for step in steps]}


READ = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}


async def _plan(
    *drafts: JSON, dialect: Dialect = "wire", files: Mapping[str, str] | None = None, new_files: tuple[str, ...] = ()
) -> tuple[Plan, InMemoryJournal]:
    journal = InMemoryJournal(ScriptedModel({"planner": drafts}), spoken=dialect)
    brief = Brief("g", files=files or {}, new_files=new_files)
    return await make_plan(brief, TOOLS, journal, slot=Slot()), journal


async def test_an_invalid_draft_goes_back_with_its_exact_faults() -> None:
    plan, journal = await _plan(_wire({**READ, "depends_on": [5]}), _wire(READ))
    assert len(plan.steps) == 1
    assert list(journal.answers) == ["plan/0", "plan/1"]
    repair = journal.questions[1].context
    assert "step 1: it depends on step 5, which is not in the plan. Known steps: 1" in repair
    assert '"depends_on": [5]' in repair


async def test_after_two_repairs_the_faults_are_the_callers() -> None:
    with pytest.raises(PlanError, match="has no steps"):
        await _plan(_wire(), _wire(), _wire())


async def test_repairs_do_not_pile_up_in_the_prompt() -> None:
    _, journal = await _plan(_wire({**READ, "depends_on": [5]}), _wire({**READ, "depends_on": [6]}), _wire(READ))
    last = journal.questions[2].context
    assert "[6]" in last
    assert "[5]" not in last


async def test_files_that_the_goal_names_and_a_small_model_forgets_are_asked_for_again() -> None:
    def lean(*steps: tuple[str, dict[str, JSON]]) -> JSON:
        return {"steps": [{"description": "d", "tool": tool, "arguments": arguments} for tool, arguments in steps]}

    read: tuple[str, dict[str, JSON]] = ("read_file", {"path": "a.txt"})
    save: tuple[str, dict[str, JSON]] = ("write_file", {"path": "out.md", "content": "{{1}}"})
    delete: tuple[str, dict[str, JSON]] = ("delete_file", {"path": "b.txt"})
    named: dict[str, Any] = {"files": {"a.txt": "", "b.txt": ""}, "new_files": ("out.md",), "dialect": "lean"}
    plan, journal = await _plan(lean(read, save), lean(read, save, delete), **named)
    assert len(plan.steps) == 3
    assert "the goal names b.txt, and no step uses it" in journal.questions[1].context
    stubborn, _ = await _plan(*[lean(read, save)] * 3, **named)
    assert len(stubborn.steps) == 2, "a guess from words must not refuse a valid plan"


async def test_flat_drafts_get_typed_arguments() -> None:
    def pair(name: str, value: str) -> dict[str, str]:
        return {"name": name, "value": value}

    flat = _wire(
        {"id": 1, "tool": "query_table", "arguments": [pair("sql", "SELECT 1"), pair("paths", '["a.csv"]')]},
        {"id": 2, "tool": "wait", "arguments": [pair("seconds", "2")]},
        {"id": 3, "tool": "read_file", "arguments": [pair("path", "7"), pair("max_lines", "{{2}}")]},
    )
    plan, journal = await _plan(flat, dialect="flat")
    assert [step.arguments for step in plan.steps] == [
        {"sql": "SELECT 1", "paths": ["a.csv"]},
        {"seconds": 2},
        {"path": "7", "max_lines": "{{2}}"},
    ]
    schema = journal.questions[0].schema
    assert schema["additionalProperties"] is False, "strict mode allows closed objects only"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_output_that_the_lean_schema_allows_is_a_valid_plan(data: st.DataObject) -> None:
    """A small model cannot write a plan that is no DAG: the schema and the order that code adds see to it."""
    reading = ["read_file", "write", "calculate", "analyze"]
    before = ["read_file", *data.draw(st.lists(st.sampled_from(reading), max_size=2))]
    after = data.draw(st.lists(st.sampled_from([*reading, "write_file", "delete_file"]), max_size=2))
    texts = st.sampled_from(["{{1}}", "{{9}}", "{{step_2}}", "text", "{{2.x}} y"])
    started: list[bool] = []

    def fill() -> str:
        return data.draw(texts) if started else "text"

    arguments: dict[str, Callable[[], dict[str, JSON]]] = {
        "read_file": lambda: {"path": "a.txt"},
        "write": lambda: {"brief": fill(), "material": fill()},
        "write_file": lambda: {"path": "out.md", "content": fill()},
        "delete_file": lambda: {"path": "a.txt"},
        "calculate": lambda: {"expression": fill()},
        "analyze": lambda: {"question": fill(), "data": fill()},
    }
    steps: list[JSON] = []
    for name in [*before, "write_file", *after]:
        steps.append({"description": "d", "tool": name, "arguments": arguments[name]()})
        started.append(True)
    draft: dict[str, JSON] = {"steps": steps}

    async def run() -> Plan:
        journal = InMemoryJournal(ScriptedModel({"planner": [{"always": draft}]}, lean=True))
        brief = Brief("Do a.txt to out.md", files={"a.txt": "x"}, new_files=["out.md"])
        plan = await make_plan(brief, TOOLS, journal, slot=Slot())
        Draft202012Validator.check_schema(dict(journal.questions[0].schema))
        return plan

    plan = anyio.run(run)
    changing = [step.id for step in plan.steps if step.tool in ("write_file", "delete_file")]
    for change in changing:
        assert set(plan.by_id[change].needs) >= set(range(1, change)), (
            "what changes something comes after all before it"
        )
        assert all(
            change in plan.by_id[later].needs or any(c > change for c in changing if c < later)
            for later in range(change + 1, len(steps) + 1)
        )


async def test_a_first_step_that_refers_to_a_step_is_a_fault_that_the_planner_is_told() -> None:
    def lean(data: str) -> JSON:
        return {"steps": [{"description": "d", "tool": "analyze", "arguments": {"question": "?", "data": data}}]}

    plan, journal = await _plan(lean("{{1}}"), lean("text"), dialect="lean")
    assert plan.steps[0].arguments["data"] == "text"
    assert "wait for each other: 1 -> 1" in journal.questions[1].context


async def test_the_lean_prompt_is_short_and_ends_with_the_goal() -> None:
    step: JSON = {"description": "d", "tool": "read_file", "arguments": {"path": "a.txt"}}
    journal = InMemoryJournal(ScriptedModel({"planner": [{"steps": [step]}]}), spoken="lean")
    await make_plan(Brief("What is in a.txt?", files={"a.txt": "one\ntwo\n"}), TOOLS, journal, slot=Slot())
    (question,) = journal.questions
    assert question.context.endswith("goal: What is in a.txt?")
    assert "a.txt: one | two" in question.context
    assert len(question.instructions) < 6000


async def test_a_model_may_doubt_its_plan() -> None:
    plan, _ = await _plan(_wire(READ))
    assert await doubt(plan, InMemoryJournal(ScriptedModel({"verdict": [0.2]})), slot=Slot()) == 0.2
