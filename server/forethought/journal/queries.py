"""What the journal holds, as rows and entries. Reads are immediate and see every commit."""

__all__ = ["Queries", "has_to_wait"]

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import anyio

from forethought.journal.codec import claim_of
from forethought.journal.database import BrokenError, Database, Row, Value
from forethought.journal.learned import Learned, decoded
from forethought.journal.rows import (
    Entry,
    LeaseRow,
    MessageKind,
    MessageRow,
    Pausing,
    PlanRow,
    RunRow,
    StepRow,
)
from forethought_tools import NotFoundError
from forethought_tools.text import clipped

_ID = 80  # characters of an id that is none
_SNAPSHOT = {
    "journal": "SELECT * FROM journal WHERE run = :chain ORDER BY seq",
    "run": "SELECT * FROM run WHERE id = :chain",
    "step": "SELECT * FROM step WHERE run = :chain ORDER BY id",
    "message": "SELECT * FROM message WHERE run = :chain ORDER BY number",
    "plan": "SELECT * FROM plan WHERE id = :chain OR id = (SELECT plan FROM run WHERE id = :chain) ORDER BY revision",
    "lesson": "SELECT * FROM lesson WHERE run = :chain ORDER BY id",
    "recipe": "SELECT * FROM recipe WHERE run = :chain ORDER BY id",
    "rule": "SELECT * FROM rule WHERE run = :chain ORDER BY id",
}


# An agent outside is at work on the step that has made the other claim, whoever drives that run, or nobody.
_AT_WORK = (
    "EXISTS (SELECT 1 FROM lease JOIN message ON message.id = lease.message"
    " WHERE lease.run = other.run AND 'step/' || message.step = other.key AND lease.until > :now)"
)
_AHEAD = (
    f"SELECT mine.claim AS mine, other.claim AS other, CASE WHEN {_AT_WORK} THEN NULL ELSE run.owner END AS owner"  # noqa: S608 - all ours
    " FROM claim mine"
    " JOIN claim other ON other.number < mine.number JOIN run ON run.id = other.run"
    " WHERE mine.run = :run AND mine.key = :key"
    f" AND (run.owner <> (SELECT owner FROM run WHERE id = :run) OR {_AT_WORK})"
)


