"""A tool call attaches to a run: it relays progress, has the person asked, and returns when the run ends,
needs someone, or has been silent for a while. The run itself never depends on the call.

Two protocol eras ask differently: up to 2025-11-25 the server asks in the middle of the call, from 2026-07-28 on the
call returns the questions and the client calls again with the answers.
"""

__all__ = ["attach", "continued"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestURLParams, ElicitResult, InputRequest, InputRequiredResult
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

from forethought.app import App
from forethought.engine.deaths import died_twice
from forethought.engine.kinds import kind_of
from forethought.engine.kinds.look import View
from forethought.engine.views import run_view
from forethought.gates.together import together
from forethought.journal.codec import gate_of
from forethought.journal.rows import OPEN, MessageRow, RunRow
from forethought.surface.asking import Asking, can_ask, can_open
from forethought.surface.orders import taker_of

logger = logging.getLogger(__name__)

_OPEN = (
    "A person must decide. Open this page on this machine; `forethought decide --code` in a terminal shows its code."
)
_TOGETHER = 20  # like questions in one form
_ROOM = 5000  # characters of all of them
_ROUNDS = 8  # clients give up after ten
_GATHER = 0.3  # seconds for more requests to open, so that they go out together
_QUIET = 2.0  # seconds without news after which the calling agent gets its orders: a round of it takes longer than that
_GATHER_ORDERS = 10.0  # seconds that it waits for more orders at the most
_SETTLE = 0.02  # seconds in which changes count as one
_REPORT = 0.25  # seconds between progress notices at the least: counting steps takes time where there are many


class _Round(BaseModel):
    """What a sealed request state holds: which run, which gates were asked, how often, and the progress told so far."""

    run: str
    asked: list[list[str]]
    """The ids of the gates that each form is about."""
    round: int
    progress: float


async def attach(ctx: Context[App], app: App, run_id: str, take: int | None = None) -> View | InputRequiredResult:
    """Stay with a run until there is something to say. Its client takes the work that nobody does, or so much of it."""
    return await _Attached(ctx, app, run_id, take).stay()


def continued(ctx: Context[App]) -> str | None:
    """The run that a call is already about, if this is its next round: what it started is not started again."""
    return _Round.model_validate_json(ctx.request_state).run if ctx.request_state else None


class _Attached:
    def __init__(self, ctx: Context[App], app: App, run_id: str, take: int | None) -> None:
        self._ctx = ctx
        self._taker = taker_of(ctx)
        self._take = take
        self._app = app
        self._runs = app.runs
        self._run_id = run_id
        self._progress = 0.0
        self._report_due = 0.0
        self._left: set[str] = set()  # gates that were shown in this call and not decided
        self._asking = Asking(ctx, app)
        self._round = 0
        self._can_ask = can_ask(ctx)
        self._by_url = not self._can_ask and can_open(ctx)
        self._modern = is_version_at_least(ctx.protocol_version or "", "2026-07-28")
        self._wants_progress = bool(ctx.request_context.meta and "progress_token" in ctx.request_context.meta)
        self._heard = anyio.current_time()  # when the client has heard of this call last
        self._latest = self._heard + app.settings.longest_call  # clients give up, whatever they hear

    async def stay(self) -> View | InputRequiredResult:
        if self._ctx.request_state:
            await self._take_answers(_Round.model_validate_json(self._ctx.request_state))
        await self._runs.supervisor.ensure_driven(self._run_id)
        self._runs.supervisor.reachable(self._runs.queries.run(self._run_id))
        while True:
            run = self._runs.queries.run(self._run_id)
            if run.state not in OPEN or died_twice(self._runs.queries, run):
                await self._report(run)
                return await self._view()
            if self._silent_until() <= anyio.current_time():
                return await self._view()
            early = self._report_due - anyio.current_time()
            if early <= 0:
                await self._report(run)
            if self._within_reach():
                await self._gather()
                if not self._within_reach():
                    continue  # answered meanwhile, elsewhere
                # The calling agent's own work comes first: a person may take an hour, and must hold up nobody.
                busy = bool(self._runs.within_reach(run.id, self._taker))
                gates = [] if busy else self._askable()
                if gates and self._round < _ROUNDS and self._modern:
                    return await self._questions(gates)
                if gates and self._round < _ROUNDS:
                    await self._ask_now(gates)
                if not self._person_is_asked(busy):
                    if not self._within_reach():
                        continue  # the last of it was answered between two looks
                    return await self._view()
            left = self._silent_until() - anyio.current_time()
            # What others do not report in time is free without news.
            looks = self._wants_progress or self._runs.queries.open_ids(run.id, "order")
            left = min(left, self._app.settings.heartbeat) if looks else left
            if await self._runs.watchers.changed(run.id, min(left, early) if early > 0 else left):
                await anyio.sleep(_SETTLE)

    def _silent_until(self) -> float:
        """When the call returns unless its client hears of it before; a form is something to hear."""
        if self._person_is_asked(busy=False):
            return self._latest
        return min(self._latest, self._heard + self._app.settings.silence)

    def _person_is_asked(self, busy: bool) -> bool:
        """Whether somebody has one of the open gates before them in this client, and the calling agent can wait."""
        gates = self._runs.queries.open_ids(self._run_id, "gate")
        if self._by_url:
            return bool(self._left & gates)
        return not busy and any(map(self._asking.is_open, gates))

    async def _gather(self) -> None:
        """Wait a moment for more requests to open, so that they go out together; not longer, whatever happens."""
        orders = self._runs.queries.open_ids(self._run_id, "order")
        quiet, most = (_QUIET, _GATHER_ORDERS) if orders else (_GATHER, _GATHER)
        until = min(anyio.current_time() + most, self._latest)
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

    def _within_reach(self) -> set[str]:
        """What is open and may be shown here: gates, and the orders that no other client is at work on."""
        gates = self._runs.queries.open_ids(self._run_id, "gate")
        return gates | self._runs.within_reach(self._run_id, self._taker)

    async def _view(self) -> View:
        await self._runs.take(self._run_id, self._taker, self._take)
        return run_view(self._runs.records, self._runs.queries.run(self._run_id), reader=self._taker.id)

    async def _report(self, run: RunRow) -> None:
        """Progress must grow with every notice, and a heartbeat counts as one."""
        self._report_due = anyio.current_time() + _REPORT
        so_far = kind_of(run).progress(self._runs.queries, run)
        self._progress = max(float(so_far.done), self._progress + 0.001)
        text = "; ".join(filter(None, (so_far.text, self._runs.watchers.writing(run.id))))
        await self._ctx.report_progress(self._progress, float(so_far.total) or None, text)
        if self._wants_progress:
            self._heard = anyio.current_time()

    # Until 2025-11-25: ask in the middle of the call

    async def _ask_now(self, gates: Sequence[MessageRow]) -> None:
        self._round += 1
        self._left.update(gate.id for gate in gates)
        if not self._by_url:
            fresh = [gate for gate in gates if not self._asking.is_open(gate.id)]
            for group in together(fresh, most=_TOGETHER, room=_ROOM):
                self._asking.show(group)
            return
        with anyio.CancelScope(deadline=self._latest):
            try:
                await self._ctx.elicit_url(_OPEN, await self._app.desk.url(), gates[0].id)
            except MCPError as error:
                logger.info("the client could not open the page: %s", error)

    # From 2026-07-28 on: return the questions, be called again with the answers

    async def _questions(self, gates: Sequence[MessageRow]) -> InputRequiredResult:
        groups = [gates] if self._by_url else together(gates, most=_TOGETHER, room=_ROOM)
        ids = [[gate.id for gate in group] for group in groups]
        state = _Round(run=self._run_id, asked=ids, round=self._round + 1, progress=self._progress)
        if self._by_url:
            opened = ElicitRequestURLParams(message=_OPEN, url=await self._app.desk.url())
            asked: dict[str, InputRequest] = {gates[0].id: ElicitRequest(params=opened)}
        else:
            asked = {group[0].id: ElicitRequest(params=self._asking.params(group)) for group in groups}
        return InputRequiredResult(input_requests=asked, request_state=state.model_dump_json())

    async def _take_answers(self, state: _Round) -> None:
        """Only what this very call was sealed to ask counts; anything else changes nothing."""
        self._round, self._progress = state.round, state.progress
        self._left.update(gate for group in state.asked for gate in group)
        if state.run != self._run_id:
            return
        responses: Mapping[str, Any] = self._ctx.input_responses or {}
        for ids in state.asked:
            answer = responses.get(ids[0])
            if not isinstance(answer, ElicitResult) or self._by_url:
                continue  # having opened the page decides nothing
            gates = [self._runs.queries.message(gate) for gate in ids]
            if await self._asking.decide(gates, answer):
                self._left.discard(ids[0])
