"""The journal, and the rows that tell the state of every run. Only this and the database modules speak SQL.

A fact is committed before anyone acts on it: one journal entry and its effect on the rows, in one transaction.
Writes that arrive while a commit is under way go together in the next one (group commit), so that durability
costs one wait for the disk for many. Several processes may use one journal.
"""

__all__ = ["Store", "decoded", "link"]

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

from forethought.database import BrokenError, Database, Row, StaleError, Transaction, Value
from forethought.effects import EFFECTS, Each
from forethought.rows import Entry, Fact, LessonRow, MessageRow, PlanRow, RunRow, StepRow
from forethought_tools import JSON, FencedError, NotFoundError, StoreError

_json = json.JSONEncoder(ensure_ascii=False).encode
_JSON_COLUMNS = frozenset({"body", "options", "budget", "arguments", "result", "answer"})

_QUIET, _LONGEST = 3, 64  # turns of the event loop without another write, and at most, until a commit begins
_LAST_HASH = "SELECT hash FROM journal WHERE run = :run ORDER BY seq DESC LIMIT 1"
_SNAPSHOT = {
    "journal": "SELECT * FROM journal WHERE run = :chain ORDER BY seq",
    "run": "SELECT * FROM run WHERE id = :chain",
    "step": "SELECT * FROM step WHERE run = :chain ORDER BY id",
    "message": "SELECT * FROM message WHERE run = :chain ORDER BY number",
    "plan": "SELECT * FROM plan WHERE id = :chain OR id = (SELECT plan FROM run WHERE id = :chain) ORDER BY revision",
}
_ENTRY = "INSERT INTO journal (run, at, kind, body, hash) VALUES (:run, :at, :kind, :body, :hash)"


class _Write:
    __slots__ = ("at", "epoch", "error", "facts", "run")

    def __init__(self, run: str, facts: Sequence[Fact], epoch: int | None, at: float | None = None) -> None:
        self.run = run
        self.facts = facts
        self.epoch = epoch
        self.at = time.time() if at is None else at
        # Nobody may believe that something was written which was not.
        self.error: Exception | None = StoreError("The journal was not written.")


class _Batch:
    """What is committed together: whoever opens it sees to that, the others wait."""

    def __init__(self) -> None:
        self.writes: list[_Write] = []
        self.done = anyio.Event()


