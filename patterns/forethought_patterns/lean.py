"""What a small model is asked for a plan: few tools, a few recipes like the goal, and a script for an answer.

Instructions, tools and recipes come first and the goal last: a server keeps what it has read of a prompt's beginning,
and a small model does best what it was asked at the end.
"""

__all__ = ["lean_question", "lean_repair", "lean_rest", "lean_steps"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forethought_patterns.drafts import Brief, lean_tools
from forethought_patterns.plan import Step
from forethought_patterns.recipe import Recipe
from forethought_patterns.roles import LEAN_PLANNER
from forethought_patterns.script import read_script
from forethought_tools import JSON, Fault, Question, Registry, Role
from forethought_tools.files import fits
from forethought_tools.text import clipped, one_line

_SCRIPT: Mapping[str, JSON] = {"type": "string"}
_ALWAYS = ("query_table", "write_table", "write_file", "tell")  # tools that a planner is shown for any goal
_RECIPES = 3
_NAMES = 40  # files beside those of the goal that a planner is shown
_SHAPE = 300  # characters about one file
_FAULTS = 4  # of a script, that its planner is told
_DRAFT = 1500
_VARIETY = 0.4
_STEP = re.compile(r"\bstep \d+")


def lean_question(brief: Brief, tools: Registry, *, past: str = "") -> Question:
    """The question for a script. `past`: what was done already, and why there must be another plan."""
    recipes = list(brief.recipes)[:_RECIPES][::-1]  # the nearest last
    shown = Registry(tool for tool in tools if _is_shown(tool.name, recipes))
    instructions = f"{LEAN_PLANNER}\n\n{lean_tools(shown)}"
    context = f"{_files(brief)}\n{past}goal: {brief.goal}"
    examples = [(_asked(recipe), recipe.script) for recipe in recipes]
    return Question(Role.PLANNER, instructions, context, _SCRIPT, examples, _VARIETY if past else 0.0)


def lean_rest(done: Sequence[Step], results: Mapping[int, str], failed: Sequence[str], why: str) -> str:
    """What a planner is told of a plan whose rest has to change."""
    good = "\n".join(f"{_name(step)} = {step.tool}(...)  # {one_line(results[step.id])}" for step in done)
    bad = "\n".join(failed)
    known = f"These results are there already, by their names:\n{good}\n" if good else ""
    return f"{known}This did not work, so go another way:\n{bad}\nbecause: {why}\n"


def lean_repair(question: Question, draft: JSON, faults: Sequence[Fault]) -> Question:
    """The question once more, with what is wrong with the last script. The goal stays last, and the next script is not
    the likeliest one again."""
    told, _, goal = question.context.rpartition("goal: ")
    wrong = "\n".join(f"- {_STEP.sub('the call', str(fault))}" for fault in list(faults)[:_FAULTS])
    context = f"{told}This script is wrong:\n{str(draft)[:_DRAFT]}\n{wrong}\nWrite another one.\ngoal: {goal}"
    return replace(question, context=context, variety=min(question.variety + _VARIETY, 1.0))


def lean_steps(
    draft: JSON, brief: Brief, tools: Registry, *, first: int = 1, done: Sequence[Step] = ()
) -> Sequence[JSON]:
    """The steps of a script in the wire format, numbered from `first`. Raises PlanError."""

    def files_of(pattern: str) -> list[str]:
        return [name for name in brief.names if fits(tuple(name.split("/")), pattern.removeprefix("./").split("/"))]

    return read_script(str(draft), tools, files_of, first=first, known={_name(step): step.id for step in done})


def _is_shown(tool: str, recipes: Sequence[Recipe]) -> bool:
    return not recipes or tool in _ALWAYS or any(tool in recipe.tools for recipe in recipes)


def _asked(recipe: Recipe) -> str:
    files = "; ".join(f"{path}: {' | '.join(shape.splitlines())}" for path, shape in recipe.files.items())
    return f"files: {files or 'none'}\ngoal: {recipe.goal}"


def _files(brief: Brief) -> str:
    shapes = [f"{path}: {clipped(' | '.join(text.splitlines()), _SHAPE)}" for path, text in brief.files.items()]
    others = [name for name in brief.names if name not in brief.files]
    more = ", ..." if len(others) > _NAMES else ""
    beside = [f"others in the folder: {', '.join(others[:_NAMES])}{more}"] if others else []
    notes = f"\nnotes: {brief.context}" if brief.context else ""
    return f"files: {'; '.join([*shapes, *beside]) or 'none'}{notes}"


def _name(step: Step) -> str:
    """The name of a step's result in a script."""
    name = step.description.replace(" ", "_")
    return name if name.isidentifier() else f"result{step.id}"
