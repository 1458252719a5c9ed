"""Open work orders as the calling agent is told them: what several have in common is told once."""

__all__ = ["Told"]

import json

from forethought.journal.rows import MessageRow
from forethought_tools import JSON

_BEGIN, _END = "<result>\n", "\n</result>"
_SHORT = 120  # characters that are told again rather than pointed to


class Told:
    """What one answer has told so far."""

    def __init__(self) -> None:
        self._orders: dict[str, str] = {}
        self._contexts: dict[str, str] = {}

    def order(self, message: MessageRow) -> dict[str, JSON]:
        """A work order without what an order before it says already: that one is named instead."""
        like = self._orders.setdefault(str(message.body.get("instructions")), message.id)
        context = str(message.body.get("context", ""))
        told: dict[str, JSON] = {"order": message.id, **message.body, "context": self._short(context)}
        self._contexts[message.id] = context
        return told if like == message.id else {**told, "instructions": f"Those of {like}."}

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
