"""What the MCP tools do. The docstring of each is its description: product text, written for a model."""

__all__ = [
    "Verb",
    "create_plan",
    "execute_plan",
    "get_plan",
    "lats_search",
    "reflect",
    "report",
    "rollback",
    "stop",
    "update_plan",
]

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import anyio
from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from forethought.app import App
from forethought.engine.changing import change
from forethought.engine.kinds import plan, planning, reflection, search
from forethought.engine.kinds import rollback as undoing
from forethought.engine.kinds.kind import Caller
from forethought.engine.kinds.look import View
from forethought.engine.listing import listing
from forethought.engine.mermaid import fenced
from forethought.engine.plan_views import PAGE, diff_view, differences, graph, in_short, plan_view
from forethought.engine.recipes import filled, recipe_called
from forethought.engine.views import models_view, run_view, tools_view
from forethought.journal.database import StaleError, UnderWayError
from forethought.journal.rows import OPEN, RunRow
from forethought.surface.asking import client_name
from forethought.surface.attach import attach
from forethought.surface.orders import taker_of
from forethought_patterns.rollback import looked_at
from forethought_patterns.worlds import BOUNDS
from forethought_tools import JSON, Fault, FaultsError

Verb: TypeAlias = Callable[..., Awaitable[View | InputRequiredResult]]


_ATTACHED = "the same call had started this run already; another=true starts a second one beside it"


async def create_plan(
    ctx: Context[App],
    goal: str = "",
    context: str = "",
    steps: Sequence[JSON] | None = None,
    from_search: str = "",
    recipe: str = "",
    parameters: Mapping[str, str] | None = None,
    another: bool = False,
) -> View | InputRequiredResult:
    """Break a goal into checked steps that run in parallel where they can. Nothing is executed. Without `steps` the
    planner makes them; if it has no model, you get a work order for `report`. Show the plan to the user, then call
    execute_plan."""
    app = _app(ctx)
    if from_search:
        goal, context, steps = search.way_of(app.runs, from_search, goal, context)
    elif recipe:
        goal, steps = filled(recipe_called(app.runs.records, recipe), parameters or {})
    elif not goal:
        raise FaultsError([Fault("create_plan", "it needs a goal, from_search or recipe", "Give one of them")])
    if steps:
        plan_id = await plan.save(app.runs, goal, context, steps)
        return plan_view(app.runs.records, app.runs.queries.plan(plan_id))
    return await _once(ctx, planning.start(app.runs, goal, context, _caller(ctx, another)))


async def execute_plan(
    ctx: Context[App],
    plan_id: str = "",
    goal: str = "",
    context: str = "",
    again: plan.Again = "",
    another: bool = False,
    take: int | None = None,
    **wishes: Any,
) -> View | InputRequiredResult:
    """Run a plan, or watch its run; with a goal: plan and run at once. Risky steps wait until a person approves
    them; you cannot. What fails is tried again or planned anew. Returns when it ends, needs someone, or after 20 s
    without news: follow `next`."""
    app = _app(ctx)
    if bool(plan_id) == bool(goal):
        raise FaultsError([Fault("execute_plan", "it takes a plan_id or a goal", "Give one of them")])
    terms = app.runs.terms.tightened(**wishes)
    if goal:
        caller = _caller(ctx, another or bool(again))
        return await _once(ctx, plan.start_goal(app.runs, goal, context, terms, caller), take)
    return await _once(ctx, plan.started(app.runs, plan_id, terms, again=again), take)


async def reflect(
    ctx: Context[App], task: str, budget: Mapping[str, float] | None = None, another: bool = False, **wishes: Any
) -> View | InputRequiredResult:
    """Write a text or code, or improve a draft: critique, checks, revision, until good. Returns the best draft."""
    app = _app(ctx)
    terms = app.runs.terms.tightened(budget=budget)
    return await _once(ctx, reflection.start(app.runs, task, terms=terms, caller=_caller(ctx, another), **wishes))


async def lats_search(
    ctx: Context[App],
    goal: str,
    world: Literal["simulate", "act"] = "simulate",
    verifier: JSON = None,
    n_candidates: int = 5,
    iterations: int = 30,
    budget: Mapping[str, float] | None = None,
    another: bool = False,
    **bounds: Any,
) -> View | InputRequiredResult:
    """Tree search (LATS) among many ways. simulate: a model imagines results; act: only tools that read are called."""
    app = _app(ctx)
    terms = app.runs.terms.tightened(budget=budget)
    limits = replace(BOUNDS, candidates=n_candidates, iterations=iterations, **bounds)
    caller = _caller(ctx, another)
    start = search.start(app.runs, goal, world, verifier=verifier, bounds=limits, terms=terms, caller=caller)
    return await _once(ctx, start)


