"""The kinds of runs. A new one is a file here and a row of this table."""

__all__ = ["KINDS", "kind_of"]

from typing import Any

from forethought.engine.kinds import plan, planning, reflection, rollback, search
from forethought.engine.kinds.kind import Kind
from forethought.journal.rows import RunRow
from forethought_tools import StoreError

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind for kind in (plan.PLAN, planning.PLANNING, reflection.REFLECTION, search.SEARCH, rollback.ROLLBACK)
}


def kind_of(run: RunRow) -> Kind[Any]:
    """The kind of a run. Raises StoreError where this version knows none of that name."""
    if run.kind not in KINDS:
        raise StoreError(f"Run {run.id} is of a kind that this forethought does not know ({run.kind}). Update it.")
    return KINDS[run.kind]
