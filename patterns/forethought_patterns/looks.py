"""What a look at the world says against the calls of a plan, as far as the world is there already.

Results are foreseen where that is possible: the columns of a query are known from the files that it reads, and so
is what later queries make of them.
"""

__all__ = ["looked_at"]

import re
from collections.abc import Iterator, Mapping, Sequence

import anyio

from forethought_patterns.plan import Step
from forethought_patterns.references import Reference, fill, find, part
from forethought_patterns.sight import Sight
from forethought_tools import JSON, Fault, ToolError

_LOOKS = 20  # calls that are looked at before they are made
_SECONDS = 15.0  # for all these looks
_AT_ONCE = 2
_PLAIN = re.compile(r"not found|does not exist|no such|syntax error|has no column")
"""What is told of a query of results that are only foreseen: their names are known, and their types not quite."""


async def looked_at(sight: Sight) -> list[Fault]:
    """What speaks against calls, and references to what a foreseen result does not have."""
    left = [step for step in sight.plan.steps if _can_be_looked_at(step, sight)][:_LOOKS]
    looked = list(left)
    found: dict[int, list[str]] = {}
    foreseen: dict[int, JSON] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def look(step: Step) -> None:
        async with limit:
            await _look(step, sight, found, foreseen)

    with anyio.move_on_after(_SECONDS):
        while ready := [step for step in left if _is_known(step, foreseen)]:
            async with anyio.create_task_group() as looks:
                for step in ready:
                    looks.start_soon(look, step)
            left = [step for step in left if step not in ready]
    doubts = [
        Fault(f"step {step.id}", said.rstrip(". \n"), f"Mend the call of {step.tool}")
        for step in looked
        for said in found.get(step.id, ())
    ]
    return [*doubts, *_leading_nowhere(sight, foreseen)]


async def _look(step: Step, sight: Sight, found: dict[int, list[str]], foreseen: dict[int, JSON]) -> None:
    tool = sight.tools.known(step.tool)
    assert tool.doubted is not None
    try:
        arguments = {name: fill(value, foreseen) for name, value in step.arguments.items()}
    except ToolError:
        return  # it is told as a reference that leads nowhere
    try:
        said = list(await tool.doubted(arguments))
        if not said and tool.foreseen and step.id in sight.used and (result := await tool.foreseen(arguments)):
            foreseen[step.id] = result
    except ToolError as error:
        said = [str(error)]
    found[step.id] = [each for each in said if not find(step.arguments) or _PLAIN.search(each)]


def _is_known(step: Step, foreseen: dict[int, JSON]) -> bool:
    """Whether every result that it needs is foreseen. Of a text inside SQL nobody knows what it will be."""
    if not {each.step for each in find(step.arguments)} <= foreseen.keys():
        return False
    inside = find(step.arguments.get("sql", ""))
    return all(isinstance(_value(each, foreseen), int | float) for each in inside)


def _value(reference: Reference, foreseen: dict[int, JSON]) -> JSON:
    try:
        return part(reference, foreseen[reference.step])
    except ToolError:
        return None


def _leading_nowhere(sight: Sight, foreseen: dict[int, JSON]) -> Iterator[Fault]:
    """References to what a foreseen result does not have. How many rows it will have, nobody knows."""
    for step in sight.plan.steps:
        for each in sorted(find(step.arguments), key=str):
            if each.step not in foreseen or not each.path:
                continue
            try:
                part(Reference(each.step, _in_first_row(each.path)), _with_one_row(foreseen[each.step]))
            except ToolError as error:
                mend = "Use a column that it has"
                yield Fault(f"step {step.id}", str(error).rstrip("."), mend)


def _in_first_row(path: Sequence[str]) -> tuple[str, ...]:
    return tuple("0" if key.isdecimal() and (at == 0 or path[at - 1] == "rows") else key for at, key in enumerate(path))


def _with_one_row(table: JSON) -> JSON:
    rows = table.get("rows") if isinstance(table, Mapping) else None
    return {**table, "rows": rows[:1]} if isinstance(table, Mapping) and isinstance(rows, list) else table


def _can_be_looked_at(step: Step, sight: Sight) -> bool:
    """Whether nothing that the call names is written by the plan itself before it."""
    tool = sight.tools.get(step.tool)
    if tool is None or tool.doubted is None:
        return False
    earlier = sight.plan.steps[: sight.plan.steps.index(step)]
    before = [each for each in earlier if each in sight.changing and not _leaves_it(each, step)]
    return not any(sight.uses(step, name) for each in before for name in sight.written_by(each))


def _leaves_it(edit: Step, later: Step) -> bool:
    """Whether an edit leaves what a later one replaces as it is, so that it has to be there already."""
    old, new = (edit.arguments.get(name) for name in ("old", "new"))
    sought = later.arguments.get("old")
    if edit.tool != "edit_file" or later.tool != "edit_file" or not (isinstance(sought, str) and isinstance(new, str)):
        return False
    return isinstance(old, str) and not find([old, new]) and sought not in new and new not in sought
