"""Changing a plan: its next revision, in which steps are added, edited or dropped, whether its run is open or not. What
has begun stays as it is, and nothing that a person has agreed to covers what changed.

The revision and what it does to the rows are one fact. Whoever drives the run sees that there is a newer revision, lets
what is in flight end, and goes on with it.
"""

__all__ = ["change"]

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from anyio import to_thread

from forethought.engine.kinds.plan import latest_run
from forethought.engine.plan_views import differences, in_short
from forethought.engine.records import resuming
from forethought.engine.runs import Runs
from forethought.journal.codec import item_of, plan_body
from forethought.journal.database import StaleError
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, PlanRow, RunRow, StepRow
from forethought_patterns import Plan, Step, parse_plan
from forethought_patterns.lints import lints
from forethought_patterns.numbering import steps_as_meant
from forethought_patterns.validate import read_step, refuse_unusable
from forethought_tools import JSON, Fault, ForethoughtError, PlanError, Registry

_TRIES = 20


_DROPPED = ("failed", "rejected", "skipped")
"""States without a result: a plan can do without such a step."""
_EDITED = ("skipped",)
"""States of a step that was never called."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the open run of a plan is. Nothing, where none is open."""

    rows: Mapping[int, StepRow]
    items: Mapping[int, Sequence[StepRow]]
    """Of the loops that have unfolded."""
    decided: Collection[int]
    """Steps that a person has decided about, and that have not acted on it yet."""

    @classmethod
    def of(cls, queries: Queries, run: RunRow | None) -> "_Progress":
        rows = queries.steps(run.id) if run else []
        gates = queries.messages(run.id, "gate") if run else []
        items: defaultdict[int, list[StepRow]] = defaultdict(list)
        for row in rows:
            if not row.dropped and (known := item_of(row)):
                items[known[0]].append(row)
        decided = {gate.step for gate in gates if gate.step is not None and gate.state == "answered"}
        return cls({row.id: row for row in rows}, items, decided)

    def begun(self, number: int, *, leaves: Collection[str]) -> Fault | None:
        """Why a step can no longer be changed, if it cannot. In these states it `leaves` nothing behind."""
        row = self.rows.get(number)
        if row is None or (row.state in leaves and not row.doubt):
            return None
        items = self.items.get(number, ())
        if row.id in self.decided or any(item.id in self.decided for item in items):
            told = "it has been decided by a person"
        elif any(item.started is not None for item in items):
            told = "its items have begun"
        elif row.state in ("pending", "waiting") and row.started is None:
            return None
        else:
            told = f"it {_BEGUN[row.state]}"
        mend = "Drop it, and give" if row.state in _DROPPED else "Leave it as it is: give"
        return Fault(f"step {number}", told, f"{mend} what is still to be done as new steps")

    def due(self, plan: Plan, touched: Collection[int]) -> list[int]:
        """The steps that were skipped for want of others, and are to be done once those among `touched` are."""
        due = {*touched}
        for number in plan.order:
            row = self.rows.get(number)
            if row is not None and row.state == "skipped" and due & {*plan.by_id[number].needs}:
                due.add(number)
        return sorted(due - {*touched})

    def left(self, touched: Sequence[int]) -> dict[str, JSON]:
        """The items that go with the loops among these: of those that have ended, and of those that have not begun."""
        past: list[JSON] = []
        items: list[JSON] = []
        for number in touched:
            ended = number in self.rows and self.rows[number].state in _DROPPED
            (past if ended else items).extend(row.id for row in self.items.get(number, ()))
        return {"past": past, "items": items}


_BEGUN = {
    "pending": "has begun, and is to be tried again",
    "running": "is running",
    "waiting": "has begun, and waits",
    "succeeded": "has succeeded",
    "failed": "has failed",
    "skipped": "was skipped",
    "rejected": "was rejected",
    "in_doubt": "was cut off, and is in doubt",
}
"""What has become of a step by its state."""


async def change(
    runs: Runs, plan_id: str, revision: int, *, steps: Sequence[JSON] = (), drop: Sequence[int] = (), reason: str = ""
) -> PlanRow:
    """Make the next revision of a plan, and have the run that is open go on with it. Returns the revision.

    Args:
        runs: Where the plan is.
        plan_id: The plan.
        revision: The one that the caller has seen.
        steps: Whole steps in the wire format: one whose id is known replaces that step, any other is new.
        drop: The ids of steps that the plan does without from now on.
        reason: Why, in words. It is kept with the revision.

    Raises:
        PlanError: every fault of the changed plan, and every step that has begun and can no longer be changed.
        ForethoughtError: the plan has another revision, or was made for other folders.
    """
    for _ in range(_TRIES):
        row = runs.queries.plan(plan_id)
        run = latest_run(runs.queries, plan_id)
        run = run if run and run.ended is None else None
        _refuse_what_was_not_seen(runs, row, run, revision)
        old = runs.records.plan(plan_id, row.revision)
        progress = _Progress.of(runs.queries, run)
        merged, faults = await to_thread.run_sync(_merged, old, steps, dict.fromkeys(drop), progress.rows)
        faults += await to_thread.run_sync(_begun_already, runs, old, merged, drop, progress)
        new = await _valid(runs, old, merged, faults)
        fact = await _fact(runs, row, old, new, progress, run, reason)
        with suppress(StaleError):  # a step has begun, the run has ended, or another was quicker: look again
            await runs.store.write(run.id if run else plan_id, fact)
            runs.watchers.on_change(plan_id, None)
            if run:
                await runs.supervisor.wake(run.id)
            return runs.queries.plan(plan_id, new.revision)
    raise ForethoughtError(f"Plan {plan_id} changes faster than it can be looked at. Try again.")


