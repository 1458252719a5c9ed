"""How a server is reached: by its standard input and output, or at an address. No message may be longer than can be
held: the SDK reads a line until it ends, and each piece of it over all that came before."""

__all__ = ["wire"]

import codecs
import logging
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO, cast

from forethought.configured import Configured, Transport

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import Transport as Wire
    from mcp.client._transport import TransportStreams

MOST = 32_000_000
"""Bytes of one message."""
_LINES = "forethought-lines"
"""An encoding: UTF-8, of which only whole lines are handed on."""
_TOO_LONG: ContextVar[Callable[[], None]] = ContextVar("too_long")
"""What is called when a line of this connection is too long."""


def wire(server: Configured, kind: Transport, inherited: Mapping[str, str], too_long: Callable[[], None]) -> "Wire":
    """The way to a server. A program that is started sees the `inherited` variables and its own; where it sends a line
    that is `too_long`, it is of no more use, and has to be left."""
    _TOO_LONG.set(too_long)
    logging.getLogger("mcp.client").setLevel(logging.CRITICAL)  # it logs what it cannot read, whole
    if kind == "stdio":
        return _started(server, inherited)
    return _sse(server) if kind == "sse" else _http(server)


def _started(server: Configured, inherited: Mapping[str, str]) -> "Wire":
    from mcp.client.stdio import StdioServerParameters, stdio_client

    codecs.register(_lines)
    parameters = StdioServerParameters(
        command=server.command,
        args=list(server.arguments),
        env={**inherited, **server.environment},
        cwd=server.folder,
        encoding=_LINES,
        encoding_error_handler="replace",
    )
    return stdio_client(parameters, errlog=cast("TextIO", subprocess.DEVNULL))  # what they log may hold secrets


def _lines(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _LINES:
        return None
    plain = codecs.lookup("utf-8")
    return codecs.CodecInfo(plain.encode, plain.decode, incrementaldecoder=_Lines, name=_LINES)


class _Lines(codecs.IncrementalDecoder):
    """What is handed on ends with a line: what comes before is kept in pieces, and not gone through again."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._pieces: list[bytes] = []
        self._size = 0
        self._too_long = _TOO_LONG.get()

    def decode(self, input: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: A002 - its name there
        whole, end, begun = bytes(input).rpartition(b"\n")
        if not end:
            return self._kept(begun)
        lines = b"".join([*self._pieces, whole, end])
        self._pieces, self._size = [], 0
        return lines.decode("utf-8", self.errors) + self._kept(begun)

    def _kept(self, piece: bytes) -> str:
        self._size += len(piece)
        if self._size <= MOST:
            self._pieces.append(piece)
        elif self._pieces:
            self._pieces.clear()
            self._too_long()
        return ""


@asynccontextmanager
async def _http(server: Configured) -> AsyncGenerator["TransportStreams"]:
    from mcp.client.streamable_http import streamable_http_client

    async with (
        _client(dict(server.headers)) as http,
        streamable_http_client(server.url, http_client=http, max_sse_event_size=MOST) as streams,
    ):
        yield streams


def _sse(server: Configured) -> "Wire":
    from mcp.client.sse import sse_client

    return sse_client(server.url, headers=dict(server.headers))


def _client(headers: dict[str, str]) -> "httpx2.AsyncClient":
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """The body of an answer that is read as a whole."""

        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._stream:
                size += len(piece)
                if size > MOST:
                    raise httpx2.ReadError(f"it has sent a message of over {MOST:,} bytes")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: httpx2.Response) -> None:
        packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        if packed:  # it could become any size
            raise httpx2.ReadError("it has packed its answer, though asked not to")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = Bounded(cast("httpx2.AsyncByteStream", response.stream))

    return httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(30, read=300),
        event_hooks={"response": [bound]},
    )
