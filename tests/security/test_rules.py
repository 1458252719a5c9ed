"""A rule may not be widened: not by quoting, look-alikes, line breaks, options, case or links."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import journal_of, run_steps, states_of

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_tools import Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

COMMANDS = [
    "echo ok; touch evil",
    "echo ok && touch evil",
    "echo ok || touch evil",
    "echo ok & touch evil",
    "echo ok | tee evil",
    "echo ok > evil",
    "echo ok\ntouch evil",
    "echo ok\rtouch evil",
    "echo ok $(touch evil)",
    "echo ok `touch evil`",
    'echo ok "$(touch evil)"',
    "echo ok <(touch evil)",
    "echo ok ${IFS}x",
    "echo ok *",
    "echo ok ?",
    "echo ok [a-z]",
    "echo ok ~",
    "echo ok {a,b}",
    "echo ok \\\ntouch",
    "echo ok # x",
    "echo ok 'open",
    "PATH=. echo ok",
    "'PATH=.' echo ok",
    "./echo ok",
    "ECHO ok",
    "Echo ok",
    "\u0435cho ok",
    "e\u200bcho ok",
    "echo\u00a0ok",
    "echo\u3000ok",
    "echo\u2028ok",
    "echo -- ok",
    "echo -n ok",
    '"echo ok"',
    "echo OK",
    "echo okay",
    "env echo ok",
    " \t\n echo ok",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_no_spelling_of_another_command_is_covered(line: str) -> None:
    tools = builtin(Folders([Path.cwd()]), risks={"run_command(echo ok *)": Risk.LOW})
    assert tools.risk("run_command", {"command": line}) is Risk.HIGH
    assert tools.risk("run_command", {"command": "echo 'ok' -- --any 'x y'"}) is Risk.LOW


@pytest.mark.anyio
async def test_a_command_that_hides_another_one_is_asked_about(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(risks={"run_command(echo ok *)": Risk.LOW}, terms=Terms(replan="never"))
    lines = ["echo 'ok' fine", "echo ok; touch evil", "echo ok\ntouch evil", "echo ok `touch evil`"]
    steps: list[dict[str, Any]] = [
        {"id": number, "tool": "run_command", "arguments": {"command": line}} for number, line in enumerate(lines, 1)
    ]
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, steps)
        states = await states_of(client, run["plan_id"])
    assert states == {1: "succeeded", 2: "waiting", 3: "waiting", 4: "waiting"}
    assert [use.body["step"] for use in journal_of(settings, run, "rule_used")] == [1]
    assert not (work / "evil").exists()


@pytest.mark.anyio
async def test_no_path_leads_out_of_what_a_rule_shows(make_settings: Callable[..., Settings], work: Path) -> None:
    for folder in ("docs", "docs/deep", "other"):
        (work / folder).mkdir()
    for file in ("docs/a", "docs/deep/a", "other/a"):
        (work / file).write_text("x", encoding="utf-8")
    (work / "docs/link").symlink_to(work / "other/a")
    (work / "docs/out").symlink_to(work / "other")
    (work / "other/back").symlink_to(work / "docs/a")
    paths = [
        "docs/../other/a",
        "docs/deep/a",
        "docs/link",
        "docs/out/a",
        "other/back",
        "other/a",
        "./docs/./deep/../deep/a",
    ]
    settings = make_settings(risks={"delete_file(docs/*)": Risk.LOW}, terms=Terms(replan="never"))
    async with Client(build_server(settings)) as client:
        for path in paths:
            step = {"id": 1, "tool": "delete_file", "arguments": {"path": path}}
            assert (await run_steps(client, [step]))["status"] == "waiting", path
        step = {"id": 1, "tool": "delete_file", "arguments": {"path": "docs/a"}}
        assert (await run_steps(client, [step]))["status"] == "succeeded"
    assert (work / "other/a").exists()
