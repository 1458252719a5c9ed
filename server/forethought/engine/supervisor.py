"""Which runs this process drives: those it starts or takes over, until they end or wait for somebody."""

__all__ = ["OPEN", "Driving"]

import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from forethought.engine.activation import Driver
from forethought.engine.lessons import workspace_of
from forethought.engine.records import Records, resuming
from forethought.journal.database import DamagedError, StaleError
from forethought.journal.rows import Fact, RunRow
from forethought.journal.store import Store
from forethought.models import Models
from forethought.terms import Terms
from forethought_patterns import Brief
from forethought_tools import JSON, FencedError, ForethoughtError, NotFoundError, Registry, StoreError

logger = logging.getLogger(__name__)

_LOOK = 0.25  # seconds between looks for what other processes have written
_ORPHANS = 1.0  # seconds between looks for runs that a dead process has left behind
_CITED = 3  # lessons that a planner is told
OPEN = ("running", "waiting")


class Driving(Records):
    """The runs of one journal, as one process drives them, and watches those of others."""

    def __init__(
        self,
        store: Store,
        tools: Registry,
        models: Models,
        *,
        folders: Sequence[str] = (),
        terms: Terms | None = None,
        decision_seconds: float = 3600.0,
        look: Callable[[str], Brief] = Brief,
        lessons: bool = True,
        offer: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`terms` hold for every run; `look` tells a planner of a goal and the files that it names; with `lessons`
        what runs teach is kept, and told to planners; `offer` has some server of a cluster drive a run, and without
        it this process drives what it starts."""
        super().__init__(store, tools, folders)
        self._terms = terms or Terms()
        self._decision_seconds = decision_seconds
        self._look_at = look
        self._lessons = lessons
        self.on_change: Callable[[str, str | None], None] = lambda _, __: None
        """Told of each change: the plan, and the run if it is one of a run."""
        self._models = models
        self._owner = store.database
        self._offer = offer
        self._interrupted: set[str] = set()  # runs of ours whose journal could not be written for a while
        self._drivers: dict[str, Driver] = {}
        self._claiming = anyio.Lock()  # between a claim and its driver nobody of ours may claim again
        self._watchers: defaultdict[str, set[anyio.Event]] = defaultdict(set)
        self._tasks: TaskGroup

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[TaskGroup]:
        """Drive runs while this is open. On leaving, what is in flight is cut off; the journal knows what it was."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._look_elsewhere)
            yield self._tasks
            self._tasks.cancel_scope.cancel()

    async def ensure_driven(self, run_id: str) -> None:
        """Have a run driven that nobody drives although it could go on: its process is gone, or it was answered."""
        if self._can_go_on(self.queries.run(run_id)):
            await (self._offer or self._claim)(run_id)

    async def activate(self, run_id: str) -> None:
        """Drive a run here, if it can go on and nobody else does. Returns once it has ended, waits, or is another's."""
        await self._claim(run_id)
        if driver := self._drivers.get(run_id):
            await driver.left.wait()

    def _can_go_on(self, run: RunRow) -> bool:
        if run.id in self._drivers or run.state not in OPEN:
            return False
        if not self.may_drive(run) and not run.stopping:  # to end a run takes no folders
            return False
        if run.owner is None:
            return run.state == "running" or run.id in self.queries.answered_while_parked()
        return run.owner == self._owner.id or not self.queries.alive(run.owner)

    async def _claim(self, run_id: str) -> None:
        async with self._claiming:
            run = self.queries.run(run_id)
            if not self._can_go_on(run):
                return
            oldest = time.time() - self._decision_seconds
            claim: dict[str, JSON] = {"owner": self._owner.id, "previous": run.owner, "oldest": oldest}
            with suppress(StaleError):  # another process was first
                await self._own(run_id, Fact("run_claimed", claim))

    async def _own(self, run_id: str, *facts: Fact) -> RunRow:
        """Record what makes a run ours, and drive it if it is."""
        try:
            await self.store.write(run_id, *facts)
            run = self.queries.run(run_id)
            if run.owner == self._owner.id:  # we may count as dead already, and another process was quick
                self._drive(run)
        except (StaleError, DamagedError):
            raise
        except StoreError:
            self._interrupted.add(run_id)  # it may have been recorded all the same
            raise
        return run

    def _drive(self, run: RunRow) -> None:
        driver = Driver(
            run,
            store=self.store,
            tools=self.tools,
            models=self._models,
            load=self.plan,
            look=self._brief,
            changed=self._ring,
            decision_seconds=self._decision_seconds,
            lessons=self._lessons,
        )
        self._drivers[run.id] = driver
        self._interrupted.discard(run.id)
        self._tasks.start_soon(self._driven, driver)

    async def _driven(self, driver: Driver) -> None:
        try:
            await driver.drive()
        except* FencedError:
            logger.info("run %s is driven by another process now", driver.run.id)
        except* StoreError as group:
            logger.error("run %s stops here: %s", driver.run.id, group.exceptions[0])  # noqa: TRY400 - said once
            self._interrupted.add(driver.run.id)
        except* Exception:
            # One run's trouble must not end the server and the runs of others.
            logger.exception("run %s stops here", driver.run.id)
        finally:
            if self._drivers.get(driver.run.id) is driver:
                del self._drivers[driver.run.id]
            driver.left.set()
            self._ring(driver.run)

    async def _look_elsewhere(self) -> None:
        orphans_due = 0.0
        while True:
            try:
                self._tell(await self.queries.changes(_LOOK))
                for run_id in self.queries.answered_while_parked():
                    await self._go_on(run_id)
                if anyio.current_time() >= orphans_due:
                    orphans_due = anyio.current_time() + _ORPHANS
                    await self._take_over()
            except StoreError as error:
                logger.warning("%s", error)
                await anyio.sleep(_LOOK)

    async def _take_over(self) -> None:
        """Go on with runs whose process has died, and with our own that could not be recorded for a while."""
        for run_id, owner in self.queries.driven():
            if run_id not in self._drivers and (owner != self._owner.id or run_id in self._interrupted):
                await self._go_on(run_id)

    async def _go_on(self, run_id: str) -> None:
        try:
            await self.ensure_driven(run_id)
        except DamagedError as error:  # others go on
            logger.warning("%s", error)

    def _tell(self, subjects: Collection[str]) -> None:
        """Of what was written. What is ours was told already, but somebody may have answered it."""
        for subject in {*self._watchers, *self._drivers} if "" in subjects else subjects:
            if subject.startswith("plan_"):
                self.on_change(subject, None)
                continue
            with suppress(NotFoundError):  # it was forgotten meanwhile
                run = self.queries.run(subject)
                if driver := self._drivers.get(subject):
                    driver.notice()
                    self._wake_watchers(subject)
                else:
                    self._ring(run)

    # Watching

    def _ring(self, run: RunRow) -> None:
        self._wake_watchers(run.id)
        self.on_change(run.plan, run.id)

    def _wake_watchers(self, run_id: str) -> None:
        for event in self._watchers.pop(run_id, ()):
            event.set()

    async def changed(self, run_id: str, seconds: float) -> bool:
        """Wait for something to happen to a run; False after so many seconds of silence."""
        event = anyio.Event()
        self._watchers[run_id].add(event)
        try:
            with anyio.move_on_after(seconds):
                await event.wait()
                return True
            return False
        finally:
            self._watchers[run_id].discard(event)
            if not self._watchers[run_id]:
                del self._watchers[run_id]

    async def _wake(self, run_id: str) -> None:
        if run_id in self._drivers:
            self._drivers[run_id].notice()
        await self.ensure_driven(run_id)
        self._ring(self.queries.run(run_id))

    @property
    def terms(self) -> Terms:
        """What holds for a run unless whoever starts it wants stricter terms."""
        return self._terms

    def reachable(self, run: RunRow) -> None:
        """Make sure that somebody can go on with a run.

        Raises:
            ForethoughtError: it works in folders that are not ours, and nobody who has them is there.
        """
        if run.state in OPEN and not self.may_drive(run) and not self.queries.alive(run.owner):
            raise ForethoughtError(
                f"Run {run.id} works in other folders than this server may use. Go on with it where they are granted:"
                f" forethought {resuming(run.id, run.options)}"
            )

    def may_drive(self, run: RunRow) -> bool:
        """Whether a run started here, or by a server that may touch the very same folders.

        What a call means depends on them: an approval given for one folder must not be used in another.
        """
        return run.options.get("folders") == self.folders

    def _brief(self, goal: str) -> Brief:
        """What a planner is told of a goal: the files that it names, and what runs in these folders have taught."""
        brief = self._look_at(goal)
        if not self._lessons:
            return brief
        near = self.queries.lessons(workspace_of(self.folders), about=goal, limit=_CITED)
        return replace(brief, lessons=[lesson.text for lesson in near])
