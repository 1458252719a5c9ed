"""What small planners really sent for ordinary goals: each plan that pretends is told so before it runs, by whoever it
was made, and of the right plan for the same goal nothing is said."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from mcp.client import Client
from tests.server.asking import view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import JSON

pytestmark = pytest.mark.anyio
Call: TypeAlias = tuple[str, dict[str, JSON]]

FILES = {
    "orders.csv": "id,customer,amount\n1,7,10.5\n2,8,20\n",
    "customers.csv": "id,name\n7,Ann\n8,Bo\n",
    "readings.csv": "station,temp_c\nridge,1\nridge,3\n",
    "products.json": '[{"sku": "K", "price": 1}]\n',
    "app.log": "08:00 ERROR lost\n08:01 INFO found\n",
    "essay.txt": "Some words stand here.\n",
    "guests.txt": "Bo\nAnn\nBo\n",
    "letter.txt": "Dear Bo\n",
    "old.txt": "old\n",
}


def read(path: str) -> Call:
    return "read_file", {"path": path}


def query(sql: str, *paths: str) -> Call:
    return "query_table", {"sql": sql, "paths": [*paths]}


def write(brief: str, material: str) -> Call:
    return "write", {"brief": brief, "material": material}


def save(path: str, content: JSON) -> Call:
    return "write_file", {"path": path, "content": content}


def calculate(expression: str) -> Call:
    return "calculate", {"expression": expression}


def command(text: str) -> Call:
    return "run_command", {"command": text}


LISTED: Call = ("list_files", {"pattern": "**/*"})
AMOUNTS = query("SELECT * FROM orders WHERE amount > 15", "orders.csv")
KINDS: list[tuple[str, list[Call], str, list[Call]]] = [
    # goal, the plan that pretends, what is said of it, a right plan
    ("Write the names of the three largest files to big.txt",
     [LISTED, calculate("size DESC"), save("big.txt", "{{1}}")],
     "step 2: 'size DESC' is no arithmetic", [command("ls -S | head -3 > big.txt")]),
    ("How many words has essay.txt?", [read("essay.txt"), calculate("length(text)")],
     "step 2: calculate knows no 'length'", [command("wc -w < essay.txt")]),
    ("Work out mean and deviation of temp_c per station of readings.csv into stats.json",
     [read("readings.csv"), calculate("mean(temp_c)"), save("stats.json", "{{2}}")],
     "step 2: calculate knows no 'temp_c'",
     [query("SELECT station, AVG(temp_c) AS m, STDDEV(temp_c) AS d FROM readings GROUP BY station", "readings.csv"),
      save("stats.json", "{{1.rows}}")]),
    ("Join orders.csv with customers.csv into named.json",
     [query("SELECT id, amount FROM orders", "orders.csv"), save("named.json", "{{1.rows}}")],
     "plan: the goal names customers.csv, and no step uses it",
     [query("SELECT * FROM orders JOIN customers c ON c.id = customer", "orders.csv", "customers.csv"),
      save("named.json", "{{1.rows}}")]),
    ("Convert products.json to products.csv", [read("products.json"), save("products.csv", "{{1}}")],
     "step 2: {{1}} is the text of a .json file, and no .csv",
     [command("python3 flat.py products.json > products.csv")]),
    ("Save the orders of orders.csv over 15 as large.csv", [AMOUNTS, save("large.csv", "{{1}}")],
     "step 2: {{1}} are rows, which write_file writes as JSON", [command("awk -F, '$3>15' orders.csv > large.csv")]),
    ("Put the orders of orders.csv over 15 into large.json",
     [query("SELECT * FROM orders", "orders.csv"), AMOUNTS, save("large.json", "{{1.rows}}")],
     "step 3: it saves {{1.rows}}, a file as it was read, and nothing uses the result of step 2",
     [AMOUNTS, save("large.json", "{{1.rows}}")]),
    ("Count the lines of app.log per level into levels.txt", [read("app.log"), save("levels.txt", "{{1}}")],
     "plan: the goal asks to count, and no step does",
     [command("cut -d' ' -f2 app.log | sort | uniq -c > levels.txt")]),
    ("Rename letter.txt to final.txt", [read("letter.txt"), save("final.txt", "{{1}}")],
     "plan: the goal asks to rename or move a file, and no step does",
     [read("letter.txt"), save("final.txt", "{{1}}"), ("delete_file", {"path": "letter.txt"})]),
    ("Delete old.txt", [read("old.txt")], "plan: the goal asks to delete a file, and no step does",
     [("delete_file", {"path": "old.txt"})]),
    ("Translate letter.txt into French as lettre.txt", [read("letter.txt"), save("lettre.txt", "{{1}}")],
     "plan: the goal asks to word something anew, and no step does",
     [read("letter.txt"), write("The same in French", "{{1}}"), save("lettre.txt", "{{2}}")]),
    ("Put the guests of guests.txt, sorted and without doubles, into clean.txt",
     [read("guests.txt"), save("clean.txt", "Alice\nBob\nCarol")],
     "step 2: what it says was made up before anything was read", [command("sort -u guests.txt > clean.txt")]),
]  # fmt: skip # a table


def _steps(calls: Sequence[Call]) -> list[dict[str, Any]]:
    return [{"id": number, "tool": tool, "arguments": given} for number, (tool, given) in enumerate(calls, 1)]


def _drafted(calls: Sequence[Call]) -> dict[str, Any]:
    """What a planner of an endpoint writes."""
    common: dict[str, Any] = {
        "description": "d",
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    steps: list[dict[str, Any]] = []
    for step in _steps(calls):
        texts = {
            name: given if isinstance(given, str) else json.dumps(given) for name, given in step["arguments"].items()
        }
        steps.append({**common, **step, "arguments": [{"name": n, "value": text} for n, text in texts.items()]})
    return {"reasoning": "", "steps": steps}


def _lay_out(work: Path) -> None:
    for name, content in FILES.items():
        (work / name).write_text(content, encoding="utf-8")


@pytest.mark.parametrize(("goal", "bad", "said", "good"), KINDS, ids=[goal[:40] for goal, *_ in KINDS])
@pytest.mark.parametrize("store", [None], ids=["sqlite"])
async def test_a_plan_that_pretends_is_told_so_before_it_runs(
    goal: str, bad: list[Call], said: str, good: list[Call], scripted: Callable[..., Settings], work: Path
) -> None:
    _lay_out(work)
    settings = scripted({"planner": [_drafted(bad), _drafted(good)]})
    async with Client(build_server(settings)) as client:
        pretending, right = [view(await client.call_tool("create_plan", {"goal": goal})) for _ in range(2)]
        own = view(await client.call_tool("create_plan", {"goal": goal, "steps": _steps(bad)}))
        right_own = view(await client.call_tool("create_plan", {"goal": goal, "steps": _steps(good)}))
        later = view(await client.call_tool("get_plan", {"plan_id": own["plan_id"]}))
    for plan in (pretending, own, later):
        assert plan["status"] == "ready", "advice stops nothing"
        assert any(line.startswith(said) for line in plan["advice"]), plan["advice"]
    for plan in (right, right_own):
        assert plan["status"] == "ready"
        assert "advice" not in plan


async def test_advice_is_not_longer_than_somebody_reads(make_settings: Callable[..., Settings]) -> None:
    calls = [calculate(f"n{number}") for number in range(20)]
    async with Client(build_server(make_settings())) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "Work it out", "steps": _steps(calls)}))
    assert len(plan["advice"]) == 9
    assert plan["advice"][-1] == "And 12 more of the kind."
