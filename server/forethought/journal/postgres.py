"""The journal in PostgreSQL, for servers on many machines. They live as long as their connections do.

A server that drives runs holds an advisory lock in the session that listens for changes. PostgreSQL frees it when the
connection ends, however the server died, so that nobody's clock decides who is alive.
"""

__all__ = ["Postgres"]

import functools
import hashlib
import re
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import psycopg
from anyio import to_thread
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from forethought.journal.database import (
    SCHEMA_VERSION,
    BrokenError,
    Row,
    StaleError,
    Value,
    added,
    new_id,
    schema,
    written_by_newer,
)
from forethought_tools import StoreError

_Connection = psycopg.Connection[DictRow]

_OPTIONS = {
    "connect_timeout": 5,
    # A machine that vanished without a word is noticed within about ten seconds, on both ends.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SESSION = (
    " -c search_path=forethought -c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c idle_in_transaction_session_timeout=10s -c statement_timeout=60s -c lock_timeout=30s"
)
_LOCKS = 0x464F5245  # the first half of our advisory locks, so that they are nobody else's
_SETTLE = 0.02  # seconds in which changes count as one
_TYPES = (
    (r"\bINTEGER PRIMARY KEY\b", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r"\bWITHOUT ROWID\b", ""),
)
_MORE = (
    "CREATE TABLE lesson_words (id TEXT PRIMARY KEY, goal TEXT NOT NULL, text TEXT NOT NULL, words tsvector"
    " GENERATED ALWAYS AS (to_tsvector('english', goal || ' ' || text)) STORED)",
    "CREATE TABLE about (version BIGINT NOT NULL, id TEXT NOT NULL, home TEXT)",
)
# Just after the database itself was started, all servers are about to connect anew.
_ALIVE = (
    "SELECT now() - pg_postmaster_start_time() < interval '5 seconds' OR EXISTS (SELECT 1 FROM pg_locks"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = %s AND objid::bigint = %s"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS alive"
)


class Postgres:
    """One database, in the schema `forethought`. Also tells which servers are alive."""

    near = (
        "SELECT lesson.* FROM lesson_words JOIN lesson USING (id)"
        " WHERE words @@ websearch_to_tsquery('english', :words) AND workspace = coalesce(:workspace, workspace)"
        " ORDER BY ts_rank(words, websearch_to_tsquery('english', :words)) DESC, created DESC LIMIT :most"
    )

    def __init__(self, url: str, name: str) -> None:
        """Connect, and create the schema if it is not there.

        Raises:
            StoreError: no such database, or a schema written by a newer version; it is left as it is.
        """
        self.name = name
        self.id = new_id("owner")
        self._holding = self._held = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()  # whether somebody is alive is asked for while writing, in a thread
        try:
            given = conninfo_to_dict(url)
            self._url = make_conninfo(url, **_OPTIONS, options=f"{given.get('options') or ''}{_SESSION}")
            self._writer = _Line(self._url)
            self._reader = _Line(self._url)
            self._watch = _Line(self._url, self._listen)
            self._migrate()
        except psycopg.Error as error:
            raise StoreError(
                f"FORETHOUGHT_STORE: the database cannot be used ({' '.join(str(error).split())})."
            ) from None

    def close(self) -> None:
        for line in (self._writer, self._reader, self._watch):
            line.close()

    def _migrate(self) -> None:
        connection = self._writer.get()
        if (version := self._version(connection)) < SCHEMA_VERSION:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_LOCKS,))
                if (version := self._version(connection)) == 0:
                    connection.execute("CREATE SCHEMA IF NOT EXISTS forethought")
                    for statement in (*schema(*_TYPES), *_MORE):
                        connection.execute(statement.encode())
                    connection.execute("INSERT INTO about VALUES (%s, %s)", (SCHEMA_VERSION, new_id("postgresql")))
                elif version < SCHEMA_VERSION:
                    for statement in added(*_TYPES):
                        connection.execute(statement.encode())
                    connection.execute("UPDATE about SET version = %s", (SCHEMA_VERSION,))
        elif version > SCHEMA_VERSION:
            raise written_by_newer(self.name, version)
        self.vault = str(connection.execute("SELECT id FROM about").fetchall()[0]["id"])

    def _version(self, connection: _Connection) -> int:
        if connection.execute("SELECT to_regclass('forethought.about') AS about").fetchall()[0]["about"] is None:
            return 0
        return int(connection.execute("SELECT version FROM about").fetchall()[0]["version"])

    def share_home(self, key: bytes) -> None:
        """Make sure that all servers of this store have the same home, by a key that lies there.

        Raises:
            StoreError: another home was used before.
        """
        digest = hashlib.sha256(key).hexdigest()
        with self.writing(()) as transaction:
            transaction.change("UPDATE about SET home = coalesce(home, :digest)", {"digest": digest})
            (row,) = transaction.select("SELECT home FROM about", {})
        if row["home"] != digest:
            raise StoreError(
                f"FORETHOUGHT_HOME: the other servers of {self.name} have another one. Let all of them share one"
                " folder: it holds what it takes to undo things, and the key that seals questions."
            )

    @contextmanager
    def writing(self, runs: Collection[str]) -> Generator["_Writing"]:
        with self._writing, _refused(), ExitStack() as stack:
            try:
                connection = self._writer.get()
                stack.enter_context(connection.transaction())
            except psycopg.OperationalError:  # lost while nothing was being written
                connection = self._writer.get()
                stack.enter_context(connection.transaction())
            # Entries of a run chain, so they are written one after the other. In this order nobody waits in a circle.
            for run in sorted(runs):
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCKS + 1, run))
            transaction = _Writing(connection)
            yield transaction
            transaction.finish()

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        with _broken():
            return self._selected(_translated(sql), values)

    def _selected(self, sql: Any, values: Mapping[str, Value] | Sequence[Value]) -> Sequence[Row]:
        with self._reading:
            try:
                return self._reader.get().execute(sql, values).fetchall()
            except psycopg.OperationalError:
                if not self._reader.lost:
                    raise
            return self._reader.get().execute(sql, values).fetchall()

    async def changes(self, seconds: float) -> Collection[str]:
        with _broken():
            if self._watch.lost:
                await to_thread.run_sync(self._watch.get)
                return [""]  # whatever was written meanwhile, nobody told us
            connection = self._watch.get()
            self._hold(connection)
            with anyio.move_on_after(seconds):
                await anyio.wait_readable(connection.fileno())
                await anyio.sleep(_SETTLE)
            ours = self._writer.pid
            return {notice.payload for notice in connection.notifies(timeout=0) if notice.pid != ours}

    # Who is alive

    def alive(self, owner: str | None) -> bool:
        """Whether the server that owns a run still lives."""
        if owner is None or owner == self.id:
            return owner == self.id
        with _broken():
            (row,) = self._selected(_ALIVE, (_LOCKS + 2, _number(owner)))
        return bool(row["alive"])

    def hold(self) -> None:
        """Be alive from now on."""
        self._holding = True
        with _broken():
            self._hold(self._watch.get())

    def _listen(self, connection: _Connection) -> None:
        self._held = False
        connection.execute("LISTEN forethought")
        self._hold(connection)

    def _hold(self, connection: _Connection) -> None:
        """Take the lock; not at once where the lost connection still counts as ours."""
        if self._holding and not self._held:
            lock = (_LOCKS + 2, _number(self.id))
            (row,) = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS held", lock).fetchall()
            self._held = bool(row["held"])


