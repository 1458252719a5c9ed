"""What MCP clients start: it says at once who we are and what we offer, and opens everything else behind that.

Hosts hide what a server writes as it dies. So where it cannot be opened it lives on, and every answer says what is
wrong and how to mend it. Imports nothing of ours that is slow: some clients give a server a second to answer.
"""

__all__ = ["LISTS", "Front", "serve_sessions"]

import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from typing import Any, Protocol

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp.types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    GetPromptRequestParams,
    JSONRPCRequest,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel

from forethought import __version__
from forethought.surface.unread import answering

logger = logging.getLogger(__name__)

LISTS = "lists.json"
"""What the whole server says of itself, kept beside this module. `scripts/tables.py` writes it."""

_LISTED: Mapping[str, type[BaseModel]] = {
    "tools/list": ListToolsResult,
    "resources/list": ListResourcesResult,
    "resources/templates/list": ListResourceTemplatesResult,
    "prompts/list": ListPromptsResult,
}
_HANDED_ON: Mapping[str, type[BaseModel]] = {
    "tools/call": CallToolRequestParams,
    "resources/read": ReadResourceRequestParams,
    "resources/subscribe": SubscribeRequestParams,
    "resources/unsubscribe": UnsubscribeRequestParams,
    "prompts/get": GetPromptRequestParams,
    "completion/complete": CompleteRequestParams,
    "subscriptions/listen": SubscriptionsListenRequestParams,
}
_QUIET = 0.5  # seconds in which a client asks what it asks first; loading would only get in the way


@dataclass(frozen=True)
class _Whole:
    """All of the server, open."""

    server: Server[Any]
    app: object


@dataclass
class _Opening:
    """One try to open it."""

    wanted: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    found: _Whole | str = ""
    """The server, or why it could not be opened."""


class Front:
    """A server that answers before the whole server is there, and hands on to that what only it can answer."""

    def __init__(self, load: Callable[[], Server[Any]], *, told: Callable[[Exception], str]) -> None:
        """`load` brings the whole server, and may take long, and fail: `told` says then what is wrong."""
        self._load = load
        self._told = told
        self._opening = _Opening()
        self._closed = anyio.Event()
        lists: Mapping[str, Any] = json.loads(files("forethought.surface").joinpath(LISTS).read_text(encoding="utf-8"))
        self.server: Server[Any] = Server("forethought", version=__version__, **lists["server"])
        """What clients talk to."""
        self.server.middleware[:] = [self._opened_first]  # the whole server brings its own
        for method, result in _LISTED.items():
            listed = partial(_listed, result.model_validate(lists[method]))
            self.server.add_request_handler(method, PaginatedRequestParams, listed)
        for method, params in _HANDED_ON.items():
            self.server.add_request_handler(method, params, _handed_on)

    async def serve(self) -> None:
        """Serve MCP on standard input and output until the client closes them."""
        async with stdio_server() as (read, write), self.opening():
            await serve_sessions(self.server, read, write)

    @asynccontextmanager
    async def opening(self) -> AsyncGenerator[None]:
        """Open the whole server while this is open, as soon as it is needed, or the client is quiet."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_open)
            try:
                yield
            finally:
                self._closed.set()
                self._opening.wanted.set()

    async def _keep_open(self) -> None:
        with anyio.move_on_after(_QUIET):
            await self._opening.wanted.wait()
        while not self._closed.is_set():
            opening = self._opening
            try:
                async with self._opened() as opening.found:
                    opening.over.set()
                    await self._closed.wait()
            except Exception as error:
                if opening.over.is_set():
                    raise  # it was open, and this is how it ends
                opening.found = self._told(error)
                logger.error("%s", opening.found)  # noqa: TRY400 - in a sentence; `told` logs what needs more
                self._opening = _Opening()  # somebody may mend it meanwhile
                opening.over.set()
                await self._opening.wanted.wait()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[_Whole]:
        server = await anyio.to_thread.run_sync(self._load)
        async with server.lifespan(server) as app:
            yield _Whole(server, app)

    async def _opened_first(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Has what only the whole server can answer wait for that, and go the way that it would go there."""
        if ctx.method not in _HANDED_ON:
            return await call_next(ctx)
        opening = self._opening
        opening.wanted.set()
        await opening.over.wait()
        if isinstance(opening.found, _Whole):
            for middleware in reversed(opening.found.server.middleware):
                call_next = partial(middleware, call_next=call_next)
        return await call_next(replace(ctx, lifespan_context=opening.found))


class _Out(WriteStream[SessionMessage], Protocol):
    def clone(self) -> WriteStream[SessionMessage]: ...


async def serve_sessions(server: Server[Any], read: ReadStream[SessionMessage | Exception], write: _Out) -> None:
    """Serve one client, which may look for the newer era of the protocol first and then take the older one.

    The SDK keeps to the era of the first request. But a client that asks `server/discover`, and has no answer within a
    second, begins the handshake: then the answer came too late, and it is the handshake that counts.
    """
    async with write, anyio.create_task_group() as sessions:
        inlet: MemoryObjectSendStream[SessionMessage | Exception] | None = None
        shaken = False
        with ExitStack() as inlets:
            async for message in answering(read, write):
                begins = _is_request(message, "initialize")
                if inlet is None or (begins and not shaken):
                    inlet, outlet = anyio.create_memory_object_stream[SessionMessage | Exception]()
                    inlets.enter_context(inlet)
                    run = partial(serve_dual_era_loop, lifespan_state=None)
                    sessions.start_soon(run, server, outlet, write.clone())
                    shaken = begins
                await inlet.send(message)


def _is_request(message: SessionMessage | Exception, method: str) -> bool:
    return (
        isinstance(message, SessionMessage)
        and isinstance(message.message, JSONRPCRequest)
        and message.message.method == method
    )


async def _listed(result: BaseModel, _ctx: ServerRequestContext[Any, Any], _params: BaseModel) -> BaseModel:
    return result


async def _handed_on(ctx: ServerRequestContext[Any, Any], params: BaseModel) -> Any:
    """The whole server's answer; where it could not be opened, why not."""
    whole = ctx.lifespan_context
    if isinstance(whole, _Whole):
        entry = whole.server.get_request_handler(ctx.method)
        assert entry is not None
        return await entry.handler(replace(ctx, lifespan_context=whole.app), params)
    if ctx.method == "tools/call":
        return _failed(str(whole))
    raise MCPError(code=INTERNAL_ERROR, message=str(whole))


def _failed(why: str) -> CallToolResult:
    view = {"status": "error", "error": why, "next": "Tell the user what is wrong. Call again once it is mended."}
    text = f"forethought cannot work yet: {why}\n{view['next']}"
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=view, is_error=True)
