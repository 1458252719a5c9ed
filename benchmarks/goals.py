"""Ordinary goals on a model, from files to files: how many come out right, and what is wrong and does not say so.

    python benchmarks/goals.py                    on the embedded model
    python benchmarks/goals.py --only trips,old   some of them

A person at the form approves what the goal asks for, and nothing else.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.goals import GOALS, Outcome, attempt

MODELS = Path("~/.local/share/forethought/models").expanduser()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(goal.name for goal in GOALS), help="names of goals")
    chosen = parser.parse_args().only.split(",")
    outcomes: list[Outcome] = []
    print("| goal | verdict | seconds |\n| --- | --- | --- |")
    for goal in GOALS:
        if goal.name in chosen:
            with tempfile.TemporaryDirectory() as home:
                (Path(home) / "models").symlink_to(MODELS)
                outcomes.append(outcome := anyio.run(attempt, goal, Path(home)))
            print(f"| {outcome.goal} | {outcome.verdict} | {outcome.seconds:.0f} |", flush=True)
    told = Counter(each.verdict for each in outcomes)
    listed = ", ".join(f"{told[verdict]} {verdict}" for verdict in ("RIGHT", "WRONG", "DOUBTED", "FAILED"))
    print(f"\n{listed} of {len(outcomes)}; median {statistics.median(each.seconds for each in outcomes):.0f} s")


if __name__ == "__main__":
    main()
