"""How the loops of a plan are shown: how many items each has, how many are done, and the items themselves."""

__all__ = ["Loops", "items_of"]

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from forethought.journal.codec import item_of
from forethought.journal.rows import StepRow
from forethought_patterns import Step
from forethought_patterns.watcher import Item
from forethought_tools import JSON


def items_of(loop: int, rows: Iterable[StepRow]) -> Sequence[StepRow]:
    """The rows of the items that a loop has, of those of its run."""
    return [row for row in rows if not row.dropped and (known := item_of(row)) and known[0] == loop]


class Loops:
    """The items of the loops of a run, by loop."""

    def __init__(self, rows: Iterable[StepRow]) -> None:
        self._items: defaultdict[int, list[tuple[Item, StepRow]]] = defaultdict(list)
        for row in rows:
            if not row.dropped and (known := item_of(row)):
                loop, _, item = known
                self._items[loop].append((item, row))

    def counted(self, step: Step) -> str:
        """In words: what a loop goes over, and how far it is, as soon as that is known; and a condition."""
        items = self._items.get(step.id) if step.is_loop else None
        if items is None:
            return step.turns
        done = sum(row.state == "succeeded" for _, row in items)
        return f"{step.turns} x {len(items)}, {done} done"

    def state(self, step: Step, row: StepRow) -> str:
        """The state of a step: a loop runs while its items do, and waits where all that is left of them waits."""
        ended = row.state not in ("pending", "waiting")
        states = set[str]() if ended else {each.state for _, each in self._items.get(step.id, ())}
        if not states - {"pending"}:
            return row.state
        return "waiting" if "waiting" in states and not states & {"pending", "running"} else "running"

    def expanded(self, steps: Sequence[Step]) -> list[tuple[Step, Mapping[str, JSON]]]:
        """The steps, each loop followed by its items; with what else is to be said of these."""
        found: list[tuple[Step, Mapping[str, JSON]]] = []
        for step in steps:
            found.append((step, {}))
            for item, _ in sorted(self._items.get(step.id, ()), key=lambda each: each[0].index) if step.is_loop else ():
                found.append((item.step, {"item_of": step.id, "item": item.index + 1}))
        return found

    def progress(self, step: Step, row: StepRow | None) -> Mapping[str, JSON]:
        """How far a loop is, and how many of its items are done, once it is known how many there are."""
        items = self._items.get(step.id) if step.is_loop else None
        if not items or row is None:
            return {}
        done = sum(each.state == "succeeded" for _, each in items)
        return {"state": self.state(step, row), "items": f"{done} of {len(items)} done"}