class Queries(Learned):
    """One journal, for looking only. Whatever is asked raises StoreError where it cannot be read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.news = anyio.Event()
        """Set, and replaced by a new one, whenever `changes` has found some."""

    def plan(self, plan_id: str, revision: int | None = None) -> PlanRow:
        """A plan's latest revision, or the one asked for. Raises NotFoundError."""
        rows = self._select(
            "SELECT * FROM plan WHERE id = :id AND revision = coalesce(:revision, revision)"
            " ORDER BY revision DESC LIMIT 1",
            id=plan_id,
            revision=revision,
        )
        if not rows:
            raise NotFoundError(self._no_plan(plan_id, revision))
        return PlanRow(**decoded(rows[0]))

    def _no_plan(self, plan_id: str, revision: int | None) -> str:
        """Why there is no such plan, with what may be meant instead."""
        if plan_id and (latest := self.plans(limit=1, prefix=plan_id)) and latest[0].id == plan_id:
            return f"{plan_id} has no revision {revision}. Its latest is {latest[0].revision}."
        if plan_id and (of_run := self._select("SELECT plan FROM run WHERE id = :id", id=plan_id)):
            plan = str(of_run[0]["plan"])
            return f"{plan_id} is a run, {f'and its plan is {plan}' if plan else 'and has no plan'}."
        return f"There is no plan {clipped(plan_id, _ID)!r}."

    def has_plan(self, plan_id: str) -> bool:
        """Whether a plan of this id was made already."""
        return bool(self._select("SELECT 1 FROM plan WHERE id = :id LIMIT 1", id=plan_id))

    def plans(self, *, limit: int = 20, prefix: str = "") -> list[PlanRow]:
        """The latest revision of each plan whose id starts with `prefix`, newest first."""
        rows = self._select(
            "SELECT * FROM plan p WHERE substr(id, 1, :size) = :prefix"
            " AND revision = (SELECT max(revision) FROM plan WHERE id = p.id) ORDER BY created DESC LIMIT :most",
            prefix=prefix,
            size=len(prefix),
            most=limit,
        )
        return [PlanRow(**decoded(row)) for row in rows]

    def run(self, run_id: str) -> RunRow:
        """A run. Raises NotFoundError."""
        rows = self._select("SELECT * FROM run WHERE id = :id", id=run_id)
        if not rows:
            of_plan = self.runs(plan=run_id, limit=1) if run_id else []
            meant = f"{run_id} is a plan. Its latest run is {of_plan[0].id}." if of_plan else ""
            if not meant and run_id and self.has_plan(run_id):
                meant = f"{run_id} is a plan that has not run."
            raise NotFoundError(meant or f"There is no run {clipped(run_id, _ID)!r}.")
        return RunRow(**decoded(rows[0]))

    def has_run(self, run_id: str) -> bool:
        """Whether there is a run of this id, and it was not forgotten."""
        return bool(self._select("SELECT 1 FROM run WHERE id = :id", id=run_id))

    def runs(
        self, *, plan: str | None = None, open_only: bool = False, limit: int = 20, prefix: str = ""
    ) -> list[RunRow]:
        """Runs, newest first."""
        rows = self._select(
            "SELECT * FROM run WHERE plan = coalesce(:plan, plan) AND substr(id, 1, :size) = :prefix"
            " AND (:all = 1 OR state IN ('running', 'waiting')) ORDER BY created DESC, id LIMIT :most",
            plan=plan,
            prefix=prefix,
            size=len(prefix),
            all=int(not open_only),
            most=limit,
        )
        return [RunRow(**decoded(row)) for row in rows]

    def started(self, call: str) -> RunRow | None:
        """The open run that this call of a client has started."""
        rows = self._select("SELECT run.* FROM started JOIN run ON run.id = started.run WHERE call = :call", call=call)
        return RunRow(**decoded(rows[0])) if rows else None

    def newest(self, planning: str, *, limit: int, skipped: int) -> list[RunRow | PlanRow]:
        """Runs, and plans of which none of these tells, newest first. A run of the kind `planning` that has brought a
        plan is told of by that."""
        rows = self._select(
            "SELECT id, created, 0 AS revision FROM run WHERE kind <> :planning OR state <> 'succeeded'"
            " UNION ALL SELECT id, min(created) AS created, max(revision) AS revision FROM plan WHERE NOT EXISTS"
            " (SELECT 1 FROM run WHERE run.plan = plan.id AND (kind <> :planning OR state <> 'succeeded'))"
            " GROUP BY id ORDER BY created DESC, id LIMIT :most OFFSET :skipped",
            planning=planning,
            most=limit,
            skipped=skipped,
        )
        return [self.plan(row["id"]) if row["revision"] else self.run(row["id"]) for row in rows]

    def rollbacks(self, run_id: str) -> list[RunRow]:
        """The rollbacks of a run, and of single steps of it, newest first."""
        rows = self._select(
            "SELECT * FROM run WHERE undoes = :run OR substr(undoes, 1, :size) = :steps ORDER BY created DESC",
            run=run_id,
            steps=f"{run_id}/",
            size=len(run_id) + 1,
        )
        return [RunRow(**decoded(row)) for row in rows]

    def rollback_of(self, of: str) -> RunRow | None:
        """The rollback of a run, or of one step of it, that is under way or has left nothing to do."""
        rows = self._select("SELECT * FROM run WHERE undoes = :of AND (ended IS NULL OR state = 'succeeded')", of=of)
        return RunRow(**decoded(rows[0])) if rows else None

    def answered_while_parked(self) -> list[str]:
        """Runs that nobody drives though someone has answered, or wants them stopped, or nobody is waited for."""
        rows = self._select(
            "SELECT id FROM run WHERE state = 'waiting' AND owner IS NULL AND (stopping = 1 OR pausing = :lifted"
            " OR EXISTS"
            " (SELECT 1 FROM message m WHERE m.run = run.id AND m.state = 'answered') OR NOT EXISTS"
            " (SELECT 1 FROM message m WHERE m.run = run.id AND m.state = 'open' AND m.kind IN ('gate', 'order')))",
            lifted=Pausing.LIFTED,
        )
        return [row["id"] for row in rows]

    def pausing(self, run_id: str) -> bool:
        """Whether a person wants this run to pause."""
        return bool(
            self._select("SELECT 1 FROM run WHERE id = :id AND pausing = :asked", id=run_id, asked=Pausing.ASKED)
        )

    def steered(self, run_id: str) -> tuple[bool, int]:
        """`pausing` and `revision`, as they are at the same time."""
        (row,) = self._select("SELECT pausing, revision FROM run WHERE id = :id", id=run_id)
        return row["pausing"] == Pausing.ASKED, int(row["revision"])

    def revision(self, run_id: str) -> int:
        """The revision of its plan that a run is to be at now."""
        return int(self._select("SELECT revision FROM run WHERE id = :id", id=run_id)[0]["revision"])

    def driven(self) -> list[tuple[str, str]]:
        """Runs that a process drives, or drove until it died, each with that process."""
        rows = self._select("SELECT id, owner FROM run WHERE state = 'running'")
        return [(row["id"], row["owner"]) for row in rows]

    def steps(self, run_id: str) -> list[StepRow]:
        return [
            StepRow(**decoded(row))
            for row in self._select("SELECT * FROM step WHERE run = :run ORDER BY id", run=run_id)
        ]

    def has_to_wait(self, run_id: str, key: str) -> bool:
        """Whether another process came first with a claim that clashes with this one of a run."""
        return has_to_wait(lambda sql, values: self._select(sql, **values), run_id, key, self.alive)

    def progress(self, run_id: str) -> dict[str, int]:
        """How many steps of the present revision are in each state."""
        rows = self._select(
            "SELECT state, count(*) AS count FROM step WHERE run = :run AND dropped = 0 GROUP BY state", run=run_id
        )
        return {row["state"]: row["count"] for row in rows}

    def message(self, message_id: str) -> MessageRow:
        """One of them by its id, which clients know of gates and orders. Raises NotFoundError."""
        rows = self._select("SELECT * FROM message WHERE id = :id", id=message_id)
        if not rows:
            raise NotFoundError(f"There is no request {clipped(message_id, _ID)!r}.")
        return MessageRow(**decoded(rows[0]))

    def messages(self, run_id: str, kind: MessageKind) -> list[MessageRow]:
        """All of this kind that a run has put down, oldest first."""
        rows = self._select(
            "SELECT * FROM message WHERE run = :run AND kind = :kind ORDER BY number", run=run_id, kind=kind
        )
        return [MessageRow(**decoded(row)) for row in rows]

    def undos_since(self, run_id: str) -> list[MessageRow]:
        """What other runs have kept to undo calls of theirs since this run began to, the latest first."""
        rows = self._select(
            "SELECT * FROM message WHERE kind = 'undo' AND run <> :run AND asked >="
            " (SELECT min(asked) FROM message WHERE run = :run AND kind = 'undo') ORDER BY asked DESC",
            run=run_id,
        )
        return [MessageRow(**decoded(row)) for row in rows]

    def message_for(self, run_id: str, key: str) -> MessageRow | None:
        """What was put down for this purpose, if anything was."""
        rows = self._select("SELECT * FROM message WHERE run = :run AND key = :key", run=run_id, key=key)
        return MessageRow(**decoded(rows[0])) if rows else None

    def open_messages(
        self, run_id: str | None = None, kind: MessageKind | None = None, limit: int = 1000
    ) -> list[MessageRow]:
        """What still waits for an answer, oldest first: nothing of a run that is being ended, and no question to a
        model of our own."""
        rows = self._select(
            "SELECT * FROM message WHERE state = 'open' AND kind IN ('gate', 'order')"
            " AND run = coalesce(:run, run) AND kind = coalesce(:kind, kind)"
            " AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = message.run AND run.stopping = 1)"
            " ORDER BY asked, number, id LIMIT :most",
            run=run_id,
            kind=kind,
            most=limit,
        )
        return [MessageRow(**decoded(row)) for row in rows]

    def open_ids(self, run_id: str, kind: MessageKind | None = None) -> set[str]:
        """The ids of what still waits for an answer."""
        rows = self._select(
            "SELECT id FROM message WHERE run = :run AND state = 'open' AND kind IN ('gate', 'order')"
            " AND kind = coalesce(:kind, kind)",
            run=run_id,
            kind=kind,
        )
        return {row["id"] for row in rows}

    def leases(self, run_id: str) -> dict[str, LeaseRow]:
        """Who has taken which open orders of a run, by the order; also where their time is over."""
        rows = self._select("SELECT * FROM lease WHERE run = :run", run=run_id)
        return {row["message"]: LeaseRow(**decoded(row)) for row in rows}

    def open_orders(self) -> list[tuple[str, str, str]]:
        """Every open order of runs that are not being ended: its id, its run, and what it is for. Oldest first."""
        rows = self._select(
            "SELECT message.id, message.run, message.key FROM message JOIN run ON run.id = message.run"
            " WHERE message.state = 'open' AND message.kind = 'order' AND run.stopping = 0 AND run.ended IS NULL"
            " ORDER BY message.asked, message.number LIMIT 200"
        )
        return [(row["id"], row["run"], row["key"]) for row in rows]

    def journal(self, run_id: str, *, after: int = 0, limit: int = 200) -> list[Entry]:
        rows = self._select(
            "SELECT * FROM journal WHERE run = :run AND seq > :after ORDER BY seq LIMIT :most",
            run=run_id,
            after=after,
            most=limit,
        )
        return [Entry(**decoded(row)) for row in rows]

    def latest_entry(self, run_id: str) -> int:
        """The number of a run's latest entry, 0 where it has none."""
        rows = self._select("SELECT coalesce(max(seq), 0) AS seq FROM journal WHERE run = :run", run=run_id)
        return int(rows[0]["seq"])

    def since_claim(self, run_id: str) -> list[Entry]:
        """The claim by which a run was last taken over, and what was recorded from there on; nothing if none was."""
        rows = self._select(
            "SELECT * FROM journal WHERE run = :run AND seq >="
            " (SELECT max(seq) FROM journal WHERE run = :run AND kind = 'run_claimed') ORDER BY seq",
            run=run_id,
        )
        return [Entry(**decoded(row)) for row in rows]

    def entries_before(self, run_id: str, seq: int, kinds: Collection[str]) -> list[Entry]:
        """What a run has recorded of these kinds before an entry."""
        rows = self._select("SELECT * FROM journal WHERE run = :run AND seq < :seq ORDER BY seq", run=run_id, seq=seq)
        return [Entry(**decoded(row)) for row in rows if row["kind"] in kinds]

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

    def kept_contents(self) -> set[str]:
        """The names of all contents that an undo may still need."""
        bodies = [json.loads(row["body"]) for row in self._select("SELECT body FROM message WHERE kind = 'undo'")]
        kept = [each for body in bodies for each in (body["kept"], *body["kept"].get("also", ()))]
        return {each["content"] for each in kept if each.get("content")}

    async def changes(self, seconds: float) -> Collection[str]:
        """Wait for so long, or until others have written: the runs and plans that were written about, ours included."""
        try:
            changed = await self.database.changes(seconds)
        except BrokenError as error:
            raise self._unreadable(error) from None
        if changed:
            self.news.set()
            self.news = anyio.Event()
        return changed

    def alive(self, owner: str | None) -> bool:
        """Whether the process that owns a run still lives."""
        try:
            return self.database.alive(owner)
        except BrokenError as error:
            raise self._unreadable(error) from None


def has_to_wait(
    select: Callable[[str, Mapping[str, Value]], Sequence[Row]], run: str, key: str, alive: Callable[[str], bool]
) -> bool:
    """Whether a claim of a run clashes with one that another process has made earlier, and may still need. Those of one
    process wait for each other without being told so."""
    rows = select(_AHEAD, {"run": run, "key": key, "now": time.time()})
    clash = {
        row["owner"] for row in rows if claim_of(json.loads(row["other"])).clashes(claim_of(json.loads(row["mine"])))
    }
    return any(owner is None or alive(owner) for owner in clash)
