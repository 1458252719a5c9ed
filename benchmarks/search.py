"""Tree search against sampling, greedy search and beams over the same stand-in models; refining with false critics."""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from graphs import Eight, Web, boards, eights, sites
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from methods import BASELINES, CALLS, ENDLESS, METHODS, OURS, Rounds, Run, Worlds
from puzzles import Blocksworld, Calibrated, Harder, Numbers, StandIn, all_puzzles, instances, seeded

from forethought_patterns import Problem, Slot
from forethought_patterns.lats import Bounds, Node, Observation, SearchResult, search
from forethought_patterns.reflection import Critique, Evidence, Issue, Round, refine
from forethought_patterns.worlds import BOUNDS

MARKS = (25, 50, 100, 200, 400)
REQUIREMENTS = 8
DRAFTS = 5  # in one run of refining, the first included
FALSE = (0.0, 0.1, 0.3)
REFINED = (("with checks", True, 8.0), ("without checks", False, 8.0), ("without checks, threshold 10", False, 10.0))
PLOTS = Path(__file__).parent / "plots"
DRAWN = [*BASELINES, OURS]
Case: TypeAlias = tuple[Callable[..., StandIn[Any, Any]], int, int]
"""Makes the world of an instance; takes the seed. How many candidates are asked for, and how deep it goes."""


# What is measured


def row(*cells: object) -> None:
    """Print a row of a table."""
    print("|", " | ".join(map(str, cells)), "|")


def head(*cells: object) -> None:
    """Print the head of a table."""
    print()
    row(*cells)
    row(*["---"] * len(cells))


def solved(runs: Sequence[Run], calls: int) -> float:
    """Percent."""
    return 100 * statistics.mean(run.within(calls) for run in runs)


def error(runs: Sequence[Run], calls: int) -> float:
    """The standard error of `solved`."""
    share = solved(runs, calls) / 100
    return 100 * math.sqrt(share * (1 - share) / len(runs))


def halves(cases: Sequence[Case], half: int) -> list[tuple[Worlds, int, int]]:
    """Each of one half of the instances with its seeds: constants are chosen on half 0 and told of half 1."""
    seeds = (0,) if half == 0 else (1, 2)
    return [(partial(make, seed), candidates, depth) for make, candidates, depth in cases[half::2] for seed in seeds]


async def compared(name: str, cases: Sequence[tuple[Worlds, int, int]]) -> dict[str, list[Run]]:
    """Print how many are solved by whom, and where ours is behind; return when."""
    head(f"{name}: solved % (standard error) of {len(cases)}, by calls", *MARKS)
    runs: dict[str, list[Run]] = {}
    for method_name, method in METHODS.items():
        runs[method_name] = [await method(*case) for case in cases]
        cells = (f"{solved(runs[method_name], mark):.0f} ({error(runs[method_name], mark):.1f})" for mark in MARKS)
        row(method_name, *cells)
    behind: list[str] = []
    for mark in MARKS:
        best = max(BASELINES, key=lambda each: solved(runs[each], mark))
        if solved(runs[best], mark) - solved(runs[OURS], mark) > error(runs[OURS], mark):
            behind.append(f"{best} at {mark}")
    print(f"\nAhead of ours by more than one standard error: {', '.join(behind) or 'none'}")
    return runs


def all_cases(count: int, puzzles: Sequence[Numbers]) -> dict[str, list[Case]]:
    """The worlds that are compared: twice as many instances as are used of each half."""
    return {
        "Game of 24, calibrated": [(partial(seeded_world, Calibrated, each), 10, 3) for each in puzzles],
        "Game of 24, harder": [(partial(seeded_world, Harder, each), 5, 3) for each in puzzles],
        "Blocksworld": [
            (partial(seeded_world, Blocksworld, each), 5, 2 * each.optimal + 4) for each in instances(2 * count)
        ],
        "web of pages": [(partial(seeded_world, Web, each), 4, 12) for each in sites(2 * count)],
        "8-puzzle": [(partial(seeded_world, Eight, each), 3, 2 * boards()[each] + 4) for each in eights(count)],
    }


