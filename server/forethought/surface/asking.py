"""A person is asked about a gate by a form, and what they say is taken: within one call, or after it."""

__all__ = ["Asking", "can_ask", "can_open", "client_name"]

import json
import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import cast

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestFormParams, ElicitResult
from mcp_types.version import is_version_at_least

from forethought.app import App
from forethought.gates.decisions import Recorded, Refused, take_decision
from forethought.gates.forms import form, gate_text
from forethought.gates.together import form_of_many, read_many, rejectable, rejects_run, text_of_many
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow
from forethought_tools import JSON, AnswerError
from forethought_tools.visible import visible

logger = logging.getLogger(__name__)

_SETTLE = 0.02  # seconds in which changes count as one
_EDITS = 8  # times that one form is shown again because an edit was refused


class Asking:
    """Asks for one call of a client."""

    def __init__(self, ctx: Context[App], app: App) -> None:
        self._ctx = ctx
        self._app = app
        self._runs = app.runs
        self._faults: dict[str, str] = {}  # what was wrong with edits, by gate: those are asked about again

    def show(self, gates: Sequence[MessageRow]) -> None:
        """Put gates before the person, in one form, unless they have them already. Nobody waits here."""
        keys, run = [self._key(gate.id) for gate in gates], gates[0].run
        self._app.forms.show(keys, lambda: self._until_settled(gates), lambda: self._runs.watchers.wake(run))

    def is_open(self, gate_id: str) -> bool:
        """Whether the person has a form of this gate before them, in this client."""
        return self._app.forms.is_open(self._key(gate_id))

    def params(self, gates: Sequence[MessageRow]) -> ElicitRequestFormParams:
        """What a client is to show of gates."""
        gate, *more = gates
        if more:
            text = text_of_many(gates, self._runs.queries.run(gate.run))
            waiting = len(self._rejectable(gate.run))
            asked = form_of_many(waiting if waiting > len(gates) else 0)
            return ElicitRequestFormParams(message=text, requested_schema=asked)
        text = gate_text(gate, self._runs.queries.run(gate.run))
        faults = "\n".join(map(visible, self._faults.get(gate.id, "").splitlines()))
        message = f"{faults}\n\n{text}" if faults else text
        return ElicitRequestFormParams(message=message, requested_schema=form(gate_of(gate)))

    async def decide(self, gates: Sequence[MessageRow], answer: ElicitResult) -> bool:
        """What a form about these gates says is decided, for each apart. Returns whether the person is to be asked
        again, because they have edited and the edit was refused."""
        if len(gates) == 1:
            return await self._decide(gates[0], answer)
        content: Mapping[str, JSON] = (answer.content or {}) if answer.action == "accept" else {}
        try:
            if rejected := rejects_run(content):
                said = [(gate, rejected) for gate in self._rejectable(gates[0].run)]
            else:
                said = [(gates[number - 1], filled) for number, filled in read_many(content, len(gates)).items()]
        except AnswerError as error:
            logger.info("the gates stay open: %s", error)
            return False
        for gate, filled in said:
            await self._decide(gate, answer.model_copy(update={"content": filled}))
        return False

    def _rejectable(self, run: str) -> Sequence[MessageRow]:
        return rejectable(self._runs.queries.open_messages(run, "gate"))

    async def _decide(self, gate: MessageRow, answer: ElicitResult) -> bool:
        """Approval takes an accepted form that says so. A dismissed or malformed one leaves the gate open.

        Returns whether the person is to be asked again, because they have edited and the edit was refused.
        """
        if answer.action != "accept":
            return False
        content = cast("Mapping[str, JSON]", answer.content or {})
        taken = await take_decision(
            gate, content, by=_client(self._ctx), channel="elicitation", record=self._runs.decide
        )
        if isinstance(taken, Refused):
            logger.info("gate %s stays open: %s", gate.id, taken.error)
            self._faults[gate.id] = str(taken.error)
            return content.get("decision") == "edit"
        if not isinstance(taken, Recorded):
            logger.info("gate %s was decided before", gate.id)
        return False

    async def _until_settled(self, gates: Sequence[MessageRow]) -> None:
        for _ in range(_EDITS):
            answer = await self._answer(gates)
            if answer is None or not await self.decide(gates, answer):
                return

    async def _answer(self, gates: Sequence[MessageRow]) -> ElicitResult | None:
        """What the person says; nothing where the client cannot ask, or the question was taken back."""
        answer: ElicitResult | None = None
        asked = self.params(gates)
        session = self._ctx.session
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._take_back, gates, tasks.cancel_scope)
            try:
                answer = await session.elicit_form(
                    message=asked.message,
                    requested_schema=asked.requested_schema,
                    # A call that has returned has no channel of its own any more.
                    related_request_id=self._ctx.request_context.request_id if session.can_send_request else None,
                )
            except MCPError as error:
                logger.info("the client could not ask: %s", error)
            tasks.cancel_scope.cancel()
        return answer

    async def _take_back(self, gates: Sequence[MessageRow], scope: anyio.CancelScope) -> None:
        """Close the form of gates that were decided elsewhere, or whose run has ended."""
        ids, run = {gate.id for gate in gates}, gates[0].run
        while ids & self._runs.queries.open_ids(run, "gate"):
            await self._runs.watchers.changed(run, self._app.settings.heartbeat)
            await anyio.sleep(_SETTLE)
        scope.cancel()

    def _key(self, gate_id: str) -> Hashable:
        return id(self._ctx.session.client_params), gate_id  # one object for each connection


def can_ask(ctx: Context[App]) -> bool:
    """Whether this client has said that it can put a form before a person."""
    capability = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    if capability is None or (capability.form is None and capability.url is not None):
        return False
    return is_version_at_least(ctx.protocol_version or "", "2026-07-28") or ctx.session.can_send_request


def can_open(ctx: Context[App]) -> bool:
    """Whether this client can have a person open an address."""
    capability = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    if capability is None or capability.url is None:
        return False
    return is_version_at_least(ctx.protocol_version or "", "2026-07-28") or ctx.session.can_send_request


def client_name(ctx: Context[App]) -> str:
    """What the client calls itself; empty where it does not say."""
    params = ctx.session.client_params
    return params.client_info.name if params else ""


def _client(ctx: Context[App]) -> str:
    params = ctx.session.client_params
    return json.dumps(f"{params.client_info.name} {params.client_info.version}")[1:-1] if params else "unknown client"
