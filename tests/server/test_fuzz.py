"""Ten thousand generated calls: each gets a clean tool error or a result, and the server lives on."""

import logging
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

CASES = 10_000
PARAMETERS = {
    "create_plan": ["goal", "context", "steps"],
    "execute_plan": ["plan_id", "max_parallel", "again"],
    "get_plan": ["plan_id", "view", "page"],
    "report": ["run_id", "answers"],
    "stop": ["run_id"],
}
TEXTS = [
    "",
    "a.txt",
    "{{1}}",
    "{{1.x.0}}",
    "\\{{2}}",
    "{{step_1}}",
    "\x00",
    "\U0001f600",
    "\u202e",
    "x" * 5000,
    "null",
    "[1, 2]",
    '{"id": 1}',
    "brief",
    "full",
    "graph",
    "../../etc/passwd",
    "'; DROP TABLE run; --",
    "%s%n",
    "*",
    "plan_*",
]
NUMBERS = [0, 1, -1, 2, 64, 65, 2**31, 2**63, 2**70, -(2**63), 0.5, 1e308, -0.0]
TOOLS = ["read_file", "calculate", "analyze", "write_file", "delete_file", "list_files", "nonsense", ""]


class Generator:
    """Calls from wild to nearly right; the ids that were seen come back now and then."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.ids: list[str] = ["plan_0", "run_0"]

    def call(self) -> tuple[str, dict[str, Any]]:
        pick = self._random
        name = pick.choice(list(PARAMETERS))
        arguments = {key: self._argument(key) for key in PARAMETERS[name] if pick.random() < 0.9}
        if pick.random() < 0.05:
            arguments[pick.choice(TEXTS)] = self._anything()
        return name, arguments

    def _argument(self, name: str) -> Any:
        pick = self._random
        if pick.random() < 0.08:
            return self._anything()
        if name == "goal":
            return pick.choice(TEXTS)
        if name == "view":
            return pick.choice(["brief", "full", "graph", "list"])
        if name in ("page", "max_parallel"):
            return pick.randint(1, 4)
        if name == "again":
            return pick.random() < 0.5
        if name in ("plan_id", "run_id"):
            return pick.choice(self.ids)
        if name == "steps":
            return [self._step(n) for n in range(1, pick.randint(1, 5))]
        if name == "answers":
            return [{"order": pick.choice(self.ids), "answer": self._anything()} for _ in range(pick.randint(0, 2))]
        return pick.choice([pick.choice(TEXTS), pick.choice(NUMBERS), True, False])

    def _step(self, number: int) -> Any:
        pick = self._random
        step: dict[str, Any] = {
            "id": number if pick.random() < 0.9 else self._anything(),
            "tool": (tool := pick.choice(TOOLS)),
            "arguments": {
                "calculate": {"expression": pick.choice(["1+1", "{{1}}", "(" * 99])},
                "analyze": {"question": pick.choice(TEXTS), "data": self._anything()},
                "write_file": {"path": pick.choice(["b.txt", "{{1}}"]), "content": self._anything()},
                "list_files": {},
            }.get(tool, {"path": pick.choice(TEXTS)}),
            "depends_on": [pick.randint(1, number) for _ in range(pick.randint(0, 2)) if number > 1],
        }
        if pick.random() < 0.05:
            step["arguments"] = self._anything()
        for key in list(step):
            if pick.random() < 0.05:
                del step[key]
        return step

    def _anything(self, depth: int = 0) -> Any:
        pick = self._random
        kind = pick.randint(0, 7 if depth < 3 else 4)
        if kind <= 1:
            return pick.choice(TEXTS)
        if kind == 2:
            return pick.choice(NUMBERS)
        if kind <= 4:
            return pick.choice([None, True, False])
        if kind == 5:
            return [self._anything(depth + 1) for _ in range(pick.randint(0, 3))]
        if kind == 6:
            return {pick.choice(TEXTS): self._anything(depth + 1) for _ in range(pick.randint(0, 3))}
        return {"id": self._anything(depth + 1), "tool": pick.choice(TOOLS)}


@pytest.mark.parametrize(("mode", "cases"), [("2026-07-28", CASES - 2000), ("legacy", 2000)])
@pytest.mark.takes(17)
async def test_whatever_is_thrown_at_a_tool_it_answers_cleanly(
    make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture, mode: str, cases: int
) -> None:
    generator = Generator(seed=20261123)
    caplog.set_level(logging.ERROR)
    errors = results = 0
    async with Client(build_server(make_settings(silence=0.02)), mode=mode) as client:
        for number in range(cases):
            name, arguments = generator.call()
            try:
                with anyio.fail_after(30):
                    result = await client.call_tool(name, arguments)
            except MCPError as error:
                pytest.fail(f"case {number}: {name} {arguments!r} gave a protocol error: {error}")
            view = result.structured_content
            assert view is not None, (number, name, arguments, result)
            assert view["next"], (number, name, arguments)
            assert isinstance(result.content[0], TextContent)
            errors += bool(result.is_error)
            results += not result.is_error
            generator.ids += [str(view[key]) for key in ("plan_id", "run_id") if key in view]
            waiting: list[Any] = view.get("waiting_on", [])
            generator.ids += [str(each.get("order") or each.get("gate")) for each in waiting if hasattr(each, "get")]
            del generator.ids[:-40]
        with anyio.fail_after(10):
            assert not (await client.call_tool("get_plan", {})).is_error, "still alive"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert min(errors, results) > cases / 8, (errors, results)
