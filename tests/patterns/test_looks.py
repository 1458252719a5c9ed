"""Queries over results of earlier steps are looked at before a plan runs, as far as those can be foreseen."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.patterns.linting import Call, said_of, tell

from forethought_tools import JSON, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

FIRST: Call = ("query_table", {"sql": "SELECT who, sum(hours) AS total FROM 'hours.csv' GROUP BY who ORDER BY 2"})


def over(sql: str, rows: JSON = "{{1}}") -> Call:
    return "query_table", {"sql": sql, "tables": {"t": rows}}


@pytest.fixture
def tools(tmp_path: Path) -> Registry:
    (tmp_path / "hours.csv").write_text("who,hours,day\nann,2.5,2026-01-02\nbob,4,2026-01-03\n", encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as base, base:
        base.execute("CREATE TABLE sold (id INTEGER, name TEXT)")
    return Registry(builtin(Folders([tmp_path])))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([FIRST, over("SELECT who, total FROM t"), tell("{{2}}")], ""),
        ([FIRST, over("SELECT who, totl FROM t"), tell("{{2}}")], 'step 2: Binder Error: Referenced column "totl"'),
        (
            [FIRST, over("SELECT who FROM t", "{{1.rows}}"), over("SELECT total FROM t", "{{2}}"), tell("{{3}}")],
            "step 3",
        ),
        ([FIRST, over("SELECT who FROM t WHERE"), tell("{{2}}")], "syntax error"),
        ([FIRST, tell("{{1.rows.0.who}}: {{1.rows.3.total}}, {{1.count}}")], ""),
        ([FIRST, tell("{{1.rows.0.amount}}")], "step 2: {{1.rows.0.amount}} leads nowhere"),
        ([FIRST, tell("{{1.total}} {{1.0.who}} {{1.truncated}}")], ""),
        ([FIRST, tell("{{1.ann.total}}")], "step 2: {{1.ann.total}} leads nowhere"),
        ([FIRST, tell("{{1.2.amount}}")], "step 2: {{1.0.amount}} leads nowhere"),
        ([FIRST, over("SELECT * FROM t WHERE total > {{1.rows.0.total}}"), tell("{{2}}")], ""),
        ([FIRST, over("SELECT * FROM t WHERE who = '{{1.rows.0.who}}'"), tell("{{2}}")], ""),
        (
            [
                ("query_table", {"sql": "SELECT strftime(day, '%Y-%m-%d') AS day FROM 'hours.csv'"}),
                over("SELECT year(day) AS y FROM t"),
                tell("{{2}}"),
            ],
            "",
        ),
        (
            [
                ("query_table", {"sql": "SELECT name AS tea FROM sold", "paths": ["shop.db"]}),
                over("SELECT name FROM t"),
                tell("{{2}}"),
            ],
            'Referenced column "name"',
        ),
    ],
)
async def test_a_query_of_a_result_is_looked_at_by_the_columns_that_it_will_have(
    tools: Registry, steps: list[Call], said: str
) -> None:
    found = " | ".join(await said_of("Tell me the hours", steps, files="hours.csv shop.db", tools=tools))
    found = " | ".join(each for each in found.split(" | ") if "no step uses it" not in each)
    assert said in found
    assert bool(said) == bool(found), found
