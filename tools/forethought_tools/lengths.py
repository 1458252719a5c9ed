"""How long a text may be, where a wish for it says so, such as `at most 80 words` or `in two sentences`."""

__all__ = ["Length", "length_of"]

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = rf"(?P<count>\d{{1,6}}|{'|'.join(_WORDS)})"
_UNIT = r"(?P<unit>word|character|sentence|line|paragraph)s?"
_AT_MOST = r"at (?:the (?:very )?)?most|at max"
_MOST = rf"{_AT_MOST}|max(?:imum|\.)?(?: of)?|up to|not? more than|under|below|within|(?:less|fewer) than|in"
_AFTER = rf"max(?:imum)?|{_AT_MOST}|or (?:less|fewer)|limit|tops"
_LIMITS = (
    re.compile(rf"\b(?:{_MOST}) {_COUNT} (?:short )?{_UNIT}\b", re.IGNORECASE),
    re.compile(rf"\b{_COUNT}[ -]{_UNIT},? (?:{_AFTER})\b", re.IGNORECASE),
)
_END = re.compile(r"(?<![.!?])[.!?]+(?=\s|$)")
_COUNTED: Mapping[str, Callable[[str], int]] = {
    "word": lambda text: sum(any(letter.isalnum() for letter in word) for word in text.split()),
    "character": len,
    "sentence": lambda text: len(_END.findall(text)) + (text[-1:] not in ".!?"),
    "line": lambda text: sum(bool(line.strip()) for line in text.splitlines()),
    "paragraph": lambda text: sum(bool(part.strip()) for part in text.replace("\r", "").split("\n\n")),
}


@dataclass(frozen=True, slots=True)
class Length:
    """The most that a text may have, of what."""

    most: int
    unit: str

    def exceeded(self, text: str) -> str:
        """By how much a text is too long, in words; nothing if it is not."""
        count = _COUNTED[self.unit](text.strip())
        return f"has {count} {self.unit}s, more than {self.most}" if count > self.most else ""

    @property
    def is_short(self) -> bool:
        """Whether it is a few sentences or lines."""
        return self.most <= {"word": 150, "character": 900}.get(self.unit, 8)

    def parts(self) -> tuple[int, int]:
        """In how many parts such a text can be had, and how many characters each may have."""
        if self.unit == "word":
            count = max(1, self.most // 20)
            return count, max(20, self.most * 11 // (2 * count))
        if self.unit == "character":
            return max(1, self.most // 120), max(10, self.most // max(1, self.most // 120) - 1)
        return self.most, 300

    def joined(self, parts: Sequence[str]) -> str:
        """The parts as one text."""
        return {"line": "\n", "paragraph": "\n\n"}.get(self.unit, " ").join(parts)


def length_of(wish: str) -> Length | None:
    """The length that a wish allows, if it names one and no other."""
    found = {
        Length(_counted(limit["count"].lower()), limit["unit"].lower())
        for pattern in _LIMITS
        for limit in pattern.finditer(" ".join(wish.split()))
    }
    return found.pop() if len(found) == 1 else None


def _counted(count: str) -> int:
    return _WORDS.index(count) + 1 if count in _WORDS else int(count)
