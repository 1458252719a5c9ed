"""Rollback: what a run, or one step of it, has written is put back, the latest first, once a person agrees."""

__all__ = ["ROLLBACK", "lasting", "rolled_back", "start", "undoable", "undone_steps"]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import cast

from anyio import to_thread

from forethought.engine.kinds.kind import Creator, Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.loop_views import items_of
from forethought.engine.records import Records, folder_flags
from forethought.journal.audit import fault
from forethought.journal.codec import step_of_row
from forethought.journal.database import StaleError
from forethought.journal.queries import Queries
from forethought.journal.rows import OPEN, Fact, MessageRow, RunRow
from forethought_patterns import Problem
from forethought_patterns.rollback import UndoableCall, places, roll_back
from forethought_tools import JSON, ForethoughtError
from forethought_tools.delegating import DELEGATE, changes_within

_BEYOND = " (what its agent did elsewhere than it said it would write)"
_TAKEN_BACK = ("undone", "nothing to undo")


class RollbackOptions(Options):
    """What is put back."""

    of: str
    """The run."""
    step: int | None = None
    """Only this step of it."""
    calls: Sequence[str]
    """The keys of the calls that are undone."""
    lasting: Sequence[str] = ()
    """What the run has also done and cannot be undone, for the person who is asked."""


async def start(creator: Creator, run_id: str, step: int | None = None) -> RunRow:
    """Start to undo what a run, or one step of it, has done, unless that is under way, or done. A person is asked
    first. See `undoable`."""
    of = run_id if step is None else f"{run_id}/{step}"
    records = creator.records
    if known := records.queries.rollback_of(of):
        return known
    options = RollbackOptions(
        goal=f"undo {run_id}",
        of=run_id,
        step=step,
        calls=[call.key for call in await undoable(records, run_id, step)],
        lasting=lasting(records, run_id, step),
    )
    try:
        return await creator.create(ROLLBACK, options, facts=[Fact("rollback_begun", {"of": of})])
    except StaleError:
        return await start(creator, run_id, step)  # somebody asked for it at the same time


async def _drive(work: Work[RollbackOptions]) -> Ending:
    options = work.options
    chosen = frozenset(options.calls)
    taken = await roll_back(
        [call for call in undoable_calls(work.records.queries, options.of) if call.key in chosen],
        work.records.tools,
        work.recorder,
        work.recorder,
        slot=work.recorder.slot,
        of=f"run {options.of}" + (f", step {options.step}," if options.step else ""),
        lasting=options.lasting,
    )
    if isinstance(taken, Problem):
        return Ending(problem=taken)
    left = [each for each in taken if each.verdict in ("conflict", "failed")]
    problem = Problem("; ".join(f"{each.verdict}: {each.what}" for each in left)) if left else None
    return Ending({"undone": [each.body() for each in taken]}, problem)


# What can be undone


async def undoable(records: Records, run_id: str, step: int | None) -> list[UndoableCall]:
    """What a run, or one step of it, has done that can be undone: the latest first.

    Raises:
        ForethoughtError: there is nothing, the run goes on, or its records were changed.
    """
    queries = records.queries
    run = queries.run(run_id)
    if run.ended is None:
        raise ForethoughtError(f'{run_id} goes on. Stop it first: stop(run_id="{run_id}")')
    if run.folders != records.folders:
        raise ForethoughtError(
            f"{run_id} worked in other folders than are granted here. Where they are:"
            f" forethought rollback {run_id} {folder_flags(run.folders)}"
        )
    if wrong := await to_thread.run_sync(fault, records.queries, run_id):
        raise ForethoughtError(f"{run_id} cannot be rolled back, because its records were changed: {wrong}.")
    calls = undoable_calls(queries, run_id)
    of = run_id if step is None else f"Step {step} of {run_id}"
    own = _own(queries, run_id, step)
    if not any(own is None or call.step in own for call in calls):
        stays = "; ".join(lasting(records, run_id, step))
        more = f" It has done what cannot be undone: {stays}." if stays else ""
        raise ForethoughtError(f"{of} has done nothing that can be undone.{more}")
    undone = _undone(queries, run_id)
    standing = [call for call in calls if call.key not in undone]
    chosen = [call for call in standing if own is None or call.step in own]
    if not chosen:
        raise ForethoughtError(f"{of} was undone already. Nothing is left to undo.")
    if own is not None:
        _refuse_what_was_written_over(own, chosen, standing)
    return chosen


