"""Calls that write the same thing, or read what another writes, never overlap, whatever the plan says."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Decision, InMemoryJournal, Slot
from forethought_patterns.rollback import UndoableCall, roll_back
from forethought_tools import JSON, Answerer, Kept, Question, Registry, Risk, Stands, Tool
from forethought_tools.builtin import builtin
from forethought_tools.claims import Claim, Claims
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools

pytestmark = pytest.mark.anyio

PATHS = st.frozensets(st.sampled_from([("r",), ("r", "a"), ("r", "a", "b"), ("r", "c"), ("s",)]), max_size=2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.builds(Claim, reads=PATHS, writes=PATHS), st.integers(0, 3)), max_size=8))
async def test_none_that_clash_overlap_and_everyone_gets_a_turn(calls: list[tuple[Claim, int]]) -> None:
    claims = Claims()
    under_way: list[Claim] = []
    done = 0

    async def call(claim: Claim, steps: int) -> None:
        nonlocal done
        async with claims.held(claim):
            assert not any(claim.clashes(other) for other in under_way)
            under_way.append(claim)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            under_way.remove(claim)
            done += 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for claim, steps in calls:
                tasks.start_soon(call, claim, steps)
    assert done == len(calls)


async def test_what_is_given_up_holds_up_nobody() -> None:
    claims = Claims()
    write = Claim(writes=frozenset({("r",)}))
    given_up = anyio.CancelScope()
    came: list[str] = []

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with claims.held(write):
                came.append(name)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks, claims.held(write):
            tasks.start_soon(wait, "second", given_up)
            tasks.start_soon(wait, "third", anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            given_up.cancel()
            await anyio.wait_all_tasks_blocked()
            assert not came
    assert came == ["third"]


async def test_the_file_tools_say_what_they_touch(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    folders = Folders([tmp_path])
    tools = {tool.name: tool for tool in [*file_tools(folders), *table_tools(folders)]}

    def claim(name: str, **arguments: JSON) -> Claim:
        claims = tools[name].claims
        assert claims
        return claims(arguments)

    write = claim("write_file", path="a.csv", content="x")
    assert write.clashes(write)
    assert write.clashes(claim("write_file", path="link.csv", content="x")), "another name for the same file"
    assert write.clashes(claim("read_file", path=str(tmp_path / "a.csv")))
    assert write.clashes(claim("query_table", sql="", paths=["a.csv"]))
    assert write.clashes(claim("search_files", text="x"))
    assert not write.clashes(claim("write_file", path="b.csv", content="x"))
    assert not claim("read_file", path="a.csv").clashes(claim("search_files", text="x"))
    assert not claim("read_file", path="../outside").writes


async def test_a_registry_keeps_clashing_calls_apart() -> None:
    inside = 0
    most: dict[str, int] = {"same": 0, "other": 0}

    async def slow(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        nonlocal inside
        inside += 1
        key = "same" if arguments["path"] == "x" else "other"
        most[key] = max(most[key], inside)
        for _turn in range(5):
            await anyio.lowlevel.checkpoint()
        inside -= 1
        return None

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=frozenset({(str(arguments["path"]),)}))

    registry = Registry([Tool("slow", "", {"type": "object"}, slow, Risk.MEDIUM, claims=writes)])

    async def nobody(question: Question) -> JSON:
        raise AssertionError(question)

    for paths in (["x"] * 5, ["1", "2", "3"]):
        async with anyio.create_task_group() as tasks:
            for path in paths:
                tasks.start_soon(registry.call, "slow", {"path": path}, nobody)
    assert most == {"same": 1, "other": 3}


def test_while_a_command_runs_no_other_step_touches_the_folders(work: Path) -> None:
    """What it reads and writes nobody knows."""
    tools = builtin(Folders([work]))
    command = tools.known("run_command")
    assert command.claims is not None
    others: dict[str, dict[str, JSON]] = {
        "read_file": {"path": "a.txt"},
        "list_files": {},
        "run_command": {"command": "x"},
    }
    for name, arguments in others.items():
        other = tools.known(name)
        assert other.claims is not None
        assert command.claims({"command": "make"}).clashes(other.claims(arguments)), name


async def test_a_call_is_taken_back_while_no_other_touches_what_it_wrote() -> None:
    log: list[str] = []
    claim = Claim(writes=frozenset({("a",)}))

    class Noted:
        def keeps(self, arguments: Mapping[str, JSON]) -> bool:
            return True

        async def before(self, arguments: Mapping[str, JSON]) -> Kept:
            return {}

        async def stands(self, kept: Kept) -> Stands:
            return "as left"

        async def back(self, kept: Kept) -> None:
            log.append("taken back")

        def touches(self, kept: Kept) -> Claim:
            return claim

        def described(self, kept: Kept) -> str:
            return "take it back"

    async def nothing(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        return None

    tools = Registry([Tool("write", "", {"type": "object"}, nothing, Risk.MEDIUM, undo=Noted())])
    memory = InMemoryJournal(ScriptedModel({}), lambda _: Decision("approve"))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks, tools.place_for(claim).held():
            effects = [UndoableCall("1", 1, "write", {})]
            tasks.start_soon(partial(roll_back, effects, tools, memory, memory, slot=Slot(), of="a run", lasting=()))
            await anyio.wait_all_tasks_blocked()
            log.append("left alone")
    assert log == ["left alone", "taken back"]
