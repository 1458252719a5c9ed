"""A check that is not a model: what a result must fulfil, told by a schema, a pattern, a number, an expression or a
tool that is called."""

__all__ = ["CHECK_FORM", "CallTool", "Check", "examine", "read_checks", "tool_faults", "unusable", "with_arguments"]

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Self, TypeAlias, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from forethought_patterns.problem import Problem
from forethought_patterns.references import MAX_FILLED, Reference, find, in_turns, map_texts, part, path_of
from forethought_tools import JSON, Fault, FaultsError, Registry, ToolError
from forethought_tools.apart import apart
from forethought_tools.arithmetic import checked, unknown_name
from forethought_tools.meant import as_meant
from forethought_tools.text import as_text, clipped

CallTool: TypeAlias = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
"""Makes a call, through its gate. Raises ToolError."""

RESULT = "{{result}}"
CHECK_FORM = "A check has schema, matches, equals (with tolerance), expression, command, or tool with arguments; and at"
_NAMES = "Use value, text, words(text), lines(text), count(text, 'part'), lower(text), len, and 'part' in text"
_MOST_SCHEMA = 50_000  # characters, as JSON
_MOST_ARGUMENTS = 200_000
_NAME = 100  # characters of a tool's name that are told
_AT_ONCE = 50  # checks that are looked at in one job


class Check(BaseModel):
    """What must hold of a result, or of the part of it that `at` leads to. All that is given must hold.

    With a `tool`, it must hold of what the tool returns, and the tool must not fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    at: Annotated[str, Field(max_length=1000)] = ""
    """A path into the result, such as `rows.0.total`."""
    shape: Annotated[Mapping[str, JsonValue] | None, Field(alias="schema")] = None
    """JSON schema."""
    matches: Annotated[str | None, Field(max_length=2000)] = None
    """Regular expression that is found in the text of the result."""
    equals: Annotated[float | None, Field(allow_inf_nan=False)] = None
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How far from `equals` a number may be."""
    expression: Annotated[str | None, Field(min_length=1, max_length=2000)] = None
    """Such as `words(text) <= 100` or `value['total'] > 0`, over the result as `value` and the same as `text`."""
    tool: Annotated[str | None, Field(min_length=1)] = None
    """A tool that is called, with its risk and its gate."""
    arguments: Mapping[str, JsonValue] = {}
    """Of the tool. `{{result}}` stands for the result that is checked."""
    command: Annotated[str | None, Field(min_length=1, max_length=20_000)] = None
    """Shell command that must end with exit status 0. It is a call of run_command, with its risk and its gate."""

    # Whether a schema and a pattern can be used is for `unusable` to say: looking at one may take for ever.
    @field_validator("shape", "arguments")
    @classmethod
    def _is_not_too_long(cls, given: Mapping[str, JsonValue] | None, info: ValidationInfo) -> object:
        most = _MOST_SCHEMA if info.field_name == "shape" else _MOST_ARGUMENTS
        if given and len(json.dumps(given)) > most:
            raise ValueError(f"as JSON it has more than {most:,} characters")
        return given

    @field_validator("expression")
    @classmethod
    def _can_be_read(cls, expression: str | None) -> str | None:
        if expression is None:
            return None
        read = expression
        for token in in_turns(expression):
            read = read.replace(token, "0")
        try:
            tree = checked(read, on_text=True)
        except ToolError as error:
            raise ValueError(str(error)) from None
        if unknown := unknown_name(tree, ("value", "text")):
            raise ValueError(f"There is no name {unknown!r} here. {_NAMES}")
        return expression

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        given = (self.shape, self.matches, self.equals, self.expression, self.tool, self.command)
        if all(each is None for each in given):
            raise ValueError("it checks nothing. Give schema, matches, equals, expression, tool or command")
        return self

    def call(self, result: JSON = RESULT) -> tuple[str, Mapping[str, JSON]] | None:
        """The call that this check makes: tool and arguments. Raises ToolError where these become too long."""
        if self.command is not None:
            return "run_command", {"command": self.command}
        if self.tool is None:
            return None
        return self.tool, _filled(self.arguments, result)

    def __str__(self) -> str:
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_defaults=True), ensure_ascii=False)


async def examine(check: Check, result: JSON, call: CallTool) -> list[Problem]:
    """What does not hold of a result."""
    try:
        made = check.call(result)
    except ToolError as error:
        return [Problem(f"the check {check.tool!r} cannot be made. {error}")]
    if check.command is not None and (problems := await _unmet(check, result)):
        return problems  # no need to run it
    if made is None:
        return await _unmet(check, result)
    try:
        returned = await call(*made)
    except ToolError as error:
        return [Problem(f"the check {check.command or check.tool!r} has not passed. {error}")]
    return [] if check.command is not None else await _unmet(check, returned)


