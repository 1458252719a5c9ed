"""What a pattern is given: small Protocols, implemented at the edge, so that each pattern can be tested alone."""

__all__ = [
    "Answer",
    "Approver",
    "Charge",
    "Dialect",
    "Free",
    "Heard",
    "Journal",
    "Meter",
    "Model",
    "PlanJournal",
    "Returned",
    "Tried",
    "Usage",
]

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from forethought_patterns.gates import Decision, Gate
from forethought_patterns.plan import Plan, Step
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Item, Outcome, Unfolded
from forethought_tools import JSON, Kept, Place, Question, Role

Dialect: TypeAlias = Literal["wire", "flat", "lean"]
"""`wire` for a calling agent, `flat` for structured output of endpoints (strict mode allows no free-form objects),
`lean` for small models (short, and tight enough that every output has the right shape by construction)."""


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


@dataclass(frozen=True, slots=True)
class Charge:
    """One request of a model, on its way to a budget."""

    most: int | None
    """The most tokens that the answer may have, or none where nobody counts."""
    settle: Callable[[Usage], None]
    """Tells what it did cost."""


class Meter(Protocol):
    """Counts what requests cost, and may make them wait for a person."""

    def request(self, input_tokens: int) -> AbstractAsyncContextManager[Charge]:
        """Around one request of about so many tokens. Raises BudgetError where a person wants no more spent."""
        ...


class Free:
    """A meter that counts nothing."""

    @asynccontextmanager
    async def request(self, input_tokens: int) -> AsyncGenerator[Charge]:
        yield Charge(None, lambda _: None)


Again: TypeAlias = Callable[[str], Awaitable[bool]]
"""Says whether a call that was cut off is to be made again, given the name of the question."""
Heard: TypeAlias = Callable[[str | None], None]
"""Gets an answer's text in pieces while it is said. `None`: the model begins anew, what was said does not count."""


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

    def cost(self, usage: Usage) -> float | None:
        """What so much usage costs, in dollars, or none where nobody knows."""
        ...

    async def answer(self, question: Question, *, meter: Meter = ..., heard: Heard | None = None) -> Answer:
        """Answer with a value that fits `question.schema`. A model that streams lets its text be `heard` meanwhile.

        Raises:
            ModelError: no usable answer; the message names the setting to mend.
        """
        ...

    async def verdict(self, question: Question, *, meter: Meter = ...) -> Answer:
        """Judge a yes/no question: the value is the probability of yes, from 0 to 1. `question.schema` is not used."""
        ...


class Approver(Protocol):
    """A person, wherever they sit."""

    def asked(self, purpose: str) -> bool:
        """Whether a person was asked about this in an earlier activation: then their word counts, even where nobody
        would have to be asked now. Keys of gates begin with it."""
        ...

    async def spared(self, step: int | None, tool: str, digest: str, rule: str) -> None:
        """Nobody is asked about this call, because of a rule."""
        ...

    async def ruled(self, gate: Gate, *, among: str = "") -> bool:
        """Whether a rule that a person has made lets this call pass, as things are now. Where it would be asked about
        `among` others: whether it is left out of that question, which stays so once they were asked."""
        ...

    async def decide(self, gate: Gate, *, key: str, slot: Slot) -> Decision:
        """Wait for the decision about one thing, named by what it is for; one already recorded is given at once."""
        ...


