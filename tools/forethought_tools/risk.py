"""How dangerous a call is. Unknown means HIGH."""

__all__ = ["Risk"]

from enum import IntEnum
from typing import Any

from pydantic_core import CoreSchema, core_schema


class Risk(IntEnum):
    """LOW reads only; MEDIUM writes what can be undone; HIGH cannot be, changes what others obey, or nobody knows."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> "Risk":
        """The risk of this lower-case name, which is how settings, the journal and clients write it."""
        return cls[name.upper()]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        names = core_schema.literal_schema([str(risk) for risk in cls])
        by_name = core_schema.no_info_after_validator_function(cls.named, names)
        return core_schema.json_or_python_schema(
            json_schema=by_name,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), by_name]),
            serialization=core_schema.to_string_ser_schema(),
        )
