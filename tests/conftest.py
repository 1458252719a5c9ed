"""What tests share: one async backend, both protocol eras, settings in a temporary folder. Nothing clever."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forethought.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["2026-07-28", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    """A protocol version of either era, as the client's `mode`."""
    return str(request.param)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A granted folder with a few files."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha\n", encoding="utf-8")
    (folder / "old.txt").write_text("old\n", encoding="utf-8")
    return folder


@pytest.fixture
def make_settings(tmp_path: Path, work: Path) -> Callable[..., Settings]:
    """Settings over one journal and the granted folder; keywords change single ones."""

    def make(**changes: object) -> Settings:
        values: dict[str, object] = {
            "home": tmp_path / "home", "folders": (work,), "model": "host", "silence": 2.0, "heartbeat": 0.2,
        }  # fmt: skip
        return Settings(**(values | changes))  # type: ignore[arg-type]  # a test names real fields

    return make
