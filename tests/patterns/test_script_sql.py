"""SQL that small models write, as it is meant."""

import pytest

from forethought_patterns.script_sql import as_meant

SCORES = "FROM 'scores.csv' GROUP BY team"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            f"SELECT team, player, MAX(points) AS points {SCORES} ORDER BY points DESC",
            f"SELECT team, arg_max(player, points) AS player, MAX(points) AS points {SCORES} ORDER BY points DESC",
        ),
        (
            f'select s."player" as who, min(points), team {SCORES}',
            f'select arg_min(s."player", points) AS who, min(points), team {SCORES}',
        ),
        (
            f"SELECT t.team, day, player, MAX(t.points) {SCORES.replace('team', 't.team')}",
            "SELECT t.team, arg_max(day, t.points) AS day, arg_max(player, t.points) AS player, MAX(t.points) "
            + SCORES.replace("team", "t.team"),
        ),
    ],
)
def test_a_column_beside_the_greatest_value_of_each_group_is_of_the_same_row(written: str, meant: str) -> None:
    assert as_meant(written) == meant


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT team, MAX(points) AS points {SCORES}",
        f"SELECT team, MAX(points), MIN(points), player {SCORES}",
        f"SELECT team, player, SUM(points), MAX(points) {SCORES}",
        f"SELECT team, upper(player), MAX(points) {SCORES}",
        "SELECT team, player, MAX(points) FROM (SELECT * FROM 'scores.csv') GROUP BY team",
        "SELECT MAX(points) FROM 'scores.csv'",
        "SELECT player, points FROM 'scores.csv' ORDER BY points DESC",
        "no SQL at all",
        "SELECT " + "a, " * 5000 + f"MAX(points) {SCORES}",
    ],
)
def test_any_other_query_stays_as_it_is(sql: str) -> None:
    assert as_meant(sql) == sql


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "SELECT name, COUNT(*) FROM 'docs/*.md' GROUP BY name",
            "filename, COUNT(*) AS count FROM 'docs/*.md' GROUP BY filename",
        ),
        (
            "SELECT path AS file FROM '*.py' WHERE text LIKE '%name%'",
            "filename AS file FROM '*.py' WHERE text LIKE '%name%'",
        ),
        ("SELECT name FROM 'people/*.csv'", "name FROM 'people/*.csv'"),
        ("SELECT name FROM 'people.txt'", "name FROM 'people.txt'"),
        ("SELECT a.name FROM '*.txt' JOIN 'a.csv' a", "a.name FROM '*.txt' JOIN 'a.csv' a"),
    ],
)
def test_over_several_texts_a_name_is_that_of_the_file(written: str, meant: str) -> None:
    assert as_meant(written) == f"SELECT {meant}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SUM(lines) AS total FROM 'src/**/*.py'", "COUNT(*) AS total FROM 'src/**/*.py'"),
        ("COUNT(*) AS num_files FROM 'src/**/*.py'", "COUNT(DISTINCT filename) AS num_files FROM 'src/**/*.py'"),
        ("COUNT(*) AS filesize FROM '*.py'", "COUNT(*) AS filesize FROM '*.py'"),
        ("COUNT(*) AS files FROM '*.csv'", "COUNT(*) AS files FROM '*.csv'"),
    ],
)
def test_over_several_texts_numbers_of_files_and_of_lines_are_counted(written: str, meant: str) -> None:
    assert as_meant(f"SELECT {written}") == f"SELECT {meant}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("due - '2026-03-01' AS days", "due - DATE '2026-03-01' AS days"),
        ("'2026-03-01' - born", "DATE '2026-03-01' - born"),
        ("DATE '2026-03-01' - date '2026-02-01'", "DATE '2026-03-01' - date '2026-02-01'"),
        ("due WHERE due < '2026-03-01'", "due WHERE due < '2026-03-01'"),
    ],
)
def test_a_text_that_is_subtracted_as_a_date_is_one(written: str, meant: str) -> None:
    assert as_meant(f"SELECT {written}") == f"SELECT {meant}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("REGEXP_REPLACE(phone, '[^0-9]', '') AS p", "REGEXP_REPLACE(phone, '[^0-9]', '', 'g') AS p"),
        ("regexp_replace(upper(a), '(x|,)', 'y', 'g')", "regexp_replace(upper(a), '(x|,)', 'y', 'g')"),
        (
            "regexp_replace(regexp_replace(a, ',', ''), ')', concat('y', z))",
            "regexp_replace(regexp_replace(a, ',', '', 'g'), ')', concat('y', z), 'g')",
        ),
        ("regexp_replace(a, 'x'", "regexp_replace(a, 'x'"),
    ],
)
def test_all_that_fits_is_replaced(written: str, meant: str) -> None:
    assert as_meant(f"SELECT {written}") == f"SELECT {meant}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "a, COUNT(*) FROM 'x.csv' UNION SELECT a, COUNT(*) FROM 'y.csv' GROUP BY a ORDER BY a",
            "a, COUNT(*) AS count FROM 'x.csv' GROUP BY a UNION SELECT a, COUNT(*) FROM 'y.csv' GROUP BY a ORDER BY a",
        ),
        ("a FROM 'x.csv' UNION ALL SELECT a FROM 'y.csv'", "a FROM 'x.csv' UNION ALL SELECT a FROM 'y.csv'"),
        ("name, SUM(line) AS n FROM '*.md' GROUP BY name", "filename, COUNT(*) AS n FROM '*.md' GROUP BY filename"),
    ],
)
def test_what_is_grouped_at_the_end_of_several_queries_is_each_of_them(written: str, meant: str) -> None:
    assert as_meant(f"SELECT {written}") == f"SELECT {meant}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SELECT COUNT(*) FROM 'a.csv'", "SELECT COUNT(*) AS count FROM 'a.csv'"),
        ("select day, count(x) from 'a.csv' GROUP BY day", "select day, count(x) AS count from 'a.csv' GROUP BY day"),
        ("SELECT COUNT(*) AS n FROM 'a.csv'", None),
        ("SELECT COUNT(*) + 1 FROM 'a.csv'", None),
        (
            "SELECT DISTINCT a FROM x UNION ALL SELECT DISTINCT a FROM y ORDER BY a",
            "SELECT DISTINCT a FROM x UNION SELECT DISTINCT a FROM y ORDER BY a",
        ),
        ("SELECT DISTINCT a FROM x UNION ALL SELECT a FROM y", None),
        ("SELECT a FROM x UNION ALL SELECT a FROM y", None),
    ],
)
def test_counts_have_a_name_and_what_is_wanted_once_is_there_once(written: str, meant: str | None) -> None:
    assert as_meant(written) == (meant or written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "SELECT DISTINCT trim(regexp_extract_all(text, '(RE)-[0-9]{4}')) AS n FROM 'a.txt'",
            "SELECT DISTINCT unnest(regexp_extract_all(text, '(RE)-[0-9]{4}')) AS n FROM 'a.txt'",
        ),
        ("SELECT trim(text) FROM 'a.txt'", "SELECT trim(text) FROM 'a.txt'"),
        (
            "SELECT len(regexp_extract_all(text, 'x')) FROM 'a.txt'",
            "SELECT len(regexp_extract_all(text, 'x')) FROM 'a.txt'",
        ),
    ],
)
def test_what_is_done_to_a_list_of_matches_is_meant_of_each(written: str, meant: str) -> None:
    assert as_meant(written) == meant
