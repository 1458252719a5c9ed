"""The journal, and the rows that tell the state of every run. Only this and the database modules speak SQL.

A fact is committed before anyone acts on it: one journal entry and its effect on the rows, in one transaction.
Writes that arrive while a commit is under way go together in the next one (group commit), so that durability
costs one wait for the disk for many. Several processes may use one journal.
"""

__all__ = ["Store", "link"]

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import anyio
import anyio.lowlevel
import anyio.to_thread

from forethought.journal.database import BrokenError, ChangedError, Database, HeldError, StaleError, Transaction, Value
from forethought.journal.effects import ABSENT, CONSTANTS, EFFECTS, Each
from forethought.journal.learned import JSON_COLUMNS
from forethought.journal.queries import Queries, has_to_wait
from forethought.journal.rows import Entry, Fact
from forethought_tools import JSON, FencedError, StoreError, withheld

_json = json.JSONEncoder(ensure_ascii=False).encode

_QUIET, _LONGEST = 3, 64  # turns of the event loop without another write, and at most, until a commit begins
_CLAIMS = "claims"  # whoever claims something does so alone
_LAST_HASH = "SELECT hash FROM journal WHERE run = :run ORDER BY seq DESC LIMIT 1"
_NOBODY = ""  # the chain of what belongs to no run or plan
# What an open rollback is about stays until that has ended.
_OLD_RUNS = (
    "SELECT id FROM run WHERE ended < :before AND NOT EXISTS (SELECT 1 FROM run r WHERE r.ended IS NULL"
    " AND (r.undoes = run.id OR substr(r.undoes, 1, length(run.id) + 1) = run.id || '/'))"
)
# Those that were run, and no run that stays is about. What was never run is still to be.
_OLD_PLANS = (
    "SELECT DISTINCT plan FROM run WHERE kind = 'plan' AND ended < :before AND plan NOT IN"  # noqa: S608 - all ours
    f" (SELECT plan FROM run WHERE id NOT IN ({_OLD_RUNS}))"
)
_FORGET = (
    "DELETE FROM step WHERE run = :each",
    "DELETE FROM message WHERE run = :each",
    "DELETE FROM journal WHERE run = :each",
)
_ENTRY = "INSERT INTO journal (run, at, kind, body, hash) VALUES (:run, :at, :kind, :body, :hash)"


class _Write:
    __slots__ = ("at", "epoch", "error", "facts", "run")

    def __init__(self, run: str, facts: Sequence[Fact], epoch: int | None, at: float | None = None) -> None:
        self.run = run
        self.facts = facts
        self.epoch = epoch
        self.at = time.time() if at is None else at
        # Nobody may believe that something was written which was not.
        self.error: Exception | None = StoreError("What came before this could not be recorded.")


class _Batch:
    """What is committed together: whoever opens it sees to that, the others wait."""

    def __init__(self) -> None:
        self.writes: list[_Write] = []
        self.done = anyio.Event()


