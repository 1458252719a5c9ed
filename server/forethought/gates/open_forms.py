"""The forms that clients have open. They outlive the calls that opened them: a person may take longer than any call."""

__all__ = ["OpenForms"]

import logging
from collections.abc import Awaitable, Callable, Collection, Hashable

from anyio.abc import TaskGroup

logger = logging.getLogger(__name__)


class OpenForms:
    """The forms of one server, each known by its client and its gate."""

    def __init__(self, tasks: TaskGroup) -> None:
        """Forms stay open as long as `tasks` do."""
        self._tasks = tasks
        self._open: set[Hashable] = set()

    def show(self, keys: Collection[Hashable], ask: Callable[[], Awaitable[None]], closed: Callable[[], None]) -> None:
        """Have somebody asked, by one form about all of these, unless they are asked about any of them already.
        `closed` is told once they no longer are."""
        if self._open.isdisjoint(keys):
            self._open.update(keys)
            self._tasks.start_soon(self._keep, keys, ask, closed)

    def is_open(self, key: Hashable) -> bool:
        """Whether a person may still answer this form."""
        return key in self._open

    async def _keep(
        self, keys: Collection[Hashable], ask: Callable[[], Awaitable[None]], closed: Callable[[], None]
    ) -> None:
        try:
            await ask()
        except Exception:
            # The gate stays open, and one form's trouble must not end the server.
            logger.exception("a form could not be shown or read")
        finally:
            self._open.difference_update(keys)
            closed()
