"""What a kind of run is: its options, how it is driven, what is told of it, and what comes next.

A kind is one file beside this one and one row of the table in `__init__.py`. All else treats runs alike.
"""

__all__ = ["Caller", "Creator", "Ending", "Kind", "Options", "Progress", "Work", "report_call"]

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from forethought.engine.kinds.look import Look, View
from forethought.engine.recorder import Recorder
from forethought.engine.records import Records
from forethought.journal.database import DamagedError
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, RunRow
from forethought.models import Models
from forethought.terms import Terms
from forethought_patterns import Brief, Plan, Problem
from forethought_patterns.tool_calls import ToolCalls
from forethought_tools import JSON


class Options(BaseModel):
    """What a run keeps of how it was started. Each kind adds what it needs; the journal holds it as JSON."""

    model_config = ConfigDict(frozen=True)

    goal: str
    folders: list[str] = []
    """What its tools may touch. Filled in where the run is created, as are the terms."""
    terms: Terms = Terms()

    def wanted(self) -> Mapping[str, JSON]:
        """What tells one wish from another: all that whoever starts the run has a say in."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class Caller:
    """Who starts a run by a call that may be repeated: the same call attaches to the run while that is open."""

    name: str
    """What the client calls itself. Sessions do not tell one from another: some clients have one for each call."""
    another: bool = False
    """Whether a second run is wanted beside the first."""


O = TypeVar("O", bound=Options)  # noqa: E741 - it stands for options


@dataclass(frozen=True)
class Work(Generic[O]):
    """What a kind is given to drive one run."""

    run: RunRow
    options: O
    records: Records
    recorder: Recorder
    models: Models
    brief: Callable[[str], Awaitable[Brief]]
    """What a planner is told of a goal."""

    def calls(self) -> ToolCalls:
        """Calls of tools by the run itself, outside the steps of a plan."""
        recorder = self.recorder
        return ToolCalls(self.records.tools, recorder, recorder, self.options.terms.policy, recorder.slot)


@dataclass(frozen=True)
class Ending:
    """How a run has ended: it has failed where there is a problem, else it has succeeded."""

    answer: JSON = ""
    problem: Problem | None = None
    lessons: Sequence[str] = ()
    """What a failure is to be remembered for."""
    facts: Sequence[Fact] = ()
    """What is recorded together with the end."""
    worth_keeping: bool = False
    """Whether its plan has reached the goal as it was planned."""


@dataclass(frozen=True)
class Progress:
    """How much of a run is done, of how much in all (0 where nobody knows), and the same in words."""

    done: int
    total: int
    text: str


def report_call(run: RunRow) -> str:
    """The call by which a client goes on watching a run that has no plan to go by."""
    return f'report(run_id="{run.id}", answers=[])'


@dataclass(frozen=True)
class Kind(Generic[O]):
    """One kind of run. The functions get rows and parts of the engine; none knows who asks or who answers."""

    name: str
    options: type[O]
    drive: Callable[[Work[O]], Awaitable[Ending]]
    """Works until the run has ended. Called anew for each activation: what is recorded is not done again.

    Raises:
        Paused: it has come to rest because a person wants a pause.
        PlanError, ModelError, BudgetError, SettingsError: the run has failed, for the reason that these tell.
    """
    progress: Callable[[Queries, RunRow], Progress]
    view: Callable[[Look], View]
    """All that is shown of a run. `Look` brings the parts that are common to all kinds."""
    next: Callable[[Look], str]
    """What a client can do once the run has ended."""
    watch: Callable[[RunRow], str] = report_call
    """The call by which a client goes on watching."""
    pauses_at_once: bool = True
    """Whether a pause may cut it off between any two calls. If not, it comes to rest by itself."""
    listed: Callable[[RunRow], bool] = lambda _: True
    """Whether it is worth a line of its own among other runs."""

    def read(self, run: RunRow) -> O:
        """The options of a run of this kind. Raises DamagedError where they are not what we write."""
        try:
            return self.options.model_validate(run.options)
        except ValidationError:
            raise DamagedError(
                f"The records of {run.id} were changed from outside. `forethought verify` tells more."
            ) from None

    def look(
        self, records: Records, run: RunRow, *, steps: str = "brief", page: int | None = 1, reader: str = ""
    ) -> View:
        """A run of this kind as clients see it, or as one of them (`reader`) does."""
        look = Look(records, run, watch=self.watch(run), after=self.next, steps=steps, page=page, reader=reader)
        return self.view(look)


class Creator(Protocol):
    """What starting a run takes. `Runs` is one."""

    @property
    def records(self) -> Records: ...

    @property
    def terms(self) -> Terms:
        """What holds for a run unless whoever starts it wants stricter terms."""
        ...

    @property
    def brief(self) -> Callable[[str], Awaitable[Brief]]:
        """What a planner is told of a goal."""
        ...

    async def save_plan(self, plan: Plan, advice: Sequence[str] = ()) -> str:
        """Keep a plan, with what could be better. Returns its id."""
        ...

    async def create(
        self,
        kind: Kind[Any],
        options: Options,
        *,
        terms: Terms | None = None,
        plan_id: str = "",
        revision: int = 0,
        steps: Sequence[int] = (),
        facts: Sequence[Fact] = (),
        caller: Caller | None = None,
    ) -> RunRow:
        """Record a new run, and have it driven. `facts` are recorded with it.

        Raises:
            StaleError: a fact is stale.
            UnderWayError: this caller has started the same already, and it is open.
        """
        ...
