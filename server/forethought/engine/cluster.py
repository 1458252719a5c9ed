"""Servers of one PostgreSQL share the runs out, through a queue of DBOS Transact.

One activation of a run (from a claim until it ends or waits) is one DBOS workflow. DBOS only decides which server
drives it: what is done and what is not stands in the journal, so a workflow has no steps of its own, and can be handed
to another server at any moment. Whoever claims the run drives it; a second activation of it finds nothing to do.
"""

__all__ = ["Cluster"]

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, TypeAlias

from anyio import CancelScope, create_task_group, sleep, to_thread
from anyio.from_thread import BlockingPortal
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions
from dbos import error as dbos_errors
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from forethought.journal.database import BrokenError
from forethought.journal.postgres import Postgres
from forethought_tools import StoreError

logger = logging.getLogger(__name__)

_NAME, _SCHEMA = "forethought", "forethought_dbos"
# Runs that one server drives at a time (those that wait for somebody do not count), and seconds between looks.
_QUEUE: Any = {"worker_concurrency": 64, "polling_interval_sec": 0.1, "on_conflict": "always_update"}
_SWEEP = 1.0  # seconds between looks for what dead servers had taken
_AGAIN = 3.0  # seconds until a run that still needs a driver is offered once more
_SOON = 0.5  # the same for one that was being driven
_LEAVE = 5.0  # seconds that a look into the queue may take on leaving

Activate: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]
_here: "Cluster | None" = None  # DBOS is one to a process


