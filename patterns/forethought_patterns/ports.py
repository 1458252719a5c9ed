"""What a pattern is given: small Protocols, implemented at the edge, so that each pattern can be tested alone."""

__all__ = ["Answer", "Approver", "Journal", "Model", "Usage"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from forethought_patterns.compiler import Outcome
from forethought_patterns.gates import Decision, Gate
from forethought_patterns.plan import Step
from forethought_tools import JSON, Question


@dataclass(frozen=True, slots=True)
class Usage:
    """What one or more model calls cost, in tokens."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said: a value that fits the question's schema, and what it cost."""

    value: JSON
    usage: Usage
    model: str
    """Which model answered, for the journal."""
    note: str = ""
    """Anything worth telling about how the answer was had, such as a fallback from strict JSON schema."""


class Model(Protocol):
    """A language model, wherever it runs."""

    @property
    def name(self) -> str:
        """For people and for the journal; never holds a secret."""
        ...

    @property
    def lean(self) -> bool:
        """A small model: it wants short prompts and tight schemas, in which every output is valid by construction."""
        ...

    async def answer(self, question: Question) -> Answer:
        """Answer with a value that fits `question.schema`.

        Raises:
            ModelError: no usable answer; the message names the setting to mend.
        """
        ...

    async def verdict(self, question: Question) -> Answer:
        """Judge a yes/no question: the value is the probability of yes, from 0 to 1. `question.schema` is not used."""
        ...


class Approver(Protocol):
    """A person, wherever they sit."""

    async def decide(self, gate: Gate) -> Decision:
        """Wait for the decision about one call; a decision already recorded for this very call is given at once."""
        ...


class Journal(Protocol):
    """Keeps each fact of a run before the run acts on it, and answers from its records what is already known."""

    async def ask(self, key: str, question: Question, *, step: int | None = None) -> JSON:
        """The answer to a question that is named by what it is for; asked once, then remembered.

        `step` is the step that asks, if one does.
        """
        ...

    async def judge(self, key: str, question: Question) -> float | None:
        """A model's probability of yes, or none where no model of our own can tell."""
        ...

    async def started(self, step: Step, arguments: Mapping[str, JSON]) -> None: ...

    async def retrying(self, step: Step, error: str, delay: float) -> None: ...

    async def settled(self, step: Step, outcome: Outcome) -> None: ...

    def attempt(self, step: Step) -> int:
        """Which attempt at this step is under way, from 1."""
        ...

    def stalled(self) -> None:
        """Nothing can go on until someone outside answers."""
        ...
