"""The journal in SQLite, and the rows that tell the state of every run. The only module that speaks SQL.

A fact is committed before anyone acts on it: one journal entry and its effect on the rows, in one transaction.
Writes that arrive while a commit is under way go together in the next one (group commit), so that durability
(`synchronous=FULL`) costs one fsync for many. Several processes may use one file.
"""

__all__ = ["StaleError", "Store", "new_id"]

import hashlib
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread

from forethought.rows import Entry, Fact, LessonRow, MessageRow, PlanRow, RunRow, StepRow
from forethought_tools import JSON, FencedError, NotFoundError, StoreError

SCHEMA_VERSION = 1


class StaleError(StoreError):
    """The row is not in the state that this fact needs: somebody was first. Nothing was written."""


_JSON_COLUMNS = frozenset({"body", "options", "budget", "arguments", "result", "answer"})

_USE_ANSWERS = "UPDATE message SET state = 'used' WHERE run = :run AND state = 'answered'"
_CLOSE_MESSAGES = "UPDATE message SET state = 'closed' WHERE run = :run AND state = 'open'"

_REMEMBER = (
    "INSERT INTO message (id, run, key, kind, step, body, state, asked)"
    " VALUES (:id, :run, :key, '{kind}', :step, :body, 'closed', :at)"
)
_LAST_HASH = "SELECT hash FROM journal WHERE run = ? ORDER BY seq DESC LIMIT 1"
_UNCHANGED = "UPDATE run SET state = state WHERE id = :run"

