"""Who is told when something happens to a run, wherever it is driven."""

__all__ = ["Watchers"]

from collections import defaultdict
from collections.abc import Callable

import anyio

from forethought.journal.rows import RunRow


class Watchers:
    """Those who wait for news of single runs, and whoever wants to hear of every change."""

    def __init__(self) -> None:
        self.on_change: Callable[[str, str | None], None] = lambda _, __: None
        """Told of each change: the plan, and the run if it is one of a run."""
        self._writing: dict[str, str] = {}
        self._events: defaultdict[str, set[anyio.Event]] = defaultdict(set)

    @property
    def watched(self) -> set[str]:
        """The runs that somebody waits for."""
        return set(self._events)

    def ring(self, run: RunRow) -> None:
        """Something has happened to a run."""
        self.wake(run.id)
        self.on_change(run.plan, run.id)

    def wake(self, run_id: str) -> None:
        """Have those who wait for a run look; what has happened was told to others before."""
        for event in self._events.pop(run_id, ()):
            event.set()

    def tell(self, run_id: str, written: str) -> None:
        """A model is writing for a run. Nobody is told who does not watch it: nothing has happened yet."""
        self._writing[run_id] = written
        self.wake(run_id)

    def hush(self, run_id: str) -> None:
        """It has ended."""
        self._writing.pop(run_id, None)

    def writing(self, run_id: str) -> str:
        """What a model of this process is writing for a run at the moment, if there is one."""
        return self._writing.get(run_id, "")

    async def changed(self, run_id: str, seconds: float) -> bool:
        """Wait for something to happen to a run; False after so many seconds of silence."""
        event = anyio.Event()
        self._events[run_id].add(event)
        try:
            with anyio.move_on_after(seconds):
                await event.wait()
                return True
            return False
        finally:
            self._events[run_id].discard(event)
            if not self._events[run_id]:
                del self._events[run_id]
