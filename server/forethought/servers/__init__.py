"""Tools of other MCP servers: which servers there are, what they offer, and calls of it.

What they have offered the last time is there at once. A server is connected when it is called first; one that was never
seen, when somebody first wants to know what there is.
"""

__all__ = ["Servers"]

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio import to_thread

from forethought.configured import Configured
from forethought.servers.connection import Connection
from forethought.servers.listing import resources_listed, tools_listed
from forethought.servers.offered import RESOURCES, Source, said_of, tools_of
from forethought.servers.pins import Pins, Said
from forethought.servers.results import Kept, contents_of, value_of
from forethought_tools import JSON, ChangedError, Registry, ToolError
from forethought_tools.registry import withheld

if TYPE_CHECKING:
    from mcp.client import Client
    from mcp.types import Tool as Listed

logger = logging.getLogger(__name__)

_OURS = "forethought"  # as it calls itself
_CALL = 300.0  # seconds of one call without news


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
        patience: float,
    ) -> None:
        """Their tools go into `tools`. Programs that are started see the `inherited` variables and their own. For those
        that were never seen there is some `patience`, in seconds."""
        servers = list(_beside_ours(servers, tools))
        self._tools = tools
        self._pins = Pins(home) if servers else None
        self._kept = Kept(home)
        self._redact = redact
        self._trusted = trusted
        self._patience = patience
        self._met: set[str] = set()
        self._left: dict[str, int] = {}
        self.connections = {
            server.name: Connection(
                server, inherited=inherited, redact=redact, listed=partial(self._look, server), sampling=sampling
            )
            for server in servers
        }
        self._lacking = {name: why for name, each in self.connections.items() if (why := each.lacking)}
        """Why servers cannot even be tried, by their names."""
        tools.unreached = self._lacking
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

    async def met(self, seconds: float | None = None) -> None:
        """Every server was seen once, or it was tried: at most so long, and once for each process. Those that are
        connected were asked what they offer by now."""
        new = [
            name for name in self.connections if self._pins and not self._pins.is_known(name) and name not in self._met
        ]
        self._met.update(new)
        patience = self._patience if seconds is None else seconds
        with anyio.move_on_after(patience):
            async with anyio.create_task_group() as tasks:
                for name, connection in self.connections.items():
                    tasks.start_soon(partial(self._meet, name) if name in new else connection.looked)
        slow = f"it did not answer within {patience:g} s (FORETHOUGHT_SERVERS_SECONDS)"
        known = {name for name in self.connections if self._pins and self._pins.is_known(name)}
        late = {name: self.connections[name].problem or slow for name in self._met - known}
        self._tools.unreached = self._lacking | late

    async def _meet(self, name: str) -> None:
        try:
            await self.connections[name].reached()
        except ToolError as error:
            logger.warning("%s", error)

    async def _look(self, server: Configured, client: "Client", again: bool) -> None:
        """Ask a server that is connected what it offers. Resources are not asked for before every call."""
        assert self._pins is not None
        if client.server_info and client.server_info.name == _OURS:
            raise ToolError("it is forethought itself, and nothing calls itself. Take it out of the file")
        tools, before = await tools_listed(client), self._pins.now(server.name)
        resources = before.get(RESOURCES) if again else await resources_listed(client)
        await to_thread.run_sync(self._keep, server, tools, resources)
        if self._pins.now(server.name) != before:
            self._tools.offer(server.name, await to_thread.run_sync(tools_of, self._source(server, self._pins)))

    def _keep(self, server: Configured, tools: Mapping[str, "Listed"], resources: Said | None) -> None:
        assert self._pins is not None
        told = cast("Said | None", withheld(resources, self._redact))
        found: dict[str, Said] = {} if told is None else {RESOURCES: told}
        started = self._redact(server.started)
        found |= {name: said_of(tool, started, self._redact) for name, tool in tools.items()}
        if (left := self._pins.listed(server.name, found)) and left != self._left.get(server.name):
            logger.warning("The server %s offers more than is kept: %d of its tools are left out.", server.name, left)
        self._left[server.name] = left

    def _offer(self, server: Configured) -> None:
        if self._pins is not None:
            self._tools.offer(server.name, tools_of(self._source(server, self._pins)))

    def _source(self, server: Configured, pins: Pins) -> Source:
        connection = self.connections[server.name]

        async def make(tool: str, said: Said, arguments: Mapping[str, JSON]) -> JSON:
            name = f"{server.name}/{tool}"
            client = await connection.reached()
            if pins.now(server.name).get(tool) != said:  # it has said something else as it was connected just now
                raise ChangedError(f"{name} is not what it was when this call was judged.")
            if pins.accepted(server.name, tool) != said:  # a person has seen that, else nobody would be here
                await to_thread.run_sync(pins.accept, server.name, tool, said)
            result = await connection.call(client, tool, arguments, _CALL)
            return await to_thread.run_sync(value_of, result, name, self._kept)  # files in it take a moment

        async def read(uri: str) -> JSON:
            found: Any = await connection.ask(lambda client: client.read_resource(uri), _CALL)
            return await to_thread.run_sync(contents_of, found.contents, self._kept)

        return Source(server.name, server.name in self._trusted, pins, make, read)


def _beside_ours(servers: Sequence[Configured], tools: Registry) -> Iterator[Configured]:
    """The servers, none of them called as a tool of ours is, not even in its first part."""
    names = {each.name.casefold() for each in servers} | {tool.name.casefold() for tool in tools}
    for server in servers:
        name, number = server.name, 1
        if server.name in tools:
            while (name := f"{server.name}-server{f'-{number}' if number > 1 else ''}").casefold() in names:
                number += 1
            names.add(name.casefold())
        yield replace(server, name=name)
