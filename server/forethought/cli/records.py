"""`forethought runs`, `show`, `lessons`, `verify`, `export` and `prune`: the journal itself. Needs no server."""

__all__ = ["export", "lessons", "prune", "runs", "show", "verify"]

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import cast

from rich.markup import escape
from rich.table import Table

from forethought.app import open_journal, pruned
from forethought.cli.forgetting import forgotten
from forethought.cli.onward import onward, state_of, waited_for
from forethought.cli.outcome import show_change
from forethought.cli.terminal import PROGRAM, console, may_forget, plan_table, print_json, styled
from forethought.engine.kinds import kind_of
from forethought.engine.kinds.look import View
from forethought.engine.plan_views import diff_view, plan_view
from forethought.engine.records import Records, resuming
from forethought.engine.transcripts import in_lines
from forethought.engine.views import run_view
from forethought.journal.audit import fault
from forethought.journal.rows import LessonRow, RunRow
from forethought.journal.store import Store
from forethought.settings import Settings
from forethought_tools import JSON, NotFoundError
from forethought_tools.delegating import DELEGATE
from forethought_tools.text import as_text, one_line
from forethought_tools.visible import has_lines, one_line_json, told, visible

_MOST = 10_000  # runs that are looked through


def runs(settings: Settings, *, state: Sequence[str] | None, limit: int, as_json: bool) -> int:
    """List recent runs, newest first."""
    with open_journal(settings) as journal:
        queries = journal.queries
        rows = (row for row in queries.runs(limit=_MOST) if kind_of(row).listed(row))
        told = ((row, state_of(queries, row)) for row in rows)
        found = list(islice((each for each in told if not state or each[1] in state), limit + 1))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json([_run_body(row, its_state) for row, its_state in found])
        return 0
    none = f"No run is {' or '.join(state)}." if state else f"No runs yet. {PROGRAM} run GOAL makes the first."
    console.print(_run_table(found) if found else none)
    if more:
        only = "".join(f" --state {shlex.quote(each)}" for each in state or ())
        console.print(f"[dim]There are more: {PROGRAM} runs{only} --limit {limit * 5}[/]", soft_wrap=True)
    return 0


def _run_table(found: Sequence[tuple[RunRow, str]]) -> Table:
    """Runs on lines of their own. What does not fit into the terminal is the goal, and never an id or a state."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    wide = [heading for heading, least in (("age", 60), ("plan", 100)) if console.width >= least]
    widths = {"run": 16, "plan": 17, "state": max(len(state) for _, state in found), "age": 6}
    for heading in ("run", "state", *wide):
        table.add_column(heading, no_wrap=True, min_width=widths[heading])
    table.add_column("goal", no_wrap=True, overflow="ellipsis")
    for row, state in found:
        cells = {"age": _age(row.created), "plan": row.plan or row.kind}
        goal = escape(visible(one_line(row.goal)[:200]))
        table.add_row(row.id, styled(state), *(cells[heading] for heading in wide), goal)
    return table


def _run_body(row: RunRow, state: str) -> dict[str, JSON]:
    return {
        "run_id": row.id,
        "plan_id": row.plan,
        "kind": row.kind,
        "state": state,
        "goal": row.goal,
        "folders": list(row.folders),
        "created": _moment(row.created),
        "ended": _moment(row.ended) if row.ended else None,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _age(since: float) -> str:
    seconds = max(time.time() - since, 0)
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((each for each in units if seconds >= each[0]), units[-1])
    return f"{seconds // size:.0f} {unit}"


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


def prune(settings: Settings, days: float, *, yes: bool) -> int:
    """Forget runs that ended more than so many days ago, with what was kept to undo them; ask before."""
    with open_journal(settings) as journal:
        old = journal.store.ended_before(time.time() - days * 86_400)
        which = f"{old} run{'' if old == 1 else 's'} that ended more than {days:g} days ago"
        if old and (status := may_forget(f"{which}, with what was kept to undo what they did", yes=yes)):
            return status
        gone = pruned(journal.store, settings, days)
    console.print(f"Forgotten: {gone} runs that ended more than {days:g} days ago.")
    return 0


def lessons(settings: Settings, *, forget: str | None, yes: bool, as_json: bool) -> int:
    """List what runs have taught, or forget one lesson, or all; of all a person is asked."""
    with open_journal(settings) as journal:
        known = journal.queries.lessons(limit=1000)
        if forget is not None:
            gone = [lesson.id for lesson in known if forget in ("all", lesson.id)]
            asking = f"all lessons ({len(gone)})" if forget == "all" else ""
            return forgotten(journal.store, "lesson", forget, gone, asking=asking, yes=yes, as_json=as_json)
    if as_json:
        print_json([_lesson_body(lesson) for lesson in known])
    else:
        _show_lessons(known, is_on=settings.lessons)
    return 0


def _show_lessons(known: Sequence[LessonRow], *, is_on: bool) -> None:
    for lesson in known:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(lesson.created))
        console.print(f"[bold]{lesson.id}[/] {when} {escape(visible(lesson.workspace))}", soft_wrap=True)
        console.print(escape(f"  {visible(lesson.text)}"), soft_wrap=True)
        console.print(f"[dim]  from {lesson.run}: {escape(visible(one_line(lesson.goal[:120])))}[/]", soft_wrap=True)
    if not known:
        console.print("No lessons yet. Failed runs and rejected approvals become lessons for planners.")
    elif not is_on:
        console.print("FORETHOUGHT_LESSONS is off: planners are not told, and nothing is added.")


def _lesson_body(lesson: LessonRow) -> dict[str, JSON]:
    return {
        "lesson_id": lesson.id,
        "text": lesson.text,
        "run_id": lesson.run,
        "goal": lesson.goal,
        "folders": json.loads(lesson.workspace),
        "created": _moment(lesson.created),
    }


def show(settings: Settings, some_id: str, *, journal: bool, diff: bool, as_json: bool) -> int:
    """Show a plan or a run, everything that a run did, or what the plan's latest revision has changed."""
    with open_journal(settings) as opened:
        queries = opened.queries
        is_run = some_id.startswith("run_")
        ran = [queries.run(some_id)] if is_run else queries.runs(plan=some_id, limit=100)
        if not ran and not queries.has_plan(some_id):
            raise NotFoundError(f"There is no plan {some_id!r} in {queries.name}. `forethought runs` lists the runs.")
        if journal:
            for run in reversed(ran):
                _print_journal(opened.store, run.id)
            return 0
        if diff:
            row = queries.plan(ran[0].plan if is_run else some_id)
            view = diff_view(opened.records, row, row.revision - 1)
        else:
            view = _view(opened.records, ran[0] if ran else None, some_id)
    if as_json:
        print_json(view)
    elif diff:
        show_change(view)
    else:
        _show_view(view)
    return 0


