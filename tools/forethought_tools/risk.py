"""How dangerous a call is. Unknown means HIGH."""

__all__ = ["Risk"]

from enum import IntEnum


class Risk(IntEnum):
    """LOW reads only; MEDIUM writes what can be undone; HIGH cannot be undone, or nobody knows."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    def __str__(self) -> str:
        return self.name.lower()
