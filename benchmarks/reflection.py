"""Reflection against Self-Refine at equal model calls, with a critic that is wrong now and then.

No model is asked: drafts are grades by aspect, and a seeded author and critic stand in. Every method starts from the
same draft, and pays one call for a draft, a critique and a revision alike.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio
from puzzles import seeded

from forethought_patterns import Problem
from forethought_patterns.reflection import Critique, Evidence, Issue, Round, refine
from forethought_tools import BudgetError

CALLS = (5, 9)
FALSE = (0.0, 0.1, 0.3)
ENDLESS = 99


@dataclass(frozen=True)
class Kind:
    """What drafts are made of."""

    name: str
    aspects: int
    best: int
    """The best grade of an aspect; the worst is 0."""
    good: int
    """From which grade on a critic calls what is left a matter of taste, and a check passes."""
    seen: int
    """How many of the aspects have a check."""
    overlooked: float
    """How often a critic does not see that something is bad, though it is not misled."""
    misled: bool
    """Whether a false verdict names other issues too."""


KINDS = (
    Kind("8 requirements", 8, best=1, good=1, seen=8, overlooked=0, misled=False),
    Kind("10 grades", 10, best=3, good=3, seen=6, overlooked=0.3, misled=True),
    Kind("10 grades, nothing overlooked", 10, best=3, good=3, seen=6, overlooked=0, misled=True),
    Kind("10 grades, the last of each a matter of taste", 10, best=3, good=2, seen=6, overlooked=0.3, misled=True),
)


@dataclass
class Scripted:
    """An author of drafts that are a digit for each aspect, and their critic."""

    kind: Kind
    chance: random.Random
    false: float
    """How often the critic's verdict is a random score and a random approval."""
    checks: bool
    most: int
    """Calls, at most."""
    calls: int = 0

    async def write(self) -> str:
        self._pay()
        return "".join(str(self.chance.randint(0, self.kind.best)) for _ in range(self.kind.aspects))

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        if not self.checks:
            return []
        grades = enumerate(graded(draft)[: self.kind.seen])
        return [Evidence(str(place), Problem("bad") if grade < self.kind.good else None) for place, grade in grades]

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence] = (),
        past: Sequence[Round] = (),
        lessons: Sequence[str] = (),
        doubt: Problem | None = None,
    ) -> Critique:
        del evidence, past, lessons, doubt
        self._pay()
        named = [place for place, grade in enumerate(graded(draft)) if grade < self.kind.best]
        score, approved = 10 * total(draft) / (self.kind.aspects * self.kind.best), not named
        if self.chance.random() < self.false:
            score, approved = self.chance.uniform(0, 10), self.chance.random() < 0.5
            if self.kind.misled:
                named = [place for place in range(self.kind.aspects) if self.chance.random() < 0.5]
        named = [place for place in named if self.chance.random() >= self.kind.overlooked] or named[:1]
        issues = [Issue(str(place), "bad", "better it", int(draft[place]) >= self.kind.good) for place in named]
        return Critique({"aspects": score}, () if approved else issues, approved)

    async def revise(self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None) -> str:
        del past, lessons, doubt
        failing = [each.check for each in base.evidence if each.problem]
        named = dict.fromkeys([*failing, *(issue.where for issue in base.critique.issues)])
        return self.mended(base.draft, named)

    def mended(self, draft: str, named: Iterable[str]) -> str:
        """Each that is named gains a grade with 70%, and costs another one with 15%."""
        self._pay()
        grades = graded(draft)
        for place in map(int, named):
            if self.chance.random() < 0.7:
                grades[place] = min(self.kind.best, grades[place] + 1)
            others = [other for other, grade in enumerate(grades) if grade and other != place]
            if others and self.chance.random() < 0.15:
                grades[self.chance.choice(others)] -= 1
        return "".join(map(str, grades))

    def _pay(self) -> None:
        if self.calls >= self.most:
            raise BudgetError("no calls are left")
        self.calls += 1


def graded(draft: str) -> list[int]:
    """The grades of a draft."""
    return list(map(int, draft))


def total(draft: str) -> int:
    """What all its aspects come to."""
    return sum(graded(draft))


async def self_refine(draft: str, author: Scripted) -> str:
    """Self-Refine (arXiv 2303.17651): revise the last draft until the critic approves, and return the last."""
    try:
        while not (critique := await author.critique(draft)).approved:
            draft = author.mended(draft, [issue.where for issue in critique.issues])
    except BudgetError:
        pass
    return draft


async def ours(draft: str, author: Scripted) -> str:
    """This project's, with its own threshold."""
    refined = await refine(draft, author, max_iterations=ENDLESS)
    failing = sum(each.problem is not None for each in await author.check(draft, 1))
    assert refined.best.failing <= failing, "never worse than the first draft by the checks"
    return refined.best.draft


METHODS = (
    ("Self-Refine", self_refine, False),
    ("**ours**, without checks", ours, False),
    ("**ours**, with checks", ours, True),
)


async def compare(kind: Kind, most: int, runs: int) -> None:
    """Print what each method gains, over the false verdicts."""
    print(f"\n| {kind.name}, {most} calls | " + " | ".join(f"{100 * false:.0f}%" for false in FALSE) + " |")
    print("| --- |" + " --- |" * len(FALSE))
    for name, method, checks in METHODS:
        cells: list[str] = []
        for false in FALSE:
            gains: list[int] = []
            for number in range(runs):
                author = Scripted(kind, seeded("refine", kind.name, number), false, checks, most)
                draft = await author.write()
                gains.append(total(await method(draft, author)) - total(draft))
            error = statistics.stdev(gains) / runs**0.5
            worse = 100 * statistics.mean(gain < 0 for gain in gains)
            cells.append(f"{statistics.mean(gains):.2f} ± {error:.2f}, {worse:.2f}% worse")
        print("|", " | ".join([name, *cells]), "|", flush=True)


async def compare_all(runs: int) -> None:
    """Print all tables."""
    started = time.perf_counter()
    for kind in KINDS:
        for most in CALLS:
            await compare(kind, most, runs)
    print(f"\n{runs} runs a cell: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2000, help="runs a cell")
    anyio.run(compare_all, options.parse_args().runs)


if __name__ == "__main__":
    main()