class _Line:
    """One connection, opened anew when it was lost."""

    def __init__(self, url: str, opened: Callable[[_Connection], None] = lambda _: None) -> None:
        self._url = url
        self._opened = opened
        self._connection: _Connection | None = None

    @property
    def lost(self) -> bool:
        return self._connection is None or self._connection.closed

    @property
    def pid(self) -> int | None:
        """What PostgreSQL calls this end of it."""
        return None if self._connection is None or self._connection.closed else self._connection.info.backend_pid

    def get(self) -> _Connection:
        """Raises psycopg.OperationalError where there is no connection to be had."""
        if self._connection is None or self._connection.closed:
            self._connection = _Connection.connect(self._url, autocommit=True, row_factory=dict_row)
            self._opened(self._connection)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Writing:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._subjects: set[str] = set()

    def change(self, sql: str, values: Mapping[str, Value]) -> int:
        return self._connection.execute(_translated(sql), values).rowcount

    def change_each(self, sql: str, values: Sequence[Mapping[str, Value]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), values)

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return self._connection.execute(_translated(sql), values).fetchall()

    def tell(self, subject: str) -> None:
        self._subjects.add(subject)

    def finish(self) -> None:
        for subject in self._subjects:
            self._connection.execute("SELECT pg_notify('forethought', %s)", (subject,))


@contextmanager
def _broken() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise BrokenError(" ".join(str(error).split())) from None


@contextmanager
def _refused() -> Generator[None]:
    try:
        yield
    except psycopg.IntegrityError as error:
        raise StaleError(f"already recorded: {' '.join(str(error).split())}") from None
    except (psycopg.ProgrammingError, psycopg.DataError):
        raise  # it is what was to be written
    except psycopg.Error as error:
        raise BrokenError(" ".join(str(error).split())) from None


def _number(owner: str) -> int:
    """What an owner's lock is known by."""
    return int(owner.rpartition("_")[2], 16) % 2**31


@functools.cache
def _translated(sql: str) -> Any:
    """Our way of naming values, as psycopg names them."""
    return re.sub(r":(\w+)", r"%(\1)s", sql.replace("%", "%%"))
