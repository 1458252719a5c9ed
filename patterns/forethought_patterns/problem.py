"""What is wrong with something. Where nothing is wrong there is no problem: `None`, never an empty text."""

__all__ = ["Problem"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, in words for whoever is to mend it."""

    text: str

    def __str__(self) -> str:
        return self.text
