"""What the planner is told of the files that a goal names."""

from pathlib import Path

import pytest
from anyio import to_thread

from forethought.briefing import look_at
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
