"""What the child program of `query_table` is given: files that are held open, and rows of earlier results."""

__all__ = ["DataFile", "Options", "Rows", "Source"]

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forethought_tools.tool import JSON


@dataclass(frozen=True)
class DataFile:
    """A file that can be queried, and the descriptor by which our parent holds it open."""

    real: Path
    descriptor: int
    shown: str
    """What a caller calls it."""

    @property
    def is_sqlite(self) -> bool:
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return os.read(self.descriptor, 16) == b"SQLite format 3\0"

    def status(self) -> os.stat_result | None:
        """Which file it is; it is let go with that, so that whoever has it open afterwards has opened it anew. None
        where descriptors are not handed on."""
        if sys.platform == "win32":
            return None
        status = os.fstat(self.descriptor)
        os.close(self.descriptor)
        return status

    @property
    def place(self) -> str:
        """Where a library finds it: through the descriptor on Linux, else by its path."""
        place = Path(f"/proc/self/fd/{self.descriptor}")
        return str(place if place.exists() else self.real)


@dataclass(frozen=True)
class Options:
    """How a file of separated fields is to be read, as far as that is said; the rest is found out."""

    separator: str = ""
    quote: str | None = None
    escape: str = ""
    comment: str = ""
    header: bool | None = None
    skip: int = 0
    encoding: str = ""
    decimal: str = ""
    dates: str = ""
    """The form of dates, such as %d/%m/%Y."""
    all_text: bool = False
    missing: Sequence[str] = ()
    names: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict[str, str])
    separated: bool = False
    """Whether it is such a file whatever its ending says."""


@dataclass(frozen=True)
class Source:
    """What becomes a table: one file, or the files that fit a pattern, and the names that it has in SQL."""

    names: Sequence[str]
    files: Sequence[DataFile]
    united: bool = False
    options: "Mapping[str, JSON]" = field(default_factory=dict[str, "JSON"])

    @property
    def is_sqlite(self) -> bool:
        return not self.united and self.files[0].is_sqlite


@dataclass(frozen=True)
class Rows:
    """Rows of an earlier result, as a table of this name."""

    name: str
    columns: Sequence[str]
    rows: "Sequence[Mapping[str, JSON]]"