# What each kind of fact does to the rows. The first statement must change a row, else the fact is stale.
_EFFECTS: Mapping[str, tuple[str, ...]] = {
    "plan_saved": ("INSERT INTO plan VALUES (:plan, :revision, :goal, :body, :at)",),
    "run_created": (
        # A plan has at most one open run: a call that is repeated, here or elsewhere, must not do the work twice.
        "INSERT INTO run (id, plan, kind, state, epoch, owner, options, revision, budget, created)"
        " SELECT :run, :plan, :kind, 'running', 1, :owner, :options, :revision, :budget, :at WHERE NOT EXISTS"
        " (SELECT 1 FROM run WHERE plan = :plan AND plan <> '' AND ended IS NULL)",
        "INSERT INTO step (run, id) SELECT :run, value FROM json_each(:steps)",
    ),
    "run_claimed": (
        "UPDATE run SET owner = :owner, epoch = epoch + 1, state = 'running', pausing = pausing % 2"
        " WHERE id = :run AND owner IS :previous AND state IN ('running', 'waiting')",
        # Approvals from before `oldest` have lapsed.
        "UPDATE message SET state = 'open', answer = NULL, by = '', channel = '', answered = NULL"
        " WHERE run = :run AND state = 'answered' AND kind = 'gate' AND answered < :oldest"
        " AND json_extract(answer, '$.verb') IN ('approve', 'approve_tool', 'edit', 'again')",
        _USE_ANSWERS,
    ),
    "run_parked": (
        "UPDATE run SET state = 'waiting', owner = NULL, seconds = seconds + :seconds"
        " WHERE id = :run AND state = 'running'",
    ),
    "run_ended": (
        "UPDATE run SET state = :state, answer = :answer, error = :error, ended = :at, owner = NULL,"
        " seconds = seconds + :seconds"
        " WHERE id = :run AND state IN ('running', 'waiting')",
        _CLOSE_MESSAGES,
    ),
    "stop_asked": (
        "UPDATE run SET stopping = 1, state = iif(state = 'paused', 'waiting', state)"
        " WHERE id = :run AND ended IS NULL",
    ),
    # What is driven pauses by itself, once what is in flight has ended.
    "pause_asked": (
        "UPDATE run SET pausing = 1, state = iif(owner IS NULL, 'paused', state)"
        " WHERE id = :run AND state IN ('running', 'waiting')",
    ),
    "run_paused": (
        "UPDATE run SET state = 'paused', owner = NULL, seconds = seconds + :seconds"
        " WHERE id = :run AND state = 'running' AND pausing = 1",
    ),
    "resume_asked": (
        "UPDATE run SET pausing = iif(state = 'paused', 2, 0), state = iif(state = 'paused', 'waiting', state)"
        " WHERE id = :run AND ended IS NULL AND pausing = 1",
    ),
    # The next revision of the plan that a run is about: `steps` are new to it, `dropped` are no longer in it.
    "plan_revised": (
        "INSERT INTO plan VALUES (:plan, :revision, :goal, :body, :at)",
        "UPDATE run SET revision = :revision, replans = replans + :replanned WHERE id = :run",
        "UPDATE step SET dropped = 1 WHERE run = :run AND id IN (SELECT value FROM json_each(:dropped))",
        "INSERT INTO step (run, id) SELECT :run, value FROM json_each(:steps)",
    ),
    "budget_raised": ("UPDATE run SET budget = json_set(budget, '$.' || :measure, :limit) WHERE id = :run",),
    "budget_nearly_spent": (_UNCHANGED,),
    "step_added": ("INSERT INTO step (run, id, body, dropped) VALUES (:run, :step, :body, :dropped)",),
    "step_started": (
        "UPDATE step SET state = 'running', arguments = :arguments, epoch = :epoch, started = :at, returned = 0,"
        " result = NULL WHERE run = :run AND id = :step",
        "UPDATE run SET tool_calls = tool_calls + 1 WHERE id = :run",
    ),
    "step_returned": ("UPDATE step SET returned = 1, result = :result WHERE run = :run AND id = :step",),
    # Its tool was approved for the rest of the run: `gate` says when.
    "step_allowed": (_UNCHANGED,),
    "step_waiting": ("UPDATE step SET state = 'waiting' WHERE run = :run AND id = :step",),
    "step_resumed": ("UPDATE step SET state = 'running' WHERE run = :run AND id = :step",),
    "step_in_doubt": ("UPDATE step SET state = 'in_doubt', doubt = 1 WHERE run = :run AND id = :step",),
    "step_redone": (
        "UPDATE step SET state = 'pending', doubt = 0, attempt = attempt + 1, arguments = NULL"
        " WHERE run = :run AND id = :step",
    ),
    "step_retrying": (
        "UPDATE step SET attempt = attempt + 1, error = :error WHERE run = :run AND id = :step",
    ),
    "step_again": (
        "UPDATE step SET state = 'pending', attempt = attempt + 1, round = round + 1, feedback = :feedback,"
        " error = :error, arguments = NULL, returned = 0, result = NULL WHERE run = :run AND id = :step",
    ),
    "call_started": ("UPDATE run SET tool_calls = tool_calls + 1 WHERE id = :run",),
    "step_settled": (
        "UPDATE step SET state = :state, result = :result, error = :error, ended = :at, doubt = 0"
        " WHERE run = :run AND id = :step",
    ),
    "asked": (
        "INSERT INTO message (id, run, key, kind, step, body, state, asked)"
        " VALUES (:id, :run, :key, :kind, :step, :body, 'open', :at)",
    ),
    "lesson_learned": (
        "INSERT INTO lesson VALUES (:id, :workspace, :run, :goal, :text, :at)",
        "INSERT INTO lesson_words VALUES (:id, :goal, :text)",
    ),
    "lessons_forgotten": (
        "DELETE FROM lesson WHERE id IN (SELECT value FROM json_each(:lessons))",
        "DELETE FROM lesson_words WHERE id IN (SELECT value FROM json_each(:lessons))",
    ),
    # What a reflection or a search has come to, and what it takes to undo a call: they wait for nobody.
    "noted": (_REMEMBER.format(kind="note"),),
    "kept": (_REMEMBER.format(kind="undo"),),
    # The kind is part of the condition: nothing that answers an order can decide a gate, nor the other way round.
    "answered": (
        "UPDATE message SET state = 'answered', answer = :answer, by = :by, channel = :channel, answered = :at"
        " WHERE id = :id AND run = :run AND kind = :kind AND state = 'open'",
    ),
    # An approval that was not used in time: the person is asked anew.
    "lapsed": (
        "UPDATE message SET state = 'open', answer = NULL, by = '', channel = '', answered = NULL"
        " WHERE id = :id AND run = :run AND kind = 'gate' AND state IN ('answered', 'used')",
    ),
    "used": ("UPDATE message SET state = 'used' WHERE id = :id AND run = :run AND state = 'answered'",),
    "spent": (
        "UPDATE run SET model_calls = model_calls + :model_calls, input_tokens = input_tokens + :input_tokens,"
        " output_tokens = output_tokens + :output_tokens, dollars = dollars + :dollars,"
        " unpriced = unpriced + :unpriced WHERE id = :run",
    ),
}  # fmt: skip


