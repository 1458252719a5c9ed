"""One server: connected when it is needed first, in a task of its own, and again when it has died.

The SDK does not reconnect, and a client of it must be left by the task that has entered it. What it raises comes in
groups. A server that fails is told in a sentence, and concerns nobody who does not use it.
"""

__all__ = ["Connection"]

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from forethought.configured import Configured, Transport
from forethought.servers.calls import Call
from forethought.servers.wire import wire
from forethought_tools import JSON, BudgetError, ToolError
from forethought_tools.calling import CALLER
from forethought_tools.text import clipped, one_line
from forethought_tools.visible import visible

if TYPE_CHECKING:
    from mcp.client import Client, ClientRequestContext
    from mcp.client.session import IncomingMessage
    from mcp.types import (
        CallToolResult,
        CreateMessageRequestParams,
        CreateMessageResult,
        ElicitRequestParams,
        ElicitResult,
        ErrorData,
    )

logger = logging.getLogger(__name__)
T = TypeVar("T")

_CONNECT = 60.0  # seconds: a command may have to fetch its package first
_LOOK = 20.0  # seconds
_WORDS = 20_000  # characters of an error that are looked at
_FAULTS = 100  # of one answer that are written out, which takes as long as to find them
_BACKOFF = (0.0, 1.0, 5.0, 15.0, 60.0)  # seconds after a failure in which it is not tried again


