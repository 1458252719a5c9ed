"""Which of many names is meant by one that is none of them. It takes milliseconds, however many and long they are."""

__all__ = ["Names"]

import difflib
import heapq
from collections.abc import Iterable, Sequence

_LONG = 64  # characters of a name that are looked at: comparing takes their square
_COMPARED = 24  # names that are compared letter by letter: those that share most pairs of letters
_KEPT = 1000  # answers that are remembered
_LIKE = 0.5  # of 1, from which a name may be the one that is meant


class Names:
    """Names to be found by what is like them. Those with a `/` are found by the part behind it as well."""

    def __init__(self, names: Iterable[str]) -> None:
        self._meant: dict[str, list[str]] = {}
        for name in names:
            for spelling in {name.lower()[:_LONG], name.rpartition("/")[2].lower()[:_LONG]}:
                self._meant.setdefault(spelling, []).append(name)
        self._pairs = {spelling: _pairs(spelling) for spelling in self._meant}
        self._found: dict[str, Sequence[str]] = {}

    def nearest(self, name: str) -> list[str]:
        """The names most like this one, best first, at most three."""
        wanted = name.lower()[:_LONG]
        if wanted not in self._found:
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[wanted] = self._like(wanted)
        return list(self._found[wanted])

    def _like(self, wanted: str) -> Sequence[str]:
        pairs = _pairs(wanted)
        shared = {spelling: len(pairs & own) / (len(pairs) + len(own) + 1) for spelling, own in self._pairs.items()}
        likely = heapq.nlargest(_COMPARED, shared, key=lambda spelling: (shared[spelling], spelling))
        found = difflib.get_close_matches(wanted, likely, n=3, cutoff=_LIKE)
        return list(dict.fromkeys(name for spelling in found for name in self._meant[spelling]))[:3]


def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[at : at + 2] for at in range(max(len(text) - 1, 1)))
