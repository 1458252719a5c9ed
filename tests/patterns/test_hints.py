"""What a goal says of the form of its results, and the SQL of a plan does not do."""

import pytest
from pydantic import JsonValue

from forethought_patterns import Plan, Step
from forethought_patterns.hints import guesses, hints
from forethought_patterns.recipe import library
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

AMOUNTS = "SELECT day, SUM(amount) AS total FROM 'a.csv' GROUP BY day"
BEST = "SELECT team, player, points FROM 'a.csv' ORDER BY points DESC"


def _said(goal: str, sql: str) -> list[str]:
    step = Step(id=1, tool="query_table", arguments={"sql": sql})
    return [fault.problem for fault in hints(Plan(goal, (step,)))]


@pytest.mark.parametrize(
    ("goal", "sql", "said"),
    [
        ("What did I spend each month? a.csv", AMOUNTS, "each month"),
        ("monthly totals of a.csv", AMOUNTS, "monthly"),
        (
            "the parts of a.csv of which we have fewer than the minimum",
            "SELECT part, x - y AS n FROM 'a.csv'",
            "fewer than",
        ),
        ("the parts of a.csv of which we have fewer than the minimum", "SELECT part FROM 'a.csv' WHERE x < y", ""),
        ("names of a.csv, none longer than a few words", "SELECT name FROM 'a.csv'", ""),
        (
            "put a.csv and b.csv together, and add a column year",
            "FROM 'a.csv' UNION ALL FROM 'b.csv'",
            "add a column year",
        ),
        ("add a column year to a.csv", "SELECT *, 2024 AS year FROM 'a.csv'", ""),
        ("add a column with the weekday to a.csv", "SELECT *, dayname(day) AS weekday FROM 'a.csv'", ""),
        ("add a column telling the weekday to a.csv", "SELECT *, dayname(day) AS weekday FROM 'a.csv'", ""),
        ("the three fastest of each team in a.csv", f"{BEST} LIMIT 3", "three fastest of each"),
        (
            "the three fastest of each team in a.csv",
            "SELECT * FROM 'a.csv' QUALIFY row_number() OVER (PARTITION BY team ORDER BY seconds) <= 3",
            "",
        ),
        ("our yearly fee is in a.csv", AMOUNTS, ""),
        ("a.csv, monthly", AMOUNTS, "monthly"),
        ("name and number of days late of a.csv", "SELECT name, due FROM 'a.csv'", "number of days"),
        ("which bills of a.csv are days overdue", "SELECT name, current_date - due AS late FROM 'a.csv'", ""),
        ("a.csv from cheap to expensive", "SELECT item, price FROM 'a.csv'", "from cheap to"),
        ("a.csv from the highest to the lowest", "SELECT x FROM 'a.csv' ORDER BY x", "from the highest to"),
        ("the columns name and missing of a.csv", "SELECT name FROM 'a.csv'", "column missing"),
        ("the columns name and missing of a.csv", "SELECT * FROM 'a.csv'", ""),
        (
            "visits of each of a.csv, also of those who never came, b.csv",
            "SELECT a.n, count(b.x) FROM 'a.csv' a JOIN 'b.csv' b USING (id) GROUP BY 1",
            "also of those who never",
        ),
        (
            "visits of each of a.csv (0 if none), b.csv",
            "SELECT a.n, count(b.x) FROM 'a.csv' a JOIN 'b.csv' b USING (id) GROUP BY 1",
            "",
        ),
        (
            "visits of each of a.csv, b.csv",
            "SELECT a.n, count(b.x) FROM 'a.csv' a JOIN 'b.csv' b USING (id) GROUP BY 1",
            "",
        ),
        (
            "visits of each of a.csv, also of those who never came",
            "SELECT a.n, count(b.x) FROM 'a.csv' a LEFT JOIN 'b.csv' b USING (id) GROUP BY 1",
            "",
        ),
        ("words of a.csv at 0.14 euros per word", "SELECT sum(n) AS words FROM 'a.csv'", "0.14"),
        ("words of a.csv at 0.14 euros per word", "SELECT sum(n) * 0.14 AS price FROM 'a.csv'", ""),
        (
            "loans of each genre of a.csv, the most loaned genre first",
            "SELECT g, count(*) AS n FROM 'a.csv' GROUP BY g ORDER BY n DESC LIMIT 1",
            "most loaned genre first",
        ),
        (
            "the 1 genre of a.csv with most loans, biggest first",
            "SELECT g, count(*) AS n FROM 'a.csv' GROUP BY g ORDER BY n DESC LIMIT 1",
            "",
        ),
        (
            "Which three of a.csv have spent most? Name and total, biggest first",
            "SELECT name, total FROM 'a.csv' ORDER BY total DESC LIMIT 3",
            "",
        ),
        (
            "which genre of a.csv is loaned most?",
            "SELECT g, count(*) AS n FROM 'a.csv' GROUP BY g ORDER BY n DESC LIMIT 1",
            "",
        ),
        ("visitors per weekday from a.csv", AMOUNTS, "per weekday"),
        ("Who has the most points in each team? a.csv", BEST, "most points in each"),
        ("for every team the best player of a.csv", BEST, "every team the best"),
        ("sums of a.csv, biggest first", AMOUNTS, "biggest first"),
        ("players of a.csv, lowest first", BEST, "lowest first"),
        ("the three best players of a.csv", BEST, "the three best"),
        ("top 5 of a.csv", BEST, "top 5"),
        ("the total of all bills in a.csv", "SELECT price * number AS total FROM 'a.csv'", "the total"),
        (
            "number of tickets and hours of each team in a.csv",
            "SELECT team, SUM(hours) FROM tickets GROUP BY 1",
            "number of tickets",
        ),
        ("the number of goals of each team in a.csv", "SELECT team, SUM(goals) FROM 'a.csv' GROUP BY 1", ""),
        ("number of days in a.csv", "SELECT day - start AS d FROM 'a.csv'", ""),
        ("rows of a.csv over 5, same columns", "SELECT name FROM 'a.csv' WHERE x > 5", "same columns"),
        ("rows of a.csv over 5, same columns", "SELECT * FROM 'a.csv' WHERE x > 5", ""),
        ("rows of a.csv over 5, same columns", "SELECT name, day, x FROM 'a.csv' WHERE x > 5", ""),
        ("dates of a.csv like 1990-12-31", "SELECT strftime(day, '%Y-%m-%d') AS d FROM 'a.csv'", ""),
        ("average hours per team in a.csv", "SELECT team, SUM(hours) FROM 'a.csv' GROUP BY 1", "average"),
        ("mean of x in a.csv", "SELECT sum(x) / count(*) AS m FROM 'a.csv'", ""),
        ("add up the hours in a.csv", "SELECT hours FROM 'a.csv'", "add up"),
        ("what did the team of a.csv earn altogether?", "SELECT pay FROM 'a.csv'", "altogether"),
        ("averages of a.csv with two decimals", "SELECT avg(x) FROM 'a.csv'", "decimals"),
        ("names in a.csv, no duplicates", "SELECT name FROM 'a.csv'", "no duplicates"),
        (
            "merge a.csv and b.csv, every email only once",
            "SELECT * FROM a UNION ALL SELECT * FROM b",
            "every email only once",
        ),
        ("merge a.csv and b.csv, every email only once", "SELECT * FROM a UNION SELECT * FROM b", ""),
        ("read every file of a.csv at once", "SELECT * FROM 'a.csv'", ""),
        ("rows of a.csv over 500 euros", "SELECT * FROM 'a.csv'", "500"),
        ("rows of a.csv before 2026-04-01", "SELECT * FROM 'a.csv' WHERE day < '2026-01-01'", "2026-04-01"),
        ("raise prices in a.csv by 10 %", "SELECT item, price + 10 / 3 AS price FROM 'a.csv'", ""),
        ("raise prices in a.csv by 15 %", "SELECT item, price * 1.1 AS price FROM 'a.csv'", "15"),
    ],
)
def test_what_the_goal_says_and_the_sql_does_not_do_is_told(goal: str, sql: str, said: str) -> None:
    told = _said(goal, sql)
    assert any(repr(said) in each for each in told) if said else told == []


