"""Servers over standard input and output that are killed at random: everything is done, and nothing twice.

Counted by what is in a file that the steps write. A person approves, and looks there when a call was cut off. On SQLite
one server is started again and again; on PostgreSQL there are two, and the other goes on.
"""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import names_in, view
from tests.stores import COMMAND, environment

from forethought.app import open_store
from forethought.journal.audit import fault
from forethought.settings import Settings

pytestmark = pytest.mark.anyio

KILLS = 8
STEPS: list[dict[str, Any]] = [
    *({"id": n, "tool": "run_command", "arguments": {"command": f"echo line-{n} >> effects.txt"}} for n in (1, 2, 3)),
    {"id": 4, "tool": "write", "arguments": {"brief": "say it"}, "strategy": "reflect"},
    {
        "id": 5,
        "tool": "analyze",
        "arguments": {"question": "where"},
        "strategy": "search",
        "check": {"matches": "found"},
    },
    {"id": 8, "tool": "write_file", "arguments": {"path": "made/note.txt", "content": "whole"}, "depends_on": [3]},
    {"id": 9, "tool": "wait", "arguments": {"seconds": 0.15}, "depends_on": [3, 4]},
    {"id": 10, "tool": "wait", "arguments": {"seconds": 0.15}, "depends_on": [9]},
    {"id": 6, "tool": "read_file", "arguments": {"path": "missing.txt"}, "depends_on": [1, 5]},
    {"id": 7, "tool": "run_command", "arguments": {"command": "echo never >> effects.txt"}, "depends_on": [6]},
]
INSTEAD = {
    "id": 11,
    "description": "",
    "tool": "run_command",
    "depends_on": [2, 10],
    "expected_output": "",
    "arguments": [{"name": "command", "value": "echo line-8 >> effects.txt"}],
    "confidence": 1,
    "strategy": "direct",
}
LOOPS: list[dict[str, Any]] = [
    {
        "id": 1,
        "tool": "run_command",
        "for_each": [1, 2, 3],
        "arguments": {"command": "echo line-{{item}} >> effects.txt"},
    },
    {
        "id": 2,
        "tool": "write_file",
        "for_each": list(range(6)),
        "when": "{{item}} != 3",
        "arguments": {"path": "made/{{item}}.txt", "content": "n {{item}}"},
    },
    {
        "id": 3,
        "tool": "wait",
        "for_each": "{{2}}",
        "arguments": {"seconds": "{{index}}"},
        "when": "{{index}} < 1",
        "depends_on": [1],
    },
    {"id": 4, "tool": "read_file", "arguments": {"path": "missing.txt"}, "depends_on": [3]},
]
LOOP_INSTEAD = {
    "id": 19,  # 4 steps, and 3, 6 and 5 items
    "description": "",
    "tool": "run_command",
    "depends_on": [3],
    "expected_output": "",
    "arguments": [{"name": "command", "value": "echo line-{{item}} >> effects.txt"}],
    "confidence": 1,
    "strategy": "direct",
    "for_each": "[8, 9]",
    "when": None,
}
SAYS: dict[str, Any] = {
    "executor": "words",
    "critic": {"scores": {"1": 9, "2": 9, "3": 9}, "approved": True, "lessons": [], "issues": []},
    "proposer": {"candidates": [{"thought": "", "tool": "answer", "arguments": [], "answer": "found"}]},
    "evaluator": {"1": {"score": 9, "solved": True}},
}


