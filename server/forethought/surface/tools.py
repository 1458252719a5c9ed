"""The MCP tools as clients see them: eight verbs, and one small result schema that all share.

A failure that the caller can mend is a tool error that lists every problem; everything else is logged and hidden.
"""

__all__ = ["tools"]

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, InputRequiredResult, ResourceLink, TextContent, ToolAnnotations

from forethought.app import App
from forethought.engine.kinds.look import View
from forethought.engine.views import text_of
from forethought.journal.queries import Queries
from forethought.surface import verbs
from forethought.surface.attach import attach, continued
from forethought.surface.schemas import ARGUMENTS, RESULT
from forethought_tools import ForethoughtError, schema_faults

_ALWAYS_LOADED = ("create_plan", "execute_plan", "get_plan", "report")
"""What is seldom used where a client puts tools behind a search, and nothing goes without."""


def tools() -> list[Tool]:
    """All tools, in the order in which clients see them."""
    writes = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
    reaches_out = writes.model_copy(update={"open_world_hint": True})
    looks = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    destroys = writes.model_copy(update={"destructive_hint": True})
    destroys_once = destroys.model_copy(update={"idempotent_hint": True})
    return [
        _tool(verbs.create_plan, "Create plan", writes),
        _tool(verbs.execute_plan, "Execute plan", destroys.model_copy(update={"open_world_hint": True})),
        _tool(verbs.reflect, "Reflect", reaches_out, ["task"]),
        _tool(verbs.lats_search, "Tree search", reaches_out, ["goal"]),
        _tool(verbs.get_plan, "Get plan", looks),
        _tool(verbs.report, "Report", reaches_out, ["run_id", "answers"]),
        _tool(verbs.rollback, "Roll back", destroys_once, ["run_id"]),
        _tool(verbs.stop, "Stop", destroys_once, ["run_id"]),
    ]


def _tool(function: verbs.Verb, title: str, annotations: ToolAnnotations, required: Sequence[str] = ()) -> Tool:
    name = function.__name__
    schema = {"type": "object", "properties": dict(ARGUMENTS[name]), "additionalProperties": False}
    return _Strict(
        fn=function,
        name=name,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        parameters={**schema, "required": list(required)} if required else schema,
        fn_metadata=func_metadata(function, skip_names=["ctx"], structured_output=False),
        is_async=True,
        context_kwarg="ctx",
        annotations=annotations,
        meta={"anthropic/alwaysLoad": True} if name in _ALWAYS_LOADED else None,
    )


class _Strict(Tool):
    """A tool whose arguments are checked against the very schema that clients see, with every problem named."""

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return RESULT

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        given = self.fn_metadata.pre_parse_json(arguments)
        # In a thread: a million small values take seconds, and others are answered meanwhile.
        faults = await to_thread.run_sync(schema_faults, self.parameters, given)
        if problems := [fault.at("arguments") for fault in faults]:
            names = ", ".join(self.parameters["properties"])
            return _failed("\n".join([*problems[:20], f"{self.name} takes: {names}."]))
        app: App = context.request_context.lifespan_context
        try:
            if (run_id := continued(context)) is not None:
                view = await attach(context, app, run_id)
            else:
                view = await self.fn(context, **self._integers(given))
        except ForethoughtError as error:
            return _failed(str(error))
        return view if isinstance(view, InputRequiredResult) else _result(view, app.runs.queries)

    def _integers(self, given: dict[str, Any]) -> dict[str, Any]:
        """To JSON, 1.0 is an integer."""
        properties = self.parameters["properties"]
        return {
            name: int(value) if isinstance(value, float) and properties[name].get("type") == "integer" else value
            for name, value in given.items()
        }


def _result(view: View, queries: Queries) -> CallToolResult:
    content: list[Any] = [TextContent(type="text", text=text_of(view))]
    if "plan_id" in view and queries.has_plan(str(view["plan_id"])):
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
