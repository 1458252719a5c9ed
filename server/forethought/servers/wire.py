"""How a server is reached: by its standard input and output, or at an address. The SDK reads a message until it ends,
however long it is, so its length is watched here."""

__all__ = ["wire"]

import codecs
import logging
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO, cast

from forethought.configured import Configured, Transport
from forethought.servers.lengths import BYTES, Events, Message

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import Transport as Wire
    from mcp.client._transport import TransportStreams

_LINES = "forethought-lines"
"""An encoding: UTF-8, of which only whole lines are handed on."""
_TOO_LONG: ContextVar[Callable[[str], None]] = ContextVar("too_long")
"""What is told why a line of this connection is too long."""


def wire(server: Configured, kind: Transport, inherited: Mapping[str, str], too_long: Callable[[str], None]) -> "Wire":
    """The way to a server. A program that is started sees the `inherited` variables and its own. Where a server sends a
    message that is `too_long`, which is told why, it is of no more use, and has to be left."""
    _TOO_LONG.set(too_long)
    logging.getLogger("mcp.client").setLevel(logging.CRITICAL)  # it logs what it cannot read, whole
    if kind == "stdio":
        return _started(server, inherited)
    return _sse(server, too_long) if kind == "sse" else _http(server, too_long)


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
    """What is handed on are whole lines: what comes before is kept in pieces, and not gone through again."""

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._pieces: list[bytes] = []
        self._message = Message()
        self._too_long: Callable[[str], None] | None = _TOO_LONG.get()

    def decode(self, input: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: A002 - its name there
        *ends, begun = bytes(input).split(b"\n")
        lines = b"".join(map(self._whole, [*ends[:1], *filter(_may_be_a_message, ends[1:])]))
        self._keep(begun)
        return lines.decode("utf-8", self.errors)

    def _whole(self, end: bytes) -> bytes:
        self._keep(end)
        line = b"".join([*self._pieces, b"\n"])
        self._pieces, self._message = [], Message()
        return line if _may_be_a_message(line) else b""

    def _keep(self, piece: bytes) -> None:
        if self._too_long is None:  # it is being left
            return
        self._pieces.append(piece)
        if why := self._message.add(piece):
            self._pieces.clear()
            self._too_long(why)
            self._too_long = None


def _may_be_a_message(line: bytes) -> bool:
    return line.lstrip().startswith(b"{")  # the SDK takes its time over what is none


@asynccontextmanager
async def _http(server: Configured, too_long: Callable[[str], None]) -> AsyncGenerator["TransportStreams"]:
    from mcp.client.streamable_http import streamable_http_client

    async with (
        _client(dict(server.headers), too_long) as http,
        streamable_http_client(server.url, http_client=http, max_sse_event_size=BYTES) as streams,
    ):
        yield streams


def _sse(server: Configured, too_long: Callable[[str], None]) -> "Wire":
    from mcp.client.sse import sse_client

    def made(headers: dict[str, str] | None = None, *_: object, **__: object) -> "httpx2.AsyncClient":
        return _client(headers or {}, too_long)

    return sse_client(server.url, headers=dict(server.headers), httpx_client_factory=made)


def _client(headers: dict[str, str], too_long: Callable[[str], None]) -> "httpx2.AsyncClient":
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """The body of an answer."""

        def __init__(self, stream: httpx2.AsyncByteStream, messages: Message | Events) -> None:
            self._stream = stream
            self._messages = messages

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._stream:
                if why := self._messages.add(piece):
                    too_long(why)
                    raise httpx2.ReadError(f"it has sent {why}")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: httpx2.Response) -> None:
        packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        if packed:  # it could become any size
            raise httpx2.ReadError("it has packed its answer, though asked not to")
        response.encoding = "utf-8"  # whatever it says: it could write what it sends so that it looks shorter
        many = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        stream = cast("httpx2.AsyncByteStream", response.stream)
        response.stream = Bounded(stream, Events() if many else Message())

    return httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(30, read=300),
        event_hooks={"response": [bound]},
    )
