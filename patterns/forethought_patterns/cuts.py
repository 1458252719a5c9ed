"""How a result that is too long to be shown is cut, with how whoever sees it gets at the rest."""

__all__ = ["with_reading", "with_reference"]

from forethought_patterns.ports import Dialect
from forethought_tools import JSON
from forethought_tools.text import shortened


def with_reference(step: int, value: JSON, size: int) -> str:
    """For one who writes calls: a reference brings all of it, also what is not shown."""
    whole = f"{{{{{{{{{step}}}}}}}}}"  # `{{3}}`, once it is formatted
    return shortened(value, size, f" [cut: {{left}} more characters; {whole} stands for all of it]")


def with_reading(step: int, value: JSON, size: int, dialect: Dialect) -> str:
    """For one who judges: the calling agent can read all of it, a model of ours sees what there is."""
    if dialect != "wire":
        return shortened(value, size)
    return shortened(value, size, f"\n[cut: {{left}} more characters; run://RUN_ID/steps/{step}/result is all of it]")
