"""Plans and runs as resources, for clients that show those; and notices when they change, in both protocol eras."""

__all__ = ["Notices", "add_resources"]

import logging
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    EmptyResult,
    PromptReference,
    ResourceTemplateReference,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from forethought.app import App
from forethought.engine.kinds.reflection import rounds
from forethought.engine.plan_views import graph, plan_view
from forethought.engine.transcripts import transcript
from forethought.engine.trees import Branch, flowchart_of, outline, trees
from forethought.engine.views import run_view
from forethought.surface.orders import reminder, still_open, taker_of
from forethought_patterns.signatures import listed_tool
from forethought_tools import NotFoundError
from forethought_tools.text import as_text, clipped

logger = logging.getLogger(__name__)

INDEX = "forethought://index"
TOOLS = "forethought://tools"
_SETTLE = 0.2  # seconds in which changes of the same run go out as one notice


def add_resources(server: MCPServer[App], live: list[App]) -> None:
    """Give the server its resources, templates and completions. `live` holds the apps that serve now."""

    @server.resource(INDEX, title="Plans and runs", mime_type="application/json")
    async def index() -> str:
        """Recent plans and runs."""
        queries = live[-1].runs.queries
        plans = [{"uri": f"plan://{row.id}", "goal": row.goal} for row in queries.plans(limit=50)]
        runs = [{"uri": f"run://{row.id}", "plan_id": row.plan, "status": row.state} for row in queries.runs(limit=50)]
        line = still_open(live[-1], None)
        return as_text({"plans": plans, "runs": runs} | ({"reminder": line} if line else {}))

    @server.resource(TOOLS, title="Tools of steps", mime_type="text/plain")
    async def step_tools() -> str:
        """Every tool that steps can call, what it takes, where it comes from, its risk and why."""
        await live[-1].servers.met()
        tools = live[-1].runs.records.tools
        return "\n".join(listed_tool(tool, tools, whole=not tool.source) for tool in tools)

    @server.resource("plan://{plan_id}", title="Plan", mime_type="application/json")
    async def plan(plan_id: str, ctx: Context[App]) -> str:
        """A plan with all its steps."""
        runs = _app(ctx).runs

        def whole() -> str:
            shown = plan_view(runs.records, runs.queries.plan(plan_id), steps="full", page=None)
            return as_text(reminder(_app(ctx), taker_of(ctx), shown))

        return _found(whole)

    @server.resource("plan://{plan_id}/graph", title="Plan as a Mermaid flowchart", mime_type="text/vnd.mermaid")
    async def plan_graph(plan_id: str, ctx: Context[App]) -> str:
        """A plan as a flowchart, each step with its state in the latest run."""
        return _found(lambda: graph(_app(ctx).runs.records, plan_id))

    @server.resource("run://{run_id}", title="Run", mime_type="application/json")
    async def run(run_id: str, ctx: Context[App]) -> str:
        """A run: the state and result of each step, and who is waited for."""
        runs = _app(ctx).runs

        def whole() -> str:
            shown = run_view(runs.records, runs.queries.run(run_id), steps="full", page=None)
            return as_text(reminder(_app(ctx), taker_of(ctx), shown))

        return _found(whole)

    @server.resource("run://{run_id}/journal", title="Journal of a run", mime_type="application/x-ndjson")
    async def journal(run_id: str, ctx: Context[App]) -> str:
        """Everything that a run did, in order, one JSON object a line (the first thousand)."""
        queries = _app(ctx).runs.queries

        def lines() -> str:
            return "\n".join(entry.line() for entry in queries.journal(queries.run(run_id).id, limit=1000))

        return _found(lines)

    _add_details(server)

    @server.resource("run://{run_id}/tree", title="Search tree", mime_type="application/json")
    async def run_tree(run_id: str, ctx: Context[App]) -> str:
        """The tree of a search, or those in a plan's steps, by what they are for."""
        return _found(lambda: as_text({name: tree.body() for name, tree in _trees(ctx, run_id)}))

    @server.resource("run://{run_id}/tree/graph", title="Search tree as a flowchart", mime_type="text/vnd.mermaid")
    async def run_tree_graph(run_id: str, ctx: Context[App]) -> str:
        """The first tree of a run as a Mermaid flowchart; of a large one the most visited nodes."""
        return _found(lambda: "\n".join(flowchart_of(tree) for _, tree in _trees(ctx, run_id)[:1]))

    @server.resource("run://{run_id}/tree/outline", title="Search tree as text", mime_type="text/plain")
    async def run_tree_outline(run_id: str, ctx: Context[App]) -> str:
        """The trees of a run as indented text."""
        return _found(
            lambda: "\n\n".join("\n".join(filter(None, [name, outline(tree)])) for name, tree in _trees(ctx, run_id))
        )

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # the SDK leaves it untyped
    async def complete(
        ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001 - the argument's name tells enough
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - the argument's name tells enough
    ) -> Completion | None:
        queries = live[-1].runs.queries
        if argument.name == "plan_id":
            return Completion(values=[row.id for row in queries.plans(limit=100, prefix=argument.value)])
        if argument.name == "run_id":
            return Completion(values=[row.id for row in queries.runs(limit=100, prefix=argument.value)])
        return None


