"""A folder that an agent may write is kept file by file, and put back as it was; what others did since stays."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.client import Client
from tests.server.asking import answering, approve, text, view
from tests.server.test_delegating import report, start
from tests.server.undoing import tree, write

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools.delegating import MAX_FILES

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in the granted one, with files in it and below it."""
    folder = tmp_path / "work" / "site"
    (folder / "css").mkdir(parents=True)
    (folder / "old" / "deep").mkdir(parents=True)
    for name in ("index.html", "about.html", "same.html", "css/main.css", "old/deep/page.html"):
        (folder / name).write_text(f"{name} as it was", encoding="utf-8")
    (folder / "css" / "main.css").chmod(0o600)
    return folder


def worked_on(site: Path) -> None:
    """What an agent does to it."""
    (site / "index.html").write_text("by the agent", encoding="utf-8")
    (site / "about.html").unlink()
    (site / "css" / "main.css").chmod(0o755)
    shutil.rmtree(site / "old")
    (site / "new" / "deep").mkdir(parents=True)
    (site / "new" / "deep" / "page.html").write_text("by the agent", encoding="utf-8")


async def test_a_folder_that_an_agent_has_worked_on_is_put_back_byte_for_byte(
    make_settings: Callable[..., Settings], work: Path, site: Path
) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        waiting = await start(client, work_on("site"), write(2, "site/later.html", "by a later step", 1))
        worked_on(site)
        done = view(await report(client, waiting, (waiting["waiting_on"][0], "written")))
        assert done["status"] == "succeeded", done
        dry = json.dumps(view(await client.call_tool("rollback", {"run_id": done["run_id"], "dry_run": True})))
        assert "delete site/new/deep/page.html" in dry
        assert "put back the earlier content of site/about.html" in dry
        assert "same.html" not in dry, "what was not touched is not told"
        undone = view(await client.call_tool("rollback", {"run_id": done["run_id"]}))
    assert undone["status"] == "succeeded", undone
    assert tree(work) == before


async def test_a_folder_that_an_agent_has_made_goes_again(make_settings: Callable[..., Settings], work: Path) -> None:
    before = tree(work)
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        waiting = await start(client, work_on("out/site"))
        (work / "out" / "site" / "css").mkdir(parents=True)
        (work / "out" / "site" / "css" / "main.css").write_text("x", encoding="utf-8")
        done = view(await report(client, waiting, (waiting["waiting_on"][0], "written")))
        undone = view(await client.call_tool("rollback", {"run_id": done["run_id"]}))
    assert undone["status"] == "succeeded", undone
    assert tree(work) == before


async def test_what_its_owner_has_changed_since_stays_and_the_rest_is_put_back(
    make_settings: Callable[..., Settings], site: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        waiting = await start(client, work_on("site"))
        worked_on(site)
        done = view(await report(client, waiting, (waiting["waiting_on"][0], "written")))
        (site / "index.html").write_text("by its owner", encoding="utf-8")
        (site / "notes.txt").write_text("by its owner", encoding="utf-8")
        undone = view(await client.call_tool("rollback", {"run_id": done["run_id"]}))
    assert "index.html: it was changed since" in undone["error"]
    assert (site / "index.html").read_text(encoding="utf-8") == "by its owner"
    assert (site / "notes.txt").exists()
    assert (site / "about.html").read_text(encoding="utf-8") == "about.html as it was"
    assert not (site / "new").exists()


async def test_a_run_that_was_stopped_while_its_agent_was_at_work_is_undone_too(
    make_settings: Callable[..., Settings], site: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        waiting = await start(client, work_on("site"))
        (site / "index.html").write_text("by the agent", encoding="utf-8")
        view(await client.call_tool("stop", {"run_id": waiting["run_id"]}))
        undone = view(await client.call_tool("rollback", {"run_id": waiting["run_id"]}))
    assert undone["status"] == "succeeded", undone
    assert (site / "index.html").read_text(encoding="utf-8") == "index.html as it was"


async def test_work_on_a_folder_is_in_the_way_of_undoing_only_what_it_has_changed(
    make_settings: Callable[..., Settings], work: Path, site: Path
) -> None:
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        first = await start(client, write(1, "site/same.html", "x"), write(2, "site/index.html", "x"))
        waiting = await start(client, work_on("site"))
        (site / "index.html").write_text("by the agent", encoding="utf-8")
        await report(client, waiting, (waiting["waiting_on"][0], "written"))
        dry = {"run_id": first["run_id"], "dry_run": True}
        shown = view(await client.call_tool("rollback", dry))["would_do"]
        assert sorted(each["verdict"] for each in shown) == ["conflict", "would be undone"]
        view(await client.call_tool("rollback", {"run_id": waiting["run_id"]}))
        shown = view(await client.call_tool("rollback", dry))["would_do"]
        assert [each["verdict"] for each in shown] == ["would be undone", "would be undone"]


async def test_a_folder_with_more_than_is_kept_is_a_question_for_a_person(
    make_settings: Callable[..., Settings], site: Path
) -> None:
    for number in range(MAX_FILES):
        (site / f"{number}.txt").touch()
    asked: list[str] = []
    person = answering(asked, "accept", {"decision": "reject"})
    async with Client(build_server(make_settings()), elicitation_callback=person) as client:
        ended = await start(client, work_on("site"), replan="never")
    assert "too large to be kept" in asked[0]
    assert ended["status"] == "failed"


async def test_a_pattern_is_no_place_that_an_agent_may_write(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        refused = await client.call_tool("create_plan", {"goal": "g", "steps": [work_on("site/*.html")]})
    assert "is a pattern, and no place that its agent may write. Name files and folders" in text(refused)


def work_on(path: str) -> dict[str, object]:
    return {"id": 1, "tool": "delegate", "arguments": {"task": "mend the pages", "writes": [path]}}
