"""What a run has moved, copied, changed in part and made is undone, and never over what others did since."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import approve, view
from tests.server.undoing import ran, tree, verdicts, write

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


def step(number: int, tool: str, after: int | None = None, **arguments: Any) -> dict[str, Any]:
    return {"id": number, "tool": tool, "arguments": arguments} | ({"depends_on": [after]} if after else {})


async def test_a_run_that_sorts_files_into_folders_is_undone_as_a_whole(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "a.txt").chmod(0o640)
    before = tree(work)
    steps = [
        step(1, "make_folder", path="sorted/texts"),
        step(2, "move_file", 1, source="a.txt", destination="sorted/texts"),
        step(3, "edit_file", 2, path="sorted/texts/a.txt", old="alpha", new="beta"),
        step(4, "move_file", 3, source="sorted/texts/a.txt", destination="b.txt"),
        write(5, "a.txt", "new", after=4),
        step(6, "copy_file", 5, source="old.txt", destination="copies/"),
        step(7, "append_file", 6, path="copies/old.txt", content="more"),
    ]
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, steps)
        assert (work / "b.txt").read_text(encoding="utf-8") == "beta\n"
        assert (work / "copies/old.txt").read_text(encoding="utf-8") == "old\nmore"
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        alone = await client.call_tool("rollback", {"run_id": run, "step": 2})
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert "has written over what step 2 wrote" in str(alone.content)
    assert [verdict for _, verdict in verdicts(dry, "would_do")] == ["would be undone"] * 7
    assert done["status"] == "succeeded"
    assert tree(work) == before


@pytest.mark.parametrize("meddled", ["b.txt", "a.txt"])
async def test_what_others_changed_at_either_end_of_a_move_is_a_conflict_and_stays(
    make_settings: Callable[..., Settings], work: Path, meddled: str
) -> None:
    steps = [write(1, "a.txt", "one"), step(2, "move_file", 1, source="a.txt", destination="b.txt")]
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, steps)
        (work / meddled).write_text("mine", encoding="utf-8")
        before = tree(work)
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == verdicts(done) == [(2, "conflict"), (1, "conflict")]
    assert tree(work) == before


async def test_what_others_changed_where_no_later_step_came_is_seen_too(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """The later step puts back one end of the move; the other end is as others have left it."""
    steps = [step(1, "move_file", source="a.txt", destination="b.txt"), write(2, "a.txt", "new", after=1)]
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        run = await ran(client, steps)
        (work / "b.txt").unlink()
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert verdicts(dry, "would_do") == [(2, "would be undone"), (1, "conflict")]
    assert verdicts(done) == [(2, "undone"), (1, "conflict")]


async def test_what_another_run_has_done_at_either_end_has_to_be_undone_first(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        first = await ran(client, [step(1, "move_file", source="a.txt", destination="b.txt")])
        second = await ran(client, [step(1, "move_file", source="b.txt", destination="c.txt")])
        refused = view(await client.call_tool("rollback", {"run_id": first}))
        assert verdicts(refused) == [(1, "conflict")]
        assert f"{second} has written over it since" in refused["error"]
        for run in (second, first):
            assert view(await client.call_tool("rollback", {"run_id": run}))["status"] == "succeeded"
    assert sorted(tree(work)) == ["a.txt", "old.txt"]


async def test_a_move_that_waits_for_a_person_shows_both_ends(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    async with Client(build_server(make_settings()), elicitation_callback=agree) as client:
        run = await ran(client, [step(1, "move_file", source="a.txt", destination=".vscode/tasks.json")])
        await client.call_tool("rollback", {"run_id": run})
    assert "source: a.txt\ndestination: .vscode/tasks.json" in asked[0]
    assert "agents, editors or version control may obey" in asked[0]
    assert "move .vscode/tasks.json back to a.txt" in asked[1]
    assert sorted(tree(work)) == ["a.txt", "old.txt"]
