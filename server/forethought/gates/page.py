"""A page on this machine where a person decides about what waits.

Whoever is on this machine can reach it, other users and programs which a model runs included. So its address cannot be
guessed, it shows nothing before a code was given that only the terminal shows, and each decision takes such a code,
once; and no other site can show this page, read it or fill in its forms.
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
from dataclasses import dataclass
from html import escape
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from forethought.gates.decisions import OVERTAKEN, TOO_LATE, Record, Recorded, Refused, take_decision
from forethought.gates.forms import filled_in, form, gate_text
from forethought.gates.guards import HANDLERS, Guarded, form_of
from forethought.gates.listing import list_page, meant
from forethought.gates.markup import CODE, HOME, fields_of, notice_page, page_of
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow
from forethought.journal.store import Store
from forethought_tools import JSON
from forethought_tools.visible import visible

logger = logging.getLogger(__name__)

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 or O, no 1, I or L, no U beside V
_CODE = 8
_PATIENCE = 5  # wrong codes of one sender until the next one has to wait
_PAUSE = 30.0  # seconds of the first wait; each further one is twice as long
_MOST_WRONG = 20  # wrong codes, whoever sends them, until the page moves
_COOKIE = "session"
_STAY = 12 * 3600.0  # seconds for which a browser that was let in may look
_IDLE = 60  # seconds until an idle connection is closed: who sends codes is told apart by it
_LOOK = 1.0  # seconds between looks whether somebody has decided elsewhere


@dataclass
class _Sender:
    """Who sends codes: a connection, or a browser that a right one has let in."""

    place: str = ""
    since: float = 0.0
    wrong: int = 0
    locked_until: float = 0.0

    def missed(self, now: float) -> None:
        """Another wrong code: after some, the sender has to wait, and nobody else."""
        self.wrong += 1
        if self.wrong % _PATIENCE == 0:
            self.locked_until = now + _PAUSE * 2 ** (self.wrong // _PATIENCE - 1)


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
        """`show_code` shows the page's address, which may have changed, and a fresh code to the person, and to nobody
        else. A question has to be answered within `seconds` after it was shown."""
        self._store = store
        self._waiting = waiting
        self._record = record
        self._show_code = show_code
        self._seconds = seconds
        self._clock = clock  # not a monotonic one: those stand still while a laptop sleeps
        self._key = secrets.token_bytes(32)
        self._code = ""
        self._origin = ""
        self._place = _new_place()
        self._sessions: dict[str, _Sender] = {}
        self._strangers: dict[tuple[str, int], _Sender] = {}
        self._wrong = 0
        self._deciding = anyio.Lock()  # of two forms with one code, the second comes after the code is void
        self._bell = anyio.Event()

    async def serve(self, *, task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until nothing waits any more. `task_status` gets the address once the page can be opened."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
            self._origin = f"http://{hosts[0]}"
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
                    timeout_keep_alive=_IDLE,
                    timeout_graceful_shutdown=2,
                )
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve_shielded, listener)
                try:
                    task_status.started(self._url)
                    while self._waiting():
                        if not self._code:
                            self._code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE))
                            self._show_code(self._url, f"{self._code[:4]}-{self._code[4:]}")
                        with anyio.move_on_after(_LOOK):
                            await self._bell.wait()
                        self._bell = anyio.Event()
                finally:
                    server.should_exit = True

    @property
    def _url(self) -> str:
        return f"{self._origin}/{self._place}/"

    # Requests

    def _app(self, hosts: Sequence[str]) -> ASGIApp:
        app = Starlette(
            routes=[
                Route("/{place}/", self._on_list, methods=["GET", "POST"]),
                Route("/{place}/many", self._on_many, methods=["POST"]),
                Route("/{place}/gate/{gate_id}", self._on_gate, methods=["GET", "POST"]),
            ],
            middleware=[Middleware(Guarded, hosts=hosts)],
            exception_handlers=HANDLERS,
        )
        app.router.redirect_slashes = False
        return app

    async def _on_list(self, request: Request) -> Response:
        session = self._session(request)
        if request.method == "POST":
            return await self._let_in(request)
        return self._list(session.place) if session else self._door(request)

    async def _on_gate(self, request: Request) -> Response:
        session, gate_id = self._session(request), str(request.path_params["gate_id"])
        if session is None:
            return self._door(request, 200 if request.method == "GET" else 403)
        if request.method == "POST":
            return await self._posted(request, session, gate_id)
        return self._question(session.place, gate_id)

    async def _on_many(self, request: Request) -> Response:
        """Several of the questions that the list has shown are decided with one code."""
        session = self._session(request)
        if session is None:
            return self._door(request, 403)
        given = await form_of(request)
        if isinstance(given, Response):
            return given
        code, listed = _code_in(given), given.pop("listed", "")
        shown = self._shown(f"many {listed}", given.pop("token", ""))
        if shown is None:
            return notice_page("Not recorded", "This form is not from this page. Look at the list anew.", 403, HOME)
        if not 0 <= self._clock() - shown <= self._seconds:
            return self._list(session.place, fault=TOO_LATE, status=409)
        async with self._deciding:
            if refusal := self._refusal(code, session):
                return self._list(session.place, fault=refusal, status=403, given=given)
            return await self._take_many(session, listed.split(), given)

    async def _take_many(self, session: _Sender, listed: Sequence[str], given: Mapping[str, str]) -> Response:
        verb, which = meant(given, listed, self._waiting())
        if not which:
            fault = "Tick the questions that are meant, and choose what you decide."
            return self._list(session.place, fault=fault, status=422, given=given)
        why = {"reason": given["reason"]} if verb == "reject" and given.get("reason") else {}
        try:
            taken = [await self._decided(message, {"decision": verb, **why}) for message in which]
        finally:
            self._void()
        done = sum(isinstance(each, Recorded) for each in taken)
        return self._list(session.place, f"{verb}: {done} recorded.")

    async def _decided(self, message: MessageRow, filled: Mapping[str, JSON]) -> object:
        return await take_decision(message, filled, by="person at the page", channel="page", record=self._record)

    def _session(self, request: Request) -> _Sender | None:
        """The browser that was let in, if this request is its own. Raises HTTPException at an address that is none."""
        place = str(request.path_params["place"])
        session = self._sessions.get(request.cookies.get(_COOKIE, ""))
        if session and session.place == place and 0 <= self._clock() - session.since <= _STAY:
            return session
        if not hmac.compare_digest(place.encode(), self._place.encode()):
            raise HTTPException(404)
        return None

    async def _let_in(self, request: Request) -> Response:
        """A right code lets a browser look. It stays good for its one decision."""
        given = await form_of(request)
        if isinstance(given, Response):
            return given
        shown = self._shown("", given.pop("token", ""))
        if shown is None or not 0 <= self._clock() - shown <= self._seconds:
            return self._door(request, 403, "This form is not from this page, or too old. Give the code here.")
        stranger = (request.client.host, request.client.port) if request.client else ("", 0)
        sender = self._strangers.get(stranger, _Sender())
        if refusal := self._refusal(_code_in(given), sender):
            if sender.wrong:
                self._strangers[stranger] = sender
            return self._door(request, 403, refusal)
        self._strangers.pop(stranger, None)
        session = secrets.token_urlsafe(32)
        self._sessions[session] = _Sender(self._place, self._clock())
        answer = RedirectResponse(f"/{self._place}/", 303)
        answer.set_cookie(_COOKIE, session, path=f"/{self._place}/", httponly=True, samesite="strict")
        return answer

    async def _posted(self, request: Request, session: _Sender, gate_id: str) -> Response:
        given = await form_of(request)
        if isinstance(given, Response):
            return given
        code, shown = _code_in(given), self._shown(gate_id, given.pop("token", ""))
        # Nothing of a form that is not ours is shown again: it could be what somebody else filled in.
        if shown is None:
            return notice_page("Not recorded", "This form is not from this page. Look at the question anew.", 403, HOME)
        if self._find(gate_id) is None:
            return _decided_meanwhile()
        if not 0 <= self._clock() - shown <= self._seconds:
            return self._question(session.place, gate_id, 409, [TOO_LATE], given)
        async with self._deciding:
            return await self._take(session, gate_id, code, given)

    async def _take(self, session: _Sender, gate_id: str, code: str, given: Mapping[str, str]) -> Response:
        message = self._find(gate_id)
        if message is None:
            return _decided_meanwhile()
        if refusal := self._refusal(code, session):
            return self._question(session.place, gate_id, 403, [refusal], given)
        filled = filled_in(form(gate_of(message), channel="page"), given)
        try:
            taken = await take_decision(message, filled, by="person at the page", channel="page", record=self._record)
        except BaseException:
            self._void()  # whether it was recorded is not known
            raise
        match taken:
            case Recorded(decision):
                self._void()
                notice = f"{decision.verb}: recorded. {visible(gate_of(message).subject)}"
                return self._list(session.place, notice)
            case Refused(error):
                return self._question(session.place, gate_id, 422, list(map(str, error.faults)), given)
            case _:
                return _decided_meanwhile()

    def _refusal(self, code: str, sender: _Sender) -> str:
        """Why a code is not taken; empty where it is. A sender has to wait after some wrong ones. Whoever pretends
        to be many is left behind at an address where nothing is any more."""
        if (left := sender.locked_until - self._clock()) > 0:
            return f"Too many wrong codes. Try again in {left:.0f} seconds."
        if not code:
            return "The code is missing. The terminal shows it."
        if self._code and hmac.compare_digest(code.encode(), self._code.encode()):
            return ""
        sender.missed(self._clock())
        self._wrong += 1
        logger.warning("a wrong code was given on the page, %d of at most %d", self._wrong, _MOST_WRONG)
        if self._wrong >= _MOST_WRONG:
            self._move()
        return "This is not the code. The terminal shows the one that is good now."

    def _move(self) -> None:
        """Go on at another address, which only the person is shown. Who was let in already may stay where they are."""
        logger.warning("too many wrong codes: the page has a new address, which the terminal shows")
        self._place = _new_place()
        self._wrong = 0
        self._strangers.clear()
        self._void()

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

    def _door(self, request: Request, status: int = 200, fault: str = "") -> Response:
        """What is shown to whoever has not given a code: nothing but where to give it."""
        token = self._token("", str(int(self._clock())))
        return page_of(
            "The code, please",
            (f'<div class="wrong" role="alert">{escape(fault)}</div>' if fault else "")
            + f'<form method="post" action="/{escape(request.path_params["place"])}/" autocomplete="off">'
            f'<input type="hidden" name="token" value="{token}">{CODE}<button>Look at what waits</button></form>',
            status,
        )

    def _list(self, place: str, notice: str = "", **more: Any) -> Response:
        def token(ids: str) -> str:
            return self._token(f"many {ids}", str(int(self._clock())))

        return list_page(self._store.queries, self._waiting(), place, token, notice=notice, **more)

    def _question(
        self,
        place: str,
        gate_id: str,
        status: int = 200,
        faults: Sequence[str] = (),
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        message = self._find(gate_id)
        if message is None:
            return notice_page("This does not wait", "It was decided, or its run has ended, or never was.", 404, HOME)
        text = gate_text(message, self._store.queries.run(message.run))
        token = self._token(gate_id, str(int(self._clock())))
        wrong = "".join(f"<li>{escape(visible(fault))}</li>" for fault in faults)
        notice = f'<div class="wrong" role="alert"><b>Not recorded</b><ul>{wrong}</ul></div>' if faults else ""
        return page_of(
            "A person must decide",
            f'{notice}<pre>{escape(text)}</pre><form method="post" action="/{place}/gate/{gate_id}" autocomplete="off">'
            f'<input type="hidden" name="token" value="{token}">{fields_of(gate_of(message), typed or {})}'
            f"{CODE}<button>Record this decision</button></form>{HOME}",
            status,
        )


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # Ctrl-C belongs to whoever serves the page

    async def serve_shielded(self, listener: socket.socket) -> None:
        """Serve until `should_exit`, so that the last answer gets out though the page is cancelled."""
        with anyio.CancelScope(shield=True):
            await self.serve(sockets=[listener])


def _new_place() -> str:
    return secrets.token_urlsafe(24)


def _code_in(given: dict[str, str]) -> str:
    return re.sub(r"[\s-]", "", given.pop("code", "")).upper()


def _decided_meanwhile() -> Response:
    return notice_page("Not recorded", OVERTAKEN, 409, HOME)
