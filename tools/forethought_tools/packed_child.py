"""The child program that unpacks a file into another one, both of which it is handed open.

Of ours it imports only what takes no time. What it writes is counted: a file that unpacks to no end fills no disk.
"""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from forethought_tools.answering import bound_by_the_system, serve

if TYPE_CHECKING:
    from forethought_tools.tool import JSON

MOST_UNPACKED = 200_000_000
"""Bytes."""
_CHUNK = 1 << 20
_SHOWN = 5  # files of an archive that are named


class _PackedError(Exception):
    """It cannot be unpacked; the message says why, and what to do."""


def main() -> None:
    """Answer the one question that our parent asks."""
    serve(_answered)


def _answered(request: Mapping[str, Any]) -> "Mapping[str, JSON]":
    name = str(request["name"])
    try:
        bound_by_the_system()
        with os.fdopen(request["from"], "rb") as file, os.fdopen(request["to"], "wb") as out:
            file.seek(0)
            with UNPACKERS[PurePath(name).suffix.lower()](file, name) as (content, inner):
                _copy(content, out)
        return {"result": PurePath(inner).suffix.lower() or ".txt"}
    except _PackedError as error:
        return {"error": f"{name!r} {error}"}
    except MemoryError:
        return {"error": f"{name!r} needs more memory than unpacking may take. Unpack it yourself."}
    except Exception as error:  # whatever a file brings about is told, and is no fault of the server
        what = f"{type(error).__name__}: {error}"[:300]
        return {"error": f"{name!r} cannot be unpacked: it is damaged, or not what its ending says ({what})."}


def _copy(content: IO[bytes], out: BinaryIO) -> None:
    left = MOST_UNPACKED
    while part := content.read(_CHUNK):
        left -= len(part)
        if left < 0:
            raise _PackedError(f"unpacks to more than {MOST_UNPACKED:,} bytes. Unpack it yourself, and split it.")
        out.write(part)


@contextmanager
def _one(file: BinaryIO, name: str) -> Generator[tuple[IO[bytes], str]]:
    """What a file holds that is packed by itself."""
    opener = import_module({".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[PurePath(name).suffix.lower()]).open
    with opener(file) as content:
        yield content, PurePath(name).stem


@contextmanager
def _zip(file: BinaryIO, _: str) -> Generator[tuple[IO[bytes], str]]:
    """The one file of an archive, apart from what macOS and others add."""
    import zipfile

    with zipfile.ZipFile(file) as archive:
        files = [each for each in archive.infolist() if not each.is_dir() and not _is_added(each.filename)]
        if len(files) != 1:
            named = ", ".join(repr(each.filename[:80]) for each in files[:_SHOWN]) or "none"
            more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
            raise _PackedError(f"holds {len(files)} files ({named}{more}), and one can be read. Unpack it.")
        if files[0].flag_bits & 1:
            raise _PackedError("is encrypted. Unpack it with its password.")
        with archive.open(files[0]) as content:
            yield content, files[0].filename


def _is_added(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePath(name).name in (".DS_Store", "Thumbs.db", "desktop.ini")


Unpacker = Callable[[BinaryIO, str], Any]
UNPACKERS: Mapping[str, Unpacker] = {".gz": _one, ".bz2": _one, ".xz": _one, ".zip": _zip}
