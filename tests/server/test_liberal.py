"""Null is not given, JSON text is read where something else is due, and ids are read as they were meant."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client
from tests.server.asking import TOOLS, delete, person, run_steps, text, view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import parse_plan

pytestmark = pytest.mark.anyio
COMMAND = str(Path(sys.executable).parent / "forethought")

STEPS: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "confidence": 1, "check": {"matches": "alpha"}},
    {"id": 2, "tool": "wait", "arguments": {"seconds": 0}, "depends_on": [1]},
    {"id": 3, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{1}}!"}, "depends_on": [2]},
]
NOTHING: dict[str, Any] = {}


async def _full_steps(client: Client, steps: Any) -> list[dict[str, Any]]:
    plan = view(await client.call_tool("create_plan", {"goal": "copy", "steps": steps}))
    shown = view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"], "view": "full"}))
    return list(shown["steps"])


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(json.dumps(STEPS), id="all as text"),
        pytest.param(list(map(json.dumps, STEPS)), id="each as text"),
        pytest.param([{**step, "arguments": json.dumps(step["arguments"])} for step in STEPS], id="arguments as text"),
        pytest.param([{**step, "id": str(step["id"])} for step in STEPS], id="ids as text"),
        pytest.param([{**step, "id": f"step_{step['id']}"} for step in STEPS], id="words"),
        pytest.param([STEPS[0], {**STEPS[1], "depends_on": "[1]"}, {**STEPS[2], "depends_on": ["2"]}], id="lists"),
        pytest.param([*STEPS[:2], {**STEPS[2], "arguments": '{"path": "b.txt", "content": "{{step1}}!"}'}], id="step1"),
        pytest.param(
            [*STEPS[:2], {**STEPS[2], "arguments": {"path": "b.txt", "content": "{{ Step 1 }}!"}}], id="Step 1"
        ),
        pytest.param([STEPS[0], {**STEPS[1], "depends_on": "1"}, {**STEPS[2], "depends_on": 2}], id="lone ids"),
        pytest.param([STEPS[0], {**STEPS[1], "arguments": {"seconds": "0"}}, STEPS[2]], id="a number as text"),
        pytest.param([{**STEPS[0], "id": "S1"}, {**STEPS[1], "depends_on": ["task_1"]}, STEPS[2]], id="other words"),
        pytest.param([STEPS[0], {**STEPS[1], "depends_on": ["{{1}}"]}, STEPS[2]], id="references as ids"),
        pytest.param(
            [*STEPS[:2], {**STEPS[2], "arguments": {"path": "b.txt", "content": "{{S1}}!"}}], id="letter and number"
        ),
        pytest.param(
            [{**STEPS[0], "depends_on": NOTHING, "strategy": "null"}, *STEPS[1:]], id="empty of the other kind"
        ),
        pytest.param({"reasoning": "so", "steps": STEPS}, id="a draft"),
        pytest.param(json.dumps({"steps": json.dumps(STEPS)}), id="a draft as text in text"),
        pytest.param(
            [
                {**dict.fromkeys(("description", "expected_output", "check", "strategy", "depends_on", "foo")), **step}
                for step in STEPS
            ],
            id="nulls",
        ),
        pytest.param(
            [{**STEPS[0], "check": '{"matches": "alpha", "at": null, "equals": null}'}, *STEPS[1:]], id="check as text"
        ),
        pytest.param(
            [
                {**STEPS[0], "id": 0},
                {**STEPS[1], "id": "1", "depends_on": [0]},
                {**STEPS[2], "id": 2, "arguments": {"path": "b.txt", "content": "{{0}}!"}, "depends_on": ["1"]},
            ],
            id="from 0",
        ),
    ],
)
async def test_a_plan_means_the_same_however_a_client_writes_it(
    make_settings: Callable[..., Settings], steps: Any
) -> None:
    async with Client(build_server(make_settings())) as client:
        plain = await _full_steps(client, STEPS)
        assert await _full_steps(client, steps) == plain


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_mixture_of_text_and_nulls_means_the_plain_plan(
    data: st.DataObject,
) -> None:
    def maybe_text(value: Any) -> Any:
        return json.dumps(value) if data.draw(st.booleans()) else value

    def garbled(step: dict[str, Any]) -> Any:
        typed = {key: part if key == "tool" else maybe_text(part) for key, part in step.items()}
        absent = {"check", "confidence", "strategy", "depends_on", "expected_output"} - step.keys()
        nulls = data.draw(st.lists(st.sampled_from(sorted(absent)), unique=True))
        return maybe_text({**typed, **dict.fromkeys(nulls)})

    assert parse_plan("g", list(map(garbled, STEPS)), TOOLS) == parse_plan("g", STEPS, TOOLS)


@pytest.mark.parametrize(
    "check", [{}, "{}", [], "[]", None, "", "null", {"matches": None}, {"tool": None, "equals": None}]
)
async def test_a_check_with_nothing_in_it_is_none(make_settings: Callable[..., Settings], check: Any) -> None:
    checks: list[Any] = [check] if check else []
    async with Client(build_server(make_settings())) as client:
        (step,) = await _full_steps(client, [{**STEPS[0], "check": check}])
        assert "check" not in step
        asked: dict[str, Any] = {
            "task": "t",
            "checks": [{}, *checks] if isinstance(check, dict) else None,
            "draft": None,
        }
        assert view(await client.call_tool("reflect", asked))["status"] == "waiting"
        assert view(await client.call_tool("lats_search", {"goal": "g", "verifier": check}))["status"] == "waiting"


async def test_a_plan_from_0_is_told_and_its_faults_too(make_settings: Callable[..., Settings]) -> None:
    steps = [{**STEPS[0], "id": 0}, {**STEPS[1], "id": 1, "depends_on": [0]}]
    async with Client(build_server(make_settings())) as client:
        made = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        assert any("the step that was given as 0 is step 1 here" in each for each in made["advice"])
        wrong = await client.call_tool("create_plan", {"goal": "g", "steps": [*steps, {**steps[1], "depends_on": [7]}]})
        assert "the step that was given as 0 is step 1 here" in text(wrong)
        escaped = [{**STEPS[0], "id": 0, "arguments": {"path": "\\{{0}} {{ 0 }}"}}]
        refused = await client.call_tool("create_plan", {"goal": "g", "steps": escaped})
        assert "steps 1: they wait" in text(refused) or "step 1: they wait for each other: 1 -> 1" in text(refused)


@pytest.mark.parametrize(
    ("tool", "plain", "sent"),
    [
        ("get_plan", {"view": "brief", "page": 1}, {"plan_id": None, "view": None, "page": "1", "revision": ""}),
        ("create_plan", {"goal": "g", "steps": STEPS}, {"goal": "g", "steps": STEPS, "context": None, "recipe": None}),
        ("stop", {"run_id": "run_x"}, {"run_id": "run_x", "other": None}),
        ("report", {"run_id": "run_x", "answers": []}, {"run_id": "run_x", "answers": "[]"}),
        ("report", {"run_id": "run_x", "answers": []}, {"run_id": "run_x", "answers": None}),
        ("report", {"run_id": "run_x", "answers": []}, {"run_id": "run_x", "answers": {}}),
        ("create_plan", {"goal": "g"}, {"goal": "g", "steps": [], "context": "None", "recipe": "null"}),
        ("create_plan", {}, {"goal": " ", "parameters": []}),
        ("reflect", {}, {"task": "undefined", "draft": None}),
        ("execute_plan", {"plan_id": "plan_x"}, {"plan_id": "plan_x", "goal": "None", "ask_from": "none", "risks": []}),
        (
            "execute_plan",
            {"plan_id": "plan_x", "max_parallel": 4, "again": False, "budget": {"seconds": 5}, "risks": {"a*": "high"}},
            {
                "plan_id": "plan_x",
                "goal": None,
                "max_parallel": "4",
                "again": "false",
                "budget": '{"seconds": "5", "tokens": null}',
                "risks": '{"a*": "high"}',
                "strategies": None,
                "ask_below": "null",
            },
        ),
        ("reflect", {"task": "t"}, {"task": "t", "criteria": '["short"]', "max_iterations": "3", "budget": "{}"}),
    ],
)
async def test_arguments_of_every_tool_are_read_as_they_were_meant(
    make_settings: Callable[..., Settings], tool: str, plain: dict[str, Any], sent: dict[str, Any]
) -> None:
    async with Client(build_server(make_settings())) as client:
        results = [await client.call_tool(tool, arguments) for arguments in (plain, sent)]
    assert results[0].is_error == results[1].is_error
    if results[0].is_error:
        assert text(results[0]) == text(results[1])


async def test_the_answer_to_an_order_may_be_json_text_unless_text_is_due(
    make_settings: Callable[..., Settings],
) -> None:
    step: dict[str, Any] = {
        **STEPS[0],
        "id": "1",
        "description": "",
        "expected_output": "",
        "check": {},
        "depends_on": None,
    }
    draft: dict[str, Any] = {"reasoning": "", "steps": [step]}
    async with Client(build_server(make_settings())) as client:
        asked = view(await client.call_tool("create_plan", {"goal": "read a.txt"}))
        answers = json.dumps([{"order": asked["waiting_on"][0]["order"], "answer": json.dumps(draft)}])
        made = view(await client.call_tool("report", {"run_id": asked["run_id"], "answers": answers}))
        assert made["status"] == "ready", made
        writing = view(await client.call_tool("reflect", {"task": "write JSON"}))
        answers = json.dumps([{"order": writing["waiting_on"][0]["order"], "answer": '{"a": 1}'}])
        judging = view(await client.call_tool("report", {"run_id": writing["run_id"], "answers": answers}))
        assert '{"a": 1}' in judging["waiting_on"][0]["context"]


@pytest.mark.parametrize(
    "changed",
    [
        {"depends_on": "1"},
        {"depends_on": "1,"},
        {"depends_on": 1},
        {"depends_on": "step_1"},
        {"depends_on": ["#1"]},
        {"id": "step 2"},
        {"arguments": '{"seconds": 0}'},
        {"strategy": "Direct"},
    ],
)
async def test_a_planner_who_is_an_agent_may_write_a_step_as_anybody_may(
    make_settings: Callable[..., Settings], changed: dict[str, Any]
) -> None:
    async with Client(build_server(make_settings())) as client:
        asked = view(await client.call_tool("create_plan", {"goal": "read a.txt, then wait"}))
        draft = {"steps": [STEPS[0], {**STEPS[1], **changed}]}
        answers = [{"order": asked["waiting_on"][0]["order"], "answer": draft}]
        made = view(await client.call_tool("report", {"run_id": asked["run_id"], "answers": answers}))
        assert made["status"] == "ready", made
        full = view(await client.call_tool("get_plan", {"plan_id": made["plan_id"], "view": "full"}))
    second = full["steps"][1]
    assert (second["id"], second["depends_on"], second["arguments"]) == (2, [1], {"seconds": 0})


async def test_an_order_that_is_answered_twice_in_one_report_is_told_apart_from_one_that_somebody_else_answered(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        asked = view(await client.call_tool("reflect", {"task": "a haiku"}))
        order = asked["waiting_on"][0]["order"]
        one, other = {"order": order, "answer": "the parcel"}, {"order": order, "answer": "comes back"}
        call = {"run_id": asked["run_id"], "answers": [one, other]}
        assert "it has several answers. Give one of them" in text(await client.call_tool("report", call))
        judging = view(await client.call_tool("report", {**call, "answers": [one, one]}))
        assert judging["waiting_on"][0]["role"] == "critic"


async def test_one_step_and_one_answer_need_no_list_around_them(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        assert view(await client.call_tool("create_plan", {"goal": "g", "steps": STEPS[0]}))["status"] == "ready"
        asked = view(await client.call_tool("reflect", {"task": "a haiku"}))
        answer = {"order": asked["waiting_on"][0]["order"], "answer": "the parcel"}
        judging = view(await client.call_tool("report", {"run_id": asked["run_id"], "answers": answer}))
        assert judging["waiting_on"][0]["role"] == "critic"


async def test_a_reference_stands_for_a_typed_value_and_brings_it_as_it_is_due(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "n.txt").write_text("0", encoding="utf-8")
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "n.txt"}},
        {"id": 2, "tool": "wait", "arguments": {"seconds": "{{1}}"}},
    ]
    async with Client(build_server(make_settings())) as client:
        assert (await run_steps(client, steps))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("execute_plan", {"plan_id": "p", "max_parallel": "many"}, "such as 1"),
        ("execute_plan", {"plan_id": "p", "again": "perhaps"}, "failed"),
        ("execute_plan", {"plan_id": "p", "budget": "small"}, 'such as {"...": 1}'),
        ("reflect", {"task": "t", "criteria": {"be": "short"}}, 'such as ["..."]'),
        ("report", {"run_id": "r", "answers": "done"}, '[{"order": "...", "answer": "..."}]'),
        ("create_plan", {"goal": "g", "steps": "first read, then write"}, '"tool": "..."'),
        ("create_plan", {"goal": "g", "steps": [{"id": "one", "tool": "wait"}]}, "such as 1"),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "depends_on": "all"}]}, "such as [1]"),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[1], "arguments": {"seconds": "long"}}]}, "such as 1"),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "check": {"equals": "five"}}]}, '{"matches": "total"}'),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "check": "alpha"}]}, '{"matches": "total"}'),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "when": True}]}, 'such as "{{1.count}} > 0"'),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "for_each": {"in": "1"}}]}, 'such as "{{1.files}}"'),
        ("lats_search", {"goal": "g", "verifier": [1]}, 'such as {"matches": "total"}'),
        ("reflect", {"task": "t", "checks": "it must rhyme"}, 'such as [{"matches": "total"}]'),
        ("create_plan", {"goal": "g", "steps": "[" * 100_000}, "is not of type 'array'"),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "check": {"type": "matches"}}]}, "'check', type: Extra"),
        ("create_plan", {"goal": "g", "steps": [{**STEPS[0], "check": {"matches": 5}}]}, "A check has schema, matches"),
        (
            "create_plan",
            {
                "goal": "g",
                "steps": [{**STEPS[0], "check": {"tool": "calculate", "arguments": {"expression": "{{1}}"}}}],
            },
            "its check refers to {{1}}, and sees only the result that it checks. Write {{result}}",
        ),
        ("execute_plan", {}, "This is not valid (1 fault):\n- execute_plan: it takes a plan_id or a goal"),
    ],
)
async def test_a_refusal_names_the_shape_that_would_do(
    make_settings: Callable[..., Settings], tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with Client(build_server(make_settings())) as client:
        refused = await client.call_tool(tool, arguments)
    assert refused.is_error
    assert says in text(refused)
    assert len(text(refused)) < 2500


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_plan", {"plan_id": "\ud800"}),
        ("stop", {"run_id": "run_\udfff"}),
        ("create_plan", {"goal": "g", "steps": [{"id": 1, "tool": "wait", "arguments": {"seconds": "\ud83d"}}]}),
        ("report", {"run_id": "r", "answers": [{"order": "o", "answer": {"a": ["\udc00"]}}]}),
    ],
)
async def test_half_a_character_is_refused_in_our_words(
    make_settings: Callable[..., Settings], era: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        refused = await client.call_tool(tool, arguments)
        assert refused.is_error
        assert "half of a character" in text(refused)
        assert not (await client.call_tool("get_plan", {})).is_error


async def test_a_change_names_plans_and_steps_as_a_client_writes_them(make_settings: Callable[..., Settings]) -> None:
    """In quotes, in words, in one text, or as nothing."""
    more = [{**STEPS[0], "id": number} for number in (4, 5, 6, 7)]
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": [*STEPS, *more]}))["plan_id"]
        for revision, drop in (("1", "step 4"), (2.0, ["#5"]), ("3", "step_6, 7"), (4, None)):
            change = {"plan_id": f" `{plan_id}`", "revision": revision, "drop": drop, "steps": json.dumps(STEPS[0])}
            changed = view(await client.call_tool("update_plan", change))
        full = view(await client.call_tool("get_plan", {"plan_id": f'"{plan_id}"', "view": "Full"}))
        assert changed["plan_id"] == plan_id
        assert [step["id"] for step in full["steps"]] == [1, 2, 3]
        ran = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "goal": ""}))
        undone = {"run_id": ran["run_id"], "step": "step 3", "dry_run": "true"}
        assert "would_do" in view(await client.call_tool("rollback", undone))
        listed = view(await client.call_tool("get_plan", {"plan_id": "null"}))
        assert ran["run_id"] in json.dumps(listed["runs"]), "null in words is nothing, and nothing lists all"


async def test_faults_that_are_not_shown_are_counted(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        steps = [{"id": number, "tool": "nonsense"} for number in range(1, 121)]
        assert "(120 faults)" in text(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
        many = await client.call_tool("report", {"run_id": "r", "answers": [{"order": "o"}] * 130})
        assert "and 80 more" in text(many)


@pytest.mark.parametrize(
    "form",
    [
        {"decision": "approve", "reason": None, "arguments": None},
        {"decision": "approve", "reason": "", "arguments": " "},
        {"decision": "edit", "reason": "", "arguments": '{"path": "old.txt", "unheard_of": null}'},
    ],
)
async def test_a_form_may_leave_out_null_or_empty_what_is_optional(
    make_settings: Callable[..., Settings], work: Path, form: dict[str, Any]
) -> None:
    (work / "old.txt").write_text("x", encoding="utf-8")
    async with Client(build_server(make_settings()), elicitation_callback=person(form)) as client:
        assert (await run_steps(client, [delete(1, "old.txt")]))["status"] == "succeeded"
    assert not (work / "old.txt").exists()


def test_half_a_character_is_refused_on_the_wire_too(tmp_path: Path) -> None:
    opened = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    calls = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opened}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        *(
            f'{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"{tool}","arguments":{{{sent}}}}}}}'
            for number, tool, sent in (
                (2, "get_plan", '"plan_id":"\\ud800"'),
                (3, "stop", '"run_id":"r","\\udc00":1'),
                (4, "create_plan", '"goal":"g","steps":[{"id":1,"tool":"wait","arguments":{"seconds":"\\ud83d"}}]'),
            )
        ),
    ]
    env = {**os.environ, "FORETHOUGHT_HOME": str(tmp_path), "FORETHOUGHT_MODEL": "host"}
    with subprocess.Popen([COMMAND, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write("".join(f"{call}\n" for call in calls).encode())
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in range(4)]
        server.stdin.close()
    told = {answer["id"]: answer["result"] for answer in answers}
    for number in (2, 3, 4):
        assert told[number]["isError"]
        assert "half of a character" in told[number]["content"][0]["text"]
