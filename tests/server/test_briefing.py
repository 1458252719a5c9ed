"""What the planner is told of the files that a goal names."""

from collections.abc import Callable
from pathlib import Path

import pytest
from anyio import to_thread
from mcp.client import Client

from forethought.briefing import look_at
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio


async def test_named_files_are_read_a_little_and_new_ones_are_known_by_their_ending(work: Path) -> None:
    (work / "long.json").write_text("x" * 1_000_000, encoding="utf-8")
    (work / "data.bin").write_bytes(b"\0\1\2" * 100)
    goal = "From ./a.txt, long.json and data.bin make out/report.md, mail it to ann@example.org, e.g. by heise.de"
    brief = await to_thread.run_sync(look_at, goal, Folders([work]))
    files, new = brief.files, brief.new_files
    assert files["./a.txt"] == "alpha\n"
    assert len(files["long.json"]) <= 400
    assert files["data.bin"] == ""
    assert new == ["out/report.md"]
    assert {"a.txt", "long.json", "data.bin"} <= {*brief.names}


async def test_a_short_file_and_a_file_of_settings_are_shown_whole_and_of_others_the_first_lines(
    tmp_path: Path,
) -> None:
    (tmp_path / "list.txt").write_text("one\ntwo\nthree\nfour\nfive\n", encoding="utf-8")
    (tmp_path / "app.ini").write_text("".join(f"key{n} = {n}\n" for n in range(100)), encoding="utf-8")
    (tmp_path / "long.csv").write_text("a,b\n" + "1,2\n" * 200, encoding="utf-8")
    brief = await to_thread.run_sync(look_at, "Use list.txt, app.ini and long.csv", Folders([tmp_path]))
    assert brief.files["list.txt"].splitlines()[-1] == "five"
    assert len(brief.files["app.ini"].splitlines()) > 20
    assert len(brief.files["long.csv"].splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "is_told"),
    [('{\n  "database": {"port": 5432}\n}\n', True), ('[{"port": 5432}, {"port": 80}]\n', False)],
)
async def test_the_text_of_settings_is_told_beside_their_columns(
    make_settings: Callable[..., Settings], work: Path, text: str, *, is_told: bool
) -> None:
    (work / "app.json").write_text(text, encoding="utf-8")
    async with Client(build_server(make_settings())) as client:
        order = str(await client.call_tool("create_plan", {"goal": "Change the port in app.json to 5433"}))
    assert "port BIGINT" in order
    assert ('{"port": 5432' in order.replace("\\", "")) is is_told
