"""Plans that have reached their goals are kept, for whoever plans in the same folders later, and to be run again.

A person can name one and mark values in it: `{key}` stands for them from then on, in the goal and in the arguments.
"""

__all__ = ["as_recipe", "filled", "kept", "named", "recipe_called", "with_recipes"]

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from forethought.engine.records import Records
from forethought.journal.codec import workspace_of
from forethought.journal.database import new_id
from forethought.journal.rows import Fact, RecipeRow, RunRow
from forethought.recipes import nearest
from forethought_patterns import Brief, Plan, Recipe, Step
from forethought_patterns.references import UNKNOWN, Reference, pieces
from forethought_patterns.script_text import as_script
from forethought_tools import JSON, WITHHELD, ForethoughtError, NotFoundError, Registry

_TOLD = 6  # recipes that a planner is told: a small one is shown half of them, and others when it goes wrong
_MOST = 100  # kept without a name, for each workspace
_GOAL = 1000  # characters
_BODY = 20_000  # characters
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KEY = re.compile(r"[A-Za-z_]\w{0,39}")
_IN_COMMAND = re.compile(r"[\w./:@%+=, -]*")  # what no shell obeys
_FIELDS = ("arguments", "description", "expected_output", "check")


def with_recipes(brief: Brief, records: Records, *, also_kept: bool) -> Brief:
    """What a planner is told, with the recipes nearest to the goal."""
    rows = records.queries.recipes(workspace_of(records.folders)) if also_kept else ()
    known = [as_recipe(row, records.tools) for row in rows]
    return replace(brief, recipes=nearest(brief.goal, brief.files, _TOLD, kept=known))


def as_recipe(row: RecipeRow, tools: Registry) -> Recipe:
    """A kept recipe as planners and people read it: with the values that it was kept with."""
    goal, raw = filled(row, cast("Mapping[str, str]", row.body["parameters"]))
    steps = [Step.model_validate(step) for step in raw]
    called = tuple(dict.fromkeys(step.tool for step in steps))
    shapes = cast("Mapping[str, str]", row.body["files"])
    return Recipe(row.name or row.id, "", goal, shapes, as_script(steps, tools), called)


def kept(records: Records, run: RunRow) -> list[Fact]:
    """What is to be recorded so that the plan of a run is kept: nothing, where it is known or cannot be kept."""
    plan = records.plan(run.plan, records.queries.run(run.id).revision)  # as it is on record, without any secret
    if _unfit(plan):
        return []
    here = records.queries.recipes(workspace_of(run.folders))
    if any(_plain(plan.goal) == _plain(row.goal) for row in here):
        return []
    old: Sequence[JSON] = [row.id for row in here if not row.name][_MOST - 1 :]
    forgotten = [Fact("recipes_forgotten", {"recipes": old})] if old else []
    return [_fact(records, run, plan, "", plan.goal, plan.wire(), {}), *forgotten]


def named(records: Records, run: RunRow, name: str, values: Mapping[str, str]) -> Fact:
    """What is to be recorded so that the plan of a run has a name, and keys for these values.

    Raises:
        ForethoughtError: the run, the name or a value cannot be used.
    """
    if run.kind != "plan" or run.state != "succeeded":
        raise ForethoughtError(f"{run.id} is no run of a plan that has succeeded. `forethought runs` lists the runs.")
    if not _NAME.fullmatch(name) or name in {row.name for row in records.queries.recipes(workspace_of(run.folders))}:
        raise ForethoughtError(
            f"{name!r} cannot be the name. Take one that is free, of small letters, digits and hyphens, such as"
            " monthly-report; `forethought recipes forget` frees one."
        )
    plan = records.plan(run.plan, run.revision)
    if why := _unfit(plan):
        raise ForethoughtError(f"The plan of {run.id} cannot be kept: {why}.")
    goal, steps = _marked(plan, values)
    return _fact(records, run, plan, name, goal, steps, values)


def recipe_called(records: Records, name: str) -> RecipeRow:
    """The recipe of these folders that has this name or id. Raises NotFoundError."""
    for row in records.queries.recipes(workspace_of(records.folders)):
        if name in (row.name, row.id):
            return row
    raise NotFoundError(
        f"There is no recipe {name!r} of these folders that can be run. `forethought recipes` lists those there are;"
        " `forethought recipes name RUN NAME` makes one of a run."
    )


