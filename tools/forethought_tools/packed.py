"""What is packed in a file, unpacked into one without a name before anybody reads it.

Whoever packs can make a few bytes unpack to no end, so it is done in a process of its own (`packed_child.py`), and only
so much of it. Keys and passwords are looked for in what comes out: packed, they could not be recognised.
"""

__all__ = ["PACKED", "is_packed", "unpacked", "without_packing"]

import sys
import tempfile
from pathlib import PurePath
from typing import BinaryIO

from anyio import to_thread

from forethought_tools.child import answered_by, as_line
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.packed_child import UNPACKERS

PACKED = tuple(UNPACKERS)


def is_packed(path: str) -> bool:
    """Whether a file is packed in a way that is known here, by its name."""
    return path.lower().endswith(PACKED)


def without_packing(path: str) -> str:
    """The name of a file without what says that it is packed."""
    return str(PurePath(path).with_suffix("")) if is_packed(path) else path


async def unpacked(folders: Folders, path: str, file: BinaryIO) -> tuple[BinaryIO, str]:
    """What is packed in a file that is open, at its beginning, and how its name ends.

    Raises:
        ToolError: it is damaged, holds more than one file or too much, or a key or password of ours.
    """
    if sys.platform == "win32":  # there no open file can be handed on
        raise ToolError(f"{path!r} is packed. Unpack it first.")
    out = tempfile.TemporaryFile()  # noqa: SIM115 - handed on
    descriptors = [file.fileno(), out.fileno()]
    try:
        ending = await answered_by(
            "packed_child",
            as_line({"name": path, "from": descriptors[0], "to": descriptors[1]}),
            descriptors,
            ended=f"Unpacking {path!r} was ended (status {{status}}): it took more memory or time than that may take."
            " Unpack it yourself.",
            too_long=f"{path!r} holds more files than can be told. Unpack it yourself.",
        )
        out.seek(0)
        await to_thread.run_sync(folders.refuse_secrets, out, path)
    except BaseException:
        out.close()
        raise
    return out, str(ending)
