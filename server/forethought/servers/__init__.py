"""Tools of other MCP servers: which servers there are, what they offer, and calls of it.

What they have offered the last time is there at once. A server is connected when it is called first; one that was never
seen, when somebody first wants to know what there is.
"""

__all__ = ["Servers"]

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from forethought.configured import Configured
from forethought.servers.connection import Connection
from forethought.servers.offered import MOST, Source, said_of, tools_of
from forethought.servers.pins import Pins, Said
from forethought.servers.results import Kept, contents_of, value_of
from forethought_tools import JSON, ChangedError, Registry, ToolError
from forethought_tools.text import clipped

if TYPE_CHECKING:
    from mcp.client import Client

logger = logging.getLogger(__name__)

_FIRST = 20.0  # seconds in which servers that were never seen are waited for
_CALL = 300.0  # seconds of one call without news
_PAGES = 20
_LISTED = 30  # resources that are named


class Servers:
    """The servers of one process."""

    def __init__(
        self,
        servers: Sequence[Configured],
        tools: Registry,
        *,
        home: Path,
        trusted: Sequence[str],
        inherited: Mapping[str, str],
        redact: Callable[[str], str],
        sampling: bool,
    ) -> None:
        """Their tools go into `tools`. Programs that are started see the `inherited` variables and their own."""
        # Nothing is called as one of ours is, not even in its first part.
        servers = [replace(each, name=f"{each.name}-server") if each.name in tools else each for each in servers]
        self._tools = tools
        self._pins = Pins(home) if servers else None
        self._kept = Kept(home)
        self._redact = redact
        self._trusted = trusted
        self._met: set[str] = set()
        self.connections = {
            server.name: Connection(
                server, inherited=inherited, redact=redact, listed=partial(self._look, server), sampling=sampling
            )
            for server in servers
        }
        for server in servers:
            self._offer(server)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Servers can be reached while this is open."""
        async with anyio.create_task_group() as tasks:
            for connection in self.connections.values():
                tasks.start_soon(connection.serve)
            yield
            tasks.cancel_scope.cancel()

    async def met(self) -> None:
        """Every server was seen once, or it was tried: at most so long, and once for each process."""
        new = [
            name for name in self.connections if self._pins and not self._pins.is_known(name) and name not in self._met
        ]
        if not new:
            return
        self._met.update(new)
        with anyio.move_on_after(_FIRST):
            async with anyio.create_task_group() as tasks:
                for name in new:
                    tasks.start_soon(self._meet, name)
        slow = f"it did not answer within {_FIRST:.0f} s"
        known = {name for name in self.connections if self._pins and self._pins.is_known(name)}
        self._tools.unreached = {name: self.connections[name].problem or slow for name in self._met - known}

    async def _meet(self, name: str) -> None:
        try:
            await self.connections[name].reached()
        except ToolError as error:
            logger.warning("%s", error)

    async def _look(self, server: Configured, client: "Client") -> None:
        """Ask a server that was just connected what it offers."""
        assert self._pins is not None
        started = clipped(self._redact(server.told), 300)
        found: dict[str, Said] = {}
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools[: MOST - len(found)]:
                found.setdefault(tool.name, said_of(tool, started))
            if not (cursor := page.next_cursor):
                break
        if client.server_capabilities.resources:
            found[""] = {"description": await _resources(client)}
        await to_thread.run_sync(self._pins.listed, server.name, found)
        self._offer(server)

    def _offer(self, server: Configured) -> None:
        if self._pins is not None:
            self._tools.offer(server.name, tools_of(self._source(server, self._pins)))

    def _source(self, server: Configured, pins: Pins) -> Source:
        connection = self.connections[server.name]

        async def make(tool: str, said: Said, arguments: Mapping[str, JSON]) -> JSON:
            name = f"{server.name}/{tool}"
            await connection.reached()
            if pins.now(server.name).get(tool) != said:  # it has said something else as it was connected just now
                raise ChangedError(f"{name} is not what it was when this call was judged.")
            if pins.accepted(server.name, tool) != said:  # a person has seen that, else nobody would be here
                await to_thread.run_sync(pins.accept, server.name, tool, said)
            result = await connection.call(tool, arguments, _CALL)
            return await to_thread.run_sync(value_of, result, name, self._kept)  # files in it take a moment

        async def read(uri: str) -> JSON:
            found: Any = await connection.ask(lambda client: client.read_resource(uri), _CALL)
            return await to_thread.run_sync(contents_of, found.contents, self._kept)

        return Source(server.name, server.name in self._trusted, pins, make, read)


async def _resources(client: "Client") -> str:
    """The first of a server's resources, by their addresses."""
    listed = (await client.list_resources()).resources
    named = ", ".join(str(resource.uri) for resource in listed[:_LISTED])
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"Some are: {named}{more}" if named else ""
