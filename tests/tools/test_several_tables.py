"""A file that holds several tables: each is one, by a name that is told; a file that may be one table stays one."""

import json
import time
from pathlib import Path

import pytest
from tests.tools.asking_tables import query, rows_and_assumed

from forethought_tools import JSON
from forethought_tools.blocks import markdown, stacked

pytestmark = pytest.mark.anyio

TWO = "id,n\n1,2\n3,4\n\nname,city,size\nann,rome,1.5\n"
TITLED = "Sales\nid,n\n1,2\n\nCustomers\n\nname,size\nann,1.5\n"
TABLE = "| id | name |\n|:---|-----:|\n| 1 | ann \\| co |\n| 2 | |\n"
NOTES = f"# Notes\n\nSome text, and a | in it.\n\n{TABLE}\nMore.\n\n## Prices\n\nitem | price\n--- | ---\nrye | 2.5\n"
FENCED = f"# How to\n\n```\n{TABLE}```\n"


@pytest.mark.parametrize(
    ("content", "sql", "expected", "told"),
    [
        (TWO, "FROM 'x.csv'", [{"id": 1, "n": 2}, {"id": 3, "n": 4}], 'have their own names: "table_2"'),
        (TWO, "FROM 'x.csv'.table_2", [{"name": "ann", "city": "rome", "size": 1.5}], "it holds 2 tables"),
        (TWO.replace("\n", "\r\n"), "FROM 'x.csv'.table_2", [{"name": "ann", "city": "rome", "size": 1.5}], "2 tables"),
        (
            TWO.replace("\n\n", "\n,,\n"),
            "FROM 'x.csv' t JOIN table_2 ON true WHERE t.id = 3",
            [{"id": 3, "n": 4, "name": "ann", "city": "rome", "size": 1.5}],
            "2 tables",
        ),
        (TITLED, "FROM 'x.csv'", [{"id": 1, "n": 2}], 'names: "Customers"'),
        (TITLED, "FROM 'x.csv'.\"Customers\"", [{"name": "ann", "size": 1.5}], "2 tables"),
        (TABLE, "FROM 'x.csv'", [{"id": 1, "name": "ann | co"}, {"id": 2, "name": None}], "it holds Markdown"),
    ],
)
async def test_each_table_of_a_file_of_separated_fields_is_one(
    tmp_path: Path, content: str, sql: str, expected: JSON, told: str
) -> None:
    rows, assumed = await rows_and_assumed(tmp_path, "x.csv", content, f"SELECT * {sql}")
    assert rows == expected
    assert told in assumed


@pytest.mark.parametrize(
    "content",
    [
        "id,n\n1,2\n\n3,4\n",
        "id,n\n1,2\n\nid,n\n3,4\n",
        "name,city\nann,rome\n\nbob,oslo\ntim,bonn\n",
        'id,said\n1,"a,b\n\nc,d"\n2,x\n',
        "id,n\n1,2\n\nTotal,6\nMean,3\n",
        "a\n1\n\nb\n2\n",
    ],
)
async def test_a_file_that_may_be_one_table_is_one(tmp_path: Path, content: str) -> None:
    _, assumed = await rows_and_assumed(tmp_path, "x.csv", content)
    assert "own names" not in assumed


@pytest.mark.parametrize(
    ("content", "sql", "expected"),
    [
        (NOTES, "SELECT name FROM 'x.md' WHERE id = 1", [{"name": "ann | co"}]),
        (NOTES, "SELECT price FROM 'x.md'.\"Prices\"", [{"price": 2.5}]),
        (NOTES, "SELECT count(*) AS n FROM 'x.md'", [{"n": NOTES.count("\n")}]),
        (NOTES, "SELECT text FROM 'x.md' WHERE line = 1", [{"text": "# Notes"}]),
        (TABLE, "SELECT count(*) AS n FROM 'x.md'", [{"n": 2}]),
        (TABLE, "SELECT count(*) AS n FROM 'x.md' WHERE text LIKE '|%'", [{"n": 4}]),
        (f"# A\n\n{TABLE}", "SELECT count(*) AS n FROM 'x.md'", [{"n": 2}]),
        (FENCED, "SELECT count(*) AS n FROM 'x.md'", [{"n": FENCED.count("\n")}]),
    ],
)
async def test_a_table_in_a_text_is_found_where_the_query_means_it(
    tmp_path: Path, content: str, sql: str, expected: JSON
) -> None:
    for name in ("x.md", "x.txt"):
        rows, assumed = await rows_and_assumed(tmp_path, name, content, sql.replace("x.md", name))
        assert rows == expected
        assert ("it is read as lines" in assumed) == (
            ("count(*)" in sql and content == NOTES) or "line =" in sql or "Prices" in sql or "LIKE" in sql
        )


async def test_lists_in_one_object_of_json_are_tables_too(tmp_path: Path) -> None:
    content = json.dumps({"made": "today", "users": [{"id": 1}, {"id": 2}], "orders": [{"user": 2, "sum": 5}]})
    sql = "SELECT sum FROM 'x.json'.orders o JOIN users u ON u.id = o.user"
    rows, assumed = await rows_and_assumed(tmp_path, "x.json", content, sql)
    assert rows == [{"sum": 5}]
    assert '"users", "orders"' in assumed
    assert (await query(tmp_path, "SELECT made FROM 'x.json'"))["rows"] == [{"made": "today"}]


@pytest.mark.parametrize(
    "line", ["|" * 1_000_000, " " * 1_000_000 + "|", "-" * 1_000_000 + "|", "|-" * 500_000, "a\n\n" * 300_000]
)
def test_looking_for_tables_takes_no_time_to_speak_of(line: str) -> None:
    worked = time.process_time()
    markdown(f"{line}\n{line}\n")
    stacked(f"{line}\n{line}\n", ",")
    assert time.process_time() - worked < 20, "quadratic time would be hours"
