"""Tree search against sampling, greedy search and beams over the same stand-in models; refining with false critics."""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from methods import CALLS, ENDLESS, LAMBDA, METHODS, Rounds, Run
from puzzles import Blocksworld, Calibrated, Harder, Instance, Numbers, all_puzzles, instances, seeded

from forethought_patterns import Problem
from forethought_patterns.lats import Bounds, SearchResult, search
from forethought_patterns.reflection import Critique, Evidence, Issue, Round, refine

MARKS = (25, 50, 100, 200, 400)
BLOCKS_MARKS = (50, 100, 400)
REQUIREMENTS = 8
DRAFTS = 5  # in one run of refining, the first included
FALSE = (0.0, 0.1, 0.3)
REFINED = (("with checks", True, 8.0), ("without checks", False, 8.0), ("without checks, threshold 10", False, 10.0))
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


async def compare(count: int, unsolvable_count: int, tasks: int, runs: int) -> None:
    """Print all tables, and save the plots."""
    started = time.perf_counter()
    solvable, unsolvable = all_puzzles()
    puzzles = random.Random(0).sample(solvable, min(count, len(solvable)))
    calibrated = await game_of_24(puzzles, Calibrated, 10)
    harder = await game_of_24(puzzles, Harder, 5)
    await in_parallel(puzzles)
    await without_end(puzzles, random.Random(0).sample(unsolvable, min(unsolvable_count, len(unsolvable))))
    await blocksworld(instances(tasks))
    refined = await refining(runs)
    plot(
        "search.png",
        [
            partial(draw_solved, "Game of 24, calibrated on GPT-4", calibrated),
            partial(draw_solved, "Game of 24, harder", harder),
        ],
    )
    plot(
        "reflection.png",
        [
            partial(draw_refined, 0, "worse than the first draft, %", refined),
            partial(draw_refined, 1, "requirements gained, mean", refined),
        ],
    )
    print(f"\n{len(puzzles)} puzzles, {tasks} of blocks, {runs} drafts: {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--puzzles", type=int, default=300, help="of the Game of 24 (1362: all)")
    options.add_argument("--unsolvable", type=int, default=40, help="puzzles without a solution (458: all)")
    options.add_argument("--blocks", type=int, default=150, help="instances of Blocksworld")
    options.add_argument("--drafts", type=int, default=2000, help="runs of refining")
    given = options.parse_args()
    anyio.run(compare, given.puzzles, given.unsolvable, given.blocks, given.drafts)


if __name__ == "__main__":
    main()