def _own(queries: Queries, run_id: str, step: int | None) -> Collection[int] | None:
    """A step and, where it is a loop, its items. None: all steps of the run."""
    return None if step is None else {step, *(item.id for item in items_of(step, queries.steps(run_id)))}


def _refuse_what_was_written_over(
    own: Collection[int], chosen: list[UndoableCall], standing: list[UndoableCall]
) -> None:
    latest = {place: call.step for call in reversed(standing) for place in call.changes}
    for written, over in [(call.step, latest[place]) for call in chosen for place in call.changes]:
        if over not in own:
            raise ForethoughtError(f"Step {over} has written over what step {written} wrote. Roll it back first.")


@dataclass(frozen=True, slots=True)
class _Change:
    """What one call has changed, or an agent in one file of a folder, with what was kept of it."""

    key: str
    undo: MessageRow
    kept: Mapping[str, JSON]

    @property
    def files(self) -> set[str]:
        return set(places(self.kept))


def undoable_calls(queries: Queries, run_id: str) -> list[UndoableCall]:
    """The calls of a run for which it was kept what undoing them takes: the latest first."""
    changes = _changes(queries, run_id)
    files = {file for change in changes for file in change.files}
    later = {undo.run for undo in queries.undos_since(run_id) if files & _files(undo)}
    over = [change for run in later for change in _standing(queries, run)]
    # A folder that one step has made goes with the last of the files that steps have put there, whichever that is.
    made = [folder for each in changes for folder in cast("list[JSON]", each.kept.get("made", []))]

    def written_over(change: _Change) -> str:
        since = (each for each in over if each.files & change.files and each.undo.asked > change.undo.asked)
        return next((each.undo.run for each in since), "")

    return [
        UndoableCall(
            change.key,
            change.undo.step,
            str(change.undo.body["tool"]),
            {**change.kept, "made": made} if change.files else change.kept,
            over=written_over(change),
        )
        for change in reversed(changes)
        if not _lost(change.undo)
    ]


def _standing(queries: Queries, run_id: str) -> list[_Change]:
    """What a run has changed and no rollback has taken back."""
    undone = _undone(queries, run_id)
    return [change for change in _changes(queries, run_id) if change.key not in undone]


def _changes(queries: Queries, run_id: str) -> list[_Change]:
    """What the calls of a run have changed, in order, with what was known only after them."""
    notes = {note.key: note.body for note in queries.messages(run_id, "note") if note.key.startswith("left/")}
    found: list[_Change] = []
    for undo in queries.messages(run_id, "undo"):
        key = _key(undo)
        left = notes.get(f"left/{key.rpartition('/')[0]}", {})
        names = count(1) if "there" in _kept(undo) or "files" in left else repeat("")
        within = changes_within(_kept(undo), left)
        found += [_Change(f"{key}/{n}".rstrip("/"), undo, each) for n, each in zip(names, within, strict=False)]
    return found


