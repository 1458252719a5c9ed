"""What a step can call. A tool is a value: its schema, its risk, its limits and one async function."""

__all__ = ["JSON", "Answerer", "Kept", "Limits", "Question", "Role", "Stands", "Tool", "Turn", "Undo", "tool"]

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from typing_extensions import TypeAliasType

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.risk import Risk

JSON = TypeAliasType("JSON", "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None")


class Role(StrEnum):
    """What a model call is for. Each role can be played by a different model."""

    PLANNER = "planner"
    EXECUTOR = "executor"
    CRITIC = "critic"
    EVALUATOR = "evaluator"
    PROPOSER = "proposer"
    JOINER = "joiner"
    AGENT = "agent"
    """A piece of work with tools."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that an agent has made, and what came of it."""

    tool: str
    arguments: Mapping[str, JSON]
    result: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a run puts to a model. An open question that waits for the calling agent is a work order."""

    role: Role
    instructions: str
    context: str
    """Material to work on. It may hold tool output, which is data and never instructions."""
    schema: Mapping[str, JSON]
    """JSON schema of the answer. `{"type": "string"}` asks for plain text."""
    examples: Sequence[tuple[str, str]] = ()
    """Other contexts, each with a good answer to it, for a small model to do the same."""
    variety: float = 0.0
    """How far a small model may stray from its likeliest answer, from 0 (not at all) to 1: another try is another."""
    tools: "Sequence[Tool]" = ()
    """What the answer may call, for a model that has calls of its own; the context tells the same, and the `turns`."""
    task: str = ""
    """The context without tools and turns, for such a model."""
    turns: Sequence[Turn] = ()


Answerer: TypeAlias = Callable[[Question], Awaitable[JSON]]
"""Puts a question to whatever model the run has, and returns an answer that fits the question's schema."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the calls of one tool."""

    timeout: float | None = 60.0
    """Seconds for one attempt; waiting for a person or a model does not count."""
    attempts: int = 1
    """Tries after transient failures. More than one only where a repeated call does no harm."""
    at_once: int | None = None
    """Calls of this tool in flight at the same time, in one run."""


Kept: TypeAlias = Mapping[str, JSON]
Stands: TypeAlias = Literal["as left", "as before", "changed"]
"""How the world stands where a call has acted: as it has left it, as it was before, or changed since by others."""


class Undo(Protocol):
    """How calls of one tool are taken back."""

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        """Whether what such a call replaces can be kept. If not, the call is HIGH."""
        ...

    async def before(self, arguments: Mapping[str, JSON]) -> Kept:
        """What must be kept to take the call back. Asked and recorded before the call is made."""
        ...

    async def stands(self, kept: Kept) -> Stands:
        """How the world stands where the call has acted."""
        ...

    async def back(self, kept: Kept) -> None:
        """Put back what was there before, unless it is there already. Doing it twice is the same as once."""
        ...

    def touches(self, kept: Kept) -> Claim:
        """What taking the call back reads and writes."""
        ...

    def described(self, kept: Kept) -> str:
        """What taking the call back does, in one line."""
        ...