class Store:
    """One journal. `write` from async code, `commit` from plain code."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] = lambda text: text) -> None:
        self.database = database
        self.queries = Queries(database)
        self._redact = redact
        self._open: _Batch | None = None
        self._committing = anyio.Lock()
        # Drivers with a write that failed: what they write after it would not follow from what is there.
        self._refused: set[tuple[str, int | None]] = set()

    @property
    def name(self) -> str:
        """Where the journal is."""
        return self.database.name

    def close(self) -> None:
        self.database.close()

    async def write(self, run: str, *facts: Fact, epoch: int | None = None) -> None:
        """Commit facts about one run, all or none; returns when they are on disk.

        `epoch` is given by the run's driver: a driver that has lost the run cannot write to it.

        Raises:
            FencedError: another process has taken the run over.
            HeldError: another process came first with a claim that clashes.
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
            async with self._committing:
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

    def ended_before(self, before: float) -> int:
        """How many runs `prune` would forget."""
        return len(self.database.select(_OLD_RUNS, {"before": before}))

    def prune(self, before: float) -> int:
        """Forget runs that ended before this time, with all that belongs to them alone. Returns how many.

        Raises:
            StoreError: the disk refused, or the connection is gone.
        """
        values = {"before": before}
        try:
            with self.database.writing({_NOBODY}) as transaction:
                runs = [row["id"] for row in transaction.select(_OLD_RUNS, values)]
                plans = [row["plan"] for row in transaction.select(_OLD_PLANS, values)]
                if runs:
                    # On record, and so the numbers of entries that go are never given again: others go by them.
                    write = _Write(_NOBODY, [Fact("pruned", {"runs": len(runs), "before": before})], None)
                    self._record(transaction, write, {})
                for statement in _FORGET:
                    transaction.change_each(statement, _each([*runs, *plans]))
                transaction.change_each("DELETE FROM plan WHERE id = :each", _each(plans))
                transaction.change_each("DELETE FROM run WHERE id = :each", _each(runs))
        except BrokenError as error:
            raise StoreError(f"The journal {self.name} could not be pruned: {error}.") from None
        return len(runs)

    def replay(self, entries: Sequence[Entry]) -> None:
        """Write the entries of another journal as they were written there.

        Raises:
            StoreError, FencedError: one of them does not follow from those before it.
        """
        self._commit_all([_repeated(entry) for entry in entries])

    def _commit(self, writes: Sequence[_Write]) -> None:
        writes = [write for write in writes if (write.run, write.epoch) not in self._refused]
        if not writes:
            return
        try:
            self._commit_all(writes)
        except BrokenError as error:
            self._refuse(writes, StoreError(f"The journal {self.name} could not be written: {error}."))
        except Exception as error:
            if len(writes) == 1:
                self._refuse(writes, _reason(error))
                return
            for write in writes:  # what is wrong with one touches no other
                self._commit([write])

    def _refuse(self, writes: Sequence[_Write], error: Exception) -> None:
        for write in writes:
            write.error = error
            if write.epoch is not None and not isinstance(error, HeldError):
                self._refused.add((write.run, write.epoch))

    def _commit_all(self, writes: Sequence[_Write]) -> None:
        chains = {write.run for write in writes}
        # Whether a plan has an open run is looked at where it changes, and its latest revision where a run begins.
        chains |= {str(fact.body["plan"]) for write in writes for fact in write.facts if fact.body.get("plan")}
        if any(fact.kind == "claimed" for write in writes for fact in write.facts):
            chains.add(_CLAIMS)
        with self.database.writing(chains) as transaction:
            last: dict[str, str] = {}
            for write in writes:
                if write.epoch is not None:
                    rows = transaction.select("SELECT epoch FROM run WHERE id = :run", {"run": write.run})
                    if not rows or rows[0]["epoch"] != write.epoch:
                        raise FencedError(f"Run {write.run} is driven by another process now.")
                self._record(transaction, write, last)
        for write in writes:
            write.error = None

    def _record(self, transaction: Transaction, write: _Write, last: dict[str, str]) -> None:
        """`last` are the hashes of the latest entries, as far as they are known."""
        if write.run not in last:
            entries = transaction.select(_LAST_HASH, {"run": write.run})
            last[write.run] = str(entries[0]["hash"]) if entries else ""
        for fact in write.facts:
            last[write.run] = self._apply(transaction, write, fact, last[write.run])

    def _apply(self, transaction: Transaction, write: _Write, fact: Fact, before: str) -> str:
        """Journal a fact, and have its effect. Returns the hash of its entry."""
        epoch = write.epoch or 0
        values = {name: self._column(name, value) for name, value in fact.body.items()}
        values = {**ABSENT, **values, **CONSTANTS, "run": write.run, "at": write.at, "epoch": epoch}
        for place, statement in enumerate(EFFECTS[fact.kind]):
            if isinstance(statement, Each):
                each = cast("Sequence[Value]", fact.body.get(statement.of, ()))  # older journals do not have all
                given = [{"run": write.run, "each": value} for value in each]
                if statement.needed:
                    self._change_all(transaction, fact.kind, statement.sql, given)
                else:
                    transaction.change_each(statement.sql, given)
            elif transaction.change(statement, values) < 1 and place == 0:
                raise _stale(fact.kind)
        if (
            fact.kind == "claimed"
            and not fact.body["waits"]
            and has_to_wait(transaction.select, write.run, str(fact.body["key"]), self.database.alive)
        ):
            raise HeldError("A call of another server has to end first.")
        body = self._document({**fact.body, "epoch": epoch})
        hashed = link(before, write.run, write.at, fact.kind, body)
        entry: dict[str, Value] = {"run": write.run, "at": write.at, "kind": fact.kind, "body": body, "hash": hashed}
        transaction.change(_ENTRY, entry)
        transaction.tell(write.run)
        return hashed

    def _change_all(self, transaction: Transaction, kind: str, sql: str, values: Sequence[Mapping[str, Value]]) -> None:
        for each in values:
            if transaction.change(sql, each) < 1:
                raise _stale(kind)

    def _column(self, name: str, value: JSON) -> Value:
        if name in JSON_COLUMNS or isinstance(value, Mapping | list | tuple):
            return self._document(value)
        if isinstance(value, str):
            return self._text(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
        return int(value) if isinstance(value, bool) else cast("int | float | None", value)

    def _document(self, value: JSON) -> str:
        text = _json(value)
        return _whole(text if self._redact(text) == text else _json(withheld(value, self._redact)))

    def _text(self, text: str) -> str:
        return _whole(self._redact(text))


def _stale(kind: str) -> StaleError:
    told = f"{kind}: the row is not in the state that this needs."
    return ChangedError(told) if kind in ("step_started", "step_added") else StaleError(told)


def _each(values: Sequence[Value]) -> list[dict[str, Value]]:
    return [{"each": value} for value in values]


def _whole(text: str) -> str:
    """Without the lone surrogates of odd file names, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def link(before: str, run: str, at: float, kind: str, body: str) -> str:
    """The hash of an entry, which holds the one before it: changing either is seen."""
    parts = (before, run, repr(at), kind, body)  # JSON and names hold no NUL
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _reason(error: Exception) -> Exception:
    """What a write was refused for."""
    if isinstance(error, StoreError | FencedError):
        return error
    return StoreError(f"This cannot be recorded: {type(error).__name__}: {error}.")


def _repeated(entry: Entry) -> _Write:
    body = {name: value for name, value in entry.body.items() if name != "epoch"}
    epoch = cast("int", entry.body["epoch"])
    return _Write(entry.run, [Fact(entry.kind, body)], epoch or None, entry.at)