def _view(records: Records, run: RunRow | None, plan_id: str) -> View:
    """A run, or a plan that was not run, with what a person at a terminal can do about it."""
    if run and kind_of(run).listed(run):
        view = run_view(records, run, steps="full", page=None)
        state = state_of(records.queries, run)
        view["status"] = state if state != run.state else view["status"]
        if "waiting_on" in view:
            view["waiting_on"] = waited_for(records.queries, run)
        steps = cast("Sequence[Mapping[str, JSON]]", view.get("steps", ()))
        with_agents: list[JSON] = [_with_agent(records, run, step) for step in steps]
        return {**view, **({"steps": with_agents} if steps else {}), "next": onward(records.queries, run)}
    row = records.queries.plan(run.plan if run else plan_id)
    folders = cast("Sequence[str]", row.body["folders"])
    return {**plan_view(records, row, steps="full", page=None), "next": f"{PROGRAM} {resuming(row.id, folders)}"}


def _with_agent(records: Records, run: RunRow, step: Mapping[str, JSON]) -> Mapping[str, JSON]:
    lines = in_lines(records.queries, run.id, int(str(step["id"]))) if step["tool"] == DELEGATE else []
    return {**step, "agent": "\n".join(lines)} if lines else step


def _show_view(view: View) -> None:
    steps = view.pop("steps", ())
    lines = [line for name, value in view.items() for line in _told(name, value)]
    console.print(escape("\n".join(lines)), soft_wrap=True)
    if isinstance(steps, list):
        listed = cast("list[Mapping[str, JSON]]", steps)
        console.print(plan_table(listed))
        for step in listed:
            _print_step(step)


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
    head = f"{step['id']}. {visible(str(step['tool']))}"
    if isinstance(called, Mapping) and has_lines(called):
        lines = [head, *(f"   {line}" for name, value in called.items() for line in told(visible(name), value))]
    else:
        lines = [f"{head} {one_line_json(called)}"]
    lines += [
        f"   {line}"
        for name in ("not_asked", "agent", "result", "error")
        if name in step
        for line in told(name, step[name])
    ]
    console.print(f"[dim]{escape(chr(10).join(lines))}[/]", soft_wrap=True)


def _print_journal(store: Store, run_id: str) -> None:
    after = 0
    while entries := store.queries.journal(run_id, after=after):
        for entry in entries:
            sys.stdout.buffer.write(f"{entry.line()}\n".encode())
        after = entries[-1].seq
