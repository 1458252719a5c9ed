"""A run as it is looked at: the parts that clients are shown of every run, whatever its kind."""

__all__ = ["Look", "View"]

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from forethought.engine.deaths import ASIDE, died_twice
from forethought.engine.leases import is_work
from forethought.engine.orders import MOST, Told
from forethought.engine.records import Records, resuming
from forethought.journal.rows import OPEN, LeaseRow, MessageRow, RunRow
from forethought_patterns.budget import SOFT
from forethought_tools import JSON, Role
from forethought_tools.text import clipped
from forethought_tools.visible import one_line_json

View: TypeAlias = dict[str, JSON]
"""What a client is shown: structured, and the same facts as text (see `views.text_of`)."""

_MOST_WAITING = 50
_ARGUMENTS = 300  # characters


@dataclass(frozen=True)
class Look:
    """One run, and how much of it is to be shown."""

    records: Records
    run: RunRow
    watch: str
    """The call by which a client goes on watching."""
    after: "Callable[[Look], str]"
    """What a client can do once the run has ended."""
    steps: str = "brief"
    """How the steps of a plan are shown: `brief`, `list` or `full`."""
    page: int | None = 1
    """Which of them; none is all."""
    reader: str = ""
    """The taker who looks, if it is one: it is told the work that it has in full."""

    @property
    def is_open(self) -> bool:
        return self.run.state in OPEN

    @cached_property
    def waiting(self) -> Sequence[MessageRow]:
        """The open gates and orders, oldest first."""
        return self.records.queries.open_messages(self.run.id, limit=_MOST_WAITING) if self.is_open else []

    @cached_property
    def _leases(self) -> Mapping[str, LeaseRow]:
        return self.records.queries.leases(self.run.id)

    def _is_mine(self, message: MessageRow) -> bool:
        """Whether the reader can answer this."""
        lease = self._leases.get(message.id)
        return not is_work(message.key) or (lease is not None and lease.holder == self.reader)

    @cached_property
    def is_aside(self) -> bool:
        """Whether it waits for a person because its servers have died."""
        return died_twice(self.records.queries, self.run)

    def head(self, progress: str) -> View:
        """How far the run has come."""
        waits = self.run.state == "running" and (self.waiting or self.is_aside)
        status = "waiting" if waits else self.run.state
        return {"run_id": self.run.id, "status": status, "progress": progress}

    def trouble(self) -> View:
        """What is wrong, what is nearly spent, and who is waited for."""
        view: View = {"error": self.run.error[:2000]} if self.run.error else {}
        if self.is_aside:
            view["error"] = ASIDE
        if warnings := _nearly_spent(self.run):
            view["warnings"] = warnings
        if self.waiting:
            view["waiting_on"] = _waiting_on(self.run, self.waiting, Told(self._leases, self.reader))
        return view

    def tail(self) -> View:
        """What was spent, and what to do next: the call that a client can make, and the command that only a person
        can give."""
        person: View = {"for_a_person": command} if (command := self._command()) else {}
        return {**self.usage(), **person, "next": self._next()}

    def usage(self) -> View:
        """What the run has spent, with the making of its plan."""
        runs = [self.run, *self.records.plannings(self.run)]
        calls = sum(row.model_calls for row in runs)
        parts = [f"{sum(row.input_tokens for row in runs)} tokens in, {sum(row.output_tokens for row in runs)} out"]
        if dollars := sum(row.dollars for row in runs):
            parts.append(f"{dollars:.2g} dollars")
        if unpriced := sum(row.unpriced for row in runs):
            parts.append(f"{unpriced} calls of unknown price")
        return {"usage": f"model calls: {calls}, {', '.join(parts)}"} if calls else {}

    def _command(self) -> str:
        """What a person does in a terminal where nobody else can go on."""
        run = self.run
        if self.is_aside or run.state == "paused":
            return f"forethought resume {run.id}"
        if any(message.kind == "gate" for message in self.waiting):
            return f"forethought decide {run.id}"
        return "" if self._is_ours or run.state not in OPEN else f"forethought {resuming(run.id, run.folders)}"

    @property
    def _is_ours(self) -> bool:
        """Whether this server may drive it, or some server does."""
        run = self.run
        return list(run.folders) == self.records.folders or bool(run.owner and self.records.queries.alive(run.owner))

    def _next(self) -> str:
        run = self.run
        if run.stopping and run.ended is None:
            return f"{self.watch} waits until it has ended"
        if self.is_aside:
            return (
                f'stop(run_id="{run.id}") ends it. It may be what hung or killed its server, so only a person can'
                f" let it go on, in a terminal: `forethought resume {run.id}`. `forethought show {run.id} --journal`"
                f" tells more, `forethought cancel {run.id}` ends it there"
            )
        if orders := [message for message in self.waiting if message.kind == "order" and self._is_mine(message)]:
            planning = any(message.body.get("role") == Role.PLANNER for message in orders)
            details = ' (get_plan(view="tools") tells all of each tool)' if planning else ""
            together = ", all of them at once" if len(orders) > 1 else ""
            return (
                f'report(run_id="{run.id}", answers=[{{"order": id, "answer": value that fits the order\'s schema}}])'
                f" once you have done the orders in waiting_on yourself{together}{details}"
            )
        if any(message.kind == "gate" for message in self.waiting):
            return (
                f"{self.watch} goes on once a person has decided: only a person can. If this client does not ask them,"
                f" they can in a terminal: `forethought decide {run.id}`"
            )
        if self.waiting:
            return f"{self.watch} hands out the work that nobody has, and waits for what others do"
        return self._unless_ended() or self.after(self)

    def _unless_ended(self) -> str | None:
        """What to do while nobody is asked anything."""
        run = self.run
        if run.state in OPEN and not self._is_ours:
            return (
                f'{self.watch} goes on with a server that may use its folders; stop(run_id="{run.id}") ends it here.'
                " A person can go on with it in a terminal"
            )
        if run.state == "running":
            return f"{self.watch} waits for more"
        if run.state == "waiting":
            return f"{self.watch} goes on: it was answered"
        if run.state == "paused":
            return (
                f"{self.watch} goes on once a person has let it: they have paused it, and only they can, in a terminal:"
                f" `forethought resume {run.id}`"
            )
        return None


