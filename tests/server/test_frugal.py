"""Host mode is frugal: few rounds, short orders, nothing judged twice, and nothing called good that nobody judged."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import DONE, approve, in_full, journal_of, make_plan, states_of, view
from tests.server.thinking import read

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

GOOD = {"success": True}
BAD = {"success": False, "issues": ["that is the wrong file"], "suggestion": "Read b.txt."}
TEXT = "All that was said, in one line."
SIX: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "expected_output": "the first note"},
    {"id": 2, "tool": "read_file", "arguments": {"path": "b.txt"}, "expected_output": "the second note"},
    {
        "id": 3,
        "tool": "calculate",
        "arguments": {"expression": "6 * 7"},
        "depends_on": [2],
        "expected_output": "a number",
    },
    {
        "id": 4,
        "tool": "write",
        "arguments": {"brief": "one line", "material": ["{{1}}", "{{2}}", "{{3}}"]},
        "expected_output": "one line that names both notes",
    },
    {
        "id": 5,
        "tool": "write_file",
        "arguments": {"path": "out.md", "content": "{{4}}"},
        "expected_output": "out.md is written",
    },
    {
        "id": 6,
        "tool": "delete_file",
        "arguments": {"path": "old.txt"},
        "depends_on": [5],
        "expected_output": "old.txt is gone",
    },
]
READ_AND_WRITE: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "expected_output": "the text of b.txt"},
    {"id": 2, "tool": "write", "arguments": {"brief": "say it", "material": "{{1}}"}, "expected_output": "it is said"},
    {"id": 3, "tool": "write_file", "arguments": {"path": "out.md", "content": "{{2}}"}},
]


class Agent:
    """Calls tools, and answers orders by role: with the next answer, and the last one from there on."""

    def __init__(self, client: Client, **answers: Sequence[Any]) -> None:
        self._client = client
        self._answers = {role: list(each) for role, each in answers.items()}
        self.calls = 0
        self.orders: list[dict[str, Any]] = []

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        self.calls += 1
        return view(await self._client.call_tool(name, arguments))

    async def to_the_end(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        while seen["status"] in ("waiting", "running"):
            orders = waiting_orders(seen)
            self.orders += orders
            answers = [{"order": each["order"], "answer": self._answer(each["role"])} for each in orders]
            seen = await self.call("report", run_id=seen["run_id"], answers=answers)
        return dict(seen)

    @property
    def roles(self) -> list[str]:
        return [order["role"] for order in self.orders]

    def _answer(self, role: str) -> Any:
        left = self._answers[role]
        return left.pop(0) if len(left) > 1 else left[0]


def waiting_orders(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [order for order in seen.get("waiting_on", []) if "order" in order]


def by_role(seen: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {order["role"]: order for order in waiting_orders(seen)}


@pytest.fixture(autouse=True)
def second_note(work: Path) -> None:
    (work / "b.txt").write_text("beta\n", encoding="utf-8")


async def test_six_steps_with_all_that_is_expected_of_them_take_three_calls(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=approve) as client:
        agent = Agent(client, executor=[TEXT], evaluator=[GOOD])
        plan = await agent.call("create_plan", goal="g", steps=SIX)
        done = await agent.to_the_end(await agent.call("execute_plan", plan_id=plan["plan_id"]))
        states = await states_of(client, plan["plan_id"])
    assert done["status"] == "succeeded"
    assert set(states.values()) == {"succeeded"}
    assert agent.calls == 3
    assert sorted(agent.roles) == ["evaluator", "evaluator", "evaluator", "executor"], "each is asked once"
    assert (work / "out.md").read_text(encoding="utf-8") == TEXT
    assert not (work / "old.txt").exists()


async def test_from_a_goal_they_take_five_calls_and_the_planners_order_is_short(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        agent = Agent(client, planner=[{"steps": SIX}], executor=[TEXT], evaluator=[GOOD], joiner=[DONE])
        plan = await agent.to_the_end(await agent.call("create_plan", goal="join a.txt and b.txt in out.md"))
        done = await agent.to_the_end(await agent.call("execute_plan", plan_id=plan["plan_id"]))
    assert (done["status"], done["answer"]) == ("succeeded", "It is done.")
    assert agent.calls == 5
    assert len(json.dumps(agent.orders[0])) / 4 < 1500, "tokens of the planner's order"


async def test_what_a_planners_order_leaves_out_of_tools_can_be_looked_up(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        asked = view(await client.call_tool("create_plan", {"goal": "read a.txt"}))
        (order,) = asked["waiting_on"]
        assert "read_file(path: str, start_line?: int, max_lines?: int): Read" in order["context"]
        assert "delete_file(path: str) [HIGH]" in order["context"]
        assert 'get_plan(view="tools")' in asked["next"]
        tools = view(await client.call_tool("get_plan", {"view": "tools"}))["tools"]
        faulty: dict[str, Any] = {"steps": [{"id": 1, "tool": "calculate", "arguments": {}}]}
        answers = [{"order": order["order"], "answer": faulty}]
        again = view(await client.call_tool("report", {"run_id": asked["run_id"], "answers": answers}))
        resource = await read(client, "forethought://tools")
    assert "It is called as calculate(expression: str)" in again["waiting_on"][0]["context"], (
        "a refusal names the shape"
    )
    assert "list_files(" not in again["waiting_on"][0]["context"], "the tools are not told again"
    told = next(tool for tool in tools if tool.startswith("read_file("))
    assert "max_lines: Most lines to return" in told
    assert told in resource


async def test_a_wrong_result_is_mended_and_what_rests_on_it_is_done_again(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        agent = Agent(client)
        plan_id = await make_plan(client, READ_AND_WRITE)
        first = await agent.call("execute_plan", plan_id=plan_id)
        run, told = first["run_id"], by_role(first)
        assert told.keys() == {"executor", "evaluator"}, "both go out together"
        assert "alpha" in told["executor"]["context"]
        verdict = {"order": told["evaluator"]["order"], "answer": BAD}
        mending = await agent.call("report", run_id=run, answers=[verdict])
        with anyio.fail_after(60):  # until the run has acted on it, what it asked before is still open
            while "Read b.txt." not in json.dumps(mending):
                mending = await agent.call("report", run_id=run, answers=[])
        assert len(waiting_orders(mending)) == 1, "the text that was asked for is not wanted any more"
        better = {"arguments": {"path": "b.txt"}, "confidence": 1}
        answers = [{"order": by_role(mending)["executor"]["order"], "answer": better}]
        second = await agent.call("report", run_id=run, answers=answers)
        told = by_role(second)
        assert "beta" in told["executor"]["context"]
        answers = [
            {"order": told["evaluator"]["order"], "answer": GOOD},
            {"order": told["executor"]["order"], "answer": TEXT},
        ]
        done = await agent.call("report", run_id=run, answers=answers)
        full = await in_full(client, done)
    assert done["status"] == "succeeded"
    assert (work / "out.md").read_text(encoding="utf-8") == TEXT
    assert {step["id"]: step["attempt"] for step in full["steps"]} == {1: 2, 2: 2, 3: 1}
    assert [entry.body["step"] for entry in journal_of(settings, done, "step_recalled")] == [2]


async def test_a_text_made_of_a_wrong_result_counts_for_nothing(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings())) as client:
        better = {"arguments": {"path": "b.txt"}, "confidence": 1}
        agent = Agent(client, evaluator=[BAD, GOOD], executor=["of a.txt", better, "of b.txt"])
        plan_id = await make_plan(client, READ_AND_WRITE)
        done = await agent.to_the_end(await agent.call("execute_plan", plan_id=plan_id))
    assert done["status"] == "succeeded"
    assert (work / "out.md").read_text(encoding="utf-8") == "of b.txt"


async def test_nothing_that_may_do_harm_is_done_or_asked_about_before_what_it_needs_is_judged(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}, "expected_output": "a reason to delete"},
        {"id": 2, "tool": "delete_file", "arguments": {"path": "old.txt"}, "depends_on": [1]},
        {"id": 3, "tool": "write_file", "arguments": {"path": "out.md", "content": "{{1}}"}},
    ]
    asked: list[str] = []

    async def person(context: Any, params: Any) -> Any:
        asked.append(params.message)
        return await approve(context, params)

    async with Client(build_server(make_settings()), mode=era, elicitation_callback=person) as client:
        agent = Agent(client, evaluator=[BAD])
        plan_id = await make_plan(client, steps)
        first = await agent.call("execute_plan", plan_id=plan_id, replan="never")
        assert [order["role"] for order in first["waiting_on"]] == ["evaluator"]
        done = await agent.to_the_end(first)
        states = await states_of(client, plan_id)
    assert done["status"] == "failed"
    assert states == {1: "failed", 2: "skipped", 3: "skipped"}
    assert not asked
    assert (work / "old.txt").exists()
    assert not (work / "out.md").exists()


async def test_what_the_engine_cannot_tell_is_put_to_the_agent_in_one_go_at_the_end(
    make_settings: Callable[..., Settings],
) -> None:
    def save(number: int, path: str, expected: str) -> dict[str, Any]:
        arguments = {"path": path, "content": "| a |\n| --- |\n| 1 |\n"}
        return {"id": number, "tool": "write_file", "arguments": arguments, "expected_output": expected}

    steps = [
        save(1, "1.md", "a table with one column"),
        save(2, "2.md", "2.md is written"),
        save(3, "3.md", "the file is there, with a table in it"),
    ]
    async with Client(build_server(make_settings())) as client:
        agent = Agent(client, evaluator=[GOOD])
        plan_id = await make_plan(client, steps)
        first = await agent.call("execute_plan", plan_id=plan_id)
        done = await agent.to_the_end(first)
    assert done["status"] == "succeeded"
    assert agent.calls == 2
    assert agent.roles == ["evaluator", "evaluator"]


async def test_another_server_gives_the_same_orders_and_asks_nothing_twice(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await make_plan(client, SIX[:5])
        first = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    async with Client(build_server(settings), mode=era) as client:
        agent = Agent(client, executor=[TEXT], evaluator=[GOOD])
        again = await agent.call("execute_plan", plan_id=plan_id)
        assert again["waiting_on"] == first["waiting_on"]
        verdicts = [order for order in waiting_orders(again) if order["role"] == "evaluator"]
        answers = [{"order": order["order"], "answer": GOOD} for order in verdicts]
        await agent.call("report", run_id=again["run_id"], answers=answers)
    async with Client(build_server(settings), mode=era) as client:
        agent = Agent(client, executor=[TEXT])
        done = await agent.to_the_end(await agent.call("execute_plan", plan_id=plan_id))
    assert done["status"] == "succeeded"
    assert agent.roles == ["executor"]
    assert (work / "out.md").read_text(encoding="utf-8") == TEXT


async def test_what_orders_share_is_told_once(make_settings: Callable[..., Settings], work: Path) -> None:
    note = 'She said: "go on"\n' * 20
    (work / "a.txt").write_text(note, encoding="utf-8")
    async with Client(build_server(make_settings())) as client:
        plan_id = await make_plan(client, SIX)
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    orders = waiting_orders(waiting)
    verdicts = [order for order in orders if order["role"] == "evaluator"]
    (write,) = [order for order in orders if order["role"] == "executor"]
    assert "Expected of it: one line that names both notes" in write["instructions"]
    assert verdicts[0]["instructions"].startswith("You are the evaluator.")
    assert {order["instructions"] for order in verdicts[1:]} == {f"Those of {verdicts[0]['order']}."}
    assert all("schema" in order for order in verdicts)
    assert json.dumps(waiting).count("She said") == 20, "a text that an order before holds is not told again"
    pointer = f"(it stands in the context of {write['order']})"
    assert [pointer in order["context"] for order in verdicts].count(True) == 1
