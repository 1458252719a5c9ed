"""What others did since is never overwritten by a rollback."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import approve, delete, run_steps, text, view
from tests.server.undoing import ran, tree, verdicts, write

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_what_others_changed_since_is_a_conflict_and_stays(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one"), write(2, "b.txt", "two")])
        (work / "a.txt").write_text("mine", encoding="utf-8")
        done = view(await client.call_tool("rollback", {"run_id": run}))
        one = view(await client.call_tool("rollback", {"run_id": run, "step": 1}))
    assert done["status"] == one["status"] == "failed"
    assert "a.txt: it was changed since" in done["error"]
    assert sorted(verdicts(done)) == [(1, "conflict"), (2, "undone")]
    assert (work / "a.txt").read_text(encoding="utf-8") == "mine"
    assert not (work / "b.txt").exists()


async def test_a_way_that_leads_elsewhere_now_is_a_conflict(
    make_settings: Callable[..., Settings], work: Path, tmp_path: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one")])
        (work / "other.txt").write_text("one", encoding="utf-8")
        (work / "a.txt").unlink()
        (work / "a.txt").symlink_to(work / "other.txt")
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(done) == [(1, "conflict")]
    assert (work / "other.txt").read_text(encoding="utf-8") == "one"


async def test_a_conflict_keeps_earlier_steps_from_being_undone_and_the_dry_run_says_so(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one"), write(2, "a.txt", "two", after=1)])
        (work / "a.txt").write_text("mine", encoding="utf-8")
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == verdicts(done) == [(2, "conflict"), (1, "conflict")]
    assert (work / "a.txt").read_text(encoding="utf-8") == "mine"


async def test_what_a_person_was_told_will_be_left_alone_is_left_alone(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async def changes_back(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert "conflict" in params.message
        (work / "a.txt").write_text("one", encoding="utf-8")
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with Client(build_server(make_settings()), elicitation_callback=changes_back) as client:
        run = await ran(client, [write(1, "a.txt", "one"), write(2, "b.txt", "two")])
        (work / "a.txt").write_text("mine", encoding="utf-8")
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert sorted(verdicts(done)) == [(1, "conflict"), (2, "undone")]
    assert (work / "a.txt").read_text(encoding="utf-8") == "one"


async def test_what_a_later_step_has_written_over_is_not_taken_for_the_work_of_others(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    before = tree(work)
    steps = [write(1, "a.txt", "one"), write(2, "a.txt", "two", after=1), write(3, "b.txt", "three", after=2)]
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, steps)
        early = await client.call_tool("rollback", {"run_id": run, "step": 1})
        for step in (2, 1, 3):
            done = view(await client.call_tool("rollback", {"run_id": run, "step": step}))
            assert verdicts(done) == [(step, "undone")]
    assert "Step 2 has written over what step 1 wrote. Roll it back first." in str(early.content)
    assert tree(work) == before


async def test_another_mode_is_a_change_too(make_settings: Callable[..., Settings], work: Path) -> None:
    (work / "a.txt").chmod(0o644)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, [write(1, "a.txt", "one")])
        (work / "a.txt").chmod(0o600)
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(done) == [(1, "conflict")]
    assert stat.S_IMODE((work / "a.txt").stat().st_mode) == 0o600


async def test_what_another_run_has_written_since_stays_though_it_is_the_same(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        first = await ran(client, [write(1, "b.txt", "the same")])
        second = await ran(client, [write(1, "b.txt", "the same")])
        early = view(await client.call_tool("rollback", {"run_id": first}))
        assert (work / "b.txt").exists()
        done = [view(await client.call_tool("rollback", {"run_id": run})) for run in (second, first)]
    assert verdicts(early) == [(1, "conflict")]
    assert f"{second} has written over it since. Roll that back first" in early["error"]
    assert [verdicts(each) for each in done] == [[(1, "nothing to undo")], [(1, "undone")]]
    assert tree(work) == before


async def test_what_is_written_while_a_person_decides_stays(make_settings: Callable[..., Settings], work: Path) -> None:
    async def writes_it_again(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert "nothing to undo" in params.message
        (work / "b.txt").write_text("one", encoding="utf-8")
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with Client(build_server(make_settings()), elicitation_callback=writes_it_again) as client:
        run = await ran(client, [write(1, "b.txt", "one")])
        (work / "b.txt").unlink()
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(done) == [(1, "conflict")]
    assert (work / "b.txt").read_text(encoding="utf-8") == "one"


async def test_a_change_between_two_steps_is_a_conflict_before_anybody_is_asked(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async def meddles(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        if "wants to call run_command" in params.message:
            (work / "a.txt").write_text("mine", encoding="utf-8")
        return ElicitResult(action="accept", content={"decision": "approve"})

    steps = [
        write(1, "a.txt", "one"),
        {"id": 2, "tool": "run_command", "arguments": {"command": "true"}, "depends_on": [1]},
        write(3, "a.txt", "three", after=2),
    ]
    async with Client(build_server(make_settings()), elicitation_callback=meddles) as client:
        run = await ran(client, steps)
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == [(3, "would be undone"), (1, "conflict")]
    assert verdicts(done) == [(3, "undone"), (1, "conflict")]
    assert (work / "a.txt").read_text(encoding="utf-8") == "mine"


async def test_what_cannot_be_put_back_any_more_is_said_before_anybody_is_asked(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    configured = make_settings()
    async with Client(build_server(configured)) as client:  # which cannot ask
        run = await ran(client, [write(1, "a.txt", "one")])
        shutil.rmtree(configured.home / "undo")
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == verdicts(done) == [(1, "conflict")]
    assert "is gone from" in str(done)
    assert (work / "a.txt").read_text(encoding="utf-8") == "one"


async def test_a_run_that_took_up_one_that_called_nothing_is_not_said_to_have_done_something(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        first = await run_steps(client, [delete(1, "old.txt")])
        await client.call_tool("stop", {"run_id": first["run_id"]})
        again = {"plan_id": first["plan_id"], "again": "failed"}
        second = view(await client.call_tool("execute_plan", again))
        await client.call_tool("stop", {"run_id": second["run_id"]})
        refused = await client.call_tool("rollback", {"run_id": second["run_id"]})
        assert second["takes_up"] == first["run_id"]
        assert "has done nothing that can be undone" in text(refused)
        assert "cannot be undone" not in text(refused)
