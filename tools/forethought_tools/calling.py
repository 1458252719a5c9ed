"""Who makes a call, for tools that need more of them than an answer: a person who is asked, or told how far it is."""

__all__ = ["CALLER", "Asked", "Caller", "Said", "Sampled"]

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from forethought_tools.tool import JSON


@dataclass(frozen=True, slots=True)
class Asked:
    """What another program wants to know of a person in the middle of a call."""

    source: str
    """The program, by its name in settings."""
    tool: str
    """The tool that is being called."""
    message: str
    fields: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict[str, Mapping[str, JSON]])
    """What is to be filled in: the JSON schema of each value."""
    required: tuple[str, ...] = ()
    url: str = ""
    """A page that the person is to open instead."""
    beside: tuple[str, ...] = ()
    """Other calls that the program could mean: it has not said which."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person has said to that. Silence is `cancel`."""

    action: Literal["accept", "decline", "cancel"] = "cancel"
    content: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True, slots=True)
class Sampled:
    """What another program wants a model to answer in the middle of a call."""

    source: str
    """The program, by its name in settings."""
    tool: str
    """The tool that is being called."""
    instructions: str
    """How it wants it answered."""
    conversation: str
    """What it wants answered, each part with who says it."""
    tokens: int
    """The most that it takes."""


class Caller(Protocol):
    """Whoever makes a call."""

    async def person(self, asked: Asked) -> Said:
        """Ask a person, in the middle of the call. No model ever answers this."""
        ...

    async def model(self, sampled: Sampled) -> str:
        """Ask a model of the run, in the middle of the call: once, whatever becomes of the call."""
        ...

    def tell(self, text: str) -> None:
        """Say how far the call is, to those who look on."""
        ...

    def known_to(self, other: "Caller | None") -> str:
        """Who this is, for whoever looks at a call of another one."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Of the call that this task makes. None: nobody is there to be asked."""