def _nearly_spent(run: RunRow) -> list[JSON]:
    spent: Mapping[str, float] = {
        "dollars": run.dollars,
        "tokens": run.input_tokens + run.output_tokens,
        "model_calls": run.model_calls,
        "tool_calls": run.tool_calls,
        "seconds": run.seconds,
    }
    return [
        f"{spent[measure]:.4g} of {limit:g} {measure.replace('_', ' ')} are spent"
        for measure, limit in run.budget.items()
        if spent[measure] >= SOFT * limit
    ]


def _waiting_on(run: RunRow, messages: Sequence[MessageRow], told: Told) -> list[JSON]:
    shown: list[JSON] = []
    room = MOST
    for message in messages:
        entry = _gate(run, message) if message.kind == "gate" else told.order(message)
        size = len(json.dumps(entry))
        if shown and size > room:
            shown.append("... and more, shown when these are answered")
            break
        room -= size
        shown.append(entry)
    return shown


def _gate(run: RunRow, message: MessageRow) -> View:
    body = message.body
    view: View = {"gate": message.id, "kind": body["kind"], "for_a_person": f"forethought decide {run.id}"}
    if body["kind"] not in ("call", "doubt"):
        return {**view, "what": body["subject"]}
    arguments = clipped(one_line_json(body["details"]), _ARGUMENTS)
    return {**view, "step": message.step, "tool": body["tool"], "arguments": arguments, "risk": body["risk"]}
