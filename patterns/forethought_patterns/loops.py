"""Loops: a step with `for_each` unfolds, once its list is known, into items: steps in their own right, in which nothing
is left to fill in. The loop itself collects what comes of them.
"""

__all__ = ["MAX_ITEMS", "Planned", "collected", "turns_of", "unfold", "with_ids"]

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from anyio import to_thread
from pydantic import ValidationError

from forethought_patterns.attempts import TROUBLE
from forethought_patterns.checks import RESULT, Check
from forethought_patterns.conditions import held, left_out, not_held
from forethought_patterns.plan import Step
from forethought_patterns.references import Reference, Turn, escaped, fill, fitted, in_turns, part, unknown, whole
from forethought_patterns.signals import Rejected
from forethought_patterns.slots import Slot
from forethought_patterns.watcher import Item, Outcome, Unfolded, Watcher
from forethought_tools import JSON, ToolError
from forethought_tools.meant import decoded
from forethought_tools.tabular import told
from forethought_tools.text import as_text, clipped, in_short, one_line, shortened

MAX_ITEMS = 100
_MOST = 20_000_000  # characters of the arguments of all items
_LABEL = 40  # characters
_LOOKED_AT = 1000  # characters of which a label is made
_EXPECTED = 2000  # characters of an item in what is expected of it
_WRONG = 10  # items that are told of
_NAMING = ("path", "name", "title", "id", "file", "url")  # parts of an item by which people know it


@dataclass(frozen=True, slots=True)
class Planned:
    """A turn of a loop before it has an id."""

    turn: Turn
    step: Step
    left_out: Outcome | None


async def unfold(
    loop: Step, results: Mapping[int, JSON], slot: Slot, watcher: Watcher, unused: Callable[[], int]
) -> Unfolded | Outcome:
    """The items of a loop whose list is there; or how it ends, where there are none. Its watcher may keep them; if not,
    their ids begin with one that is `unused`."""
    try:
        if skipped := await left_out(loop, results):
            return skipped
        unfolded = await watcher.unfold(loop, results, slot)
        if unfolded is None:
            unfolded = with_ids(await turns_of(loop, results), unused())
    except TROUBLE as error:
        return Outcome("failed", error=str(error))
    except Rejected as decision:
        return Outcome("rejected", error=str(decision))
    return unfolded if unfolded.items else Outcome("succeeded", value=[])


async def turns_of(loop: Step, results: Mapping[int, JSON], most: int = MAX_ITEMS) -> list[Planned]:
    """What a loop has to do: each turn with its step, whose id is still that of the loop.

    Raises:
        ToolError: there is no list, it is too long, or an item lacks what the loop refers to.
    """
    turns = [Turn(item, index) for index, item in enumerate(_list(loop, results, most))]
    verdicts: Sequence[bool | str] = [True] * len(turns)
    if loop.when and loop.asks_each and turns:
        verdicts = await held(loop.when, results, turns)
    return await to_thread.run_sync(_all_planned, loop, results, turns, verdicts)  # large items take a moment


def _all_planned(
    loop: Step, results: Mapping[int, JSON], turns: Sequence[Turn], verdicts: Sequence[bool | str]
) -> list[Planned]:
    planned: list[Planned] = []
    room = _MOST
    for turn, verdict in zip(turns, verdicts, strict=True):
        step = _planned(loop, turn, results, verdict)
        room -= len(as_text(step.arguments))
        if room < 0:
            raise ToolError(f"The arguments of its items have over {_MOST:,} characters. Put less into each.")
        planned.append(Planned(turn, step, None if verdict else not_held(str(loop.when), results, turn)))
    return planned


def _planned(loop: Step, turn: Turn, results: Mapping[int, JSON], verdict: bool | str) -> Step:
    where = f"item {turn.index + 1} ({_label(turn.item)})"
    if isinstance(verdict, str):
        raise ToolError(f"{where}: whether its condition holds cannot be told: {verdict}")
    try:
        return _item(loop, turn, results) if verdict else _bare(loop)
    except ToolError as error:
        raise ToolError(f"{where}: {error}") from None


def with_ids(planned: Sequence[Planned], first: int) -> Unfolded:
    """The items, whose ids begin with `first`."""
    items = [
        Item(
            each.step.model_copy(update={"id": first + each.turn.index}),
            each.turn.index,
            _label(each.turn.item),
            each.left_out is None,
        )
        for each in planned
    ]
    ended = {item.step.id: each.left_out for item, each in zip(items, planned, strict=True) if each.left_out}
    return Unfolded(items, ended)


def collected(items: Sequence[Item], outcomes: Mapping[int, Outcome]) -> Outcome:
    """What came of a loop: the results of its items in order, without those that were left out."""
    ended = [(item, outcomes[item.step.id]) for item in items]
    wrong = [(item, each) for item, each in ended if each.state != "succeeded" and not each.left_out]
    if not wrong:
        return Outcome("succeeded", value=[each.value for _, each in ended if not each.left_out])
    lines = [f"{item}: {each.error}" for item, each in wrong[:_WRONG]]
    more = [f"and {len(wrong) - _WRONG} more items"] if len(wrong) > _WRONG else []
    rejected = all(each.state == "rejected" for _, each in wrong)
    return Outcome("rejected" if rejected else "failed", error="; ".join([*lines, *more]))