class Journal(Protocol):
    """What every pattern needs: keeps each fact of a run before the run acts on it, and answers from its records what
    is already known. A key names what something is for, and a slot who wants it."""

    def dialect(self, role: Role) -> Dialect:
        """How whoever plays this role is best asked."""
        ...

    async def ask(self, key: str, question: Question, *, slot: Slot, heard: Heard | None = None) -> JSON:
        """The answer to a question; asked once, then remembered."""
        ...

    async def judge(self, key: str, question: Question, *, slot: Slot) -> float | None:
        """A model's probability of yes, or none where no model of our own can tell."""
        ...

    async def once(
        self,
        key: str,
        body: Mapping[str, JSON],
        place: Place,
        act: Callable[[], Awaitable[JSON]],
        *,
        slot: Slot,
        again: Again | None = None,
    ) -> JSON:
        """Call a tool in its place, and remember what came of it; `body` says what is called. If it was cut off in an
        earlier activation it is called again, unless `again` says no.

        Raises:
            ToolError: it failed, or was cut off and is not to be called again.
        """
        ...

    async def keep(self, key: str, kept: Callable[[], Awaitable[Kept]], *, slot: Slot) -> Kept | None:
        """Record what is needed to undo a call before it is made; the first time counts, not a repetition: then what
        was recorded is returned."""
        ...

    def tell(self, text: str) -> None:
        """Tell those who look on how far a call is; nothing, once it is over. It is not recorded."""
        ...

    async def note(self, key: str, body: Mapping[str, JSON]) -> None:
        """Keep what a reflection or a search has come to, for those who look on; once for each key."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a step has come."""

    attempt: int = 1
    round: int = 0
    """How often it was tried anew with what was wrong."""
    feedback: str = ""
    """What was wrong the last time."""
    returned: "Returned | None" = None
    """What the present attempt's call has brought, if it has returned and was not judged yet."""
    doubt: Mapping[str, JSON] | None = None
    """The arguments of a call that was cut off, where nobody knows whether it took effect."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A call that was made, and its result."""

    arguments: Mapping[str, JSON]
    value: JSON


class PlanJournal(Protocol):
    """What only a run of a plan needs: keeps what becomes of its steps, and which revision of the plan it follows."""

    def tried(self, step: Step) -> Tried:
        """How far this step has come."""
        ...

    async def arrived(self, step: Step) -> None:
        """A step is there though its plan is still being written."""
        ...

    def early(self) -> Mapping[int, Step]:
        """The steps that have arrived so before their plan."""
        ...

    def starting(
        self, step: Step, arguments: Mapping[str, JSON], place: Place, *, slot: Slot
    ) -> AbstractAsyncContextManager[None]:
        """Around a call: entering waits until it is paid for and its place is free, and records its start."""
        ...

    def items(self, loop: Step | None = None) -> Sequence[Item]:
        """The items into which this loop has unfolded, in order; without a loop those of all that this run has had."""
        ...

    async def unfold(self, loop: Step, unfolded: Unfolded, *, slot: Slot) -> None:
        """A loop has these items: their ids are taken at once, and they are on record before any of them starts. Does
        not return where the plan has changed meanwhile."""
        ...

    async def returned(self, step: Step, value: JSON) -> None:
        """The call has brought this, which is not judged yet."""
        ...

    async def retrying(self, step: Step, error: str, delay: float, *, feedback: str = "") -> None:
        """An attempt has failed, and another follows; with `feedback` it is made in another way."""
        ...

    async def redone(self, step: Step) -> None:
        """A person wants a call that was cut off to be made once more."""
        ...

    async def recalled(self, steps: Sequence[Step]) -> None:
        """What these have done rests on a result that was wrong: they are pending anew, and what they asked is void."""
        ...

    async def settled(self, step: Step, outcome: Outcome) -> None:
        """The step has ended."""
        ...

    async def revised(self, plan: Plan, why: str) -> None:
        """The run goes on with this revision of its plan: steps that are new to it are pending, others are dropped."""
        ...

    def told(self) -> Mapping[int, Sequence[str]]:
        """What agents have told on the way besides their results, by the step."""
        ...

    def superseded(self) -> bool:
        """Whether the plan has a newer revision, which somebody else has made."""
        ...

    def pausing(self) -> bool:
        """Whether a person wants no more to be started for now. What is in flight ends, then `Paused` is raised."""
        ...

    def next_step(self) -> int:
        """The first id that no step of this run has had."""
        ...
