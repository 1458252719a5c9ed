"""The program of the process in which `apart` has work done: a line of JSON with a job, a line with what came of it.

It ends when its standard input does: with its parent. A job that needs more time or memory than it may have ends it.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TextIO

import regex  # type: ignore[import-untyped]  # it has no types

from forethought_tools.arithmetic import holds
from forethought_tools.differences import compared
from forethought_tools.errors import ToolError
from forethought_tools.schemas import not_a_schema, schema_faults
from forethought_tools.text import as_text, clipped
from forethought_tools.text_counts import counted
from forethought_tools.tool import JSON
from forethought_tools.truth import condition, truth

_MEMORY = 512 * 2**20
_SECONDS = 2  # of the processor, for one job: how busy the machine is does not count
_PATIENCE = 1.0  # seconds for a pattern, so that most of the bad ones cost no process
_FAULTS = 10
_SHOWN = 200  # characters of a pattern or an expression in a message


def main() -> None:
    _bound_memory()
    # Only our lines may go to where the parent reads.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as protocol:
        os.dup2(2, 1)
        _say({"ready": True}, protocol)
        for line in sys.stdin.buffer:
            _bound_time()
            _say(_done(line), protocol)


def unmet(
    value: JSON, schema: Mapping[str, JSON] | None, matches: str | None, expression: str | None
) -> Sequence[JSON]:
    """What does not hold of a result, in words."""
    found: list[JSON] = []
    if schema is not None:
        found += [fault.at("result") for fault in schema_faults(schema, value, _FAULTS)]
    if matches is not None and (problem := _unmatched(matches, value)):
        found.append(problem)
    if expression is not None and (problem := _untrue(expression, value)):
        found.append(problem)
    return found


def all_unsound(checks: Sequence[tuple[Mapping[str, JSON] | None, str | None]]) -> Sequence[JSON]:
    """What of each of several checks cannot be used, in words."""
    return [_unsound(schema, matches) for schema, matches in checks]


def _unsound(schema: Mapping[str, JSON] | None, matches: str | None) -> Sequence[JSON]:
    found: list[JSON] = []
    if schema is not None and (problem := not_a_schema(schema)):
        found.append(f"not a JSON schema: {problem}")
    try:
        if matches is not None:
            regex.compile(matches)
    except (regex.error, RecursionError, OverflowError) as error:
        found.append(f"not a regular expression: {clipped(str(error), _SHOWN)}")
    return found


def _unmatched(pattern: str, value: JSON) -> str | None:
    shown = repr(clipped(pattern, _SHOWN))
    try:
        found = regex.search(pattern, as_text(value), timeout=_PATIENCE)
    except TimeoutError:
        return f"result: {shown} took too long to look for. Give a simpler pattern"
    except (regex.error, RecursionError, OverflowError):
        return f"result: {shown} is not a regular expression. Give one that is"
    return None if found else f"result: {shown} is not found in it"


def _untrue(expression: str, value: JSON) -> str | None:
    shown = clipped(expression, _SHOWN)
    try:
        true = holds(expression, value, as_text(value))
    except ToolError as error:
        return f"result: {shown} cannot be worked out of it. {error}"
    return None if true else f"result: {shown} is not true of it"


def held(expression: str, names: Mapping[str, JSON], turns: Sequence[Mapping[str, JSON]]) -> Sequence[JSON]:
    """Whether an expression over named values is true, in each turn; a text says why that cannot be told."""
    node = condition(expression)
    found: list[JSON] = []
    for turn in turns:
        try:
            found.append(truth(node, {**names, **turn}))
        except ToolError as error:
            found.append(clipped(str(error), _SHOWN))
    return found


def matching_lines(pattern: str, texts: Sequence[str], most: int) -> Sequence[JSON]:
    """The numbers, from 1, of the lines of each text that match; of all texts at most so many."""
    finds, found = regex.compile(pattern).search, list[JSON]()
    for text in texts:
        lines = enumerate(text.split("\n"), 1)
        numbers = list(islice((at for at, line in lines if finds(line.rstrip("\r"), timeout=_PATIENCE)), most))
        most -= len(numbers)
        found.append(numbers)
    return found


_JOBS: Mapping[str, Callable[..., JSON]] = {
    "unmet": unmet,
    "held": held,
    "all_unsound": all_unsound,
    "matching_lines": matching_lines,
    "compared": compared,
    "counted": counted,
}


def _done(line: bytes) -> dict[str, JSON]:
    try:
        job = json.loads(line)
        return {"result": _JOBS[job["name"]](**job["given"])}
    except TimeoutError:
        return {"problem": "It takes too long"}
    except MemoryError:
        return {"problem": "it needs too much memory"}
    except Exception as error:  # whatever it is, only this job has failed
        return {"problem": clipped(f"it cannot be done: {type(error).__name__}: {error}", _SHOWN)}


def _say(answer: Mapping[str, JSON], protocol: TextIO) -> None:
    print(json.dumps(answer), file=protocol, flush=True)


if sys.platform == "win32":

    def _bound_memory() -> None:
        """There is no limit of this kind."""

    def _bound_time() -> None:
        """There is no limit of this kind; the parent's patience is one."""

else:
    import resource

    def _bound_memory() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(ValueError, OSError):  # macOS has the name of this limit, and not the limit
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))

    def _bound_time() -> None:
        """The kernel ends us, even where a pattern holds the interpreter's lock and the parent has died."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = resource.getrlimit(resource.RLIMIT_CPU)[1]
        with suppress(ValueError):  # who has started us allows less, and that holds
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + _SECONDS, most))


if __name__ == "__main__":
    main()
