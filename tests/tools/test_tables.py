"""SQL reads files and SQLite databases, and can do nothing else."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import duckdb
import pytest

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def query(folder: Path, sql: str, *paths: str) -> Any:
    with anyio.fail_after(60):
        arguments: dict[str, JSON] = {"sql": sql, **({"paths": list(paths)} if paths else {})}
        result = await Registry(table_tools(Folders([folder]))).call("query_table", arguments, nobody)
    return json.loads(json.dumps(result, allow_nan=False))


async def refusal(folder: Path, sql: str, *paths: str) -> str:
    with pytest.raises(ToolError) as raised:
        await query(folder, sql, *paths)
    return str(raised.value)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    (tmp_path / "sales.csv").write_text("id,price,day\n1,2.5,2024-01-02\n2,4,2024-01-03\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "a shop?.db")) as base, base:
        base.execute("CREATE TABLE sold (id INTEGER, name TEXT, photo BLOB)")
        base.execute("INSERT INTO sold VALUES (1, 'tea', x'00ff'), (2, 'rice', NULL)")
        base.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
        base.execute("INSERT INTO notes VALUES ('green tea'), ('brown rice')")
    return tmp_path


async def test_a_csv_file_is_a_table_of_its_name(sales: Path) -> None:
    assert await query(sales, "SELECT id, price, day FROM sales ORDER BY id DESC", "sales.csv") == {
        "rows": [{"id": 2, "price": 4.0, "day": "2024-01-03"}, {"id": 1, "price": 2.5, "day": "2024-01-02"}],
        "count": 2,
        "truncated": False,
    }


async def test_files_of_every_kind_are_joined(sales: Path) -> None:
    (sales / "names.tsv").write_text("id\tname\n1\ttea\n2\trice\n", encoding="utf-8")
    (sales / "more.json").write_text('[{"id": 1, "tags": ["a", "b"]}]', encoding="utf-8")
    (sales / "lines.jsonl").write_text('{"id": 1, "x": {"y": 7}}\n', encoding="utf-8")
    with duckdb.connect() as memory:
        memory.execute(f"COPY (SELECT 1 AS id, 9 AS stock) TO '{sales / 'stock.parquet'}'")
    sql = """SELECT name, tags, x, stock
        FROM names JOIN more USING (id) JOIN lines USING (id) JOIN stock USING (id)"""
    paths = ("names.tsv", "more.json", "lines.jsonl", "stock.parquet")
    assert (await query(sales, sql, *paths))["rows"] == [{"name": "tea", "tags": ["a", "b"], "x": {"y": 7}, "stock": 9}]


async def test_table_names_are_identifiers_and_differ(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = ("2024 sales.csv", "sub/2024-sales.csv", "order.csv")
    for name in names:
        (tmp_path / name).write_text(f"file\n{name}\n", encoding="utf-8")
    sql = 'SELECT * FROM t_2024_sales UNION ALL SELECT * FROM t_2024_sales_2 UNION ALL SELECT * FROM "order"'
    assert [row["file"] for row in (await query(tmp_path, sql, *names))["rows"]] == list(names)


@pytest.mark.parametrize("name", ["x[1].csv", "x*.csv", "x?.csv", "year=2024/x.csv", "it's.csv"])
async def test_a_path_is_one_file_and_never_a_pattern(tmp_path: Path, name: str) -> None:
    for other in ("x1.csv", "xy.csv", name):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text(f"file\n{other}\n", encoding="utf-8")
    table = (await refusal(tmp_path, "SELECT nothing", name)).split('"')[-2]
    assert (await query(tmp_path, f"SELECT * FROM {table}", name))["rows"] == [{"file": name}]


async def test_values_are_json_whatever_their_type(sales: Path) -> None:
    sql = """SELECT 'NaN'::DOUBLE AS nan, 'inf'::DOUBLE AS inf,
        1.50::DECIMAL(9,2) AS part, 2::DECIMAL(9,2) AS whole, '\\x00\\xFF'::BLOB AS raw,
        TIME '10:00' AS at, INTERVAL 3 DAYS AS span, MAP {'k': DATE '2024-01-01'} AS map,
        TIMESTAMPTZ '2024-01-01 00:00:00+00' AS stamp, NULL AS none, 1 AS a, 2 AS A"""
    row = (await query(sales, sql, "sales.csv"))["rows"][0]
    assert row.pop("stamp").startswith("202")
    assert row == {
        "nan": None,
        "inf": None,
        "part": 1.5,
        "whole": 2,
        "raw": "0x00ff",
        "at": "10:00:00",
        "span": "3 days, 0:00:00",
        "map": {"k": "2024-01-01"},
        "none": None,
        "a": 1,
        "A_2": 2,
    }


async def test_rows_and_characters_are_bounded(sales: Path) -> None:
    many = await query(sales, "SELECT * FROM range(30000)", "sales.csv")
    assert (many["count"], len(many["rows"]), many["truncated"]) == (20_000, 20_000, True)
    wide = await query(sales, "SELECT repeat('x', 19000) AS x FROM range(200)", "sales.csv")
    assert (wide["count"], wide["truncated"]) == (99, True)
    long = await query(sales, "SELECT repeat('x', 1000000) AS x", "sales.csv")
    assert long["rows"][0]["x"].endswith("… (1000000 characters)")
    assert "fewer" in await refusal(sales, "SELECT range(1000000) AS x", "sales.csv")


async def test_a_result_without_rows_still_has_its_columns(sales: Path) -> None:
    got = await query(sales, "SELECT id, price FROM sales WHERE id > 9", "sales.csv")
    assert got == {"rows": [], "count": 0, "truncated": False, "columns": ["id", "price"]}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM files",
        "SELECT * FROM enable_logging(storage='file', storage_path='{out}')",
        "COPY sales TO '{out}'",
        "ATTACH '{out}' AS other",
        "SET threads = 4",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '{out}'",
        "CREATE TABLE more AS SELECT 1",
        "DELETE FROM sales",
        "WITH x AS (SELECT 1) INSERT INTO sales SELECT * FROM x",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE sales",
        "PRAGMA version",
        "CALL pragma_version()",
        "",
        "-- nothing",
    ],
)
async def test_sql_over_files_can_only_read_the_given_files(sales: Path, sql: str) -> None:
    home = sales / "home"
    home.mkdir()
    (sales / "sales.csv").rename(home / "sales.csv")
    (sales / "secret.csv").write_text("secret\n", encoding="utf-8")
    await refusal(home, sql.format(secret=sales / "secret.csv", out=home / "out"), "sales.csv")
    assert names_in(home) == ["sales.csv"]


async def test_an_error_names_the_tables_and_columns(sales: Path) -> None:
    said = await refusal(sales, "SELECT cost FROM sales", "sales.csv")
    assert "cost" in said
    assert '"sales" (id BIGINT, price DOUBLE, day DATE)' in said


async def test_a_query_that_needs_much_memory_is_refused(sales: Path) -> None:
    sql = "SELECT repeat('x', 1000000) || i AS s FROM range(3000) t(i) ORDER BY s"
    assert "memory" in await refusal(sales, sql, "sales.csv")


@pytest.mark.parametrize("name", ["photo.png", "broken.parquet", "broken.xlsx", "nothing.csv", "../x.csv"])
async def test_what_is_no_data_file_is_refused(sales: Path, name: str) -> None:
    (sales / "photo.png").write_bytes(b"\x89PNG\0\1\2\3")
    for name in ("broken.parquet", "broken.xlsx"):
        (sales / name).write_text("hello", encoding="utf-8")
    assert Path(name).name in await refusal(sales, "SELECT 1", name)


async def test_an_sqlite_database_is_read(shop: Path) -> None:
    got = await query(shop, "SELECT * FROM sold ORDER BY id", "a shop?.db")
    assert got["rows"] == [
        {"id": 1, "name": "tea", "photo": "0x00ff"},
        {"id": 2, "name": "rice", "photo": None},
    ]
    found = await query(shop, "SELECT body FROM notes WHERE notes MATCH 'tea'", "a shop?.db")
    assert found["rows"] == [{"body": "green tea"}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM sold",
        "INSERT INTO sold VALUES (3, 'x', NULL)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "ATTACH '{other}' AS other",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO '{other}'",
        "SELECT load_extension('x')",
        "SELECT 1; SELECT 2",
        "SELECT zeroblob(1000000000)",
        "BEGIN",
    ],
)
async def test_sql_over_sqlite_can_only_read(shop: Path, sql: str) -> None:
    said = await refusal(shop, sql.format(other=shop / "other.db"), "a shop?.db")
    assert '"sold" (id INTEGER, name TEXT, photo BLOB)' in said
    assert names_in(shop) == ["a shop?.db"]
    assert (await query(shop, "SELECT count(*) AS n FROM sold", "a shop?.db"))["rows"] == [{"n": 2}]


async def test_a_database_is_joined_with_files_and_other_databases(shop: Path) -> None:
    (shop / "x.csv").write_text("id,left\n1,5\n", encoding="utf-8")
    with closing(sqlite3.connect(shop / "more.db")) as base, base:
        base.execute("CREATE TABLE price (id INTEGER, price REAL)")
        base.execute("INSERT INTO price VALUES (1, 2.5)")
    sql = "SELECT name, photo, x.left, price FROM sold JOIN x USING (id) JOIN price USING (id)"
    got = await query(shop, sql, "a shop?.db", "x.csv", "more.db")
    assert got["rows"] == [{"name": "tea", "photo": "0x00ff", "left": 5, "price": 2.5}]
    assert '"price" (id BIGINT, price DOUBLE)' in await refusal(shop, "SELECT 1 FROM none", "more.db", "x.csv")


async def test_a_database_also_knows_sql_that_it_does_not_speak_itself(shop: Path) -> None:
    sql = "SELECT name FROM sold WHERE year(DATE '2026-05-01') = 2026 ORDER BY id"
    assert (await query(shop, sql, "a shop?.db"))["rows"] == [{"name": "tea"}, {"name": "rice"}]


async def test_a_database_of_one_table_is_that_table(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db")) as base, base:
        base.execute("CREATE TABLE item (id INTEGER)")
        base.execute("INSERT INTO item VALUES (7)")
    for sql in (
        "SELECT id FROM 'one.db'",
        "SELECT id FROM 'one.db'.item",
        "SELECT id FROM sqlite_scan('one.db', 'item')",
    ):
        assert (await query(tmp_path, sql))["rows"] == [{"id": 7}]


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("sales.csv", "SELECT count(*) FROM range(100000000000) a, range(100000) b"),
        (
            "a shop?.db",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
        ),
    ],
)
async def test_a_cancelled_query_really_ends(sales: Path, shop: Path, name: str, sql: str) -> None:
    started = time.monotonic()
    with anyio.move_on_after(0.5) as scope:
        await query(shop, sql, name)
    assert scope.cancelled_caught
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT id FROM 'ids.txt' WHERE id NOT IN (SELECT id FROM 'scan.csv')", ["B2"]),
        ("SELECT DISTINCT lower(id) AS id FROM 'ids.txt' ORDER BY 1", ["a1", "b2", "c3"]),
        ("SELECT i.id FROM 'ids.txt' i LEFT JOIN 'scan.csv' s ON i.id = s.id WHERE s.id IS NULL", ["B2"]),
        # without a column of its own, the inner code would be the outer one, and nothing would be missing
        ("SELECT code AS id FROM 'stock.csv' WHERE code NOT IN (SELECT code FROM 'ids.txt')", ["Z9"]),
        ("SELECT text AS id FROM 'ids.txt' WHERE line = 2", ["B2"]),
    ],
)
async def test_the_values_of_a_text_with_one_a_line_are_a_column_of_any_name(
    tmp_path: Path, sql: str, found: list[str]
) -> None:
    (tmp_path / "ids.txt").write_text("A1\nB2\n\n C3 \n", encoding="utf-8")
    (tmp_path / "scan.csv").write_text("time,id\n1,A1\n2,C3\n", encoding="utf-8")
    (tmp_path / "stock.csv").write_text("code,amount\nA1,4\nC3,9\nZ9,1\n", encoding="utf-8")
    result = await query(tmp_path, sql)
    assert [row["id"] for row in result["rows"]] == found


async def test_the_first_line_of_such_a_text_may_be_the_name_of_its_column(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("id\nA1\n", encoding="utf-8")
    assert (await query(tmp_path, "SELECT id FROM 'ids.txt'"))["rows"] == [{"id": "A1"}]


async def test_a_text_of_sentences_has_no_such_column(tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("Dear Bo,\nwrite to ann@x.net, please.\n", encoding="utf-8")
    assert 'column "email" not found' in await refusal(tmp_path, "SELECT email FROM 'mail.txt'")


async def test_a_refusal_names_the_columns_and_not_a_place_in_sql_that_its_writer_never_saw(sales: Path) -> None:
    said = await refusal(sales, "SELECT amount FROM 'sales.csv'")
    assert 'column "amount" not found' in said
    assert "id BIGINT, price DOUBLE" in said
    assert "LINE 1" not in said


@pytest.mark.parametrize(
    ("sql", "path"),
    [
        ("SELECT count(*) AS n FROM sales.csv", "sales.csv"),
        ("SELECT count(*) AS n FROM sales.csv s WHERE s.price > 0", "sales.csv"),
        ("SELECT count(*) AS n FROM sales", "sales"),
        ("SELECT count(*) AS n FROM 'sales.csv'", "sales"),
    ],
)
async def test_a_file_among_the_paths_is_known_in_sql_by_its_plain_name_and_by_its_stem(
    sales: Path, sql: str, path: str
) -> None:
    assert (await query(sales, sql, path))["rows"][0]["n"] > 0


async def test_a_sum_of_lists_is_of_all_that_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "shops.json").write_text('[{"city": "Turin", "sales": [1, 2]}, {"city": "Graz", "sales": [4]}]')
    told = await query(tmp_path, "SELECT city, SUM(s.sales) AS total FROM 'shops.json' s GROUP BY city ORDER BY 1")
    assert [row["total"] for row in told["rows"]] == [4, 3]
    assert told["assumed"] == ["sales is a column of lists: SUM adds up all that is in them"]


async def test_who_takes_the_mean_of_lists_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "shops.json").write_text('[{"city": "Turin", "sales": [1, 2]}, {"city": "Graz", "sales": [4]}]')
    said = await refusal(tmp_path, "SELECT avg(sales) FROM 'shops.json'")
    assert "each row has a list. list_avg(x)" in said
    assert "Candidate" not in said


async def test_who_asks_lines_of_text_for_a_column_is_told_their_words(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("10.0.0.9 - GET /shop 200\n10.0.0.7 - GET /cart 404\n")
    said = await refusal(tmp_path, "SELECT status, count(*) FROM 'access.log' GROUP BY status")
    assert "split_part(trim(text), ' ', N) is its word N: 1 is 10.0.0.9, 2 is -, 3 is GET, 4 is /shop, 5 is 200" in said
    told = await query(tmp_path, "SELECT split_part(trim(text), ' ', 5) AS code FROM 'access.log'")
    assert [row["code"] for row in told["rows"]] == ["200", "404"]


async def test_a_pattern_that_no_line_has_is_told_before_the_query_is_made(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("10.0.0.9 - GET /shop 200\n")
    (queries,) = table_tools(Folders([tmp_path]))
    assert queries.doubted
    sql = "SELECT regexp_extract(text, '{}', 1) AS code FROM 'access.log'"
    (said,) = await queries.doubted({"sql": sql.format("status=([^ ]+)")})
    assert "No line of access.log has 'status=([^ ]+)'" in said
    assert "5 is 200" in said
    assert await queries.doubted({"sql": sql.format("([0-9]+)$")}) == ()


async def test_of_several_files_the_line_that_is_most_like_the_pattern_is_told(tmp_path: Path) -> None:
    for name, line in (("a.yaml", "image: shop/app:4"), ("b.yaml", "  image: postgres:13"), ("c.yaml", "")):
        (tmp_path / name).write_text(f"name: x\n\n{line}\n")
    (queries,) = table_tools(Folders([tmp_path]))
    assert queries.doubted
    sql = "SELECT filename FROM '*.yaml' WHERE regexp_matches(text, '{}')"
    (said,) = await queries.doubted({"sql": sql.format("image postgres:13")})
    assert "No line of *.yaml has 'image postgres:13'. The line that is most like it is 'image: postgres:13'" in said
    assert await queries.doubted({"sql": sql.format("image: postgres:1[0-9]")}) == ()


async def test_a_folder_that_is_named_in_quotes_is_the_table_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for name, text in (("a.txt", "milk\nrice\n"), ("b.txt", "tea\n")):
        (tmp_path / "notes" / name).write_text(text, encoding="utf-8")
    for folder in ("notes", "notes/", "./notes"):
        found = await query(tmp_path, f"SELECT filename, text FROM '{folder}' WHERE text LIKE '%i%' ORDER BY line")
        assert found["rows"] == [
            {"filename": "notes/a.txt", "text": "milk"},
            {"filename": "notes/a.txt", "text": "rice"},
        ]
    assert "filename" in await refusal(tmp_path, "SELECT who FROM 'notes'"), "it is told which columns there are"


async def test_a_text_that_has_no_such_list_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all,\n\nbring boots and a coat.\n")
    (tmp_path / "list.txt").write_text("To bring:\n  - boots\n  - a coat\n")
    (queries,) = table_tools(Folders([tmp_path]))
    assert queries.doubted
    sql = "SELECT substr(trim(text), 3) AS item FROM '{}' WHERE trim(text) LIKE '- %'"
    (said,) = await queries.doubted({"sql": sql.format("letter.txt")})
    assert "No line of letter.txt is like '- %'. To take something out of sentences, have it read" in said
    assert await queries.doubted({"sql": sql.format("list.txt")}) == ()
    assert await queries.doubted({"sql": sql.format("letter.txt").replace("- %", "%ERROR%")}) == ()
