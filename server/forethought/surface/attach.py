"""A tool call attaches to a run: it relays progress, has the person asked, and returns when the run ends,
needs someone, or has been silent for a while. The run itself never depends on the call.

Two protocol eras ask differently: up to 2025-11-25 the server asks in the middle of the call, from 2026-07-28 on the
call returns the questions and the client calls again with the answers.
"""

__all__ = ["attach"]

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
)
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

from forethought.app import App
from forethought.engine.deaths import died_twice
from forethought.engine.kinds import kind_of
from forethought.engine.kinds.look import View
from forethought.engine.views import run_view
from forethought.gates.decisions import Recorded, Refused, take_decision
from forethought.gates.forms import form, gate_text
from forethought.journal.codec import gate_of
from forethought.journal.rows import OPEN, MessageRow, RunRow
from forethought_tools import JSON
from forethought_tools.visible import visible

logger = logging.getLogger(__name__)

_OPEN = (
    "A person must decide. Open this page on this machine; `forethought decide --code` in a terminal shows its code."
)
_ROUNDS = 8  # clients give up after ten
_LONG_PATIENCE = 600.0  # seconds for an answer where heartbeats keep the call open
_GATHER = 0.3  # seconds for more requests to open, so that they go out together
_QUIET = 2.0  # seconds without news after which the calling agent gets its orders: a round of it takes longer than that
_GATHER_ORDERS = 10.0  # seconds that it waits for more orders at the most
_SETTLE = 0.02  # seconds in which changes count as one
_REPORT = 0.25  # seconds between progress notices at the least: counting steps takes time where there are many


class _Round(BaseModel):
    """What a sealed request state holds: which run, which gates were asked, how often, and the progress told so far."""

    run: str
    asked: list[str]
    round: int
    progress: float


async def attach(ctx: Context[App], app: App, run_id: str) -> View | InputRequiredResult:
    """Stay with a run until there is something to say."""
    return await _Attached(ctx, app, run_id).stay()


def continued(ctx: Context[App]) -> str | None:
    """The run that a call is already about, if this is its next round: what it started is not started again."""
    return _Round.model_validate_json(ctx.request_state).run if ctx.request_state else None


