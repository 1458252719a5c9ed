"""What `run`, `plan` and `rollback` show: a plan before it runs, what was changed in it, and what came of a run."""

__all__ = ["show_change", "show_end", "show_outcome", "show_plan"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.markup import escape
from rich.panel import Panel

from forethought.app import open_journal
from forethought.cli.onward import onward
from forethought.cli.terminal import PROGRAM, as_is, console, plan_table, styled
from forethought.settings import Settings
from forethought_patterns.gate_lines import brief_lines
from forethought_tools.alike import lookalikes
from forethought_tools.visible import told, visible, visible_json

_STATUS = {"succeeded": 0, "waiting": 3, "paused": 3}
_DOUBTFUL = 4  # done, and not all of it could be judged
_MOST = 3000  # characters of an answer


def show_plan(plan: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    """Print a plan: its shape, its steps with what they would call, its risks, and what could be better."""
    console.print(f"[bold]Plan {plan['plan_id']}[/]: {escape(plan['shape'])}")
    console.print(plan_table(whole["steps"]))
    for step in whole["steps"]:
        for line in brief_lines(f"{step['id']}. {visible(step['tool'])}", step["arguments"]):
            console.print(f"[dim]  {escape(line)}[/]", soft_wrap=True)
        for name in lookalikes([step["arguments"], step.get("check")]):
            console.print(f"[yellow]  {step['id']}. look closely: {escape(name)}[/]", soft_wrap=True)
    console.print(f"risk: {escape(plan['risk'])}")
    for line in plan.get("advice", ()):
        console.print(f"[yellow]note: {escape(visible(line))}[/]")
    console.print()


def show_change(diff: Mapping[str, Any]) -> None:
    """Say that the plan is another one by now, why, and in what."""
    console.print(f"[yellow]The plan was changed: revision {diff['revision']}.[/]")
    for line in [*([f"why: {diff['why']}"] if "why" in diff else []), *diff["diff"]]:
        console.print(f"[dim]  {escape(visible(str(line)))}[/]", soft_wrap=True)


def show_outcome(settings: Settings, view: Mapping[str, Any]) -> int:
    """Print what came of a run that has no plan. Returns the exit status."""
    if "answer" in view:
        console.print(escape("\n".join(told("answer", str(view["answer"])))), soft_wrap=True)
    for each in view.get("would_do", view.get("undone", ())):
        of = f"step {each['step']}: " if each["step"] else ""
        console.print(escape(visible(f"{of}{each['verdict']}: {each['what']}")), soft_wrap=True)
    for lasting in view.get("cannot_be_undone", ()):
        console.print(f"[yellow]stays done: {escape(visible(lasting))}[/]")
    if "error" in view:
        console.print(f"[red]{_error(view)}[/]", soft_wrap=True)
    if "run_id" in view and view["status"] != "ok":
        _show_next(settings, str(view["run_id"]))
    return _STATUS.get(str(view["status"]), 1)


def show_end(settings: Settings, view: Mapping[str, Any]) -> int:
    """Print what came of a run of a plan. Returns the exit status."""
    doubts = view.get("unverified", ())
    doubt = ", not all of it verified" if doubts else ""
    state = f"{styled(str(view['status']))} ({escape(str(view['progress']))}){doubt}"
    console.print(f"\nrun {view['run_id']}: {state}")
    if "error" in view:
        console.print(f"[red]{_error(view)}[/]")
    for warning in view.get("warnings", ()):
        console.print(f"[yellow]note: {escape(visible(warning))}[/]")
    answer = view.get("answer", {})
    if isinstance(answer, str):
        title, style = ("answer, not verified", "yellow") if doubts else ("answer", "green")
        console.print(Panel(as_is(answer[:_MOST]), title=title, title_align="left", border_style=style))
        answer = view.get("results", {})
    for name, value in answer.items():
        _show_answer(settings, name, value)
    for doubt in doubts:
        console.print(f"[yellow]not verified: {escape(visible(doubt))}[/]", soft_wrap=True)
    if "usage" in view:
        console.print(f"[dim]{escape(str(view['usage']))}[/]")
    _show_next(settings, str(view["run_id"]))
    recorded = f"recorded in {settings.journal}; {PROGRAM} show {view['run_id']} --journal"
    console.print(f"[dim]{escape(recorded)}[/]", soft_wrap=True)
    return _DOUBTFUL if doubts else _STATUS.get(str(view["status"]), 1)


def _show_next(settings: Settings, run_id: str) -> None:
    with open_journal(settings) as journal:
        run = journal.queries.run(run_id)
        if run.ended is None:
            console.print(escape(onward(journal.queries, run)), soft_wrap=True)


def _show_answer(settings: Settings, name: str, value: Any) -> None:
    written = _written(settings, value)
    text = written if written is not None else value if isinstance(value, str) else visible_json(value, indent=1)
    title = name if written is None else f"{name}: {cast('Mapping[str, Any]', value)['path']}"
    console.print(Panel(as_is(text[:_MOST]), title=escape(visible(title)), title_align="left", border_style="green"))


def _written(settings: Settings, value: Any) -> str | None:
    """What a step wrote, if it wrote a text file: that is what the person wants to see."""
    shown: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
    path = shown.get("path")
    if not isinstance(path, str):
        return None
    for folder in settings.folders:
        if (file := folder / path).is_file():
            return Path(file).read_text(encoding="utf-8", errors="replace")
    return None


def _error(view: Mapping[str, Any]) -> str:
    return escape("\n".join(told("error", str(view["error"]))))
