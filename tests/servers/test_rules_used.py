"""Each use of a rule is in the journal, whoever makes the call."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import DONE, delete, in_full, journal_of, run_steps, view
from tests.server.ruling import always

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

AGENT: list[dict[str, Any]] = [
    *(
        {"thought": "", "tool": "delete_file", "arguments": [{"name": "path", "value": path}], "answer": ""}
        for path in ("one.txt", "two.txt")
    ),
    {"thought": "", "tool": "answer", "arguments": [], "answer": "Both are gone."},
]


def step(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"id": 1, "tool": tool, "arguments": arguments}


ECHO, LIST = step("run_command", command="echo 1"), step("run_command", command="ls", folder=".")
OLD, OTHER = delete(1, "old.txt"), step("small/delete_file", path="x")
LOOP = {**step("delete_file", path="{{item}}"), "for_each": ["one.txt", "two.txt"]}
WORK = step("delegate", task="tidy up", tools=["delete_file"])


@pytest.mark.parametrize(
    ("asked", "which", "then", "rules"),
    [
        pytest.param(ECHO, 2, step("run_command", command="echo 2"), ["run_command(echo *)"], id="a command"),
        pytest.param(LIST, 1, LIST, ["run_command(command=ls, folder=.)"], id="all its arguments"),
        pytest.param(OLD, 2, delete(1, "one.txt"), ["delete_file(*)"], id="a tool of files"),
        pytest.param(OTHER, 1, OTHER, ["small/delete_file(x)"], id="a tool of a server"),
        pytest.param(OLD, 2, LOOP, ["delete_file(*)"] * 2, id="items of a loop"),
        pytest.param(OLD, 2, WORK, ["delete_file(*)"] * 2, id="an agent"),
    ],
)
async def test_each_use_of_a_rule_is_in_the_journal_and_told_at_its_step(
    with_servers: Callable[..., Settings],
    small: Mapping[str, Any],
    tmp_path: Path,
    work: Path,
    asked: dict[str, Any],
    which: int,
    then: dict[str, Any],
    rules: list[str],
) -> None:
    for name in ("one.txt", "two.txt"):
        (work / name).write_text("x", encoding="utf-8")
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"agent": AGENT, "joiner": [DONE]}), encoding="utf-8")
    settings = with_servers({"small": small}, MODEL=f"scripted:{script}", REPLAN="never")
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [asked]), which)
        run = await run_steps(client, [then])
        with anyio.fail_after(120):
            while run["status"] == "running":
                run = view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"]}))
        assert run["status"] == "succeeded", run
        told = [each["not_asked"] for each in (await in_full(client, run))["steps"] if "not_asked" in each]
    used = journal_of(settings, run, "rule_used")
    assert [use.body["rule"] for use in used] == rules
    assert all(str(use.body["id"]).startswith("rule_") for use in used), "it says which rule of a person it was"
    assert len({str(use.body["digest"]) for use in used}) == len(used), "each call has its own"
    assert {*told} == {f"rule {rule}" for rule in rules}
