"""Every recipe that we ship can be read, and can be run."""

import pytest

from forethought_patterns import Recipe
from forethought_patterns.recipe import library, read_recipe


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
