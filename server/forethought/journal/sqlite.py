"""The journal in one SQLite file: every commit is on disk (WAL, `synchronous=FULL`), several processes may share it."""

__all__ = ["SQLite", "ranked"]

import sqlite3
import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import anyio

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
from forethought.journal.owners import LockFile
from forethought_tools import StoreError

_APPLICATION = 0x464F5245  # marks a file as ours
_LESSON_WORDS = "CREATE VIRTUAL TABLE lesson_words USING fts5 (id UNINDEXED, goal, text, tokenize = 'porter unicode61')"
_CHANGES = "SELECT max(seq) AS seq, run FROM journal WHERE seq > :last GROUP BY run"


class SQLite:
    """One file. Reads are immediate, and see every commit."""

    vault = "sqlite"
    near = (
        "SELECT lesson.* FROM lesson_words JOIN lesson USING (id) WHERE lesson_words MATCH :words"
        " AND workspace = coalesce(:workspace, workspace) ORDER BY bm25(lesson_words), created DESC LIMIT :most"
    )

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if it is not there.

        Raises:
            StoreError: not a journal, or one written by a newer version; the file is left as it is. Or others keep it
                locked.
        """
        self._path = path
        self.id = new_id("owner")
        self._lock = LockFile(path.parent / "owners", self.id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            is_old = self._version_there() < SCHEMA_VERSION
            self._writer = self._connect()
            if is_old:
                self._create()
            self._reader = self._connect()
            self._watch = self._connect()
            self._seen = self._version()
            self._last = int(self._reader.execute("SELECT coalesce(max(seq), 0) AS seq FROM journal").fetchone()["seq"])
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StoreError(f"{path} is kept locked by another process. Try again once that is done.") from None
            raise StoreError(f"{path} cannot be opened as a journal ({error}). Move it away to start anew.") from None
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    @property
    def name(self) -> str:
        return str(self._path)

    def close(self) -> None:
        self._lock.release()
        for connection in (self._writer, self._reader, self._watch):
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _version_there(self) -> int:
        """The version of the journal that is here, 0 for none. Only looks: what is not ours is not even touched."""
        if not self._path.exists():
            return 0
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)) as reader:
            reader.execute("BEGIN")  # another process may be about to make it one: what is read is of one moment
            (is_ours,) = reader.execute("PRAGMA application_id").fetchone()
            (version,) = reader.execute("PRAGMA user_version").fetchone()
            (tables,) = reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if is_ours != _APPLICATION and (version or tables):
            raise StoreError(f"{self._path} is a database of another program. Move it away to start anew.")
        if version > SCHEMA_VERSION:
            raise written_by_newer(self.name, version)
        return int(version)

    def _create(self) -> None:
        self._path.chmod(0o600)
        self._writer.execute("BEGIN IMMEDIATE")
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:  # else another process was first
            for statement in added() if version else (*schema(), _LESSON_WORDS):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA application_id={_APPLICATION}")
            self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._writer.execute("COMMIT")

    @contextmanager
    def writing(self, runs: Collection[str]) -> Generator["_Writing"]:
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield _Writing(self._writer)
                self._writer.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                raise StaleError(f"already recorded: {error}") from None
            except (sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError):
                raise  # it is what was to be written
            except sqlite3.Error as error:
                raise BrokenError(str(error)) from None
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        try:
            # While one thread reads, another would see the file as it was when that began.
            with self._reading, closing(self._reader.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise BrokenError(str(error)) from None

    async def changes(self, seconds: float) -> Collection[str]:
        await anyio.sleep(seconds)
        version = self._version()
        if version == self._seen:
            return ()
        self._seen = version
        rows = self.select(_CHANGES, {"last": self._last})
        self._last = max((row["seq"] for row in rows), default=self._last)
        return [row["run"] for row in rows]

    def hold(self) -> None:
        self._lock.hold()

    def alive(self, owner: str | None) -> bool:
        return self._lock.alive(owner)

    def _version(self) -> int:
        try:
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.OperationalError as error:
            raise BrokenError(str(error)) from None


class _Writing:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def change(self, sql: str, values: Mapping[str, Value]) -> int:
        return self._connection.execute(sql, values).rowcount

    def change_each(self, sql: str, values: Sequence[Mapping[str, Value]]) -> None:
        self._connection.executemany(sql, values)

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return self._connection.execute(sql, values).fetchall()

    def tell(self, subject: str) -> None:
        """Nothing to do: whoever watches sees that the file has changed."""


def ranked(texts: Sequence[Sequence[str]], weights: Sequence[float], words: Collection[str]) -> list[tuple[int, float]]:
    """The places of the texts that hold any of these words, the nearest first, and how near each is (BM25; more is
    nearer); a weight for each part of a text."""
    columns = [f"part{number}" for number in range(len(weights))]
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"CREATE VIRTUAL TABLE texts USING fts5 ({', '.join(columns)}, tokenize = 'porter unicode61')")
        blanks = ", ".join("?" * (1 + len(weights)))
        numbered = [(place, *parts) for place, parts in enumerate(texts)]
        memory.executemany(f"INSERT INTO texts (rowid, {', '.join(columns)}) VALUES ({blanks})", numbered)  # noqa: S608 - names of our own
        wanted = " OR ".join(f'"{word}"' for word in words) or '""'
        rank = f"bm25(texts, {', '.join(map(repr, weights))})"
        sql = f"SELECT rowid, -{rank} FROM texts WHERE texts MATCH ? ORDER BY {rank}, rowid"  # noqa: S608 - names of our own
        return [(int(place), float(near)) for place, near in memory.execute(sql, (wanted,))]
