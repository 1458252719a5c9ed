"""Which recipes are shown to a planner."""

import pytest

from forethought.recipes import nearest

GOALS: list[tuple[str, list[str], str]] = [
    ("sum up the sales per shop in sales.csv and put it in shops.md", ["sales.csv"], "sum-by-group"),
    ("avg age by team from club.csv to team_age.csv please", ["club.csv"], "average-by-group"),
    ("ten most expensive houses of houses.csv into top.csv", ["houses.csv"], "top-n"),
    (
        "Which books from catalog.csv were never lent according to lent.csv?",
        ["catalog.csv", "lent.csv"],
        "missing-lines",
    ),
    ("convert cities.json into cities.csv", ["cities.json"], "json-to-csv"),
    ("turn table.csv into table.json", ["table.csv"], "csv-to-json"),
    ("How many lines in nginx.log contain 404?", ["nginx.log"], "count-in-log"),
    ("write a summary of speech.txt, 50 words max, to short.txt", ["speech.txt"], "summary"),
    ("find all URLs in page.txt and save them to urls.txt", ["page.txt"], "extract-links"),
    ("remove every .old file in the folder", [], "delete-by-rule"),
    (
        "fill letter.txt with the values from data.json, save as done.txt",
        ["letter.txt", "data.json"],
        "fill-a-template",
    ),
    ("top 3 products by revenue from store.sqlite to best.csv", ["store.sqlite"], "database-top-n"),
    ("replace foo by bar in config.yaml", ["config.yaml"], "edit-a-word"),
    ("add a line 'done' to the end of journal.md", ["journal.md"], "append-an-entry"),
    ("mail the totals of sums.csv to joe@a.org", ["sums.csv"], "mail-a-report"),
]


@pytest.mark.parametrize(("goal", "files", "name"), GOALS)
def test_among_the_nearest_recipes_is_the_one_for_such_work(goal: str, files: list[str], name: str) -> None:
    assert name in [recipe.name for recipe in nearest(goal, files, 4)]


def test_what_is_nearest_is_always_the_same() -> None:
    goal, files = "count words in thesis.txt", ["thesis.txt"]
    assert nearest(goal, files, 5) == nearest(goal, files, 5)
    assert nearest(goal, files, 2) == nearest(goal, files, 5)[:2]


def test_a_goal_without_words_breaks_nothing() -> None:
    assert nearest("", [], 3) == nearest('"*) OR (', [], 3)
