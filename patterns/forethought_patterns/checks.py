"""A check that is not a model: what a step's result must fulfil, told by a schema, a pattern, a number or a command."""

__all__ = ["Check", "unmet"]

import json
from collections.abc import Mapping
from typing import Annotated, Self

import regex  # type: ignore[import-untyped]  # it has no types
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from forethought_patterns.references import Reference, part
from forethought_tools import JSON, ToolError, schema_faults

_PATIENCE = 1.0  # seconds for a pattern: what it reads is a tool's output, and nobody knows what that is


class Check(BaseModel):
    """What must hold of a result, or of the part of it that `at` leads to. All that is given must hold."""

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

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        if self.shape is None and self.matches is None and self.equals is None and self.command is None:
            raise ValueError("it checks nothing. Give schema, matches, equals or command")
        return self


def unmet(check: Check, result: JSON) -> list[str]:
    """What does not hold of a result; commands are not run here."""
    try:
        value = part(Reference(0, tuple(check.at.split("."))), result) if check.at else result
    except ToolError as error:
        return [str(error).replace("{{0", "{{result")]
    found: list[str] = []
    if check.shape is not None:
        found += [fault.at("result") for fault in schema_faults(check.shape, value)[:10]]
    if check.matches is not None and (problem := _unmatched(check.matches, value)):
        found.append(problem)
    if check.equals is not None and (problem := _unequal(check.equals, check.tolerance, value)):
        found.append(problem)
    return found


def _unmatched(pattern: str, value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        return "" if regex.search(pattern, text, timeout=_PATIENCE) else f"result: {pattern!r} is not found in it"
    except TimeoutError:
        return f"result: {pattern!r} took too long to look for. Give a simpler pattern"


def _unequal(wanted: float, tolerance: float, value: JSON) -> str:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None:
        return f"result: {str(value)[:80]!r} is not a number, and {wanted:g} is expected"
    if not abs(number - wanted) <= tolerance:
        return f"result: {number:g} is not within {tolerance:g} of {wanted:g}"
    return ""
