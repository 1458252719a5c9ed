"""One activation of one run: its kind re-runs over what is recorded, and what is new is recorded.

When nothing can go on without someone outside, the run parks: it becomes rows only, and whoever answers has it driven
again, by this process or another.
"""

__all__ = ["Activation"]

import logging
from typing import Any

import anyio
import anyio.lowlevel

from forethought.engine import Engine
from forethought.engine.cut_off import stopped
from forethought.engine.kinds import kind_of
from forethought.engine.kinds.kind import Ending, Work
from forethought.engine.lessons import learned
from forethought.engine.recipes import kept
from forethought.engine.recorder import Recorder
from forethought.engine.watchers import Watchers
from forethought.journal.rows import Fact, RunRow
from forethought_patterns import Paused, Problem
from forethought_tools import JSON, BudgetError, FencedError, ModelError, PlanError, SettingsError, StoreError

logger = logging.getLogger(__name__)


class Activation:
    """Drives one run until it ends or parks."""

    def __init__(self, run: RunRow, engine: Engine, watchers: Watchers) -> None:
        """`watchers` are told of each entry. Raises StoreError where the run is of no known kind."""
        self.run = run
        self.left = anyio.Event()
        """Set once nobody drives it here any more."""
        self._engine = engine
        self._queries = engine.store.queries
        self._kind = kind_of(run)
        self._options = self._kind.read(run)
        self._scope = anyio.CancelScope()
        self._parking = False
        self._stopping = bool(run.stopping)
        self._recorder = Recorder(
            run, engine, watchers=watchers, park=self._park, pauses_at_once=self._kind.pauses_at_once
        )

    async def drive(self) -> None:
        """Go on with the run. Returns when it has ended or is parked.

        Raises (in a group):
            FencedError: the run belongs to another process now.
            StoreError: the journal cannot be written; the run stops where it is.
        """
        with self._scope:
            if self._stopping:
                self._scope.cancel()
            elif self.run.pausing:
                self._recorder.pause()
            await anyio.lowlevel.checkpoint()
            try:
                await self._work()
            except* (FencedError, StoreError):
                raise
            except* Exception as group:
                logger.exception("run %s failed", self.run.id)
                problem = Problem(f"Internal error: {type(group.exceptions[0]).__name__}. The log has more.")
                await self._end(Ending(problem=problem))
        if self._queries.run(self.run.id).state != "running":
            return  # it ended before the cancellation reached it
        if self._stopping:
            await self._end_stopped()
        elif self.steps_aside:
            return
        elif self._parking:
            kind = "run_paused" if self._recorder.pausing() else "run_parked"
            await self._recorder.record(Fact(kind, {"seconds": self._recorder.spender.seconds}))

    @property
    def steps_aside(self) -> bool:
        """Whether all that it could do is done, and another activation is to go on with a changed plan."""
        return self._parking and self._recorder.superseded() and not self._recorder.pausing()

    def notice(self) -> None:
        """Someone may have answered, or asked to stop: look."""
        if self._queries.run(self.run.id).stopping:
            self._stopping = True
            self._scope.cancel()  # what is in flight; then the run ends
        self._recorder.pause()
        self._recorder.notice()

    def _park(self) -> None:
        self._parking = True
        self._scope.cancel()

    async def _work(self) -> None:
        while True:
            try:
                await self._end(await self._kind.drive(self._given()))
            except Paused:
                self._parking = self._recorder.pausing()
                if self._parking:
                    return
                self.run = self._queries.run(self.run.id)  # it has paused, and is to go on already
            except (PlanError, ModelError, BudgetError, SettingsError) as error:
                await self._end(Ending(problem=Problem(str(error))))
                return
            else:
                return

    def _given(self) -> Work[Any]:
        engine = self._engine
        return Work(self.run, self._options, engine.records, self._recorder, engine.models, engine.brief)

    async def _end(self, ending: Ending) -> None:
        state = "failed" if ending.problem else "succeeded"
        taught = ending.lessons if ending.problem and self._engine.lessons else ()
        ended = self._ended(state, str(ending.problem or ""), ending.answer)
        found = kept(self._engine.records, self.run) if ending.worth_keeping and self._engine.recipes else ()
        await self._recorder.record(*ending.facts, ended, *learned(self._queries, self.run, taught), *found)

    async def _end_stopped(self) -> None:
        facts, why = stopped(self._engine.records, self.run)
        await self._recorder.record(*facts, self._ended("cancelled", why))

    def _ended(self, state: str, error: str, answer: JSON = "") -> Fact:
        revision = None if state == "cancelled" else self._recorder.revision
        body: dict[str, JSON] = {"state": state, "error": error, "answer": answer, "revision": revision}
        return Fact("run_ended", {**body, "seconds": self._recorder.spender.seconds})
