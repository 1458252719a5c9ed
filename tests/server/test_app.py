"""What the planner is told of the files that a goal names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forethought.app import open_app
from forethought.settings import Settings

pytestmark = pytest.mark.anyio


async def test_named_files_are_read_a_little_and_new_ones_are_known_by_their_ending(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "long.json").write_text("x" * 1_000_000, encoding="utf-8")
    (work / "data.bin").write_bytes(b"\0\1\2" * 100)
    goal = (
        "From a.txt, long.json and data.bin make out/report.md, mail it to ann@example.org, e.g. by heise.de or Node.js"
    )
    async with open_app(make_settings()) as app:
        files, new = app.named_files(goal)
    assert files["a.txt"] == "alpha\n"
    assert len(files["long.json"]) <= 400
    assert files["data.bin"] == ""
    assert new == ["out/report.md"]
