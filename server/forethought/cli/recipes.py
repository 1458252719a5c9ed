"""`forethought recipes`: list, show, name and forget plans that have reached their goals. Needs no server."""

__all__ = ["as_json", "forget", "name", "read_parameters", "recipes", "show"]

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from forethought.app import open_journal
from forethought.cli.forgetting import forgotten
from forethought.cli.terminal import console
from forethought.engine.recipes import as_recipe, named
from forethought.journal.rows import RecipeRow
from forethought.settings import Settings
from forethought_patterns import Recipe
from forethought_patterns.recipe import library
from forethought_tools import NotFoundError, SettingsError
from forethought_tools.visible import visible, visible_json


def recipes(settings: Settings) -> int:
    """List the recipes that were kept, and ours."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "from", "goal"):
        whole = heading != "goal"  # names and runs are there to be copied
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=19 if whole else None)
    for each in _listed(settings):
        table.add_row(*(escape(visible(text[:80])) for text in each.values()))
    console.print(table)
    if not settings.recipes:
        console.print("FORETHOUGHT_RECIPES is off: planners are told of ours only, and none is added.")
    return 0


def as_json(settings: Settings) -> int:
    """The same as JSON."""
    print(visible_json(_listed(settings), indent=1))
    return 0


def _listed(settings: Settings) -> list[Mapping[str, str]]:
    with open_journal(settings) as journal:
        rows = journal.queries.recipes()
    kept = [{"name": row.name or row.id, "from": row.run, "goal": row.goal} for row in rows]
    return [*kept, *({"name": ours.name, "from": "ours", "goal": ours.goal} for ours in library())]


def show(settings: Settings, name: str) -> int:
    """Show a recipe as planners see it."""
    with open_journal(settings) as journal:
        found = [row for row in journal.queries.recipes() if name in (row.name, row.id)]
        shown = [*(as_recipe(row, journal.records.tools) for row in found), *(r for r in library() if r.name == name)]
    if not shown:
        raise NotFoundError(f"There is no recipe {name!r}. `forethought recipes` lists them.")
    for row in found:
        console.print(escape(_told(row)), soft_wrap=True)
    console.print(escape(_as_file(shown[0])), soft_wrap=True)
    return 0


def _told(row: RecipeRow) -> str:
    parameters = row.body["parameters"]
    keys = ", ".join(parameters) if isinstance(parameters, dict) else ""
    return visible(f"from {row.run} in {row.workspace}; parameters: {keys or 'none'}")


def _as_file(recipe: Recipe) -> str:
    files = [
        f"files: {visible(path)}: {visible(' | '.join(shape.splitlines()))}" for path, shape in recipe.files.items()
    ]
    about = [f"# {recipe.about}"] if recipe.about else []
    script = [visible(line) for line in recipe.script.splitlines()]
    return "\n".join([*about, f"goal: {visible(recipe.goal)}", *(files or ["files: none"]), "", *script])


def name(settings: Settings, run_id: str, name: str, *, values: Sequence[str]) -> int:
    """Give the plan of a run a name, and mark the values that may differ next time."""
    with open_journal(settings) as journal:
        run = journal.queries.run(run_id)
        journal.store.commit(run.id, named(journal.records, run, name, read_parameters(values, "recipes name")))
    again = " ".join(f"{value.partition('=')[0]}=..." for value in values)
    console.print(escape(visible(f"Kept. forethought run --recipe {name} {again}".strip())), soft_wrap=True)
    return 0


def forget(settings: Settings, name: str, *, yes: bool) -> int:
    """Forget a recipe that was kept, or all of them; of all a person is asked."""
    with open_journal(settings) as journal:
        gone = [row.id for row in journal.queries.recipes() if name in ("all", row.name, row.id)]
        asking = f"all kept recipes ({len(gone)})" if name == "all" else ""
        return forgotten(journal.store, "recipe", name, gone, asking=asking, yes=yes)


def read_parameters(texts: Sequence[str], where: str) -> dict[str, str]:
    """Values by key, as they were typed: `month=May`. Raises SettingsError."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, sign, _) in zip(texts, pairs, strict=True) if not sign]:
        raise SettingsError(f"{where}: {wrong[0]!r} is no key=value.")
    return {key: value for key, _, value in pairs}
