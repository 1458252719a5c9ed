"""The `forethought` command. Its parts are imported when they are used, so that it starts fast."""

__all__ = ["innermost", "main", "parser"]

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import cast

from forethought.cli.commands import parser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 not done, 2 wrong usage or setting, 3 a person is needed."""
    options = vars((known := parser()).parse_args(arguments))
    if "run" not in options:
        known.print_help(sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    for handler in logging.root.handlers:
        handler.setFormatter(_Formatter("%(name)s: %(message)s"))
    try:
        return run_command(options)
    except BrokenPipeError:  # whoever read this has seen enough; what is left must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("forethought: interrupted", file=sys.stderr, flush=True)
        # A thread may still wait for a line from the terminal, and an ordinary exit would wait for the thread.
        os._exit(130)
    except Exception as error:
        return _failed(error)


class _Formatter(logging.Formatter):
    """What the log says of files and models must not reach a terminal as something that it obeys."""

    def format(self, record: logging.LogRecord) -> str:
        from forethought_tools.visible import harmless

        return harmless(super().format(record))


def _failed(error: Exception) -> int:
    """Say what went wrong: in a sentence if it is an error of ours, else with the place in our code."""
    from forethought_tools import ForethoughtError, NotFoundError, SettingsError
    from forethought_tools.visible import harmless

    cause = innermost(error)
    if not isinstance(cause, ForethoughtError):
        print(harmless("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        return 1
    listed = " `forethought runs` lists the runs there are." if type(cause) is NotFoundError else ""
    print(harmless(f"forethought: {cause}{listed}"), file=sys.stderr)
    return 2 if isinstance(error, SettingsError) else 1


def innermost(error: BaseException) -> BaseException:
    """The first error inside groups of errors, which is how task groups raise what goes wrong in them."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
