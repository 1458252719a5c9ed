"""The MCP tools: eight verbs, strict and flat schemas, one small result schema that all share.

A failure that the caller can mend is a tool error that lists every problem; everything else is logged and hidden.
"""

__all__ = ["tools"]

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, InputRequiredResult, ResourceLink, TextContent, ToolAnnotations

from forethought.app import App
from forethought.engine.supervisor import OPEN
from forethought.journal.database import StaleError
from forethought.journal.store import Store
from forethought.surface.attach import attach, continued
from forethought.surface.views import PAGE, View, diff_view, graph, models_view, plan_view, run_view, text_of
from forethought.terms import REPLANS
from forethought_patterns.budget import MEASURES
from forethought_patterns.drafts import CHECK, STRATEGY
from forethought_patterns.rollback import looked_at
from forethought_tools import JSON, Fault, ForethoughtError, PlanError, schema_faults

Handler = Callable[..., Awaitable[View | InputRequiredResult]]

# Small, since each of the tools repeats it. What else a result holds depends on what it is about.
_RESULT: dict[str, Any] = {"type": "object", "required": ["status", "next"]}
_STEP: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "description": {"type": "string"},
        "tool": {"type": "string"},
        "arguments": {"type": "object"},
        "depends_on": {"type": "array", "items": {"type": "integer"}},
        "expected_output": {"type": "string"},
        "check": CHECK,
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "strategy": STRATEGY,
    },
}


class _Strict(Tool):
    """A tool whose arguments are checked against the very schema that clients see, with every problem named."""

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return _RESULT

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        given = self.fn_metadata.pre_parse_json(arguments)
        problems = [fault.at("arguments") for fault in schema_faults(self.parameters, given)]
        if problems:
            names = ", ".join(self.parameters["properties"])
            return _failed("\n".join([*problems[:20], f"{self.name} takes: {names}."]))
        for name, value in given.items():
            if isinstance(value, float) and self.parameters["properties"][name].get("type") == "integer":
                given[name] = int(value)  # to JSON, 1.0 is an integer
        try:
            again = continued(context)
            if again is not None:
                view = await attach(context, _app(context), again)
            else:
                view = await self.fn(context, **given)
        except ForethoughtError as error:
            return _failed(str(error))
        return view if isinstance(view, InputRequiredResult) else _result(view, _app(context).runs.store)


