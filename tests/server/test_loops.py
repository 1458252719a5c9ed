"""Loops and conditions: `for_each` does a step once for each item of a list, `when` only if an expression is true."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.fold import fold
from tests.server.asking import APPROVE, in_full, names_in, person, run_steps, states_of, view
from tests.stores import owned

from forethought.journal.audit import fault
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms

pytestmark = pytest.mark.anyio


@pytest.fixture
def make_settings(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """On a busy machine a step takes longer than a client waits in silence."""
    return partial(make_settings, silence=600.0)


LIST: dict[str, Any] = {"id": 1, "tool": "list_files", "arguments": {"pattern": "*.bak"}}
COPY: dict[str, Any] = {
    "id": 2,
    "tool": "write_file",
    "for_each": "{{1.files}}",
    "arguments": {"path": "out/{{index}}.txt", "content": "{{item.name}}"},
}
DELETE: dict[str, Any] = {
    "id": 2,
    "tool": "delete_file",
    "for_each": "{{1.files}}",
    "arguments": {"path": "{{item.path}}"},
}


@pytest.fixture
def backups(work: Path) -> Path:
    for name in ("a.bak", "b.bak", "c.bak"):
        (work / name).write_text(name, encoding="utf-8")
    return work


def _agree(settings: Settings, run: Mapping[str, Any]) -> None:
    """The rows are what the entries say, by our SQL and without it."""
    with owned(settings) as store:
        assert fault(store.queries, run["run_id"]) is None
        _, steps, _ = fold(store.queries.journal(run["run_id"], limit=10_000))
        assert {row.id: row.state for row in store.queries.steps(run["run_id"])} == {
            number: step["state"] for number, step in steps.items()
        }


async def test_a_step_is_done_once_for_each_item_and_brings_the_list_of_results(
    make_settings: Callable[..., Settings], backups: Path, era: str
) -> None:
    told = {"id": 3, "tool": "write_file", "arguments": {"path": "log.txt", "content": "{{2.1.path}} {{2.2.path}}"}}
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        run = await run_steps(client, [LIST, COPY, told])
        assert run["status"] == "succeeded", run
    assert names_in(backups / "out", "*.txt") == ["0.txt", "1.txt", "2.txt"]
    assert (backups / "out/1.txt").read_text(encoding="utf-8") == "b.bak"
    assert (backups / "log.txt").read_text(encoding="utf-8") == "out/1.txt out/2.txt"
    _agree(settings, run)


async def test_a_failing_item_fails_the_loop_by_name_and_the_others_go_on(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    reads = {"id": 1, "tool": "read_file", "for_each": ["a.bak", "gone", "c.bak"], "arguments": {"path": "{{item}}"}}
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, [reads, {"id": 2, "tool": "tell", "arguments": {"text": "{{1}}"}}])
        assert run["status"] == "failed"
        assert "item 2 (gone): " in run["error"]
        states = await states_of(client, run["plan_id"])
        assert (states[1], states[2]) == ("failed", "skipped")
        shown = (await in_full(client, run))["steps"]
        assert [(each["item"], each["state"]) for each in shown if each.get("item_of") == 1] == [
            (1, "succeeded"),
            (2, "failed"),
            (3, "succeeded"),
        ]
        assert shown[0]["items"] == "2 of 3 done"
        listed = view(await client.call_tool("get_plan", {"plan_id": run["plan_id"], "view": "list"}))
        assert "for each of 3 values x 3, 2 done" in listed["steps"][0]
        graph = view(await client.call_tool("get_plan", {"plan_id": run["plan_id"], "view": "graph"}))
        assert "x 3, 2 done" in str(graph)
    with owned(settings) as store:
        items = [row.state for row in store.queries.steps(run["run_id"]) if row.id > 2]
    assert items == ["succeeded", "failed", "succeeded"]


async def test_what_is_done_of_a_loop_is_not_done_again_when_its_run_is_taken_up(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    step = {
        "id": 1,
        "tool": "run_command",
        "for_each": ["a", "b"],
        "arguments": {"command": "echo {{item}} >> effects && test {{item}} = a -o -e ready"},
    }
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(build_server(settings), elicitation_callback=person(APPROVE)) as client:
        failed = await run_steps(client, [step])
        assert failed["status"] == "failed", failed
        (work / "ready").touch()
        done = view(await client.call_tool("execute_plan", {"plan_id": failed["plan_id"], "again": "failed"}))
        assert done["status"] == "succeeded", done
    assert sorted((work / "effects").read_text(encoding="utf-8").split()) == ["a", "b", "b"]
    _agree(settings, done)


@pytest.mark.parametrize(
    ("over", "problem"),
    [("{{1}}", "Refer to {{1.files}}"), ("{{1.count}}", "is '3'. Refer to a list"), ("{{1.nothing}}", "leads nowhere")],
)
async def test_what_is_no_list_fails_the_step_and_says_what_it_is(
    make_settings: Callable[..., Settings], backups: Path, over: str, problem: str
) -> None:
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        run = await run_steps(client, [LIST, {**COPY, "for_each": over}])
        assert run["status"] == "failed"
        assert problem in run["error"]


async def test_a_list_that_comes_as_text_is_read_and_other_text_says_what_reads_its_lines(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "list.txt").write_text(' ["a", {"b": "{{item}}"}]\n', encoding="utf-8")
    (work / "lines.txt").write_text("[a]\nb\n", encoding="utf-8")
    told = {"id": 2, "tool": "tell", "for_each": "{{1}}", "arguments": {"text": "{{index}} {{item}}"}}
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        read = [{"id": 1, "tool": "read_file", "arguments": {"path": path}} for path in ("list.txt", "lines.txt")]
        run = await run_steps(client, [read[0], told])
        assert (await in_full(client, run))["steps"][1]["result"] == ["0 a", '1 {"b": "{{item}}"}']
        run = await run_steps(client, [read[1], told])
        assert "query_table reads the lines of a text file as rows" in run["error"]


async def test_items_that_would_write_over_one_another_are_refused_before_anything_is_written(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    people = [{"name": "Ann", "n": 1}, {"name": "Bob", "n": 2}, {"name": "Ann", "n": 3}]
    write = {
        "id": 1,
        "tool": "write_file",
        "for_each": people,
        "arguments": {"path": "letters/{{item.name}}.txt", "content": "{{item.n}}"},
    }
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        run = await run_steps(client, [write])
        assert "item 1 (Ann) and item 3 (Ann) write the same place" in run["error"]
        assert not (work / "letters").exists()
        others = {**write, "arguments": {"path": "{{item.name}}.txt", "content": "{{item.name}}"}}
        lines = {"id": 2, "tool": "append_file", "for_each": people, "depends_on": [1]}
        added = {**lines, "arguments": {"path": "all.txt", "content": "{{item.n}}\n"}}
        run = await run_steps(client, [others, added])
        assert run["status"] == "succeeded", "what is the same, or only adds, takes nothing away"
    assert sorted((work / "all.txt").read_text(encoding="utf-8").split()) == ["1", "2", "3"]


async def test_a_loop_is_rolled_back_by_its_own_number_and_an_item_by_its_own(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=person(APPROVE)) as client:
        run = await run_steps(client, [LIST, COPY])
        alone = await client.call_tool("rollback", {"run_id": run["run_id"], "step": 4, "dry_run": True})
        assert [each["step"] for each in view(alone)["would_do"]] == [4]
        done = view(await client.call_tool("rollback", {"run_id": run["run_id"], "step": 2}))
        assert done["status"] == "succeeded", done
        assert sorted(each["step"] for each in done["undone"]) == [3, 4, 5]
    assert not names_in(backups / "out", "*")


async def test_an_empty_list_brings_an_empty_list(make_settings: Callable[..., Settings], work: Path) -> None:
    async with Client(build_server(make_settings())) as client:
        run = await run_steps(client, [LIST, COPY])
        assert run["status"] == "succeeded", run
        assert (await in_full(client, run))["steps"][1]["result"] == []


async def test_a_list_that_is_too_long_is_refused_and_says_how_long_it_is(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    async with Client(build_server(make_settings(terms=Terms(replan="never", max_items=2)))) as client:
        run = await run_steps(client, [LIST, COPY])
        assert "goes over 3 items, and 2 are the most" in run["error"]
        assert "FORETHOUGHT_MAX_ITEMS=3" in run["error"]
    assert not (backups / "out").exists()


async def test_a_loop_that_does_not_fit_into_the_budget_does_not_begin(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        run = await run_steps(client, [LIST, COPY], budget={"tool_calls": 3})
        assert "Its 3 items do not fit into the budget: 2 tool calls are left" in run["error"]
    assert not (backups / "out").exists()


async def test_what_items_hold_is_never_read_as_a_reference(make_settings: Callable[..., Settings], work: Path) -> None:
    steps = [
        {
            "id": 1,
            "tool": "write_file",
            "for_each": [{"text": "\\{{9}}"}, {"text": "C:\\"}, {"text": "{"}, {"text": "\\{{?}}"}],
            "arguments": {"path": "{{index}}.txt", "content": "{{item.text}}{{item.text}}"},
        },
        {
            "id": 2,
            "tool": "write_file",
            "for_each": [{"text": "\\{{?}}"}],
            "arguments": {"path": "x.txt", "content": "{{item.text}}"},
        },
    ]
    async with Client(build_server(make_settings())) as client:
        run = await run_steps(client, steps)
        assert run["status"] == "succeeded", run
    read = [(work / f"{n}.txt").read_text(encoding="utf-8") for n in range(4)]
    assert read == ["{{9}}{{9}}", "C:\\C:\\", "{{", "{{?}}{{?}}"]
    assert (work / "x.txt").read_text(encoding="utf-8") == "{{?}}"


# Gates


async def test_the_items_of_a_risky_loop_are_one_question_that_shows_each_call(
    make_settings: Callable[..., Settings], backups: Path, era: str
) -> None:
    seen: list[str] = []
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=person(APPROVE, seen=seen)) as client:
        run = await run_steps(client, [LIST, DELETE])
        assert run["status"] == "succeeded", run
    assert len(seen) == 1
    assert "Step 2 wants to call delete_file.\n" in seen[0]
    each = [f"Item {number} of 3 (high)\npath: {name}.bak\n" for number, name in enumerate("abc", 1)]
    assert all(item in seen[0] for item in each), seen[0]
    assert not names_in(backups, "*.bak")
    _agree(settings, run)


async def test_a_person_may_leave_out_some_of_the_items(make_settings: Callable[..., Settings], backups: Path) -> None:
    some = {"decision": "edit", "drop": "2", "reason": "keep b"}
    settings = make_settings(terms=Terms(replan="never"))
    async with Client(build_server(settings), elicitation_callback=person(some)) as client:
        run = await run_steps(client, [LIST, DELETE])
        assert "item 2 (b.bak): Rejected by a person: keep b" in run["error"]
        assert (await states_of(client, run["plan_id"]))[2] == "rejected"
    assert names_in(backups, "*.bak") == ["b.bak"]


@pytest.mark.parametrize("filled", [{"decision": "reject"}])
async def test_a_person_may_refuse_all_of_the_items(
    make_settings: Callable[..., Settings], backups: Path, filled: dict[str, str]
) -> None:
    async with Client(
        build_server(make_settings(terms=Terms(replan="never"))), elicitation_callback=person(filled)
    ) as client:
        run = await run_steps(client, [LIST, DELETE])
        assert run["status"] == "failed"
    assert len(names_in(backups, "*.bak")) == 3


async def test_a_plan_is_approved_with_its_loops_and_conditions_in_sight(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    seen: list[str] = []
    only = {**DELETE, "when": "{{1.count}} > 1"}
    async with Client(build_server(make_settings()), elicitation_callback=person(APPROVE, seen=seen)) as client:
        await run_steps(client, [LIST, only], approve_plan=True)
    assert "2. delete_file (high) for each of {{1.files}} when {{1.count}} > 1" in seen[0]
    assert "{{item.path}}" in seen[0]
    assert len(seen) == 2, "the calls themselves are asked about once they are known"


# Conditions


async def test_a_step_whose_condition_does_not_hold_is_left_out_and_no_failure(
    make_settings: Callable[..., Settings], backups: Path, era: str
) -> None:
    steps: list[dict[str, Any]] = [
        LIST,
        {"id": 2, "tool": "write_file", "arguments": {"path": "x.txt", "content": "x"}, "when": "{{1.count}} > 3"},
        {"id": 3, "tool": "tell", "arguments": {"text": "{{2.path}}"}},
        {"id": 4, "tool": "write_file", "arguments": {"path": "y.txt", "content": "y"}, "depends_on": [2, 3]},
        {
            "id": 5,
            "tool": "write_file",
            "arguments": {"path": "z.txt", "content": "z"},
            "when": '{{1.files.0.path}} in "a.bak"',
        },
    ]
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        run = await run_steps(client, steps)
        assert run["status"] == "succeeded", run
        assert await states_of(client, run["plan_id"]) == {
            1: "succeeded",
            2: "skipped",
            3: "skipped",
            4: "succeeded",
            5: "succeeded",
        }
        assert "step 2 (write_file): its condition does not hold: {{1.count}} > 3 ({{1.count}} is 3)" in run["left_out"]
    assert names_in(backups, "[x-z].txt") == ["y.txt", "z.txt"]
    _agree(settings, run)


async def test_a_condition_of_items_leaves_out_those_for_which_it_does_not_hold(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    async with Client(build_server(make_settings())) as client:
        run = await run_steps(client, [LIST, {**COPY, "when": '{{item.path}} != "b.bak" and {{1.count}} == 3'}])
        assert run["status"] == "succeeded", run
    assert names_in(backups / "out", "*") == ["0.txt", "2.txt"]


async def test_a_result_cannot_add_to_a_condition(make_settings: Callable[..., Settings], work: Path) -> None:
    (work / "said.txt").write_text('x" or True or "', encoding="utf-8")
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "said.txt"}},
        {"id": 2, "tool": "write_file", "arguments": {"path": "x.txt", "content": "x"}, "when": '{{1}} == "x"'},
    ]
    async with Client(build_server(make_settings())) as client:
        run = await run_steps(client, steps)
        assert run["status"] == "succeeded", run
    assert not (work / "x.txt").exists()


async def test_an_item_that_lacks_what_a_condition_is_about_is_named(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    items = [{"name": "Ann", "age": 1}, {"name": "Bob"}]
    step = {"id": 1, "tool": "tell", "for_each": items, "arguments": {"text": "x"}, "when": "{{item.age}} > 0"}
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        run = await run_steps(client, [step])
        assert "item 2 (Bob): whether its condition holds cannot be told: {{item.age}} leads nowhere" in run["error"]


async def test_a_condition_reads_what_came_as_text_and_refuses_what_could_mean_several_things(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    def given(said: str, when: str) -> list[dict[str, Any]]:
        step = {"id": 2, "tool": "write_file", "arguments": {"path": "x.txt", "content": "x"}, "when": when}
        return [{"id": 1, "tool": "tell", "arguments": {"text": said}}, step]

    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        for said, when in (("false", "{{1}}"), ("false", "{{1}} and len({{1}}) > 0"), ("9", "{{1}} > 10")):
            assert (await run_steps(client, given(said, when)))["left_out"], (said, when)
        assert not (work / "x.txt").exists()
        run = await run_steps(client, given("1,200", "{{1}} > 100"))
        assert "'1,200' is no plain number" in run["error"]
        assert (await run_steps(client, given("true", "{{1}} == true")))["status"] == "succeeded"
    assert (work / "x.txt").exists()


async def test_a_condition_that_is_neither_true_nor_false_fails_its_step_and_says_how_to_mend_it(
    make_settings: Callable[..., Settings], backups: Path
) -> None:
    async with Client(build_server(make_settings(terms=Terms(replan="never")))) as client:
        run = await run_steps(client, [LIST, {**COPY, "when": "{{1.count}} + 1"}])
        assert "It gives '4', neither true nor false. Compare it" in run["error"]
