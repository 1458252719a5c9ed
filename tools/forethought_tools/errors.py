"""Every error that forethought raises on purpose. Lowest module of the house, so that all parts can raise them.

    ForethoughtError          anything that forethought raises on purpose
    ├── ToolError             a tool could not do its work; `transient` when a retry may help
    │   └── ChangedError      what a call was approved for has changed meanwhile
    ├── ModelError            a model could not answer, or be had; names the setting to mend; `transient` as above
    ├── FaultsError           something that was handed in is not valid; carries every fault at once
    │   ├── PlanError         a plan is not valid
    │   └── AnswerError       answers to requests of a run cannot be used, and none of them was taken
    ├── BudgetError           a person does not want more to be spent
    ├── NotFoundError         no plan, run or request has this id
    ├── SettingsError         a setting is missing or wrong; names its key
    ├── StoreError            the journal cannot be read or written
    │   ├── StaleError        a row is not in the state that a fact needs, because somebody else was first
    │   │   └── HeldError     another process has claimed what was to be claimed
    │   ├── UnderWayError     a run of the same is open already, for whoever wanted to start it; holds its id
    │   ├── DamagedError      a row of the journal is not what forethought writes
    │   └── BrokenError       the disk, the file or the connection failed, whatever was written or asked for
    └── FencedError           another process has taken this run over, so this one must stop writing to it
    ReplyError                an endpoint's reply holds no answer: becomes a ModelError (`forethought.models.replies`)

Each message says what is wrong and what to do next. Those below StoreError are in `forethought.journal.database`. Human
decisions and "not yet" are not errors but signals (`forethought_patterns.signals`): no `except Exception` catches them.
"""

__all__ = [
    "AnswerError",
    "BudgetError",
    "ChangedError",
    "Fault",
    "FaultsError",
    "FencedError",
    "ForethoughtError",
    "ModelError",
    "NotFoundError",
    "PlanError",
    "SettingsError",
    "StoreError",
    "ToolError",
]

from collections.abc import Sequence
from dataclasses import dataclass

MOST_SHOWN = 50  # faults that a message tells one by one


class ForethoughtError(Exception):
    """Anything that forethought raises on purpose."""


class ToolError(ForethoughtError):
    """A tool could not do its work."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class ChangedError(ToolError):
    """What a call rests on is not what it was when the call was judged, or approved: it is judged anew."""


class ModelError(ForethoughtError):
    """A model could not answer."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a plan: where, what, and how to mend it."""

    where: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. {self.mend}"


class FaultsError(ForethoughtError):
    """Something handed in is not valid. `faults` holds every fault that was found, not only the first.

    `note` is what whoever handed it in should know to read the faults.
    """

    headline = "This is not valid"

    def __init__(self, faults: Sequence[Fault], note: str = "") -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) != 1 else "")
        lines = [f"{self.headline} ({count}):", *(f"- {fault}" for fault in self.faults[:MOST_SHOWN])]
        lines += [f"- and {more} more: mend these first"] if (more := len(self.faults) - MOST_SHOWN) > 0 else []
        super().__init__("\n".join([*lines, note] if note else lines))


class PlanError(FaultsError):
    """A plan is not valid."""

    headline = "The plan is not valid"


class AnswerError(FaultsError):
    """Answers to work orders cannot be used."""

    headline = "These answers cannot be used, and none was taken"


class BudgetError(ForethoughtError):
    """A person does not want more to be spent."""


class NotFoundError(ForethoughtError):
    """No plan, run or request has this id."""


class SettingsError(ForethoughtError):
    """A setting is missing or wrong."""


class StoreError(ForethoughtError):
    """The journal cannot be read or written."""


class FencedError(ForethoughtError):
    """Another process has taken this run over: the present one must stop writing to it."""
