"""`forethought run GOAL` and `rollback`: an MCP client of our own server, in one process, that asks in the terminal."""

__all__ = ["rollback", "run"]

import json
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
from mcp.client import Client, ClientRequestContext
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, Implementation, TextContent
from rich.markup import escape
from rich.panel import Panel

from forethought import __version__
from forethought.cli import innermost
from forethought.cli.control import released
from forethought.cli.live import Watched
from forethought.cli.recipes import read_parameters
from forethought.cli.terminal import PROGRAM, as_is, ask_form, console, errors, is_person, plan_table, styled
from forethought.models import NO_MODEL, Models
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import read_budget
from forethought_patterns.gates import in_brief
from forethought_tools import ForethoughtError, Role, SettingsError
from forethought_tools.alike import lookalikes
from forethought_tools.visible import told, visible, visible_json

_STATUS = {"succeeded": 0, "waiting": 3, "paused": 3}
_DOUBTFUL = 4  # done, and not all of it could be judged


def run(
    settings: Settings,
    goal: str | None,
    *,
    resume: str | None,
    recipe: list[str] | None,
    yes: bool,
    budget: str | None,
    **wishes: Any,
) -> int:
    """Plan a goal and run the plan, or go on with a run. `wishes` are the run's own terms. Returns the exit status."""
    wishes["approve_plan"] = wishes["approve_plan"] or None
    wishes["budget"] = read_budget(budget, "--budget") if budget else None
    if sum(way is not None for way in (goal, resume, recipe)) != 1:
        raise SettingsError("run takes either a goal, or --resume ID, or --recipe NAME.")
    given = {name: wish for name, wish in wishes.items() if wish is not None}
    # These may loosen what is set, since it is the user who types them.
    own = {name: given[name] for name in ("replan", "max_parallel") if name in given}
    session = _Session(replace(settings, terms=replace(settings.terms, **own)), yes=yes, wishes=given)
    if recipe:
        return _run(partial(session.run_recipe, recipe[0], read_parameters(recipe[1:], "--recipe")))
    return _run(partial(session.resume, resume) if resume else partial(session.plan_and_run, goal or ""))


def rollback(settings: Settings, run_id: str, *, step: int | None, dry_run: bool) -> int:
    """Undo what a run, or one step of it, has written, or show what that would do. Returns the exit status."""
    return _run(partial(_Session(settings, yes=False, wishes={}).roll_back, run_id, step, dry_run))


def _run(work: Callable[[], Awaitable[int]]) -> int:
    try:
        return anyio.run(work)
    except BaseExceptionGroup as group:
        # The client's task group wraps whatever leaves it.
        error = innermost(group)
        raise (ForethoughtError(str(error)) if isinstance(error, MCPError) else error) from None


