"""Open work orders as the calling agent is told them: what several have in common is told once, and work that another
agent has, or nobody yet, in a line."""

__all__ = ["MOST", "Told"]

import json
import time
from collections.abc import Mapping

from forethought.engine.leases import is_work, told_name, told_time
from forethought.journal.rows import LeaseRow, MessageRow
from forethought_tools import JSON

MOST = 24_000
"""Characters of the orders that one answer holds."""
_BEGIN, _END = "<result>\n", "\n</result>"
_SHORT = 120  # characters that are told again rather than pointed to


class Told:
    """What one answer has told its reader so far."""

    def __init__(self, leases: Mapping[str, LeaseRow], reader: str) -> None:
        """`reader` is the taker who is told. Without one nobody is told work in full."""
        self._leases = leases
        self._reader = reader
        self._orders: dict[str, str] = {}
        self._contexts: dict[str, str] = {}

    def order(self, message: MessageRow) -> dict[str, JSON]:
        """A work order without what an order before it says already: that one is named instead."""
        lease = self._leases.get(message.id)
        if not is_work(message.key):
            return self._in_full(message, message.id)
        if lease is not None and lease.holder == self._reader:
            return {**self._in_full(message, told_name(message.id, lease)), "yours_until": told_time(lease.until)}
        told: dict[str, JSON] = {"order": message.id, "role": message.body["role"], "step": message.step}
        if lease is None or lease.until <= time.time():
            return {**told, "taken_by": "nobody"}
        return {**told, "taken_by": lease.by, "until": told_time(lease.until)}

    def _in_full(self, message: MessageRow, name: str) -> dict[str, JSON]:
        like = self._orders.setdefault(str(message.body.get("instructions")), name)
        context = str(message.body.get("context", ""))
        told: dict[str, JSON] = {"order": name, **message.body, "context": self._short(context)}
        self._contexts[name] = context
        return told if like == name else {**told, "instructions": f"Those of {like}."}

    def _short(self, context: str) -> str:
        """The context, with a pointer to an order before it in place of a result that stands there word for word."""
        before, begin, rest = context.partition(_BEGIN)
        result, end, after = rest.rpartition(_END)
        if not begin or not end or len(result) < _SHORT:
            return context
        holds = (order for order, told in self._contexts.items() if _stands_in(result, told))
        order = next(holds, None)
        return context if order is None else f"{before}{begin}(it stands in the context of {order}){end}{after}"


def _stands_in(text: str, context: str) -> bool:
    """Whether a text is part of a context, as it is or as a text within JSON."""
    return text in context or json.dumps(text, ensure_ascii=False)[1:-1] in context
