"""A template is filled with the values that its blanks are called by, and nothing else of it is changed."""

import pytest

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.templates import template_tool

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def filled(template: str, values: JSON) -> JSON:
    return await Registry([template_tool()]).call("fill_template", {"template": template, "values": values}, nobody)


@pytest.mark.parametrize(
    "blanks",
    [
        "[NAME] [DUE DATE]",
        "{name} {due_date}",
        "{{ Name }} {{ due-date }}",
        "<<name>> <<dueDate>>",
        "<NAME> <DUE_DATE>",
        "${name} ${due_date}",
        "%NAME% %DUE_DATE%",
        "@name@ @due_date@",
        "[[name]] [[due date]]",
        "__NAME__ __DUE_DATE__",
    ],
)
async def test_blanks_are_written_in_many_ways(blanks: str) -> None:
    values: JSON = {"name": "Ann", "due_date": "2026-05-01"}
    assert await filled(f'Dear {blanks},\n"quoted" [1] <b>x</b> {{}}\n', values) == (
        'Dear Ann 2026-05-01,\n"quoted" [1] <b>x</b> {}\n'
    )


@pytest.mark.parametrize(
    "values",
    [
        {"rows": [{"name": "Ann", "sum": 4.5}], "count": 1, "truncated": False},
        [{"name": "Ann", "sum": 4.5}],
        '{"name": "Ann", "sum": 4.5}',
        "name: Ann\nsum: 4.5\n",
        "[letter]\nname = \"Ann\"\nsum = '4.5'\n",
        {"customer": {"name": "Ann"}, "order": {"sum": 4.5, "items": ["a", "b"]}},
        {"name": "Ann", "sum": 4.5, "customer": {"name": "Bo"}},
    ],
)
async def test_values_are_an_object_one_row_or_lines_of_text(values: JSON) -> None:
    assert await filled("[NAME]: [SUM]", values) == "Ann: 4.5"


async def test_what_is_inside_of_another_may_be_called_by_both_names() -> None:
    values: JSON = {"customer": {"name": "Ann"}, "seller": {"name": "Bo"}, "tags": ["x", 1]}
    assert await filled("[customer.name], [SELLER NAME], [tags]", values) == "Ann, Bo, x, 1"


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("Dear [NAME], on [DAY]", {"name": "Ann"}, r"Nothing is called like \[DAY\]. There are: name"),
        ("Dear all", {"name": "Ann"}, "No blank of the template is called like one of the values: name"),
        ("[NAME]", {"rows": [{"name": "Ann"}, {"name": "Bo"}], "count": 2, "truncated": False}, "These are 2 rows"),
        ("[NAME]", "nothing of use", "There are no values with names"),
        ("[NAME]", 7, "There are no values with names"),
    ],
)
async def test_what_cannot_be_filled_is_told(template: str, values: JSON, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await filled(template, values)


async def test_a_value_that_looks_like_a_blank_is_a_value() -> None:
    assert await filled("[A] [B]", {"a": "[B]", "b": "[C]"}) == "[B] [C]"


async def test_a_long_template_is_filled_in_linear_time() -> None:
    text = "[" * 100_000 + "[NAME]" + "{{ a " * 15_000
    assert str(await filled(text, {"name": "Ann"})).count("Ann") == 1


async def test_lines_of_values_are_read_in_linear_time() -> None:
    assert await filled("[NAME]", "name: Ann\nnote: a" + " " * 190_000 + "b") == "Ann"
    with pytest.raises(ToolError, match="200,000 are the most"):
        await filled("[NAME]", "name: Ann\n" + " " * 200_000)