def seeded_world(kind: Callable[..., StandIn[Any, Any]], instance: object, seed: int, **more: bool) -> Any:
    """The world of an instance; `partial` fills in all but `told`."""
    return kind(instance, seed, **more)


class Judge(Harder):
    """The Game of 24 where nobody knows what is right: whoever judges an end is wrong in one of ten."""

    def outcome(self, state: Numbers) -> Observation[Numbers]:
        return Observation(state, terminal=len(state) == 1)

    def value(self, state: Numbers) -> float:
        return super().value(state) if len(state) > 1 else self._verdict("evaluate", state)

    async def confirm(self, nodes: Sequence[Node[Numbers, Any]], slot: Slot | None = None) -> list[float]:
        self.calls += 1
        return [self._verdict("confirm", node.state) if self.confirms else 1.0 for node in nodes]

    confirms = True

    def _verdict(self, question: str, state: Numbers) -> float:
        wrong = seeded(question, self.seed, self.root, state).random() < 0.1
        return 1.0 if (state[0] == 24) != wrong else 0.2


class Trusting(Judge):
    """The same, where the first verdict counts."""

    confirms = False


async def unverified(puzzles: Sequence[Numbers]) -> None:
    """Print how often an answer that only a judge calls right is wrong."""
    head("no verifier, 10% false verdicts, at most 400 calls", "answered, %", "of all wrong, %", "of answers wrong, %")
    for name, kind in (("**ours**: confirmed by an independent question", Judge), ("the first verdict", Trusting)):
        ends: list[SearchResult[Any, Any]] = [
            await search(puzzle, kind(puzzle, seed), Bounds(iterations=ENDLESS, max_depth=3, model_calls=CALLS))
            for puzzle in puzzles[1::2]
            for seed in (1, 2)
        ]
        said = [end for end in ends if end.solved]
        wrong = sum(end.best.state[0] != 24 for end in said)
        shares = (len(said) / len(ends), wrong / len(ends), wrong / max(1, len(said)))
        row(name, *(f"{100 * share:.1f}" for share in shares))


async def by_default(cases: Mapping[str, Sequence[tuple[Worlds, int, int]]]) -> None:
    """Print what a search costs with the defaults that `lats_search` has."""
    head("defaults: 5 candidates, 30 trajectories, depth 7, 2 at the same time", "solved %", "calls, median", "most")
    for name, each in cases.items():
        worlds = [make() for make, _, _ in each]
        ends = [await search(world.root, world, BOUNDS) for world in worlds]
        calls = [end.model_calls for end in ends]
        row(
            name,
            f"{100 * statistics.mean(end.solved for end in ends):.0f}",
            f"{statistics.median(calls):.0f}",
            max(calls),
        )


async def in_parallel(puzzles: Sequence[Numbers]) -> None:
    """Print how many rounds of calls a search takes with several trajectories at the same time, over one."""
    head("trajectories at the same time", "calls, mean", "rounds, mean", "rounds over one at a time")
    for kind, candidates in ((Calibrated, 10), (Harder, 5)):
        base = 0.0
        for parallel in (1, 4, 8):
            calls, rounds = [], []
            for puzzle in puzzles:
                world = Rounds(kind(puzzle, 0))
                result = await search(
                    puzzle,
                    world,
                    Bounds(
                        iterations=ENDLESS,
                        candidates=candidates,
                        max_depth=3,
                        model_calls=CALLS,
                        parallel=parallel,
                    ),
                )
                calls.append(result.model_calls)
                rounds.append(world.rounds)
            mean = statistics.mean(rounds)
            base = base or mean
            name = f"{kind.__name__.lower()}, {parallel}"
            row(name, f"{statistics.mean(calls):.1f}", f"{mean:.1f}", f"{mean / base:.2f}")