class Connection:
    """The connection to one server."""

    def __init__(
        self,
        server: Configured,
        *,
        inherited: Mapping[str, str],
        redact: Callable[[str], str],
        listed: Callable[["Client", bool], Awaitable[None]],
        sampling: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`listed` asks what a server offers, its resources too unless it does so again. `sampling`: models may answer
        the server. `clock` gives the seconds by which one that fails is left alone for a while."""
        self.server = server
        self.problem = ""
        """Why it could not be reached the last time; nothing, where it could, or was not tried."""
        self._inherited = inherited
        self._redact = redact
        self._listed = listed
        self._sampling = sampling
        self._clock = clock
        self._in_turn = anyio.Lock()
        self._wanted = anyio.Event()
        self._over = anyio.Event()
        self._gone = anyio.Event()
        self._patience: anyio.CancelScope | None = None
        self._client: Client | None = None
        self._in_look = anyio.Lock()
        self._looks = 0
        self._changed = False
        self._ended = ""
        self._failures = 0
        self._failed_at = 0.0
        self._calls: list[Call] = []

    @property
    def lacking(self) -> str:
        """Why it is not even tried to reach it: nothing, where it is."""
        if self.server.problem:
            return visible(one_line(self._redact(self.server.problem)))
        return f"it needs what is not set: {', '.join(self.server.missing)}" if self.server.missing else ""

    async def serve(self) -> None:
        """Be connected whenever somebody needs it, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            if not await self._serve_once():
                self._told_over()

    async def reached(self) -> "Client":
        """The client of a server that is connected. Raises ToolError, which says why, where it cannot be."""
        if self._client is not None and await self._lives(self._client):
            return self._client
        if self.server.problem or self.server.missing:
            self.problem = self.lacking
        elif self._clock() - self._failed_at >= self._pause():
            await self._connected()
        if self._client is None:
            raise ToolError(f"The server {self.server.name} cannot be reached: {self.problem or 'it has ended'}.")
        return self._client

    async def call(
        self, client: "Client", tool: str, arguments: Mapping[str, JSON], seconds: float
    ) -> "CallToolResult":
        """Call a tool as it is called there. Raises ToolError where no result comes."""
        call = Call(self.server.name, tool, CALLER.get(), sampling=self._sampling)
        # In the older era a server does not say in which call it asks: where a model may answer, there is only one.
        async with self._in_turn if self._sampling and not _is_newer(client) else nullcontext():
            self._calls.append(call)
            try:
                return await self._said(client, call.make(client, arguments, seconds))
            finally:
                self._calls.remove(call)

    async def ask(self, question: Callable[["Client"], Awaitable[T]], seconds: float) -> T:
        """Ask something else of it. Raises ToolError where no answer comes."""
        client = await self.reached()

        async def asked() -> T:
            with anyio.fail_after(seconds):
                return await question(client)

        return await self._said(client, asked())

    async def _said(self, client: "Client", answer: Awaitable[T]) -> T:
        from mcp.shared.exceptions import MCPError

        try:
            return await answer
        except MCPError as error:
            closed = error.error.message == "Connection closed" or "ession not found" in error.error.message
            if closed or self._ended:
                self._lost(client)
                why = f": {self._ended}" if self._ended else ""
                ended = f"The server {self.server.name} has ended in the middle of the call{why}."
                raise ToolError(ended, transient=True) from None  # only what may be repeated is tried again
            raise ToolError(f"The server {self.server.name} refuses: {self._told(error)}") from None
        except TimeoutError:
            raise ToolError(f"The server {self.server.name} did not answer in time.") from None
        except (ToolError, BudgetError):
            raise
        except Exception as error:  # whatever the SDK finds wrong with an answer
            raise ToolError(
                f"The answer of the server {self.server.name} cannot be used: {self._told(error)}"
            ) from None

    def _pause(self) -> float:
        return _BACKOFF[min(self._failures, len(_BACKOFF) - 1)]

    async def _connected(self) -> None:
        over = self._over
        self._wanted.set()
        await over.wait()

    async def looked(self) -> None:
        """What a server that is connected offers was asked again; nothing happens where it is not."""
        if self._client is not None:
            await self._lives(self._client, again=False)

    async def _lives(self, client: "Client", *, again: bool = True) -> bool:
        """Whether the server still answers: it may have died while nobody called, and its tools may be others now."""
        if self._calls and not self._changed:
            return True
        looks = self._looks
        async with self._in_look:
            if self._looks > looks:  # somebody else has asked meanwhile
                return self._client is client
            try:
                with anyio.fail_after(_LOOK):
                    await self._look(client, again=again)
            except Exception as error:
                if self._calls:  # it may be at work; whether it is dead they will see
                    return self._client is client
                logger.info("%s is connected anew: %s", self.server.name, self._told(error))
                self._lost(client)
                return False
        return True

    async def _look(self, client: "Client", *, again: bool) -> None:
        self._changed = False
        await self._listed(client, again)
        self._looks += 1

    def _too_long(self, why: str) -> None:
        self._ended = f"it has sent {why}"
        if self._client is not None:
            self._lost(self._client)
        elif self._patience and not self._gone.is_set():  # it is being connected
            self._patience.cancel()

    def _lost(self, client: "Client") -> None:
        if self._client is client:  # else it is connected anew already
            self._client = None
            self._gone.set()

    async def _serve_once(self) -> bool:
        """Connect and stay so until it is lost. Returns whether it was connected."""
        kind = self.server.transport
        manners: Sequence[Transport] = ("http", "sse") if kind == "http or sse" else (kind,)
        for manner in manners:
            if await self._served(manner):
                return True
            if self._ended:
                break
        self._failures += 1
        self._failed_at = self._clock()
        return False

    def _told_over(self) -> None:
        """A try to connect is over, for those who wait for it."""
        over, self._over = self._over, anyio.Event()
        over.set()

    async def _served(self, kind: Transport) -> bool:
        """The same, in this manner."""
        self._gone, self._ended, reached = anyio.Event(), "", False
        with anyio.CancelScope(deadline=anyio.current_time() + _CONNECT) as self._patience:
            try:
                async with self._opened(kind) as client:
                    await self._look(client, again=False)
                    self._patience.deadline = float("inf")
                    reached, self._failures, self.problem = True, 0, ""
                    self._client = client
                    self._told_over()
                    await self._gone.wait()
            except Exception as error:
                if not reached:
                    self._failed(self._ended or self._told(error))
            finally:
                self._client = None
        if self._patience.cancelled_caught:
            self._failed(self._ended or f"it did not answer within {_CONNECT:.0f} s")
        return reached

    def _failed(self, why: str) -> None:
        self.problem = why
        logger.info("%s cannot be reached: %s", self.server.name, why)

    def _opened(self, kind: Transport) -> "AbstractAsyncContextManager[Client]":
        from mcp.client import Client

        sampled = self._sampled if self._sampling else None  # a server is told whether it may ask for that
        return Client(
            wire(self.server, kind, self._inherited, self._too_long),
            elicitation_callback=self._elicited,
            sampling_callback=sampled,
            message_handler=self._told_of,
            cache=None,
        )

    async def _told_of(self, message: "IncomingMessage") -> None:
        from mcp.types import ToolListChangedNotification

        self._changed = self._changed or isinstance(message, ToolListChangedNotification)

    async def _elicited(self, context: "ClientRequestContext", params: "ElicitRequestParams") -> "ElicitResult":
        """A server of the older era asks in the middle of a call, and does not say of which. The oldest puts it and
        names the others; where that ends before a person has answered, it was another one."""
        from mcp.types import ElicitResult

        tried: list[Call] = []
        while left := [call for call in self._calls if call not in tried]:
            tried.append(left[0])
            if answer := await left[0].asked(params, left[1:]):
                return answer
        return ElicitResult(action="cancel")

    async def _sampled(
        self, context: "ClientRequestContext", params: "CreateMessageRequestParams"
    ) -> "CreateMessageResult | ErrorData":
        """The same for what a model is to answer."""
        from mcp.types import ErrorData

        if not self._calls:
            return ErrorData(code=-1, message="Nobody has asked for a call of yours.")
        try:
            return await self._calls[0].sampled(params)
        except ToolError as error:
            return ErrorData(code=-1, message=str(error))

    def _told(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        if isinstance(error, FileNotFoundError):
            return f"there is no command {error.filename or self.server.command!r}"
        text = _plainly(error)[:_WORDS]
        if text == "Connection closed":
            text = "it ended before it had answered. Start it in a terminal to see why"
        return visible(clipped(one_line(self._redact(text)), 300))


def _plainly(error: BaseException) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError) and error.error_count() > _FAULTS:
        return f"{error.error_count():,} faults in what should be {error.title}"
    return str(error) or type(error).__name__


def _is_newer(client: "Client") -> bool:
    from mcp_types.version import is_version_at_least

    return is_version_at_least(client.session.protocol_version or "", "2026-07-28")
