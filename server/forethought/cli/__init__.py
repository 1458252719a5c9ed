"""The `forethought` command. Its parts are imported when they are used, so that it starts fast."""

__all__ = ["innermost", "is_terminal", "main", "parser"]

import io
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from typing import Any, cast

from forethought.cli.commands import SERVE, parser, run_command
from forethought.cli.completion import offer
from forethought.cli.options import with_goal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 not done, 2 wrong usage or setting, 3 a person is needed."""
    for stream in (sys.stdout, sys.stderr):  # what the other side cannot show has its number: nothing else is lost
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")
    options = _options(sys.argv[1:] if arguments is None else arguments)
    if "run" not in options:
        parser().print_help(sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    for handler in logging.root.handlers:
        handler.setFormatter(_Formatter("%(name)s: %(message)s"))
    try:
        return run_command(options)
    except BrokenPipeError:  # whoever read this has seen enough; what is left must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        from forethought_tools.visible import harmless

        print(harmless(f"forethought: interrupted. {error}".rstrip()), file=sys.stderr, flush=True)
        # A thread may still wait for a line from the terminal, and an ordinary exit would wait for the thread.
        os._exit(130)
    except Exception as error:
        return _failed(error)


def _options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """What was typed. What is wrong with it ends the program, but for a server whose client would not hear of it."""
    known, said = parser(), io.StringIO()
    if "_ARGCOMPLETE" in os.environ:
        offer(known)
    try:
        with redirect_stderr(said):
            found, rest = known.parse_known_args(arguments)
            return with_goal(vars(found), rest, known)
    except SystemExit as ended:
        sys.stderr.write(said.getvalue())
        if not ended.code or not arguments or arguments[0] != "serve" or is_terminal():
            raise
        wrong = said.getvalue().strip().rpartition("error: ")[2]
        return {"run": SERVE, "wrong": wrong}


def is_terminal() -> bool:
    """Whether somebody may be typing: then they also read what is written to standard error."""
    return bool(sys.stdin and sys.stdin.isatty())


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
    unlisted = type(cause) is NotFoundError and " lists " not in str(cause)
    listed = " `forethought runs` lists the runs there are." if unlisted else ""
    print(harmless(f"forethought: {cause}{listed}"), file=sys.stderr)
    return 2 if isinstance(error, SettingsError) else 1


def innermost(error: BaseException) -> BaseException:
    """The first error inside groups of errors, which is how task groups raise what goes wrong in them."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
