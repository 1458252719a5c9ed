"""A page on this machine where a person decides about what waits.

Whoever is on this machine can open it, and that includes programs which a model runs. So a decision takes a code
that only the terminal shows, once; and no other site can show this page, read it or fill in its forms.
"""

__all__ = ["Page"]

import hmac
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from urllib.parse import parse_qsl

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forethought.gates.decisions import OVERTAKEN, TOO_LATE, Record, Recorded, Refused, take_decision
from forethought.gates.forms import about, filled_in, form, gate_text
from forethought.gates.markup import HEADERS, fields_of, notice_page, page_of
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow
from forethought.journal.store import Store
from forethought_tools import ForethoughtError
from forethought_tools.visible import visible

logger = logging.getLogger(__name__)

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 or O, no 1, I or L, no U beside V
_CODE = 8
_PATIENCE = 5  # wrong codes until the next one has to wait
_PAUSE = 30.0  # seconds of the first wait; each further one is twice as long
_MOST_WRONG = 20
_BODY = 64 * 1024
_SENDING = 1.0  # seconds in which a form must have come whole: shorter than the server waits when it ends
_LOOK = 1.0  # seconds between looks whether somebody has decided elsewhere


class Page:
    """One page for all the gates that `waiting` returns. It is served once, and each code that it shows is good for one
    decision."""

    def __init__(
        self,
        store: Store,
        waiting: Callable[[], Sequence[MessageRow]],
        *,
        record: Record,
        show_code: Callable[[str, str], None],
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`show_code` shows the page's address and a fresh code to the person, and to nobody else. A question has to be
        answered within `seconds` after it was shown."""
        self._store = store
        self._waiting = waiting
        self._record = record
        self._show_code = show_code
        self._seconds = seconds
        self._clock = clock  # not a monotonic one: those stand still while a laptop sleeps
        self._key = secrets.token_bytes(32)
        self._code = ""
        self._wrong = 0
        self._locked_until = 0.0
        self._deciding = anyio.Lock()  # of two forms with one code, the second comes after the code is void
        self._bell = anyio.Event()

    async def serve(self, *, task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED) -> bool:
        """Serve until nothing waits any more, or too many wrong codes were given. Returns whether it was the former.

        `task_status` gets the address once the page can be opened.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
            url = f"http://{hosts[0]}/"
            server = _Server(
                uvicorn.Config(
                    self._app(hosts),
                    interface="asgi3",
                    http="h11",
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    proxy_headers=False,
                    server_header=False,
                    timeout_graceful_shutdown=2,
                )
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve_shielded, listener)
                try:
                    task_status.started(url)
                    while self._wrong < _MOST_WRONG and self._waiting():
                        if not self._code:
                            self._code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE))
                            self._show_code(url, f"{self._code[:4]}-{self._code[4:]}")
                        with anyio.move_on_after(_LOOK):
                            await self._bell.wait()
                        self._bell = anyio.Event()
                finally:
                    server.should_exit = True
        return self._wrong < _MOST_WRONG

    # Requests

    def _app(self, hosts: Sequence[str]) -> ASGIApp:
        app = Starlette(
            routes=[
                Route("/", self._on_list, methods=["GET"]),
                Route("/gate/{gate_id}", self._on_gate, methods=["GET", "POST"]),
            ],
            middleware=[Middleware(_Guarded, hosts=hosts)],
            exception_handlers={
                HTTPException: _no_route,
                ClientDisconnect: _nobody_listens,
                ForethoughtError: _failed,
            },
        )
        app.router.redirect_slashes = False
        return app

    async def _on_list(self, request: Request) -> Response:
        del request
        return self._list()

    async def _on_gate(self, request: Request) -> Response:
        gate_id: str = request.path_params["gate_id"]
        return await self._posted(request, gate_id) if request.method == "POST" else self._question(gate_id)

    async def _posted(self, request: Request, gate_id: str) -> Response:
        if _is_foreign(request):
            return notice_page("Not recorded", "This form was sent from another site. Decide on this page.", 403)
        given = await _read(request)
        if given is None:
            return notice_page("Not recorded", "What was sent is not a form of this page, or too long.", 400)
        code = re.sub(r"[\s-]", "", given.pop("code", "")).upper()
        shown = self._shown(gate_id, given.pop("token", ""))
        # Nothing of a form that is not ours is shown again: it could be what somebody else filled in.
        if shown is None:
            return notice_page("Not recorded", "This form is not from this page. Look at the question anew.", 403)
        if self._find(gate_id) is None:
            return _decided_meanwhile()
        if not 0 <= self._clock() - shown <= self._seconds:
            return self._question(gate_id, 409, [TOO_LATE], given)
        async with self._deciding:
            return await self._take(gate_id, code, given)

    async def _take(self, gate_id: str, code: str, given: Mapping[str, str]) -> Response:
        message = self._find(gate_id)
        if message is None:
            return _decided_meanwhile()
        if refusal := self._refusal(code):
            return self._question(gate_id, 403, [refusal], given)
        filled = filled_in(form(gate_of(message)), given)
        try:
            taken = await take_decision(message, filled, by="person at the page", channel="page", record=self._record)
        except BaseException:
            self._void()  # whether it was recorded is not known
            raise
        match taken:
            case Recorded(decision):
                self._void()
                return self._list(f"{decision.verb}: recorded. {visible(gate_of(message).subject)}")
            case Refused(error):
                return self._question(gate_id, 422, list(map(str, error.faults)), given)
            case _:
                return _decided_meanwhile()

    def _refusal(self, code: str) -> str:
        """Why a code is not taken; empty where it is. Wrong ones are counted for the whole page, because whoever
        sends them can pretend to be many."""
        if self._wrong >= _MOST_WRONG:
            return "Too many wrong codes: this page is closed."
        if (left := self._locked_until - self._clock()) > 0:
            return f"Too many wrong codes. Try again in {left:.0f} seconds."
        if not code:
            return "The code is missing. The terminal shows it."
        if hmac.compare_digest(code.encode(), self._code.encode()):
            return ""
        self._wrong += 1
        logger.warning("a wrong code was given on the page, %d of at most %d", self._wrong, _MOST_WRONG)
        if self._wrong >= _MOST_WRONG:
            self._void()
        elif self._wrong % _PATIENCE == 0:
            self._locked_until = self._clock() + _PAUSE * 2 ** (self._wrong // _PATIENCE - 1)
        return "This is not the code. The terminal shows the one that is good now."

    def _void(self) -> None:
        self._code = ""
        self._bell.set()

    # What is shown

    def _find(self, gate_id: str) -> MessageRow | None:
        return next((message for message in self._waiting() if message.id == gate_id), None)

    def _token(self, gate_id: str, shown: str) -> str:
        """Proof that this page showed this gate, and when."""
        return f"{shown}-{hmac.new(self._key, f'{shown} {gate_id}'.encode(), 'sha256').hexdigest()}"

    def _shown(self, gate_id: str, token: str) -> float | None:
        shown = token.partition("-")[0]
        return float(shown) if hmac.compare_digest(token.encode(), self._token(gate_id, shown).encode()) else None

    def _list(self, notice: str = "") -> Response:
        items = [
            f'<li><a href="/gate/{message.id}">{escape(visible(gate_of(message).subject))}</a>'
            f"<p>{escape(visible(about(self._store.queries.run(message.run))['Goal']))}</p></li>"
            for message in self._waiting()
        ]
        done = f'<p class="done" role="status">{escape(notice)}</p>' if notice else ""
        waits = f"<ul>{''.join(items)}</ul>" if items else "<p>You can close this page.</p>"
        waits += "<p>The terminal shows a new code.</p>" if items and notice else ""
        return page_of("A person must decide" if items else "Nothing waits any more", done + waits)

    def _question(
        self, gate_id: str, status: int = 200, faults: Sequence[str] = (), typed: Mapping[str, str] | None = None
    ) -> Response:
        message = self._find(gate_id)
        if message is None:
            return notice_page("This does not wait", "It was decided, or its run has ended, or never was.", 404)
        text = gate_text(message, self._store.queries.run(message.run))
        token = self._token(gate_id, str(int(self._clock())))
        wrong = "".join(f"<li>{escape(visible(fault))}</li>" for fault in faults)
        notice = f'<div class="wrong" role="alert"><b>Not recorded</b><ul>{wrong}</ul></div>' if faults else ""
        return page_of(
            "A person must decide",
            f'{notice}<pre>{escape(text)}</pre><form method="post" action="/gate/{gate_id}" autocomplete="off">'
            f'<input type="hidden" name="token" value="{token}">{fields_of(gate_of(message), typed or {})}'
            '<div><label for="code">Code</label><input id="code" name="code" required autocapitalize="characters"'
            ' spellcheck="false"><p>The terminal shows it. Type it only here: who has it can decide for you.</p></div>'
            '<button>Record this decision</button></form><p><a href="/">All that waits</a></p>',
            status,
        )


class _Guarded:
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
    return notice_page(title, "Look at what waits.", error.status_code, error.headers)


async def _nobody_listens(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=400)  # it goes nowhere: the client has left in the middle of its request


async def _failed(request: Request, error: Exception) -> Response:
    del request
    logger.error("the page could not answer: %s", error)
    return notice_page("This could not be done", str(error), 500)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # Ctrl-C belongs to whoever serves the page

    async def serve_shielded(self, listener: socket.socket) -> None:
        """Serve until `should_exit`, so that the last answer gets out though the page is cancelled."""
        with anyio.CancelScope(shield=True):
            await self.serve(sockets=[listener])


def _is_foreign(request: Request) -> bool:
    own = f"http://{request.headers['host']}"
    origins, referers = request.headers.getlist("origin"), request.headers.getlist("referer")
    return any(origin != own for origin in origins) or not all(referer.startswith(f"{own}/") for referer in referers)


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
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        return None
    given = dict(pairs)
    return given if len(given) == len(pairs) else None


def _decided_meanwhile() -> Response:
    return notice_page("Not recorded", OVERTAKEN, 409)
