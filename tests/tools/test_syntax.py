"""Scripts and expressions are read in threads, several at once."""

import gc
import sys
import threading
import traceback
import warnings
from collections.abc import Generator

import pytest

from forethought_patterns.recipe import called
from forethought_tools.arithmetic import checked

SCRIPT = "\n".join(f'text{n} = search_files("\\d+", lines=[{n}, ({n} + 1) * 2])' for n in range(40))
EXPRESSION = "+".join(["round(mean([3, (4 - 1) * 2]), 1)"] * 40)


class Garbage:
    """What is collected in the middle of whatever allocates, and lets another thread go on there."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(20):
            pass


def raise_in(first: int, second: int) -> None:
    raise ValueError(first + [0, 1][0] * (second - first))


@pytest.fixture
def busy() -> Generator[None]:
    """Garbage is looked for often, and threads take turns often."""
    seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(seconds)


@pytest.mark.usefixtures("busy")
def test_threads_that_read_scripts_and_expressions_at_once_do_not_fail_each_other() -> None:
    failed: list[Exception] = []
    filters = [*warnings.filters]

    def read() -> None:
        try:
            for _ in range(40):
                Garbage()
                called(SCRIPT)
                checked(EXPRESSION)
        except Exception as error:
            failed.append(error)

    def log() -> None:
        """To show where something went wrong, `traceback` parses a line of it."""
        while not done.is_set():
            try:
                raise_in(1, (2 + 3) * 4)
            except ValueError:
                traceback.format_exc()

    done = threading.Event()
    readers, loggers = ([threading.Thread(target=each) for _ in range(3)] for each in (read, log))
    for thread in (*readers, *loggers):
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    for thread in loggers:
        thread.join()
    assert failed == []
    assert [*warnings.filters] == filters, "what is not to be warned of is the parser's business alone"
