"""A run as it is looked at: the parts that clients are shown of every run, whatever its kind."""

__all__ = ["Look", "View"]

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from forethought.engine.deaths import ASIDE, died_twice
from forethought.engine.orders import Told
from forethought.engine.records import Records, resuming
from forethought.journal.rows import OPEN, MessageRow, RunRow
from forethought_patterns.budget import SOFT
from forethought_tools import JSON, Role
from forethought_tools.text import clipped
from forethought_tools.visible import one_line_json

View: TypeAlias = dict[str, JSON]
"""What a client is shown: structured, and the same facts as text (see `views.text_of`)."""

_MOST_WAITING = 50
_ORDER_CHARACTERS = 24_000  # of the orders that one answer holds
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

    @property
    def is_open(self) -> bool:
        return self.run.state in OPEN

    @cached_property
    def waiting(self) -> Sequence[MessageRow]:
        """The open gates and orders, oldest first."""
        return self.records.queries.open_messages(self.run.id, limit=_MOST_WAITING) if self.is_open else []

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
            view["waiting_on"] = _waiting_on(self.run, self.waiting)
        return view

    def tail(self) -> View:
        """What was spent, and what to do next."""
        return {**self.usage(), "next": self._next()}

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

    def _next(self) -> str:
        run = self.run
        resume = f"forethought {resuming(run.id, run.folders)}"
        if run.stopping and run.ended is None:
            return f"It is being ended: by the server that drives it, by the next that starts, or by `{resume}`"
        if self.is_aside:
            return (
                f"Only a person can let it go on: `forethought resume {run.id}`. It may be what hung or killed its"
                f" server: look at `forethought show {run.id} --journal`. `forethought cancel {run.id}` ends it"
            )
        if orders := [message for message in self.waiting if message.kind == "order"]:
            planning = any(message.body.get("role") == Role.PLANNER for message in orders)
            details = ' (get_plan(view="tools") tells all of each tool)' if planning else ""
            together = ", all of them at once" if len(orders) > 1 else ""
            return (
                f"Do the orders in waiting_on yourself{details}{together}, then "
                f'report(run_id="{run.id}", answers=[{{"order": id, "answer": value that fits the order\'s schema}}])'
            )
        if self.waiting:
            return (
                f"Only a person can decide. If this client does not ask them, they can in a terminal:"
                f" `forethought decide {run.id}`. Then {self.watch} goes on."
            )
        return self._unless_ended(resume) or self.after(self)

    def _unless_ended(self, resume: str) -> str | None:
        """What to do while nobody is asked anything."""
        run = self.run
        if run.state == "running" and run.owner and not self.records.queries.alive(run.owner):
            return f"Its server is gone. The next one that starts goes on with it, or: `{resume}`"
        if run.state == "running":
            return f"{self.watch} waits for more"
        if run.state == "waiting":
            return f"It was answered, and goes on with the next server that starts, or: `{resume}`. Then {self.watch}"
        if run.state == "paused":
            return (
                f"A person has paused it, and only a person can let it go on: `forethought resume {run.id}`."
                f" Then {self.watch}"
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


def _waiting_on(run: RunRow, messages: Sequence[MessageRow]) -> list[JSON]:
    shown: list[JSON] = []
    told = Told()
    room = _ORDER_CHARACTERS
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
