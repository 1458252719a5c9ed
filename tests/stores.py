"""Journals for tests: on SQLite, and on a PostgreSQL that the tests start."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import psycopg

from forethought.app import open_app, open_store
from forethought.journal.store import Store
from forethought.settings import Settings

COMMAND = str(Path(sys.executable).parent / "forethought")


@contextmanager
def owned(settings: Settings) -> Generator[Store]:
    """A journal, in which this process can own runs."""
    with closing(open_store(settings)) as store:
        store.database.hold()
        yield store


def environment(settings: Settings) -> dict[str, str]:
    """What a process of ours must be told to find the same journal."""
    found = {"PATH": os.environ["PATH"], "FORETHOUGHT_HOME": str(settings.home), "COLUMNS": "200"}
    return found if settings.store is None else {**found, "FORETHOUGHT_STORE": settings.store}


def everything_in(settings: Settings) -> str:
    """All that a journal holds, as it is stored."""
    tables = ("plan", "run", "step", "message", "claim", "lease", "lesson", "lesson_words", "recipe", "journal")
    if settings.store:
        with psycopg.connect(settings.store, options="-c search_path=forethought") as connection:
            return str([connection.execute(f"SELECT * FROM {table}".encode()).fetchall() for table in tables])
    return settings.database.read_bytes().decode("utf-8", "replace")


def tampering(settings: Settings, sql: str) -> int:
    """Change a journal behind our back. Returns how many rows."""
    if settings.store:
        with psycopg.connect(settings.store, options="-c search_path=forethought") as connection:
            return connection.execute(sql.encode()).rowcount
    with closing(sqlite3.connect(settings.database)) as file, file:
        return file.execute(sql).rowcount


class Cluster:
    """A PostgreSQL of our own, reached through a socket file. It refuses to be run by root, who steps down."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest keeps its own folders to itself
        self._data = folder / "data"
        self._as = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.getuid() == 0 else []
        if self._as:
            shutil.chown(folder, "nobody")
        self._folder = folder
        self._spare: list[str] = []
        self._pg("initdb", "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        # No test pulls the plug of the machine, so nothing needs to wait for its disk.
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off -c max_connections=300"
        self._pg("pg_ctl", "-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        self._pg("pg_ctl", "-w", "-m", "immediate", "stop")

    @classmethod
    @contextmanager
    def running(cls, home: Path) -> Generator["Cluster"]:
        """One that serves while this is open, with the tables of a journal whose first home this is."""
        cluster = cls()
        cluster.start()
        try:
            cluster._prepare(home)
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(cluster._folder)

    def create(self, name: str) -> str:
        """A new database, which has the tables of a journal already. Returns its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE journal".encode())
        return self.url(name)

    def borrow(self) -> str:
        """A database as `create` makes it, maybe one that was given back: that is much quicker."""
        return self._spare.pop(0) if self._spare else self.create(f"t{uuid4().hex}")

    def give_back(self, url: str) -> None:
        """Empty a database, whoever still uses it."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            rows = connection.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname LIKE 'forethought%'"
                " AND tablename NOT IN ('about', 'dbos_migrations')"
            ).fetchall()
            connection.execute(f"TRUNCATE {', '.join(name for (name,) in rows)} RESTART IDENTITY CASCADE".encode())
            connection.execute("UPDATE forethought.about SET home = NULL")
        self._spare.append(url)

    def _prepare(self, home: Path) -> None:
        """Make the tables once: that takes longer than most tests."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE journal")
        settings = Settings(home=home, model="host", store=self.url("journal"))

        async def open_once() -> None:
            async with open_app(settings):
                pass

        anyio.run(open_once)
        tampering(settings, "UPDATE about SET home = NULL")

    def url(self, name: str) -> str:
        return f"postgresql://tester@/{name}?host={self._folder}"

    def _pg(self, program: str, *arguments: str) -> None:
        found = shutil.which(program) or next(iter(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))), "")
        subprocess.run(
            [*self._as, found, "-D", str(self._data), *arguments],
            check=True,
            capture_output=True,
            timeout=300,
            cwd=self._folder,
        )


def postgres_is_here() -> bool:
    """Whether a PostgreSQL is installed."""
    return bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))