class _Attached:
    def __init__(self, ctx: Context[App], app: App, run_id: str) -> None:
        self._ctx = ctx
        self._app = app
        self._runs = app.runs
        self._run_id = run_id
        self._progress = 0.0
        self._report_due = 0.0
        self._left: set[str] = set()  # gates that were shown in this call and not decided
        self._faults: dict[str, str] = {}  # what was wrong with edits, by gate: those are asked about again
        self._round = 0
        self._can_ask = _can_ask(ctx)
        self._by_url = not self._can_ask and _can_open(ctx)
        self._modern = is_version_at_least(ctx.protocol_version or "", "2026-07-28")
        self._wants_progress = bool(ctx.request_context.meta and "progress_token" in ctx.request_context.meta)
        # Without progress a client cuts the whole call off, however many questions there are in it.
        patience = _LONG_PATIENCE if self._wants_progress else app.settings.patience
        self._patient_until = anyio.current_time() + patience

    async def stay(self) -> View | InputRequiredResult:
        if self._ctx.request_state:
            await self._take_answers(_Round.model_validate_json(self._ctx.request_state))
        await self._runs.supervisor.ensure_driven(self._run_id)
        self._runs.supervisor.reachable(self._runs.queries.run(self._run_id))
        silent_since = anyio.current_time()
        while True:
            run = self._runs.queries.run(self._run_id)
            if run.state not in OPEN or died_twice(self._runs.queries, run):
                await self._report(run)
                return self._view(run)
            early = self._report_due - anyio.current_time()
            if early <= 0:
                await self._report(run)
            if self._runs.queries.open_ids(run.id):
                await self._gather()
                if not self._runs.queries.open_ids(run.id):
                    continue  # answered meanwhile, elsewhere
                # The calling agent's own work comes first: a person may take an hour, and must hold up nobody.
                gates = [] if self._runs.queries.open_ids(run.id, "order") else self._askable()
                if gates and self._round < _ROUNDS and self._modern:
                    return await self._questions(gates)
                if gates and self._round < _ROUNDS and anyio.current_time() < self._patient_until:
                    await self._ask_now(gates)
                    continue
                if not (self._by_url and self._left & self._runs.queries.open_ids(run.id)):
                    return self._view(self._runs.queries.run(run.id))
            left = silent_since + self._app.settings.silence - anyio.current_time()
            if self._wants_progress:
                left = self._app.settings.heartbeat
            elif left <= 0:
                return self._view(run)
            if await self._runs.watchers.changed(run.id, min(left, early) if early > 0 else left):
                await anyio.sleep(_SETTLE)

    async def _gather(self) -> None:
        """Wait a moment for more requests to open, so that they go out together; not longer, whatever happens."""
        orders = self._runs.queries.open_ids(self._run_id, "order")
        quiet, most = (_QUIET, _GATHER_ORDERS) if orders else (_GATHER, _GATHER)
        until = anyio.current_time() + most
        while self._runs.queries.run(self._run_id).state == "running" and (left := until - anyio.current_time()) > 0:
            if not await self._runs.watchers.changed(self._run_id, min(left, quiet)):
                return
            await anyio.sleep(_SETTLE)

    def _askable(self) -> list[MessageRow]:
        """Open gates that were not shown in this call and that a form can show in full; a page can show them all."""
        gates = [gate for gate in self._runs.queries.open_messages(self._run_id, "gate") if gate.id not in self._left]
        if self._by_url:
            return gates if not self._left else []  # one page for all of them, opened once
        return [message for message in gates if gate_of(message).fits_a_form] if self._can_ask else []

    def _view(self, run: RunRow) -> View:
        return run_view(self._runs.records, run)

    async def _report(self, run: RunRow) -> None:
        """Progress must grow with every notice, and a heartbeat counts as one."""
        self._report_due = anyio.current_time() + _REPORT
        so_far = kind_of(run).progress(self._runs.queries, run)
        self._progress = max(float(so_far.done), self._progress + 0.001)
        text = "; ".join(filter(None, (so_far.text, self._runs.watchers.writing(run.id))))
        await self._ctx.report_progress(self._progress, float(so_far.total) or None, text)

    # Until 2025-11-25: ask in the middle of the call

    async def _ask_now(self, gates: Sequence[MessageRow]) -> None:
        self._round += 1
        self._left.update(gate.id for gate in gates)
        if self._by_url:
            try:
                await self._ctx.elicit_url(_OPEN, await self._app.desk.url(), gates[0].id)
            except MCPError as error:
                logger.info("the client could not open the page: %s", error)
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._heartbeat)
            async with anyio.create_task_group() as asking:
                scopes = {gate.id: anyio.CancelScope() for gate in gates}
                for gate in gates:
                    asking.start_soon(self._ask_one, gate, scopes[gate.id])
                tasks.start_soon(self._withdraw, scopes)
            tasks.cancel_scope.cancel()

    async def _withdraw(self, scopes: Mapping[str, anyio.CancelScope]) -> None:
        """Take back questions that were decided elsewhere, and all of them once the calling agent itself has work."""
        while True:
            await self._runs.watchers.changed(self._run_id, self._app.settings.heartbeat)
            open_ids = self._runs.queries.open_ids(self._run_id)
            busy = bool(self._runs.queries.open_ids(self._run_id, "order"))
            for gate_id, scope in scopes.items():
                if busy or gate_id not in open_ids:
                    scope.cancel()
            await anyio.sleep(_SETTLE)

    async def _ask_one(self, gate: MessageRow, scope: anyio.CancelScope) -> None:
        with scope, anyio.CancelScope(deadline=self._patient_until):
            try:
                answer = await self._ctx.session.elicit_form(
                    message=self._text(gate),
                    requested_schema=form(gate_of(gate)),
                    related_request_id=self._ctx.request_context.request_id,
                )
            except MCPError as error:
                logger.info("the client could not ask: %s", error)
            else:
                await self._decide(gate, answer)

    async def _heartbeat(self) -> None:
        while True:
            await anyio.sleep(self._app.settings.heartbeat)
            await self._report(self._runs.queries.run(self._run_id))

    # From 2026-07-28 on: return the questions, be called again with the answers

    async def _questions(self, gates: Sequence[MessageRow]) -> InputRequiredResult:
        state = _Round(
            run=self._run_id, asked=[gate.id for gate in gates], round=self._round + 1, progress=self._progress
        )
        if self._by_url:
            opened = ElicitRequestURLParams(message=_OPEN, url=await self._app.desk.url())
            asked: dict[str, InputRequest] = {gates[0].id: ElicitRequest(params=opened)}
        else:
            asked = {
                gate.id: ElicitRequest(
                    params=ElicitRequestFormParams(message=self._text(gate), requested_schema=form(gate_of(gate)))
                )
                for gate in gates
            }
        return InputRequiredResult(input_requests=asked, request_state=state.model_dump_json())

    async def _take_answers(self, state: _Round) -> None:
        """Only what this very call was sealed to ask counts; anything else changes nothing."""
        self._round, self._progress = state.round, state.progress
        self._left.update(state.asked)
        if state.run != self._run_id:
            return
        responses: Mapping[str, Any] = self._ctx.input_responses or {}
        for gate in self._runs.queries.open_messages(self._run_id, "gate"):
            answer = responses.get(gate.id)
            if gate.id in state.asked and isinstance(answer, ElicitResult):
                await self._decide(gate, answer)

    # Both

    async def _decide(self, message: MessageRow, answer: ElicitResult) -> None:
        """Approval takes an accepted form that says so. A dismissed or malformed one leaves the gate open."""
        if answer.action != "accept" or self._by_url:
            return  # having opened the page decides nothing
        content = cast("Mapping[str, JSON]", answer.content or {})
        taken = await take_decision(
            message, content, by=_client(self._ctx), channel="elicitation", record=self._runs.decide
        )
        if isinstance(taken, Refused):
            logger.info("gate %s stays open: %s", message.id, taken.error)
            if content.get("decision") == "edit":
                self._faults[message.id] = str(taken.error)
                self._left.discard(message.id)
        elif not isinstance(taken, Recorded):
            logger.info("gate %s was decided before", message.id)

    def _text(self, message: MessageRow) -> str:
        text = gate_text(message, self._runs.queries.run(message.run))
        faults = "\n".join(map(visible, self._faults.get(message.id, "").splitlines()))
        return f"{faults}\n\n{text}" if faults else text


def _can_ask(ctx: Context[App]) -> bool:
    """Whether this client has said that it can put a form before a person."""
    capability = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    if capability is None or (capability.form is None and capability.url is not None):
        return False
    return is_version_at_least(ctx.protocol_version or "", "2026-07-28") or ctx.session.can_send_request


def _can_open(ctx: Context[App]) -> bool:
    """Whether this client can have a person open an address."""
    capability = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    if capability is None or capability.url is None:
        return False
    return is_version_at_least(ctx.protocol_version or "", "2026-07-28") or ctx.session.can_send_request


def _client(ctx: Context[App]) -> str:
    params = ctx.session.client_params
    return json.dumps(f"{params.client_info.name} {params.client_info.version}")[1:-1] if params else "unknown client"