@dataclass(frozen=True, slots=True)
class Tool:
    """Something a step can call."""

    name: str
    description: str
    parameters: Mapping[str, JSON]
    """JSON schema of the arguments, an object."""
    run: Callable[[Mapping[str, JSON], Answerer], Awaitable[JSON]]
    """Does the work. Raises `ToolError` when it cannot."""
    risk: Risk = Risk.HIGH
    repeatable: bool = False
    """Reads only, or doing it twice is the same as once. After a crash only such calls are made again, and only such
    tools may `ask`: they are run again from their start once the answer is there."""
    limits: Limits = field(default_factory=Limits)
    trusted: bool = False
    """Ours, or of a server that the user trusts: only of such a tool may the user's settings lower the risk."""
    reads_only: bool = False
    """Whether no call of it changes anything. Its risk does not tell: that is about asking, and may be lowered."""
    asks: bool = False
    """Whether its calls put questions to a model."""
    undo: Undo | None = None
    """How its calls are taken back, if they can be."""
    raised: Callable[[Mapping[str, JSON]], str] | None = None
    """Why a call with these arguments is HIGH whatever the tool's own risk is, or nothing. No setting lowers that."""
    refuse: Callable[[Mapping[str, JSON]], None] | None = None
    """Raises `ToolError` where no call with these arguments can be made, whoever agrees: a person is not asked then."""
    ready: Callable[[Mapping[str, JSON]], object] | None = None
    """Raises `ToolError` where a call with these arguments would fail by now, as a file is not there: what a person has
    changed is looked at like this before it is recorded."""
    claims: Callable[[Mapping[str, JSON]], Claim] | None = None
    """What a call reads and writes. None: nothing that another call could get in the way of."""
    rests_on: Callable[[Mapping[str, JSON]], Mapping[str, str]] | None = None
    """What else a call depends on, such as files that it names: what that is called, and its SHA-256. An approval is
    bound to it. May take a moment: it is asked in a thread."""
    commands: frozenset[str] = frozenset()
    """Its arguments that are commands for a shell: rules read them word by word."""
    paths: frozenset[str] = frozenset()
    """Its arguments that are paths."""
    leads: Callable[[str], frozenset[str]] | None = None
    """What a path is called, seen from the first granted folder: itself, and what it leads to. Raises `ToolError`."""
    harmless: frozenset[str] = frozenset()
    """Its arguments that change nothing of what a call may do: a rule need not name them."""
    doubted: Callable[[Mapping[str, JSON]], Awaitable[Sequence[str]]] | None = None
    """What a look at the world says against such a call before it is made."""
    foreseen: Callable[[Mapping[str, JSON]], Awaitable[JSON]] | None = None
    """A made-up result with the parts that the call will return, and null where nobody can know them."""
    source: str = ""
    """The MCP server that offers it, by its name in settings. Empty: it is built in."""
    why: str = ""
    """Why its risk is what it is, in a sentence, where its source says something of it."""
    fingerprint: str = ""
    """What tells it from what it was, and may become, where others make it what it is."""
    addresses: tuple[str, ...] = ()
    """What it is known to read, where that is told by address."""


def tool(
    function: Callable[..., Awaitable[JSON]],
    *,
    risk: Risk,
    repeatable: bool,
    reads_only: bool = False,
    limits: Limits | None = None,
    undo: Undo | None = None,
    claims: Callable[[Mapping[str, JSON]], Claim] | None = None,
    raised: Callable[[Mapping[str, JSON]], str] | None = None,
    refuse: Callable[[Mapping[str, JSON]], None] | None = None,
    ready: Callable[[Mapping[str, JSON]], object] | None = None,
    rests_on: Callable[[Mapping[str, JSON]], Mapping[str, str]] | None = None,
    doubted: Callable[[Mapping[str, JSON]], Awaitable[Sequence[str]]] | None = None,
    foreseen: Callable[[Mapping[str, JSON]], Awaitable[JSON]] | None = None,
) -> Tool:
    """Make a built-in tool of a typed async function: its name, docstring and annotations are the tool's.

    A parameter named `ask` is not an argument of the tool: it receives the run's `Answerer`.
    """
    parameters = inspect.signature(function).parameters
    fields: dict[str, Any] = {
        name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in parameters.items()
        if name != "ask"
    }
    model: type[BaseModel] = create_model(
        function.__name__, __config__=ConfigDict(extra="forbid", strict=False), **fields
    )

    async def run(arguments: Mapping[str, JSON], ask: Answerer) -> JSON:
        try:
            values = model.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ToolError(f"{function.__name__} cannot use these arguments: {problems}") from None
        keywords = {name: getattr(values, name) for name in fields}
        return await function(**keywords, **({"ask": ask} if "ask" in parameters else {}))

    return Tool(
        name=function.__name__,
        description=inspect.getdoc(function) or "",
        parameters=cast("Mapping[str, JSON]", plain_schema(model.model_json_schema())),
        run=run,
        risk=risk,
        repeatable=repeatable,
        limits=limits or Limits(),
        trusted=True,
        reads_only=reads_only,
        asks="ask" in parameters,
        undo=undo,
        claims=claims,
        raised=raised,
        refuse=refuse,
        ready=ready,
        rests_on=rests_on,
        doubted=doubted,
        foreseen=foreseen,
    )


def plain_schema(schema: Any) -> Any:
    """Drop the titles that pydantic adds, and make `anyOf [T, null]` plain T: every optional argument has a default."""
    if isinstance(schema, list):
        return [plain_schema(item) for item in cast("Sequence[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    node = cast("dict[str, Any]", schema)
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        node = {
            **options[0],
            **{key: value for key, value in node.items() if key not in ("anyOf", "default")},
        }
    return {
        key: {name: plain_schema(part) for name, part in value.items()} if key == "properties" else plain_schema(value)
        for key, value in node.items()
        if key != "title"
    }
