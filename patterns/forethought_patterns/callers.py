"""Who makes a call, as a tool of another server sees it: what that server asks reaches the person, as a gate."""

__all__ = ["asked_gate", "calling"]

import re
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from forethought_patterns.gates import Gate, digest
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.roles import SAMPLED
from forethought_patterns.slots import Slot
from forethought_tools import JSON, Question, Role
from forethought_tools.calling import CALLER, Asked, Caller, Said, Sampled
from forethought_tools.text import as_text

_WARNING = (
    "What you answer goes to that server, and into the journal: no password, and no key. Reject tells it that you do"
    " not want to."
)

_CHARACTERS = 6  # that a token has at most, about


@contextmanager
def calling(approver: Approver, journal: Journal, slot: Slot, key: str) -> Generator[None]:
    """Around a call: its tool may ask a person, under this key, and tell how far it is."""
    token = CALLER.set(_Calling(approver, journal, slot, key))
    try:
        yield
    finally:
        CALLER.reset(token)
        journal.tell("")


@dataclass
class _Calling:
    approver: Approver
    journal: Journal
    slot: Slot
    key: str
    asked: int = 0
    sampled: Counter[str] = field(default_factory=Counter[str])

    async def person(self, asked: Asked) -> Said:
        self.asked += 1
        gate = asked_gate(asked, self.slot.step)
        # The call is under way meanwhile, and must not be put aside: it would be cut off.
        under_way = Slot(seat=_UnderWay())
        decision = await self.approver.decide(gate, key=f"asked/{self.key}/{self.asked}", slot=under_way)
        if decision.verb == "answer":
            return Said("accept", decision.arguments or {})
        return Said("decline" if decision.verb == "reject" else "cancel")

    async def model(self, sampled: Sampled) -> str:
        question = _sampled_question(sampled)
        # By what is asked: a call that is made again finds each answer, in whatever order it asks.
        own = digest("sampled", {"instructions": question.instructions, "context": question.context})
        self.sampled[own] += 1
        key = f"sampled/{self.key}/{own}/{self.sampled[own]}"
        said = as_text(await self.journal.ask(key, question, slot=Slot(seat=_UnderWay())))
        return said[: sampled.tokens * _CHARACTERS]

    def tell(self, text: str) -> None:
        self.journal.tell(text)

    def known_to(self, other: Caller | None) -> str:
        who = f"step {self.slot.step}" if self.slot.step else "the run"
        same = isinstance(other, _Calling) and other.journal is self.journal
        return who if same else f"{who} of another run"


class _UnderWay:
    """The seat of a call that keeps it while a person is asked."""

    def leave(self) -> None:
        """It stays."""

    async def rejoin(self) -> None:
        """It was never left."""

    def abandon(self) -> None:
        """The same."""


def _sampled_question(sampled: Sampled) -> Question:
    told = f"How it wants to be answered:\n{sampled.instructions}\n\n" if sampled.instructions else ""
    instructions = SAMPLED.format(source=sampled.source, tool=sampled.tool, words=max(1, sampled.tokens * 3 // 4))
    return Question(Role.EXECUTOR, instructions, f"{told}{sampled.conversation}", {"type": "string"})


def asked_gate(asked: Asked, step: int | None) -> Gate:
    """The gate for what a server asks: nobody but a person answers it."""
    details: dict[str, JSON] = {"message": asked.message}
    if asked.url:
        details["address"] = asked.url
    if asked.fields:
        details["wanted"] = list(asked.fields)
    where = f"in the call of {asked.tool} by step {step}" if step else f"in a call of {asked.tool}"
    if asked.beside:
        where += f" or of {' or of '.join(asked.beside)} (it does not say in which)"
    how = " Answer says that you have opened the address." if asked.url else ""
    bound: dict[str, JSON] = {**details, "fields": asked.fields, "server": asked.source}
    return Gate(
        kind="question",
        subject=f"The server {asked.source} asks you something, {where}.",
        details=details,
        reason=_WARNING + how,
        digest=digest("asked", bound),
        choices=("answer", "reject", "cancel"),
        step=step,
        tool=f"{asked.source}/{asked.tool}",
        fields=_form_fields(asked),
    )


def _form_fields(asked: Asked) -> dict[str, Mapping[str, JSON]]:
    """By a name that no field of ours has: whose it is, whether it is needed, and its schema."""
    fields: dict[str, Mapping[str, JSON]] = {}
    for number, (name, schema) in enumerate(asked.fields.items(), 1):
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)[:40]
        key = f"answer_{plain}" if f"answer_{plain}" not in fields else f"answer_{number}"
        fields[key] = {"name": name, "needed": name in asked.required, "schema": schema}
    return fields