def tools() -> list[Tool]:
    """All tools, in the order in which clients see them."""
    plan_id = {"type": "string"}
    goal = {"type": "string", "maxLength": 20_000}
    risk = {"type": "string", "enum": ["low", "medium", "high"]}
    budget = {"type": "object", "additionalProperties": {"type": "number"}}
    return [
        _tool(
            create_plan,
            "Create plan",
            read_only=False,
            destructive=False,
            idempotent=False,
            open_world=False,
            properties={
                "goal": goal,
                "context": {"type": "string", "maxLength": 100_000, "description": "Facts and wishes for the planner."},
                "steps": {
                    "type": "array",
                    "items": _STEP,
                    "description": "Your own steps instead of the planner's. {{3}} in an argument is the result of"
                    " step 3, {{3.rows.0.name}} a part of it; a reference implies the dependency.",
                },
                "from_search": {"type": "string", "description": "run_id of a search whose path to plan."},
            },
            required=[],
        ),
        _tool(
            execute_plan,
            "Execute plan",
            read_only=False,
            destructive=True,
            idempotent=False,
            open_world=True,
            properties={
                "plan_id": plan_id,
                "goal": goal,
                "context": {"type": "string", "maxLength": 100_000},
                "again": {"type": "boolean", "description": "Start anew though the plan has run already."},
                "replan": {"type": "string", "enum": list(REPLANS)},
                "max_replans": {"type": "integer", "minimum": 0, "maximum": 20},
                "max_parallel": {"type": "integer", "minimum": 1, "maximum": 64},
                "approve_plan": {"type": "boolean", "description": "A person approves the whole plan first."},
                "ask_from": {**risk, "description": "Risk from which a person is asked."},
                "ask_below": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1,
                    "description": "Confidence below which a person is asked.",
                },
                "risks": {
                    "type": "object",
                    "additionalProperties": risk,
                    "description": "Raise risks, by pattern of tool name.",
                },
                "strategies": {"type": "object", "additionalProperties": STRATEGY, "description": "By step id, or *."},
                "budget": {**budget, "description": f"Limits: {', '.join(MEASURES)}."},
            },
            required=[],
        ),
        _tool(
            reflect,
            "Reflect",
            read_only=False,
            destructive=False,
            idempotent=False,
            open_world=True,
            properties={
                "task": {**goal, "minLength": 1},
                "draft": {"type": "string", "maxLength": 100_000},
                "criteria": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
                "checks": {
                    "type": "array",
                    "items": {"type": "object"},
                    "maxItems": 20,
                    "description": "As in a step; they outweigh scores.",
                },
                "max_iterations": {"type": "integer", "minimum": 1, "maximum": 20},
                "threshold": {"type": "number", "minimum": 0, "maximum": 10},
                "budget": budget,
            },
            required=["task"],
        ),
        _tool(
            lats_search,
            "Tree search",
            read_only=False,
            destructive=False,
            idempotent=False,
            open_world=True,
            properties={
                "goal": {**goal, "minLength": 1},
                "world": {"type": "string", "enum": ["simulate", "act"]},
                "verifier": {"type": "object", "description": "A check of the answer."},
                "n_candidates": {"type": "integer", "minimum": 1, "maximum": 20},
                "iterations": {"type": "integer", "minimum": 1, "maximum": 1000},
                "max_depth": {"type": "integer", "minimum": 1, "maximum": 50},
                "exploration": {"type": "number", "minimum": 0},
                "value_weight": {"type": "number", "minimum": 0, "maximum": 1},
                "parallel": {"type": "integer", "minimum": 1, "maximum": 16},
                "budget": budget,
            },
            required=["goal"],
        ),
        _tool(
            get_plan,
            "Get plan",
            read_only=True,
            destructive=False,
            idempotent=True,
            open_world=False,
            properties={
                "plan_id": {**plan_id, "description": "Leave out to list recent plans."},
                "view": {"type": "string", "enum": ["brief", "full", "graph", "list", "diff"]},
                "page": {"type": "integer", "minimum": 1},
                "revision": {"type": "integer", "minimum": 1},
                "against": {"type": "integer", "minimum": 1},
            },
            required=[],
        ),
        _tool(
            report,
            "Report",
            read_only=False,
            destructive=False,
            idempotent=False,
            open_world=True,
            properties={
                "run_id": {"type": "string"},
                "answers": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"order": {"type": "string"}, "answer": {}},
                        "required": ["order", "answer"],
                        "additionalProperties": False,
                    },
                },
            },
            required=["run_id", "answers"],
        ),
        _tool(
            rollback,
            "Roll back",
            read_only=False,
            destructive=True,
            idempotent=True,
            open_world=False,
            properties={
                "run_id": {"type": "string"},
                "step": {"type": "integer", "minimum": 1},
                "dry_run": {"type": "boolean"},
            },
            required=["run_id"],
        ),
        _tool(
            stop,
            "Stop",
            read_only=False,
            destructive=True,
            idempotent=True,
            open_world=False,
            properties={"run_id": {"type": "string"}},
            required=["run_id"],
        ),
    ]


async def create_plan(
    ctx: Context[App], goal: str = "", context: str = "", steps: Sequence[JSON] | None = None, from_search: str = ""
) -> View | InputRequiredResult:
    """Break a goal into steps that run in parallel where they can, and check them. Nothing is executed. Without `steps` the planner makes them; if it has no model of its own, you are handed a work order to answer with `report`. Show the plan to the user, then call execute_plan."""  # noqa: E501 - one paragraph for a model
    app = _app(ctx)
    if from_search:
        goal, context, steps = app.runs.searched(from_search, goal, context)
    elif not goal:
        raise PlanError([Fault("create_plan", "it needs a goal, or from_search", "Give one of them")])
    if steps is not None:
        plan_id = await app.runs.save_plan(goal, context, steps)
        return plan_view(app.runs, app.runs.queries.plan(plan_id))
    run = await app.runs.start_planning(goal, context)
    return await attach(ctx, app, run.id)