async def without_end(solvable: Sequence[Numbers], unsolvable: Sequence[Numbers]) -> None:
    """Print what a search comes to that nothing bounds: it must give up what has no solution."""
    head("no bound of calls (calibrated)", "puzzles", "solved", "no solution", "calls, median", "calls, most")
    for name, puzzles in (("with a solution", solvable), ("without", unsolvable)):
        ends: list[SearchResult[Any, Any]] = [
            await search(
                puzzle,
                Calibrated(puzzle, 0),
                Bounds(
                    iterations=ENDLESS,
                    candidates=10,
                    max_depth=3,
                ),
            )
            for puzzle in puzzles
        ]
        given_up = sum(not end.solved and end.stopped == "no solution" for end in ends)
        assert puzzles is solvable or given_up == len(puzzles)
        calls = [end.model_calls for end in ends]
        most, median = max(calls), statistics.median(calls)
        row(name, len(puzzles), sum(end.solved for end in ends), given_up, f"{median:.0f}", most)


# Refining


def met(draft: str) -> int:
    """How many requirements a draft meets."""
    return draft.count("1")


@dataclass
class Scripted:
    """An author of drafts that are a 1 for each requirement met, and a 0 for each that is not."""

    chance: random.Random
    false: float
    """How often the critic's verdict is a random score and a random approval."""
    checks: bool
    calls: int = 0

    async def write(self) -> str:
        self.calls += 1
        return "".join(self.chance.choice("01") for _ in range(REQUIREMENTS))

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        if not self.checks:
            return []
        return [Evidence(str(place), Problem("missing") if each == "0" else None) for place, each in enumerate(draft)]

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence] = (),
        past: Sequence[Round] = (),
        lessons: Sequence[str] = (),
        doubt: Problem | None = None,
    ) -> Critique:
        del evidence, past, lessons, doubt
        self.calls += 1
        missing = [place for place, each in enumerate(draft) if each == "0"]
        score, approved = 10 * met(draft) / REQUIREMENTS, not missing
        if self.chance.random() < self.false:
            score, approved = self.chance.uniform(0, 10), self.chance.random() < 0.5
        issues = [Issue(str(place), "missing", "add it") for place in missing]
        return Critique({"requirements": score}, () if approved else issues, approved)

    async def revise(self, best: Round, past: Sequence[Round], lessons: Sequence[str]) -> str:
        del past, lessons
        known = [each.check for each in best.evidence if each.problem]
        return self.mended(best.draft, known or [issue.where for issue in best.critique.issues])

    def mended(self, draft: str, named: Iterable[str]) -> str:
        """Each that is named is mended with 70%, and costs another that was met with 15%."""
        self.calls += 1
        after = list(draft)
        for place in map(int, named):
            if self.chance.random() < 0.7:
                after[place] = "1"
            others = [other for other, each in enumerate(after) if each == "1" and other != place]
            if others and self.chance.random() < 0.15:
                after[self.chance.choice(others)] = "0"
        return "".join(after)


async def self_refine(draft: str, author: Scripted) -> str:
    """Self-Refine (arXiv 2303.17651): revise the last draft until the critic approves, and return the last."""
    for _ in range(DRAFTS - 1):
        critique = await author.critique(draft)
        if critique.approved:
            break
        draft = author.mended(draft, [issue.where for issue in critique.issues])
    return draft


