"""`forethought pause`, `resume` and `cancel`: a person steers a run, whichever process drives it, or none."""

__all__ = ["cancel", "pause", "released", "resume"]

from contextlib import suppress

from rich.markup import escape

from forethought.app import open_journal
from forethought.cli.onward import state_of
from forethought.cli.terminal import PROGRAM, console
from forethought.engine.cut_off import end_undriven
from forethought.engine.deaths import died_twice
from forethought.engine.records import folder_flags, resuming
from forethought.journal.database import StaleError
from forethought.journal.rows import Fact, RunRow
from forethought.settings import Settings
from forethought_tools import ForethoughtError

_HELD = {"paused": "It is paused.", "stale": "Its server is gone: the next one that takes it up pauses it."}


def pause(settings: Settings, run_id: str) -> int:
    """Have a run start nothing more. It is paused once the calls that are in flight have ended."""
    run = _ask_for(settings, run_id, "pause_asked", "it has ended already, or is paused")
    with open_journal(settings) as journal:
        held = _HELD.get(state_of(journal.queries, run), "It pauses once what is in flight has ended.")
    console.print(f"{held} {PROGRAM} resume {run_id} lets it go on.", soft_wrap=True)
    return 0


def resume(settings: Settings, run_id: str) -> int:
    """Let a run go on that is paused, or that is not resumed because its servers have died: with the server that is
    there, or the next one that starts."""
    aside = released(settings, run_id)
    run = aside or _ask_for(settings, run_id, "resume_asked", "it is not paused")
    how = f"{PROGRAM} {resuming(run.id, run.folders)}"
    console.print(f"It goes on as soon as a server is there, or with {escape(how)}", soft_wrap=True)
    return 0


def released(settings: Settings, some_id: str) -> RunRow | None:
    """Let a run, or the latest of a plan, go on at a person's word, if its servers have died and nobody resumes it."""
    with open_journal(settings) as journal:
        queries = journal.queries
        found = [queries.run(some_id)] if some_id.startswith("run_") else queries.runs(plan=some_id, limit=1)
        aside = [run for run in found if died_twice(queries, run)]
        for run in aside:
            journal.store.commit(run.id, Fact("drive_asked"))
        return aside[0] if aside else None


def cancel(settings: Settings, run_id: str) -> int:
    """End a run for good, with the server that drives it or without one; what is done stays done and recorded."""
    run = _ask_for(settings, run_id, "stop_asked", "it has ended already")
    with open_journal(settings) as journal:
        if journal.queries.alive(run.owner):
            console.print(f"The server that drives it ends it. {PROGRAM} show {run_id} tells when it has.")
            return 0
        with suppress(StaleError):  # a server has just taken it, and ends it as well
            end_undriven(journal.store, journal.records, run)
    undo = f"{PROGRAM} rollback {run_id} {folder_flags(run.folders)}".strip()
    console.print(f"It is ended. What it has done stays. To undo what can be undone: {escape(undo)}", soft_wrap=True)
    return 0


def _ask_for(settings: Settings, run_id: str, kind: str, otherwise: str) -> RunRow:
    with open_journal(settings) as journal:
        run = journal.queries.run(run_id)
        try:
            journal.store.commit(run_id, Fact(kind))
        except StaleError:
            why = "it is being ended" if run.stopping and run.ended is None else otherwise
            raise ForethoughtError(f"{run_id} is {run.state}: {why}.") from None
        return journal.queries.run(run_id)