async def read_checks(raw: Sequence[JSON], what: str, tools: Registry) -> list[Check]:
    """Checks as they come from outside. Raises FaultsError with every fault."""
    checks: list[tuple[str, Check]] = []
    faults: list[Fault] = []
    for position, each in enumerate(raw, 1):
        where = f"{what} {position}" if len(raw) > 1 else what
        try:
            if (check := _read(each, tools)) is None:
                continue
            checks.append((where, check))
        except ValidationError as error:
            faults += [
                Fault(where, f"{'.'.join(map(str, problem['loc']))} {problem['msg']}".strip(), CHECK_FORM)
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        else:
            faults += tool_faults(checks[-1][1], where, tools)
    faults += await unusable(checks)
    if faults:
        raise FaultsError(faults)
    return [check for _, check in checks]


def _read(raw: JSON, tools: Registry) -> Check | None:
    """A check as it was meant; none, where nothing is in it. Raises ValidationError."""
    meant = as_meant(_schema(), raw)
    if meant is None or (isinstance(meant, Mapping) and all(part is None for part in meant.values())):
        return None
    return with_arguments(Check.model_validate(meant), tools)


@cache
def _schema() -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", Check.model_json_schema())


def with_arguments(check: Check, tools: Registry) -> Check:
    """The check with the arguments of its tool as that tool's schema means them."""
    if check.tool is None:
        return check
    return check.model_copy(update={"arguments": tools.as_meant(check.tool, check.arguments)})


async def unusable(checks: Sequence[tuple[str, Check]]) -> list[Fault]:
    """Which of these checks, each with its place, hold a schema or a pattern that cannot be used."""
    looked_at = [(where, check) for where, check in checks if check.shape is not None or check.matches is not None]
    faults: list[Fault] = []
    for few in (looked_at[begin : begin + _AT_ONCE] for begin in range(0, len(looked_at), _AT_ONCE)):
        try:
            found = await apart("all_unsound", checks=[(check.shape, check.matches) for _, check in few])
        except ToolError as error:  # the next few would not take less
            return [
                *faults,
                Fault(" or ".join(where for where, _ in few[:10]), f"its check: {error}".rstrip("."), CHECK_FORM),
            ]
        faults += [
            Fault(where, f"its check: {problem}", CHECK_FORM)
            for (where, _), problems in zip(few, found, strict=True)
            for problem in problems
        ]
    return faults


def tool_faults(check: Check, where: str, tools: Registry, *, told: bool = True) -> list[Fault]:
    """Why the call that a check makes cannot be made. What is not `told` names no tools instead."""
    if referred := find([check.arguments, check.expression]):
        what = f"its check refers to {min(map(str, referred))}, and sees only the result that it checks"
        return [Fault(where, what, f"Write {RESULT} in its arguments, or value in its expression")]
    made = check.call()
    if made is None:
        return []
    name, arguments = made
    if name not in tools:
        near = (" or ".join(tools.nearest(name)) if told else "") or "another one"
        return [
            Fault(
                where,
                f"its check needs {clipped(name, _NAME)}, which is not here",
                f"Check in another way, or with {near}",
            )
        ]
    unfit = [
        fault for fault in tools.faults(name, arguments) if fault.instance != RESULT and not in_turns(fault.instance)
    ]
    return [Fault(where, f"its check: {fault.at('arguments')}", f"See the schema of {name}") for fault in unfit]


def _filled(arguments: Mapping[str, JSON], result: JSON) -> Mapping[str, JSON]:
    """Arguments with the result in its place. What that brings in is not read again. Raises ToolError."""
    room = MAX_FILLED

    def text(source: str) -> JSON:
        nonlocal room
        if RESULT not in source:
            return source
        room -= source.count(RESULT) * len(brought)
        if room < 0:
            raise ToolError(f"With the result in its arguments they are over {MAX_FILLED} characters. Use less of it.")
        return result if source.strip() == RESULT else source.replace(RESULT, brought)

    brought = as_text(result)
    return {name: map_texts(value, text) for name, value in arguments.items()}


async def _unmet(check: Check, result: JSON) -> list[Problem]:
    try:
        value = part(Reference(0, path_of(f".{check.at}")), result) if check.at else result
        found = await _found(check, value)
    except ToolError as error:
        return [Problem(f"result: {error}".replace("{{0", "{{result"))]
    if check.equals is not None and (problem := _unequal(check.equals, check.tolerance, value)):
        found.append(problem)
    return found


async def _found(check: Check, value: JSON) -> list[Problem]:
    """What does not hold, of all that is not safe to look for here."""
    if check.shape is None and check.matches is None and check.expression is None:
        return []
    given = {"schema": check.shape, "matches": check.matches, "expression": check.expression}
    return [Problem(each) for each in await apart("unmet", value=value, **given)]


def _unequal(wanted: float, tolerance: float, value: JSON) -> Problem | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    except OverflowError:
        number = math.inf  # too large for a float: no check can expect it
    if number is None:
        return Problem(f"result: {str(value)[:80]!r} is not a number, and {wanted:g} is expected")
    if not abs(number - wanted) <= tolerance:
        return Problem(f"result: {number:g} is not within {tolerance:g} of {wanted:g}")
    return None
