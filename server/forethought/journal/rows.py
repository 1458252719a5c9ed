"""What the journal holds: facts on their way in, rows and entries on their way out. Plain values, no SQL."""

__all__ = [
    "OPEN",
    "SETTLED",
    "Entry",
    "Fact",
    "LeaseRow",
    "LessonRow",
    "MessageKind",
    "MessageRow",
    "Pausing",
    "PlanRow",
    "RecipeRow",
    "RunRow",
    "StepRow",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, TypeAlias, cast

from forethought_patterns import StepState
from forethought_tools import JSON
from forethought_tools.visible import visible_json

SETTLED = frozenset({"succeeded", "failed", "skipped", "rejected", "in_doubt"})
"""The states in which a step has ended."""
OPEN = frozenset({"running", "waiting"})
"""The states in which a run goes on by itself, or once it is answered."""


class Pausing(IntEnum):
    """What a person wants of a run."""

    NO = 0
    ASKED = 1
    """Nothing more of it starts. It is `paused` once what is in flight has ended."""
    LIFTED = 2
    """It was paused, and may go on: whoever claims it next begins with that."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened. `kind` is a key of `EFFECTS`, which says what it does to the rows."""

    kind: str
    body: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True, slots=True)
class PlanRow:
    id: str
    revision: int
    goal: str
    body: Mapping[str, JSON]
    created: float


@dataclass(frozen=True, slots=True)
class RunRow:
    id: str
    plan: str
    kind: str
    state: str
    epoch: int
    owner: str | None
    options: Mapping[str, JSON]
    revision: int
    replans: int
    answer: JSON
    error: str
    stopping: int
    pausing: int
    undoes: str
    budget: Mapping[str, float]
    dollars: float
    unpriced: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    tool_calls: int
    seconds: float
    created: float
    ended: float | None

    @property
    def goal(self) -> str:
        return str(self.options["goal"])

    @property
    def folders(self) -> Sequence[str]:
        """What its tools may touch."""
        return cast("Sequence[str]", self.options.get("folders", ()))


@dataclass(frozen=True, slots=True)
class StepRow:
    run: str
    id: int
    state: StepState
    attempt: int
    round: int
    feedback: str
    epoch: int
    arguments: JSON
    returned: int
    result: JSON
    error: str
    dropped: int
    doubt: int
    body: JSON
    started: float | None
    ended: float | None


MessageKind: TypeAlias = Literal["gate", "order", "question", "call", "note", "undo"]
"""A person decides a `gate`, the calling agent answers an `order`, and a model of our own a `question`. What came of it
answers a `call` of a tool. A `note`, and what it takes to `undo` a call, wait for nobody."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """What a run has put down under a key that says what it is for, so that it is asked, called or noted once."""

    id: str
    run: str
    key: str
    kind: MessageKind
    step: int | None
    body: Mapping[str, JSON]
    state: str
    answer: JSON
    approval: int
    by: str
    channel: str
    asked: float
    answered: float | None
    number: int


@dataclass(frozen=True, slots=True)
class LeaseRow:
    message: str
    run: str
    holder: str
    by: str
    until: float
    number: int


@dataclass(frozen=True, slots=True)
class LessonRow:
    id: str
    workspace: str
    run: str
    goal: str
    text: str
    created: float


@dataclass(frozen=True, slots=True)
class RecipeRow:
    id: str
    workspace: str
    run: str
    name: str
    goal: str
    body: Mapping[str, JSON]
    created: float


@dataclass(frozen=True, slots=True)
class RuleRow:
    id: str
    workspace: str
    run: str
    tool: str
    rule: str
    body: Mapping[str, JSON]
    channel: str
    created: float


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int
    run: str
    at: float
    kind: str
    body: Mapping[str, JSON]
    hash: str

    def line(self) -> str:
        """The entry as one line of JSON, which a terminal can show: what it would obey is written as JSON's escapes."""
        line = {"seq": self.seq, "run": self.run, "at": self.at, "fact": self.kind, **self.body, "hash": self.hash}
        return visible_json(line)
