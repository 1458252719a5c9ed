"""What the journal holds, for looking at: plans as they can be run, and what of a run can be undone."""

__all__ = ["Records", "effects_of", "resuming"]

import shlex
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import cast

from anyio import to_thread

from forethought.journal.audit import fault
from forethought.journal.rows import MessageRow, PlanRow
from forethought.journal.store import Store
from forethought_patterns import Plan, Step
from forethought_patterns.rollback import UndoableCall
from forethought_tools import JSON, ForethoughtError, Registry

_KEPT_PLANS = 8
_TAKEN_BACK = ("undone", "nothing to undo")


class Records:
    """What the journal holds, for looking at. `Runs` can change it."""

    def __init__(self, store: Store, tools: Registry, folders: Sequence[str] = ()) -> None:
        self.store = store
        self.queries = store.queries
        self.tools = tools
        self.folders: list[JSON] = list(folders)
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

    async def undoable(self, run_id: str, step: int | None) -> list[UndoableCall]:
        """What a run, or one step of it, has done that can be undone: the latest first.

        Raises:
            ForethoughtError: there is nothing, the run goes on, or its records were changed.
        """
        run = self.queries.run(run_id)
        if run.ended is None:
            raise ForethoughtError(f"{run_id} goes on. Stop it first: `stop`, or forethought cancel {run_id}")
        if run.options["folders"] != self.folders:
            raise ForethoughtError(
                f"{run_id} worked in other folders than are granted here. Where they are:"
                f" forethought rollback {run_id} {_flags(run.options)}"
            )
        if wrong := await to_thread.run_sync(fault, self.store, run_id):
            raise ForethoughtError(f"{run_id} cannot be rolled back, because its records were changed: {wrong}.")
        of = run_id if step is None else f"Step {step} of {run_id}"
        effects = effects_of(self.store, run_id)
        if not any(step in (None, effect.step) for effect in effects):
            stays = "; ".join(self.lasting(run_id, step))
            more = f" It has done what cannot be undone: {stays}." if stays else ""
            raise ForethoughtError(f"{of} has done nothing that can be undone.{more}")
        undone = _undone(self.store, run_id)
        standing = [effect for effect in effects if effect.key not in undone]
        if not (left := [effect for effect in standing if step in (None, effect.step)]):
            raise ForethoughtError(f"{of} was undone already. Nothing is left to undo.")
        latest = {effect.place: effect.step for effect in reversed(standing)}
        for effect in left:
            if step is not None and (over := latest[effect.place]) != step:
                raise ForethoughtError(f"Step {over} has written over what step {step} wrote. Roll it back first.")
        return left

    def lasting(self, run_id: str, step: int | None) -> list[str]:
        """What a run has done, or may have done, that cannot be undone."""
        run = self.queries.run(run_id)
        plans = [self.plan(run.plan, revision) for revision in range(1, run.revision + 1)]
        planned = {each.id: each.tool for plan in plans for each in plan.steps}
        rows = [row for row in self.queries.steps(run_id) if row.started is not None and row.id in planned]
        called: list[tuple[int | None, str]] = [(row.id, planned[row.id]) for row in rows]
        # A check calls tools too, and so does a search, of a step or by itself.
        calls = [message for message in self.queries.messages(run_id, "call") if "tool" in message.body]
        called += [(message.step, str(message.body["tool"])) for message in calls]
        return [
            f"step {number} {tool}" if number else tool
            for number, tool in dict.fromkeys(called)
            if step in (None, number) and self.tools.lasting(tool)
        ]


def effects_of(store: Store, run_id: str) -> list[UndoableCall]:
    """What a run has done that can be undone: the latest first."""
    undos = store.queries.messages(run_id, "undo")
    files = {_file(undo) for undo in undos} - {None}
    over = [undo for undo in store.queries.undos_since(run_id) if _file(undo) in files]
    undone = {run: _undone(store, run) for run in {undo.run for undo in over}}
    over = [undo for undo in over if _key(undo) not in undone[undo.run]]
    # A folder that one step has made goes with the last of the files that steps have put there, whichever that is.
    made = [folder for undo in undos for folder in cast("list[JSON]", _kept(undo).get("made", []))]
    return [
        UndoableCall(
            _key(undo),
            undo.step,
            str(undo.body["tool"]),
            {**_kept(undo), "made": made} if _file(undo) else _kept(undo),
            over=next((other.run for other in over if _file(other) == _file(undo) and other.asked > undo.asked), ""),
        )
        for undo in reversed(undos)
    ]


def _kept(undo: MessageRow) -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", undo.body["kept"])


def _file(undo: MessageRow) -> str | None:
    """The file that a call has written, if that is what it did."""
    real = _kept(undo).get("real")
    return real if isinstance(real, str) else None


def _key(undo: MessageRow) -> str:
    return undo.key.removeprefix("undo/")


def _undone(store: Store, run_id: str) -> set[str]:
    """The calls of a run that rollbacks have taken back already. What became of it since is others' doing."""
    notes = [
        note for rollback in store.queries.rollbacks(run_id) for note in store.queries.messages(rollback.id, "note")
    ]
    return {note.key.removeprefix("undone/") for note in notes if note.body["verdict"] in _TAKEN_BACK}


def resuming(some_id: str, made_in: Mapping[str, JSON]) -> str:
    """The command that goes on with a run, or with that of a plan, in the folders in which it was made."""
    return f"run --resume {some_id} {_flags(made_in)}".strip()


def _flags(made_in: Mapping[str, JSON]) -> str:
    """The flags of a command that grant the folders in which a plan or run was made."""
    return " ".join(f"--folder {shlex.quote(folder)}" for folder in cast("list[str]", made_in["folders"]))


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
