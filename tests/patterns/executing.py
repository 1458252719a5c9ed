"""Plans that are executed by scripted models, with tools that do as they are told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from forethought.models.scripted import ScriptedModel
from forethought_patterns import (
    Brief,
    Budget,
    Decision,
    Ended,
    Gate,
    InMemoryJournal,
    Plan,
    Policy,
    Ports,
    Replan,
    Rules,
    Slot,
    Spending,
    parse_plan,
    run_plan,
)
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Tool, ToolError

Steps = Sequence[Mapping[str, Any]]
GOOD: dict[str, JSON] = {"success": True, "issues": [], "suggestion": ""}
DONE: dict[str, JSON] = {"done": True, "answer": "all is done", "missing": ""}


async def _echo(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    return arguments.get("value")


async def _broken(_: Mapping[str, JSON], __: Answerer) -> JSON:
    raise ToolError("it is broken")


async def _picky(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    if arguments.get("value") != "right":
        raise ToolError("the value is wrong")
    return "picked"


async def _command(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    if arguments["command"] != "true":
        raise ToolError("The command failed with exit status 1.")
    return {"exit_status": 0}


VALUE: dict[str, JSON] = {
    "type": "object",
    "properties": {"value": {}},
    "required": ["value"],
    "additionalProperties": False,
}
COMMAND: dict[str, JSON] = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
}
TOOLS = Registry(
    [
        Tool("echo", "Gives back its value.", VALUE, _echo, Risk.LOW, repeatable=True, reads_only=True),
        Tool("broken", "Never works.", VALUE, _broken, Risk.LOW, repeatable=True, reads_only=True),
        Tool("picky", "Wants the right value.", VALUE, _picky, Risk.LOW, repeatable=True, reads_only=True),
        Tool("save", "Writes.", VALUE, _echo, Risk.MEDIUM, repeatable=True),
        Tool("send", "Cannot be undone.", VALUE, _echo, Risk.HIGH),
        Tool("run_command", "Runs a command.", COMMAND, _command, Risk.HIGH),
    ]
)


def step(number: int, tool: str = "echo", value: JSON = "x", **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": tool, "arguments": {"value": value}, **more}


def draft(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a planner of an endpoint writes."""
    plain: dict[str, Any] = {
        "description": "",
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    flat: list[dict[str, Any]] = []
    for each in steps:
        pairs = [{"name": name, "value": str(value)} for name, value in each["arguments"].items()]
        flat.append({**plain, **each, "arguments": pairs})
    return {"reasoning": "", **more, "steps": flat}


def approving(gate: Gate) -> Decision:
    return Decision("approve", by="p", channel="test") if gate else Decision("reject")


def unlimited() -> Budget:
    """A budget in which nothing is bounded."""

    async def refuse(_: str, __: float, ___: Spending, ____: Slot) -> float | None:
        return None

    async def tell(_: str, __: float, ___: float) -> None: ...

    return Budget({}, Spending(), ask=refuse, tell=tell)


async def execute(
    steps: Steps | None,
    script: Mapping[str, Sequence[JSON]] | Callable[[Question], JSON],
    *,
    decide: Callable[[Gate], Decision] = approving,
    policy: Policy | None = None,
    replan: Replan = "on_failure",
    max_replans: int = 3,
    planned: bool = False,
    pieces: int = 0,
) -> tuple[Ended, InMemoryJournal]:
    model = ScriptedModel(script, pieces=pieces)
    journal = InMemoryJournal(model, decide)
    plan: Plan | None = None
    if steps is not None:
        plan = parse_plan("the goal", [dict(each) for each in steps], TOOLS, planned=planned)
        await journal.revised(plan, "")

    with anyio.fail_after(60):
        ended = await run_plan(
            plan,
            Brief("the goal"),
            ports=Ports(TOOLS, journal, journal, journal, unlimited()),
            rules=Rules(policy or Policy(), replan, max_replans),
        )
    return ended, journal


def states(ended: Ended) -> dict[int, str]:
    return {number: outcome.state for number, outcome in sorted(ended.outcomes.items())}