def filled(row: RecipeRow, values: Mapping[str, str]) -> tuple[str, list[JSON]]:
    """The goal and the steps of a recipe with these values. What is written in them refers to nothing.

    Raises:
        ForethoughtError: a value is missing, or one too many, or one that a shell would obey.
    """
    keys = cast("Mapping[str, str]", row.body["parameters"])
    if set(keys) != set(values):
        wanted = ", ".join(f"{key} (was {value!r})" for key, value in keys.items()) or "none"
        raise ForethoughtError(f"The parameters of {row.name or row.id} are: {wanted}. Give each of them.")
    holder = re.compile("|".join(rf"\{{{key}\}}" for key in keys) or r"(?!)")

    def fill(text: str, name: str) -> str:
        return holder.sub(lambda found: _as_part_of(name, values[found[0][1:-1]]), text)

    return fill(row.goal, "goal"), _changed(cast("Sequence[Mapping[str, JSON]]", row.body["steps"]), fill)


def _as_part_of(name: str, value: str) -> str:
    """A value as it stands in an argument of this name."""
    if name == "command" and not _IN_COMMAND.fullmatch(value):
        raise ForethoughtError(f"{value!r} cannot become part of a command: a shell would obey it. Plan it anew.")
    return value.replace("'", "''") if name == "sql" else value


def _marked(plan: Plan, values: Mapping[str, str]) -> tuple[str, list[JSON]]:
    """Goal and steps with `{key}` in the place of each value."""
    whole = json.dumps([plan.goal, plan.wire()], ensure_ascii=False)
    for key, value in values.items():
        if not _KEY.fullmatch(key) or not value or f"{{{key}}}" in whole:
            raise ForethoughtError(f"{key}={value} marks nothing. Write it as key=value, with a key of your own.")
    keys = {value: key for key, value in values.items()}
    longest = sorted(map(re.escape, keys), key=len, reverse=True)
    # Whole names and numbers: 5 is not marked in 2025, nor sales.csv in old-sales.csv or in sales.csv.bak.
    marks = re.compile(rf"(?<![\w-])(?<!\w\.)(?:{'|'.join(longest) or '(?!)'})(?![\w-]|\.\w)")
    found = set[str]()

    def mark(text: str, name: str) -> str:
        found.update(marks.findall(text) if name != "goal" else ())
        return marks.sub(lambda value: f"{{{keys[value[0]]}}}", text)

    goal, steps = mark(plan.goal, "goal"), _changed(cast("list[Mapping[str, JSON]]", plan.wire()), mark)
    if missing := [f"{key}={value}" for key, value in values.items() if value not in found]:
        raise ForethoughtError(f"This stands in no step of the plan: {', '.join(missing)}. Mark what does.")
    return goal, steps


def _changed(steps: Sequence[Mapping[str, JSON]], change: Callable[[str, str], str]) -> list[JSON]:
    """Steps with each text changed, by the name of the argument that it is in; references stay."""

    def text(source: str, name: str) -> str:
        found = [
            str(piece) if isinstance(piece, Reference) else change(piece, name).replace("{{", r"\{{")
            for piece in pieces(source)
        ]
        return "".join(found)

    def texts(value: JSON, name: str) -> JSON:
        if isinstance(value, Mapping):
            return {key: texts(part, key) for key, part in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [texts(part, name) for part in value]
        return text(value, name) if isinstance(value, str) else value

    return [{name: texts(v, name) if name in _FIELDS else v for name, v in step.items()} for step in steps]


def _unfit(plan: Plan) -> str:
    """Why a plan cannot be kept, or nothing."""
    whole = json.dumps(plan.wire(), ensure_ascii=False)
    if WITHHELD in whole or WITHHELD in plan.goal:
        return "a key or password stood in it"
    if UNKNOWN in whole:
        return f"an argument of it, {UNKNOWN}, was filled in while it ran"
    return "it is too long" if len(whole) > _BODY or len(plan.goal) > _GOAL else ""


def _fact(
    records: Records, run: RunRow, plan: Plan, name: str, goal: str, steps: JSON, values: Mapping[str, str]
) -> Fact:
    shapes = _shapes(records, run)
    body: dict[str, JSON] = {"files": shapes, "steps": steps, "parameters": dict(values), "context": plan.context}
    about: dict[str, JSON] = {"id": new_id("recipe"), "workspace": workspace_of(run.folders), "name": name}
    return Fact("recipe_kept", {**about, "goal": goal, "body": body})


def _shapes(records: Records, run: RunRow) -> JSON:
    """The shapes of the goal's files, as its planner was told."""
    told = [row.options.get("files") for row in [run, *records.plannings(run)]]
    return next((files for files in told if files), dict[str, JSON]())


def _plain(goal: str) -> str:
    return " ".join(goal.lower().split())