class _Session:
    def __init__(self, settings: Settings, *, yes: bool, wishes: Mapping[str, Any]) -> None:
        self._settings = settings
        self._yes = yes
        self._wishes = wishes
        self._watched = Watched()
        self._plan_id = ""
        self._asking = anyio.Lock()  # several gates may be open: one question at a time
        self._client = Client(
            build_server(settings),
            elicitation_callback=self._elicit if is_person() else None,
            client_info=Implementation(name="a person at `forethought run`,", version=__version__),
        )

    async def plan_and_run(self, goal: str) -> int:
        models = Models(self._settings)
        spec, why = models.chosen
        if models.for_role(Role.PLANNER) is None:
            raise ForethoughtError(f"A goal needs a model that can plan. {NO_MODEL}")
        console.print(f"[dim]model   {escape(spec)} ({escape(why)})[/]", soft_wrap=True)
        console.print(
            f"[dim]folders {escape(', '.join(map(str, self._settings.folders)) or 'none')}[/]\n", soft_wrap=True
        )
        async with self._client:
            with self._watched.shown("planning; a small model on a small machine takes a minute"):
                plan = await self._planned({"goal": goal})
            return await self._show_and_run(plan)

    async def run_recipe(self, name: str, parameters: Mapping[str, str]) -> int:
        async with self._client:
            return await self._show_and_run(await self._planned({"recipe": name, "parameters": {**parameters}}))

    async def _show_and_run(self, plan: Mapping[str, Any]) -> int:
        await self._show_plan(plan)
        if await self._agreed():
            return await self._execute(str(plan["plan_id"]))
        flags = " ".join(f"--folder {shlex.quote(str(folder))}" for folder in self._settings.folders)
        later = f"Not run. Later: {PROGRAM} run --resume {plan['plan_id']} {flags}"
        console.print(escape(later), soft_wrap=True)
        return 3

    async def resume(self, some_id: str) -> int:
        released(self._settings, some_id)
        async with self._client:
            about = await self._read(f"run://{some_id}") if some_id.startswith("run_") else {"plan_id": some_id}
            if "plan_id" in about:
                return await self._execute(str(about["plan_id"]))
            with self._watched.shown():
                view = await self._stayed({"status": "running", "run_id": some_id})
        return self._show_outcome(view)

    async def _planned(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        view = await self._stayed(await self._call("create_plan", asked, self._watched.hear))
        if view["status"] != "ready":
            raise ForethoughtError(f"No plan could be made. {view.get('error', '')}")
        return view

    async def _show_plan(self, plan: Mapping[str, Any]) -> None:
        whole = await self._read(f"plan://{plan['plan_id']}")
        console.print(f"[bold]Plan {plan['plan_id']}[/]: {escape(plan['shape'])}")
        console.print(plan_table(whole["steps"]))
        for step in whole["steps"]:
            console.print(f"[dim]  {step['id']}. {escape(in_brief(step['arguments']))}[/]", soft_wrap=True)
            for name in lookalikes([step["arguments"], step.get("check")]):
                console.print(f"[yellow]  {step['id']}. look closely: {escape(name)}[/]", soft_wrap=True)
        console.print(f"risk: {escape(plan['risk'])}")
        for line in plan.get("advice", ()):
            console.print(f"[yellow]note: {escape(visible(line))}[/]")
        console.print()

    async def roll_back(self, run_id: str, step: int | None, dry_run: bool) -> int:
        arguments: dict[str, Any] = {"run_id": run_id, "dry_run": dry_run, **({} if step is None else {"step": step})}
        async with self._client:
            with self._watched.shown():
                view = await self._stayed(await self._call("rollback", arguments, self._watched.hear))
        status = self._show_outcome(view)
        return 0 if dry_run else status

    async def _stayed(self, view: Mapping[str, Any]) -> Mapping[str, Any]:
        while view["status"] == "running":
            view = await self._call("report", {"run_id": view["run_id"], "answers": []}, self._watched.hear)
        return view

    def _show_outcome(self, view: Mapping[str, Any]) -> int:
        """Print what came of a run that has no plan."""
        if "answer" in view:
            console.print(escape("\n".join(told("answer", str(view["answer"])))), soft_wrap=True)
        for each in view.get("would_do", view.get("undone", ())):
            of = f"step {each['step']}: " if each["step"] else ""
            console.print(escape(visible(f"{of}{each['verdict']}: {each['what']}")), soft_wrap=True)
        for lasting in view.get("cannot_be_undone", ()):
            console.print(f"[yellow]stays done: {escape(visible(lasting))}[/]")
        if "error" in view:
            console.print(f"[red]{_error(view)}[/]", soft_wrap=True)
        if view["status"] in ("waiting", "paused"):
            console.print(escape(_to_do(view)), soft_wrap=True)
        return _STATUS.get(str(view["status"]), 1)

    async def _agreed(self) -> bool:
        if self._yes or self._wishes.get("approve_plan"):
            return True  # with approve_plan the gate asks
        if not is_person():
            errors.print("This is not a terminal, so nobody can be asked whether to run the plan. --yes runs it.")
            return False
        typed = await anyio.to_thread.run_sync(input, "Run this plan? [Y/n] ", abandon_on_cancel=True)
        return typed.strip().lower() in ("", "y", "yes")

    async def _execute(self, plan_id: str) -> int:
        arguments: dict[str, Any] = {"plan_id": plan_id, **self._wishes}

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            await self._watched.hear(progress, total, message)
            await self._refresh(plan_id)

        self._plan_id = plan_id
        view: Mapping[str, Any] = {"status": "running"}
        with self._watched.shown():
            while view["status"] == "running":
                view = await self._call("execute_plan", arguments, progress)
            await self._refresh(plan_id)
        self._show_end(view)
        return _DOUBTFUL if view.get("unverified") else _STATUS.get(str(view["status"]), 1)

    async def _refresh(self, plan_id: str) -> None:
        whole = await self._call("get_plan", {"plan_id": plan_id, "view": "full"})
        self._watched.show(whole.get("steps", ()))

    def _show_end(self, view: Mapping[str, Any]) -> None:
        console.print(f"\nrun {view['run_id']}: {styled(str(view['status']))} ({escape(str(view['progress']))})")
        if "error" in view:
            console.print(f"[red]{_error(view)}[/]")
        for warning in view.get("warnings", ()):
            console.print(f"[yellow]note: {escape(visible(warning))}[/]")
        answer = view.get("answer", {})
        if isinstance(answer, str):
            console.print(Panel(as_is(answer[:3000]), title="answer", title_align="left", border_style="green"))
            answer = view.get("results", {})
        for name, value in answer.items():
            self._show_answer(name, value)
        for doubt in view.get("unverified", ()):
            console.print(f"[yellow]not verified: {escape(visible(doubt))}[/]", soft_wrap=True)
        if "usage" in view:
            console.print(f"[dim]{escape(str(view['usage']))}[/]")
        if view["status"] in ("waiting", "paused"):
            console.print(escape(_to_do(view)), soft_wrap=True)
        recorded = f"recorded in {self._settings.journal}; {PROGRAM} show {view['run_id']} --journal"
        console.print(f"[dim]{escape(recorded)}[/]", soft_wrap=True)

    def _show_answer(self, name: str, value: Any) -> None:
        written = self._written(value)
        text = written if written is not None else value if isinstance(value, str) else visible_json(value, indent=1)
        title = name if written is None else f"{name}: {cast('Mapping[str, Any]', value)['path']}"
        console.print(Panel(as_is(text[:3000]), title=escape(visible(title)), title_align="left", border_style="green"))

    def _written(self, value: Any) -> str | None:
        """What a step wrote, if it wrote a text file: that is what the person wants to see."""
        shown: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
        path = shown.get("path")
        if not isinstance(path, str):
            return None
        for folder in self._settings.folders:
            if (file := folder / path).is_file():
                return Path(file).read_text(encoding="utf-8", errors="replace")
        return None

    async def _elicit(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        async with self._asking:
            if self._plan_id:
                await self._refresh(self._plan_id)
            schema = getattr(params, "requested_schema", {})
            with self._watched.aside():
                filled = await anyio.to_thread.run_sync(ask_form, params.message, schema, abandon_on_cancel=True)
        return ElicitResult(action="cancel") if filled is None else ElicitResult(action="accept", content=filled)

    async def _read(self, uri: str) -> Mapping[str, Any]:
        (content,) = (await self._client.read_resource(uri)).contents
        return cast("Mapping[str, Any]", json.loads(getattr(content, "text", "{}")))

    async def _call(
        self, name: str, arguments: dict[str, Any], progress: ProgressFnT | None = None
    ) -> Mapping[str, Any]:
        return _view(await self._client.call_tool(name, arguments, progress_callback=progress))


def _to_do(view: Mapping[str, Any]) -> str:
    """What a person can do in a terminal about a run that waits."""
    return f"Go on with: {view['for_a_person']}" if "for_a_person" in view else str(view["next"])


def _error(view: Mapping[str, Any]) -> str:
    return escape("\n".join(told("error", str(view["error"]))))


def _view(result: CallToolResult) -> Mapping[str, Any]:
    if result.is_error or result.structured_content is None:
        first = result.content[0] if result.content else None
        raise ForethoughtError(first.text if isinstance(first, TextContent) else "The server returned no result.")
    return cast("Mapping[str, Any]", result.structured_content)
