"""Which runs this process drives: those it starts or takes over, until they end or wait for somebody."""

__all__ = ["Supervisor"]

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from forethought.engine import Engine
from forethought.engine.activation import Activation
from forethought.engine.deaths import Deaths
from forethought.engine.kinds import KINDS, kind_of
from forethought.engine.records import resuming
from forethought.engine.watchers import Watchers
from forethought.journal.database import DamagedError, StaleError
from forethought.journal.rows import OPEN, Fact, MessageRow, RunRow
from forethought_tools import JSON, FencedError, ForethoughtError, NotFoundError, StoreError

logger = logging.getLogger(__name__)

_LOOK = 0.25  # seconds between looks for what other processes have written
_ORPHANS = 1.0  # seconds between looks for runs that a dead process has left behind


class Supervisor:
    """The runs of one journal, as one process drives them, and watches those of others."""

    def __init__(self, engine: Engine, *, offer: Callable[[str], Awaitable[None]] | None = None) -> None:
        """`offer` has some server of a cluster drive a run; without it this process drives what it starts."""
        self.watchers = Watchers()
        self._engine = engine
        self._store = engine.store
        self._queries = engine.store.queries
        self._owner = engine.store.database.id
        self._offer = offer
        self._interrupted: set[str] = set()  # runs of ours whose journal could not be written for a while
        self._activations: dict[str, Activation] = {}
        self._deaths = Deaths(self._queries)
        self._claiming = anyio.Lock()  # between a claim and its activation nobody of ours may claim again
        self._tasks: TaskGroup

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[TaskGroup]:
        """Drive runs while this is open. On leaving, what is in flight is cut off; the journal knows what it was."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._look_elsewhere)
            yield self._tasks
            self._tasks.cancel_scope.cancel()

    # Claiming

    @property
    def first_owner(self) -> str:
        """Who drives a run that this process creates: nobody yet, where servers share the work."""
        return "" if self._offer else self._owner

    async def begin(self, run_id: str, *facts: Fact) -> RunRow:
        """Record the facts that create a run, and have it driven."""
        async with self._claiming:
            run = await self._own(run_id, *facts)
        if self._offer:
            await self._offer(run_id)
        return run

    async def ensure_driven(self, run_id: str) -> None:
        """Have a run driven that nobody drives although it could go on: its process is gone, or it was answered."""
        if self._can_go_on(self._queries.run(run_id)):
            await (self._offer or self._claim)(run_id)

    async def activate(self, run_id: str) -> None:
        """Drive a run here, if it can go on and nobody else does. Returns once it has ended, waits, or is another's."""
        await self._claim(run_id)
        if activation := self._activations.get(run_id):
            await activation.left.wait()

    async def wake(self, run_id: str) -> None:
        """Something was written about a run that concerns whoever drives it: an answer, a decision, a wish to stop."""
        if run_id in self._activations:
            self._activations[run_id].notice()
        await self.ensure_driven(run_id)
        self.watchers.ring(self._queries.run(run_id))

    def goes_on(self) -> bool:
        """Whether any run goes on, here or elsewhere, that may be driven here and needs nobody for it."""
        ids = [run_id for run_id, _ in self._queries.driven()] + self._queries.answered_while_parked()
        return any(self._moves(self._queries.run(run_id)) for run_id in ids)

    async def at_rest(self) -> None:
        """Wait until no run goes on."""
        while self.goes_on():
            with anyio.move_on_after(_ORPHANS):  # that a process has died is no news
                await self._queries.news.wait()

    def _moves(self, run: RunRow) -> bool:
        driven_elsewhere = run.owner not in (None, self._owner) and self._queries.alive(run.owner)
        return run.id in self._activations or self._can_go_on(run) or (driven_elsewhere and self._may_drive(run))

    def _can_go_on(self, run: RunRow) -> bool:
        if run.id in self._activations or run.state not in OPEN:
            return False
        if not self._may_drive(run) and not run.stopping:  # to end a run takes no folders
            return False
        if run.kind not in KINDS:  # a newer version knows it
            return False
        if run.owner is None:
            return run.state == "running" or run.id in self._queries.answered_while_parked()
        if run.owner == self._owner:
            return True
        return not self._queries.alive(run.owner) and not self._deaths.are_too_many(run)

    async def _claim(self, run_id: str) -> None:
        async with self._claiming:
            run = self._queries.run(run_id)
            if not self._can_go_on(run):
                return
            kind_of(run).read(run)  # nobody may claim what they cannot read
            oldest = time.time() - self._engine.decision_seconds
            claim: dict[str, JSON] = {"owner": self._owner, "previous": run.owner, "oldest": oldest}
            late = [Fact("lapsed", {"id": gate.id}) for gate in self._unused(run_id) if self._engine.is_late(gate)]
            with suppress(StaleError):  # another process was first
                await self._own(run_id, *late, Fact("run_claimed", claim))

    async def _own(self, run_id: str, *facts: Fact) -> RunRow:
        """Record what makes a run ours, and drive it if it is."""
        try:
            await self._store.write(run_id, *facts)
            run = self._queries.run(run_id)
            if run.owner == self._owner:  # we may count as dead already, and another process was quick
                self._drive(run)
        except (StaleError, DamagedError):
            raise
        except StoreError:
            self._interrupted.add(run_id)  # it may have been recorded all the same
            raise
        return run

    # Driving

    def _drive(self, run: RunRow) -> None:
        activation = Activation(run, self._engine, self.watchers)
        self._activations[run.id] = activation
        self._interrupted.discard(run.id)
        self._tasks.start_soon(self._driven, activation)

    async def _driven(self, activation: Activation) -> None:
        run = activation.run
        try:
            await self._drive_or_leave(activation)
        except* FencedError:
            logger.info("run %s is driven by another process now", run.id)
        except* StoreError as group:
            logger.error("run %s stops here: %s", run.id, group.exceptions[0])  # noqa: TRY400 - said once, without a traceback
            self._interrupted.add(run.id)
        except* Exception:
            # One run's trouble must not end the server and the runs of others.
            logger.exception("run %s stops here", run.id)
        finally:
            if self._activations.get(run.id) is activation:
                del self._activations[run.id]
            activation.left.set()
            self.watchers.ring(run)
        if activation.steps_aside:
            await self._go_on(run.id)

    async def _drive_or_leave(self, activation: Activation) -> None:
        try:
            await activation.drive()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._leave(activation.run)
            raise

    async def leave(self) -> None:
        """Record of the runs that are driven here that this process is about to be ended from outside."""
        for activation in list(self._activations.values()):
            await self._leave(activation.run)

    async def _leave(self, run: RunRow) -> None:
        """This server ends in good order, whatever the run was doing: it is not the run that ends it."""
        with suppress(StoreError, FencedError):
            await self._store.write(run.id, Fact("run_left"), epoch=run.epoch)

    # Looking

    async def _look_elsewhere(self) -> None:
        orphans_due = 0.0
        while True:
            try:
                self._tell(await self._queries.changes(_LOOK))
                for run_id in self._queries.answered_while_parked():
                    await self._go_on(run_id)
                if anyio.current_time() >= orphans_due:
                    orphans_due = anyio.current_time() + _ORPHANS
                    await self._take_over()
            except StoreError as error:
                logger.warning("%s", error)
                await anyio.sleep(_LOOK)

    async def _take_over(self) -> None:
        """Go on with runs whose process has died, and with our own that could not be recorded for a while."""
        for run_id, owner in self._queries.driven():
            if run_id not in self._activations and (owner != self._owner or run_id in self._interrupted):
                await self._go_on(run_id)

    async def _go_on(self, run_id: str) -> None:
        try:
            await self.ensure_driven(run_id)
        except DamagedError as error:  # others go on
            logger.warning("%s", error)

    def _tell(self, subjects: Collection[str]) -> None:
        """Of what was written. What is ours was told already, but somebody may have answered it."""
        for subject in self.watchers.watched | set(self._activations) if "" in subjects else subjects:
            if subject.startswith("plan_"):
                self.watchers.on_change(subject, None)
                continue
            with suppress(NotFoundError):  # it was forgotten meanwhile
                run = self._queries.run(subject)
                if activation := self._activations.get(subject):
                    activation.notice()
                    self.watchers.wake(subject)
                else:
                    if run.owner is None:
                        self._engine.ages.see(self._unused(subject))
                    self.watchers.ring(run)

    def _unused(self, run_id: str) -> list[MessageRow]:
        """The gates that a person has decided, and that the run has not acted on yet."""
        return [gate for gate in self._queries.messages(run_id, "gate") if gate.state == "answered"]

    # Folders

    def reachable(self, run: RunRow) -> None:
        """Make sure that somebody can go on with a run.

        Raises:
            ForethoughtError: it works in folders that are not ours, and nobody who has them is there.
        """
        if run.state in OPEN and not self._may_drive(run) and not self._queries.alive(run.owner):
            raise ForethoughtError(
                f"Run {run.id} works in other folders than this server may use. Go on with it where they are granted:"
                f" forethought {resuming(run.id, run.folders)}"
            )

    def _may_drive(self, run: RunRow) -> bool:
        """Whether a run was started here, or by a server that may touch the very same folders.

        What a call means depends on them: an approval given for one folder must not be used in another.
        """
        return run.folders == self._engine.records.folders
