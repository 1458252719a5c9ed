"""Tree search against sampling, greedy search and beams over the same stand-in models."""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from methods import CALLS, ENDLESS, LAMBDA, METHODS, Rounds, Run
from puzzles import Blocksworld, Calibrated, Harder, Instance, Numbers, all_puzzles, instances

from forethought_patterns.lats import Bounds, SearchResult, search

MARKS = (25, 50, 100, 200, 400)
BLOCKS_MARKS = (50, 100, 400)
PLOTS = Path(__file__).parent / "plots"
DRAWN = list(METHODS)[:4] + list(METHODS)[5:7]


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


async def game_of_24(puzzles: Sequence[Numbers], kind: type[Calibrated], candidates: int) -> dict[str, list[Run]]:
    """Print how many are solved by whom, and return when."""
    head(f"Game of 24, {kind.__name__.lower()}: solved %, by calls", *MARKS)
    runs: dict[str, list[Run]] = {}
    for name, method in METHODS.items():
        runs[name] = [await method(partial(kind, puzzle, 0), candidates, 3) for puzzle in puzzles]
        row(name, *(f"{solved(runs[name], mark):.1f}" for mark in MARKS))
    return runs


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
                        exploration=0.05,
                        value_weight=LAMBDA,
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
    head("no bound of calls (calibrated, w = 0.05)", "puzzles", "solved", "no solution", "calls, median", "calls, most")
    for name, puzzles in (("with a solution", solvable), ("without", unsolvable)):
        ends: list[SearchResult[Any, Any]] = [
            await search(
                puzzle,
                Calibrated(puzzle, 0),
                Bounds(
                    iterations=ENDLESS,
                    candidates=10,
                    max_depth=3,
                    exploration=0.05,
                    value_weight=LAMBDA,
                ),
            )
            for puzzle in puzzles
        ]
        given_up = sum(not end.solved and end.stopped == "no solution" for end in ends)
        assert puzzles is solvable or given_up == len(puzzles)
        calls = [end.model_calls for end in ends]
        most, median = max(calls), statistics.median(calls)
        row(name, len(puzzles), sum(end.solved for end in ends), given_up, f"{median:.0f}", most)


async def blocksworld(tasks: Sequence[Instance]) -> None:
    """Print how many are solved by whom, and how long the ways are."""
    marks = [f"{mark} calls" for mark in BLOCKS_MARKS]
    head("Blocksworld: solved %, and moves over the fewest", *marks)
    for name, method in METHODS.items():
        runs = [await method(partial(Blocksworld, task, 0), 5, 2 * task.optimal + 4) for task in tasks]
        cells: list[str] = []
        for mark in BLOCKS_MARKS:
            over = [run.moves / task.optimal for run, task in zip(runs, tasks, strict=True) if run.within(mark)]
            cells.append(f"{solved(runs, mark):.1f}, {statistics.mean(over):.2f}" if over else "0.0")
        row(name, *cells)


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


async def compare(count: int, unsolvable_count: int, tasks: int) -> None:
    """Print all tables, and save the plots."""
    started = time.perf_counter()
    solvable, unsolvable = all_puzzles()
    puzzles = random.Random(0).sample(solvable, min(count, len(solvable)))
    calibrated = await game_of_24(puzzles, Calibrated, 10)
    harder = await game_of_24(puzzles, Harder, 5)
    await in_parallel(puzzles)
    await without_end(puzzles, random.Random(0).sample(unsolvable, min(unsolvable_count, len(unsolvable))))
    await blocksworld(instances(tasks))
    plot(
        "search.png",
        [
            partial(draw_solved, "Game of 24, calibrated on GPT-4", calibrated),
            partial(draw_solved, "Game of 24, harder", harder),
        ],
    )
    print(f"\n{len(puzzles)} puzzles, {tasks} of blocks: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--puzzles", type=int, default=300, help="of the Game of 24 (1362: all)")
    options.add_argument("--unsolvable", type=int, default=40, help="puzzles without a solution (458: all)")
    options.add_argument("--blocks", type=int, default=150, help="instances of Blocksworld")
    given = options.parse_args()
    anyio.run(compare, given.puzzles, given.unsolvable, given.blocks)


if __name__ == "__main__":
    main()