async def execute_plan(
    ctx: Context[App], plan_id: str = "", goal: str = "", context: str = "", again: bool = False, **wishes: Any
) -> View | InputRequiredResult:
    """Run a plan, or go on watching its run; with a goal instead: plan and run at once. Risky steps wait until a person approves them; you cannot. What fails is tried again or planned anew. Returns when the run ends, needs someone, or after about 20 s without news: follow `next`."""  # noqa: E501
    app = _app(ctx)
    if bool(plan_id) == bool(goal):
        raise PlanError([Fault("execute_plan", "it takes a plan_id or a goal", "Give one of them")])
    terms = app.runs.terms.tightened(**wishes)
    if goal:
        return await attach(ctx, app, (await app.runs.start_goal(goal, context, terms)).id)
    latest = app.runs.queries.runs(plan=plan_id, limit=1)
    if latest and latest[0].kind == "planning" and latest[0].state != "succeeded":
        return await attach(ctx, app, latest[0].id)
    done = not latest or latest[0].kind == "planning" or latest[0].state not in OPEN
    if done and (again or not latest or latest[0].kind == "planning"):
        return await attach(ctx, app, (await app.runs.start(plan_id, terms)).id)
    return await attach(ctx, app, latest[0].id)


async def reflect(
    ctx: Context[App], task: str, budget: Mapping[str, float] | None = None, **wishes: Any
) -> View | InputRequiredResult:
    """Write a text or code, or improve a draft: critique, checks, revision, until good. Returns the best draft."""
    app = _app(ctx)
    terms = app.runs.terms.tightened(budget=budget)
    return await attach(ctx, app, (await app.runs.start_reflection(task, terms=terms, **wishes)).id)


async def lats_search(
    ctx: Context[App],
    goal: str,
    world: Literal["simulate", "act"] = "simulate",
    verifier: JSON = None,
    n_candidates: int = 5,
    iterations: int = 30,
    budget: Mapping[str, float] | None = None,
    **bounds: Any,
) -> View | InputRequiredResult:
    """Tree search (LATS) where many ways are possible. simulate: a model imagines what actions lead to; act: tools that only read are really called, others never."""  # noqa: E501
    app = _app(ctx)
    run = await app.runs.start_search(
        goal,
        world,
        verifier=verifier,
        terms=app.runs.terms.tightened(budget=budget),
        candidates=n_candidates,
        iterations=iterations,
        **bounds,
    )
    return await attach(ctx, app, run.id)


async def get_plan(
    ctx: Context[App],
    plan_id: str = "",
    view: Literal["brief", "full", "graph", "list", "diff"] = "brief",
    page: int = 1,
    revision: int | None = None,
    against: int | None = None,
) -> View:
    """Look at a plan and its latest run: brief (where it stands), list (a line per step), full (arguments and results), graph (Mermaid), diff (of a revision against an earlier one; the last two if you name none). list and full come in pages of 50 steps."""  # noqa: E501
    runs = _app(ctx).runs
    if not plan_id:
        return _recent(_app(ctx))
    latest = runs.queries.runs(plan=plan_id, limit=1)
    if latest and not latest[0].revision and latest[0].state != "succeeded":
        return run_view(runs, latest[0])
    row = runs.queries.plan(plan_id, revision)
    if view == "diff":
        return diff_view(runs, row, row.revision - 1 if against is None else against)
    run = latest[0] if latest and latest[0].kind == "plan" and revision in (None, latest[0].revision) else None
    if view == "graph":
        return {
            "plan_id": plan_id,
            "status": run.state if run else "ready",
            "graph": graph(runs, plan_id),
            "next": f'get_plan(plan_id="{plan_id}")',
        }
    shown = run_view(runs, run, steps=view, page=page) if run else plan_view(runs, row, steps=view, page=page)
    if view == "full":
        shown["models"] = models_view(_app(ctx).models)
    if view != "brief" and len(runs.plan(plan_id, row.revision).steps) > page * PAGE:
        shown["next"] = f'get_plan(plan_id="{plan_id}", view="{view}", page={page + 1})'
    return shown