class Store:
    """One journal. `write` from async code, `commit` from plain code; reads are immediate and see every commit."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] = lambda text: text) -> None:
        self.database = database
        self._redact = redact
        self._open: _Batch | None = None
        self._turn = anyio.Lock()

    @property
    def name(self) -> str:
        """Where the journal is."""
        return self.database.name

    def close(self) -> None:
        self.database.close()

    # Writing

    async def write(self, run: str, *facts: Fact, epoch: int | None = None) -> None:
        """Commit facts about one run, all or none; returns when they are on disk.

        `epoch` is given by the run's driver: a driver that has lost the run cannot write to it.

        Raises:
            FencedError: another process has taken the run over.
            StaleError: a row is not in the state that a fact needs.
            StoreError: the disk refused, or the connection is gone.
        """
        write = _Write(run, facts, epoch)
        with anyio.CancelScope(shield=True):
            if self._open is None:
                await self._lead(write)
            else:
                self._open.writes.append(write)
                await self._open.done.wait()
        if write.error:
            raise write.error

    async def _lead(self, write: _Write) -> None:
        self._open = batch = _Batch()
        batch.writes.append(write)
        try:
            async with self._turn:
                await self._gather(batch)
                self._open = None
                await anyio.to_thread.run_sync(self._commit, batch.writes)
        finally:
            batch.done.set()

    async def _gather(self, batch: _Batch) -> None:
        """Let those write along who are about to: an end, and the starts that follow from it, are one commit."""
        seen = quiet = 0
        for _ in range(_LONGEST):
            quiet = quiet + 1 if len(batch.writes) == seen else 0
            if quiet == _QUIET:
                break
            seen = len(batch.writes)
            await anyio.lowlevel.checkpoint()

    def commit(self, run: str, *facts: Fact) -> None:
        """The same as `write`, from plain code such as the command line."""
        write = _Write(run, facts, None)
        self._commit([write])
        if write.error:
            raise write.error

    def replay(self, entries: Sequence[Entry]) -> None:
        """Write the entries of another journal as they were written there.

        Raises:
            StoreError, FencedError: one of them does not follow from those before it.
        """
        self._commit_all([_repeated(entry) for entry in entries])

    def _commit(self, writes: Sequence[_Write]) -> None:
        try:
            self._commit_all(writes)
        except BrokenError as error:
            refusal = StoreError(f"The journal {self.name} could not be written: {error}.")
            for write in writes:
                write.error = refusal
        except Exception as error:
            if len(writes) == 1:
                writes[0].error = _told(error)
            else:
                self._commit_each(writes)

    def _commit_each(self, writes: Sequence[_Write]) -> None:
        """What is wrong with one write touches no other, but for those that the same driver made after it."""
        refused: set[tuple[str, int]] = set()
        for write in writes:
            if write.epoch is not None and (write.run, write.epoch) in refused:
                write.error = StoreError("What came before it could not be recorded.")
                continue
            self._commit([write])
            if write.error and write.epoch is not None:
                refused.add((write.run, write.epoch))

    def _commit_all(self, writes: Sequence[_Write]) -> None:
        with self.database.writing({write.run for write in writes}) as transaction:
            last: dict[str, str] = {}
            for write in writes:
                if write.epoch is not None:
                    rows = transaction.select("SELECT epoch FROM run WHERE id = :run", {"run": write.run})
                    if not rows or rows[0]["epoch"] != write.epoch:
                        raise FencedError(f"Run {write.run} is driven by another process now.")
                if write.run not in last:
                    entries = transaction.select(_LAST_HASH, {"run": write.run})
                    last[write.run] = str(entries[0]["hash"]) if entries else ""
                for fact in write.facts:
                    last[write.run] = self._apply(transaction, write, fact, last[write.run])
        for write in writes:
            write.error = None

    def _apply(self, transaction: Transaction, write: _Write, fact: Fact, before: str) -> str:
        """Journal a fact, and have its effect. Returns the hash of its entry."""
        epoch = write.epoch or 0
        values = {name: self._column(name, value) for name, value in fact.body.items()}
        values |= {"run": write.run, "at": write.at, "epoch": epoch}
        for place, statement in enumerate(EFFECTS[fact.kind]):
            if isinstance(statement, Each):
                each = cast("Sequence[Value]", fact.body[statement.of])
                transaction.change_each(statement.sql, [{"run": write.run, "each": value} for value in each])
            elif transaction.change(statement, values) < 1 and place == 0:
                raise StaleError(f"{fact.kind}: the row is not in the state that this needs.")
        body = self._text(_json({**fact.body, "epoch": epoch}))
        hashed = link(before, write.run, write.at, fact.kind, body)
        told: dict[str, Value] = {"run": write.run, "at": write.at, "kind": fact.kind, "body": body, "hash": hashed}
        transaction.change(_ENTRY, told)
        transaction.tell(write.run)
        return hashed

    def _column(self, name: str, value: JSON) -> Value:
        if name in _JSON_COLUMNS or isinstance(value, Mapping | list | tuple):
            return self._text(_json(value))
        if isinstance(value, str):
            return self._text(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
        return int(value) if isinstance(value, bool) else cast("int | float | None", value)

    def _text(self, text: str) -> str:
        """Without secrets, and without the lone surrogates of odd file names, which UTF-8 cannot hold."""
        return self._redact(text).encode("utf-8", "replace").decode("utf-8")

    # Reading

    def plan(self, plan_id: str, revision: int | None = None) -> PlanRow:
        """A plan's latest revision, or the one asked for. Raises NotFoundError."""
        rows = self._select(
            "SELECT * FROM plan WHERE id = :id AND revision = coalesce(:revision, revision)"
            " ORDER BY revision DESC LIMIT 1",
            id=plan_id, revision=revision,
        )  # fmt: skip
        if not rows:
            raise NotFoundError(
                f"There is no plan {plan_id!r} in {self.name}. get_plan without plan_id lists the plans there are."
            )
        return PlanRow(**decoded(rows[0]))

    def has_plan(self, plan_id: str) -> bool:
        """Whether a plan of this id was made already."""
        return bool(self._select("SELECT 1 FROM plan WHERE id = :id LIMIT 1", id=plan_id))

    def plans(self, *, limit: int = 20, prefix: str = "") -> list[PlanRow]:
        """The latest revision of each plan whose id starts with `prefix`, newest first."""
        rows = self._select(
            "SELECT * FROM plan p WHERE substr(id, 1, :size) = :prefix"
            " AND revision = (SELECT max(revision) FROM plan WHERE id = p.id) ORDER BY created DESC LIMIT :most",
            prefix=prefix, size=len(prefix), most=limit,
        )  # fmt: skip
        return [PlanRow(**decoded(row)) for row in rows]

    def run(self, run_id: str) -> RunRow:
        """A run. Raises NotFoundError."""
        rows = self._select("SELECT * FROM run WHERE id = :id", id=run_id)
        if not rows:
            raise NotFoundError(
                f"There is no run {run_id!r} in {self.name}. `forethought runs` lists the runs there are."
            )
        return RunRow(**decoded(rows[0]))

    def runs(
        self, *, plan: str | None = None, open_only: bool = False, limit: int = 20, prefix: str = ""
    ) -> list[RunRow]:
        """Runs, newest first."""
        rows = self._select(
            "SELECT * FROM run WHERE plan = coalesce(:plan, plan) AND substr(id, 1, :size) = :prefix"
            " AND (:all = 1 OR state IN ('running', 'waiting')) ORDER BY created DESC, id LIMIT :most",
            plan=plan, prefix=prefix, size=len(prefix), all=int(not open_only), most=limit,
        )  # fmt: skip
        return [RunRow(**decoded(row)) for row in rows]

    def answered_while_parked(self) -> list[str]:
        """Runs that nobody drives though someone has answered, or wants them stopped, or nobody is waited for."""
        rows = self._select(
            "SELECT id FROM run WHERE state = 'waiting' AND owner IS NULL AND (stopping = 1 OR pausing = 2 OR EXISTS"
            " (SELECT 1 FROM message m WHERE m.run = run.id AND m.state = 'answered') OR NOT EXISTS"
            " (SELECT 1 FROM message m WHERE m.run = run.id AND m.state = 'open' AND m.kind IN ('gate', 'order')))"
        )
        return [row["id"] for row in rows]

    def pausing(self, run_id: str) -> bool:
        """Whether a person wants this run to pause."""
        return bool(self._select("SELECT 1 FROM run WHERE id = :id AND pausing = 1", id=run_id))

    def driven(self) -> list[tuple[str, str]]:
        """Runs that a process drives, or drove until it died, each with that process."""
        rows = self._select("SELECT id, owner FROM run WHERE state = 'running'")
        return [(row["id"], row["owner"]) for row in rows]

    def steps(self, run_id: str) -> list[StepRow]:
        return [
            StepRow(**decoded(row))
            for row in self._select("SELECT * FROM step WHERE run = :run ORDER BY id", run=run_id)
        ]

    def progress(self, run_id: str) -> dict[str, int]:
        """How many steps of the present revision are in each state."""
        rows = self._select(
            "SELECT state, count(*) AS count FROM step WHERE run = :run AND dropped = 0 GROUP BY state", run=run_id
        )
        return {row["state"]: row["count"] for row in rows}

    def message(self, message_id: str) -> MessageRow:
        """One gate or order. Raises NotFoundError."""
        rows = self._select("SELECT * FROM message WHERE id = :id", id=message_id)
        if not rows:
            raise NotFoundError(f"There is no request {message_id!r}.")
        return MessageRow(**decoded(rows[0]))

    def messages(self, run_id: str, kind: str) -> list[MessageRow]:
        """All that a run has asked of this kind, oldest first."""
        rows = self._select(
            "SELECT * FROM message WHERE run = :run AND kind = :kind ORDER BY number", run=run_id, kind=kind
        )
        return [MessageRow(**decoded(row)) for row in rows]

    def message_for(self, run_id: str, key: str) -> MessageRow | None:
        """What was asked for this purpose, if it was asked."""
        rows = self._select("SELECT * FROM message WHERE run = :run AND key = :key", run=run_id, key=key)
        return MessageRow(**decoded(rows[0])) if rows else None

    def open_messages(self, run_id: str | None = None, kind: str | None = None, limit: int = 1000) -> list[MessageRow]:
        """What still waits for an answer, oldest first. Questions to a model of our own are not among them."""
        rows = self._select(
            "SELECT * FROM message WHERE state = 'open' AND kind IN ('gate', 'order')"
            " AND run = coalesce(:run, run) AND kind = coalesce(:kind, kind) ORDER BY asked, number, id LIMIT :most",
            run=run_id, kind=kind, most=limit,
        )  # fmt: skip
        return [MessageRow(**decoded(row)) for row in rows]

    def open_ids(self, run_id: str, kind: str | None = None) -> set[str]:
        """The ids of what still waits for an answer."""
        rows = self._select(
            "SELECT id FROM message WHERE run = :run AND state = 'open' AND kind IN ('gate', 'order')"
            " AND kind = coalesce(:kind, kind)",
            run=run_id,
            kind=kind,
        )
        return {row["id"] for row in rows}

    def lessons(self, workspace: str | None = None, *, about: str | None = None, limit: int = 100) -> list[LessonRow]:
        """What runs have taught, the latest first; with `about` only what shares words with it, the nearest first."""
        if about is None:
            rows = self._select(
                "SELECT * FROM lesson WHERE workspace = coalesce(:workspace, workspace)"
                " ORDER BY created DESC, id LIMIT :most",
                workspace=workspace, most=limit,
            )  # fmt: skip
        else:
            found = sorted(set(re.findall(r"\w{3,}", about)))[:64]
            words = " OR ".join(f'"{word}"' for word in found) or '""'
            rows = self._select(self.database.near, words=words, workspace=workspace, most=limit)
        return [LessonRow(**decoded(row)) for row in rows]

    def journal(self, run_id: str, *, after: int = 0, limit: int = 200) -> list[Entry]:
        rows = self._select(
            "SELECT * FROM journal WHERE run = :run AND seq > :after ORDER BY seq LIMIT :most",
            run=run_id, after=after, most=limit,
        )  # fmt: skip
        return [Entry(**decoded(row)) for row in rows]

    def chains(self) -> list[str]:
        """Every run and plan that has entries, or should have, and the empty name for what belongs to none."""
        return [row["run"] for row in self._select("SELECT run FROM journal UNION SELECT id FROM run ORDER BY run")]

    def snapshot(self, chain: str) -> dict[str, Sequence[Row]]:
        """The entries of a run or plan as they lie there, and the rows that belong to it, all at one moment.

        Raises:
            StoreError: they cannot be read.
        """
        try:
            with self.database.writing({chain}) as transaction:
                return {table: transaction.select(sql, {"chain": chain}) for table, sql in _SNAPSHOT.items()}
        except BrokenError as error:
            raise self._unreadable(error) from None

    def prune(self, before: float) -> int:
        """Forget runs that ended before this time, with all that belongs to them alone. Returns how many.

        Raises:
            StoreError: the disk refused, or the connection is gone.
        """
        old = "SELECT id FROM run WHERE ended < :before"
        # Those that were run, and no run that stays is about. What was never run is still to be.
        plans = (
            "SELECT plan FROM run WHERE kind = 'plan' AND ended < :before AND plan NOT IN"
            " (SELECT plan FROM run WHERE ended IS NULL OR ended >= :before)"
        )
        values = {"before": before}
        try:
            with self.database.writing(()) as transaction:
                transaction.change(f"DELETE FROM journal WHERE run IN ({plans})", values)  # noqa: S608
                transaction.change(f"DELETE FROM plan WHERE id IN ({plans})", values)  # noqa: S608
                for table in ("step", "message", "journal"):
                    transaction.change(f"DELETE FROM {table} WHERE run IN ({old})", values)  # noqa: S608
                count = transaction.change("DELETE FROM run WHERE ended < :before", values)
        except BrokenError as error:
            raise StoreError(f"The journal {self.name} could not be pruned: {error}.") from None
        return count

    def kept_contents(self) -> set[str]:
        """The names of all contents that an undo may still need."""
        bodies = [json.loads(row["body"]) for row in self._select("SELECT body FROM message WHERE kind = 'undo'")]
        return {body["kept"]["content"] for body in bodies if body["kept"].get("content")}

    async def changes(self, seconds: float) -> Collection[str]:
        """Wait for so long, or until others have written: the runs and plans that were written about, ours included."""
        try:
            return await self.database.changes(seconds)
        except BrokenError as error:
            raise self._unreadable(error) from None

    def _select(self, sql: str, **values: Value) -> Sequence[Row]:
        try:
            return self.database.select(sql, values)
        except BrokenError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: BrokenError) -> StoreError:
        return StoreError(f"The journal {self.name} could not be read: {error}.")


def link(before: str, run: str, at: float, kind: str, body: str) -> str:
    """The hash of an entry, which holds the one before it: changing either is seen."""
    parts = (before, run, repr(at), kind, body)  # JSON and names hold no NUL
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _told(error: Exception) -> Exception:
    """What a write was refused for."""
    if isinstance(error, StoreError | FencedError):
        return error
    return StoreError(f"This cannot be recorded: {type(error).__name__}: {error}.")


def _repeated(entry: Entry) -> _Write:
    told = {name: value for name, value in entry.body.items() if name != "epoch"}
    epoch = cast("int", entry.body["epoch"])
    return _Write(entry.run, [Fact(entry.kind, told)], epoch or None, entry.at)


def decoded(row: Row) -> dict[str, Any]:
    return {
        name: json.loads(row[name]) if name in _JSON_COLUMNS and row[name] is not None else row[name]
        for name in row.keys()  # noqa: SIM118 - iterating a row of SQLite gives its values
    }
