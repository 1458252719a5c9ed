"""What a person approves is what a plan calls: the calls of checks count and are shown, everywhere."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import person, view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Plan, Step, parse_plan
from forethought_patterns.gates import Policy, plan_gate
from forethought_tools import PlanError, Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

OVERWRITES = {"tool": "write_file", "arguments": {"path": "old.txt", "content": "{{result}}"}}
READ: dict[str, Any] = {"id": 1, "description": "Look", "tool": "read_file", "arguments": {"path": "a.txt"}}
STEPS = [{**READ, "check": OVERWRITES}]
TOOLS = builtin(Folders([]))


def _gate_text(*steps: Mapping[str, Any], policy: Policy | None = None) -> str:
    plan = parse_plan("x", list(steps), TOOLS)
    return plan_gate(plan, TOOLS, policy or Policy(), estimate="no model calls", finished=[], next_step=2).text({})


async def test_a_person_who_approves_a_plan_has_seen_the_calls_of_its_checks(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    decline = person({"decision": "cancel"}, seen=seen)
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=decline) as client:
        with anyio.fail_after(120):
            plan = view(await client.call_tool("create_plan", {"goal": "x", "steps": STEPS}))
            await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], "approve_plan": True})
    (text,) = seen
    assert "Highest risk: medium." in text
    assert "1. read_file (medium): " in text
    assert '1. its check calls write_file (medium): {"path": "old.txt", "content": "{{result}}"}' in text
    assert (work / "old.txt").read_text(encoding="utf-8") == "old\n"


async def test_the_values_of_a_loop_are_shown_wherever_its_calls_are(make_settings: Callable[..., Settings]) -> None:
    arguments = {"path": "{{item}}", "content": "x"}
    loop = {"id": 1, "tool": "write_file", "for_each": ["a.txt", "old.txt"], "arguments": arguments}
    values = '"{{item}}": ["a.txt", "old.txt"]'
    assert values in _gate_text(loop)
    assert values in _gate_text({**loop, "arguments": {"path": "{{item}}", "content": "two\nlines"}})
    async with Client(build_server(make_settings())) as client:
        with anyio.fail_after(120):
            made = view(await client.call_tool("create_plan", {"goal": "x", "steps": [loop]}))
            changed = {"steps": [{**loop, "id": 2}], "revision": 1}
            await client.call_tool("update_plan", {"plan_id": made["plan_id"], **changed})
            shown = {
                name: str(view(await client.call_tool("get_plan", {"plan_id": made["plan_id"], "view": name})))
                for name in ("brief", "list", "diff")
            }
    assert values in made["steps"][0]
    assert [name for name, text in shown.items() if values not in text] == []


async def test_no_view_of_a_plan_calls_it_read_only_where_a_check_writes_or_runs_a_command(
    make_settings: Callable[..., Settings],
) -> None:
    commanding = {**READ, "id": 2, "check": {"command": "touch x"}}
    async with Client(build_server(make_settings())) as client:
        with anyio.fail_after(120):
            made = view(await client.call_tool("create_plan", {"goal": "x", "steps": [*STEPS, commanding]}))
            views = {
                name: view(await client.call_tool("get_plan", {"plan_id": made["plan_id"], "view": name}))
                for name in ("brief", "list", "full", "graph")
            }
    high = "high: 2 (a person is asked first, with what their checks call)"
    assert made["risk"] == f"{high}; medium: 1 (writes, with what their checks call)"
    for shown in (made, views["brief"], views["list"]):
        first, second = shown["steps"]
        assert first.startswith("1. read_file (medium)")
        assert 'its check calls write_file (medium) {"path": "old.txt"' in first
        assert 'its check calls run_command (high) {"command": "touch x"}' in second
    assert [step["risk"] for step in views["full"]["steps"]] == ["medium", "high"]
    assert "touch x" in str(views["full"]["steps"][1]["calls"])
    assert "its check calls write_file" in views["graph"]["graph"]
    assert "its check calls run_command" in views["graph"]["graph"]


async def test_what_a_reflection_and_a_search_call_to_check_is_shown(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        with anyio.fail_after(120):
            reflecting = view(await client.call_tool("reflect", {"task": "x", "draft": "y", "checks": [OVERWRITES]}))
            searching = view(await client.call_tool("lats_search", {"goal": "x", "verifier": {"command": "touch x"}}))
            silent = view(await client.call_tool("reflect", {"task": "x", "draft": "y", "checks": [{"matches": "y"}]}))
    assert "a check calls write_file (medium)" in str(reflecting["calls"])
    assert "old.txt" in str(reflecting["calls"])
    assert searching["calls"] == ['its verifier calls run_command (high) {"command": "touch x"}']
    assert "calls" not in silent


def test_a_plan_of_steps_that_only_read_is_still_low() -> None:
    text = _gate_text(READ)
    assert "Highest risk: low." in text
    assert "its check" not in text
    assert "its check" not in _gate_text({**READ, "check": {"matches": "x"}})


def test_risks_that_were_raised_for_a_run_count_for_the_calls_of_checks_too() -> None:
    text = _gate_text(*STEPS, policy=Policy(risks={"write_*": Risk.HIGH}))
    assert "Highest risk: high." in text
    assert "its check calls write_file (high)" in text


def test_each_argument_of_a_step_is_shown_however_long_its_description_or_another_one_is() -> None:
    arguments = {"content": "x" * 5000, "path": "h.txt"}
    text = _gate_text({"id": 1, "description": "z" * 4000, "tool": "write_file", "arguments": arguments})
    assert '"path": "h.txt"' in text
    assert re.search(r"x{150} \[... 5000 characters in all, SHA-256 [0-9a-f]{16} ...\] x{150}", text)
    assert len(text) < 2000


def test_a_description_does_not_hide_an_argument() -> None:
    text = plan_gate(
        Plan("x", (Step(id=1, tool="of_another_server", description="harmless", arguments={"what": "everything"}),)),
        TOOLS,
        Policy(),
        estimate="",
        finished=[],
        next_step=2,
    ).text({})
    assert '1. of_another_server (high): {"what": "everything"}' in text


def test_of_each_step_is_told_what_it_is_for_how_it_is_done_and_what_it_waits_for() -> None:
    first = Step(id=1, tool="of_another_server", description="harmless", arguments={"a": 1}, strategy="reflect")
    plan = Plan("x", (first, Step(id=2, tool="read_file", arguments={"path": "a"}, depends_on=(1,))))
    gate = plan_gate(plan, TOOLS, Policy(), estimate="", finished=[], next_step=3)
    assert dict(gate.details) == {
        "1. of_another_server (high) by reflect": {"a": 1, "what": "harmless"},
        "2. read_file (low) after 1": {"path": "a"},
    }


def test_steps_that_have_run_are_not_asked_about_and_their_risk_does_not_count() -> None:
    plan = parse_plan("x", [*STEPS, {**READ, "id": 2, "depends_on": [1]}, {**READ, "id": 3, "depends_on": [2]}], TOOLS)
    gate = plan_gate(plan, TOOLS, Policy(), estimate="", finished=[1], next_step=4)
    assert list(gate.details) == ["2. read_file (low) after 1", "3. read_file (low) after 2"]
    assert "2 steps, up to 1 at once, longest chain 3." in gate.subject
    assert gate.risk is Risk.LOW
    assert gate.choices == ("approve", "edit", "reject", "cancel")


async def test_a_tool_that_writes_is_not_called_read_only_because_its_risk_was_lowered(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(risks={"write_file": Risk.LOW})
    async with Client(build_server(settings)) as client:
        with anyio.fail_after(120):
            made = view(await client.call_tool("create_plan", {"goal": "x", "steps": STEPS}))
    assert made["risk"] == "low: 1 (nobody is asked, with what their checks call)"


def test_a_name_that_is_no_tools_is_told_in_part() -> None:
    long = "read_file" * 20_000
    delegated: dict[str, Any] = {"id": 1, "tool": "delegate", "arguments": {"task": "t", "tools": [long]}}
    for step in ({**READ, "tool": long}, {**READ, "check": {"tool": long}}, delegated):
        with pytest.raises(PlanError) as refused:
            parse_plan("x", [step], TOOLS)
        assert len(str(refused.value)) < 3000


def test_the_risk_of_a_plan_is_that_of_its_riskiest_step() -> None:
    risky = {"id": 2, "tool": "delete_file", "arguments": {"path": "old.txt"}}
    assert "Highest risk: high." in _gate_text(READ, risky)
    assert "Highest risk: high." in _gate_text(risky, {**READ, "id": 3})
