"""What the journal holds, for looking at: rows, and plans as they can be run."""

__all__ = ["Records", "folder_flags", "resuming"]

import shlex
from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

from forethought.journal.queries import Queries
from forethought.journal.rows import PlanRow, RunRow
from forethought_patterns import Plan, Step
from forethought_tools import JSON, Look, Registry

_KEPT_PLANS = 8


class Records:
    """The journal with the tools that its plans call, in the folders where they may. Changes nothing."""

    def __init__(
        self, queries: Queries, tools: Registry, folders: Sequence[str] = (), look: Look | None = None
    ) -> None:
        """`look` tells how files in these folders stand."""
        self.queries = queries
        self.look = look
        self.tools = tools
        self.folders = list(folders)
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()

    def plan(self, plan_id: str, revision: int) -> Plan:
        """A plan that was saved, ready to run."""
        key = (plan_id, revision)
        if key not in self._plans:
            self._plans[key] = _restore(self.queries.plan(plan_id, revision))
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]

    def plannings(self, run: RunRow) -> list[RunRow]:
        """The other runs that have made the plan of a run."""
        of_plan = self.queries.runs(plan=run.plan, limit=100) if run.plan else []
        return [row for row in of_plan if row.kind == "planning" and row.id != run.id]


def resuming(some_id: str, folders: Sequence[str]) -> str:
    """The command that goes on with a run, or with that of a plan, in the folders in which it was made."""
    return f"run --resume {some_id} {folder_flags(folders)}".strip()


def folder_flags(folders: Sequence[str]) -> str:
    """The flags of a command that grant these folders."""
    return " ".join(f"--folder {shlex.quote(folder)}" for folder in folders)


def _restore(row: PlanRow) -> Plan:
    steps = cast("list[JSON]", row.body["steps"])
    return Plan(
        goal=row.goal,
        steps=tuple(Step.model_validate(step) for step in steps),
        reasoning=str(row.body["reasoning"]),
        context=str(row.body["context"]),
        revision=row.revision,
        planned=bool(row.body["planned"]),
        approved=bool(row.body["approved"]),
    )