def _list(loop: Step, results: Mapping[int, JSON], most: int) -> Sequence[JSON]:
    found = _read(fill(loop.for_each, results))
    if not isinstance(found, list | tuple):
        raise ToolError(f"for_each needs a list, and {loop.for_each} is {_kind(found, whole(loop.for_each))}.")
    if _is_cut(loop, results):
        raise ToolError(
            f"for_each needs the whole list, and {loop.for_each} is cut off. Narrow it, or raise its limit."
        )
    if len(found) > most:
        raise ToolError(
            f"for_each goes over {len(found)} items, and {most} are the most. Narrow the list, or have"
            f" FORETHOUGHT_MAX_ITEMS={len(found)} set."
        )
    return found


def _read(found: JSON) -> JSON:
    """A list that is written as JSON is one, as where servers and commands answer in text."""
    if not isinstance(found, str) or not found.lstrip().startswith("["):
        return found
    try:
        read = decoded(found)
    except (ValueError, RecursionError):
        return found
    return read if isinstance(read, list) else found


def _is_cut(loop: Step, results: Mapping[int, JSON]) -> bool:
    """Whether a tool says that the list, or one that it stands in, is only the beginning."""
    reference = whole(loop.for_each)
    if reference is None:
        return False
    ways = [Reference(reference.step, reference.path[:depth]) for depth in range(len(reference.path))]
    return any(_says_cut(way, results) for way in ways)


def _says_cut(way: Reference, results: Mapping[int, JSON]) -> bool:
    try:
        found = part(way, results[way.step])
    except ToolError:  # it ends in the middle of a name with a dot in it
        return False
    return isinstance(found, Mapping) and found.get("truncated") is True


def _kind(value: JSON, reference: Reference | None) -> str:
    if isinstance(value, Mapping):
        lists = [name for name, each in value.items() if isinstance(each, list)]
        if not lists or reference is None:
            return "an object without a list in it. Refer to a list"
        return f"an object. Refer to {Reference(reference.step, (*reference.path, lists[0]))}"
    text = " (query_table reads the lines of a text file as rows)" if isinstance(value, str) else ""
    return f"{clipped(as_text(value), _LABEL)!r}. Refer to a list{text}"


def _item(loop: Step, turn: Turn, results: Mapping[int, JSON]) -> Step:
    open_ = unknown(loop.arguments)
    known = fill({name: value for name, value in loop.arguments.items() if name not in open_}, results, turn)
    assert isinstance(known, Mapping)
    filled = {name: loop.arguments[name] if name in open_ else escaped(known[name]) for name in loop.arguments}
    change: dict[str, object] = {
        "arguments": filled,
        "description": _description(loop, turn, shown=bool(open_)),
        "expected_output": fitted(loop.expected_output, turn, lambda value: clipped(told(value), _EXPECTED)),
        "check": _check(loop.check, turn) if loop.check else None,
    }
    return _bare(loop).model_copy(update=change)


def _bare(loop: Step) -> Step:
    return loop.model_copy(update={"for_each": None, "when": None, "depends_on": loop.needs})


def _description(loop: Step, turn: Turn, *, shown: bool) -> str:
    """What an item is for. Who has to fill in its arguments is shown it whole."""
    text = str(fitted(loop.description, turn, _in_a_word))
    if not in_turns(loop.description):
        text = f"{text} (item {turn.index + 1}: {_label(turn.item)})".strip()
    return f"{text}\nItem: {shortened(turn.item, _EXPECTED)}" if shown else text


def _check(check: Check, turn: Turn) -> Check:
    writing = {"matches": _pattern, "expression": _literal}
    body: dict[str, JSON] = check.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for name, value in body.items():
        body[name] = fitted(value, turn, writing.get(name, _plain), typed=name in ("arguments", "schema"))
    try:
        return Check.model_validate(body)
    except ValidationError as error:
        raise ToolError(f"its check does not fit this item: {error.errors()[0]['msg']}.") from None


def _plain(value: JSON) -> str:
    text = as_text(value)
    if RESULT in text:
        raise ToolError(f"it holds {RESULT}, which a check would take for the result. Check it in another way.")
    return text


def _pattern(value: JSON) -> str:
    return re.escape(as_text(value))


def _literal(value: JSON) -> str:
    """A value as an expression reads it: never more than a value, whatever stands in it."""
    if isinstance(value, Mapping):
        raise ToolError("an expression cannot hold an object. Refer to a part of it.")
    return repr(value)


def _label(item: JSON) -> str:
    """What people know an item by."""
    if isinstance(item, Mapping):
        named = [item[name] for name in _NAMING if name in item] or list(item.values())
        item = named[0] if named else item
    return _in_a_word(item)


def _in_a_word(value: JSON) -> str:
    return clipped(one_line(in_short(value, _LOOKED_AT)), _LABEL)
