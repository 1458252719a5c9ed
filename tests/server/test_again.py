"""A run that failed or was cancelled is taken up: what has succeeded is not done again, all else still is to be."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.fold import fold
from tests.server.asking import (
    APPROVE,
    DONE,
    approve,
    delete,
    flat,
    make_plan,
    person,
    run_steps,
    states_of,
    view,
)
from tests.stores import environment, owned

from forethought.journal.audit import fault
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_tools import Risk

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
REJECT = {"decision": "reject", "reason": "not now"}
# The first has an effect that cannot be mistaken, the second fails until a file is there.
STEPS: list[dict[str, Any]] = [
    {"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects; cat effects"}},
    {"id": 2, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]},
    {"id": 3, "tool": "write_file", "arguments": {"path": "both.txt", "content": "{{1.stdout}}{{2}}"}},
]


def _never(make_settings: Callable[..., Settings], **more: Any) -> Settings:
    return make_settings(terms=Terms(replan="never"), **more)


async def _again(client: Client, run: dict[str, Any], what: Any = "failed", **wishes: Any) -> dict[str, Any]:
    return view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"], "again": what, **wishes}))


def _agree(settings: Settings, *runs: dict[str, Any]) -> None:
    """The rows of these runs are what their entries say, by our SQL and without it."""
    with owned(settings) as store:
        for each in runs:
            run = each["run_id"]
            assert fault(store.queries, run) is None
            _, steps, _ = fold(store.queries.journal(run, limit=10_000))
            for row in store.queries.steps(run):
                folded = steps[row.id]
                assert (row.state, row.result, row.doubt) == (folded["state"], folded["result"], folded["doubt"])


@pytest.mark.parametrize("what", ["failed", True, "true"])
async def test_what_has_succeeded_keeps_its_result_and_the_rest_runs(
    make_settings: Callable[..., Settings], work: Path, era: str, what: object
) -> None:
    seen: list[str] = []
    settings = _never(make_settings)
    async with Client(build_server(settings), mode=era, elicitation_callback=person(APPROVE, seen=seen)) as client:
        failed = await run_steps(client, STEPS)
        assert failed["status"] == "failed"
        assert 'again="failed"' in failed["next"]
        (work / "later.txt").write_text("here", encoding="utf-8")
        done = await _again(client, failed, what)
        assert done["status"] == "succeeded", done
        assert done["run_id"] != failed["run_id"], "the one that failed has ended, and stays as it was"
        assert done["takes_up"] == failed["run_id"]
        assert await states_of(client, done["plan_id"]) == dict.fromkeys((1, 2, 3), "succeeded")
    assert (work / "effects").read_text(encoding="utf-8") == "once\n"
    assert (work / "both.txt").read_text(encoding="utf-8") == "once\nhere"
    assert len(seen) == 1
    _agree(settings, failed, done)


@pytest.mark.parametrize("what", [False, None, "false"])
async def test_who_does_not_ask_for_it_is_shown_the_run_that_was(
    make_settings: Callable[..., Settings], work: Path, what: object
) -> None:
    async with Client(build_server(_never(make_settings)), elicitation_callback=approve) as client:
        failed = await run_steps(client, STEPS)
        (work / "later.txt").write_text("here", encoding="utf-8")
        assert (await _again(client, failed, what))["run_id"] == failed["run_id"]


async def test_nothing_is_left_to_take_up_of_what_has_succeeded(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "later.txt").write_text("here", encoding="utf-8")
    async with Client(build_server(_never(make_settings)), elicitation_callback=approve) as client:
        done = await run_steps(client, STEPS)
        assert (await _again(client, done))["run_id"] == done["run_id"]
        assert (work / "effects").read_text(encoding="utf-8") == "once\n"
        anew = await _again(client, done, "all")
        assert anew["run_id"] != done["run_id"]
        assert "takes_up" not in anew
    assert (work / "effects").read_text(encoding="utf-8") == "once\nonce\n"


async def test_an_approval_of_the_earlier_run_is_good_for_nothing_in_the_new_one(
    make_settings: Callable[..., Settings], work: Path, era: str
) -> None:
    step = {"id": 1, "tool": "run_command", "arguments": {"command": "echo no"}, "check": {"matches": "yes"}}
    seen: list[str] = []
    settings = _never(make_settings)
    async with Client(build_server(settings), mode=era, elicitation_callback=person(APPROVE, seen=seen)) as client:
        failed = await run_steps(client, [step])
        again = await _again(client, failed)
    assert len(seen) == 2
    _agree(settings, failed, again)


@pytest.mark.parametrize("terms", [Terms(replan="never"), Terms(replan="never", ask_from=Risk.MEDIUM)])
async def test_what_a_person_rejected_is_asked_about_again_whatever_is_asked_about_now(
    make_settings: Callable[..., Settings], work: Path, era: str, terms: Terms
) -> None:
    steps = [{"id": 1, "tool": "write_file", "arguments": {"path": "b.txt", "content": "x"}}]
    asked: list[str] = []
    strict, now = make_settings(terms=Terms(replan="never", ask_from=Risk.LOW)), make_settings(terms=terms)
    async with Client(build_server(strict), mode=era, elicitation_callback=person(REJECT)) as client:
        rejected = await run_steps(client, steps)
        assert rejected["status"] == "failed"
    async with Client(build_server(now), mode=era, elicitation_callback=person(REJECT, APPROVE, seen=asked)) as client:
        assert (await _again(client, rejected))["status"] == "failed"
        assert not (work / "b.txt").exists()
        done = await _again(client, rejected)
        assert done["status"] == "succeeded"
    assert len(asked) == 2
    _agree(now, rejected, done)


async def test_a_call_that_was_cut_off_is_a_question_in_the_new_run_too(
    make_settings: Callable[..., Settings], work: Path, era: str
) -> None:
    steps = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects; until [ -e go ]; do :; done"}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "effects"}, "depends_on": [1]},
    ]
    settings, asked, stopped = make_settings(), list[str](), dict[str, Any]()
    happened = person(APPROVE, {"decision": "happened", "reason": "I have looked"}, seen=asked)
    async with Client(build_server(settings), mode=era, elicitation_callback=happened) as client:
        plan = await make_plan(client, steps)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan})
                while not (work / "effects").exists():
                    await anyio.lowlevel.checkpoint()
                run = view(await client.call_tool("get_plan", {"plan_id": plan}))["run_id"]
                stopped = view(await client.call_tool("stop", {"run_id": run}))
        assert stopped["status"] == "cancelled"
        assert (await states_of(client, plan))[1] == "in_doubt"
        done = await _again(client, stopped)
        assert done["status"] == "succeeded", done
    assert "was cut off" in asked[1]
    assert (work / "effects").read_text(encoding="utf-8") == "once\n"
    _agree(settings, stopped, done)


async def test_the_latest_revision_is_taken_up(
    make_settings: Callable[..., Settings], scripted_model: Callable[..., str], work: Path
) -> None:
    first = {"id": 1, "tool": "write_file", "arguments": {"path": "one.txt", "content": "1"}}
    wrong = {"id": 2, "tool": "read_file", "arguments": {"path": "missing.txt"}, "depends_on": [1]}
    other = {"id": 3, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]}
    model = scripted_model(
        planner=[flat(first, wrong), flat(other)],
        executor=[{"arguments": {"path": "nowhere.txt"}, "confidence": 1}] * 9,
        joiner=[{"always": DONE}],
    )
    settings = make_settings(model=model, terms=Terms(max_replans=1))
    async with Client(build_server(settings)) as client:
        failed = view(await client.call_tool("execute_plan", {"goal": "read what is there"}))
        assert (failed["status"], failed["revision"]) == ("failed", 2), failed
        (work / "later.txt").write_text("here", encoding="utf-8")
        (work / "one.txt").write_text("mine by now", encoding="utf-8")
        done = await _again(client, failed)
        assert done["status"] == "succeeded", done
        assert await states_of(client, done["plan_id"]) == {1: "succeeded", 3: "succeeded"}
    assert (work / "one.txt").read_text(encoding="utf-8") == "mine by now", "it was not written again"
    _agree(settings, failed, done)


async def test_a_goal_that_could_not_be_planned_is_planned_again(
    make_settings: Callable[..., Settings], tmp_path: Path, work: Path
) -> None:
    script = tmp_path / "script.json"
    settings = make_settings(model=f"scripted:{script}", terms=Terms(replan="never"))
    script.write_text(json.dumps({}), encoding="utf-8")
    async with Client(build_server(settings)) as client:
        failed = view(await client.call_tool("execute_plan", {"goal": "read it"}))
        assert failed["status"] == "failed"
    step = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}
    script.write_text(json.dumps({"planner": [flat(step)], "joiner": [DONE]}), encoding="utf-8")
    async with Client(build_server(settings)) as client:
        done = await _again(client, failed)
    assert done["status"] == "succeeded", done
    _agree(settings, failed, done)


async def test_each_of_the_two_runs_is_rolled_back_by_itself_and_says_so(
    make_settings: Callable[..., Settings], work: Path, era: str
) -> None:
    steps = [
        {"id": 1, "tool": "write_file", "arguments": {"path": "one.txt", "content": "1"}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]},
        {"id": 3, "tool": "write_file", "arguments": {"path": "three.txt", "content": "3"}, "depends_on": [2]},
    ]
    settings = _never(make_settings)
    async with Client(build_server(settings), mode=era, elicitation_callback=approve) as client:
        failed = await run_steps(client, steps)
        (work / "later.txt").write_text("here", encoding="utf-8")
        done = await _again(client, failed)
        look = view(await client.call_tool("rollback", {"run_id": done["run_id"], "dry_run": True}))
        assert [each["step"] for each in look["would_do"]] == [3]
        assert any(failed["run_id"] in line for line in look["cannot_be_undone"])
        alone = await client.call_tool("rollback", {"run_id": done["run_id"], "step": 1})
        assert failed["run_id"] in alone.model_dump_json()
        for run in (done, failed):
            assert view(await client.call_tool("rollback", {"run_id": run["run_id"]}))["status"] == "succeeded"
    assert not (work / "one.txt").exists()
    assert not (work / "three.txt").exists()


async def test_what_was_rolled_back_meanwhile_is_done_again(make_settings: Callable[..., Settings], work: Path) -> None:
    steps = [
        {"id": 1, "tool": "write_file", "arguments": {"path": "one.txt", "content": "1"}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]},
        delete(3, "later.txt", depends_on=[2]),
    ]
    settings = _never(make_settings)
    refuse = person(APPROVE, REJECT, APPROVE)
    async with Client(build_server(settings), elicitation_callback=refuse) as client:
        failed = await run_steps(client, steps)
        assert view(await client.call_tool("rollback", {"run_id": failed["run_id"]}))["status"] == "succeeded"
        assert not (work / "one.txt").exists()
        (work / "later.txt").write_text("here", encoding="utf-8")
        rejected = await _again(client, failed)
        assert rejected["status"] == "failed"
        assert (work / "one.txt").exists()
        done = await _again(client, rejected)
        assert done["status"] == "succeeded"
    _agree(settings, failed, rejected, done)


async def test_a_run_that_takes_up_another_survives_the_death_of_its_server(
    tmp_path: Path, work: Path, era: str
) -> None:
    steps = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects"}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]},
        {"id": 3, "tool": "wait", "arguments": {"seconds": 2}, "depends_on": [2]},
        {"id": 4, "tool": "write_file", "arguments": {"path": "end.txt", "content": "{{2}}"}, "depends_on": [3]},
    ]
    env = {"FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    env["FORETHOUGHT_REPLAN"] = "never"
    parameters = StdioServerParameters(command=COMMAND, args=["serve", "--folder", str(work)], env=env)
    failed: dict[str, Any] = {}
    with anyio.fail_after(120):
        try:
            async with Client(parameters, mode=era, elicitation_callback=approve) as client:
                failed = await run_steps(client, steps)
                (work / "later.txt").write_text("here", encoding="utf-8")
                again = {"plan_id": failed["plan_id"], "again": "failed"}
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "execute_plan", again)
                    while (await states_of(client, failed["plan_id"]))[3] != "running":
                        pass
                    _kill_children()
        except BaseExceptionGroup:
            pass  # the connection is gone, as it should be
        async with Client(parameters, mode=era, elicitation_callback=approve) as client:
            done = view(await client.call_tool("execute_plan", {"plan_id": failed["plan_id"]}))
    assert done["status"] == "succeeded", done
    assert done["run_id"] != failed["run_id"]
    assert (work / "effects").read_text(encoding="utf-8") == "once\n"
    assert (work / "end.txt").read_text(encoding="utf-8") == "here"


async def test_a_call_that_a_person_skipped_is_asked_about_though_its_risk_would_let_it_run(
    tmp_path: Path, work: Path
) -> None:
    """It was cut off, and the person did not know whether it took effect."""
    steps = [{"id": 1, "tool": "run_command", "arguments": {"command": "echo once >> effects; [ -e go ] || sleep 300"}}]
    env = {"FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    env |= {"FORETHOUGHT_REPLAN": "never", "FORETHOUGHT_RISKS": "run_command=low"}
    parameters = StdioServerParameters(command=COMMAND, args=["serve", "--folder", str(work)], env=env)
    plan, asked = "", list[str]()
    skip = person({"decision": "skip"}, REJECT, APPROVE, seen=asked)
    with anyio.fail_after(120):
        try:
            async with Client(parameters) as client:
                plan = await make_plan(client, steps)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "execute_plan", {"plan_id": plan})
                    while not (work / "effects").exists():
                        await anyio.lowlevel.checkpoint()
                    _kill_children()
        except BaseExceptionGroup:
            pass  # the connection is gone, as it should be
        (work / "go").touch()
        async with Client(parameters, elicitation_callback=skip) as client:
            skipped = view(await client.call_tool("execute_plan", {"plan_id": plan}))
            assert (skipped["status"], len(asked)) == ("failed", 1), skipped
            rejected = await _again(client, skipped)
            assert (rejected["status"], len(asked)) == ("failed", 2), rejected
            assert (work / "effects").read_text(encoding="utf-8") == "once\n"
            done = await _again(client, rejected)
            assert (done["status"], len(asked)) == ("succeeded", 3), done


def _kill_children() -> None:
    listed = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "forethought"], capture_output=True, text=True)
    for line in listed.stdout.split():
        os.kill(int(line), signal.SIGKILL)


async def test_two_who_take_it_up_at_once_share_one_run(make_settings: Callable[..., Settings], work: Path) -> None:
    settings = _never(make_settings)
    found: list[str] = []
    async with Client(build_server(settings), elicitation_callback=approve) as client:
        failed = await run_steps(client, STEPS)
        (work / "later.txt").write_text("here", encoding="utf-8")

        async def take_up() -> None:
            found.append((await _again(client, failed))["run_id"])

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take_up)
    assert len(set(found)) == 1


# In a terminal


async def _forethought(settings: Settings, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    def call() -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [COMMAND, *arguments, "--folder", str(work), "--model", "host"]
        return subprocess.run(command, env=environment(settings), capture_output=True, text=True, timeout=300)

    return await anyio.to_thread.run_sync(call)


async def test_resume_takes_up_what_failed_and_anew_is_a_word_of_its_own(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "write_file", "arguments": {"path": "one.txt", "content": "1"}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "later.txt"}, "depends_on": [1]},
    ]
    settings = _never(make_settings)
    async with Client(build_server(settings)) as client:
        failed = await run_steps(client, steps)
    (work / "one.txt").write_text("mine by now", encoding="utf-8")
    (work / "later.txt").write_text("here", encoding="utf-8")
    resumed = await _forethought(settings, work, "run", "--resume", failed["run_id"])
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert (work / "one.txt").read_text(encoding="utf-8") == "mine by now"
    anew = await _forethought(settings, work, "run", "--resume", failed["run_id"], "--anew")
    assert anew.returncode == 0, anew.stdout + anew.stderr
    assert (work / "one.txt").read_text(encoding="utf-8") == "1"
    alone = await _forethought(settings, work, "run", "a goal", "--anew")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "--resume" in alone.stderr
