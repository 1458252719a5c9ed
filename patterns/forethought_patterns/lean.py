"""What a small model is asked for a plan: few tools, a few recipes like the goal, and a script for an answer.

Instructions, tools and recipes come first and the goal last: a server keeps what it has read of a prompt's beginning,
and a small model does best what it was asked at the end.
"""

__all__ = ["lean_faults", "lean_question", "lean_repair", "lean_rest", "lean_steps"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from forethought_patterns.drafts import Brief, lean_tools
from forethought_patterns.goal_files import wishes_of
from forethought_patterns.lean_mends import mended
from forethought_patterns.plan import Plan, Step
from forethought_patterns.recipe import OFTEN, Recipe, suggested_tools
from forethought_patterns.roles import LEAN_PLANNER
from forethought_patterns.script import read_script
from forethought_patterns.script_values import TEXTS
from forethought_patterns.setting_lines import SETTINGS, SHOWN
from forethought_tools import JSON, Fault, Question, Registry, Role
from forethought_tools.files import fits
from forethought_tools.sources import BASES
from forethought_tools.text import clipped, one_line

_SCRIPT: Mapping[str, JSON] = {"type": "string"}
_RECIPES = 3
_NAMES = 40  # files beside those of the goal that a planner is shown
_SHAPE = 300  # characters about one file
_FAULTS = 4  # of a script, that its planner is told
_DRAFT = 1500
_VARIETY = 0.6
_REFERENCE = re.compile(r"\{\{([0-9]{1,9})((?:\.\w+)*)\}\}")
_TABLE = re.compile(r"(?:^|\| )(\w+) ?\(", re.MULTILINE)
_NUMBERED = re.compile(r"\bstep ([0-9]{1,9})\b")


def lean_question(brief: Brief, tools: Registry, *, past: str = "", others: bool = False) -> Question:
    """The question for a script.

    Args:
        brief: The goal, its files, and the recipes nearest to it.
        tools: What a script can call.
        past: What was done already, and why there must be another plan.
        others: Show the recipes that come next, beside the nearest: what a small planner imitates is what it gets.
    """
    near = list(brief.recipes)
    recipes = ([*near[:1], *near[_RECIPES : 2 * _RECIPES - 1]] if others else near[:_RECIPES])[::-1]  # the nearest last
    suggested = suggested_tools(brief.goal, brief.files, recipes, tools, near=brief.tools)
    # The same for every goal, and so read once for all of them: what comes later is not.
    instructions = f"{LEAN_PLANNER}\n\n{lean_tools(tool for tool in tools if tool.name in OFTEN)}"
    more = lean_tools(tool for tool in suggested if tool.name not in OFTEN)
    also = f"more tools:\n{more}\n" if more else ""
    context = f"{also}{_files(brief)}\n{past}goal: {brief.goal}"
    examples = [(_asked(recipe), recipe.script) for recipe in recipes]
    return Question(Role.PLANNER, instructions, context, _SCRIPT, examples, _VARIETY if past else 0.0)


def lean_rest(done: Sequence[Step], results: Mapping[int, str], failed: Sequence[str], why: str) -> str:
    """What a planner is told of a plan whose rest has to change."""
    good = "\n".join(f"{_name(step)} = {step.tool}(...)  # {one_line(results[step.id])}" for step in done)
    bad = "\n".join(failed)
    known = f"These results are there already, by their names:\n{good}\n" if good else ""
    return f"{known}This did not work, so go another way:\n{bad}\nbecause: {why}\n"


def lean_repair(question: Question, draft: JSON, faults: Sequence[Fault]) -> Question:
    """The question once more, with what is wrong with the last script; without a draft only what was wrong. The goal
    stays last, and the next script is not the likeliest one again."""
    told, _, goal = question.context.rpartition("goal: ")
    wrong = "\n".join(dict.fromkeys(f"- {_NUMBERED.sub('the call', str(fault))}" for fault in list(faults)[:_FAULTS]))
    shown = f"This script is wrong:\n{str(draft)[:_DRAFT]}" if draft else "Other scripts were wrong:"
    context = f"{told}{shown}\n{wrong}\nWrite another one.\ngoal: {goal}"
    return replace(question, context=context, variety=min(question.variety + _VARIETY, 1.0))


def lean_steps(
    draft: JSON, brief: Brief, tools: Registry, *, first: int = 1, done: Sequence[Step] = ()
) -> Sequence[JSON]:
    """The steps of a script in the wire format, numbered from `first`. Raises PlanError."""

    def files_of(pattern: str) -> list[str]:
        return [name for name in brief.names if fits(tuple(name.split("/")), pattern.removeprefix("./").split("/"))]

    known = {_name(step): step.id for step in done}
    shapes = "\n".join(brief.files.values())
    named = [] if known else [*brief.files]
    bases = _tables_of_bases(brief)
    steps = read_script(str(draft), tools, files_of, first=first, known=known, shapes=shapes, bases=bases, named=named)
    return mended([cast("Mapping[str, JSON]", step) for step in steps], brief, tools)


def _tables_of_bases(brief: Brief) -> Mapping[str, str]:
    """The tables of the databases that a goal names, each with its file, where only one has a table of that name."""
    found: dict[str, list[str]] = {}
    for path, shape in brief.files.items():
        for table in _TABLE.findall(shape) if path.lower().endswith(BASES) else ():
            found.setdefault(table, []).append(path)
    return {table: files[0] for table, files in found.items() if len(files) == 1}


def lean_faults(faults: Sequence[Fault], plan: Plan) -> list[Fault]:
    """Faults in the words of a script, which knows results by their names and no numbers of steps."""

    def result(reference: re.Match[str]) -> str:
        made = plan.by_id.get(int(reference[1]))
        parts = [f"[{part}]" if part.isdecimal() else f".{part}" for part in reference[2].split(".")[1:]]
        return "".join([_name(made), *parts]) if made else reference[0]

    def call(step: re.Match[str]) -> str:
        made = plan.by_id.get(int(step[1]))
        if made is None:  # a file or a tool says so, and means something else
            return step[0]
        return f"{_name(made)} = {made.tool}(...)" if made.description else f"{made.tool}(...)"

    def said(text: str) -> str:
        return _NUMBERED.sub(call, _REFERENCE.sub(result, text))

    return [Fault(said(fault.where), said(fault.problem), said(fault.mend)) for fault in faults]


def _asked(recipe: Recipe) -> str:
    files = "; ".join(f"{path}: {' | '.join(shape.splitlines())}" for path, shape in recipe.files.items())
    return f"files: {files or 'none'}\ngoal: {recipe.goal}"


def _files(brief: Brief) -> str:
    needless = _only_put_away(brief.goal)
    shown = {path: text for path, text in brief.files.items() if path not in needless}
    shapes = [
        f"{path}: {clipped(' | '.join(text.splitlines()), SHOWN if path.lower().endswith(SETTINGS) else _SHAPE)}"
        for path, text in shown.items()
    ]
    others = [*sorted(needless.intersection(brief.files)), *(name for name in brief.names if name not in brief.files)]
    more = ["..."] if len(others) > _NAMES else []
    notes = f"\nnotes: {brief.context}" if brief.context else ""
    return f"files: {'; '.join([*shapes, *others[:_NAMES], *more]) or 'none'}{notes}"


def _only_put_away(goal: str) -> set[str]:
    """Texts that the goal names once, to delete or move them: what a small planner is shown of them it writes down."""
    wishes = wishes_of(goal)
    named = {*wishes.gone, *(old for old, _ in wishes.moved)}
    return {name for name in named if name.lower().endswith(TEXTS) and goal.count(name) == 1}


def _name(step: Step) -> str:
    """The name of a step's result in a script."""
    name = step.description.replace(" ", "_")
    return name if name.isidentifier() else f"result{step.id}"
