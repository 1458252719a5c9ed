"""How the loops of a plan are shown: how many items each has, how many are done, and the items themselves."""

__all__ = ["Loops"]

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from forethought.journal.codec import item_of
from forethought.journal.rows import StepRow
from forethought_patterns import Step
from forethought_patterns.watcher import Item
from forethought_tools import JSON


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

    def expanded(self, steps: Sequence[Step]) -> list[tuple[Step, Mapping[str, JSON]]]:
        """The steps, each loop followed by its items; with what else is to be said of these."""
        found: list[tuple[Step, Mapping[str, JSON]]] = []
        for step in steps:
            found.append((step, {}))
            for item, _ in sorted(self._items.get(step.id, ()), key=lambda each: each[0].index) if step.is_loop else ():
                found.append((item.step, {"item_of": step.id, "item": item.index + 1}))
        return found

    def progress(self, step: Step) -> Mapping[str, JSON]:
        """How many items of a loop there are, and how many are done, once that is known."""
        items = self._items.get(step.id) if step.is_loop else None
        return {"items": f"{sum(row.state == 'succeeded' for _, row in items)} of {len(items)} done"} if items else {}
