"""`forethought runs`, `show`, `lessons`, `verify`, `export` and `prune`: the journal itself. Needs no server."""

__all__ = ["export", "lessons", "prune", "runs", "show", "verify"]

import sys
import time
from collections.abc import Mapping, Sequence
from typing import cast

from rich.markup import escape
from rich.table import Table

from forethought.app import open_journal, pruned
from forethought.cli.terminal import console, plan_table, styled
from forethought.engine.deaths import died_twice
from forethought.engine.kinds import kind_of
from forethought.engine.plan_views import plan_view
from forethought.engine.views import run_view
from forethought.journal.audit import fault
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, Pausing, RunRow
from forethought.journal.store import Store
from forethought.settings import Settings
from forethought_tools import JSON, NotFoundError
from forethought_tools.text import as_text
from forethought_tools.visible import one_line_json, told, visible


def runs(settings: Settings) -> int:
    """List recent runs, newest first."""
    with open_journal(settings) as journal:
        rows = [row for row in journal.queries.runs(limit=50) if kind_of(row).listed(row)]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("run", "plan", "state", "started", "goal"):
            is_id = heading in ("run", "plan")  # whole, since they are there to be copied
            table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=17 if is_id else None)
        for row in rows:
            started = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.created))
            state = styled(_state(journal.queries, row))
            table.add_row(row.id, row.plan or row.kind, state, started, escape(visible(row.goal[:80])))
    console.print(table if rows else "No runs yet. forethought run GOAL makes the first.")
    return 0


def _state(queries: Queries, run: RunRow) -> str:
    """The state of a run, or the one that a person has asked for and that it will soon have."""
    if run.ended is None and run.stopping:
        return "ending"
    if died_twice(queries, run):
        return "not resumed"
    return "pausing" if run.state == "running" and run.pausing == Pausing.ASKED else run.state


def verify(settings: Settings, some_id: str | None) -> int:
    """Check that the journal, or that of one run, is as it was written, and that all rows are what it says."""
    with open_journal(settings) as journal:
        chains = _chains(journal.store, some_id)
        wrong = {chain: problem for chain in chains if (problem := fault(journal.queries, chain))}
    for chain, problem in wrong.items():
        console.print(f"[red]{chain or 'what belongs to no run'}: {escape(visible(problem.text))}[/]", soft_wrap=True)
    if not wrong:
        console.print(f"Intact: {len(chains)} chains of entries, and the rows that they make.")
    return 1 if wrong else 0


def export(settings: Settings, some_id: str | None) -> int:
    """Print the journal, or that of one run, as JSON Lines with the hashes that chain them."""
    with open_journal(settings) as journal:
        for run in _chains(journal.store, some_id):
            _print_journal(journal.store, run)
    sys.stdout.flush()
    return 0


def _chains(store: Store, some_id: str | None) -> list[str]:
    chains = store.queries.chains()
    if some_id is None:
        return chains
    return [some_id] if some_id in chains else [store.queries.run(some_id).id]


def prune(settings: Settings, days: float) -> int:
    """Forget runs that ended more than so many days ago, with what was kept to undo them."""
    with open_journal(settings) as journal:
        gone = pruned(journal.store, settings, days)
    console.print(f"Forgotten: {gone} runs that ended more than {days:g} days ago.")
    return 0


def lessons(settings: Settings, *, forget: str | None) -> int:
    """List what runs have taught, or forget one lesson, or all."""
    with open_journal(settings) as journal:
        known = journal.queries.lessons(limit=1000)
        if forget is not None:
            gone: list[JSON] = [lesson.id for lesson in known if forget in ("all", lesson.id)]
            if not gone:
                raise NotFoundError(f"There is no lesson {forget!r}. `forethought lessons` lists them.")
            journal.store.commit("", Fact("lessons_forgotten", {"lessons": gone}))
            console.print(f"Forgotten: {len(gone)}.")
            return 0
    for lesson in known:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(lesson.created))
        console.print(f"[bold]{lesson.id}[/] {when} {escape(visible(lesson.workspace))}", soft_wrap=True)
        console.print(escape(f"  {visible(lesson.text)}"), soft_wrap=True)
        console.print(f"[dim]  from {lesson.run}: {escape(visible(lesson.goal[:120]))}[/]", soft_wrap=True)
    if not known:
        console.print("No lessons yet. Failed runs and rejected approvals become lessons for planners.")
    elif not settings.lessons:
        console.print("FORETHOUGHT_LESSONS is off: planners are not told, and nothing is added.")
    return 0


def show(settings: Settings, some_id: str, *, journal: bool) -> int:
    """Show a plan or a run, or everything that a run did."""
    with open_journal(settings) as opened:
        store = opened.store
        ran = (
            [store.queries.run(some_id)] if some_id.startswith("run_") else store.queries.runs(plan=some_id, limit=100)
        )
        if not ran and not store.queries.has_plan(some_id):
            raise NotFoundError(f"There is no plan {some_id!r} in {store.name}. `forethought runs` lists the runs.")
        if journal:
            for run in reversed(ran):
                _print_journal(store, run.id)
            return 0
        if ran and kind_of(ran[0]).listed(ran[0]):
            view = run_view(opened.records, ran[0], steps="full", page=None)
        else:
            view = plan_view(opened.records, store.queries.plan(some_id), steps="full", page=None)
    steps = view.pop("steps", ())
    console.print(
        escape("\n".join(line for name, value in view.items() for line in _told(name, value))), soft_wrap=True
    )
    if isinstance(steps, list):
        listed = cast("list[Mapping[str, JSON]]", steps)
        console.print(plan_table(listed))
        for step in listed:
            _print_step(step)
    return 0


def _told(name: str, value: JSON) -> list[str]:
    """What `text_of` says, with the lines of others marked as theirs."""
    name = name.replace("_", " ")
    if isinstance(value, Mapping):
        return [f"{name}:", *(f"  {line}" for part, item in value.items() for line in told(visible(part), item))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [f"{name}:", *(f"  - {visible(as_text(item))}" for item in value)]
    return told(name, value)


def _print_step(step: Mapping[str, JSON]) -> None:
    called = step.get("called_with", step["arguments"])
    lines = [f"{step['id']}. {visible(str(step['tool']))} {one_line_json(called)}"]
    lines += [f"   {line}" for name in ("result", "error") if name in step for line in told(name, step[name])]
    console.print(f"[dim]{escape(chr(10).join(lines))}[/]", soft_wrap=True)


def _print_journal(store: Store, run_id: str) -> None:
    after = 0
    while entries := store.queries.journal(run_id, after=after):
        for entry in entries:
            sys.stdout.buffer.write(f"{entry.line()}\n".encode())
        after = entries[-1].seq
