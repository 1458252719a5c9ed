"""The figures of a text, and which of them come from somewhere: a result, a file, the goal, or a simple derivation.

What may be derived: rounding, thousands separators, counts of rows, totals, means and extremes of a column, and, for a
percentage, the ratio of two figures or their difference.
"""

__all__ = ["Figures"]

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from forethought_tools import JSON

MAX_TEXT = 1_000_000  # characters of one value
MAX_RATIOS = 300  # figures whose ratios are tried
_FIGURE = re.compile(r"(?<![\w.,])[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d{1,18})(?:\.\d{1,12})?(?![\w]|[.,]\d)(\s?%)?")
_IN_MATERIAL = re.compile(r"[-\u2212]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,18})(?:\.\d{1,12})?")
_NUMBERING = re.compile(r"(?m)^\s*(?:#+\s*)?\d{1,3}[.):]\s")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?\b")
_SMALL = 2  # one and two are words as often as figures


@dataclass
class Figures:
    """All figures that a text may use."""

    _known: set[float] = field(default_factory=set[float])
    _dates: set[str] = field(default_factory=set[str])
    is_whole: bool = True
    """Whether all that was given was looked through."""

    def learn(self, value: JSON) -> None:
        """Take up the figures of a value, and what can be derived from them."""
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, int | float):
            self._known.add(abs(float(value)))
        elif isinstance(value, str):
            self.is_whole &= len(value) <= MAX_TEXT
            text = value[:MAX_TEXT]
            self._dates |= {found[0][:10] for found in _DATE.finditer(text)}
            self._known |= {_number(found[0]) for found in _IN_MATERIAL.finditer(text)}
            self._known.add(float(text.count("\n") + 1))
        elif isinstance(value, Mapping):
            for part in value.values():
                self.learn(part)
        else:
            for part in value:
                self.learn(part)
            self._known.add(float(len(value)))
            for column in _columns(value):
                self._known |= set(_derived(column))

    def foreign(self, text: str) -> list[str]:
        """The figures of a text that come from nowhere, as they are written there, each once."""
        dates = dict.fromkeys(found[0][:10] for found in _DATE.finditer(text))
        found = [date for date in dates if date not in self._dates]
        known, ratios = sorted(self._known), sorted(self._ratios()) if "%" in text else []
        rest = _DATE.sub(" ", _NUMBERING.sub(" ", text))
        for each in _FIGURE.finditer(rest[:MAX_TEXT]):
            if each[0].strip() not in found and not _is_among(each[0], known, ratios):
                found.append(each[0].strip())
        return found

    def _ratios(self) -> Iterator[float]:
        few = sorted(self._known)[:MAX_RATIOS]
        for part in few:
            yield part
            for whole in few:
                if whole:
                    yield part / whole
                    yield abs(part - whole) / whole


def _is_among(written: str, known: Sequence[float], ratios: Sequence[float]) -> bool:
    """Whether a figure is one that is known, or a percentage that follows, as far as its digits tell."""
    plain = written.rstrip("% \u00a0")
    number, half = _number(plain), 0.5 * 10 ** -len(plain.partition(".")[2]) * (1 + 1e-9)
    if (number <= _SMALL and number.is_integer()) or _near(known, number, half):
        return True
    return "%" in written and _near(ratios, number / 100, half / 100)


def _near(values: Sequence[float], wanted: float, distance: float) -> bool:
    at = bisect_left(values, wanted - distance)
    return at < len(values) and values[at] <= wanted + distance


def _number(written: str) -> float:
    return float(written.replace(",", "").lstrip("-\u2212"))


def _columns(rows: Sequence[JSON]) -> Iterator[list[float]]:
    """The columns of figures of a table, or the one of a list of figures."""
    if numbers := _numbers(rows):
        yield numbers
    tables = [row for row in rows if isinstance(row, Mapping)]
    for name in dict.fromkeys(name for row in tables for name in row):
        if numbers := _numbers([row.get(name) for row in tables]):
            yield numbers


def _numbers(values: Iterable[JSON]) -> list[float]:
    return [float(each) for each in values if isinstance(each, int | float) and not isinstance(each, bool)]


def _derived(column: Sequence[float]) -> Iterator[float]:
    total = sum(column)
    yield from (abs(total), abs(total / len(column)), float(len(column)), float(len(set(column))))
    yield abs(max(column) - min(column))
