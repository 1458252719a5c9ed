"""The MCP tools as clients see them: nine verbs, and one small result schema that all share.

A failure that the caller can mend is a tool error that lists every problem; everything else is logged and hidden.
"""

__all__ = ["StrictTool", "tools"]

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, cast

from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations

from forethought.app import App
from forethought.engine.kinds.look import View
from forethought.engine.views import text_of
from forethought.surface import verbs
from forethought.surface.attach import attach, continued
from forethought.surface.bounds import too_much
from forethought.surface.orders import reminder, taker_of, told_once
from forethought.surface.schemas import ARGUMENTS, RESULT, shown
from forethought_patterns.numbering import ids_as_meant, step_as_meant
from forethought_tools import JSON, ForethoughtError, NotFoundError, schema_faults
from forethought_tools.errors import MOST_SHOWN
from forethought_tools.meant import as_meant, holds_half_a_character

_COUNTED = 10_000  # faults
_CALLED = ("plan_id", "run_id", "from_search")
_TOLD = ("goal", "task", "context", "recipe")
_STEPS = ("drop", "step")
_DRAFT = frozenset({"steps", "goal", "reasoning"})  # what planners write around steps
_NOTHING = ("", "null", "none", "undefined")
_LISTED = "get_plan() lists the plans and runs there are"

_ALWAYS_LOADED = ("create_plan", "execute_plan", "reflect", "lats_search")
"""What begins work: agents seldom find it where a client puts tools behind a search, and it names the others."""


def tools() -> "Sequence[StrictTool]":
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
        _tool(verbs.update_plan, "Update plan", writes, ["plan_id", "revision"]),
        _tool(verbs.report, "Report", reaches_out, ["run_id"]),
        _tool(verbs.rollback, "Roll back", destroys_once, ["run_id"]),
        _tool(verbs.stop, "Stop", destroys_once, ["run_id"]),
    ]


def _tool(function: verbs.Verb, title: str, annotations: ToolAnnotations, required: Sequence[str] = ()) -> "StrictTool":
    name = function.__name__
    schema = {"type": "object", "properties": dict(ARGUMENTS[name]), "additionalProperties": False}
    strict = {**schema, "required": list(required)} if required else schema
    return StrictTool(
        fn=function,
        name=name,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        parameters=shown(strict, steps=name == "create_plan"),
        strict=strict,
        fn_metadata=func_metadata(function, skip_names=["ctx"], structured_output=False),
        is_async=True,
        context_kwarg="ctx",
        annotations=annotations,
        meta={"anthropic/alwaysLoad": True} if name in _ALWAYS_LOADED else None,
    )


class StrictTool(Tool):
    """A tool whose arguments are checked as a whole, with every problem named."""

    strict: dict[str, Any]
    """The schema that they are checked against: what clients are shown, with all its bounds."""

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return RESULT

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        app: App = context.request_context.lifespan_context
        taker = taker_of(context)
        remind = partial(reminder, app, taker)
        if holds_half_a_character(arguments):
            half = f"The arguments of {self.name} hold half of a character (a lone surrogate). Write whole ones."
            return self._failed(half, remind=remind)
        # In a thread: a million small values take seconds, and others are answered meanwhile.
        given, faults = await to_thread.run_sync(self._read, arguments)
        if faults:
            names = ", ".join(self.parameters["properties"])
            return self._failed("\n".join([*faults, f"{self.name} takes: {names}."]), remind=remind)
        try:
            if (run_id := continued(context)) is not None:
                view = await attach(context, app, run_id, given.get("take"))
            else:
                view = await self.fn(context, **given)
        except NotFoundError as error:
            return self._failed(str(error) if " lists " in str(error) else f"{error} {_LISTED}.", _LISTED, remind)
        except ForethoughtError as error:
            return self._failed(_without_places(str(error), app), remind=remind)
        if isinstance(view, InputRequiredResult):
            return view
        if "error" in view:
            view["error"] = _without_places(str(view["error"]), app)
        return _result(remind(told_once(view, app.told, taker.name, anew=given.get("view") == "full")))

    def _failed(
        self, message: str, then: str = "", remind: Callable[[View], View] = lambda view: view
    ) -> CallToolResult:
        then = then or f"{self.name}(...) again, with what is listed mended"
        view = remind({"status": "error", "error": message, "next": then})
        text = "\n".join([message, *([str(view["reminder"])] if "reminder" in view else [])])
        return CallToolResult(
            content=[TextContent(type="text", text=text)],
            structured_content=cast("dict[str, Any]", view),
            is_error=True,
        )

    def _read(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The arguments as they were meant, and what is wrong with them."""
        given = cast("dict[str, Any]", as_meant(self.strict, _plain(_as_now_called(self.name, arguments))))
        if isinstance(steps := given.get("steps"), list):
            given["steps"] = list(map(step_as_meant, cast("list[JSON]", steps)))
        faults = too_much(self.strict, given) or [
            fault.at("arguments") for fault in schema_faults(self.strict, given, _COUNTED)
        ]
        more = len(faults) - MOST_SHOWN
        return given, faults[:MOST_SHOWN] + ([f"and {more} more: mend these first"] if more > 0 else [])


def _as_now_called(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """`again` of execute_plan was yes or no once. Yes is read as what repeats nothing that is done."""
    said = str(arguments.get("again")).lower()
    if tool != "execute_plan" or said not in ("true", "false", "none"):
        return arguments
    rest = {name: value for name, value in arguments.items() if name != "again"}
    return {**rest, "again": "failed"} if said == "true" else rest


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the names of plans and runs bare, and the numbers of steps as numbers."""
    bare = {
        name: None if (text := given.strip(" \t\r\n'\"`")).lower() in _NOTHING else text
        for name in _CALLED
        if isinstance(given := arguments.get(name), str)
    }
    bare |= {name: None for name in _TOLD if str(arguments.get(name)).strip().lower() in _NOTHING}
    plain = {**arguments, **bare, **{name: ids_as_meant(arguments[name]) for name in _STEPS if name in arguments}}
    return {**plain, "steps": _unwrapped(plain["steps"])} if "steps" in plain else plain


def _unwrapped(steps: JSON) -> JSON:
    """The steps in an object that holds them as a planner's answer does; else as they are."""
    read = as_meant({"type": "object"}, steps)
    return read["steps"] if isinstance(read, Mapping) and "steps" in read and read.keys() <= _DRAFT else steps


def _result(view: View) -> CallToolResult:
    text = TextContent(type="text", text=text_of(view))
    return CallToolResult(content=[text], structured_content=cast("dict[str, Any]", view))


def _without_places(message: str, app: App) -> str:
    """An error without where the server keeps its own: a client can do nothing with that, and its log may go far."""
    for place in {str(app.settings.home), str(app.settings.home.resolve())} - {"/", "."}:
        message = message.replace(place, "(its data folder)")
    return message.replace(app.settings.journal, "(its journal)")
