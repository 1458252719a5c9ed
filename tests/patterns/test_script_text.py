"""A plan that is written as a script reads as the same plan."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forethought_patterns import Recipe, Step
from forethought_patterns.recipe import library
from forethought_patterns.script import read_script
from forethought_patterns.script_text import as_script
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

TOOLS = builtin(Folders([]))


def read(script: str, files: Sequence[str] = ()) -> list[Step]:
    def fitting(pattern: str) -> list[str]:
        return [path for path in files if fnmatchcase(path, pattern.replace("**/", "*"))]

    return [Step.model_validate(step) for step in read_script(script, TOOLS, fitting)]


RUNNABLE = [recipe for recipe in library() if set(recipe.tools) <= {tool.name for tool in TOOLS}]


@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda recipe: str(recipe.name))
def test_each_recipe_is_the_same_script_again(recipe: Recipe) -> None:
    written = as_script(read(recipe.script, list(recipe.files)), TOOLS)
    if "for " not in recipe.script.split("(")[0]:  # a loop is unfolded where it is read
        assert written == recipe.script


def test_a_result_is_called_as_sql_calls_it() -> None:
    steps: list[Mapping[str, JSON]] = [
        {
            "id": 1,
            "tool": "list_files",
            "arguments": {"pattern": "*.md"},
            "description": "Look for all of the notes here",
        },
        {"id": 2, "tool": "query_table", "arguments": {"sql": "SELECT * FROM found", "tables": {"found": "{{1}}"}}},
        {"id": 3, "tool": "unheard_of", "arguments": {"x": ["{{2.rows.0.size}}", None], "y": "{{2}} of \\{{1}} {a}"}},
    ]
    assert as_script([Step.model_validate(step) for step in steps], TOOLS).splitlines() == [
        'found = list_files("*.md")',
        'result2 = query_table("SELECT * FROM found")',
        'unheard_of(x=[result2.rows[0].size, None], y=f"{result2} of {{{{1}}}} {{a}}")',
    ]


@example("a line\x85or two\u2028or three", -1)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b"), min_size=1, max_size=40), st.integers()
)
def test_whatever_stands_in_an_argument_stands_there_again(text: str, number: int) -> None:
    arguments: Mapping[str, JSON] = {
        "path": "a.txt",
        "content": {"plain": text.replace("{{", "\\{{"), "list": [number, True, None, 0.5]},
    }
    step = Step.model_validate({"id": 1, "tool": "write_file", "arguments": arguments})
    (again,) = read(as_script([step], TOOLS))
    assert again.arguments == step.arguments
