"""A plan is changed before it runs, while it runs and afterwards: what has begun stays, what changed is asked anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import TOOLS, approve, text, view

from forethought.app import open_store
from forethought.gates.decisions import decision_facts
from forethought.journal.codec import gate_of
from forethought.journal.database import StaleError
from forethought.journal.rows import MessageRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Decision
from forethought_patterns.gates import Verb
from forethought_tools import AnswerError, Risk

pytestmark = pytest.mark.anyio


def write(number: int, path: str, content: str = "x", **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "write_file", "arguments": {"path": path, "content": content}, **more}


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return view(await client.call_tool(tool, arguments))


async def refused(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("update_plan", arguments)
    assert result.is_error
    return text(result)


async def test_a_plan_that_has_not_run_gets_steps_loses_steps_and_has_steps_changed(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings())) as client:
        made = await call(
            client, "create_plan", goal="g", steps=[write(1, "a.txt"), write(2, "b.txt"), write(3, "c.txt")]
        )
        steps = [write(2, "b2.txt"), {**write(4, "d.txt"), "id": "4", "depends_on": "2", "check": None}]
        changed = await call(
            client,
            "update_plan",
            plan_id=made["plan_id"],
            revision="1",
            steps=steps,
            drop=["3"],
            reason="c is not needed",
        )
        assert (changed["revision"], changed["status"]) == (2, "ready")
        assert changed["diff"] == [
            '- 3. write_file (medium) {"path": "c.txt", "content": "x"}',
            '~ 2. arguments.path: "b.txt" → "b2.txt"',
            '+ 4. write_file (medium) {"path": "d.txt", "content": "x"} after 2',
        ]
        seen = await call(client, "get_plan", plan_id=made["plan_id"], view="diff")
        assert seen["diff"] == changed["diff"]
        assert seen["why"] == "c is not needed"
        done = await call(client, "execute_plan", plan_id=made["plan_id"])
    assert done["status"] == "succeeded"
    kept = [name for name in ("b.txt", "b2.txt", "c.txt", "d.txt") if (work / name).exists()]
    assert kept == ["b2.txt", "d.txt"]


async def test_what_is_in_flight_ends_and_the_run_goes_on_with_the_changed_plan(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "until [ -e go ]; do sleep 0.1; done"}},
        write(2, "first.txt", depends_on=[1]),
        write(3, "never.txt", depends_on=[1]),
    ]
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        made = await call(client, "create_plan", goal="g", steps=steps)
        plan_id = made["plan_id"]
        done: dict[str, Any] = {}

        async def run() -> None:
            done.update(await call(client, "execute_plan", plan_id=plan_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await until_begun(client, plan_id)
            too_late = await refused(client, plan_id=plan_id, revision=1, drop=[1], steps=[write(2, "new.txt")])
            assert "step 1: it is running" in too_late
            changed = [write(2, "new.txt", depends_on=[1]), write(4, "more.txt", depends_on=[2])]
            told = await call(client, "update_plan", plan_id=plan_id, revision=1, steps=changed, drop=[3])
            assert told["status"] == "running"
            (work / "go").touch()
    assert (done["status"], done["revision"]) == ("succeeded", 2)
    assert (work / "new.txt").exists()
    assert (work / "more.txt").exists()
    assert not (work / "first.txt").exists()
    assert not (work / "never.txt").exists()


async def until_begun(client: Client, plan_id: str) -> None:
    """Wait until the first step of a plan is at work."""
    with anyio.fail_after(120):
        while True:
            seen = await call(client, "get_plan", plan_id=plan_id, view="list")
            if "[running]" in str(seen["steps"][0]):
                return


async def test_a_run_that_waits_for_a_person_takes_up_the_change_and_the_question_is_withdrawn(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "old.txt").write_text("old", encoding="utf-8")
    steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}, write(2, "b.txt")]
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        made = await call(client, "create_plan", goal="g", steps=steps)
        waiting = await call(client, "execute_plan", plan_id=made["plan_id"])
        assert waiting["status"] == "waiting"
        (gate,) = waiting["waiting_on"]
        other = {"id": 1, "tool": "delete_file", "arguments": {"path": "a.txt"}}
        await call(client, "update_plan", plan_id=made["plan_id"], revision=1, steps=[other])
        anew = await call(client, "execute_plan", plan_id=made["plan_id"])
        (asked,) = anew["waiting_on"]
        assert asked["gate"] != gate["gate"]
        assert "a.txt" in str(asked)
        await call(client, "update_plan", plan_id=made["plan_id"], revision=2, drop=[1])
        done = await call(client, "execute_plan", plan_id=made["plan_id"])
    assert done["status"] == "succeeded"
    assert (work / "old.txt").exists()
    assert (work / "a.txt").exists()


async def test_who_has_not_seen_the_latest_revision_is_told_what_is_different(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        made = await call(client, "create_plan", goal="g", steps=[write(1, "a.txt")])
        both = [[write(1, "b.txt")], [write(1, "c.txt")]]
        results: list[Any] = []

        async def change(steps: list[dict[str, Any]]) -> None:
            arguments = {"plan_id": made["plan_id"], "revision": 1, "steps": steps}
            results.append(await client.call_tool("update_plan", arguments))

        async with anyio.create_task_group() as tasks:
            for steps in both:
                tasks.start_soon(change, steps)
        (won,) = [result for result in results if not result.is_error]
        (told,) = [result for result in results if result.is_error]
        difference = view(won)["diff"][0]
        assert "it is at revision 2, you have seen 1" in text(told)
        assert difference in text(told)
        assert "has no revision 9" in await refused(client, plan_id=made["plan_id"], revision=9, drop=[1])


async def test_a_large_change_is_told_in_short_and_whole_where_it_is_asked_for(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [write(number, f"{number}.txt") for number in range(1, 31)]
    async with Client(build_server(make_settings())) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=steps))["plan_id"]
        mended = [{**step, "arguments": {**step["arguments"], "content": "y"}} for step in steps]
        told = (await call(client, "update_plan", plan_id=plan_id, revision=1, steps=mended))["diff"]
        assert len(told) == 21
        assert told[-1] == f'and 10 more: get_plan(plan_id="{plan_id}", view="diff") has all'
        assert len((await call(client, "get_plan", plan_id=plan_id, view="diff"))["diff"]) == 30


async def test_every_fault_of_a_change_is_told_at_once_and_nothing_is_changed(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [write(1, "a.txt"), {"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [1]}]
    async with Client(build_server(make_settings())) as client:
        made = await call(client, "create_plan", goal="g", steps=steps)
        plan_id = made["plan_id"]
        new = [{"id": 3, "tool": "read_fil", "arguments": {"path": "{{9}}"}}]
        told = await refused(client, plan_id=plan_id, revision=1, drop=[1, 7], steps=new)
        for part in ("step 7", "no such step to drop", "step 2", "read_fil", "9"):
            assert part in told
        assert "nothing to change" in await refused(client, plan_id=plan_id, revision=1)
        assert "begin at 1" in await refused(client, plan_id=plan_id, revision=1, steps=[write(0, "z.txt")])
        assert (await call(client, "get_plan", plan_id=plan_id, view="full"))["revision"] == 1


async def test_what_is_the_same_and_has_succeeded_counts_once_a_plan_is_changed_after_its_run(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        write(1, "log.txt", "once"),
        write(2, "b.txt", "{{1.path}}"),
        {"id": 3, "tool": "read_file", "arguments": {"path": "missing.txt"}, "depends_on": [2]},
    ]
    async with Client(build_server(make_settings())) as client:
        made = await call(client, "create_plan", goal="g", steps=steps)
        plan_id = made["plan_id"]
        failed = await call(client, "execute_plan", plan_id=plan_id, replan="never")
        assert failed["status"] == "failed"
        (work / "log.txt").write_text("as it was", encoding="utf-8")
        mended = [
            write(2, "c.txt", "{{1.path}}"),
            {"id": 3, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [2]},
        ]
        changed = await call(client, "update_plan", plan_id=plan_id, revision=1, steps=mended)
        assert changed["next"] == f'execute_plan(plan_id="{plan_id}", again="failed")'
        done = await call(client, "execute_plan", plan_id=plan_id, again="failed")
    assert done["status"] == "succeeded"
    assert (work / "log.txt").read_text(encoding="utf-8") == "as it was", "what is the same is not done again"
    assert (work / "c.txt").exists(), "what has changed is done anew"


async def test_an_approved_plan_that_changes_is_asked_about_again_and_only_the_difference_is_shown(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        write(1, "one.txt"),
        {"id": 2, "tool": "delete_file", "arguments": {"path": "a.txt"}, "depends_on": [1]},
        write(3, "three.txt", depends_on=[2]),
    ]
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=steps))["plan_id"]
        waiting = await call(client, "execute_plan", plan_id=plan_id, approve_plan=True, replan="never")
        decide(settings, waiting, "approve")
        await until_waiting(client, plan_id, "delete_file")
        steal = {"id": 4, "tool": "delete_file", "arguments": {"path": "old.txt"}}
        await call(client, "update_plan", plan_id=plan_id, revision=1, steps=[steal], drop=[3])
        waiting = await until_waiting(client, plan_id, "Revision 2")
        shown = gate_of(gate_in(settings, waiting)).text({})
        assert 'delete_file (high): {"path": "old.txt"}' in shown
        assert "3. write_file is dropped" in shown
        assert "since revision 1, which was approved" in shown
        assert "a.txt" not in shown, "what is the same was approved"
        assert not (await call(client, "get_plan", plan_id=plan_id, view="list"))["steps"][-1].endswith("[running]")
        decide(settings, waiting, "reject")
        await until_ended(client, plan_id)
    assert (work / "old.txt").exists()
    assert (work / "a.txt").exists()


async def test_the_approval_of_a_call_does_not_cover_what_a_change_has_put_in_its_place(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    harmless = {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=[harmless]))["plan_id"]
        waiting = await call(client, "execute_plan", plan_id=plan_id)
        asked = gate_in(settings, waiting)
        swapped = {**harmless, "arguments": {"path": "a.txt"}}
        await call(client, "update_plan", plan_id=plan_id, revision=1, steps=[swapped])
        with pytest.raises(StaleError):
            decide(settings, waiting, "approve", asked)
        anew = await until_waiting(client, plan_id, "delete_file")
        assert gate_of(gate_in(settings, anew)).details == {"path": "a.txt"}
        assert (work / "a.txt").exists()
        back = {**swapped, "arguments": {"path": "old.txt"}}
        await call(client, "update_plan", plan_id=plan_id, revision=2, steps=[back])
        last = await until_waiting(client, plan_id, "delete_file")
        decide(settings, last, "approve")
        done = await until_ended(client, plan_id)
    assert done["status"] == "succeeded"
    assert (work / "a.txt").exists()
    assert not (work / "old.txt").exists()


async def test_what_has_brought_nothing_can_be_dropped_and_what_was_skipped_can_be_changed(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "missing.txt"}},
        write(2, "b.txt", "{{1}}"),
        write(3, "c.txt", depends_on=[2]),
        {"id": 4, "tool": "delete_file", "arguments": {"path": "old.txt"}},
    ]
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=steps))["plan_id"]
        waiting = await call(client, "execute_plan", plan_id=plan_id, replan="never")
        assert waiting["status"] == "waiting"
        await until(client, plan_id, "0 of 4 steps succeeded, 1 failed, 2 skipped, 1 waiting")
        edited = {**steps[0], "arguments": {"path": "a.txt"}}
        told = await refused(client, plan_id=plan_id, revision=1, steps=[edited])
        assert "step 1: it has failed. Drop it" in told
        await call(client, "update_plan", plan_id=plan_id, revision=1, steps=[write(2, "b.txt", "mended")], drop=[1])
        decide(settings, await until_waiting(client, plan_id, "delete_file"), "approve")
        done = await until_ended(client, plan_id)
    assert (done["status"], done["progress"]) == ("succeeded", "3 of 3 steps succeeded")
    assert (work / "b.txt").read_text(encoding="utf-8") == "mended"
    assert (work / "c.txt").exists()


async def test_a_loop_is_what_its_items_are_begun_or_not(make_settings: Callable[..., Settings], work: Path) -> None:
    command = {"command": "until [ -e go-{{item}} ]; do sleep 0.1; done"}
    begun = {"id": 1, "tool": "run_command", "for_each": ["a", "b"], "arguments": command}
    waits = {"id": 2, "tool": "delete_file", "for_each": ["old.txt", "a.txt"], "arguments": {"path": "{{item}}"}}
    settings = make_settings(risks={"run_command": Risk.LOW})
    async with Client(build_server(settings)) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=[begun, waits]))["plan_id"]
        await call(client, "execute_plan", plan_id=plan_id)
        await until(client, plan_id, "1 running")
        for change in ({"drop": [1]}, {"steps": [{**begun, "for_each": ["a"]}]}):
            assert "step 1: its items have begun" in await refused(client, plan_id=plan_id, revision=1, **change)
        one = {**waits, "for_each": ["old.txt"]}
        await call(client, "update_plan", plan_id=plan_id, revision=1, steps=[one])
        (work / "go-a").touch()
        (work / "go-b").touch()
        decide(settings, await until_waiting(client, plan_id, "delete_file"), "approve")
        done = await until_ended(client, plan_id)
    assert (done["status"], done["progress"]) == ("succeeded", "5 of 5 steps succeeded")
    assert (work / "a.txt").exists()
    assert not (work / "old.txt").exists()


async def until(client: Client, plan_id: str, progress: str) -> None:
    with anyio.fail_after(120):
        while progress not in (await call(client, "get_plan", plan_id=plan_id, view="list")).get("progress", ""):
            pass


async def test_what_is_the_same_goes_on_while_a_person_is_asked_about_the_rest(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    steps = [
        {"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}},
        write(2, "two.txt", depends_on=[1]),
        write(3, "three.txt", depends_on=[2]),
        write(4, "four.txt", depends_on=[3]),
    ]
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        plan_id = (await call(client, "create_plan", goal="g", steps=steps))["plan_id"]
        waiting = await call(client, "execute_plan", plan_id=plan_id, approve_plan=True)
        decide(settings, waiting, "approve")
        await until_waiting(client, plan_id, "delete_file")
        await call(client, "update_plan", plan_id=plan_id, revision=1, steps=[write(3, "3.txt", depends_on=[2])])
        waiting = await until_waiting(client, plan_id, "Revision 2")
        (change,) = (gate for gate in open_gates(settings, waiting) if gate_of(gate).kind == "plan")
        assert "Revision 2 of the plan wants to run: 2 steps" in gate_of(change).text({})
        (deletion,) = (gate for gate in open_gates(settings, waiting) if gate_of(gate).kind == "call")
        decide(settings, waiting, "approve", deletion)
        with anyio.fail_after(120):
            while "2 of 4 steps succeeded" not in (await call(client, "execute_plan", plan_id=plan_id))["progress"]:
                pass
        assert (work / "two.txt").exists()
        assert not (work / "old.txt").exists()
        assert not (work / "four.txt").exists(), "it rests on what has changed"
        assert [gate.id for gate in open_gates(settings, waiting)] == [change.id]
        mine = Decision("edit", steps=gate_of(change).steps[:1], by="p", channel="terminal")
        with pytest.raises(AnswerError, match="step 2: it has run, or goes on by an earlier approval"):
            decision_facts(change, mine, TOOLS)
        decide(settings, waiting, "approve", change)
        done = await until_ended(client, plan_id)
    assert (done["status"], done["progress"]) == ("succeeded", "4 of 4 steps succeeded")
    assert (work / "3.txt").exists()


def open_gates(settings: Settings, waiting: dict[str, Any]) -> list[MessageRow]:
    store = open_store(settings)
    gates = store.queries.open_messages(waiting["run_id"], "gate")
    store.close()
    return gates


def gate_in(settings: Settings, waiting: dict[str, Any]) -> MessageRow:
    """The gate that a run has asked last."""
    store = open_store(settings)
    gate = store.queries.message(waiting["waiting_on"][-1]["gate"])
    store.close()
    return gate


def decide(settings: Settings, waiting: dict[str, Any], verb: Verb, gate: MessageRow | None = None) -> None:
    """What `forethought decide` does, in another process."""
    gate = gate or gate_in(settings, waiting)
    store = open_store(settings)
    try:
        store.commit(gate.run, *decision_facts(gate, Decision(verb, by="p", channel="terminal"), TOOLS))
    finally:
        store.close()


async def until_waiting(client: Client, plan_id: str, what: str) -> dict[str, Any]:
    with anyio.fail_after(120):
        while True:
            seen = await call(client, "execute_plan", plan_id=plan_id)
            if what in str(seen.get("waiting_on")):
                return seen


async def until_ended(client: Client, plan_id: str) -> dict[str, Any]:
    with anyio.fail_after(120):
        while (seen := await call(client, "execute_plan", plan_id=plan_id))["status"] in ("running", "waiting"):
            pass
    return seen
