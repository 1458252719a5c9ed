"""What is recorded of the steps and calls that were under way when a run was stopped."""

__all__ = ["end_undriven", "stopped"]

from forethought.engine.kinds.plan import step_of
from forethought.engine.recorder import IN_DOUBT
from forethought.engine.records import Records
from forethought.journal.codec import decision_of, settled_fact
from forethought.journal.rows import SETTLED, Fact, RunRow, StepRow
from forethought.journal.store import Store
from forethought_patterns import Outcome


def stopped(records: Records, run: RunRow) -> tuple[list[Fact], str]:
    """How each step that had not ended ends, and why the run does."""
    rows = [row for row in records.queries.steps(run.id) if (row.doubt or row.state not in SETTLED) and not row.dropped]
    calls = _cut_off_calls(records, run)
    facts = [settled_fact(row.id, _cut_off(records, run, row, calls.get(row.id))) for row in rows]
    why = _why_stopped(records, run)
    return facts, f"{why} {calls[None]}: {IN_DOUBT}." if None in calls else why


def end_undriven(store: Store, records: Records, run: RunRow) -> None:
    """End a run that a person wants stopped, and that no living process drives.

    Raises:
        StaleError: a server was first.
    """
    facts, why = stopped(records, run)
    claim = Fact("run_claimed", {"owner": store.database.id, "previous": run.owner, "oldest": 0.0})
    ended = Fact("run_ended", {"state": "cancelled", "error": why, "answer": "", "seconds": 0.0})
    store.commit(run.id, claim, *facts, ended)


def _cut_off_calls(records: Records, run: RunRow) -> dict[int | None, str]:
    """The tools that checks and searches were calling, of a step or of the run, and that may have taken effect."""
    calls = records.queries.messages(run.id, "call")
    cut_off = {call.step: str(call.body["tool"]) for call in calls if call.state == "open" and "tool" in call.body}
    return {step: tool for step, tool in cut_off.items() if not records.tools.repeatable(tool)}


def _why_stopped(records: Records, run: RunRow) -> str:
    decisions = [decision_of(gate) for gate in records.queries.messages(run.id, "gate") if gate.answer]
    said = [f"Cancelled by a person. {each.reason}" for each in decisions if each.verb == "cancel"]
    return said[0].strip() if said else "Stopped on request."


def _cut_off(records: Records, run: RunRow, row: StepRow, calling: str | None) -> Outcome:
    """How a step ends; `calling` is a tool that its check or search was calling."""
    if row.doubt:
        return Outcome("in_doubt", error=IN_DOUBT)
    if calling:
        return Outcome("in_doubt", value=row.result, error=f"{calling}: {IN_DOUBT}")
    if row.returned:
        return Outcome("failed", value=row.result, error="it was not judged: the run was stopped")
    if row.state != "running" or row.arguments is None:
        return Outcome("skipped", error="the run was stopped")
    if records.tools.repeatable(step_of(records, run, row).tool):
        return Outcome("failed", error="cut off: the run was stopped")
    return Outcome("in_doubt", error=IN_DOUBT)
