"""The MCP server of one configuration; serves both protocol eras on any transport."""

__all__ = ["build_server"]

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus

from forethought import __version__
from forethought.app import App, open_app, seal_key
from forethought.settings import Settings
from forethought.surface.prompts import add_prompts
from forethought.surface.resources import Notices, add_resources
from forethought.surface.tools import tools

_LEAVE = 2.0  # seconds that leaving may take of a server that is ended by a signal
INSTRUCTIONS = (
    "Plans and does work of several steps: create_plan, show it to the user, execute_plan, then follow `next` in each"
    " result. Risky steps wait for a person; no tool can approve them. If a result lists orders in waiting_on, do them"
    " yourself and hand them in with report. `unverified` lists what nobody could judge: tell the user."
)


def build_server(settings: Settings, *, leaving: Callable[[App], None] | None = None) -> MCPServer[App]:
    """An MCP server over the journal and tools that the settings name. `leaving` is called while it still drives its
    runs, when its client ends it."""
    live: list[App] = []
    bus = InMemorySubscriptionBus()
    notices = Notices(bus)

    @asynccontextmanager
    async def lifespan(_: MCPServer[App]) -> AsyncGenerator[App]:
        async with open_app(settings) as app, anyio.create_task_group() as tasks:
            app.runs.supervisor.watchers.on_change = notices.changed
            tasks.start_soon(notices.send)
            if leaving:
                tasks.start_soon(_terminated, app, leaving)
            live.append(app)
            try:
                yield app
            finally:
                if leaving:
                    leaving(app)
                live.remove(app)
                tasks.cancel_scope.cancel()

    server = MCPServer[App](
        "forethought",
        title="forethought",
        description="Plans, parallel execution and human approval for agents.",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[*tools()],
        lifespan=lifespan,
        subscriptions=bus,
        log_level="WARNING",
        request_state_security=RequestStateSecurity(keys=[seal_key(settings.home)], ttl=settings.decision_seconds),
    )
    add_resources(server, live)
    add_prompts(server)
    notices.serve_subscriptions(server)
    return server


async def _terminated(app: App, leaving: Callable[[App], None]) -> None:
    """A client may end its server by a signal, too, or be so quick with it that the server has not left yet."""
    if sys.platform == "win32":
        return
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            leaving(app)
            with anyio.move_on_after(_LEAVE):
                await app.runs.supervisor.leave()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
