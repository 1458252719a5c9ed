"""What structured output needs on our side: schemas in the forms that endpoints take, and answers read and checked."""

__all__ = ["boxed", "faults", "is_strict", "read"]

from collections.abc import Iterator, Mapping

from forethought.models.lenient import values
from forethought.models.shaping import fitted
from forethought.models.thoughts import spoken
from forethought_tools import JSON, schema_faults

# OpenAI's strict mode refuses these. Endpoints that know them honour them without `strict` as well.
_NOT_STRICT = frozenset(
    {"allOf", "contains", "default", "dependentRequired", "dependentSchemas", "else", "if", "maxContains"}
    | {"maxProperties", "minContains", "minProperties", "not", "oneOf", "patternProperties", "prefixItems"}
    | {"propertyNames", "then", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"}
)
_SAYS_WHAT = frozenset({"type", "anyOf", "$ref", "enum", "const"})


def is_strict(schema: JSON) -> bool:
    """Whether OpenAI's strict mode takes it: closed objects with every property required, and typed parts."""
    if not isinstance(schema, Mapping) or _NOT_STRICT & schema.keys() or not _SAYS_WHAT & schema.keys():
        return False
    return _is_closed(schema) and all(is_strict(part) for part in _parts(schema))


def _is_closed(schema: Mapping[str, JSON]) -> bool:
    kind = schema.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return True
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return False
    return schema.get("additionalProperties") is False and set(properties) == set(required)


def _parts(schema: Mapping[str, JSON]) -> Iterator[JSON]:
    for key in ("properties", "$defs", "definitions"):
        named = schema.get(key, {})
        if isinstance(named, Mapping):
            yield from named.values()
    options = schema.get("anyOf", [])
    if isinstance(options, list):
        yield from options
    if "items" in schema:
        yield schema["items"]


def boxed(schema: Mapping[str, JSON]) -> tuple[Mapping[str, JSON], bool]:
    """The schema as that of an object, which is all that OpenAI takes, and whether it was put into one for that.

    A boxed answer is the `value` of the object.
    """
    if schema.get("type") == "object":
        return schema, False
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    inner: dict[str, JSON] = {key: part for key, part in schema.items() if key not in shared}
    box: dict[str, JSON] = {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
    }
    return {**box, **shared}, True


def read(
    text: str, schema: Mapping[str, JSON], *, plain: bool = False, thought: bool = False
) -> tuple[JSON, list[str]]:
    """The answer that a text holds, and what is wrong with it. `plain` text is itself the answer. In a `thought`
    several may stand, one after the other was thought better of: the last that fits is the answer."""
    if plain:
        said = spoken(text)
        return said, faults(said, schema) if said else ["nothing was said"]
    try:
        found = values(text)
    except ValueError as error:
        return None, [f"this is not JSON: {error}"]
    shaped = [fitted(value, schema, alone=len(found) == 1) for value in found]
    fitting = [value for value in shaped if not faults(value, schema)]
    if not fitting:
        return shaped[-1], faults(shaped[-1], schema)
    if thought:
        return fitting[-1], []
    if any(value != fitting[0] for value in fitting):
        return None, [f"there are {len(fitting)} answers: give one"]
    return fitting[0], []


def faults(value: JSON, schema: Mapping[str, JSON]) -> list[str]:
    """What keeps a value from fitting a schema, each with its place: short enough to be shown to a model."""
    return [fault.at("answer") for fault in schema_faults(schema, value)[:10]]
