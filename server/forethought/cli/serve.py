"""`forethought serve`: what MCP clients start."""

__all__ = ["serve"]

from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.surface.unread import answering


def serve(settings: Settings) -> int:
    """Serve MCP on standard input and output until the client closes them."""
    server = build_server(settings)
    anyio.run(_serve, server._lowlevel_server)  # pyright: ignore[reportPrivateUsage] - there is no public way yet
    return 0


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (read, write), anyio.create_task_group() as tasks:
        inlet, outlet = anyio.create_memory_object_stream[SessionMessage | Exception]()

        async def hand_on() -> None:
            async with inlet:
                async for message in answering(read, write):
                    await inlet.send(message)

        tasks.start_soon(hand_on)
        await server.run(outlet, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()
