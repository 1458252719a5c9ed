"""The approval page that a server opens where its client cannot show a form, but can have a person open an address.

The code of the page must reach the person and not the agent, and a server has no terminal to show it in. So it goes
into a file that only this user can read, and `forethought decide --code` shows it in a terminal of theirs.
"""

__all__ = ["Desk", "codes"]

import json
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup

from forethought.gates.decisions import Record
from forethought.journal.rows import MessageRow
from forethought.journal.store import Store
from forethought_tools import StoreError

logger = logging.getLogger(__name__)


class Desk:
    """One page for everything that waits, opened on demand and closed when nothing waits any more."""

    def __init__(
        self,
        home: Path,
        store: Store,
        tasks: TaskGroup,
        *,
        record: Record,
        seconds: float,
    ) -> None:
        self._file = _folder(home) / f"{os.getpid()}.json"
        self._store = store
        self._tasks = tasks
        self._record = record
        self._seconds = seconds
        self._url = ""
        self._opening = anyio.Lock()

    async def url(self) -> str:
        """The address of the page, which is open from now on."""
        async with self._opening:
            if not self._url:
                self._url = str(await self._tasks.start(self._serve))
            return self._url

    async def _serve(self, *, task_status: anyio.abc.TaskStatus[str]) -> None:
        from forethought.gates.page import Page  # here, because few servers ever open one

        page = Page(self._store, self._waiting, record=self._record, show_code=self._keep, seconds=self._seconds)
        try:
            await page.serve(task_status=task_status)
        except* StoreError as group:
            logger.error("the approval page is closed: %s", group.exceptions[0])  # noqa: TRY400 - the message says it
        finally:
            self._url = ""
            self._file.unlink(missing_ok=True)

    def _waiting(self) -> Sequence[MessageRow]:
        return self._store.queries.open_messages(kind="gate")

    def _keep(self, url: str, code: str) -> None:
        self._url = url  # it may have moved
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_suffix(".new")  # whoever looks meanwhile must find the file whole
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"url": url, "code": code}), encoding="utf-8")
        fresh.replace(self._file)


def codes(home: Path) -> list[tuple[str, str]]:
    """The address and the present code of each page that a server has open."""
    open_pages: list[tuple[str, str]] = []
    for file in sorted(_folder(home).glob("*.json")):
        page: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        if _answers(page["url"]):
            open_pages.append((page["url"], page["code"]))
        else:
            file.unlink(missing_ok=True)  # its server died without a word
    return open_pages


def _answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=1):
            return True
    except OSError:
        return False


def _folder(home: Path) -> Path:
    return home / "pages" / socket.gethostname()  # machines may share a home, and cannot open each other's pages
