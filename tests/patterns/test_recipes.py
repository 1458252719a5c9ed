"""Every recipe that we ship can be read, and can be run."""

import pytest

from forethought_patterns import Recipe
from forethought_patterns.recipe import library, read_recipe, suggested_tools
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders


def test_there_are_recipes_for_every_kind_of_ordinary_work() -> None:
    assert len(library()) >= 60
    assert len({recipe.goal.lower() for recipe in library()}) == len(library())


@pytest.mark.parametrize("recipe", library(), ids=lambda recipe: str(recipe.name))
def test_a_recipe_says_what_it_is_for(recipe: Recipe) -> None:
    assert recipe.about
    assert recipe.tools


def test_a_recipe_is_read_from_its_file() -> None:
    text = "# Sums\ngoal: Sum a.csv: all of it\nfiles: a.csv: x,y | 1,2\nfiles: b.txt:\n\ns = sums('a.csv')\nkeep(s)\n"
    read = read_recipe("sums", text)
    assert (read.name, read.about, read.goal) == ("sums", "Sums", "Sum a.csv: all of it")
    assert read.files == {"a.csv": "x,y\n1,2", "b.txt": ""}
    assert (read.script, read.tools) == ("s = sums('a.csv')\nkeep(s)", ("sums", "keep"))


def test_a_small_planner_sees_what_the_recipes_call_what_the_goal_names_and_what_most_plans_need() -> None:
    def names(goal: str, *recipes: str) -> set[str]:
        shown = [recipe for recipe in library() if recipe.name in recipes]
        return {tool.name for tool in suggested_tools(goal, ["a.csv"], shown, builtin(Folders([])))}

    assert {"query_table", "write_file", "tell"} <= names("anything at all", "top-n")
    assert not names("anything at all", "top-n") & {"run_command", "send_email", "delete_file", "web_search"}
    assert "delete_file" in names("drop the scratch notes", "delete-one")
    assert "send_email" in names("emails for Bo about lunch", "top-n")
    assert len(names("anything at all")) == len(builtin(Folders([])))
