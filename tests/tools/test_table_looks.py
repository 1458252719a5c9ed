"""What a look at files says before anything runs: their shape, and what keeps a query from running."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forethought_tools import JSON
from forethought_tools.folders import Folders
from forethought_tools.tables import shape_of, table_tools

pytestmark = pytest.mark.anyio


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "hours.csv").write_text("who,hours\nann,2.5\nbob,4\ncid,1\n", encoding="utf-8")
    (tmp_path / "deep.json").write_text(json.dumps({"made": "x", "items": [{"a": 1}, {"a": 2}]}), encoding="utf-8")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\0\1")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as base, base:
        base.execute("CREATE TABLE sold (id INTEGER, name TEXT)")
        base.execute("CREATE TABLE price (id INTEGER, price REAL)")
        base.execute("INSERT INTO sold VALUES (1, 'tea')")
    return tmp_path


async def test_the_shape_of_a_file_is_its_columns_its_number_of_rows_and_the_first_of_them(files: Path) -> None:
    paths = ["hours.csv", "deep.json", "photo.png", "shop.db", "nothing.csv", "../x.csv"]
    assert await shape_of(Folders([files]), paths) == {
        "hours.csv": "hours.csv (who VARCHAR, hours DOUBLE), 3 rows: ann, 2.5; bob, 4.0",
        "deep.json": "deep.json (a BIGINT), 2 rows: 1; 2",
        "shop.db": "price (id VARCHAR, price VARCHAR), 0 rows: \nsold (id BIGINT, name VARCHAR), 1 rows: 1, tea",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"sql": "SELECT sum(hours) FROM 'hours.csv'"}, ""),
        ({"sql": "SELECT name FROM sold", "paths": ["shop.db"]}, ""),
        ({"sql": "SELECT x FROM t", "tables": {"t": "{{1}}"}}, ""),
        ({"sql": "SELECT x FROM t", "tables": {"t": [{"x": 1}]}}, ""),
        ({"sql": "SELECT sum(hour) FROM 'hours.csv'"}, 'Tables: "hours.csv" (who VARCHAR, hours DOUBLE)'),
        ({"sql": "SELECT sum(who) FROM 'hours.csv'"}, "sum(VARCHAR)"),
        ({"sql": "SELECT hours FROM 'hours.csv' WHERE"}, "syntax error"),
        ({"sql": "SELECT hours FROM 'hour.csv'"}, "There is no 'hour.csv'"),
        ({"sql": "SELECT cost FROM sold", "paths": ["shop.db"]}, "no such column: cost"),
        ({"sql": "DELETE FROM sold", "paths": ["shop.db"]}, "not authorized"),
    ],
)
async def test_a_query_that_cannot_run_is_doubted_before(files: Path, arguments: dict[str, JSON], said: str) -> None:
    (known,) = table_tools(Folders([files]))
    assert known.doubted
    found = list(await known.doubted(arguments))
    assert bool(found) == bool(said), found
    assert said in " ".join(found)
