"""A query names lists, days and parts of documents as people do, and is answered by what the columns are."""

from pathlib import Path

import pytest
from tests.tools.asking_tables import query

from forethought_tools import ToolError

pytestmark = pytest.mark.anyio


ALBUMS = """[{"album": "Harbour", "year": 2020, "by": {"name": "Ona", "born": "1990-05-01"},
  "tracks": [{"track": "Lanterns", "seconds": 214}, {"track": "Tide", "seconds": 100}]},
 {"album": "Nightbus", "year": 2021, "by": {"name": "Bo", "born": "1980-01-31"},
  "tracks": [{"track": "Line 43", "seconds": 198}]}]"""


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT album, track, seconds FROM 'albums.json' WHERE year = 2020", [["Lanterns", 214], ["Tide", 100]]),
        ("SELECT album, tracks.track FROM 'albums.json' WHERE tracks.seconds < 200", [["Tide"], ["Line 43"]]),
        ("SELECT a.album, sum(a.seconds) AS s FROM 'albums.json' a GROUP BY 1 ORDER BY s", [[198], [314]]),
        ("SELECT album, sum(b.tracks.seconds) AS s FROM 'albums.json' AS b GROUP BY 1 ORDER BY s", [[198], [314]]),
        ("SELECT album, name FROM 'albums.json' WHERE born LIKE '1990%'", [["Ona"]]),
        ("SELECT album, name, track FROM 'albums.json' WHERE seconds > 200", [["Ona", "Lanterns"]]),
    ],
)
async def test_parts_of_documents_are_columns_where_nothing_else_is_called_so(
    tmp_path: Path, sql: str, rows: list[list[object]]
) -> None:
    (tmp_path / "albums.json").write_text(ALBUMS)
    told = await query(tmp_path, sql)
    assert [list(row.values())[1:] for row in told["rows"]] == rows


async def test_what_a_row_is_taken_for_is_told(tmp_path: Path) -> None:
    (tmp_path / "albums.json").write_text(ALBUMS)
    told = await query(tmp_path, "SELECT album, seconds FROM 'albums.json'")
    assert told["assumed"] == ["a row of albums.json is one of tracks, because seconds is of these"]
    with pytest.raises(ToolError, match=r'Tables: "albums.json" \(album'):
        await query(tmp_path, "SELECT seconds, nothing FROM 'albums.json'")


async def test_a_value_is_never_counted_as_often_as_its_row_has_documents(tmp_path: Path) -> None:
    (tmp_path / "albums.json").write_text(ALBUMS)
    with pytest.raises(ToolError, match='column "seconds" not found'):
        await query(tmp_path, "SELECT sum(year), sum(seconds) FROM 'albums.json'")


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("day LIKE '2026-07%'", 2),
        ("day NOT LIKE '2026-07%'", 1),
        ("f.n LIKE '1%' AND 'day like 2026' LIKE 'day%'", 2),
    ],
)
async def test_days_and_numbers_are_compared_to_a_pattern_as_texts(tmp_path: Path, where: str, count: int) -> None:
    (tmp_path / "f.csv").write_text("day,n\n2026-07-01,12\n2026-07-02,3\n2026-08-01,10\n")
    assert (await query(tmp_path, f"SELECT count(*) AS n FROM 'f.csv' f WHERE {where}"))["rows"] == [{"n": count}]


@pytest.mark.parametrize(
    ("selected", "columns"),
    [
        ("*, n * 2 AS n", ["day", "n"]),
        ("*, round(n * 2.5, 1) AS N, n + 1 AS more", ["day", "N", "more"]),
    ],
)
async def test_a_column_that_is_named_like_an_old_one_stands_in_its_place(
    tmp_path: Path, selected: str, columns: list[str]
) -> None:
    (tmp_path / "f.csv").write_text("day,n\n2026-07-01,12\n")
    told = await query(tmp_path, f"SELECT {selected} FROM 'f.csv'")
    assert [*told["rows"][0]] == columns
    assert told["assumed"] == ["n is the new column in the place of the old one"]


async def test_a_new_column_stands_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("day,n\n2026-07-01,12\n")
    told = await query(tmp_path, "SELECT *, n AS more FROM 'f.csv'")
    assert told["rows"] == [{"day": "2026-07-01", "n": 12, "more": 12}]
    assert "assumed" not in told


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(fare) AS n FROM 'rides.csv' WHERE to = 'old town' AND paid = 'to'",
        "SELECT sum(fare) AS n FROM 'rides.csv' r WHERE r.to = 'old town' GROUP BY to ORDER BY to",
        "SELECT fare AS n, order FROM 'rides.csv' WHERE group = 2 ORDER BY order DESC LIMIT 1",
        "SELECT fare AS n, \"to\" FROM 'rides.csv' WHERE to LIKE 'old%'",
    ],
)
async def test_a_column_may_be_called_like_a_word_of_sql(tmp_path: Path, sql: str) -> None:
    (tmp_path / "rides.csv").write_text("to,fare,paid,order,group\nclinic,9.5,to,1,1\nold town,10.0,to,2,2\n")
    assert (await query(tmp_path, sql))["rows"][0]["n"] == 10


async def test_columns_may_be_called_like_the_words_that_every_query_has(tmp_path: Path) -> None:
    (tmp_path / "routes.csv").write_text("from,to,miles\nKendal,York,10\n")
    told = await query(tmp_path, "SELECT from, to, miles * 2 AS m FROM 'routes.csv' ORDER BY from, to")
    assert told["rows"] == [{"from": "Kendal", "to": "York", "m": 20}]


async def test_of_several_files_the_file_of_a_row_may_be_called_so(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"the lighthouse of {name}\n")
    told = await query(tmp_path, "SELECT file, line FROM '*' WHERE text LIKE '%lighthouse%' ORDER BY file")
    assert told["rows"] == [{"file": "a.txt", "line": 1}, {"file": "b.txt", "line": 1}]


async def test_what_is_no_sql_stays_none(tmp_path: Path) -> None:
    (tmp_path / "rides.csv").write_text("to,fare\nclinic,9.5\n")
    with pytest.raises(ToolError, match="syntax error"):
        await query(tmp_path, "SELECT to FROM FROM 'rides.csv'")
