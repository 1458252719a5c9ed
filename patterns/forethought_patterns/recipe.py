"""Recipes: a goal, the files it is about, and a plan that reaches it. Planners are shown the nearest few.

Ours are in the folder `recipes`, a file each: what it is for, the goal, the files with their shape, then the plan as a
script.
"""

__all__ = ["OFTEN", "Recipe", "called", "library", "read_recipe", "suggested_tools"]

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources

from forethought_tools import Registry, Tool
from forethought_tools.delegating import DELEGATE
from forethought_tools.syntax import statements

OFTEN = ("query_table", "write_table", "read_file", "write_file", "write", "analyze", "tell")
_WITHOUT_FILES = ("list_files", "search_files", "calculate")
_NEAR = 4  # tools of other servers that a small planner is shown
_IN_EVERY = frozenset({"file", "files", "text", "folder", "returns", "such", "with", "from", "what"})
_STEM = 5  # letters by which words of a goal and of a tool are alike


@dataclass(frozen=True, slots=True)
class Recipe:
    """A goal with a plan that reaches it."""

    name: str
    about: str
    """What it is for, in a few words."""
    goal: str
    """As a person would type it."""
    files: Mapping[str, str]
    """The shape of each file that the goal is about, by path."""
    script: str
    tools: tuple[str, ...]
    """What the plan calls, in the order in which it does."""
    also: tuple[str, ...] = ()
    """Other goals that such a plan reaches: by these too it is found."""


@cache
def library() -> tuple[Recipe, ...]:
    """The recipes that we ship, by name."""
    found = sorted(resources("forethought_patterns").joinpath("recipes").iterdir(), key=lambda file: file.name)
    return tuple(read_recipe(file.name.removesuffix(".txt"), file.read_text(encoding="utf-8")) for file in found)


def read_recipe(name: str, text: str) -> Recipe:
    """A recipe as it is written in its file. Raises ValueError where that is none."""
    head, _, script = text.partition("\n\n")
    about, *fields = head.splitlines()
    said = [line.partition(": ") for line in fields]
    (goal,) = [value for field, _, value in said if field == "goal"]
    listed = [value for field, _, value in said if field == "files" and value != "none"]
    shapes = {
        path.removesuffix(":"): shape.replace(" | ", "\n") for path, _, shape in (f.partition(": ") for f in listed)
    }
    also = tuple(value for field, _, value in said if field == "also")
    return Recipe(name, about.removeprefix("# "), goal, shapes, script.strip(), called(script), also)


def called(script: str) -> tuple[str, ...]:
    """The tools that a script calls. Raises SyntaxError where it is none."""
    calls = [node for line in statements(script) for node in ast.walk(line) if isinstance(node, ast.Call)]
    names = [(node.lineno, node.col_offset, node.func.id) for node in calls if isinstance(node.func, ast.Name)]
    return tuple(dict.fromkeys(name for _, _, name in sorted(names) if name not in ("sorted", "enumerate")))


def suggested_tools(
    goal: str, files: Collection[str], recipes: Sequence[Recipe], tools: Registry, *, near: Sequence[str] = ()
) -> list[Tool]:
    """The tools that a small planner is shown: what most plans need, also such as name no files, what recipes call, and
    what the goal names. Without recipes it is shown all of ours. Of other servers' tools it is shown the nearest."""
    called_there = {name for recipe in recipes for name in recipe.tools}
    often = OFTEN if files else (*OFTEN, *_WITHOUT_FILES)
    wanted = _stems(goal)
    ours = [
        tool
        for tool in tools
        if not tool.source
        and tool.name != DELEGATE  # small models do worse with more to choose from
        and (
            not recipes
            or tool.name in often
            or tool.name in called_there
            or wanted & _stems(tool.name.replace("_", " "))
        )
    ]
    foreign = [tool for name in near if (tool := tools.get(name)) is not None and tool.source]
    return ours + foreign[:_NEAR]


def _stems(text: str) -> set[str]:
    words = re.findall(r"[^\W\d_]{4,}", text.lower())
    return {word[:_STEM] for word in words if word not in _IN_EVERY}
