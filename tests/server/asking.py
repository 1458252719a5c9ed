"""A client that makes plans and runs them, and a person behind it who answers its forms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client, ClientRequestContext
from mcp.client.session import ElicitationFnT
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from forethought.app import open_store
from forethought.journal.rows import Entry
from forethought.settings import Settings
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

Form = Mapping[str, Any]
Asked = list[str]

TOOLS = builtin(Folders([]))
DONE: dict[str, JSON] = {"done": True, "answer": "It is done.", "missing": ""}
APPROVE: dict[str, Any] = {"decision": "approve"}
DELETE: list[dict[str, Any]] = [
    {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}},
    {"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}},
    {"id": 3, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [1]},
]
COPY: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
    {
        "id": 2,
        "tool": "write_file",
        "arguments": {"path": "b.txt", "content": "{{1}}!"},
    },
]


def view(result: CallToolResult) -> dict[str, Any]:
    """The structured answer of a call that worked."""
    assert not result.is_error, text(result)
    assert result.structured_content is not None
    return dict(result.structured_content)


def text(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def person(*forms: Form, seen: list[str] | None = None) -> ElicitationFnT:
    """Fills in the forms in this order, and the last one from there on."""
    left = list(forms)

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        if seen is not None:
            seen.append(params.message)
        return ElicitResult(action="accept", content=dict(left.pop(0) if len(left) > 1 else left[0]))

    return elicit


async def approve(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": "approve"})


def write(number: int, path: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "write_file", "arguments": {"path": path, "content": "x"}, **more}


def delete(number: int, path: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "delete_file", "arguments": {"path": path}, **more}


def deletions(work: Path, count: int, *, chained: bool = False) -> list[dict[str, Any]]:
    """Files f1.txt and so on, and a step that deletes each: all at once, or one after the other."""
    for number in range(1, count + 1):
        (work / f"f{number}.txt").write_text("x", encoding="utf-8")
    after = [[number - 1] if chained and number > 1 else [] for number in range(1, count + 1)]
    return [delete(number, f"f{number}.txt", depends_on=before) for number, before in enumerate(after, 1)]


def flat(*steps: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "description": "",
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    return {
        "reasoning": "",
        "steps": [
            {**plain, **each, "arguments": [{"name": n, "value": v} for n, v in each["arguments"].items()]}
            for each in steps
        ],
    }


async def run_steps(client: Client, steps: Sequence[Mapping[str, Any]], **terms: Any) -> dict[str, Any]:
    plan = view(await client.call_tool("create_plan", {"goal": "tidy up", "steps": list(steps)}))
    return view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"], **terms}))


async def ended(client: Client, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has ended or waits for someone: a busy machine may take longer than one call."""
    with anyio.fail_after(300):
        while run["status"] == "running":
            run = view(await client.call_tool("report", {"run_id": run["run_id"], "answers": []}))
    return run


def names_in(folder: Path, pattern: str) -> list[str]:
    return sorted(file.name for file in folder.glob(pattern))


async def in_full(client: Client, run: Mapping[str, Any]) -> dict[str, Any]:
    return view(await client.call_tool("get_plan", {"plan_id": run["plan_id"], "view": "full"}))


def journal_of(settings: Settings, run: Mapping[str, Any], kind: str) -> list[Entry]:
    store = open_store(settings)
    entries = [entry for entry in store.queries.journal(run["run_id"], limit=1000) if entry.kind == kind]
    store.close()
    return entries


def answering(asked: Asked, action: str, content: Mapping[str, Any] | None = None) -> ElicitationFnT:
    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content=dict(content) if content else None)  # type: ignore[arg-type]

    return elicit


async def make_plan(client: Client, steps: list[dict[str, Any]], goal: str = "tidy up") -> str:
    return str(view(await client.call_tool("create_plan", {"goal": goal, "steps": steps}))["plan_id"])


async def states_of(client: Client, plan_id: str) -> dict[int, str]:
    full = view(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "full"}))
    return {step["id"]: step["state"] for step in full["steps"]}
