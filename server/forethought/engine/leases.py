"""Who does which piece of work of a run: the calling agents that have taken it, each until its lease runs out.

What is handed out in full is taken, so that two agents never do the same. An order is told under a name that ends in
the number of its taking: whoever reports under the latest one has it, from whatever process, and also when it ran out.
"""

__all__ = ["NOBODY", "Taker", "answering", "is_free", "is_work", "order_named", "told_name", "told_time"]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from forethought.journal.rows import Fact, LeaseRow
from forethought_tools import JSON, Fault

_WORK = re.compile(r"step/[0-9]+/[0-9]+/agent(/order)?")


@dataclass(frozen=True, slots=True)
class Taker:
    """A client in one process."""

    id: str
    name: str
    """What it calls itself."""

    def takes(self, order: str, until: float) -> Fact:
        """The fact that this one has an order now. Stale where somebody else has it."""
        return Fact("order_taken", {"id": order, "holder": self.id, "by": self.name, "until": until})


NOBODY = Taker("", "somebody")
"""Who is no client: a person in a terminal, or a test."""


def is_work(key: str) -> bool:
    """Whether an order with this key is a piece of work for an agent, which takes its time."""
    return _WORK.fullmatch(key) is not None


def is_free(lease: LeaseRow | None, taker: str, now: float) -> bool:
    """Whether this taker may have an order."""
    return lease is None or lease.holder == taker or lease.until <= now


def told_name(order: str, lease: LeaseRow) -> str:
    """What whoever has an order calls it."""
    return f"{order}.{lease.number}"


def order_named(name: str) -> tuple[str, int | None]:
    """The order that is called so, and the number of the taking."""
    order, _, number = name.rpartition(".")
    return (order, int(number)) if order and number.isdecimal() and len(number) < 10 else (name, None)


def answering(
    order: str, number: int | None, lease: LeaseRow | None, taker: Taker, now: float, *, until: float = 0.0
) -> Sequence[Fact] | Fault:
    """What is recorded with a report: the order is given back, or kept `until` then. A fault: somebody else has it."""

    def kept(taking: int) -> Fact:
        body: dict[str, JSON] = {"id": order, "number": taking}
        return Fact("order_kept", {**body, "until": until}) if until else Fact("order_returned", body)

    if lease is not None and number == lease.number:
        return [kept(lease.number)]
    if number is None and is_free(lease, taker.id, now):
        before = 0 if lease is None else lease.number
        own = lease is not None and lease.holder == taker.id
        return [taker.takes(order, now + 1), kept(before if own else before + 1)]
    assert lease is not None or number is not None
    if lease is None:
        return Fault(f"order {order}.{number}", "nobody has taken it so often", "Give its name as it was told to you")
    since = "since your lease ran out" if number is not None else f"until {told_time(lease.until)}"
    problem = f"{lease.by} has it, {since}"
    return Fault(f"order {order}", problem, "Leave it to them. If it is yours, give its name as it was told to you")


def told_time(at: float) -> str:
    """A moment, for people and models."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