@pytest.mark.parametrize(
    ("goal", "sql"),
    [
        ("sum a.csv per month", "SELECT strftime(day, '%Y-%m') AS m, SUM(x) FROM 'a.csv' GROUP BY m"),
        ("sum a.csv per month", "SELECT month, SUM(x) FROM 'a.csv' GROUP BY month"),
        ("Who has the most points in each team?", "SELECT team, max_by(player, points) FROM 'a.csv' GROUP BY team"),
        ("words of each file, most words first", "SELECT f, count(*) AS n FROM 'a.csv' GROUP BY f ORDER BY n DESC"),
        ("clients with at least 3 orders in every year", "SELECT client, year FROM 'a.csv' WHERE orders >= 3"),
        ("add 19 % to a.csv", "SELECT price * 1.19 FROM 'a.csv'"),
        ("add 19 % to a.csv", "SELECT price * 0.19 FROM 'a.csv'"),
        ("rows over 1.5 in v2.csv", "SELECT * FROM 'v2.csv' WHERE x > 1.5"),
        ("the 3 largest of a.csv", "SELECT * FROM 'a.csv' ORDER BY size DESC LIMIT 3"),
        ("what is in the log?", ""),
    ],
)
def test_what_is_done_is_not_told(goal: str, sql: str) -> None:
    assert _said(goal, sql) == []


