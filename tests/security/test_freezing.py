"""Nothing that a caller, a model or a file says makes the server stop answering, eat the memory or end a whole run."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import make_plan, text, view
from tests.watchdog import watched

from forethought.briefing import look_at
from forethought.models.structured import read
from forethought.settings import Settings
from forethought.surface.schemas import ARGUMENTS
from forethought.surface.server import build_server
from forethought_patterns.checks import Check, examine, read_checks
from forethought_patterns.loops import turns_of
from forethought_patterns.plan import Step
from forethought_patterns.references import fill, mistaken
from forethought_tools import JSON, FaultsError, Registry, ToolError
from forethought_tools.apart import apart
from forethought_tools.arithmetic import calculate
from forethought_tools.folders import Folders
from forethought_tools.named import named_files

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="has other limits")]

DOUBLING: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
EXPLODING: dict[str, Any] = {"$ref": "#/$defs/d0", "$defs": {**DOUBLING, "d40": {}}}
ENDLESS = "^(a|a)*$"
READ: dict[str, Any] = {"tool": "read_file", "arguments": {"path": "hard.txt"}}
HUGE: dict[str, Any] = {"tool": "calculate", "arguments": {"expression": "10**400"}}

UNUSABLE: list[dict[str, Any]] = [
    {"matches": "((((a{200}){200}){200}){200})"},
    {"matches": "a" * 2001},
    {"schema": {"enum": ["a" * 50_000]}},
    {"schema": {"$ref": "#/$defs/missing"}},
    {"schema": {"type": [{}, []] * 10_000}},
    {"tool": "calculate", "arguments": {"expression": "1" * 200_001}},
    {"at": "9" * 5000, "equals": 1},
]


@pytest.fixture
def settings(make_settings: Callable[..., Settings], work: Path) -> Settings:
    (work / "hard.txt").write_text("a" * 60 + "ab" * 60, encoding="utf-8")
    (work / "long.txt").write_text("x" * 200_000, encoding="utf-8")
    return make_settings()


async def _ended(client: Client, *steps: dict[str, Any]) -> dict[str, Any]:
    numbered = [{"id": number, **step} for number, step in enumerate(steps, 1)]
    plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": numbered}))["plan_id"]
    done = view(await client.call_tool("execute_plan", {"plan_id": plan, "replan": "never"}))
    while done["status"] == "running":
        done = view(await client.call_tool("execute_plan", {"plan_id": plan}))
    return view(await client.call_tool("get_plan", {"plan_id": plan, "view": "full"}))


@pytest.mark.takes(60)
@pytest.mark.parametrize(
    "steps",
    [
        [{**READ, "check": {"schema": {"pattern": "^(a+)+$"}}}],
        [{**READ, "check": {"schema": EXPLODING}}],
        [{**READ, "check": {"schema": {"$ref": "#"}}}],
        [{**READ, "check": {"matches": ENDLESS}}] * 5,
        [{**HUGE, "check": {"equals": 1}}],
        [{**HUGE, "check": {"schema": {"multipleOf": 0.1}}}],
        [{**HUGE, "check": {"at": "9" * 1000, "equals": 1}}],
        [
            {
                "tool": "read_file",
                "arguments": {"path": "long.txt"},
                "check": {
                    "tool": "write_file",
                    "arguments": {"path": "b", "content": "{{result}}" * 15_000},
                    "equals": 1,
                },
            }
        ],
    ],
    ids=["pattern", "doubling", "recursive", "slow", "equals", "multiple", "at", "result"],
)
async def test_a_check_made_to_freeze_the_server_fails_its_step_and_nothing_else(
    settings: Settings, steps: list[dict[str, Any]]
) -> None:
    good: dict[str, Any] = {"tool": "read_file", "arguments": {"path": "a.txt"}, "check": {"matches": "alpha"}}
    async with Client(build_server(settings)) as client, watched(client):
        with anyio.fail_after(300):
            done = await _ended(client, *steps, good)
    assert [step["state"] for step in done["steps"]] == ["failed"] * len(steps) + ["succeeded"], done
    assert "Internal error" not in str(done)


ITEM: dict[str, Any] = {"name": "n", "rows": [{"c": "x" * 8, "d": number} for number in range(20_000)]}
AGAIN: dict[str, Any] = {"path": "c.txt", "content": "{{item}}" * 5000}
EACH_AGAIN: dict[str, Any] = {"path": "c.txt", "content": ["{{item}}"] * 5000}


@pytest.mark.takes(20)
@pytest.mark.parametrize(
    "check",
    [{"matches": "{{item}}" * 240}, {"tool": "write_file", "arguments": AGAIN}, {"tool": "t", "arguments": EACH_AGAIN}],
    ids=["pattern", "text", "parts"],
)
async def test_an_item_that_a_check_names_again_and_again_ends_its_loop(check: dict[str, Any]) -> None:
    loop = Step.model_validate({"id": 1, "tool": "read_file", "for_each": [ITEM], "check": check})
    with pytest.raises(ToolError, match=r"item 1 \(n\): What is referred to here has over 2000000 characters"):
        await turns_of(loop, {})


@pytest.mark.takes(20)
async def test_what_is_said_of_an_item_is_read_once_however_often_it_is_named() -> None:
    """Where it is read for each time, this takes longer than anybody waits."""
    spelled = "".join(f"{{{{{' ' * number}item}}}}" for number in range(150))
    condition = " or ".join(f"len({{{{{' ' * number}item}}}})<9" for number in range(35))
    named: dict[str, Any] = {"description": "{{item}}" * 2000, "expected_output": spelled, "when": condition}
    loop = Step.model_validate({"id": 1, "tool": "read_file", "for_each": [ITEM] * 2, **named})
    first, _ = await turns_of(loop, {})
    assert first.left_out is None
    assert first.step.description.startswith('{"name": "n"')


async def test_a_condition_about_too_much_of_all_items_fails_its_loop() -> None:
    items = ["x" * 500_000] * 3
    paths = [" and ".join([f"len({{{{item}}}})+{{{{index}}}}>{number}" for number in range(3)]), "len({{1}})>0"]
    loop = Step.model_validate({"id": 2, "tool": "t", "for_each": items, "when": " and ".join(paths)})
    assert len(await turns_of(loop, {1: "y"})) == 3
    parts: dict[str, Any] = {"a": "x" * 300_000}
    parts = {"b": parts, "c": parts}
    wide = " and ".join(f"len({{{{item{path}}}}})>0" for path in ("", ".b", ".c", ".b.a", ".c.a"))
    loop = Step.model_validate({"id": 2, "tool": "t", "for_each": [parts] * 3, "when": wide})
    with pytest.raises(ToolError, match=r"in all items\. Refer to less"):
        await turns_of(loop, {})


async def test_a_name_that_is_looked_for_in_a_result_has_few_dots() -> None:
    """Else each part of a path is put together with all that follow."""
    assert fill("{{1.a.b.c}}", {1: {"a.b.c": "found"}}) == "found"
    with pytest.raises(ToolError, match="leads nowhere"):
        fill("{{1" + ".a" * 400_000 + "}}", {1: {"files": []}})


async def test_a_reference_to_a_place_of_five_thousand_digits_fails_its_step(settings: Settings) -> None:
    listed: dict[str, Any] = {"tool": "list_files", "arguments": {}}
    beyond: dict[str, Any] = {"tool": "read_file", "arguments": {"path": "{{1.files." + "9" * 5000 + "}}"}}
    async with Client(build_server(settings)) as client, watched(client):
        done = await _ended(client, listed, beyond)
    assert [step["state"] for step in done["steps"]] == ["succeeded", "failed"]
    assert "leads nowhere" in str(done["steps"][1])


@pytest.mark.parametrize("check", UNUSABLE)
@pytest.mark.takes(15)
async def test_a_check_that_is_too_large_or_cannot_be_used_is_refused(
    settings: Settings, check: dict[str, Any]
) -> None:
    async with Client(build_server(settings)) as client, watched(client):
        plan = {"goal": "g", "steps": [{"id": 1, **READ, "check": check}]}
        assert "check" in text(refused := await client.call_tool("create_plan", plan))
        assert refused.is_error
        search = await client.call_tool("lats_search", {"goal": "g", "verifier": check})
        assert search.is_error


@pytest.mark.parametrize("goal", ["-" * 20_000, ("a-a-a-../" * 2_222), "a.b " * 5_000, "{{" + "1" * 19_000])
async def test_no_goal_freezes_the_server(settings: Settings, goal: str) -> None:
    async with Client(build_server(settings)) as client, watched(client):
        assert view(await client.call_tool("create_plan", {"goal": goal}))["status"] == "waiting"


@pytest.mark.parametrize("risks", [{f"*{n}": "high" for n in range(5_000)}, {"*a" * 5_000: "high"}])
async def test_no_pattern_of_risks_freezes_the_server(settings: Settings, risks: dict[str, str]) -> None:
    async with Client(build_server(settings)) as client, watched(client):
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [{"id": 1, **HUGE}]}))["plan_id"]
        refused = await client.call_tool("execute_plan", {"plan_id": plan, "risks": risks})
    assert "Give fewer" in text(refused)


MANY: dict[str, Any] = {str(number): "direct" for number in range(50_000)}
BOUNDLESS: list[tuple[str, dict[str, Any]]] = [
    ("execute_plan", {"plan_id": "plan_1", "strategies": MANY}),
    ("execute_plan", {"plan_id": "plan_1", "strategies": json.dumps(MANY)}),
    ("execute_plan", {"plan_id": "plan_1", "strategies": {"9" * 100_000: "direct"}}),
    ("execute_plan", {"plan_id": "plan_1", "risks": dict.fromkeys(MANY, "high")}),
    ("execute_plan", {"plan_id": "plan_1", "budget": dict.fromkeys(MANY, 1)}),
    ("execute_plan", {"plan_id": "x" * 1_000_000}),
    ("create_plan", {"recipe": "x", "parameters": MANY}),
    ("create_plan", {"recipe": "x", "parameters": {"a": "x" * 1_000_000}}),
    ("create_plan", {"goal": "g", "steps": [{"id": 1, "description": "x" * 1_000_000, **HUGE}]}),
    ("create_plan", {"goal": "g", "steps": [{"id": 1, "tool": "x" * 1_000_000}]}),
    ("reflect", {"task": "t", "criteria": ["x" * 1_000_000]}),
    ("reflect", {"task": "t", "criteria": ["x"] * 50_000}),
    ("reflect", {"task": "t", "checks": [{"matches": "x"}] * 50_000}),
    ("report", {"run_id": "run_1", "answers": [{"order": f"order_{n}", "answer": "x"} for n in range(50_000)]}),
    ("report", {"run_id": "run_1", "answers": [{"order": "x" * 1_000_000, "answer": "x"}]}),
    ("get_plan", {"plan_id": "x" * 1_000_000}),
]


@pytest.mark.parametrize(("tool", "arguments"), BOUNDLESS)
async def test_what_nobody_could_look_through_is_refused_in_few_words(
    settings: Settings, tool: str, arguments: dict[str, Any]
) -> None:
    async with Client(build_server(settings)) as client:
        async with watched(client):
            refused = await client.call_tool(tool, arguments)
        assert "Give " in text(refused)
        assert len(text(refused)) < 2_000
        assert "lists" not in text(refused), "it was looked up"


async def test_no_number_of_answers_to_one_order_freezes_the_server(settings: Settings) -> None:
    async with Client(build_server(settings)) as client:
        run = view(await client.call_tool("create_plan", {"goal": "g"}))
        order = run["waiting_on"][0]["order"]
        answers = [{"order": order, "answer": {"steps": [{"x": [n] * 500}]}} for n in range(900)]
        async with watched(client):
            refused = await client.call_tool("report", {"run_id": run["run_id"], "answers": answers})
    assert "none was taken" in text(refused)


async def test_no_argument_freezes_the_server(settings: Settings) -> None:
    step = {"id": 1, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{" + "1" * 200_000}}
    async with Client(build_server(settings)) as client, watched(client):
        assert view(await client.call_tool("create_plan", {"goal": "g", "steps": [step]}))["status"] == "ready"


NUMBERS = [
    (tool, name, {"tokens": 10**400} if "additionalProperties" in schema else 10**400)
    for tool, arguments in ARGUMENTS.items()
    for name, schema in arguments.items()
    if {schema["type"], schema.get("additionalProperties", {}).get("type")} & {"integer", "number"}
]


@pytest.mark.parametrize(("tool", "name", "number"), NUMBERS, ids=[f"{tool}-{name}" for tool, name, _ in NUMBERS])
async def test_a_number_too_large_for_anything_is_refused_by_the_schema_that_clients_see(
    settings: Settings, tool: str, name: str, number: Any
) -> None:
    needed: dict[str, dict[str, Any]] = {
        "reflect": {"task": "t"},
        "lats_search": {"goal": "g"},
        "rollback": {"run_id": "run_1"},
        "report": {"run_id": "run_1", "answers": []},
    }
    async with Client(build_server(settings)) as client:
        refused = await client.call_tool(tool, {**needed.get(tool, {}), name: number})
    assert refused.is_error
    assert f"arguments.{name}" in text(refused)
    assert "is greater than the maximum of" in text(refused)


async def test_no_plan_in_which_everything_depends_on_everything_freezes_the_server(settings: Settings) -> None:
    steps = [{"id": number, **READ, "depends_on": list(range(1, number))} for number in range(1, 1000)]
    async with Client(build_server(settings)) as client, watched(client):
        refused = await client.call_tool("create_plan", {"goal": "g", "steps": steps})
    assert "depend on too many" in text(refused)


@pytest.mark.takes(30)
async def test_a_change_of_each_of_many_steps_does_not_freeze_the_server(settings: Settings) -> None:
    waits: dict[str, Any] = {"id": 1, "tool": "delete_file", "arguments": {"path": "a.txt"}}
    steps = [waits, *({"id": number, **READ, "depends_on": [1]} for number in range(2, 3000))]
    async with Client(build_server(settings)) as client, watched(client):
        plan = await make_plan(client, steps)
        await client.call_tool("execute_plan", {"plan_id": plan, "replan": "never"})
        changed = [{**step, "description": "again"} for step in steps[1:]]
        for change, said in (({"drop": list(range(5000, 6000))}, "no such step"), ({"steps": changed}, "revision: 2")):
            assert said in text(await client.call_tool("update_plan", {"plan_id": plan, "revision": 1, **change}))


LONG = "a/" * 20_000


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": LONG + "b", "content": "x"}),
        ("write_file", {"path": "a/" * 200 + "b", "content": "x"}),
        ("write_file", {"path": "../" * 20_000 + "b", "content": "x"}),
        ("delete_file", {"path": LONG + "b"}),
        ("read_file", {"path": LONG + "b"}),
        ("list_files", {"folder": LONG}),
        ("query_table", {"sql": "SELECT 1", "paths": [LONG + "b.csv"]}),
        ("run_command", {"command": "true", "folder": LONG}),
    ],
)
async def test_no_path_freezes_the_server(settings: Settings, tool: str, arguments: dict[str, Any]) -> None:
    # Whatever has to be asked is not answered here, and what is written is 200 folders deep.
    step: dict[str, Any] = {"id": 1, "tool": tool, "arguments": arguments}
    async with Client(build_server(settings)) as client, watched(client):
        plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": [step]}))["plan_id"]
        with anyio.fail_after(120):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan, "replan": "never"}))
    assert done["status"] in ("failed", "succeeded")


def test_the_files_that_a_command_names_are_found_in_time(work: Path) -> None:
    """However many words could be files, seen from however many folders. Else each takes minutes."""
    for number in range(20):
        (work / f"f{number}").mkdir()
    bases = " ".join(f"f{number}" for number in range(20))
    for words in (["a/" * 30 + str(number) for number in range(300)], ["a/" * 9_000], ["*" * 9_000], ["*/" * 9_000]):
        assert "a.txt" in named_files(Folders([work]), ".", f"cat {bases} {' '.join(words)} a.txt")


def test_our_own_expressions_are_linear() -> None:
    """Where one is not, each of these takes longer than anybody waits."""
    long = 1_000_000
    nowhere = Folders([])
    for part in ("-", "a-", "a/", "a.", ".", "/", "@a", "a-a-a-../"):
        assert look_at(part * (long // len(part)), nowhere).new_files in ([], ["a.a"])
    for part in ("{{", "{{1", "1", "{{ ", "{{1.", "{{1.a ", "[", "{{1[a"):
        mistaken("{{" + part * (long // len(part)))
    for part in ("```", "\n", "```\n", "{", "<think>"):
        assert read("```" + part * (long // len(part)), {"type": "object"})[1]


async def test_arithmetic_makes_no_number_that_takes_long_to_go_on_with() -> None:
    product = "*".join(["factorial(1000)"] * 200)
    multiple = f"lcm({','.join(f'factorial({n})+1' for n in range(900, 1000))})"
    # Their results are small: only what is worked with on the way is large.
    for expression in (f"({product}) % 7", f"({product}) // 3 % 7", f"7 % {multiple}"):
        with pytest.raises(ToolError):
            await calculate(expression)


@pytest.mark.parametrize(
    "text", ["(" * 4 + "a" + "{,200})" * 4, "((a{000000000200}){200}){200}", f"({'a|' * 400}b){{9999}}"]
)
async def test_a_pattern_to_search_files_by_is_not_spelled_out_without_bound(settings: Settings, text: str) -> None:
    search: dict[str, Any] = {"tool": "search_files", "arguments": {"text": text, "regex": True}}
    async with Client(build_server(settings)) as client, watched(client):
        done = await _ended(client, search)
    assert "Internal error" not in str(done)


async def test_a_check_that_is_cut_off_takes_nothing_from_the_next_one() -> None:
    for _ in range(2):
        with pytest.raises(ToolError, match="too long, or too much memory"):
            await apart("unmet", value="a" * 60 + "b", schema={"pattern": "^(a+)+$"}, matches=None, expression=None)
        assert await examine(Check(matches="^ok$"), "ok", _no_call) == []


async def test_an_expression_is_cut_off_like_a_pattern() -> None:
    slow = "+".join(["words(text)"] * 160) + " > 0"  # ten seconds and more, where two are granted
    (problem,) = await examine(Check(expression=slow), "xy " * 2_000_000, _no_call)
    assert "too long, or too much memory" in str(problem)


async def test_a_result_too_large_to_be_checked_fails_its_check() -> None:
    (problem,) = await examine(Check(matches="x"), "x" * 9_000_000, _no_call)
    assert "more than 8,000,000" in str(problem)


async def test_checks_that_are_handed_in_together_are_all_told_what_is_wrong_with_them() -> None:
    with pytest.raises(FaultsError) as refused:
        await read_checks([{"matches": "("}, {"matches": "fine"}, {"schema": {"type": 5}}], "check", Registry())
    assert [fault.where for fault in refused.value.faults] == ["check 1", "check 3"]


SPYING = """
import anyio, os, subprocess, sys
from forethought_tools.apart import apart
async def main():
    await apart("unmet", value="a", schema=None, matches="a", expression=None)
    child = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "forethought_tools.worker"], capture_output=True)
    print(int(child.stdout), flush=True)
    await apart("unmet", value="a" * 60 + "b", schema={"pattern": "^(a+)+$"}, matches=None, expression=None)
anyio.run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and holds a process by a descriptor")
def test_the_process_that_checks_sees_no_secret_and_ends_with_us_even_in_the_middle_of_work() -> None:
    environment = {**os.environ, "FORETHOUGHT_API_KEY": "a-key-of-ours"}
    with subprocess.Popen([sys.executable, "-c", SPYING], stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert b"a-key-of-ours" not in Path(f"/proc/{worker}/environ").read_bytes()
        held = os.pidfd_open(worker)
        parent.kill()
    assert select.select([held], [], [], 120)[0], "it is still there"
    os.close(held)


async def _no_call(name: str, arguments: Any) -> JSON:
    raise AssertionError("these checks call nothing")