def _add_details(server: MCPServer[App]) -> None:
    """Give it what reflections and agents have done, round by round and turn by turn."""

    @server.resource("run://{run_id}/rounds", title="Rounds of reflection", mime_type="application/json")
    async def run_rounds(run_id: str, ctx: Context[App]) -> str:
        """Every draft of a reflection, or of those in a plan's steps: scores, issues, checks, lessons, what changed."""
        queries = _app(ctx).runs.queries
        return _found(lambda: as_text(rounds(queries, queries.run(run_id).id)))

    @server.resource("run://{run_id}/steps/{step}/result", title="Whole result of a step", mime_type="text/plain")
    async def run_result(run_id: str, step: str, ctx: Context[App]) -> str:
        """All that a step has brought, however long it is."""
        return _found(lambda: _result(_app(ctx), run_id, step))

    @server.resource(
        "run://{run_id}/steps/{step}/transcript", title="What the agent of a step did", mime_type="application/json"
    )
    async def run_transcript(run_id: str, step: str, ctx: Context[App]) -> str:
        """What the agent of a step was told, called, was answered and reported, turn by turn."""
        number = int(step) if step.isdecimal() and len(step) < 10 else 0
        return _found(lambda: as_text(transcript(_app(ctx).runs.queries, run_id, number)))


def _result(app: App, run_id: str, step: str) -> str:
    run = app.runs.queries.run(run_id)
    for row in app.runs.queries.steps(run.id):
        if str(row.id) == step and row.result is not None:
            return as_text(row.result)
    raise NotFoundError(f"No step {clipped(step, 20)} of {run.id} has a result yet.")


class Notices:
    """Tells clients that a resource has changed: by the bus from 2026-07-28 on, by subscription before."""

    def __init__(self, bus: InMemorySubscriptionBus) -> None:
        self._bus = bus
        self._changed: dict[str, set[str]] = {}
        self._wake = anyio.Event()
        self._subscribers: dict[str, set[ServerSession]] = {}

    def changed(self, plan_id: str, run_id: str | None) -> None:
        self._changed.setdefault(plan_id, set()).update({run_id} if run_id else ())
        self._wake.set()

    async def send(self) -> None:
        """Send what has changed, for ever; several changes of one run within a moment are one notice."""
        known: set[str] = set()
        while True:
            await self._wake.wait()
            await anyio.sleep(_SETTLE)
            self._wake = anyio.Event()
            changed, self._changed = self._changed, {}
            for plan_id, runs in changed.items():
                for uri in (f"plan://{plan_id}", f"plan://{plan_id}/graph") if plan_id else ():
                    await self._updated(uri)
                for run_id in runs:
                    await self._updated(f"run://{run_id}")
                    for part in ("journal", "rounds", "tree", "tree/graph", "tree/outline"):
                        await self._updated(f"run://{run_id}/{part}")
            named = set(changed).union(*changed.values())
            if named - known:
                known = named
                await self._bus.publish(ResourcesListChanged())
                await self._updated(INDEX)

    async def _updated(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri=uri))
        for session in list(self._subscribers.get(uri, ())):
            try:
                await session.send_resource_updated(uri)
            except Exception as error:
                logger.info("a subscriber is dropped: %r", error)
                self._subscribers[uri].discard(session)

    def serve_subscriptions(self, server: MCPServer[App]) -> None:
        """Serve `resources/subscribe` of the protocol versions before 2026-07-28, which MCPServer leaves out."""

        async def subscribe(ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
            self._subscribers.setdefault(str(params.uri), set()).add(ctx.session)
            return EmptyResult()

        async def unsubscribe(ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
            self._subscribers.get(str(params.uri), set()).discard(ctx.session)
            return EmptyResult()

        # There is no public way yet; the capability is announced once the handlers are there.
        low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
        low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


def _trees(ctx: Context[App], run_id: str) -> list[tuple[str, Branch]]:
    queries = _app(ctx).runs.queries
    return list(trees(queries, queries.run(run_id).id).items())


def _app(ctx: Context[App]) -> App:
    return ctx.request_context.lifespan_context


def _found(make: Callable[[], str]) -> str:
    """What a resource holds; what is not there is told in the protocol's way."""
    try:
        return make()
    except NotFoundError as error:
        raise ResourceNotFoundError(str(error)) from None
