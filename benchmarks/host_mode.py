"""What host mode costs the calling agent: a job of six steps over stdio, all orders answered by a scripted agent.

A round trip is one call of a tool. Tokens are characters over four of what the agent sends and reads; re-sent is what
its model reads in all, since each turn sends the whole conversation and the list of tools again.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from mcp import StdioServerParameters
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

SERVE = "from forethought.cli import main; raise SystemExit(main(['serve', '--folder', '.']))"
GOAL = (
    "Report on the orders: read notes.txt, sum the amount per region in orders.csv and in all, write a short report to"
    " report.md, then delete draft.md"
)
NOTES = "Meeting of Monday\n" + "".join(
    f"- point {n}: the goods of week {n} came late, and were paid\n" for n in range(9)
)
ORDERS = "id,region,amount\n" + "".join(f"{n},{'north' if n % 2 else 'south'},{n * 10}\n" for n in range(1, 21))
REPORT = (
    "# Orders\n\nThe north has ordered 1000, the south 1100, and both together 2100. The goods of each week came late"
    " and were paid, as the notes of Monday say.\n"
)
STEPS: list[dict[str, Any]] = [
    {"tool": "read_file", "arguments": {"path": "notes.txt"}, "expected_output": "The notes of the meeting"},
    {
        "tool": "query_table",
        "arguments": {
            "sql": "SELECT region, SUM(amount) AS total FROM orders GROUP BY region",
            "paths": ["orders.csv"],
        },
        "expected_output": "One row for each region, with its total",
    },
    {
        "tool": "calculate",
        "arguments": {"expression": "{{2.rows.0.total}} + {{2.rows.1.total}}"},
        "expected_output": "The total of both regions",
    },
    {
        "tool": "write",
        "arguments": {"brief": "A report of three lines", "material": ["{{1}}", "{{2}}", "{{3}}"]},
        "expected_output": "A short report that names the total of each region and the sum",
    },
    {
        "tool": "write_file",
        "arguments": {"path": "report.md", "content": "{{4}}"},
        "expected_output": "report.md is written",
    },
    {
        "tool": "delete_file",
        "arguments": {"path": "draft.md"},
        "depends_on": [5],
        "expected_output": "draft.md is gone",
    },
]
PLAN: list[dict[str, Any]] = [{"id": n, "description": "", "depends_on": [], **step} for n, step in enumerate(STEPS, 1)]
ANSWERS: Mapping[str, Any] = {
    "planner": {"reasoning": "", "steps": PLAN},
    "executor": REPORT,
    "evaluator": {"success": True, "issues": [], "suggestion": ""},
    "joiner": {"done": True, "answer": "report.md is written, and draft.md is gone.", "missing": ""},
}


Call: TypeAlias = tuple[str, dict[str, Any]]


@dataclass
class Cost:
    """What one job has cost."""

    tools: int
    calls: int = 0
    sent: int = 0
    read: int = 0
    structured: int = 0
    resent: int = 0
    forms: int = 0
    orders: list[str] = field(default_factory=list[str])
    planner: int = 0

    def add(self, name: str, arguments: Mapping[str, Any], text: str, structured: str) -> None:
        self.calls += 1
        self.resent += self.tools + self.sent + self.read
        self.sent += len(name) + len(json.dumps(arguments))
        self.read += len(text)
        self.structured += len(structured)


async def job(*calls: Call) -> Cost:
    """Make these calls, with the plan that the first has made, and answer every order until the run has ended."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, text in (("notes.txt", NOTES), ("orders.csv", ORDERS), ("draft.md", "old\n")):
            (work / name).write_text(text, encoding="utf-8")
        env = {"FORETHOUGHT_HOME": home, "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
        server = StdioServerParameters(command=sys.executable, args=["-c", SERVE], env=env, cwd=work)

        async def approve(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            cost.forms += bool(context and params)
            return ElicitResult(action="accept", content={"decision": "approve"})

        async with Client(server, mode="legacy", elicitation_callback=approve) as client:
            listed = (await client.list_tools()).model_dump_json(exclude_none=True)
            cost, plan = Cost(len(listed)), ""
            view: dict[str, Any] = {}
            for name, arguments in calls:
                named = {"plan_id": plan} if name == "execute_plan" and plan else {}
                view = await called(client, cost, name, {**arguments, **named})
                while view["status"] in ("waiting", "running"):
                    view = await called(
                        client, cost, "report", {"run_id": view["run_id"], "answers": answers(view, cost)}
                    )
                plan = view.get("plan_id", "")
            assert view["status"] == "succeeded", view
            assert (work / "report.md").read_text(encoding="utf-8") == REPORT
            assert not (work / "draft.md").exists()
        return cost


async def called(client: Client, cost: Cost, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    text = "".join(part.text for part in result.content if isinstance(part, TextContent))
    view = dict(result.structured_content or {})
    cost.add(name, arguments, text, json.dumps(view))
    return view


def answers(view: Mapping[str, Any], cost: Cost) -> list[dict[str, Any]]:
    waiting: list[Any] = view.get("waiting_on", [])
    orders: list[dict[str, Any]] = [each for each in waiting if "order" in each]
    for order in orders:
        cost.orders.append(order["role"])
        if order["role"] == "planner":
            cost.planner = len(json.dumps(order, ensure_ascii=False))
    return [{"order": order["order"], "answer": ANSWERS[order["role"]]} for order in orders]


def shown(title: str, cost: Cost) -> str:
    orders = ", ".join(f"{cost.orders.count(role)} {role}" for role in dict.fromkeys(cost.orders))
    return (
        f"| {title} | {cost.calls} | {cost.forms} | {orders} | {(cost.sent + cost.read) / 4000:.1f}k |"
        f" {(cost.sent + cost.structured) / 4000:.1f}k | {cost.resent / 4000:.0f}k | {cost.planner // 4 or ''} |"
    )


async def table() -> None:
    """Print the table."""
    bare = [{key: value for key, value in step.items() if key != "expected_output"} for step in PLAN]
    print("| the job | round trips | forms | orders | tokens, as text | structured | re-sent | planner's order |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    execute: Call = ("execute_plan", {})
    jobs: dict[str, list[Call]] = {
        "own steps, no expected_output": [("create_plan", {"goal": GOAL, "steps": bare}), execute],
        "own steps": [("create_plan", {"goal": GOAL, "steps": PLAN}), execute],
        "a goal, planned and run at once": [("execute_plan", {"goal": GOAL})],
        "a goal, plan shown first": [("create_plan", {"goal": GOAL}), execute],
    }
    for title, calls in jobs.items():
        print(shown(title, await job(*calls)), flush=True)


if __name__ == "__main__":
    anyio.run(table)
