"""How old a person's answers are, though clocks are set back, and differ between machines."""

__all__ = ["Ages"]

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from forethought.journal.rows import MessageRow

_SKEW = 60.0  # seconds by which the clocks of machines that share a journal may differ
_MOST = 10_000  # answers that are remembered


class Ages:
    """What this process knows of when answers were given.

    While it lives, a clock that nobody can set counts from the moment at which it first saw an answer. What was
    answered before has only its date, which counts in both directions.
    """

    def __init__(self, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._seen: OrderedDict[tuple[str, float], float] = OrderedDict()

    def see(self, messages: Iterable[MessageRow]) -> None:
        """From now on these answers grow older, whatever is done to the clock."""
        for message in messages:
            if message.answered is not None:
                self._seen.setdefault((message.id, message.answered), self._steady())
        while len(self._seen) > _MOST:
            self._seen.popitem(last=False)

    def is_older(self, message: MessageRow, seconds: float) -> bool:
        """Whether an answer is older than that, as far as any clock can tell. One from the future is."""
        if message.answered is None:
            return False
        self.see([message])
        # Both clocks, since a steady one stands still while a laptop sleeps.
        steady = self._steady() - self._seen[message.id, message.answered]
        return steady > seconds or not -_SKEW <= self._clock() - message.answered <= seconds
