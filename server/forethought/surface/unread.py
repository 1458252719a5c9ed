"""A message that cannot be read is answered. The SDK drops it, and its sender would wait for ever."""

__all__ = ["answering"]

import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, CallToolResult, ErrorData, JSONRPCError, JSONRPCResponse, TextContent
from pydantic import ValidationError

if TYPE_CHECKING:
    from forethought_tools import JSON  # loading it takes longer than the first answer may

_WHY = "The message holds half of a character (a lone surrogate), or is no request. Write it anew, and send it again."


async def answering(
    read: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]
) -> AsyncGenerator[SessionMessage | Exception]:
    """The messages of a client, save those that are answered here, since nobody else can."""
    async for message in read:
        if isinstance(message, ValidationError) and (answer := _answer_to(message)):
            await write.send(answer)
        else:
            yield message


def _answer_to(error: ValidationError) -> SessionMessage | None:
    """The answer to a request that was read as this error; none, where nobody waits for one."""
    try:
        request: JSON = json.loads(str(error.errors()[0]["input"]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, Mapping) or "method" not in request:
        return None
    number = request.get("id")
    if isinstance(number, bool) or not isinstance(number, int | str):
        return None
    if request["method"] != "tools/call":
        refused = ErrorData(code=INVALID_REQUEST, message=_WHY)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=number, error=refused))
    view = {"status": "error", "error": _WHY, "next": "the same call again, in whole characters"}
    result = CallToolResult(content=[TextContent(type="text", text=_WHY)], structured_content=view, is_error=True)
    body = result.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"result_type"})
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=number, result=body))