def _refuse_what_was_not_seen(runs: Runs, row: PlanRow, run: RunRow | None, seen: int) -> None:
    folders = row.body["folders"]
    if folders != runs.records.folders:
        own = [str(folder) for folder in folders] if isinstance(folders, Sequence) else []
        raise ForethoughtError(
            f"Plan {row.id} was made for other folders than this server may use. Change it where they are granted:"
            f" forethought {resuming(row.id, own)}"
        )
    if run and run.stopping:
        raise ForethoughtError(f"{run.id} is being stopped. Change its plan once it has ended.")
    if seen == row.revision:
        return
    if seen > row.revision:
        raise ForethoughtError(f"Plan {row.id} has no revision {seen}: it is at {row.revision}.")
    lines = in_short(differences(runs.records, row.id, seen, row.revision))
    raise ForethoughtError(
        "\n".join(
            [
                f"Plan {row.id} has changed: it is at revision {row.revision}, you have seen {seen}. Since then:",
                *map(str, lines),
                f'Look at it, and call update_plan(plan_id="{row.id}", revision={row.revision}, ...) with what is still'
                " to be changed.",
            ]
        )
    )


def _merged(
    old: Plan, steps: Sequence[JSON], drop: Collection[int], rows: Mapping[int, StepRow]
) -> tuple[list[JSON], list[Fault]]:
    """The steps of the changed plan, and what is wrong with the change itself."""
    if any(isinstance(step, Mapping) and step.get("id") == 0 for step in steps):
        return [], [Fault("step 0", "ids of this plan begin at 1", "Give each step the id that get_plan shows")]
    given = steps_as_meant(steps)
    by_id = {number: step for step in given if (number := _id(step)) is not None}
    twice = sorted({number for step in given if (number := _id(step)) is not None and by_id[number] is not step})
    faults = [Fault(f"step {number}", "it is given twice", "Give it once") for number in twice]
    faults += [
        Fault(f"step {number}", "it is both given and dropped", "Do one of them") for number in drop if number in by_id
    ]
    known = f"There are: {', '.join(map(str, old.by_id))}"[:300]
    faults += [
        Fault(f"step {number}", "there is no such step to drop", known) for number in drop if number not in old.by_id
    ]
    first_free = max([*rows, 0]) + 1
    faults += [
        Fault(f"step {number}", "an earlier revision had this id", f"Number new steps from {first_free} on")
        for number in by_id
        if number in rows and number not in old.by_id
    ]
    if not steps and not drop:
        faults.append(Fault("update_plan", "there is nothing to change", "Give steps, ids to drop, or both"))
    kept = [by_id.pop(step.id, step.wire()) for step in old.steps if step.id not in drop]
    return [*kept, *by_id.values(), *(step for step in given if _id(step) is None)], faults


def _id(step: JSON) -> int | None:
    number = step.get("id") if isinstance(step, Mapping) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


async def _valid(runs: Runs, old: Plan, merged: Sequence[JSON], faults: Sequence[Fault]) -> Plan:
    """The changed plan. Raises PlanError with all that is wrong with it and with the change."""
    parse = partial(
        parse_plan,
        old.goal,
        merged,
        runs.records.tools,
        context=old.context,
        reasoning=old.reasoning,
        revision=old.revision + 1,
        planned=old.planned,
    )
    if faults and not merged:
        raise PlanError(faults)
    try:
        new = await to_thread.run_sync(parse)
        await refuse_unusable(new)
    except PlanError as error:
        raise PlanError([*faults, *error.faults]) from None
    if faults:
        raise PlanError(faults)
    return new


async def _fact(
    runs: Runs, row: PlanRow, old: Plan, new: Plan, progress: _Progress, run: RunRow | None, reason: str
) -> Fact:
    """What is recorded."""
    dropped = [step.id for step in old.steps if step.id not in new.by_id]
    changed = [step.id for step in new.steps if step.id in old.by_id and step != old.by_id[step.id]]
    found = await lints(new, await runs.brief(new.goal), runs.records.tools)
    body = plan_body(row.id, new, folders=row.body["folders"], why=reason, advice=list(map(str, found)))
    if run is None:
        return Fact("plan_changed", body)
    added = [step.id for step in new.steps if step.id not in progress.rows]
    anew = [*changed, *progress.due(new, {*changed, *added})]
    told: dict[str, JSON] = {
        "seen": old.revision,
        "highest": max([*progress.rows, 0]),
        "dropped": dropped,
        "changed": anew,
        "steps": added,
    }
    return Fact("run_changed", {**body, **told, **progress.left((*dropped, *anew))})


def _begun_already(
    runs: Runs, old: Plan, merged: Sequence[JSON], drop: Sequence[int], progress: _Progress
) -> list[Fault]:
    """What is wrong with touching steps that have begun."""
    given = {number: raw for raw in merged if (number := _id(raw)) in old.by_id and number is not None}
    edited = [number for number, raw in given.items() if not _is_same(raw, old.by_id[number], runs.records.tools)]
    faults = [progress.begun(number, leaves=_DROPPED) for number in drop if number in old.by_id]
    faults += [progress.begun(number, leaves=_EDITED) for number in edited]
    return [fault for fault in faults if fault]


def _is_same(raw: JSON, step: Step, tools: Registry) -> bool:
    try:
        return read_step(raw, tools) == step
    except PlanError:
        return False
