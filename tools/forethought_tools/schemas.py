"""JSON schemas: the one place that checks a value against one."""

__all__ = ["SchemaFault", "schema_faults"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from forethought_tools.tool import JSON

_SHOWN = 300  # characters of a message: it quotes the value, which may be long


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One thing that does not fit: where, what, and the rule that it breaks."""

    path: tuple[str, ...]
    message: str
    rule: str
    """The schema keyword, such as `type` or `required`."""
    instance: JSON
    schema: JSON
    """The part of the schema that the value breaks."""

    def at(self, root: str) -> str:
        """The fault with its place, below a name for the whole value."""
        return f"{'.'.join([root, *self.path])}: {self.message}"


def schema_faults(schema: Mapping[str, JSON], value: JSON) -> list[SchemaFault]:
    """Everything in a value that does not fit a schema (JSON Schema 2020-12)."""
    validator: Any = Draft202012Validator(dict(schema))
    found = cast("Iterable[ValidationError]", validator.iter_errors(value))
    return [
        SchemaFault(
            path=tuple(map(str, fault.absolute_path)),
            message=_message(fault),
            rule=str(fault.validator),
            instance=cast("JSON", fault.instance),
            schema=cast("JSON", fault.schema),
        )
        for fault in found
    ]


def _message(fault: ValidationError) -> str:
    if fault.validator == "maxLength":  # the message would quote the whole text
        return f"{len(str(fault.instance))} characters are too long, at most {fault.validator_value} are allowed"
    return fault.message if len(fault.message) <= _SHOWN else f"... {fault.message[-_SHOWN:]}"
