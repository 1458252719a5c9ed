"""Steps of a draft while it is still being written: each may start the moment its last character is there.

Only steps that merely read start early. Whatever writes, or waits for a person, waits for the whole plan.
"""

__all__ = ["Arrivals"]

from typing import Any

import ijson  # type: ignore[import-untyped]  # it has no types

from forethought_patterns.compiler import Add
from forethought_patterns.drafts import wire_step
from forethought_patterns.gates import Policy, call_gate
from forethought_patterns.numbering import counts_from_0
from forethought_patterns.plan import Step
from forethought_patterns.validate import read_step
from forethought_tools import PlanError, Registry


class Arrivals:
    """Hears a draft in pieces of any size, and offers its steps to the scheduler, each once."""

    def __init__(self, tools: Registry, policy: Policy, add: Add) -> None:
        self._offered: set[int] = set()
        self._tools = tools
        self._policy = policy
        self._add = add
        self._parser: Any = None
        self._whole: Any = ijson.sendable_list()

    def heard(self, text: str | None) -> None:
        """Take the next piece of the draft's text; `None` begins a new draft."""
        if text is None:
            self._begin()
        elif self._parser is not None and text:  # to the parser nothing means the end
            try:
                self._parser.send(text.encode())
            except (ijson.JSONError, StopIteration):
                self._parser = None  # no JSON from here on: whoever reads the whole draft says so
            self._take()

    def _begin(self) -> None:
        self._whole = ijson.sendable_list()
        self._parser = ijson.items_coro(self._whole, "steps.item", use_float=True)

    def _take(self) -> None:
        complete, self._whole[:] = list(self._whole), []
        for raw in complete:
            if counts_from_0([raw]):
                self._parser = None  # each step gets another number once the draft is whole
                return
            try:
                step = read_step(wire_step(raw, self._tools), self._tools)
            except PlanError:
                continue  # among the faults of the whole plan
            if step.id not in self._offered and self._may_start(step):
                self._offered.add(step.id)
                self._add(step)

    def _may_start(self, step: Step) -> bool:
        if step.is_loop or step.when:
            return False
        asks = call_gate(step, step.arguments, self._tools, self._policy)
        return self._tools.reads_only(step.tool) and asks is None and not (step.check and step.check.call())
