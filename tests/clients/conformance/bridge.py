"""Our server over HTTP on loopback, with what the conformance suite asks for mounted on it."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage
from tests.clients.conformance.contents import add_contents
from tests.clients.conformance.questions import add_questions

from forethought.settings import Settings
from forethought.surface.server import build_server

_RETRY = 100  # milliseconds after which a client whose stream was closed comes back


@asynccontextmanager
async def bridged(settings: Settings) -> AsyncGenerator[str]:
    """The address of the server while this is open."""
    server = build_server(settings)
    add_contents(server)
    add_questions(server)
    app = server.streamable_http_app(event_store=_Events(), retry_interval=_RETRY)
    listener = socket.create_server(("127.0.0.1", 0))  # who connects before the server is up waits in its queue
    http = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.serve, [listener])
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        http.should_exit = True


class _Events(EventStore):
    """What was sent on which stream, for clients that come back."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._sent.append((stream_id, message))
        return str(len(self._sent))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        last = int(last_event_id)
        stream = self._sent[last - 1][0]
        for number, (other, message) in enumerate(self._sent[last:], last + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
