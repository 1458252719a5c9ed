"""`forethought run GOAL`, `plan` and `rollback`: an MCP client of our own server, in one process, that asks in the
terminal what a person has to decide."""

__all__ = ["plan", "rollback", "run"]

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import anyio
import anyio.to_thread
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, Implementation, TextContent
from rich.markup import escape

from forethought import __version__
from forethought.app import Journal, open_journal
from forethought.cli import innermost
from forethought.cli.asking import kept_terminal, put
from forethought.cli.control import released
from forethought.cli.live import Watched
from forethought.cli.outcome import show_change, show_end, show_outcome, show_plan
from forethought.cli.recipes import read_parameters
from forethought.cli.terminal import PROGRAM, agreed, console, errors, is_person
from forethought.cli.together import put_together
from forethought.engine.deaths import died_twice
from forethought.engine.kinds.planning import is_told_by_its_plan
from forethought.engine.records import resuming
from forethought.gates.together import together
from forethought.journal.queries import Queries
from forethought.journal.rows import MessageRow, RunRow
from forethought.models import NO_MODEL, Models
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import ForethoughtError, NotFoundError, Role, SettingsError

_LOOK = 1.0  # seconds between two looks at a run of which a question was left for later
_PLANNING = "planning; a small model on a small machine takes a minute"


def run(
    settings: Settings,
    goal: str | None,
    *,
    resume: str | None,
    anew: bool,
    recipe: list[str] | None,
    yes: bool,
    **wishes: Any,
) -> int:
    """Plan a goal and run the plan, or go on with a run. `wishes` are the run's own terms. Returns the exit status."""
    wishes["approve_plan"] = wishes["approve_plan"] or None
    if sum(way is not None for way in (goal, resume, recipe)) != 1:
        raise SettingsError("run takes either a goal, or --resume ID, or --recipe NAME.")
    if anew and not resume:
        raise SettingsError("--anew goes with --resume ID: it runs all of that plan once more.")
    given = {name: wish for name, wish in wishes.items() if wish is not None}
    # These may loosen what is set, since it is the user who types them.
    own = {name: given[name] for name in ("replan", "max_parallel") if name in given}
    session = _Session(replace(settings, terms=replace(settings.terms, **own)), yes=yes, wishes=given)
    if resume:
        return _run(session, partial(session.resume, resume, "all" if anew else "failed"))
    return _run(session, partial(session.plan_and_run, _wanted(goal, recipe)))


def plan(settings: Settings, goal: str | None, *, recipe: list[str] | None) -> int:
    """Make a plan, of a goal or from a recipe, and show it. Nothing of it is run. Returns the exit status."""
    if (goal is None) == (recipe is None):
        raise SettingsError("plan takes either a goal, or --recipe NAME.")
    session = _Session(settings, yes=False, wishes={})
    return _run(session, partial(session.plan_only, _wanted(goal, recipe)))


def _wanted(goal: str | None, recipe: list[str] | None) -> dict[str, Any]:
    """What a plan is asked for with: a goal, or a recipe with its parameters."""
    if recipe:
        return {"recipe": recipe[0], "parameters": {**read_parameters(recipe[1:], "--recipe")}}
    if not (goal or "").strip():
        raise SettingsError("The goal is empty. Say what you want, in your words.")
    return {"goal": goal}


def rollback(settings: Settings, run_id: str, *, step: int | None, dry_run: bool) -> int:
    """Undo what a run, or one step of it, has written, or show what that would do. Returns the exit status."""
    with open_journal(settings) as journal:
        of = journal.queries.run(run_id)
    if of.ended is None:
        raise ForethoughtError(f"{run_id} has not ended. To end it: {PROGRAM} cancel {run_id}")
    session = _Session(settings, yes=False, wishes={})
    return _run(session, partial(session.roll_back, run_id, step, dry_run))


def _run(session: "_Session", work: Callable[[], Awaitable[int]]) -> int:
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(session.how_to_go_on()) from None
    except BaseExceptionGroup as group:
        # The client's task group wraps whatever leaves it.
        error = innermost(group)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(session.how_to_go_on()) from None
        raise (ForethoughtError(str(error)) if isinstance(error, MCPError) else error) from None


