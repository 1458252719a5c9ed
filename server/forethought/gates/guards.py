"""What reaches the page, and what does not: foreign addresses, foreign forms, and requests that lead nowhere."""

__all__ = ["HANDLERS", "Guarded", "form_of"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from forethought.gates.markup import HEADERS, notice_page
from forethought_tools import ForethoughtError

logger = logging.getLogger(__name__)

_BODY = 64 * 1024
_FIELDS = 200  # a list of questions has a box for each
_SENDING = 1.0  # seconds in which a form must have come whole: shorter than the server waits when it ends


class Guarded:
    """Answers to the page's own addresses only, and gives every answer the headers that keep other sites out.

    Starlette's TrustedHostMiddleware would not do: it looks at names only, and this page is known by its port as well.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        # A foreign name that leads here (DNS rebinding) would make another site's scripts count as ours.
        is_ours = Headers(scope=scope).get("host") in self._hosts
        await (self._app if is_ours else _WRONG_ADDRESS)(scope, receive, send_guarded)


_WRONG_ADDRESS = notice_page("This page has another address", "Open it as the terminal shows it.", 421)


async def _no_route(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    title = "There is nothing here" if error.status_code == 404 else "This cannot be done here"
    text = "The terminal shows the address of what waits."
    return notice_page(title, text, error.status_code, headers=error.headers)


async def _nobody_listens(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=400)  # it goes nowhere: the client has left in the middle of its request


async def _failed(request: Request, error: Exception) -> Response:
    del request
    logger.error("the page could not answer: %s", error)
    return notice_page("This could not be done", str(error), 500)


async def form_of(request: Request) -> dict[str, str] | Response:
    """The fields of a form of ours, or why they are not taken."""
    if _is_foreign(request):
        return notice_page("Not recorded", "This form was sent from another site. Decide on this page.", 403)
    given = await _read(request)
    if given is None:
        return notice_page("Not recorded", "What was sent is not a form of this page, or too long.", 400)
    return given


async def _read(request: Request) -> dict[str, str] | None:
    """The fields of a form, or None where the body is too long, too slow, no form, or holds a field twice."""
    body = b""
    with anyio.move_on_after(_SENDING) as sending:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY:
                return None
    if sending.cancelled_caught:
        return None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_FIELDS)
    except ValueError:
        return None
    given = dict(pairs)
    return given if len(given) == len(pairs) else None


def _is_foreign(request: Request) -> bool:
    own = f"http://{request.headers['host']}"
    origins, referers = request.headers.getlist("origin"), request.headers.getlist("referer")
    return any(origin != own for origin in origins) or not all(referer.startswith(f"{own}/") for referer in referers)


HANDLERS: Mapping[Any, ExceptionHandler] = {
    HTTPException: _no_route,
    ClientDisconnect: _nobody_listens,
    ForethoughtError: _failed,
}
"""What is answered where a request leads nowhere."""