async def report(ctx: Context[App], run_id: str, answers: Sequence[Mapping[str, JSON]]) -> View | InputRequiredResult:
    """Hand in your answers to work orders of a run, and stay with it. With no answers: wait for news of any run. It cannot approve anything: only a person can."""  # noqa: E501
    app = _app(ctx)
    app.runs.queries.run(run_id)
    pairs = [(str(answer["order"]), answer["answer"]) for answer in answers]
    await app.runs.answer(run_id, pairs, by="calling agent", channel="report")
    return await attach(ctx, app, run_id)


async def rollback(
    ctx: Context[App], run_id: str, step: int | None = None, dry_run: bool = False
) -> View | InputRequiredResult:
    """Undo what a run, or one step, has written, the latest first; a person is asked. dry_run only shows it."""
    app = _app(ctx)
    if dry_run:
        found = await looked_at(await app.runs.undoable(run_id, step), app.runs.tools)
        view: View = {"run_id": run_id, "status": "ok", "would_do": [dict(each.body()) for each in found]}
        if lasting := app.runs.lasting(run_id, step):
            view["cannot_be_undone"] = list(lasting)
        again = f'rollback(run_id="{run_id}"' + (f", step={step})" if step else ")")
        return {**view, "next": again}
    return await attach(ctx, app, (await app.runs.start_rollback(run_id, step)).id)


async def stop(ctx: Context[App], run_id: str) -> View:
    """Stop a run for good. Calls in flight are cut off; what is done stays done and recorded."""
    runs = _app(ctx).runs
    run = runs.queries.run(run_id)
    try:
        await runs.stop(run_id)
    except StaleError:
        return run_view(runs, run)  # it had ended already
    while (run := runs.queries.run(run_id)).state in OPEN:
        if not await runs.changed(run_id, _app(ctx).settings.silence):
            break
    return run_view(runs, run)


def _recent(app: App) -> View:
    rows = app.runs.queries.plans(limit=10)
    listed = [f"{row.id}: {row.goal[:80]}" for row in rows]
    return {
        "status": "ok",
        "plans": listed,
        "next": 'get_plan(plan_id="...")' if rows else 'create_plan(goal="...")',
    }


def _app(ctx: Context[App]) -> App:
    return ctx.request_context.lifespan_context


def _tool(
    function: Handler,
    title: str,
    *,
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
    properties: Mapping[str, Any],
    required: Sequence[str],
) -> Tool:
    name = function.__name__
    schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return _Strict(
        fn=function,
        name=name,
        title=title,
        description=function.__doc__ or "",
        parameters={**schema, "required": list(required)} if required else schema,
        fn_metadata=func_metadata(function, skip_names=["ctx"], structured_output=False),
        is_async=True,
        context_kwarg="ctx",
        annotations=ToolAnnotations(
            read_only_hint=read_only,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=open_world,
        ),
    )


def _result(view: View, store: Store) -> CallToolResult:
    content: list[Any] = [TextContent(type="text", text=text_of(view))]
    if "plan_id" in view and store.queries.has_plan(str(view["plan_id"])):
        uri = f"plan://{view['plan_id']}"
        content.append(ResourceLink(type="resource_link", uri=uri, name=str(view["plan_id"])))
    return CallToolResult(content=content, structured_content=cast("dict[str, Any]", view))


def _failed(message: str) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=message)],
        structured_content={
            "status": "error",
            "error": message,
            "next": "Mend what is listed, and call again.",
        },
        is_error=True,
    )
