"""Every run, and every plan that no run tells of, newest first: for a client that has lost an id, or never had it."""

__all__ = ["listing"]

import time
from collections.abc import Sequence

from forethought.engine.kinds import kind_of
from forethought.engine.kinds.look import Look, View
from forethought.engine.kinds.planning import PLANNING
from forethought.engine.records import Records
from forethought.journal.rows import OPEN, PlanRow, RunRow
from forethought_tools import JSON
from forethought_tools.text import clipped, one_line

_PAGE = 10
_GOAL = 50  # characters
_UNITS = (("days", 86_400), ("h", 3600), ("min", 60))


def listing(records: Records, page: int) -> View:
    """One page of them, with what to call next."""
    rows = records.queries.newest(PLANNING.name, limit=_PAGE + 1, skipped=(page - 1) * _PAGE)
    more = len(rows) > _PAGE
    shown = [_line(records, row) for row in rows[:_PAGE]]
    view: View = {"status": "ok", "runs": shown}
    if page > 1 or more:
        view["page"] = page
    if page > 1 and not rows:
        return {**view, "found": "there is nothing on this page", "next": "get_plan()"}
    return {**view, "next": f"get_plan(page={page + 1})" if more else _next(rows)}


def _next(rows: Sequence[RunRow | PlanRow]) -> str:
    running = [row for row in rows if isinstance(row, RunRow) and row.state in OPEN]
    if running:
        return kind_of(running[0]).watch(running[0])
    return f'get_plan(plan_id="{rows[0].id}")' if rows else 'create_plan(goal="...")'


def _line(records: Records, row: RunRow | PlanRow) -> View:
    age, goal = _age(time.time() - row.created), clipped(one_line(row.goal), _GOAL)
    if isinstance(row, PlanRow):
        return {"id": row.id, "kind": "plan", "state": "ready", "age": age, "goal": goal}
    state: JSON = Look(records, row, watch="", after=lambda _: "").head("")["status"]
    of_plan: View = {"plan_id": row.plan} if row.plan else {}
    return {"id": row.id, **of_plan, "kind": row.kind, "state": state, "age": age, "goal": goal}


def _age(seconds: float) -> str:
    """How long ago, in the largest unit of which there is at least one."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1))
    return f"{max(int(seconds // size), 0)} {unit}"
