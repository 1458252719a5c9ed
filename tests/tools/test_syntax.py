"""Scripts and expressions are read in threads, several at once."""

import gc
import sys
import threading
from collections.abc import Generator

import pytest

from forethought_patterns.recipe import called
from forethought_tools.arithmetic import checked

SCRIPT = "\n".join(f'text{n} = read_file("a.txt", lines=[{n}, ({n} + 1) * 2])' for n in range(40))
EXPRESSION = "+".join(["round(mean([3, (4 - 1) * 2]), 1)"] * 40)


class Garbage:
    """What is collected in the middle of whatever allocates, and lets another thread go on there."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(20):
            pass


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

    def read() -> None:
        try:
            for _ in range(40):
                Garbage()
                called(SCRIPT)
                checked(EXPRESSION)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