async def get_plan(
    ctx: Context[App],
    plan_id: str = "",
    view: Literal["brief", "full", "graph", "list", "diff", "tools"] = "brief",
    page: int = 1,
    revision: int | None = None,
    against: int | None = None,
    words: str = "",
) -> View:
    """Look at a plan and its latest run, or at a run: brief, list (a line per step), full (arguments, results, work
    orders), graph (Mermaid), diff (against an earlier revision). list and full: 50 steps a page. tools: what steps can
    call (words: the nearest)."""
    app = _app(ctx)
    records, queries, reader = app.runs.records, app.runs.queries, taker_of(ctx).id
    if view == "tools":
        await app.servers.met()
        return await to_thread.run_sync(tools_view, records.tools, page, words)
    if not plan_id:
        return listing(records, page)
    if plan_id.startswith("run_"):
        steps = view if view in ("list", "full") else "brief"
        return run_view(records, queries.run(plan_id), steps=steps, page=page, reader=reader)
    if planning := plan.not_planned(queries, plan_id):
        return run_view(records, planning)
    row = queries.plan(plan_id, revision)
    if view == "diff":
        return diff_view(records, row, row.revision - 1 if against is None else against)
    latest = plan.latest_run(queries, plan_id)
    run = latest if latest and revision in (None, latest.revision) else None
    if view == "graph":
        return {
            "plan_id": plan_id,
            "status": run.state if run else "ready",
            "graph": fenced(graph(records, plan_id)),
            "next": f'get_plan(plan_id="{plan_id}")',
        }
    shown = (
        run_view(records, run, steps=view, page=page, reader=reader)
        if run
        else plan_view(records, row, steps=view, page=page)
    )
    if view == "full":
        shown["models"] = models_view(app.models)
    if view != "brief" and len(records.plan(plan_id, row.revision).steps) > page * PAGE:
        shown["next"] = f'get_plan(plan_id="{plan_id}", view="{view}", page={page + 1})'
    return shown


async def update_plan(
    ctx: Context[App],
    plan_id: str,
    revision: int,
    steps: Sequence[JSON] = (),
    drop: Sequence[int] = (),
    reason: str = "",
) -> View:
    """Change what is still to do in a plan, even while it runs. What changed needs new approval."""
    runs = _app(ctx).runs
    row = await change(runs, plan_id, revision, steps=steps, drop=drop, reason=reason)
    shown = plan_view(runs.records, row)
    run = plan.latest_run(runs.queries, plan_id)
    run_id: View = {"run_id": run.id, "status": run.state} if run and run.ended is None else {}
    again = ', again="failed"' if run and run.ended is not None else ""
    return {
        **shown,
        **run_id,
        "diff": in_short(
            differences(runs.records, plan_id, row.revision - 1, row.revision),
            f': get_plan(plan_id="{plan_id}", view="diff") has all',
        ),
        "next": f'execute_plan(plan_id="{plan_id}"{again})',
    }


async def report(
    ctx: Context[App], run_id: str, answers: Sequence[Mapping[str, JSON]] = (), take: int | None = None
) -> View | InputRequiredResult:
    """Hand in answers to work orders of a run, and stay with it; with none: wait for news of any run. It cannot
    approve: only a person can."""
    app = _app(ctx)
    app.runs.queries.run(run_id)
    pairs = [(str(answer["order"]), answer["answer"]) for answer in answers]
    await app.runs.answer(run_id, pairs, by="calling agent", channel="report", taker=taker_of(ctx))
    return await attach(ctx, app, run_id, take)


async def rollback(
    ctx: Context[App], run_id: str, step: int | None = None, dry_run: bool = False
) -> View | InputRequiredResult:
    """Undo what a run, or one step, has written; a person is asked. dry_run only shows it."""
    app = _app(ctx)
    records = app.runs.records
    if not dry_run:
        return await attach(ctx, app, (await undoing.start(app.runs, run_id, step)).id)
    found = await looked_at(await undoing.undoable(records, run_id, step), records.tools)
    view: View = {"run_id": run_id, "status": "ok", "would_do": [dict(each.body()) for each in found]}
    if lasting := undoing.lasting(records, run_id, step):
        view["cannot_be_undone"] = list(lasting)
    return {**view, "next": f'rollback(run_id="{run_id}"' + (f", step={step})" if step else ")")}


async def stop(ctx: Context[App], run_id: str) -> View:
    """Stop a run for good. Calls in flight are cut off; what is done stays."""
    app = _app(ctx)
    runs = app.runs
    run = runs.queries.run(run_id)
    try:
        await runs.stop(run_id)
    except StaleError:
        return run_view(runs.records, run)  # it had ended already
    with anyio.move_on_after(min(app.settings.silence, app.settings.longest_call)):
        while runs.queries.run(run_id).state in OPEN:
            await runs.watchers.changed(run_id, app.settings.heartbeat)
    return run_view(runs.records, runs.queries.run(run_id))


def _caller(ctx: Context[App], another: bool) -> Caller:
    return Caller(client_name(ctx), another)


async def _once(ctx: Context[App], start: Awaitable[RunRow], take: int | None = None) -> View | InputRequiredResult:
    """Start a run and stay with it; or with the one that the same call has started, and say so."""
    try:
        return await attach(ctx, _app(ctx), (await start).id, take)
    except UnderWayError as error:
        view = await attach(ctx, _app(ctx), error.run, take)
    return view if isinstance(view, InputRequiredResult) else {**view, "attached": _ATTACHED}


def _app(ctx: Context[App]) -> App:
    return ctx.request_context.lifespan_context