def lasting(records: Records, run_id: str, step: int | None) -> list[str]:
    """What a run has done, or may have done, that cannot be undone."""
    queries = records.queries
    run = queries.run(run_id)
    plans = [records.plan(run.plan, revision) for revision in range(1, run.revision + 1)]
    planned = {each.id: each.tool for plan in plans for each in plan.steps}
    planned |= {row.id: kept.tool for row in queries.steps(run_id) if (kept := step_of_row(row))}
    rows = [row for row in queries.steps(run_id) if row.started is not None and row.id in planned]
    earlier = _taken_up(run)
    called: list[tuple[int | None, str]] = [(row.id, planned[row.id]) for row in rows]
    # A check calls tools too, and so does a search, of a step or by itself.
    calls = [call for call in queries.messages(run_id, "call") if "tool" in call.body]
    called += [(call.step, str(call.body["tool"])) for call in calls]
    lost = [(undo.step, str(undo.body["tool"])) for undo in queries.messages(run_id, "undo") if _lost(undo)]
    own = _own(queries, run_id, step)
    of_earlier = earlier and _has_begun(queries, earlier) and (own is None or all(row.id not in own for row in rows))
    stays = [f"what {earlier} has done, which this run took up: roll that back too"] if of_earlier else []
    return [*stays] + [
        (f"step {number} {tool}" if number else tool) + (_BEYOND if tool == DELEGATE else "")
        for number, tool in dict.fromkeys([*called, *lost])
        if (own is None or number in own)
        and (records.tools.lasting(tool) or tool == DELEGATE or (number, tool) in lost)
    ]


def _taken_up(run: RunRow) -> str:
    return str(run.options.get("takes_up", ""))


def _has_begun(queries: Queries, run_id: str) -> bool:
    """Whether a run, or one that it took up, has called anything."""
    steps = any(row.started is not None for row in queries.steps(run_id))
    if steps or queries.messages(run_id, "call"):
        return True
    earlier = _taken_up(queries.run(run_id)) if queries.has_run(run_id) else ""
    return bool(earlier) and _has_begun(queries, earlier)


def undone_steps(queries: Queries, run_id: str) -> set[int]:
    """The steps of a run of which rollbacks have taken a call back."""
    undone = _undone(queries, run_id)
    calls = undoable_calls(queries, run_id) if undone else []
    return {call.step for call in calls if call.key in undone and call.step is not None}


def _undone(queries: Queries, run_id: str) -> set[str]:
    """The calls of a run that rollbacks have taken back already. What became of it since is others' doing."""
    notes = [note for rollback in queries.rollbacks(run_id) for note in queries.messages(rollback.id, "note")]
    return {note.key.removeprefix("undone/") for note in notes if note.body["verdict"] in _TAKEN_BACK}


def _kept(undo: MessageRow) -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", undo.body["kept"])


def _files(undo: MessageRow) -> set[str]:
    """The files that a call has written, if that is what it did."""
    return set(places(_kept(undo)))


def _lost(undo: MessageRow) -> bool:
    """Whether what was there was too large to be kept."""
    return bool(_kept(undo).get("lost"))


def _key(undo: MessageRow) -> str:
    return undo.key.removeprefix("undo/")


# What is shown


def rolled_back(queries: Queries, run_id: str) -> list[JSON]:
    """The rollbacks of a run, and of single steps of it, in a line each."""
    lines: list[JSON] = []
    for row in queries.rollbacks(run_id):
        step = ROLLBACK.read(row).step
        lines.append(f"{row.id} ({row.state})" + (f", step {step} alone" if step else ""))
    return lines


def _progress(_queries: Queries, run: RunRow) -> Progress:
    return Progress(0, 0, "putting back what was changed" if run.state in OPEN else "ended")


def _view(look: Look) -> View:
    answer: Mapping[str, JSON] = look.run.answer if isinstance(look.run.answer, Mapping) else {}
    undone: View = {"undone": answer["undone"]} if answer and not look.waiting else {}
    head = look.head(_progress(look.records.queries, look.run).text)
    return {**head, **look.trouble(), **undone, **look.tail()}


def _next(look: Look) -> str:
    if look.run.state == "succeeded":
        return "get_plan() lists what else there is: nothing is left to do here"
    return f'rollback(run_id="{ROLLBACK.read(look.run).of}") once what was left is mended by hand'


ROLLBACK = Kind(
    name="rollback",
    options=RollbackOptions,
    drive=_drive,
    progress=_progress,
    view=_view,
    next=_next,
)
