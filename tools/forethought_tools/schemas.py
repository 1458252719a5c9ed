"""JSON schemas: the one place that checks a value against one."""

__all__ = ["SchemaFault", "schema_faults"]

from collections import OrderedDict
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
    found = cast("Iterable[ValidationError]", _validator(schema).iter_errors(value))
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


_VALIDATORS: OrderedDict[int, tuple[Mapping[str, JSON], Any]] = OrderedDict()
"""By the schema's identity: the same few are used for every call. Each is kept with its schema, so that no other takes
its identity."""
_KEPT = 256


def _validator(schema: Mapping[str, JSON]) -> Any:
    known = _VALIDATORS.get(id(schema))
    if known is None:
        known = _VALIDATORS[id(schema)] = (schema, Draft202012Validator(dict(schema)))
        if len(_VALIDATORS) > _KEPT:
            _VALIDATORS.popitem(last=False)
    _VALIDATORS.move_to_end(id(schema))
    return known[1]


def _message(fault: ValidationError) -> str:
    if fault.validator == "maxLength":  # the message would quote the whole text
        return f"{len(str(fault.instance))} characters are too long, at most {fault.validator_value} are allowed"
    return fault.message if len(fault.message) <= _SHOWN else f"... {fault.message[-_SHOWN:]}"
