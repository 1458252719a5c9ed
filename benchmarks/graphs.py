"""Two more worlds to search, with the same stand-ins: the 8-puzzle, and pages of which some hold the answer."""

import functools
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from puzzles import GOOD, StandIn, seeded

from forethought_patterns.lats import Observation

SOLVED = "12345678."
LINKS, PAGES, ANSWERS = 7, 80, 3
STEPS = 4  # the least from the first page to an answer


@functools.cache
def slides(board: str) -> Mapping[str, str]:
    """Each tile beside the gap, and the board once it has slid there."""
    gap = board.index(".")
    row, column = divmod(gap, 3)
    beside = [
        3 * (row + down) + column + right
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1))
        if 0 <= row + down < 3 and 0 <= column + right < 3
    ]
    return {board[place]: board.translate({ord("."): board[place], ord(board[place]): "."}) for place in beside}


@functools.cache
def boards() -> Mapping[str, int]:
    """Every board that can be solved, and by how few moves."""
    distances, waiting = {SOLVED: 0}, deque([SOLVED])
    while waiting:
        here = waiting.popleft()
        for after in slides(here).values():
            if after not in distances:
                distances[after] = distances[here] + 1
                waiting.append(after)
    return distances


def eights(count: int) -> list[str]:
    """Random boards that take 8 to 16 moves."""
    near = [board for board, moves in boards().items() if 8 <= moves <= 16]
    return seeded("eights").sample(near, count)


class Eight(StandIn[str, str]):
    """Values say how far the tiles are from their places, give or take two moves."""

    def moves(self, state: str) -> Mapping[str, str]:
        return slides(state)

    def weight(self, state: str, after: str) -> float:
        return GOOD if boards()[after] < boards()[state] else 1.0

    def outcome(self, state: str) -> Observation[str]:
        return Observation(state, state == SOLVED, 1.0 if state == SOLVED else None)

    def value(self, state: str) -> float:
        noise = seeded("value", self.seed, self.root, state).gauss(0, 2)
        return min(1.0, max(0.0, 1 - (_away(state) + noise) / 20))


def _away(board: str) -> int:
    """How many moves the tiles are from their places, if none were in the way of another."""
    places = ((place, SOLVED.index(tile)) for place, tile in enumerate(board) if tile != ".")
    return sum(abs(here // 3 - there // 3) + abs(here % 3 - there % 3) for here, there in places)


@dataclass(frozen=True)
class Site:
    """Pages that link to each other; the first is 0. Some link nowhere, and some hold the answer."""

    links: Mapping[int, tuple[int, ...]]
    answers: frozenset[int]
    distances: Mapping[int, int]
    """Links to the nearest answer, of the pages from which there is a way."""


def sites(count: int) -> list[Site]:
    """Random ones whose answers are at least four links away; two pages of ten are dead ends."""
    far = (site for site in map(_site, itertools.count()) if site.distances.get(0, 0) >= STEPS)
    return list(itertools.islice(far, count))


def _site(number: int) -> Site:
    chance = seeded("site", number)
    links = {
        page: () if page and chance.random() < 0.2 else tuple(sorted(chance.sample(range(PAGES), LINKS)))
        for page in range(PAGES)
    }
    # Answers are hard to come by: few pages lead to one.
    answers = frozenset(chance.sample(range(1, PAGES), ANSWERS))
    kept = {page: tuple(to for to in tos if to not in answers or chance.random() < 0.3) for page, tos in links.items()}
    return Site(kept, answers, _distances(kept, answers))


def _distances(links: Mapping[int, tuple[int, ...]], answers: frozenset[int]) -> dict[int, int]:
    distances = dict.fromkeys(answers, 0)
    waiting = deque(sorted(answers))
    while waiting:
        here = waiting.popleft()
        for page, tos in links.items():
            if here in tos and page not in distances:
                distances[page] = distances[here] + 1
                waiting.append(page)
    return distances


class Web(StandIn[int, int]):
    """Pages are entered more than once; the judge is a little wrong everywhere, and at one page of ten wholly."""

    def __init__(self, site: Site, seed: int, *, told: bool = True) -> None:
        super().__init__(0, seed, told=told)
        self.site = site

    def moves(self, state: int) -> Mapping[int, int]:
        return {page: page for page in self.site.links[state]}

    def weight(self, state: int, after: int) -> float:
        return GOOD if self._away(after) < self._away(state) else 1.0

    def outcome(self, state: int) -> Observation[int]:
        solved = state in self.site.answers
        return Observation(state, solved, 1.0 if solved else None)

    def value(self, state: int) -> float:
        chance = seeded("value", self.seed, sorted(self.site.answers), state)
        if chance.random() < 0.1:
            return chance.random()
        return min(1.0, max(0.0, 1 - self._away(state) / 8 + chance.gauss(0, 0.12)))

    def _away(self, state: int) -> int:
        return self.site.distances.get(state, 8)
