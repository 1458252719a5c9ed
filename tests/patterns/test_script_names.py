"""What a name in a script stands for that it has not given to anything: a file of the goal, a column, a result."""

from typing import Any

import pytest
from tests.patterns.linting import TOOLS

from forethought_patterns.script import read_script
from forethought_tools import PlanError


def _read(text: str, **more: Any) -> list[Any]:
    return [*read_script(text, TOOLS, lambda _: [], **more)]


def _calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(step["tool"], step["arguments"]) for step in _read(text)]


def test_a_name_that_nothing_has_is_the_file_of_the_goal_that_is_called_so() -> None:
    named = ["data/people.csv", "letter.txt"]
    read = _read('a = analyze("Who?", people)\nwrite("A letter", letter)', named=named)
    assert [(step["tool"], step["arguments"]) for step in read if step["tool"] not in ("analyze", "write")] == [
        ("query_table", {"sql": "SELECT * FROM 'data/people.csv'"}),
        ("read_file", {"path": "letter.txt"}),
    ]


def test_a_name_that_nothing_has_is_the_only_file_of_the_goal_if_nothing_reads_it() -> None:
    script = 'who = analyze("Who?", text)\nwhen = analyze("When?", text)'
    assert [step["tool"] for step in _read(script, named=["a.txt"])] == ["read_file", "analyze", "analyze"]
    for other in (f'x = read_file("a.txt")\n{script}', f"{script}\ntell(other)"):
        with pytest.raises(PlanError, match="there is no result"):
            _read(other, named=["a.txt"])


def test_a_result_that_is_written_without_a_brief_is_told() -> None:
    for call in ("write(n)", 'write("n")', "analyze(n.rows[0].n)"):
        *_, (tool, arguments) = _calls(f"n = query_table(\"SELECT count(*) AS n FROM 'a.csv'\")\n{call}")
        assert (tool, str(arguments["text"])[:4]) == ("tell", "{{1}" if "rows" not in call else "{{1.")


def test_a_column_of_a_result_is_that_of_its_first_row() -> None:
    *_, (_, arguments) = _calls(
        "best = query_table(\"SELECT day, count(*) AS count FROM 'a.csv' GROUP BY day\")\n"
        "tell(f\"{best['day']} {best[0].day} {best.rows[1].day} {best.count} {best.day}\")"
    )
    assert arguments["text"] == "{{1.rows.0.day}} {{1.rows.0.day}} {{1.rows.1.day}} {{1.count}} {{1.rows.0.day}}"


def test_a_result_that_is_named_among_the_paths_is_a_table() -> None:
    *_, (_, query) = _calls(
        'a = query_table("SELECT id FROM shops", ["shop.db"])\n'
        'query_table("SELECT * FROM a JOIN \'b.csv\' b USING (id)", ["a", "b.csv"])'
    )
    assert (query["tables"], query["paths"]) == ({"a": "{{1}}"}, ["b.csv"])


def test_a_result_that_lacks_a_column_of_the_table_that_is_called_so_is_that_table_in_sql() -> None:
    bases = {"customers": "shop.db", "orders": "shop.db"}
    shapes = "customers (id BIGINT, name VARCHAR), 2 rows: 1, Ann; 2, Bo\norders (customer_id BIGINT, total DOUBLE)"
    total = 'total = query_table("SELECT customer_id, SUM(total) AS total FROM orders GROUP BY 1", [])'
    best = "SELECT c.name, t.total FROM customers c JOIN total t ON c.id = t.customer_id"

    def sources(picked: str) -> tuple[Any, Any]:
        script = f'customers = query_table("{picked}", ["shop.db"])\n{total}\nquery_table("{best}", ["customers"])'
        *_, step = _read(script, bases=bases, shapes=shapes)
        return step["arguments"].get("tables"), step["arguments"].get("paths")

    assert sources("SELECT name FROM customers") == ({"total": "{{2}}"}, ["shop.db"])
    for other in (
        "SELECT id, name FROM customers",
        "SELECT name AS n FROM customers",
        "SELECT name FROM customers LIMIT 3",
    ):
        assert sources(other) == ({"customers": "{{1}}", "total": "{{2}}"}, None)