async def refining(runs: int) -> dict[str, list[tuple[float, float]]]:
    """Print how often what is returned is worse than the first draft, and what is gained; return both by method."""
    head("refining: returned", "false verdicts", "worse than the first draft, %", "gain of requirements", "model calls")
    found: dict[str, list[tuple[float, float]]] = {}
    for false in FALSE:
        ends: dict[str, list[tuple[int, int]]] = {}
        for number in range(runs):
            for name, checks, threshold in REFINED:
                author = Scripted(seeded("refine", number), false, checks)
                draft = await author.write()
                refined = await refine(draft, author, max_iterations=DRAFTS, threshold=threshold)
                for kind, end in (("**ours**: the best", refined.best), ("ours, but the last", refined.rounds[-1])):
                    ends.setdefault(f"{kind}, {name}", []).append((met(end.draft) - met(draft), author.calls))
            author = Scripted(seeded("refine", number), false, checks=False)
            draft = await author.write()
            last = await self_refine(draft, author)
            ends.setdefault("Self-Refine: the last", []).append((met(last) - met(draft), author.calls))
        for name, each in ends.items():
            gains = [gain for gain, _ in each]
            assert min(gains) >= 0 or "best, with checks" not in name
            worse, gained = 100 * statistics.mean(gain < 0 for gain in gains), statistics.mean(gains)
            calls = statistics.mean(calls for _, calls in each)
            row(name, f"{100 * false:.0f}%", f"{worse:.2f}", f"{gained:.2f}", f"{calls:.1f}")
            found.setdefault(name, []).append((worse, gained))
    return found


# Plots


def plain(name: str) -> str:
    """A name without Markdown."""
    return name.replace("*", "")


def plot(name: str, panels: Sequence[Callable[[Axes], None]]) -> None:
    """Save panels side by side, with one legend."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels))
    for draw, panel in zip(panels, axes, strict=True):
        draw(panel)
        panel.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    PLOTS.mkdir(exist_ok=True)
    figure.savefig(PLOTS / name, dpi=110)


def draw_solved(title: str, runs: Mapping[str, Sequence[Run]], panel: Axes) -> None:
    """Solved % over model calls, one line a method."""
    for name in DRAWN:
        style = "-" if "**" in name else "--"
        panel.plot(
            range(CALLS + 1), [solved(runs[name], calls) for calls in range(CALLS + 1)], style, label=plain(name)
        )
    panel.set(title=title, xlabel="model calls", ylabel="solved %", xlim=(0, CALLS), ylim=(0, 101))


def draw_refined(column: int, label: str, found: Mapping[str, Sequence[tuple[float, float]]], panel: Axes) -> None:
    """One column of what came of refining, over the false verdicts."""
    for name, each in found.items():
        style = "-o" if "**" in name else "--o"
        panel.plot([100 * false for false in FALSE], [pair[column] for pair in each], style, label=plain(name))
    panel.set(xlabel="false verdicts of the critic, %", ylabel=label)


async def compare(count: int, half: int, unsolvable_count: int, runs: int) -> None:
    """Print all tables, and save the plots."""
    started = time.perf_counter()
    solvable, unsolvable = all_puzzles()
    puzzles = random.Random(0).sample(solvable, min(2 * count, len(solvable)))
    cases = {name: halves(each, half) for name, each in all_cases(count, puzzles).items()}
    solved_by = {name: await compared(name, each) for name, each in cases.items()}
    await by_default(cases)
    await unverified(puzzles)
    await in_parallel(puzzles[half::2])
    await without_end(puzzles[half::2], random.Random(0).sample(unsolvable, min(unsolvable_count, len(unsolvable))))
    plot("search.png", [partial(draw_solved, name, solved_by[name]) for name in ("Game of 24, harder", "Blocksworld")])
    if runs:
        refined = await refining(runs)
        plot(
            "reflection.png",
            [
                partial(draw_refined, 0, "worse than the first draft, %", refined),
                partial(draw_refined, 1, "requirements gained, mean", refined),
            ],
        )
    print(f"\n{count} instances a world, {runs} drafts: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=75, help="of each world; half as many of the 8-puzzle")
    options.add_argument("--half", type=int, choices=(0, 1), default=1, help="0: on which constants are chosen")
    options.add_argument("--unsolvable", type=int, default=20, help="puzzles without a solution (458: all)")
    options.add_argument("--drafts", type=int, default=2000, help="runs of refining")
    given = options.parse_args()
    anyio.run(compare, given.instances, given.half, given.unsolvable, given.drafts)


if __name__ == "__main__":
    main()
