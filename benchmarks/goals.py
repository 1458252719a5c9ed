"""Ordinary goals on a model, from files to files: how many come out right, and what is wrong and does not say so.

    python benchmarks/goals.py                    on the embedded model
    python benchmarks/goals.py --only trips,old   some of them
    python benchmarks/goals.py --recipes          what recipes bring: the nearest, always the same, and none

A person at the form approves what the goal asks for, and nothing else.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.goals import GOALS, Goal, Outcome, attempt

from forethought import recipes
from forethought_patterns import Recipe
from forethought_patterns.recipe import library

MODELS = Path("~/.local/share/forethought/models").expanduser()
VERDICTS = ("RIGHT", "WRONG", "DOUBTED", "FAILED")
SAME = ("sum-by-group", "summary", "delete-one")
"""The kinds of the fixed examples that planners were shown before there were recipes."""


def _same(*_: Any, **__: Any) -> Sequence[Recipe]:
    return [recipe for recipe in library() if recipe.name in SAME]


SHOWN: Mapping[str, Callable[..., Sequence[Recipe]]] = {
    "the nearest": recipes.nearest,
    "always the same three": _same,
    "none": lambda *_, **__: [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(goal.name for goal in GOALS), help="names of goals")
    parser.add_argument("--recipes", action="store_true", help="what recipes bring")
    asked = parser.parse_args()
    goals = [goal for goal in GOALS if goal.name in asked.only.split(",")]
    if asked.recipes:
        compared(goals)
        return
    print("| goal | verdict | seconds |\n| --- | --- | --- |")
    outcomes: list[Outcome] = []
    for goal in goals:
        outcomes.append(outcome := _attempted(goal))
        print(f"| {outcome.goal} | {outcome.verdict} | {outcome.seconds:.0f} |", flush=True)
    told = Counter(each.verdict for each in outcomes)
    listed = ", ".join(f"{told[verdict]} {verdict}" for verdict in VERDICTS)
    print(f"\n{listed} of {len(outcomes)}; median {_median(outcomes):.0f} s")


def compared(goals: Sequence[Goal]) -> None:
    """The same goals with other examples before the planner's eyes."""
    print(f"| recipes shown | {' | '.join(VERDICTS)} | seconds, median |\n|{' --- |' * (len(VERDICTS) + 2)}")
    for shown, near in SHOWN.items():
        with patch("forethought.engine.recipes.nearest", near):
            outcomes = [_attempted(goal) for goal in goals]
        told = Counter(each.verdict for each in outcomes)
        print(f"| {shown} | {' | '.join(str(told[v]) for v in VERDICTS)} | {_median(outcomes):.0f} |", flush=True)


def _attempted(goal: Goal) -> Outcome:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(MODELS)
        return anyio.run(attempt, goal, Path(home))


def _median(outcomes: Sequence[Outcome]) -> float:
    return statistics.median(each.seconds for each in outcomes)


if __name__ == "__main__":
    main()