class _Session:
    def __init__(self, settings: Settings, *, yes: bool, wishes: Mapping[str, Any]) -> None:
        self._settings = settings
        self._yes = yes
        self._wishes = wishes
        self._watched = Watched()
        self._began = time.time()
        self._subject = ""  # the plan or run that this is about, once it is known
        self._revision = 1
        self._later: set[str] = set()  # gates that the person has left for later
        self._client = Client(
            build_server(settings), client_info=Implementation(name="forethought run", version=__version__)
        )

    def how_to_go_on(self) -> str:
        """What a person types to go on after they have interrupted this."""
        with open_journal(self._settings) as journal:
            run = self._latest(journal.queries)
        if run is None or is_told_by_its_plan(run):
            subject = self._subject or (run.plan if run else "")
            return f"To run the plan: {PROGRAM} {resuming(subject, self._folders)}" if subject else "Nothing was begun."
        if run.ended:
            return f"The run had ended: {PROGRAM} show {run.id}"
        goes_on = f"{PROGRAM} {resuming(run.id, run.folders)}"
        return f"What is done is recorded. To go on: {goes_on}  To end it: {PROGRAM} cancel {run.id}"

    def _latest(self, queries: Queries) -> RunRow | None:
        """The run that this is about: of what it was told, or the one that it has begun."""
        if self._subject.startswith("run_"):
            return queries.run(self._subject)
        if self._subject:
            return next(iter(queries.runs(plan=self._subject, limit=1)), None)
        return next((run for run in queries.runs(limit=1) if run.created >= self._began), None)

    @property
    def _folders(self) -> list[str]:
        return [str(folder) for folder in self._settings.folders]

    async def plan_and_run(self, wanted: dict[str, Any]) -> int:
        async with self._client:
            return await self._show_and_run(await self._planned(wanted))

    async def plan_only(self, wanted: dict[str, Any]) -> int:
        async with self._client:
            await self._show_plan(made := await self._planned(wanted))
        console.print(escape(f"To run it: {PROGRAM} {resuming(str(made['plan_id']), self._folders)}"), soft_wrap=True)
        return 0

    async def _show_and_run(self, made: Mapping[str, Any]) -> int:
        self._subject = str(made["plan_id"])
        await self._show_plan(made)
        if await self._agreed():
            return await self._execute(self._subject)
        later = f"Not run. Later: {PROGRAM} {resuming(self._subject, self._folders)}"
        console.print(escape(later), soft_wrap=True)
        return 3

    async def resume(self, some_id: str, again: str) -> int:
        released(self._settings, some_id)
        self._subject = some_id
        plan_id, kind = self._of(some_id)
        async with self._client:
            if kind == "planning":
                made = self._made(await self._attended("report", {"run_id": some_id, "answers": []}))
                return await self._show_and_run(made)
            if plan_id:
                return await self._execute(plan_id, again)
            view = await self._attended("report", {"run_id": some_id, "answers": []})
        return show_outcome(self._settings, view)

    def _of(self, some_id: str) -> tuple[str, str]:
        """The plan that an id is about, and of what kind its run is. Raises NotFoundError."""
        with open_journal(self._settings) as journal:
            if not some_id.startswith("run_"):
                if not journal.queries.runs(plan=some_id, limit=1) and not journal.queries.has_plan(some_id):
                    raise NotFoundError(f"There is no plan {some_id!r}.")
                return some_id, ""
            run = journal.queries.run(some_id)
            return run.plan, run.kind

    async def _planned(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        if "goal" in wanted:
            self._tell_of_models()
        return self._made(await self._attended("create_plan", wanted, news=_PLANNING))

    def _tell_of_models(self) -> None:
        models = Models(self._settings)
        spec, why = models.chosen
        if models.for_role(Role.PLANNER) is None:
            raise ForethoughtError(f"A goal needs a model that can plan. {NO_MODEL}")
        console.print(f"[dim]model   {escape(spec)} ({escape(why)})[/]", soft_wrap=True)
        console.print(f"[dim]folders {escape(', '.join(self._folders) or 'none')}[/]\n", soft_wrap=True)

    def _made(self, view: Mapping[str, Any]) -> Mapping[str, Any]:
        if view["status"] != "ready":
            raise ForethoughtError(f"No plan could be made. {view.get('error', '')}")
        return view

    async def _show_plan(self, plan: Mapping[str, Any]) -> None:
        show_plan(plan, await self._read(f"plan://{plan['plan_id']}"))

    async def roll_back(self, run_id: str, step: int | None, dry_run: bool) -> int:
        arguments: dict[str, Any] = {"run_id": run_id, "dry_run": dry_run, **({} if step is None else {"step": step})}
        async with self._client:
            view = await self._attended("rollback", arguments)
        status = show_outcome(self._settings, view)
        return 0 if dry_run else status

    async def _attended(self, name: str, arguments: dict[str, Any], *, news: str = "") -> Mapping[str, Any]:
        """Make a call, and stay with the run that it is about until that has ended, or only waits for others."""
        with self._watched.shown(news):
            view = await self._call(name, arguments)
            while await self._goes_on(view):
                view = await self._call("report", {"run_id": view["run_id"], "answers": []})
        return view

    async def _goes_on(self, view: Mapping[str, Any]) -> bool:
        """Whether there is more to come of a run; asks the person what they are to decide about it.

        What they leave for later holds up nothing else: the rest of the run goes on.
        """
        if view["status"] not in ("running", "waiting"):
            return False
        run_id = str(view["run_id"])
        with open_journal(self._settings) as journal:
            run, gates = journal.queries.run(run_id), journal.queries.open_ids(run_id, "gate")
            orders = journal.queries.open_ids(run_id, "order")
            is_driven = run.state == "running" and not died_twice(journal.queries, run)
        if is_person() and gates - self._later:
            with self._watched.aside(), kept_terminal():
                await anyio.to_thread.run_sync(self._ask, run_id, abandon_on_cancel=True)
            return True
        if is_driven and gates:
            await anyio.sleep(_LOOK)  # such a run has every call return at once
        return is_driven and not orders

    def _ask(self, run_id: str) -> None:
        """Put to the person what is open and not left for later, until they have decided some of it."""
        with open_journal(self._settings) as journal:
            waiting = [gate for gate in journal.queries.open_messages(run_id, "gate") if gate.id not in self._later]
            for group in together(waiting):
                if self._ask_together(journal, group):
                    return

    def _ask_together(self, journal: Journal, group: Sequence[MessageRow]) -> bool:
        """Whether some of a group were decided."""
        tools, seconds = journal.records.tools, self._settings.decision_seconds
        settled: Sequence[MessageRow] = ()
        single = group
        if len(group) > 1:
            settled, single = put_together(journal, lambda _: tools, group, seconds)
        settled = [*settled, *(gate for gate in single if put(journal, tools, gate, seconds))]
        if later := {gate.id for gate in group} - {gate.id for gate in settled}:
            self._later |= later
            told = f"Left for later: {PROGRAM} decide {group[0].run}. What does not need it goes on."
            console.print(escape(told), soft_wrap=True)
        return bool(settled)

    async def _agreed(self) -> bool:
        if self._yes or self._wishes.get("approve_plan"):
            return True  # with approve_plan the gate asks
        if not is_person():
            errors.print("This is not a terminal, so nobody can be asked whether to run the plan. --yes runs it.")
            return False
        question = partial(agreed, "Run this plan? [Y/n] ", default=True)
        return await anyio.to_thread.run_sync(question, abandon_on_cancel=True)

    async def _execute(self, plan_id: str, again: str = "") -> int:
        arguments: dict[str, Any] = {"plan_id": plan_id, **self._wishes}
        taken_up = {"again": again} if again else {}
        self._subject = plan_id
        view: Mapping[str, Any] = {}
        with self._watched.shown():
            goes_on = True
            while goes_on:
                view = await self._call("execute_plan", {**arguments, **taken_up}, plan_id)
                taken_up = {}  # once: what fails now has been tried
                await self._refresh(plan_id)
                goes_on = await self._goes_on(view)
        return show_end(self._settings, view)

    async def _refresh(self, plan_id: str) -> None:
        whole = await self._fetched("get_plan", {"plan_id": plan_id, "view": "full"})
        if (revision := int(whole.get("revision", 1))) > self._revision:
            self._revision = revision
            show_change(await self._fetched("get_plan", {"plan_id": plan_id, "view": "diff"}))
        self._watched.show(whole.get("steps", ()))

    async def _read(self, uri: str) -> Mapping[str, Any]:
        (content,) = (await self._client.read_resource(uri)).contents
        return cast("Mapping[str, Any]", json.loads(getattr(content, "text", "{}")))

    async def _call(self, name: str, arguments: dict[str, Any], plan_id: str = "") -> Mapping[str, Any]:
        """Call a tool of the server, and show what it tells meanwhile; of a plan, also how its steps stand."""

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            await self._watched.hear(progress, total, message)
            if plan_id:
                await self._refresh(plan_id)

        return _view(await self._client.call_tool(name, arguments, progress_callback=progress))

    async def _fetched(self, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        return _view(await self._client.call_tool(name, arguments))


def _view(result: CallToolResult) -> Mapping[str, Any]:
    if result.is_error or result.structured_content is None:
        first = result.content[0] if result.content else None
        raise ForethoughtError(first.text if isinstance(first, TextContent) else "The server returned no result.")
    return cast("Mapping[str, Any]", result.structured_content)
