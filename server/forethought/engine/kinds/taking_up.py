"""A run of a plan takes up an earlier one that has failed or was cancelled: what has succeeded keeps its result and is
not called again, all else is still to be done.

It is a run of its own, since the earlier one has ended and its records stay as they are. So no approval is carried
over, limits count anew, and each of the two is rolled back by itself.
"""

__all__ = ["TakenUp", "same_gates", "taken_up"]

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from forethought.engine.kinds.rollback import undone_steps
from forethought.engine.records import Records
from forethought.journal.codec import item_of, outcome_of, settled_fact
from forethought.journal.rows import Fact, RunRow, StepRow
from forethought.terms import Terms
from forethought_patterns import Plan
from forethought_tools import JSON, ForethoughtError


@dataclass(frozen=True)
class TakenUp:
    """What a run begins with that takes up another."""

    facts: Sequence[Fact] = ()
    """The steps of the earlier one that count in the new one."""
    ask_about: Sequence[int] = ()
    """The steps that a person has rejected: they are asked again, whatever the risk."""


def taken_up(records: Records, run: RunRow, plan: Plan) -> TakenUp:
    """What of a run that has ended counts in one of this revision of its plan: what is the same, with all that it
    rests on.

    Raises:
        ForethoughtError: what it has done is being undone right now.
    """
    queries = records.queries
    if any(rollback.ended is None for rollback in queries.rollbacks(run.id)):
        raise ForethoughtError(f"{run.id} is being rolled back. Take it up once that has ended.")
    undone = undone_steps(queries, run.id)
    for earlier in _chain(records, run):
        undone |= undone_steps(queries, earlier)
    rows = [row for row in queries.steps(run.id) if not row.dropped]
    old = records.plan(run.plan, run.revision)
    same = _same(old, plan)
    items = [row for row in rows if row.id not in old.by_id]
    undone |= {_loop(row) for row in items if row.id in undone}
    lasting = [row for row in rows if row.id in same or _loop(row) in same]
    kept = [row for row in lasting if row.state == "succeeded" and row.id not in undone]
    going_on = _unfolded_still(plan, lasting, {row.id for row in kept}) & same
    items = [row for row in items if _loop(row) in going_on]
    here = {*plan.by_id, *(row.id for row in items)}
    in_doubt = [row for row in lasting if row.state == "in_doubt" and row.arguments is not None]
    asked = [row.id for row in rows if row.state in ("rejected", "in_doubt") and row not in in_doubt]
    added = [Fact("step_added", {"step": row.id, "body": row.body, "dropped": 0}) for row in items]
    left_out = [settled_fact(row.id, outcome) for row in items if (outcome := outcome_of(row)).left_out]
    return TakenUp(
        [*added, *left_out, *(_fact(row, run) for row in (*kept, *in_doubt) if row.id in here)],
        [number for number in asked if number in here],
    )


def _unfolded_still(plan: Plan, rows: Sequence[StepRow], kept: Collection[int]) -> set[int]:
    """The loops that are not done, and whose list is still the same: they go on with the items that they have."""
    there = {*kept, *(row.id for row in rows if outcome_of(row).left_out)}
    return {step.id for step in plan.steps if step.is_loop and step.id not in kept and there.issuperset(step.needs)}


def _loop(row: StepRow) -> int:
    """The loop that a row is an item of, or none: 0."""
    known = item_of(row)
    return known[0] if known else 0


def _same(old: Plan, new: Plan) -> set[int]:
    """The steps that are the same in both, with all that they rest on."""
    found: set[int] = set()
    for level in new.levels:
        found |= {
            number
            for number in level
            if old.by_id.get(number) == new.by_id[number] and found.issuperset(new.by_id[number].needs)
        }
    return found


def _chain(records: Records, run: RunRow) -> list[str]:
    """The runs that a run stands on: the one that it has taken up, the one that this has taken up, and so on."""
    found: list[str] = []
    while (earlier := str(run.options.get("takes_up", ""))) and records.queries.has_run(earlier):
        found.append(earlier)
        run = records.queries.run(earlier)
    return found


def _fact(row: StepRow, run: RunRow) -> Fact:
    doubt = int(row.state == "in_doubt")
    body: dict[str, JSON] = {"arguments": row.arguments, "result": row.result, "doubt": doubt}
    return Fact("step_taken_up", {"step": row.id, "state": row.state, **body, "of": run.id})


def same_gates(terms: Terms, earlier: Terms) -> Terms:
    """The terms of a run that takes up an earlier one: whoever was to be asked then is asked now."""
    return terms.tightened(
        approve_plan=earlier.approve_plan,
        ask_from=str(earlier.ask_from),
        ask_below=earlier.ask_below,
        risks={pattern: str(risk) for pattern, risk in earlier.risks.items()},
        strategies=earlier.strategies,
    )