class Cluster:
    """This server's part in the work of all servers of one store that may use the very same folders."""

    def __init__(self, url: str, owner: Postgres, folders: Sequence[str]) -> None:
        self.owner = owner
        self._url = url
        self._queue = f"runs-{hashlib.sha256(json.dumps(list(folders)).encode()).hexdigest()[:12]}"
        self._config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": url,
            "dbos_system_schema": _SCHEMA,
            "executor_id": owner.id,
            "application_version": "1",  # what waits must not wait for a version that is gone
            "max_executor_threads": 8,
            "sys_db_pool_size": 5,
            "log_level": "ERROR",
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
        }
        self._dbos: DBOS | None = None
        self._activate: Activate
        self._portal: BlockingPortal
        self._offered: dict[str, float] = {}
        self._driving: set[str] = set()

    @asynccontextmanager
    async def joined(self, activate: Activate) -> AsyncGenerator[None]:
        """Take part while this is open: `activate` is called with runs that are to be driven here."""
        global _here
        self._activate = activate
        async with BlockingPortal() as self._portal:
            _here = self
            try:
                await to_thread.run_sync(self._launch)
                async with create_task_group() as tasks:
                    tasks.start_soon(self._sweep)
                    yield
                    tasks.cancel_scope.cancel()
            finally:
                with CancelScope(shield=True):
                    await to_thread.run_sync(self._leave)
                    await self._portal.stop(cancel_remaining=True)
                _here = None

    def _launch(self) -> None:
        try:
            self._prepare_queue()
            self._dbos = DBOS(config=self._config)
            DBOS.listen_queues([self._queue])
            DBOS.launch()
            DBOS.register_queue(self._queue, **_QUEUE)
        except (dbos_errors.DBOSException, SQLAlchemyError) as error:
            raise StoreError(
                f"FORETHOUGHT_STORE: there can be no queue in the database ({_first_line(error)})."
            ) from None

    def _prepare_queue(self) -> None:
        """Have a queue before DBOS starts, where its tables are there already: then it is served at once, and not a
        second later."""
        client = DBOSClient(
            system_database_url=self._url, dbos_system_schema=_SCHEMA, application_name=_NAME, lazy=True
        )
        try:
            client.register_queue(self._queue, **_QUEUE)
        except ProgrammingError:
            pass
        finally:
            client.destroy()

    def _leave(self) -> None:
        # DBOS closes its loop first, and ends its queue after that: what was taken in between could not begin, and a
        # loop that has stopped without being closed yet would keep us for ten seconds.
        if self._dbos:
            for event in self._dbos.background_thread_stop_events:
                event.set()
        for thread in threading.enumerate():
            # One that is only being started is listed too. It cannot be joined, and will find that all is to stop.
            if thread.name.startswith("queue-worker-") and thread.is_alive():
                thread.join(_LEAVE)
        DBOS.destroy()

    async def offer(self, run_id: str) -> None:
        """Have some server drive this run, unless that was asked for a moment ago."""
        now = time.monotonic()
        self._offered = {run: at for run, at in list(self._offered.items()) if at > now - _AGAIN}
        if run_id not in self._offered:
            self._offered[run_id] = now
            await to_thread.run_sync(self._enqueue, run_id)

    async def drive(self, run_id: str) -> None:
        """Called by DBOS, in a loop of its own: the run is driven where everything else is."""
        self._offered.pop(run_id, None)  # there may be reason for the next activation once this has ended
        workflow = str(DBOS.workflow_id)
        self._driving.add(workflow)
        try:
            # DBOS cancels what it began when it shuts down, natively. The activation does not hear of that: it is cut
            # off with everything else of this server, after what is being recorded just then is recorded.
            left, loop = asyncio.Event(), asyncio.get_running_loop()

            def tell(_: Future[None]) -> None:
                with suppress(RuntimeError):  # DBOS has closed its loop
                    loop.call_soon_threadsafe(left.set)

            # Nor does it run in the workflow's context: what it begins outlives the workflow, and is no child of it.
            driven = Context().run(self._portal.start_task_soon, self._activate, run_id)
            driven.add_done_callback(tell)
            await left.wait()
            driven.result()
        finally:
            self._driving.discard(workflow)

    async def _sweep(self) -> None:
        """Put back into the queue what dead servers had taken, and what has ended here without being recorded: the
        database was away. Clear away what is done."""
        suspected: set[str] = set()
        while True:
            try:
                taken = await to_thread.run_sync(self._taken)
                ours = {workflow for workflow, server in taken if server == self.owner.id} - self._driving
                lost = {workflow for workflow, server in taken if not self.owner.alive(server)} | ours & suspected
                suspected = ours  # what was taken just now may not have begun yet
                for workflow in lost:
                    logger.info("activation %s goes back to the queue", workflow)
                    await to_thread.run_sync(self._put_back, workflow)
            except (dbos_errors.DBOSException, SQLAlchemyError, BrokenError) as error:
                logger.warning("the queue cannot be looked at: %s", _first_line(error))
            await sleep(_SWEEP)

    def _enqueue(self, run_id: str) -> None:
        try:
            with SetEnqueueOptions(deduplication_id=run_id):
                DBOS.enqueue_workflow(self._queue, activation, run_id)
        except dbos_errors.DBOSQueueDeduplicatedError:
            # It is in the queue, or a server has it: maybe one that is just about to leave it.
            self._offered[run_id] = time.monotonic() - _AGAIN + _SOON
        except (dbos_errors.DBOSException, SQLAlchemyError) as error:
            logger.warning("run %s could not be offered: %s", run_id, _first_line(error))

    def _taken(self) -> list[tuple[str, str]]:
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            queue_name=self._queue,
            limit=100,
            load_input=False,
            load_output=False,
        )
        if ended:
            DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
        taken = DBOS.list_workflows(status="PENDING", queue_name=self._queue, load_input=False, load_output=False)
        return [(workflow.workflow_id, workflow.executor_id or "") for workflow in taken]

    def _put_back(self, workflow: str) -> None:
        DBOS.resume_workflow(workflow, queue_name=self._queue)


def _first_line(error: Exception) -> str:
    """What SQLAlchemy says of an error, without its advertisement."""
    return str(error).partition("\n")[0]


@DBOS.workflow(name="activation", max_recovery_attempts=None)
async def activation(run_id: str) -> None:
    """Drive a run on this server, until it ends or waits."""
    if _here is not None:
        await _here.drive(run_id)
