"""What a model may want, say or start: none of it opens a gate, and none of it is more than its user allows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client
from tests.server.asking import DONE, flat, view
from tests.server.thinking import worth

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import REPLANS, Terms
from forethought_patterns import Policy, Step
from forethought_patterns.arrivals import Arrivals
from forethought_patterns.budget import MEASURES
from forethought_patterns.worlds import Move, path_steps
from forethought_tools import Registry, Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

LOWERED = {"*": Risk.LOW}
"""All risks, as a user may lower them who does not want to be asked."""
WRITING = ("write_file", "delete_file", "run_command", "send_email")
ALSO_WRITING = ("write_table", "edit_file", "append_file", "copy_file", "move_file", "make_folder", "delegate")


def _lowered(tmp_path: Path) -> Registry:
    return builtin(Folders([tmp_path]), risks=LOWERED)


# What only reads


def test_whether_a_tool_only_reads_is_no_matter_of_its_risk(tmp_path: Path) -> None:
    lowered, raised = _lowered(tmp_path), builtin(Folders([tmp_path]), risks={"*": Risk.HIGH})
    for tools in (lowered, raised, builtin(Folders([tmp_path]))):
        changing = [tool.name for tool in tools if not tools.reads_only(tool.name)]
        assert sorted(changing) == sorted([*WRITING, *ALSO_WRITING]), "whatever the settings say"
        assert not tools.reads_only("nobody_knows_it")
    assert lowered.lasting("run_command")


async def test_a_search_never_makes_a_call_that_writes_though_its_risk_was_lowered(
    scripted: Callable[..., Settings], work: Path
) -> None:
    def call(tool: str, **arguments: str) -> dict[str, Any]:
        pairs = [{"name": name, "value": value} for name, value in arguments.items()]
        return {"thought": "", "tool": tool, "arguments": pairs, "answer": arguments.get("answer", "")}

    wanted = [
        call("write_file", path="a.txt", content="gone"),
        call("run_command", command="echo gone > a.txt"),
        call("delete_file", path="old.txt"),
    ]
    done: dict[str, Any] = {"thought": "", "tool": "answer", "arguments": [], "answer": "alpha"}
    script: dict[str, Any] = {
        "proposer": [{"candidates": wanted}, {"candidates": [done]}],
        "evaluator": [worth(9, 1, 1), worth(9)],
    }
    async with Client(build_server(scripted(script, risks=LOWERED))) as client:
        asked = {"goal": "g", "world": "act", "verifier": {"matches": "alpha"}, "parallel": 1}
        found = view(await client.call_tool("lats_search", asked))
    assert found["solved"]
    assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n"
    assert (work / "old.txt").exists()


@pytest.mark.parametrize("tool", WRITING)
def test_what_writes_never_starts_before_its_plan_is_whole(tmp_path: Path, tool: str) -> None:
    arguments = {
        "write_file": {"path": "a.txt", "content": "x"},
        "delete_file": {"path": "a.txt"},
        "run_command": {"command": "true"},
        "send_email": {"to": ["a@example.org"], "subject": "s", "body": "b"},
    }[tool]
    read = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}
    text = json.dumps({"steps": [read, {"id": 2, "tool": tool, "arguments": arguments}]})
    offered: list[Step] = []
    arrivals = Arrivals(_lowered(tmp_path), Policy(), offered.append)
    arrivals.heard(None)
    arrivals.heard(text)
    assert [step.id for step in offered] == [1]


@pytest.mark.parametrize("tool", WRITING)
def test_a_way_that_was_found_keeps_the_order_of_its_writes(tmp_path: Path, tool: str) -> None:
    way = [Move("", "", name, {}) for name in ("read_file", tool, "list_files", "read_file", tool)]
    steps: list[Any] = path_steps(way, _lowered(tmp_path))
    assert [step["depends_on"] for step in steps] == [[], [1], [2], [2], [1, 2, 3, 4]]


async def test_a_plan_does_not_say_that_it_only_reads_because_its_risk_was_lowered(
    make_settings: Callable[..., Settings],
) -> None:
    write = {"id": 1, "tool": "write_file", "arguments": {"path": "b.txt", "content": "x"}}
    read = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}
    async with Client(build_server(make_settings(risks=LOWERED))) as client:
        shown = [
            view(await client.call_tool("create_plan", {"goal": "g", "steps": [step]}))["risk"]
            for step in (write, read)
        ]
    assert "read only" not in shown[0]
    assert "read only" in shown[1]


# The terms of a run

_RISKS = st.sampled_from(["low", "medium", "high"])
_PATTERNS = st.sampled_from(["*", "write_file", "write_*", "*_file", "run_command"])
_IDS = st.sampled_from(["*", "1", "2"])
_STRATEGIES = st.dictionaries(_IDS, st.sampled_from(["direct", "reflect", "search"]))
_LIMITS = st.dictionaries(st.sampled_from(sorted(MEASURES)), st.floats(0, 1e6))
_TERMS = st.builds(
    Terms,
    replan=st.sampled_from(REPLANS),
    max_replans=st.integers(0, 20),
    max_parallel=st.integers(1, 64),
    approve_plan=st.booleans(),
    ask_from=_RISKS.map(Risk.named),
    ask_below=st.floats(0, 1),
    risks=st.dictionaries(_PATTERNS, _RISKS.map(Risk.named)),
    strategies=_STRATEGIES,
    budget=_LIMITS,
)
_WISHES = st.fixed_dictionaries(
    {},
    optional={
        "replan": st.sampled_from(REPLANS),
        "max_replans": st.integers(0, 20),
        "max_parallel": st.integers(1, 64),
        "approve_plan": st.booleans(),
        "ask_from": _RISKS,
        "ask_below": st.floats(0, 1),
        "risks": st.dictionaries(_PATTERNS, _RISKS),
        "strategies": _STRATEGIES,
        "budget": _LIMITS,
    },
)
_CHANGES = {"never": 0, "on_failure": 1, "every_step": 2}


_TOOLS = builtin(Folders([]))


@settings(deadline=None)
@given(_TERMS, _WISHES)
def test_whoever_starts_a_run_can_tighten_each_of_the_users_terms_and_loosen_none(
    own: Terms, wishes: Mapping[str, Any]
) -> None:
    got, tools = own.tightened(**wishes), _TOOLS
    assert _CHANGES[got.replan] == min(_CHANGES[own.replan], _CHANGES[wishes.get("replan", "every_step")])
    assert got.max_replans == min(own.max_replans, wishes.get("max_replans", 20))
    assert got.max_parallel == min(own.max_parallel, wishes.get("max_parallel", 64))
    assert got.approve_plan == (own.approve_plan or wishes.get("approve_plan", False))
    assert got.ask_from == min(own.ask_from, Risk.named(wishes.get("ask_from", "high")))
    assert got.ask_below == max(own.ask_below, wishes.get("ask_below", 0))
    for tool in tools:
        assert got.policy.risk(tool.name, tools) >= own.policy.risk(tool.name, tools)
    for measure, limit in own.budget.items():
        assert got.budget[measure] == min(limit, wishes.get("budget", {}).get(measure, limit))
    for step in ("1", "2"):
        if chosen := own.strategies.get(step) or own.strategies.get("*"):
            assert (got.strategies.get(step) or got.strategies.get("*")) == chosen
    assert got.tightened(**wishes) == got, "saying it again changes nothing"


async def test_a_plan_that_may_never_change_does_not_because_a_caller_says_so(
    scripted: Callable[..., Settings],
) -> None:
    steps = [{"id": 1, "tool": "read_file", "arguments": {"path": "missing.txt"}}]
    better = flat({"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}})
    script = {"planner": [{"always": better}], "joiner": [{"always": DONE}]}
    for terms in (Terms(replan="never"), Terms(max_replans=0)):
        async with Client(build_server(scripted(script, terms=terms))) as client:
            plan = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
            loose = {"replan": "every_step", "max_replans": 20, "max_parallel": 64}
            done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], **loose}))
            shown = view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"]}))
        assert done["status"] == "failed", done
        assert shown.get("revision", 1) == 1
