"""Tree search against sampling, greedy search and beams over the same stand-in models."""

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from graphs import Eight, Web, boards, eights, sites
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from methods import BASELINES, CALLS, ENDLESS, MARKS, METHODS, OURS, Rounds, Run, Worlds
from puzzles import Blocksworld, Calibrated, Harder, Numbers, StandIn, all_puzzles, instances, seeded

from forethought_patterns import Slot
from forethought_patterns.lats import Bounds, Node, Observation, SearchResult, search
from forethought_patterns.worlds import BOUNDS

UNVERIFIED = 600  # puzzles, half of them used
PLOTS = Path(__file__).parent.parent / "docs" / "plots"
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
    return 100 * statistics.mean(calls in run for run in runs)


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
        ahead = [(mark in a) - (mark in b) for a, b in zip(runs[best], runs[OURS], strict=True)]
        by, give = 100 * statistics.mean(ahead), 100 * statistics.stdev(ahead) / math.sqrt(len(ahead))
        if by > give:
            behind.append(f"{best} at {mark}, by {by:.1f} ({give:.1f})")
    print(f"\nAhead of ours by more than one standard error of the difference: {'; '.join(behind) or 'none'}")
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
        "8-puzzle": [(partial(seeded_world, Eight, each), 3, 2 * boards()[each] + 4) for each in eights(2 * count)],
    }


def seeded_world(kind: Callable[..., StandIn[Any, Any]], instance: object, seed: int, **more: bool) -> Any:
    """The world of an instance; `partial` fills in all but `told`."""
    return kind(instance, seed, **more)


class Judged(Calibrated):
    """The Game of 24 where nobody knows what is right: whoever judges an end is wrong in one of ten."""

    confirms = True

    def outcome(self, state: Numbers) -> Observation[Numbers]:
        return Observation(state, terminal=len(state) == 1)

    def value(self, state: Numbers) -> float:
        return super().value(state) if len(state) > 1 else self._verdict("evaluate", state)

    async def confirm(
        self, nodes: Sequence[Node[Numbers, Any]], question: int, slot: Slot | None = None
    ) -> list[float]:
        self.calls += 1
        return [self._verdict(f"confirm {question}", node.state) if self.confirms else 1.0 for node in nodes]

    def _verdict(self, question: str, state: Numbers) -> float:
        wrong = seeded(question, self.seed, self.root, state).random() < 0.1
        return 1.0 if (state[0] == 24) != wrong else 0.2


class HarderJudged(Judged, Harder):
    """The same, with proposals at random, and one value of four wrong."""


async def unverified(puzzles: Sequence[Numbers]) -> None:
    """Print how often an answer that only a judge calls right is wrong."""
    head(f"no verifier, 10% false verdicts, {CALLS} calls", "answered, %", "of answers wrong, %", "calls, mean")
    kinds = (("calibrated", Judged, 10), ("harder", HarderJudged, 5))
    for (world, kind, candidates), confirms in itertools.product(kinds, (True, False)):
        bounds = Bounds(iterations=ENDLESS, candidates=candidates, max_depth=3, model_calls=CALLS)
        ends: list[SearchResult[Any, Any]] = []
        for puzzle, seed in itertools.product(puzzles, (1, 2)):
            judged = kind(puzzle, seed)
            judged.confirms = confirms
            ends.append(await search(puzzle, judged, bounds))
        said = [end for end in ends if end.solved]
        wrong = sum(end.best.state[0] != 24 for end in said)
        row(
            f"{world}, {'**ours**' if confirms else 'the first verdict'}",
            percent(len(said), len(ends)),
            percent(wrong, len(said)),
            f"{statistics.mean(end.model_calls for end in ends):.0f}",
        )


def percent(part: int, whole: int) -> str:
    """With its standard error."""
    share = part / max(1, whole)
    return f"{100 * share:.1f} ({100 * math.sqrt(share * (1 - share) / max(1, whole)):.1f})"


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
    head("trajectories at the same time, at first", "calls, mean", "rounds, mean", "rounds over one at a time")
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
        panel.plot(MARKS, [solved(runs[name], mark) for mark in MARKS], f"{style}o", label=plain(name))
    panel.set(title=title, xlabel="model calls", ylabel="solved %", xscale="log", xticks=MARKS, ylim=(0, 101))
    panel.xaxis.set_major_formatter("{x:.0f}")
    panel.minorticks_off()


async def compare(count: int, half: int, unsolvable_count: int) -> None:
    """Print all tables, and save the plot."""
    started = time.perf_counter()
    solvable, unsolvable = all_puzzles()
    puzzles = random.Random(0).sample(solvable, min(2 * count, len(solvable)))
    cases = {name: halves(each, half) for name, each in all_cases(count, puzzles).items()}
    solved_by = {name: await compared(name, each) for name, each in cases.items()}
    await by_default(cases)
    await unverified(random.Random(0).sample(solvable, UNVERIFIED)[half::2])
    await in_parallel(puzzles[half::2])
    await without_end(puzzles[half::2], random.Random(0).sample(unsolvable, min(unsolvable_count, len(unsolvable))))
    plot("search.png", [partial(draw_solved, name, solved_by[name]) for name in ("Game of 24, harder", "Blocksworld")])
    print(f"\n{count} instances a world: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=75, help="of each world")
    options.add_argument("--half", type=int, choices=(0, 1), default=1, help="0: on which constants are chosen")
    options.add_argument("--unsolvable", type=int, default=20, help="puzzles without a solution (458: all)")
    given = options.parse_args()
    anyio.run(compare, given.instances, given.half, given.unsolvable)


if __name__ == "__main__":
    main()
