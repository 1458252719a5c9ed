"""Columns keep the names that the goal has for them."""

from collections.abc import Mapping

import pytest

from forethought_patterns.column_names import wanted_columns, with_said_names, without_line_numbers
from forethought_tools import JSON

ORDERS, CUSTOMERS = "order_no,customer_id,amount", "id,name,city"
JOINED = "SELECT o.*, c.name AS customer_name, c.city FROM 'o.csv' o JOIN 'c.csv' c ON o.customer_id = c.id"


def _named(sql: str, goal: str, *shapes: str, later: str = "") -> object:
    steps: list[dict[str, JSON]] = [
        {"tool": "query_table", "arguments": {"sql": sql}},
        {"tool": "write_file", "arguments": {"path": "out.csv", "content": later}},
    ]
    arguments = with_said_names(steps, goal, shapes or (ORDERS, CUSTOMERS))[0]["arguments"]
    assert isinstance(arguments, Mapping)
    return arguments["sql"]


def test_a_column_that_the_goal_names_keeps_its_name() -> None:
    kept = JOINED.replace(" AS customer_name", "")
    assert _named(JOINED, "each order with the name and the city of its customer") == kept
    assert _named(JOINED.lower(), "each order with the Name of its customer") == kept.lower()


@pytest.mark.parametrize(
    ("sql", "goal", "shapes"),
    [
        (JOINED, "each order with the customer name and city", ()),
        (JOINED, "with a column customer_name, the name of the customer", ()),
        (JOINED, "each order with who bought it", ()),
        (JOINED, "the name of each", (f"{ORDERS},name", CUSTOMERS)),
        ("SELECT sum(amount) AS total FROM 'o.csv'", "the amount of all orders", ()),
        ("SELECT a.name AS a_name, b.name AS b_name FROM 'a.csv' a, 'b.csv' b", "the name of both", ()),
        ("SELECT c.name AS who FROM 'c.csv' c ORDER BY who", "the name of all customers", ()),
        ("WITH t AS (SELECT id FROM 'c.csv') SELECT id AS id FROM t", "the id of all customers", ()),
    ],
)
def test_a_column_gets_the_name_that_it_needs(sql: str, goal: str, shapes: tuple[str, ...]) -> None:
    assert _named(sql, goal, *shapes) == sql


def test_a_name_that_a_later_step_uses_stays() -> None:
    assert _named(JOINED, "the name of each", later="{{1.rows.0.customer_name}}") == JOINED


@pytest.mark.parametrize(
    ("goal", "path", "kept"),
    [
        ("the longest lines into top.txt", "top.txt", "SELECT text FROM 'a.txt' ORDER BY length(text) DESC"),
        ("the longest lines with their numbers into top.txt", "top.txt", ""),
        ("the longest lines into top.csv", "top.csv", ""),
    ],
)
def test_lines_that_are_saved_as_text_are_these_lines(goal: str, path: str, kept: str) -> None:
    sql = "SELECT line, text FROM 'a.txt' ORDER BY length(text) DESC"
    steps: list[dict[str, JSON]] = [
        {"id": 1, "tool": "query_table", "arguments": {"sql": sql}},
        {"id": 2, "tool": "write_table", "arguments": {"path": path, "rows": "{{1}}"}},
    ]
    assert without_line_numbers(steps, goal)[0] == {**steps[0], "arguments": {"sql": kept or sql}}


def test_blanks_without_end_in_a_goal_take_no_time() -> None:
    assert wanted_columns("with the columns" + " " * 19_000 + "!") == []
    assert wanted_columns("with the columns  name,\n old") == ["name", "old"]
