"""What tests share: one async backend, both protocol eras, settings in a temporary folder. Nothing clever."""

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.endpoints.fake import Endpoint, serving
from tests.stores import Cluster, postgres_is_here

from forethought.settings import Settings


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: most tests wait more than they work."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection() -> None:
    gc.disable()  # all that is collected stays: to look for garbage in it takes longer than anything else then


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left with it in the end; `--durations=20` tells what does."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> int:
    mark = item.get_closest_marker("takes")
    return int(mark.args[0]) if mark else 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    """An endpoint that can be told what it is able to do."""
    with serving() as there:
        yield there


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
def other_disk(tmp_path: Path) -> Generator[Path]:
    """A folder on another disk than the temporary one."""
    shared = Path("/dev/shm")  # noqa: S108 - a disk in memory, and the folder in it is made safely
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk, such as /dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A PostgreSQL that runs while there are tests."""
    if not postgres_is_here():
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    with Cluster.running(tmp_path_factory.mktemp("home")) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest) -> Generator[Callable[[], str | None]]:
    """Where a journal is that nobody has used: nothing for a file, else the address of an empty database."""
    if request.param == "sqlite":
        yield lambda: None
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    made: list[str] = []

    def borrow() -> str:
        made.append(cluster.borrow())
        return made[-1]

    yield borrow
    for url in made:
        cluster.give_back(url)


@pytest.fixture
def store(new_store: Callable[[], str | None]) -> str | None:
    """Where the journal of this test is."""
    return new_store()


@pytest.fixture
def make_settings(tmp_path: Path, work: Path, store: str | None) -> Callable[..., Settings]:
    """Settings over one journal and the granted folder; keywords change single ones."""

    def make(**changes: object) -> Settings:
        values: dict[str, object] = {
            "home": tmp_path / "home",
            "folders": (work,),
            "model": "host",
            "heartbeat": 0.2,
            "longest_call": 600.0,  # on a busy machine much takes longer than clients wait
            "store": store,
        }
        return Settings(**(values | changes))  # type: ignore[arg-type]  # a test names real fields

    return make


@pytest.fixture
def scripted(make_settings: Callable[..., Settings], tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a model that says what each role is told to say."""

    def make(script: Mapping[str, Any], **more: Any) -> Settings:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(script), encoding="utf-8")
        return make_settings(model=f"scripted:{file}", **more)

    return make
