"""Ten thousand generated calls, and some made to be hard: each gets a clean tool error or a result, and the server
lives on."""

import logging
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent
from tests.watchdog import watched

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

CASES = 10_000
HARD_CASES = 250
PARAMETERS = {
    "create_plan": ["goal", "context", "steps"],
    "execute_plan": ["plan_id", "max_parallel", "again"],
    "get_plan": ["plan_id", "view", "page"],
    "update_plan": ["plan_id", "revision", "steps", "drop"],
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
HARD = [
    "-" * 20_000,
    "a-a-a-../" * 2_222,
    "{{" + "1" * 19_000,
    "{{1." + "a." * 9_000 + "}}",
    "{{1.files." + "9" * 5_000 + "}}",
    "{{ " * 6_000,
    "[" * 15_000,
    "```\n" * 4_000,
]
PATTERNS = [
    *("^a", "(", "^(a|a)*$", "((((a{200}){200}){200}){200})", "(?R)", "(?:(?:a+)+)+$", "a" * 3_000, "(?<x>a)\\g<x>"),
    *("[", "(" * 900, "\\p{L}+", "(?e)(?:abc){e<=30}", "x{,99999}", ""),
]
SCHEMAS: list[Any] = [
    {"type": "string"},
    {"type": 5},
    {"pattern": "^(a+)+$"},
    {"$ref": "#"},
    {"$ref": "#/$defs/none"},
    {"$ref": "http://127.0.0.1:9/"},
    {"$dynamicRef": "file:///etc/passwd"},
    {"$id": "file:///etc/", "$ref": "passwd"},
    {"multipleOf": 1e-300},
    {"uniqueItems": True, "items": {"uniqueItems": True}},
    {"enum": ["a" * 60_000]},
    {"allOf": [{"allOf": [{"allOf": [{}] * 20}] * 20}] * 20},
    {"$ref": "#/$defs/0", "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}},
]
EXPRESSIONS = [
    "len(value) > 0",
    "value",
    "(" * 99,
    "9**9**9",
    "factorial(999)*" * 90 + "1",
    "words(text)",
    "text*9",
    "0/0",
]
LISTS = [
    "{{1.files}}",
    '[1, {"a": "{{1}}"}, null]',
    "[" + "[]," * 900 + "1]",
    "{{item}}",
    "{{1" + ".a" * 9_000 + "}}",
    "[" + "9" * 4_000 + "]",
    '["\u202e", "{{result}}", "' + "x" * 15_000 + '"]',
]
CONDITIONS = [
    "len({{1.files}}) > 0",
    "{{item}} == 1",
    "{{1}}" * 300,
    "not " * 400 + "{{1}}",
    " or ".join(["len({{item}}) > 1"] * 80),
    "{{1.files}} > " + "2**" * 300 + "2",
    "2**4000 * 2**4000 * 2**4000 * 2**4000 + len({{1.files}})",
    "0x" + "f" * 1_900 + " > {{1}}",
    "{{1" + ".a" * 900 + "}} > 0",
]
OF_ITEMS = [
    "{{item}}",
    "{{item}}" * 2_000,
    "{{item." + "a." * 900 + "a}}",
    "{{index}}",
    "{{item.0}}",
    "{{ item }} {{1}}",
]
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
        if name in ("page", "max_parallel", "revision"):
            return pick.randint(1, 4)
        if name == "again":
            return pick.choice(["failed", "all", True, False, None])
        if name in ("plan_id", "run_id"):
            return pick.choice(self.ids)
        if name == "drop":
            return [pick.randint(1, 5) for _ in range(pick.randint(0, 2))]
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


class HardGenerator(Generator):
    """Calls whose goals, references, checks and verifiers are made to take for ever, or all memory."""

    def call(self) -> tuple[str, dict[str, Any]]:
        pick = self._random
        steps = [self._hard_step(number) for number in range(1, pick.randint(2, 4))]
        calls: list[tuple[str, dict[str, Any]]] = [
            ("create_plan", {"goal": "g", "steps": steps}),
            ("create_plan", {"goal": pick.choice(HARD)}),
            ("execute_plan", {"plan_id": pick.choice(self.ids)}),
            ("lats_search", {"goal": pick.choice(HARD), "verifier": self._check()}),
            ("reflect", {"task": "t", "draft": pick.choice(HARD), "checks": [self._check(), self._check()]}),
            ("report", {"run_id": pick.choice(self.ids), "answers": [self._hard_answer()]}),
            ("update_plan", {"plan_id": pick.choice(self.ids), "revision": 1, "steps": steps, "drop": [7]}),
        ]
        return pick.choice(calls)

    def _hard_step(self, number: int) -> dict[str, Any]:
        pick = self._random
        step: dict[str, Any] = {"id": number, "tool": "list_files", "arguments": {}, "check": self._check()}
        if pick.random() < 0.5:
            expression = pick.choice(["10**400", "{{1}}", *EXPRESSIONS])
            step |= {"tool": "calculate", "arguments": {"expression": expression}}
        if pick.random() < 0.3:
            step |= {"tool": "write_file", "arguments": {"path": "b.txt", "content": pick.choice(HARD)}}
        if pick.random() < 0.3:
            step |= {"for_each": pick.choice(LISTS), "expected_output": pick.choice(OF_ITEMS)}
            step |= {"tool": "write_file", "arguments": {"path": "b.txt", "content": pick.choice(OF_ITEMS)}}
        if pick.random() < 0.3:
            step["when"] = pick.choice(CONDITIONS)
        if pick.random() < 0.1:
            task = {
                "task": "t" * 4_000,
                "material": pick.choice(HARD),
                "tools": ["read_file"] * 50,
                "writes": [HARD[1]],
            }
            step |= {"tool": "delegate", "arguments": task}
        return step

    def _check(self) -> dict[str, Any]:
        pick = self._random
        choices: dict[str, Any] = {
            "at": pick.choice(["", "files.0.path", "9" * 900, "9" * 5_000]),
            "schema": pick.choice(SCHEMAS),
            "matches": pick.choice(PATTERNS),
            "equals": pick.choice(NUMBERS),
            "expression": pick.choice(EXPRESSIONS),
            "tool": pick.choice(TOOLS),
            "arguments": {"path": "c.txt", "content": "{{result}}" * pick.choice([1, 15_000])},
        }
        return {name: choices[name] for name in pick.sample(list(choices), pick.randint(1, 3))}

    def _hard_answer(self) -> dict[str, Any]:
        pick = self._random
        planned = {"reasoning": "r", "steps": [self._hard_step(1)]}
        answers: list[Any] = [planned, {"note": pick.choice(HARD)}, {"failed": pick.choice(HARD)}, pick.choice(HARD)]
        return {"order": pick.choice(self.ids), "answer": pick.choice([*answers, '{"result": ' + "[" * 9_000])}


@pytest.mark.takes(60)
async def test_whatever_is_made_to_be_hard_freezes_nothing(
    make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with Client(build_server(make_settings(silence=0.02))) as client, watched(client):
        errors, results = await _thrown(client, HardGenerator(seed=20261128), HARD_CASES)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert min(errors, results) > HARD_CASES / 8, (errors, results)


@pytest.mark.parametrize(("mode", "share"), [("2026-07-28", 0.8), ("legacy", 0.2)])
@pytest.mark.takes(17)
async def test_whatever_is_thrown_at_a_tool_it_answers_cleanly(
    make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture, store: str | None, mode: str, share: float
) -> None:
    caplog.set_level(logging.ERROR)
    cases = int(share * CASES / (5 if store else 1))  # fewer over PostgreSQL: what is thrown hardly ever reaches it
    async with Client(build_server(make_settings(silence=0.02)), mode=mode) as client:
        errors, results = await _thrown(client, Generator(seed=20261123), cases)
        with anyio.fail_after(60):
            assert not (await client.call_tool("get_plan", {})).is_error, "still alive"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert min(errors, results) > cases / 8, (errors, results)


async def _thrown(client: Client, generator: Generator, cases: int) -> tuple[int, int]:
    """How many of so many calls gave an error, and how many a result. All of them are clean."""
    errors = results = 0
    for number in range(cases):
        name, arguments = generator.call()
        try:
            with anyio.fail_after(120):
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
    return errors, results
