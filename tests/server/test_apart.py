"""Calls of different servers that write the same thing, or read what another writes, never overlap either."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view
from tests.serving import serving, settle
from tests.stores import COMMAND, environment

from forethought.engine.kinds import plan as plans
from forethought.engine.runs import Runs
from forethought.journal.audit import fault
from forethought.journal.rows import Fact
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_tools import JSON, Answerer, Claim, Registry, Risk, Tool

pytestmark = pytest.mark.anyio


class Room:
    """Tools of one server, whose calls note that they are under way until they may end."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.most = 0
        self.odd = ""
        self.entered: dict[str, anyio.Event] = {}
        self.may_end = anyio.Event()

    def tools(self, server: str) -> Registry:
        async def work(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
            name = f"{server} {arguments['path']}"
            self.inside.append(name)
            self.most = max(self.most, len(self.inside))
            self.entered.setdefault(name, anyio.Event()).set()
            try:
                await self.may_end.wait()
            finally:
                self.inside.remove(name)
            return True

        def writes(arguments: Mapping[str, JSON]) -> Claim:
            return Claim(writes=frozenset({("r", str(arguments["path"]))}))

        def reads(_: Mapping[str, JSON]) -> Claim:
            return Claim(reads=frozenset({("r",)}))

        def somewhere(_: Mapping[str, JSON]) -> Claim:
            return Claim(writes=frozenset({("r", self.odd)}))

        schema: dict[str, JSON] = {"type": "object"}
        return Registry(
            [
                Tool("write", "", schema, work, Risk.LOW, repeatable=True, claims=writes),
                Tool("look", "", schema, work, Risk.LOW, repeatable=True, claims=reads),
                Tool("odd", "", schema, work, Risk.LOW, repeatable=True, claims=somewhere),
                Tool("free", "", schema, work, Risk.LOW, repeatable=True),
            ]
        )

    async def begun(self, name: str) -> None:
        await self.entered.setdefault(name, anyio.Event()).wait()


async def started(runs: Runs, tool: str, path: str, **more: Any) -> str:
    step: dict[str, JSON] = {"id": 1, "tool": tool, "arguments": {"path": path}, **more}
    return (await plans.start(runs, await plans.save(runs, "g", "", [step]))).id


async def in_line(runs: Runs, run_id: str) -> None:
    """Wait until a run has claimed something, or waits for it."""
    while not [entry for entry in runs.queries.journal(run_id) if entry.kind == "claimed"]:
        await runs.watchers.changed(run_id, 0.05)


async def ended(runs: Runs, *run_ids: str) -> None:
    for run_id in run_ids:
        await settle(runs, run_id, lambda: True)
        assert runs.queries.run(run_id).state == "succeeded", runs.queries.run(run_id).error
        assert not fault(runs.queries, run_id)


@pytest.mark.parametrize("second", ["write", "look"])
async def test_a_call_waits_for_one_of_another_server(make_settings: Callable[..., Settings], second: str) -> None:
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
            one = await started(a, "write", "x")
            await room.begun("A x")
            two = await started(b, second, "x")
            other = await started(b, "write", "y" if second == "write" else "none")
            if second == "write":
                await room.begun("B y")  # who touches something else does not wait
            await started(b, "free", "z")
            await room.begun("B z")  # the claim of x was asked for before this
            assert "B x" not in room.inside
            assert b.queries.steps(two)[0].state == "pending"
            room.may_end.set()
            await ended(a, one)
            await ended(b, two, other)


async def test_a_call_of_a_check_waits_too_and_is_waited_for(make_settings: Callable[..., Settings]) -> None:
    settings, room = make_settings(), Room()
    check = {"tool": "write", "arguments": {"path": "x"}}
    with anyio.fail_after(60):
        async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
            one = await started(a, "write", "x", check=check)
            await room.begun("A x")
            two = await started(b, "write", "x", check=check)
            room.may_end.set()
            await ended(a, one)
            await ended(b, two)
    assert room.most == 1


async def test_whoever_has_died_is_in_nobodys_way(make_settings: Callable[..., Settings]) -> None:
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with serving(settings, room.tools("B")) as b:
            async with AsyncExitStack() as life:
                a = await life.enter_async_context(serving(settings, room.tools("A")))
                one = await started(a, "write", "x")
                await room.begun("A x")
                two = await started(b, "write", "x")
            await room.begun("B x")  # of either run: the other is taken over, and waits for it
            room.may_end.set()
            await ended(b, one, two)


async def test_whoever_is_done_is_in_nobodys_way_though_the_run_goes_on(make_settings: Callable[..., Settings]) -> None:
    """A claim ends with its call, and not with the run."""
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
            room.may_end.set()
            steps: list[JSON] = [
                {"id": 1, "tool": "write", "arguments": {"path": "x"}},
                {"id": 2, "tool": "free", "arguments": {"path": "later"}, "depends_on": [1]},
            ]
            plan = await plans.save(a, "g", "", steps)
            run = (await plans.start(a, plan)).id
            await ended(b, await started(b, "write", "x"))
            await ended(a, run)


@asynccontextmanager
async def one_behind_another(settings: Settings, room: Room) -> AsyncGenerator[tuple[Runs, str, Runs, str]]:
    """Two servers, each with its run: a call of the first writes, and one of the second waits for it."""
    async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
        one = await started(a, "write", "x")
        await room.begun("A x")
        two = await started(b, "write", "x")
        await in_line(b, two)
        yield a, one, b, two


async def test_first_come_first_served_among_servers_too(make_settings: Callable[..., Settings]) -> None:
    """Whoever has many calls of the kind does not make another wait for all of them."""
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
            steps: list[JSON] = [
                {"id": n, "tool": "write", "arguments": {"path": "x", "n": n}, "depends_on": [n - 1] if n > 1 else []}
                for n in range(1, 31)
            ]
            many = (await plans.start(a, await plans.save(a, "g", "", steps))).id
            await room.begun("A x")
            one = await started(b, "write", "x")
            await in_line(b, one)
            room.may_end.set()
            await room.begun("B x")
            assert a.queries.progress(many)["succeeded"] < 3
            await ended(a, many)
            await ended(b, one)


async def test_a_call_that_waits_for_another_server_does_not_begin_once_a_pause_is_wanted(
    make_settings: Callable[..., Settings],
) -> None:
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with one_behind_another(settings, room) as (a, one, b, two):
            b.store.commit(two, Fact("pause_asked"))
            while b.queries.run(two).state != "paused":
                await b.watchers.changed(two, 0.05)
            room.may_end.set()
            await ended(a, one)
            assert room.entered.keys() == {"A x"}
            b.store.commit(two, Fact("resume_asked"))
            await ended(b, two)


async def test_a_pause_reaches_whoever_waits_behind_one_that_waits(make_settings: Callable[..., Settings]) -> None:
    """For its place in this server, or for what is left of a budget."""
    settings, room = make_settings(), Room()
    with anyio.fail_after(60):
        async with one_behind_another(settings, room) as (a, one, b, two):
            behind = await started(b, "write", "x")
            steps: list[JSON] = [{"id": n, "tool": "write", "arguments": {"path": "x"}} for n in (1, 2)]
            terms = Terms(budget={"tool_calls": 1})
            dear = (await plans.start(b, await plans.save(b, "g", "", steps), terms)).id
            for run in (behind, dear):
                b.store.commit(run, Fact("pause_asked"))
                while b.queries.run(run).state != "paused":
                    await b.watchers.changed(run, 0.05)
                b.store.commit(run, Fact("resume_asked"))
            room.may_end.set()
            await ended(a, one)
            await ended(b, two, behind, dear)


async def test_odd_names_and_secret_ones_clash_with_themselves(make_settings: Callable[..., Settings]) -> None:
    """In the journal they are not written as they are."""
    settings, room = make_settings(api_key="sk-very-secret-1"), Room()
    with anyio.fail_after(60):
        async with serving(settings, room.tools("A")) as a, serving(settings, room.tools("B")) as b:
            for room.odd in ("caf\udce9", "sk-very-secret-1"):
                runs = [await started(runs, "odd", "x") for runs in (a, b)]
                while len(room.inside) < 1 or not [e for e in b.queries.journal(runs[1]) if e.kind == "claimed"]:
                    await b.watchers.changed(runs[1], 0.05)
                assert len(room.inside) == 1
                room.may_end.set()
                await ended(a, runs[0])
                await ended(b, runs[1])
                room.may_end = anyio.Event()
    assert room.most == 1


async def test_two_servers_do_what_clashes_one_after_the_other(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """Real servers over standard input and output. Whoever finds the folder there was not alone."""
    settings = make_settings()
    command = "mkdir busy && echo x >> all && sleep 0.05 && rmdir busy"
    steps = [{"id": n, "tool": "run_command", "arguments": {"command": command}} for n in (1, 2)]
    arguments = ["serve", "--folder", str(work), "--model", "host"]
    server = StdioServerParameters(command=COMMAND, args=arguments, env=environment(settings))
    seen: list[str] = []

    async def through(client: Client) -> None:
        made = await client.call_tool("create_plan", {"goal": "g", "steps": steps})
        plan = {"plan_id": view(made)["plan_id"]}
        while (done := view(await client.call_tool("execute_plan", plan)))["status"] == "waiting":
            pass  # it has not even begun
        seen.append(done["status"])

    with anyio.fail_after(120):
        async with (
            Client(server, elicitation_callback=approve) as one,
            Client(server, elicitation_callback=approve) as two,
            anyio.create_task_group() as tasks,
        ):
            for client in (one, two, one, two):
                tasks.start_soon(through, client)
    assert seen == ["succeeded"] * 4
    assert (work / "all").read_text(encoding="utf-8") == "x\n" * 8
