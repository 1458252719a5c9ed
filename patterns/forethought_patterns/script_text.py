"""The other direction of `script.py`: the steps of a plan as the script that they could have been read from.

What a script cannot say is left out: checks, strategies, and an order that neither results nor changes bring about.
"""

__all__ = ["as_script"]

import json
import keyword
import re
from collections.abc import Mapping, Sequence

from forethought_patterns.plan import Step
from forethought_patterns.references import INDEX, Reference, find, map_texts, pieces, tokens
from forethought_patterns.script_values import in_script
from forethought_tools import JSON, Registry

_ITEM = re.compile(r"\{\{\s*item(?=[.\[}\s])")  # as the reader knows it: the result of no step
_LONGEST = 30  # characters of a name


def as_script(steps: Sequence[Step], tools: Registry) -> str:
    """The steps, in an order in which each comes after those that it needs, as a script of calls."""
    names = _names(steps, tools)
    used = {needed for step in steps for needed in step.refers}
    lines: list[str] = []
    left = [*steps]
    while left:
        turn = [left.pop(0)]
        while left and _is_of_turn(left[0], turn):
            turn.append(left.pop(0))
        named = [step for step in turn if step.id in used or _described(step)]
        lines.append(_turns(turn, named, names, tools) if turn[1:] else _line(turn[0], names, tools, named=bool(named)))
    return "\n".join(lines)


def _is_of_turn(step: Step, turn: Sequence[Step]) -> bool:
    """Whether a loop works with what these have brought in the same turn."""
    own = {each.id for each in turn}
    return step.for_each == turn[0].for_each and any(
        each.step in own and each.path[:1] == (INDEX,) for each in find(step.arguments)
    )


def _turns(turn: Sequence[Step], named: Sequence[Step], names: Mapping[int, str], tools: Registry) -> str:
    """A loop of several calls."""
    own = {step.id for step in turn}

    def here(text: str) -> str:
        for each in find(text):
            if each.step in own and each.path[:1] == (INDEX,):
                text = text.replace(str(each), str(Reference(each.step, each.path[1:])))
        return text

    names = {**names, 0: "row" if str(turn[0].for_each).endswith("rows}}") else "item"}
    lines: list[str] = []
    for step in turn:
        call = _call(step.model_copy(update={"arguments": map_texts(step.arguments, here)}), names, tools)
        lines.append(f"    {names[step.id]} = {call}" if step in named else f"    {call}")
    over = turn[0].for_each
    return "\n".join([f"for {names[0]} in {_written([*over] if isinstance(over, tuple) else over, names)}:", *lines])


def _line(step: Step, names: Mapping[int, str], tools: Registry, *, named: bool) -> str:
    """A call; a loop for each item of a result, whose results are collected where they are used; and its condition."""
    item = "row" if str(step.for_each).endswith("rows}}") else "item"
    names = {**names, 0: item}
    call = _call(step, names, tools)
    if step.is_loop:
        over = _written([*step.for_each] if isinstance(step.for_each, tuple) else step.for_each, names)
        call = f"[{call} for {item} in {over}]" if named else f"for {item} in {over}:\n    {call}"
    line = f"{names[step.id]} = {call}" if named else call
    if not step.when:
        return line
    test = tokens(step.when, lambda token: _text(pieces(_ITEM.sub("{{0", token)), names))
    return f"if {test}:\n    " + line.replace("\n", "\n    ")


def _names(steps: Sequence[Step], tools: Registry) -> Mapping[int, str]:
    """A name for each result: as SQL calls it, as it is described, or by its number."""
    names: dict[int, str] = {}
    for name, number in [*_named_in_sql(steps), *((_described(step), step.id) for step in steps)]:
        if name and number not in names and name not in names.values() and name not in tools:
            names[number] = name
    return {step.id: f"result{step.id}" for step in steps} | names


def _named_in_sql(steps: Sequence[Step]) -> Sequence[tuple[str, int]]:
    tables = [step.arguments.get("tables") for step in steps]
    named = [
        (name, pieces(str(value))) for table in tables if isinstance(table, Mapping) for name, value in table.items()
    ]
    return [
        (name, only[0].step)
        for name, only in named
        if len(only) == 1 and isinstance(only[0], Reference) and not only[0].path and _is_name(name)
    ]


def _described(step: Step) -> str:
    """The description as a name, where it is short enough for one."""
    name = re.sub(r"\W+", "_", step.description).strip("_").lower()
    return name if _is_name(name) and len(name) <= _LONGEST else ""


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def _call(step: Step, names: Mapping[int, str], tools: Registry) -> str:
    given: dict[str, JSON] = dict(step.arguments)
    if step.is_loop:
        given |= {name: map_texts(value, lambda text: _ITEM.sub("{{0", text)) for name, value in given.items()}
    tables = given.get("tables")
    if isinstance(tables, Mapping) and all(_written(value, names) == name for name, value in tables.items()):
        del given["tables"]  # SQL finds them by their names
    known = tools.get(step.tool)
    properties = known.parameters.get("properties") if known else None
    order = list(properties) if isinstance(properties, Mapping) else []
    arguments: list[str] = []
    for name in order:
        if name not in given:
            break
        arguments.append(_written(given.pop(name), names))
    arguments += [f"{name}={_written(value, names)}" for name, value in given.items()]
    return f"{in_script(step.tool)}({', '.join(arguments)})"


def _written(value: JSON, names: Mapping[int, str]) -> str:
    if isinstance(value, str):
        return _text(pieces(value), names)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(key)}: {_written(part, names)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_written(part, names) for part in value) + "]"
    return repr(value)


def _text(found: Sequence[str | Reference], names: Mapping[int, str]) -> str:
    """A text with the results in it: a name, a literal, or an f-string."""
    match found:
        case []:
            return '""'
        case [Reference() as only]:
            return _named(only, names)
        case [str() as only]:
            return _quoted(only)
        case _:
            inside = [
                "{" + _named(piece, names) + "}"
                if isinstance(piece, Reference)
                else _quoted(piece.replace("{", "{{").replace("}", "}}"))[1:-1]
                for piece in found
            ]
            return f'f"{"".join(inside)}"'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _named(reference: Reference, names: Mapping[int, str]) -> str:
    found = names.get(reference.step, f"result{reference.step}")
    for part in reference.path:
        found += f".{part}" if _is_name(part) else f"[{part}]" if part.isdecimal() else f"[{part!r}]"
    return found
