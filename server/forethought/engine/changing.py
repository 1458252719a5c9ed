"""Changing a plan: its next revision, in which steps are added, edited or dropped, whether its run is open or not. What
has begun stays as it is, and nothing that a person has agreed to covers what changed.

The revision and what it does to the rows are one fact. Whoever drives the run sees that there is a newer revision, lets
what is in flight end, and goes on with it.
"""

__all__ = ["change"]

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from anyio import to_thread

from forethought.engine.kinds.plan import latest_run
from forethought.engine.loop_views import items_of
from forethought.engine.plan_views import differences
from forethought.engine.records import resuming
from forethought.engine.runs import Runs
from forethought.journal.codec import plan_body
from forethought.journal.database import StaleError
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, PlanRow, RunRow, StepRow
from forethought_patterns import Plan, Step, parse_plan
from forethought_patterns.lints import lints
from forethought_patterns.numbering import steps_as_meant
from forethought_patterns.validate import read_step, refuse_unusable
from forethought_tools import JSON, Fault, ForethoughtError, PlanError, Registry

_TRIES = 20
_SHOWN = 20  # differences that a refusal shows


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
        rows = {each.id: each for each in runs.queries.steps(run.id)} if run else {}
        merged, faults = _merged(old, steps, drop, rows)
        faults += _begun_already(runs, old, merged, drop, rows)
        new = await _valid(runs, old, merged, faults)
        fact = await _fact(runs, row, old, new, rows, run, reason)
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
    lines = differences(runs.records, row.id, seen, row.revision)
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    raise ForethoughtError(
        "\n".join(
            [
                f"Plan {row.id} has changed: it is at revision {row.revision}, you have seen {seen}. Since then:",
                *map(str, lines[:_SHOWN]),
                *more,
                f'Look at it, and call update_plan(plan_id="{row.id}", revision={row.revision}, ...) with what is still'
                " to be changed.",
            ]
        )
    )


def _merged(
    old: Plan, steps: Sequence[JSON], drop: Sequence[int], rows: Mapping[int, StepRow]
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
    faults += [
        Fault(f"step {number}", "there is no such step to drop", f"There are: {', '.join(map(str, old.by_id))}"[:300])
        for number in drop
        if number not in old.by_id
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
    runs: Runs, row: PlanRow, old: Plan, new: Plan, rows: Mapping[int, StepRow], run: RunRow | None, reason: str
) -> Fact:
    """What is recorded."""
    dropped = [step.id for step in old.steps if step.id not in new.by_id]
    changed = [step.id for step in new.steps if step.id in old.by_id and step != old.by_id[step.id]]
    found = await lints(new, await runs.brief(new.goal), runs.records.tools)
    body = plan_body(row.id, new, folders=row.body["folders"], why=reason, advice=list(map(str, found)))
    if run is None:
        return Fact("plan_changed", body)
    added = [step.id for step in new.steps if step.id not in rows]
    items = [item.id for loop in (*dropped, *changed) for item in items_of(loop, rows.values())]
    known: Mapping[str, JSON] = {"seen": old.revision, "highest": max([*rows, 0])}
    touched = {"dropped": dropped, "changed": changed, "items": items}
    return Fact("run_changed", {**body, **known, **touched, "steps": added})


def _begun_already(
    runs: Runs, old: Plan, merged: Sequence[JSON], drop: Sequence[int], rows: Mapping[int, StepRow]
) -> list[Fault]:
    """What is wrong with touching steps that have begun."""
    touched = [number for number in drop if number in old.by_id]
    for raw in merged:
        if (number := _id(raw)) is None:
            continue
        if number in rows and number in old.by_id and not _is_same(raw, old.by_id[number], runs.records.tools):
            touched.append(number)
    return [
        fault
        for number in touched
        if number in rows
        and (fault := _begun(rows[number], runs.queries) or _some_begun(number, items_of(number, rows.values())))
    ]


def _some_begun(loop: int, items: Sequence[StepRow]) -> Fault | None:
    """Why a loop can no longer be changed, if it cannot."""
    begun = sum(item.started is not None for item in items)
    if not begun:
        return None
    mend = "Leave it as it is: what is still to be done can be new steps after it"
    return Fault(f"step {loop}", f"{begun} of its {len(items)} items have begun", mend)


def _is_same(raw: JSON, step: Step, tools: Registry) -> bool:
    try:
        return read_step(raw, tools) == step
    except PlanError:
        return False


def _begun(row: StepRow, queries: Queries) -> Fault | None:
    """Why a step can no longer be changed, if it cannot."""
    answered = [gate for gate in queries.messages(row.run, "gate") if gate.step == row.id and gate.state == "answered"]
    if row.state in ("pending", "waiting") and row.started is None and not answered:
        return None
    states = {"pending": "begun, and is to be tried again", "waiting": "begun, and waits"}
    state = "been decided by a person" if answered else states.get(row.state, row.state)
    told = f"it has {state}" if answered or row.state in states else f"it is {state}"
    return Fault(f"step {row.id}", told, "Leave it as it is: what is still to be done can be new steps after it")
