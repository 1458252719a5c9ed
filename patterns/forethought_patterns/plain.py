"""Expectations that the engine can judge by itself: that a file is there, or gone, where nothing else is expected."""

__all__ = ["plainly_judged"]

from collections.abc import Mapping, Sequence
from itertools import dropwhile

from forethought_patterns.plan import Step
from forethought_patterns.problem import Problem
from forethought_tools import JSON, Look, ToolError

_LEAVES: Mapping[str, str] = {
    "write_file": "path",
    "write_table": "path",
    "append_file": "path",
    "edit_file": "path",
    "make_folder": "path",
    "copy_file": "destination",
    "move_file": "destination",
}
"""The argument that names what such a call leaves behind."""
_DELETES = "delete_file"
_NAMING = ("path", "source", "destination")
# Of an expectation, in this order: what it is about, that it is so, and where. Any other word says more.
_THING = frozenset(["the", "a", "an", "new", "old", "its", "this", "that", "it", "whole", "file", "folder", "copy"])
_IS = frozenset(["is", "are", "was", "were", "has", "have", "been", "gets", "will", "be", "now", "all", "successfully"])
_WHERE = _THING | {"in", "into", "to", "as", "at", "on", "from", "under", "disk", "place", "now", "successfully"}
_MADE = frozenset(["written", "saved", "stored", "created", "made", "copied", "moved", "renamed", "edited", "updated"])
_THERE = _MADE | {"there", "present", "exists", "exist"}
_GONE: Sequence[Sequence[str]] = [
    each.split()
    for each in (
        "deleted",
        "gone",
        "removed",
        "no longer there",
        "no longer present",
        "no longer exists",
        "does not exist any more",
        "does not exist anymore",
        "does not exist",
        "not there any more",
        "not there anymore",
        "not there",
    )
]
_MOST = 40  # words


async def plainly_judged(step: Step, arguments: Mapping[str, JSON], look: Look | None) -> tuple[Problem | None] | None:
    """The verdict on an expectation that says no more than that a file is there, or gone. None: it says more than that,
    or nobody can look."""
    path = arguments.get(_LEAVES.get(step.tool, "path" if step.tool == _DELETES else ""))
    if look is None or not isinstance(path, str) or not _is_plain(step, arguments):
        return None
    try:
        is_there = await look(path) is not None
    except ToolError:
        return None
    if is_there is (step.tool != _DELETES):
        return (None,)
    return (Problem(f"{path} is still there" if is_there else f"{path} is not there"),)


def _is_plain(step: Step, arguments: Mapping[str, JSON]) -> bool:
    words = [word.strip("\"'`.,;:!()") for word in step.expected_output.lower().split()[: _MOST + 1]]
    names = _names(arguments)
    left = _without(_without(words, _THING | names), _IS)
    if step.tool != _DELETES:
        return bool(left) and left[0] in _THERE and not _without(left[1:], _WHERE | names)
    gone = next((each for each in _GONE if left[: len(each)] == each), None)
    return gone is not None and not _without(left[len(gone) :], _WHERE | names)


def _without(words: list[str], known: frozenset[str]) -> list[str]:
    """The words from the first on that is not known."""
    return list(dropwhile(known.__contains__, words))


def _names(arguments: Mapping[str, JSON]) -> frozenset[str]:
    """What a call's files are called, with their folders and without."""
    paths = [str(arguments.get(name, "")).lower().rstrip("/") for name in _NAMING]
    return frozenset(name for path in paths for name in (path, path.removeprefix("./"), path.rpartition("/")[2]))