class _Write:
    __slots__ = ("at", "done", "epoch", "error", "facts", "run")

    def __init__(self, run: str, facts: Sequence[Fact], epoch: int | None) -> None:
        self.run = run
        self.facts = facts
        self.epoch = epoch
        self.at = time.time()
        self.done = False
        self.error: Exception | None = None


class Store:
    """One SQLite file. `write` from async code, `commit` from plain code; reads are immediate and see every commit."""

    def __init__(self, path: Path, *, redact: Callable[[str], str] = lambda text: text) -> None:
        """Open the file, and create it if it is not there.

        Raises:
            StoreError: not a journal, or one written by a newer version; the file is left as it is.
        """
        self.path = path
        self._redact = redact
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._writer = self._connect()
            self._migrate()
            self._reader = self._connect()
            self._watch = self._connect()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path} cannot be opened as a journal ({error}). Move it away to start anew.") from None
        self._pending: list[_Write] = []
        self._turn = anyio.Lock()
        self._seen = self._data_version()

    def close(self) -> None:
        for connection in (self._writer, self._reader, self._watch):
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _migrate(self) -> None:
        self.path.chmod(0o600)
        self._writer.execute("BEGIN IMMEDIATE")
        version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            self._writer.execute("ROLLBACK")
            raise StoreError(f"{self.path} was written by a newer forethought (schema {version}). Update forethought.")
        if version == 0:
            script = files("forethought").joinpath("schema.sql").read_text(encoding="utf-8")
            for statement in re.sub(r"--.*", "", script).split(";"):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._writer.execute("COMMIT")

    # Writing

    async def write(self, run: str, *facts: Fact, epoch: int | None = None) -> None:
        """Commit facts about one run, all or none; returns when they are on disk.

        `epoch` is given by the run's driver: a driver that has lost the run cannot write to it.

        Raises:
            FencedError: another process has taken the run over.
            StaleError: a row is not in the state that a fact needs.
            StoreError: the disk refused.
        """
        entry = _Write(run, facts, epoch)
        self._pending.append(entry)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not entry.done:
                    batch, self._pending = self._pending, []
                    await anyio.to_thread.run_sync(self._commit, batch)
        if entry.error:
            raise entry.error

    def commit(self, run: str, *facts: Fact) -> None:
        """The same as `write`, from plain code such as the command line."""
        entry = _Write(run, facts, None)
        self._commit([entry])
        if entry.error:
            raise entry.error

    def _commit(self, batch: Sequence[_Write]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for entry in batch:
                self._writer.execute("SAVEPOINT entry")
                entry.error = self._refusal(entry)
                if entry.error:
                    self._writer.execute("ROLLBACK TO entry")
                self._writer.execute("RELEASE entry")
            self._writer.execute("COMMIT")
        except BaseException as error:
            # Nobody may believe that something was written which was not.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for entry in batch:
                entry.error = StoreError(f"The journal {self.path} could not be written: {error}.")
            if not isinstance(error, Exception):
                raise
        finally:
            for entry in batch:
                entry.done = True

    def _refusal(self, entry: _Write) -> Exception | None:
        """Apply one write; what is wrong with it touches no other."""
        try:
            self._apply(entry)
        except (StoreError, FencedError) as error:
            return error
        except sqlite3.IntegrityError as error:
            return StaleError(f"already recorded: {error}")
        except sqlite3.OperationalError:
            raise  # the disk, not the write
        except Exception as error:
            return StoreError(f"This cannot be recorded: {type(error).__name__}: {error}.")
        return None

    def _apply(self, entry: _Write) -> None:
        if entry.epoch is not None:
            row = self._writer.execute("SELECT epoch FROM run WHERE id = ?", (entry.run,)).fetchone()
            if row is None or row["epoch"] != entry.epoch:
                raise FencedError(f"Run {entry.run} is driven by another process now.")
        for fact in entry.facts:
            values = {name: self._column(name, value) for name, value in fact.body.items()}
            values |= {"run": entry.run, "at": entry.at, "epoch": entry.epoch or 0}
            first, *rest = _EFFECTS[fact.kind]
            if self._writer.execute(first, values).rowcount < 1:
                raise StaleError(f"{fact.kind}: the row is not in the state that this needs.")
            for statement in rest:
                self._writer.execute(statement, values)
            body = self._text(json.dumps({**fact.body, "epoch": entry.epoch or 0}, ensure_ascii=False))
            last = self._writer.execute(_LAST_HASH, (entry.run,)).fetchone()
            link = _link(last["hash"] if last else "", entry.run, entry.at, fact.kind, body)
            self._writer.execute(
                "INSERT INTO journal (run, at, kind, body, hash) VALUES (?, ?, ?, ?, ?)",
                (entry.run, entry.at, fact.kind, body, link),
            )

    def _column(self, name: str, value: JSON) -> str | int | float | None:
        if name in _JSON_COLUMNS or isinstance(value, Mapping | list | tuple):
            return self._text(json.dumps(value, ensure_ascii=False))
        if isinstance(value, str):
            return self._text(value)
        return cast("int | float | None", value)

    def _text(self, text: str) -> str:
        """Without secrets, and without the lone surrogates of odd file names, which UTF-8 cannot hold."""
        return self._redact(text).encode("utf-8", "replace").decode("utf-8")

    # Reading

    def plan(self, plan_id: str, revision: int | None = None) -> PlanRow:
        """A plan's latest revision, or the one asked for. Raises NotFoundError."""
        rows = self._select(
            "SELECT * FROM plan WHERE id = ? AND revision = coalesce(?, revision) ORDER BY revision DESC LIMIT 1",
            plan_id, revision,
        )  # fmt: skip
        if not rows:
            raise NotFoundError(
                f"There is no plan {plan_id!r} in {self.path}. get_plan without plan_id lists the plans there are."
            )
        return PlanRow(**_decoded(rows[0]))

    def has_plan(self, plan_id: str) -> bool:
        """Whether a plan of this id was made already."""
        return bool(self._select("SELECT 1 FROM plan WHERE id = ? LIMIT 1", plan_id))

    def plans(self, *, limit: int = 20, prefix: str = "") -> list[PlanRow]:
        """The latest revision of each plan whose id starts with `prefix`, newest first."""
        rows = self._select(
            "SELECT * FROM plan p WHERE id GLOB ? || '*'"
            " AND revision = (SELECT max(revision) FROM plan WHERE id = p.id) ORDER BY created DESC LIMIT ?",
            _plain(prefix), limit,
        )  # fmt: skip
        return [PlanRow(**_decoded(row)) for row in rows]

    def run(self, run_id: str) -> RunRow:
        """A run. Raises NotFoundError."""
        rows = self._select("SELECT * FROM run WHERE id = ?", run_id)
        if not rows:
            raise NotFoundError(
                f"There is no run {run_id!r} in {self.path}. `forethought runs` lists the runs there are."
            )
        return RunRow(**_decoded(rows[0]))

    def runs(
        self, *, plan: str | None = None, open_only: bool = False, limit: int = 20, prefix: str = ""
    ) -> list[RunRow]:
        """Runs, newest first."""
        rows = self._select(
            "SELECT * FROM run WHERE plan = coalesce(?, plan) AND id GLOB ? || '*'"
            " AND (NOT ? OR state IN ('running', 'waiting')) ORDER BY created DESC, id LIMIT ?",
            plan, _plain(prefix), open_only, limit,
        )  # fmt: skip
        return [RunRow(**_decoded(row)) for row in rows]

    def answered_while_parked(self) -> list[str]:
        """Runs that nobody drives though someone has answered, or wants them stopped, or nobody is waited for."""
        rows = self._select(
            "SELECT id FROM run WHERE state = 'waiting' AND owner IS NULL AND (stopping = 1 OR pausing = 2 OR EXISTS"
            " (SELECT 1 FROM message WHERE run = run.id AND message.state = 'answered') OR NOT EXISTS"
            " (SELECT 1 FROM message WHERE run = run.id AND message.state = 'open' AND kind IN ('gate', 'order')))"
        )
        return [row["id"] for row in rows]

    def pausing(self, run_id: str) -> bool:
        """Whether a person wants this run to pause."""
        return bool(self._select("SELECT 1 FROM run WHERE id = ? AND pausing = 1", run_id))

    def driven_by_others(self, owner: str) -> list[tuple[str, str]]:
        """Runs that another process drives, or drove until it died, each with that process."""
        rows = self._select("SELECT id, owner FROM run WHERE state = 'running' AND owner <> ?", owner)
        return [(row["id"], row["owner"]) for row in rows]

    def steps(self, run_id: str) -> list[StepRow]:
        return [
            StepRow(**_decoded(row)) for row in self._select("SELECT * FROM step WHERE run = ? ORDER BY id", run_id)
        ]

    def progress(self, run_id: str) -> dict[str, int]:
        """How many steps of the present revision are in each state."""
        rows = self._select(
            "SELECT state, count(*) AS count FROM step WHERE run = ? AND NOT dropped GROUP BY state", run_id
        )
        return {row["state"]: row["count"] for row in rows}

    def message(self, message_id: str) -> MessageRow:
        """One gate or order. Raises NotFoundError."""
        rows = self._select("SELECT * FROM message WHERE id = ?", message_id)
        if not rows:
            raise NotFoundError(f"There is no request {message_id!r}.")
        return MessageRow(**_decoded(rows[0]))

    def messages(self, run_id: str, kind: str) -> list[MessageRow]:
        """All that a run has asked of this kind, oldest first."""
        rows = self._select("SELECT * FROM message WHERE run = ? AND kind = ? ORDER BY asked, id", run_id, kind)
        return [MessageRow(**_decoded(row)) for row in rows]

    def message_for(self, run_id: str, key: str) -> MessageRow | None:
        """What was asked for this purpose, if it was asked."""
        rows = self._select("SELECT * FROM message WHERE run = ? AND key = ?", run_id, key)
        return MessageRow(**_decoded(rows[0])) if rows else None

    def open_messages(self, run_id: str | None = None, kind: str | None = None, limit: int = 1000) -> list[MessageRow]:
        """What still waits for an answer, oldest first. Questions to a model of our own are not among them."""
        rows = self._select(
            "SELECT * FROM message WHERE state = 'open' AND kind IN ('gate', 'order')"
            " AND run = coalesce(?, run) AND kind = coalesce(?, kind) ORDER BY asked, id LIMIT ?",
            run_id, kind, limit,
        )  # fmt: skip
        return [MessageRow(**_decoded(row)) for row in rows]

    def open_ids(self, run_id: str, kind: str | None = None) -> set[str]:
        """The ids of what still waits for an answer."""
        rows = self._select(
            "SELECT id FROM message WHERE run = ? AND state = 'open' AND kind IN ('gate', 'order')"
            " AND kind = coalesce(?, kind)",
            run_id,
            kind,
        )
        return {row["id"] for row in rows}

    def lessons(self, workspace: str | None = None, *, about: str | None = None, limit: int = 100) -> list[LessonRow]:
        """What runs have taught, the latest first; with `about` only what shares words with it, the nearest first."""
        if about is None:
            rows = self._select(
                "SELECT * FROM lesson WHERE workspace = coalesce(?, workspace) ORDER BY created DESC, id LIMIT ?",
                workspace, limit,
            )  # fmt: skip
        else:
            words = set(re.findall(r"\w{3,}", about))
            rows = self._select(
                "SELECT lesson.* FROM lesson_words JOIN lesson USING (id) WHERE lesson_words MATCH ?"
                " AND workspace = coalesce(?, workspace) ORDER BY bm25(lesson_words), lesson.created DESC LIMIT ?",
                " OR ".join(f'"{word}"' for word in sorted(words)[:64]) or '""', workspace, limit,
            )  # fmt: skip
        return [LessonRow(**_decoded(row)) for row in rows]

    def journal(self, run_id: str, *, after: int = 0, limit: int = 200) -> list[Entry]:
        rows = self._select(
            "SELECT * FROM journal WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", run_id, after, limit
        )
        return [Entry(**_decoded(row)) for row in rows]

    def broken(self, run_id: str) -> int | None:
        """Where the chain of a run's entries is broken: the first entry that is not what was written then."""
        before = ""
        for row in self._select("SELECT * FROM journal WHERE run = ? ORDER BY seq", run_id):
            if row["hash"] != _link(before, row["run"], row["at"], row["kind"], row["body"]):
                return int(row["seq"])
            before = row["hash"]
        return None

    def journaled(self) -> list[str]:
        """Every run that has entries, and the empty name for what belongs to none."""
        return [row["run"] for row in self._select("SELECT DISTINCT run FROM journal ORDER BY run")]

    def prune(self, before: float) -> int:
        """Forget runs that ended before this time, with all that belongs to them alone. Returns how many.

        Raises:
            StoreError: the disk refused.
        """
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            old = "SELECT id FROM run WHERE ended < ?"
            count = int(self._writer.execute(f"SELECT count(*) AS n FROM ({old})", (before,)).fetchone()["n"])  # noqa: S608
            for table in ("step", "message", "journal"):
                self._writer.execute(f"DELETE FROM {table} WHERE run IN ({old})", (before,))  # noqa: S608
            self._writer.execute("DELETE FROM run WHERE ended < ?", (before,))
            self._writer.execute("DELETE FROM plan WHERE created < ? AND id NOT IN (SELECT plan FROM run)", (before,))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise StoreError(f"The journal {self.path} could not be pruned: {error}.") from None
        return count

    def kept_contents(self) -> set[str]:
        """The names of all contents that an undo may still need."""
        found = self._select("SELECT json_extract(body, '$.kept.content') AS name FROM message WHERE kind = 'undo'")
        return {row["name"] for row in found if row["name"]}

    def changed_elsewhere(self) -> bool:
        """Whether anything was committed since the last call, by this or another process."""
        version = self._data_version()
        changed, self._seen = version != self._seen, version
        return changed

    def _data_version(self) -> int:
        try:
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StoreError(f"The journal {self.path} could not be read: {error}.") from None

    def _select(self, sql: str, *values: str | float | None) -> list[sqlite3.Row]:
        try:
            with closing(self._reader.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"The journal {self.path} could not be read: {error}.") from None


def _link(before: str, run: str, at: float, kind: str, body: str) -> str:
    """The hash of an entry, which holds the one before it: changing either is seen."""
    return hashlib.sha256(json.dumps([before, run, at, kind, body]).encode()).hexdigest()


def new_id(prefix: str) -> str:
    """An id that cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(6)}"


def _plain(prefix: str) -> str:
    return "".join(char for char in prefix if char not in "*?[]")


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    return {
        name: json.loads(row[name]) if name in _JSON_COLUMNS and row[name] is not None else row[name]
        for name in row.keys()  # noqa: SIM118 - iterating a Row gives its values
    }