def test_a_number_of_the_goal_that_nothing_uses_is_told_without_sql_too() -> None:
    edit = Step(id=1, tool="edit_file", arguments={"path": "a.ini", "old": "debug = true", "new": "debug = false"})
    goal = "in a.ini set debug to false and the port to 9000"
    assert [fault.problem for fault in hints(Plan(goal, (edit,)))] == ["the goal says '9000', and nothing does it"]


def _guessed(tool: str, **arguments: JsonValue) -> list[str]:
    goal = "write We are closed into a.txt, in b.ini set port to 90"
    steps = (Step(id=1, tool="read_file"), Step(id=2, tool=tool, arguments=arguments))
    return [said for said in guesses(Plan(goal, steps), builtin(Folders([]))) if "the goal says" not in said]


def test_what_a_small_model_asks_for_or_words_itself_is_told() -> None:
    assert _guessed("query_table", sql="SELECT 1") == ["step 2: a small model chose what to ask for there"]
    assert _guessed("write_file", path="a.txt", content="We are closed till spring") == [
        "step 2: a small model worded what is written there"
    ]


def test_what_stands_in_the_goal_or_comes_from_results_is_no_guess() -> None:
    assert _guessed("write_file", path="a.txt", content="We are closed") == []
    assert _guessed("write_file", path="a.txt", content="{{1}}") == []
    assert _guessed("edit_file", path="b.ini", old="port = 80", new="port = 90") == []
    assert _guessed("delete_file", path="c.txt") == []


def test_it_says_nothing_of_nearly_all_recipes() -> None:
    told = 0
    for recipe in library():
        step = Step(id=1, tool="query_table", arguments={"sql": recipe.script})
        told += bool(hints(Plan(recipe.goal, (step,))))
    assert told <= len(library()) // 30


def test_it_takes_no_time_for_a_goal_without_end() -> None:
    for goal in ("most " * 4000, "each " * 4000, "1 " * 10_000, "a-" * 10_000, "9" * 20_000, "%" * 20_000):
        assert len(_said(goal, BEST)) <= 4
