"""JSON schemas: the one place that checks a value against one, or looks whether something is one.

A schema refers to nothing outside itself: no address and no file is ever read for one. Schemas of ours are used in this
process; one from outside only where it can do no harm (`apart`).
"""

__all__ = ["SchemaFault", "example", "fits", "not_a_schema", "schema_faults"]

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, Never, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012, SchemaRegistry

from forethought_tools.text import clipped
from forethought_tools.tool import JSON

_SHOWN = 300  # characters of a message: it quotes the value, which may be long
_MOST = 100  # faults: whoever mends that many looks again
_LEVELS = 3  # of an example
_NAMES = 4  # properties of an object in an example that requires none


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
        return f"{'.'.join([root, *self.path])}: {self.message}{self._would_do()}"

    def _would_do(self) -> str:
        if self.rule not in ("type", "anyOf", "oneOf", "items") or not isinstance(self.schema, Mapping):
            return ""
        return f". Give it such as {clipped(json.dumps(example(self.schema), ensure_ascii=False), _SHOWN)}"


def schema_faults(schema: Mapping[str, JSON], value: JSON, most: int = _MOST) -> list[SchemaFault]:
    """What in a value does not fit a schema (JSON Schema 2020-12), at most so many faults.

    Where the schema itself cannot be used, that is a fault as well.
    """
    try:
        found = cast("Iterable[ValidationError]", _validator(schema).iter_errors(value))
        return [
            SchemaFault(
                path=tuple(map(str, fault.absolute_path)),
                message=_message(fault),
                rule=str(fault.validator),
                instance=cast("JSON", fault.instance),
                schema=cast("JSON", fault.schema),
            )
            for fault in islice(found, most)
        ]
    except (Unresolvable, RecursionError, ArithmeticError, ValueError, TypeError, re.error) as error:
        return [SchemaFault((), f"it cannot be held against its schema: {_why(error)}", "schema", value, schema)]


def fits(schema: Mapping[str, JSON], value: JSON, root: Mapping[str, JSON]) -> bool:
    """Whether a value fits a part of a whole schema. Where that cannot be told, it does not."""
    try:
        return bool(_validator(root).evolve(schema=dict(schema)).is_valid(value))
    except (Unresolvable, RecursionError, ArithmeticError, ValueError, TypeError, re.error):
        return False


def example(schema: JSON, depth: int = 0) -> JSON:
    """A value of the shape that a schema asks for, for whoever has given another one."""
    if not isinstance(schema, Mapping) or depth > _LEVELS:
        return "..."
    if isinstance(shown := schema.get("examples"), Sequence) and shown and not isinstance(shown, str):
        return shown[0]
    if isinstance(choices := schema.get("enum", schema.get("anyOf", schema.get("oneOf"))), Sequence) and choices:
        return choices[0] if "enum" in schema else example(choices[0], depth)
    kind = schema.get("type")
    match kind[0] if isinstance(kind, Sequence) and not isinstance(kind, str) and kind else kind:
        case "integer" | "number":
            least = schema.get("minimum")
            return least if isinstance(least, int | float) and least > 1 else 1
        case "boolean":
            return True
        case "array":
            return [example(schema.get("items"), depth + 1)]
        case "object":
            return _example_object(schema, depth)
        case _:
            return "..."


def _example_object(schema: Mapping[str, JSON], depth: int) -> JSON:
    properties, needed = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return (
            {"...": example(more, depth + 1)} if isinstance(more := schema.get("additionalProperties"), Mapping) else {}
        )
    names = list(map(str, needed)) if isinstance(needed, Sequence) and needed else list(properties)[:_NAMES]
    return {name: example(properties.get(name), depth + 1) for name in names}


def not_a_schema(schema: Mapping[str, JSON]) -> str | None:
    """Why something is no JSON schema, or none that can be used."""
    try:
        Draft202012Validator.check_schema(dict(schema))
        resource = DRAFT202012.create_resource(schema)
        _follow(resource, _ALONE.resolver_with_root(resource))
    except SchemaError as error:
        return _message(error)
    except (Unresolvable, RecursionError, ArithmeticError, ValueError, TypeError, re.error) as error:
        return _why(error)
    return None


def _nowhere(uri: str) -> Never:
    """Fetches nothing. jsonschema on its own would: from the network, and from this machine's files."""
    raise NoSuchResource(ref=uri)  # type: ignore[call-arg]  # attrs makes it, unseen


_ALONE: SchemaRegistry = Registry(retrieve=_nowhere)  # type: ignore[call-arg]  # the same


def _follow(resource: Resource[Any], resolver: Any) -> None:
    """Look up every reference in a schema. Raises Unresolvable where one leads out of it."""
    schema: JSON = resource.contents
    for name in ("$ref", "$dynamicRef"):
        if isinstance(schema, Mapping) and isinstance(ref := schema.get(name), str):
            resolver.lookup(ref)
    for part in resource.subresources():
        _follow(part, resolver.in_subresource(part))


def _why(error: Exception) -> str:
    if isinstance(error, Unresolvable):
        return f"{clipped(str(error.ref), 80)!r} is not in the schema, and nothing outside it is looked up"
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or refers to itself without end"
    return clipped(f"{type(error).__name__}: {error}", _SHOWN)


_VALIDATORS: OrderedDict[int, tuple[Mapping[str, JSON], Any]] = OrderedDict()
"""By the schema's identity: the same few are used for every call. Each is kept with its schema, so that no other takes
its identity."""
_KEPT = 256
_LOCK = Lock()  # large plans are read in threads


def _validator(schema: Mapping[str, JSON]) -> Any:
    with _LOCK:
        known = _VALIDATORS.get(id(schema))
        if known is None:
            known = _VALIDATORS[id(schema)] = (schema, Draft202012Validator(dict(schema), registry=_ALONE))
            if len(_VALIDATORS) > _KEPT:
                _VALIDATORS.popitem(last=False)
        _VALIDATORS.move_to_end(id(schema))
    return known[1]


def _message(fault: ValidationError | SchemaError) -> str:
    if fault.validator == "maxLength":  # the message would quote the whole text
        return f"{len(str(fault.instance))} characters are too long, at most {fault.validator_value} are allowed"
    return fault.message if len(fault.message) <= _SHOWN else f"... {fault.message[-_SHOWN:]}"
