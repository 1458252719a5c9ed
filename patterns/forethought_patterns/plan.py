"""The plan: a goal and a DAG of steps. Immutable, and valid as a graph from the moment it exists.

Whether tools exist and arguments fit is judged in `validate`, since that needs a registry.
"""

__all__ = ["Plan", "Step", "Strategy", "graph_faults"]

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from forethought_patterns.checks import Check
from forethought_patterns.references import find, in_turns
from forethought_tools import JSON, Fault, PlanError
from forethought_tools.delegating import DELEGATE, may_call
from forethought_tools.meant import decoded

_REFERENCE = re.compile(r"\{\{\s*([0-9]{1,9})")
Strategy: TypeAlias = Literal["direct", "reflect", "search"]


class Step(BaseModel):
    """One unit of work: one tool, its arguments, what it depends on, what output is expected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[int, Field(ge=1, le=2**53)]
    description: str = ""
    tool: Annotated[str, Field(min_length=1)]
    arguments: Mapping[str, JsonValue] = {}
    depends_on: tuple[int, ...] = ()
    expected_output: str = ""
    check: Check | None = None
    """Decides whether the result is good, in the place of an evaluator."""
    confidence: Annotated[float | None, Field(ge=0, le=1)] = None
    """How sure the planner is of this step."""
    strategy: Strategy = "direct"
    """How the words of a model are had: at once, by reflection, or by a search."""
    for_each: str | tuple[JsonValue, ...] | None = None
    """A loop: the reference to a list, or the list itself. The step is done once for each `{{item}}` of it."""
    when: Annotated[str | None, Field(max_length=2000)] = None
    """An expression over results. Where it is false, the step is left out."""

    @field_validator("for_each", "when", mode="before")
    @classmethod
    def _blank_is_none(cls, given: object) -> object:
        return None if isinstance(given, str) and not given.strip() else given

    @field_validator("for_each")
    @classmethod
    def _list_of_text(cls, given: str | tuple[JsonValue, ...] | None) -> object:
        """A list that was given as JSON is one."""
        if not isinstance(given, str) or not given.lstrip().startswith("["):
            return given
        try:
            read = decoded(given)
        except (ValueError, RecursionError):
            return given  # a fault, which validation tells
        return tuple(read) if isinstance(read, list) else given

    def wire(self) -> dict[str, JSON]:
        """The step as it goes over the wire and into the journal."""
        body: dict[str, JSON] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.strategy == "direct":
            del body["strategy"]
        if self.check is not None:
            body["check"] = self.check.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return body

    @cached_property
    def calls(self) -> tuple[tuple[str, str, Mapping[str, JSON]], ...]:
        """Everything that it may call, itself first: who calls (`its check`, `its agent`), the tool, the arguments as
        far as they are known. What a search tries besides is of low risk, or not called."""
        own: tuple[str, str, Mapping[str, JSON]] = ("it", self.tool, self.arguments)
        checking = self.check.call() if self.check else None
        checks = [("its check", *checking)] if checking else []
        named = may_call(self.arguments) if self.tool == DELEGATE else ()
        return (own, *checks, *(("its agent", tool, {}) for tool in named))

    @cached_property
    def told(self) -> Mapping[str, JSON]:
        """Its arguments, and where it goes over values that are known already, those: nobody may approve what they
        could not see."""
        return (
            {"{{item}}": list(self.for_each), **self.arguments} if isinstance(self.for_each, tuple) else self.arguments
        )

    @cached_property
    def refers(self) -> frozenset[int]:
        """The steps whose results it uses."""
        return frozenset(each.step for each in find([self.arguments, self.for_each, self.when]))

    @cached_property
    def needs(self) -> tuple[int, ...]:
        """The steps that must be done first: those declared, and those referred to."""
        return tuple(sorted({*self.depends_on, *self.refers}))

    @property
    def is_loop(self) -> bool:
        """Whether it is done once for each item of a list."""
        return self.for_each is not None

    @property
    def asks_each(self) -> bool:
        """Whether its condition is one for each item."""
        return bool(self.when and in_turns(self.when))

    @property
    def turns(self) -> str:
        """In words: for which items it is done, and on which condition."""
        over = self.for_each if isinstance(self.for_each, str) else f"{len(self.for_each or ())} values"
        return (f" for each of {over}" if self.is_loop else "") + (f" when {self.when}" if self.when else "")

    @cached_property
    def call(self) -> Mapping[str, JSON]:
        """What of it makes its call another one: its arguments, and of a loop what it goes over."""
        return {**self.arguments, "for_each": self.for_each} if self.is_loop else self.arguments


@dataclass(frozen=True)
class Plan:
    """A goal and the steps that reach it. Every change is a new revision of the same plan.

    Raises:
        PlanError: the steps are not a DAG; all faults are in it.
    """

    goal: str
    steps: tuple[Step, ...]
    reasoning: str = ""
    context: str = ""
    revision: int = 1
    planned: bool = False
    """Whether a planner made it. Of a plan that was handed in, the caller reads the results, and writes the answer."""
    approved: bool = False
    """Whether it is as a person has edited it."""
    by_id: Mapping[int, Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if faults := graph_faults(self.steps):
            raise PlanError(faults)
        object.__setattr__(self, "by_id", {step.id: step for step in self.steps})

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Step ids so that each comes after all that it needs."""
        return tuple(TopologicalSorter({step.id: step.needs for step in self.steps}).static_order())

    @cached_property
    def meanings(self) -> Mapping[int, str]:
        """What each step does, whatever its number: equal where the same is called with the same results."""
        found: dict[int, str] = {}
        for number in self.order:
            step = self.by_id[number]
            text = json.dumps([step.tool, step.call, *([step.when] if step.when else [])], sort_keys=True)
            meant = _REFERENCE.sub(lambda reference: found.get(int(reference[1]), reference[0]), text)
            found[number] = hashlib.sha256(meant.encode("utf-8", "replace")).hexdigest()
        return found

    @cached_property
    def dependents(self) -> Mapping[int, tuple[int, ...]]:
        """For each step, the steps that need its result."""
        found: dict[int, list[int]] = defaultdict(list)
        for step in self.steps:
            for needed in step.needs:
                found[needed].append(step.id)
        return {step.id: tuple(found[step.id]) for step in self.steps}

    @cached_property
    def depth(self) -> Mapping[int, int]:
        """For each step, the length of the longest chain of steps that leads to it, from 0."""
        depth: dict[int, int] = {}
        for step_id in self.order:
            depth[step_id] = max((depth[needed] + 1 for needed in self.by_id[step_id].needs), default=0)
        return depth

    @cached_property
    def height(self) -> Mapping[int, int]:
        """For each step, the length of the longest chain that waits for it. Higher ones are worth starting first."""
        height: dict[int, int] = {}
        for step_id in reversed(self.order):
            height[step_id] = max((height[after] + 1 for after in self.dependents[step_id]), default=0)
        return height

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Steps by depth. Only a picture: a step starts when its own inputs are ready, not when a level ends."""
        levels: list[list[int]] = [[] for _ in range(max(self.depth.values()) + 1)]
        for step in self.steps:
            levels[self.depth[step.id]].append(step.id)
        return tuple(map(tuple, levels))

    @cached_property
    def width(self) -> int:
        """The size of the largest level: about how many steps can run at once."""
        return max(map(len, self.levels))

    @cached_property
    def critical_path(self) -> tuple[int, ...]:
        """The longest chain of steps; no number of workers finishes the plan sooner."""
        path = [max(self.order, key=lambda step_id: self.height[step_id])]
        while after := self.dependents[path[-1]]:
            path.append(max(after, key=lambda step_id: self.height[step_id]))
        return tuple(path)

    @cached_property
    def last(self) -> tuple[int, ...]:
        """The steps whose results no other step refers to: what the plan is for. Mere order does not count."""
        used = {needed for step in self.steps for needed in step.refers}
        return tuple(step.id for step in self.steps if step.id not in used)

    def wire(self) -> list[JSON]:
        """The steps as they go over the wire and into the journal."""
        return [step.wire() for step in self.steps]


def graph_faults(steps: Sequence[Step], *, all_known: bool = True) -> list[Fault]:
    """Everything that keeps the steps from being a DAG: none at all, double ids, unknown dependencies, cycles.

    Unknown dependencies are faults only if all steps are known.
    """
    if not steps and not all_known:
        return []
    if not steps:
        return [Fault("plan", "it has no steps", "Give at least one step")]
    ids = Counter(step.id for step in steps)
    faults = [
        Fault(f"step {double}", f"{count} steps have the id {double}", "Give each step an id of its own")
        for double, count in ids.items()
        if count > 1
    ]
    known = ", ".join(map(str, sorted(ids))) if len(ids) <= 20 else f"{min(ids)} to {max(ids)}"
    for step in steps:
        referred = {each.step: each for each in find([step.arguments, step.for_each, step.when])}
        for needed in step.needs:
            if needed in ids or not all_known:
                continue
            how = f"it refers to {referred[needed]}" if needed in referred else f"it depends on step {needed}"
            faults.append(Fault(f"step {step.id}", f"{how}, which is not in the plan", f"Known steps: {known}"))
    # What several steps with one id wait for, each of them does not: that would look like a circle.
    return faults + _cycles(step for step in steps if ids[step.id] == 1)


def _cycles(steps: Iterable[Step]) -> list[Fault]:
    edges: defaultdict[int, set[int]] = defaultdict(set)
    for step in steps:
        edges[step.id].update(step.needs)
    faults: list[Fault] = []
    while len(faults) < 10:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            cycle: list[int] = error.args[1]
            chain = " -> ".join(map(str, cycle))
            where = f"step {cycle[0]}" if len(cycle) == 2 else f"steps {', '.join(map(str, sorted(set(cycle))))}"
            faults.append(Fault(where, f"they wait for each other: {chain}", "Drop one of these dependencies"))
            edges[cycle[1]].discard(cycle[0])
        else:
            break
    return faults
