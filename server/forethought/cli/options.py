"""What the options of commands may be: read and bounded before anything starts."""

__all__ = ["budget", "count", "days", "share", "step", "steps_at_once", "with_goal"]

import shlex
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

_AT_ONCE = 64  # as FORETHOUGHT_MAX_PARALLEL


def days(text: str) -> float:
    """A number of days."""
    found = _number(text)
    if not 0 <= found < 1e6:
        raise ArgumentTypeError("a number of days is needed, 0 or more")
    return found


def share(text: str) -> float:
    """A confidence."""
    found = _number(text)
    if not 0 <= found <= 1:
        raise ArgumentTypeError(f"{text!r} is no confidence: give a number from 0 to 1, such as 0.7")
    return found


def step(text: str) -> int:
    """The number of a step."""
    return _whole(text, "the number of a step is needed, 1 or more")


def count(text: str) -> int:
    """How many of something."""
    return _whole(text, f"{text!r} is no count: give a whole number from 1 on")


def steps_at_once(text: str) -> int:
    """How many steps of a run are under way at once."""
    wrong = f"{text!r} steps at once cannot be: give a whole number from 1 to {_AT_ONCE}"
    if (found := _whole(text, wrong)) > _AT_ONCE:
        raise ArgumentTypeError(wrong)
    return found


def budget(text: str) -> dict[str, float]:
    """Limits by measure."""
    from forethought.terms import read_budget
    from forethought_tools import SettingsError

    try:
        limits = read_budget(text, "limits")
    except SettingsError as error:
        raise ArgumentTypeError(str(error)) from None
    if not limits:
        raise ArgumentTypeError("limits are needed, such as dollars=0.5,model_calls=50")
    return limits


def with_goal(options: dict[str, Any], rest: Sequence[str], parser: ArgumentParser) -> dict[str, Any]:
    """The options, with a goal that was typed without quotes put together; ends the program where that is not clear."""
    if rest and ("goal" not in options or any(word.startswith("-") for word in rest)):
        words = [*options.get("goal", ()), *rest]
        command = str(options.get("run", "")).rpartition(":")[2]
        mend = f". Is it the goal? Then put it in quotes: forethought {command} {shlex.quote(' '.join(words))}"
        parser.error(f"unrecognized arguments: {' '.join(rest)}{mend if options.get('goal') else ''}")
    if "goal" not in options:
        return options
    words = [*options["goal"], *rest]
    return {**options, "goal": " ".join(words) if words else None}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _whole(text: str, wrong: str) -> int:
    # Long digits are refused before they are read: no count of ours has so many.
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < 1:
        raise ArgumentTypeError(wrong)
    return int(text)