class Chaos:
    """One plan, servers that drive it, and somebody who kills them."""

    def __init__(
        self,
        settings: Settings,
        work: Path,
        chance: random.Random,
        steps: list[dict[str, Any]] = STEPS,
        instead: dict[str, Any] = INSTEAD,
    ) -> None:
        self.settings = settings
        self.effects = work / "effects.txt"
        self.chance = chance
        self._steps = steps
        self._says = {**SAYS, "planner": {"reasoning": "", "steps": [instead]}}
        self.kills = 0
        self._most = KILLS
        self.plan_id = ""
        self.run_id = ""
        """What is to be rolled back, once it has ended."""
        self._making = anyio.Lock()
        self.ended: dict[str, Any] = {}
        self._work = work

    def seen(self) -> list[str]:
        return self.effects.read_text(encoding="utf-8").split() if self.effects.exists() else []

    def server(self, number: int) -> StdioServerParameters:
        script = self._work.parent / f"server-{number}.json"
        script.write_text(json.dumps({role: [{"always": said}] for role, said in self._says.items()}), encoding="utf-8")
        arguments = ["serve", "--folder", str(self._work), "--model", f"scripted:{script}"]
        return StdioServerParameters(command=COMMAND, args=arguments, env=environment(self.settings))

    async def person(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        verb = "approve"
        if "was cut off" in params.message:
            line = next(word for word in params.message.split() if word.startswith("line-"))
            verb = "happened" if line in self.seen() else "again"
        return ElicitResult(action="accept", content={"decision": verb})

    async def drive(self, number: int) -> None:
        """Stay with the plan through this server, and start it again whenever it was killed."""
        while not self.ended:
            try:
                async with (
                    Client(self.server(number), elicitation_callback=self.person) as client,
                    anyio.create_task_group() as tasks,
                ):
                    async with self._making:
                        if not self.plan_id:
                            made = await client.call_tool("create_plan", {"goal": "g", "steps": self._steps})
                            self.plan_id = str(view(made)["plan_id"])
                    if self.chance.random() < 0.95 and self.kills < self._most:
                        tasks.start_soon(self.kill, number)
                    while not self.ended:
                        call = (
                            ("rollback", {"run_id": self.run_id})
                            if self.run_id
                            else ("execute_plan", {"plan_id": self.plan_id})
                        )
                        told = await client.call_tool(*call)
                        done = view(told)
                        if "not resumed" in str(done.get("error")):
                            # Killed twice before it came to anything: somebody has to say that it goes on.
                            resumed = [COMMAND, "resume", str(done["run_id"])]
                            await anyio.run_process(resumed, env=environment(self.settings))
                        if done["status"] in ("succeeded", "failed", "cancelled"):
                            self.ended = done
                    tasks.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                assert not group.split(AssertionError)[0], group  # else the connection is gone, as it should be

    async def until_ended(self) -> dict[str, Any]:
        """Drive it to its end, through at most so many kills: on a busy machine no server gets far before its own."""
        self.ended = {}
        self._most = self.kills + KILLS
        async with anyio.create_task_group() as tasks:
            for number in range(2 if self.settings.store else 1):
                tasks.start_soon(self.drive, number)
        assert self.ended["status"] == "succeeded", self.ended
        return self.ended

    async def kill(self, number: int) -> None:
        await anyio.sleep(self.chance.uniform(0.0, 0.4))
        which = ["pkill", "-KILL", "-f", f"{self._work}.*server-{number}.json"]
        killed = await anyio.to_thread.run_sync(subprocess.run, which)
        self.kills += killed.returncode == 0


def _agrees(settings: Settings, run_id: str, *, steps: int) -> None:
    """The journal of a run holds together: it was planned anew once, and each step, and each item, ends once."""
    store = open_store(settings)
    entries = store.queries.journal(run_id, limit=10_000)
    assert not fault(store.queries, run_id)
    store.close()
    assert [entry.kind for entry in entries].count("plan_revised") == 1
    settled = [int(str(entry.body["step"])) for entry in entries if entry.kind == "step_settled"]
    assert sorted(settled) == [*range(1, steps + 1)], "each step and each item ends once"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.takes(20)
async def test_servers_that_are_killed_at_random_do_everything_exactly_once(
    make_settings: Callable[..., Settings], work: Path, seed: int
) -> None:
    settings, chance, kills = make_settings(), random.Random(seed), 0
    with anyio.fail_after(900):
        while kills < KILLS:
            chaos = Chaos(settings, work, chance)
            chaos.effects.unlink(missing_ok=True)
            chaos.run_id = str((await chaos.until_ended())["run_id"])
            assert sorted(chaos.seen()) == ["line-1", "line-2", "line-3", "line-8"]
            _agrees(settings, chaos.run_id, steps=11)
            assert (work / "made" / "note.txt").read_text(encoding="utf-8") == "whole"
            await chaos.until_ended()
            assert not (work / "made").exists(), "it was undone, whoever was killed meanwhile"
            kills += chaos.kills


@pytest.mark.takes(20)
async def test_a_loop_whose_server_is_killed_does_each_item_once_and_loses_none(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings, chance, kills = make_settings(), random.Random(7), 0
    with anyio.fail_after(900):
        while kills < KILLS:
            chaos = Chaos(settings, work, chance, LOOPS, LOOP_INSTEAD)
            chaos.effects.unlink(missing_ok=True)
            chaos.run_id = str((await chaos.until_ended())["run_id"])
            assert sorted(chaos.seen()) == ["line-1", "line-2", "line-3", "line-8", "line-9"]
            made = {name: (work / "made" / name).read_text(encoding="utf-8") for name in names_in(work / "made", "*")}
            assert made == {f"{n}.txt": f"n {n}" for n in (0, 1, 2, 4, 5)}
            _agrees(settings, chaos.run_id, steps=21)
            await chaos.until_ended()
            assert not (work / "made").exists(), "it was undone, whoever was killed meanwhile"
            kills += chaos.kills
