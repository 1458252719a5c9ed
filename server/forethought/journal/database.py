"""What the store needs of a database. SQLite and PostgreSQL have a module each, which knows all that sets it apart."""

__all__ = [
    "BrokenError",
    "DamagedError",
    "Database",
    "HeldError",
    "Row",
    "StaleError",
    "Transaction",
    "UnderWayError",
    "added",
    "new_id",
    "schema",
    "written_by_newer",
]

import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from typing import Any, Protocol

from forethought_tools import StoreError

SCHEMA_VERSION = 4

Value = str | int | float | None


class StaleError(StoreError):
    """The row is not in the state that this fact needs: somebody was first. Nothing was written."""


class HeldError(StaleError):
    """Another process came first with a claim that clashes with what was to be claimed. Nothing was written."""


class UnderWayError(StoreError):
    """The same is under way already: this is the id of its run. Nothing was written."""

    def __init__(self, run: str) -> None:
        super().__init__(f"The same is under way already, as {run}.")
        self.run = run


class DamagedError(StoreError):
    """A row is not what we write."""


class BrokenError(StoreError):
    """The disk, the file or the connection: not what was written or asked for."""


class Row(Protocol):
    """One row of an answer."""

    def __getitem__(self, column: str, /) -> Any: ...
    def keys(self) -> Iterable[str]: ...


class Transaction(Protocol):
    """All of it is committed, or nothing. Statements name their values: `:name`."""

    def change(self, sql: str, values: Mapping[str, Value]) -> int:
        """Returns how many rows changed."""
        ...

    def change_each(self, sql: str, values: Sequence[Mapping[str, Value]]) -> None: ...
    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]: ...

    def tell(self, subject: str) -> None:
        """Have everyone who watches told of a run, or a plan, once this is committed."""
        ...


class Database(Protocol):
    """One journal, shared by processes. Opening it creates the schema."""

    id: str
    """This process, as an owner of runs."""

    @property
    def name(self) -> str:
        """What people know it by. Holds no secret."""
        ...

    vault: str
    """The folder in the home's `undo` for what belongs to this journal and no other."""

    near: str
    """Selects the lessons nearest to `:words` in a `:workspace`, at most `:most`."""

    def writing(self, runs: Collection[str]) -> AbstractContextManager[Transaction]:
        """Write about these runs, one transaction after the other.

        Raises:
            StaleError: a row is there already.
            BrokenError: the disk refused, or the connection is gone.
        """
        ...

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        """Read what is committed. Raises BrokenError."""
        ...

    async def changes(self, seconds: float) -> Collection[str]:
        """Wait for so long, or until others have written: the runs and plans that were written about."""
        ...

    def hold(self) -> None:
        """Be alive from now on, until this is closed, or the process dies."""
        ...

    def alive(self, owner: str | None) -> bool:
        """Whether the process that owns a run still lives."""
        ...

    def close(self) -> None: ...


def schema(*changes: tuple[str, str]) -> list[str]:
    """The statements of the schema, with these patterns replaced."""
    script = re.sub(r"--.*", "", files("forethought.journal").joinpath("schema.sql").read_text(encoding="utf-8"))
    for pattern, replacement in changes:
        script = re.sub(pattern, replacement, script)
    return [statement for statement in script.split(";") if statement.strip()]


def added(*changes: tuple[str, str]) -> list[str]:
    """The statements of the schema for what journals of older versions are without."""
    return [statement for statement in schema(*changes) if "IF NOT EXISTS" in statement]


def written_by_newer(name: str, version: int) -> StoreError:
    return StoreError(f"{name} was written by a newer forethought (schema {version}). Update forethought.")


def new_id(prefix: str) -> str:
    """An id that cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(6)}"
