"""A check that is not a model: what a result must fulfil, told by a schema, a pattern, a number, an expression or a
tool that is called."""

__all__ = ["CallTool", "Check", "examine", "read_checks", "tool_faults"]

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Self, TypeAlias

import regex  # type: ignore[import-untyped]  # it has no types
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from forethought_patterns.problem import Problem
from forethought_patterns.references import Reference, part
from forethought_tools import JSON, Fault, FaultsError, Registry, ToolError, schema_faults
from forethought_tools.arithmetic import checked, holds
from forethought_tools.text import as_text

CallTool: TypeAlias = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
"""Makes a call, through its gate. Raises ToolError."""

RESULT = "{{result}}"
_FORM = "A check has schema, matches, equals (with tolerance), expression, command, or tool with arguments; and at"
_PATIENCE = 1.0  # seconds for a pattern: what it reads is a tool's output, and nobody knows what that is


class Check(BaseModel):
    """What must hold of a result, or of the part of it that `at` leads to. All that is given must hold.

    With a `tool`, it must hold of what the tool returns, and the tool must not fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    at: str = ""
    """A path into the result, such as `rows.0.total`."""
    shape: Annotated[Mapping[str, JsonValue] | None, Field(alias="schema")] = None
    """JSON schema."""
    matches: str | None = None
    """Regular expression that is found in the text of the result."""
    equals: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """How far from `equals` a number may be."""
    expression: Annotated[str | None, Field(min_length=1, max_length=2000)] = None
    """Such as `words(text) <= 100` or `value['total'] > 0`, over the result as `value` and the same as `text`."""
    tool: Annotated[str | None, Field(min_length=1)] = None
    """A tool that is called, with its risk and its gate."""
    arguments: Mapping[str, JsonValue] = {}
    """Of the tool. `{{result}}` stands for the result that is checked."""
    command: Annotated[str | None, Field(min_length=1)] = None
    """Shell command that must end with exit status 0. It is a call of run_command, with its risk and its gate."""

    @field_validator("shape")
    @classmethod
    def _is_a_schema(cls, shape: Mapping[str, JsonValue] | None) -> Mapping[str, JsonValue] | None:
        try:
            if shape is not None:
                Draft202012Validator.check_schema(dict(shape))
        except SchemaError as error:
            raise ValueError(f"not a JSON schema: {error.message}") from None
        return shape

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, matches: str | None) -> str | None:
        try:
            if matches is not None:
                regex.compile(matches)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return matches

    @field_validator("expression")
    @classmethod
    def _can_be_read(cls, expression: str | None) -> str | None:
        try:
            if expression is not None:
                checked(expression, on_text=True)
        except ToolError as error:
            raise ValueError(str(error)) from None
        return expression

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        given = (self.shape, self.matches, self.equals, self.expression, self.tool, self.command)
        if all(each is None for each in given):
            raise ValueError("it checks nothing. Give schema, matches, equals, expression, tool or command")
        return self

    def call(self, result: JSON = RESULT) -> tuple[str, Mapping[str, JSON]] | None:
        """The call that this check makes: tool and arguments."""
        if self.command is not None:
            return "run_command", {"command": self.command}
        if self.tool is None:
            return None
        return self.tool, {name: _with(result, value) for name, value in self.arguments.items()}

    def __str__(self) -> str:
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_defaults=True), ensure_ascii=False)


async def examine(check: Check, result: JSON, call: CallTool) -> list[Problem]:
    """What does not hold of a result."""
    made = check.call(result)
    if check.command is not None and (problems := _unmet(check, result)):
        return problems  # no need to run it
    if made is None:
        return _unmet(check, result)
    try:
        returned = await call(*made)
    except ToolError as error:
        return [Problem(f"the check {check.command or check.tool!r} has not passed. {error}")]
    return [] if check.command is not None else _unmet(check, returned)


def read_checks(raw: Sequence[JSON], what: str, tools: Registry) -> list[Check]:
    """Checks as they come from outside. Raises FaultsError with every fault."""
    checks: list[Check] = []
    faults: list[Fault] = []
    for position, each in enumerate(raw, 1):
        where = f"{what} {position}" if len(raw) > 1 else what
        try:
            checks.append(Check.model_validate(each))
        except ValidationError as error:
            faults += [
                Fault(where, f"{'.'.join(map(str, problem['loc']))} {problem['msg']}".strip(), _FORM)
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        else:
            faults += tool_faults(checks[-1], where, tools)
    if faults:
        raise FaultsError(faults)
    return checks


def tool_faults(check: Check, where: str, tools: Registry) -> list[Fault]:
    """Why the call that a check makes cannot be made."""
    made = check.call()
    if made is None:
        return []
    name, arguments = made
    if name not in tools:
        near = " or ".join(tools.nearest(name)) or "another one"
        return [Fault(where, f"its check needs {name}, which is not here", f"Check in another way, or with {near}")]
    unfit = [fault for fault in tools.faults(name, arguments) if fault.instance != RESULT]
    return [Fault(where, f"its check: {fault.at('arguments')}", f"See the schema of {name}") for fault in unfit]


def _with(result: JSON, value: JSON) -> JSON:
    """A value with the result in its place. What that brings in is not read again."""
    if isinstance(value, str):
        return result if value.strip() == RESULT else value.replace(RESULT, as_text(result))
    if isinstance(value, Mapping):
        return {name: _with(result, each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_with(result, each) for each in value]
    return value


def _unmet(check: Check, result: JSON) -> list[Problem]:
    try:
        value = part(Reference(0, tuple(check.at.split("."))), result) if check.at else result
    except ToolError as error:
        return [Problem(str(error).replace("{{0", "{{result"))]
    found: list[Problem] = []
    if check.shape is not None:
        found += [Problem(fault.at("result")) for fault in schema_faults(check.shape, value)[:10]]
    if check.matches is not None and (problem := _unmatched(check.matches, value)):
        found.append(problem)
    if check.equals is not None and (problem := _unequal(check.equals, check.tolerance, value)):
        found.append(problem)
    if check.expression is not None and (problem := _untrue(check.expression, value)):
        found.append(problem)
    return found


def _untrue(expression: str, value: JSON) -> Problem | None:
    try:
        true = holds(expression, value, as_text(value))
    except ToolError as error:
        return Problem(f"result: {expression} cannot be worked out of it. {error}")
    return None if true else Problem(f"result: {expression} is not true of it")


def _unmatched(pattern: str, value: JSON) -> Problem | None:
    try:
        found = regex.search(pattern, as_text(value), timeout=_PATIENCE)
    except TimeoutError:
        return Problem(f"result: {pattern!r} took too long to look for. Give a simpler pattern")
    return None if found else Problem(f"result: {pattern!r} is not found in it")


def _unequal(wanted: float, tolerance: float, value: JSON) -> Problem | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None:
        return Problem(f"result: {str(value)[:80]!r} is not a number, and {wanted:g} is expected")
    if not abs(number - wanted) <= tolerance:
        return Problem(f"result: {number:g} is not within {tolerance:g} of {wanted:g}")
    return None
