"""A plan as a script: what can be read, what it becomes, and what is said about lines that cannot be read."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns.script import read_script
from forethought_patterns.validate import parse_plan
from forethought_tools import PlanError, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

TOOLS: Registry = builtin(Folders([]))
FILES = ["a.bak", "b.bak", "keep.bak"]


def _read(text: str, files: Sequence[str] = (), **more: Any) -> list[Any]:
    return [*read_script(text, TOOLS, lambda _: files, **more)]


def _calls(text: str, files: Sequence[str] = ()) -> list[tuple[str, dict[str, Any]]]:
    return [(step["tool"], step["arguments"]) for step in _read(text, files)]


def test_a_name_refers_to_a_result_whole_in_part_and_inside_a_text() -> None:
    assert _calls(
        'text = read_file("in.txt")\n'
        'write_file("whole.txt", text)\n'
        'found = list_files("*.csv")\n'
        "write_file(path=\"part.txt\", content=found.files[0]['path'])\n"
        'write_file("inside.txt", f"Of {text}: {found.files[1].size} bytes")\n'
        'write_file("joined.txt", "Of " + text)\n'
    ) == [
        ("read_file", {"path": "in.txt"}),
        ("write_file", {"path": "whole.txt", "content": "{{1}}"}),
        ("list_files", {"pattern": "*.csv"}),
        ("write_file", {"path": "part.txt", "content": "{{3.files.0.path}}"}),
        ("write_file", {"path": "inside.txt", "content": "Of {{1}}: {{3.files.1.size}} bytes"}),
        ("write_file", {"path": "joined.txt", "content": "Of {{1}}"}),
    ]


def test_sql_refers_to_earlier_results_by_their_names() -> None:
    sums = "SELECT region, SUM(amount) AS total FROM 'sales.csv' GROUP BY region"
    (_, first), (_, second) = _calls(f'sums = query_table("{sums}")\nquery_table("SELECT MAX(total) FROM sums")')
    assert "tables" not in first
    assert second["tables"] == {"sums": "{{1}}"}


def test_a_result_in_quotes_is_the_result_and_a_file_in_quotes_is_the_file() -> None:
    _, (_, query) = _calls("""oldest = query_table("SELECT * FROM 'a.csv'")\nquery_table("SELECT x FROM 'oldest'")""")
    assert query == {"sql": "SELECT x FROM oldest", "tables": {"oldest": "{{1}}"}}
    ((_, query),) = _calls("""query_table("SELECT x FROM 'oldest'")""")
    assert query == {"sql": "SELECT x FROM 'oldest'"}


@pytest.mark.parametrize("begin", ["", "SELECT "])
def test_a_calculation_that_says_from_where_is_a_query(begin: str) -> None:
    ((tool, query),) = _calls(f"""calculate("{begin}max(km) - min(km) AS span FROM 'a.csv' WHERE km > 0")""")
    assert (tool, query) == ("query_table", {"sql": "SELECT max(km) - min(km) AS span FROM 'a.csv' WHERE km > 0"})


def test_a_loop_over_a_folder_goes_over_what_is_in_it() -> None:
    there = {"docs/*": ["docs/a.md"]}
    steps = read_script('for f in list_files("docs"):\n    read_file(f)', TOOLS, lambda pattern: there.get(pattern, []))
    assert [step["arguments"] for step in steps if isinstance(step, dict)] == [{"path": "docs/a.md"}]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT text FROM 'a.txt' WHERE text LIKE '%x%'", {}),
        ("SELECT upper(text) AS t FROM text", {"text": "{{1}}"}),
        ("SELECT text FROM 'a.txt' a JOIN text b ON a.line = b.line", {"text": "{{1}}"}),
        ("SELECT x FROM (SELECT * FROM 'a.txt', text) WHERE x > 1", {"text": "{{1}}"}),
        ("SELECT line FROM 'a.txt' EXCEPT SELECT line FROM text ORDER BY text", {"text": "{{1}}"}),
    ],
)
def test_the_name_of_a_column_is_no_result_though_one_is_called_so(sql: str, tables: dict[str, str]) -> None:
    _, (_, arguments) = _calls(f'text = read_file("a.txt")\nquery_table("{sql}")')
    assert arguments.get("tables", {}) == tables


def test_a_table_of_a_database_that_the_goal_names_brings_its_file() -> None:
    sql = "SELECT title, name FROM books JOIN authors ON author = authors.id"
    (step,) = _read(f'query_table("{sql}")', bases={"books": "a.db", "authors": "a.db", "rooms": "b.db"})
    assert step["arguments"] == {"sql": sql, "paths": ["a.db"]}
    assert not TOOLS.faults("query_table", step["arguments"])
    _, step = _read('books = query_table("SELECT 1")\nquery_table("SELECT * FROM books")', bases={"books": "a.db"})
    assert step["arguments"] == {"sql": "SELECT * FROM books", "tables": {"books": "{{1}}"}}


@pytest.mark.parametrize(
    ("sql", "lists"),
    [
        ("SELECT path FROM files ORDER BY size DESC LIMIT 1", True),
        ("WITH big AS (SELECT * FROM files) SELECT COUNT(*) FROM big", True),
        ("WITH files AS (SELECT 1 AS size) SELECT * FROM files", False),
        ("SELECT COUNT(*) AS files FROM 'a.csv'", False),
    ],
)
def test_the_table_of_files_that_nobody_made_is_what_is_in_the_folders(sql: str, *, lists: bool) -> None:
    found: list[tuple[str, dict[str, Any]]] = [
        ("list_files", {}),
        ("query_table", {"sql": sql, "tables": {"files": "{{1}}"}}),
    ]
    assert _calls(f'found = query_table("{sql}")') == (found if lists else [("query_table", {"sql": sql})])


def test_a_result_with_the_name_of_the_files_is_that_result() -> None:
    (_, listed), (_, query) = _calls('files = list_files("*.txt")\nquery_table("SELECT path FROM files")')
    assert (listed, query["tables"]) == ({"pattern": "*.txt"}, {"files": "{{1}}"})


def test_a_call_inside_a_call_is_a_step_before_it() -> None:
    assert _calls('write_file("copy.txt", read_file("in.txt"))') == [
        ("read_file", {"path": "in.txt"}),
        ("write_file", {"path": "copy.txt", "content": "{{1}}"}),
    ]


def test_arithmetic_with_results_is_calculated_by_a_step() -> None:
    assert _calls('net = calculate("2 * 3")\ngross = net * 1.19\ntell(f"{gross:.2f}")') == [
        ("calculate", {"expression": "2 * 3"}),
        ("calculate", {"expression": "({{1}} * 1.19)"}),
        ("calculate", {"expression": "round({{2}}, 2)"}),
        ("tell", {"text": "{{3}}"}),
    ]


def test_a_calculation_with_columns_of_a_result_is_a_query_of_it() -> None:
    items = "items = query_table(\"SELECT *, quantity * price AS total FROM 'items.csv'\")"
    (_, first), (tool, second), _ = _calls(f'{items}\nnet = calculate("round(sum(total), 2)")\ntax = net * 0.19')
    assert (tool, second) == (
        "query_table",
        {"sql": "SELECT round(sum(total), 2) AS result FROM items", "tables": {"items": "{{1}}"}},
    )
    all_of_it = 'items = query_table("SELECT * FROM \'items.csv\'")\ncalculate("SUM(weight)")'
    assert [step["tool"] for step in _read(all_of_it, shapes="weight,price")] == ["query_table", "query_table"]
    (_, _), (tool, _) = _calls(f'{items}\ncalculate("sum(weight)")')
    assert tool == "calculate", "a name that no result has stays what it is, and is told"
    assert "tables" not in first


def test_a_query_that_finds_one_value_is_that_value_in_a_text_or_a_calculation() -> None:
    items = "items = query_table(\"SELECT *, quantity * price AS total FROM 'items.csv'\")\n"
    calls = _calls(
        f'{items}net = calculate("round(sum(total), 2)")\ntax = calculate(f"round({{net}} * 0.19, 2)")\n'
        'gross = net + tax\nwrite_file("invoice.md", f"Net: {net}, VAT: {tax}")\nwrite_table("net.csv", net)'
    )
    assert [arguments for _, arguments in calls[2:]] == [
        {"expression": "round({{2.rows.0.result}} * 0.19, 2)"},
        {"expression": "({{2.rows.0.result}} + {{3}})"},
        {"path": "invoice.md", "content": "Net: {{2.rows.0.result}}, VAT: {{3}}"},
        {"path": "net.csv", "rows": "{{2}}"},
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT region, sum(total) AS t FROM 'items.csv' GROUP BY region",
        "SELECT sum(total) AS t, max(total) AS most FROM 'items.csv'",
        "SELECT total AS t FROM 'items.csv'",
        "SELECT sum(total) OVER (ORDER BY day) AS t FROM 'items.csv'",
    ],
)
def test_a_query_that_finds_several_values_stays_all_of_them(sql: str) -> None:
    _, (_, told) = _calls(f'found = query_table("{sql}")\ntell(f"Found: {{found}}")')
    assert told == {"text": "Found: {{1}}"}


def test_a_calculation_with_a_result_of_one_column_is_a_query_of_it() -> None:
    _, (tool, query) = _calls(
        'ratings = query_table("SELECT rating FROM \'b.csv\'")\ncalculate("round(mean(ratings), 1)")'
    )
    assert tool == "query_table"
    assert query == {"sql": "SELECT round(mean(rating), 1) AS result FROM ratings", "tables": {"ratings": "{{1}}"}}


def test_a_calculation_with_columns_of_the_only_file_is_a_query_of_it() -> None:
    (step,) = _read('calculate("SUM(quantity * price)")', shapes="item,quantity,price", named=["items.csv"])
    assert step["arguments"] == {"sql": "SELECT SUM(quantity * price) AS result FROM 'items.csv'"}


def test_a_name_where_sql_is_due_means_all_of_it() -> None:
    (_, file), (_, result) = _calls('all = query_table("data/a.csv")\nquery_table("all")')
    assert (file["sql"], result["sql"]) == ("SELECT * FROM 'data/a.csv'", "SELECT * FROM all")


def test_two_texts_for_one_file_are_one_text() -> None:
    script = (
        'a = query_table("SELECT * FROM \'a.csv\'")\nwrite_table("r.md", a)\n'
        'b = query_table("SELECT * FROM \'b.csv\'")\nwrite_table("r.md", b)\ndelete_file("a.csv")'
    )
    steps = _read(script)
    assert [step["tool"] for step in steps] == ["query_table", "query_table", "write_file", "delete_file"]
    assert steps[2]["arguments"] == {"path": "r.md", "content": "{{1}}\n\n{{3}}"}
    parse_plan("g", steps, TOOLS)


def test_the_length_of_a_result_is_its_count() -> None:
    assert _calls('found = list_files("*.csv")\ntell(f"{len(found.files)} files")')[1][1] == {
        "text": "{{1.count}} files"
    }


def test_a_loop_over_files_is_unfolded_into_a_step_for_each() -> None:
    script = (
        'for number, file in enumerate(sorted(list_files("*.bak").files), 1):\n'
        '    if file.name.endswith(".bak") and "keep" not in file:\n'
        '        write_file(f"old/{number:02}_{file.stem}.txt", "old")\n'
        "        delete_file(file.path)\n"
        'tell("done")'
    )
    assert _calls(script, FILES) == [
        ("write_file", {"path": "old/01_a.txt", "content": "old"}),
        ("delete_file", {"path": "a.bak"}),
        ("write_file", {"path": "old/02_b.txt", "content": "old"}),
        ("delete_file", {"path": "b.bak"}),
        ("tell", {"text": "done"}),
    ]
    named = 'found = list_files("*.bak")\nfor file in found.files:\n    delete_file(file)'
    assert [step["tool"] for step in _read(named, FILES)] == ["delete_file"] * 3, "the listing is no step any more"


def test_a_loop_over_several_patterns_or_lists_goes_over_all_of_them() -> None:
    there = {"in/*.jpg": ["in/a.jpg"], "in/*.png": ["in/b.png"]}
    for over in (
        'list_files("in/*.jpg", "in/*.png")',
        'list_files("in/*.jpg") + list_files("*.png", "in")',
        'list_files("*.jpg", folder="in/") + list_files("in/*.png")',
    ):
        steps = read_script(f"for file in {over}:\n    delete_file(file)", TOOLS, lambda it: there.get(it, []))
        assert [step["arguments"] for step in steps if isinstance(step, dict)] == [
            {"path": "in/a.jpg"},
            {"path": "in/b.png"},
        ]


def test_what_changes_something_keeps_its_place_and_turns_of_a_loop_do_not_wait_for_each_other() -> None:
    script = (
        'text = read_file("in.txt")\nwrite_file("a.bak", text)\n'
        'for file in list_files("*.bak"):\n    delete_file(file)\n'
        'list_files("*.bak")'
    )
    assert [step["depends_on"] for step in _read(script, FILES)] == [[], [1], [2], [2], [2], [3, 4, 5]]


def test_double_braces_of_a_text_do_not_refer() -> None:
    ((_, arguments),) = _calls('write_file("a.txt", "{{1}} and {{name}}")')
    assert arguments["content"] == r"\{{1}} and \{{name}}"


def test_the_words_that_programmers_use_for_telling_tell() -> None:
    assert [tool for tool, _ in _calls('print("a")\nanswer("b")\nsay("c")')] == ["tell"] * 3


def test_results_of_finished_steps_are_known_by_name() -> None:
    (step,) = _read('tell(f"{sums}")', known={"sums": 4}, first=7)
    assert (step["id"], step["arguments"]) == (7, {"text": "{{4}}"})


def test_fences_and_repeated_questions_around_a_script_do_not_matter() -> None:
    assert len(_calls('```python\nfiles: a.txt\ngoal: read it\nread_file("a.txt")\n```')) == 1
    assert len(_calls('from text = read_file("a.txt")')) == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('open("a.txt").read()', "line 1: there is no tool 'open'"),
        ('read_fil("a.txt")', "Did you mean read_file"),
        ('x = read_file("a.txt")\ny = [l for l in x]', "line 2: [l for l in x] is no call of a tool"),
        ("tell(total)", "there is no result 'total'. Earlier results: none"),
        ('x = read_file("a.txt")\ntell(x.upper())', "what a result holds is not known while the plan is made"),
        ('for line in read_file("a.txt"):\n    tell(line)', "this loop does not go over files"),
        ('for f in list_files("*.none"):\n    delete_file(f)', "no file fits '*.none'"),
        ("def plan():\n    pass", "line 1: this is no call"),
        ('read_file("a.txt"', "line 1: it cannot be read"),
        ('read_file("a.txt", 1, 2, 3, 4)', "read_file takes 3 arguments, not 5"),
        ("x = " + "(" * 5000, "cannot be read"),
        ("tell(" + "-" * 5000 + "1)", ""),
    ],
)
def test_every_line_that_cannot_be_read_is_named_with_its_mend(script: str, said: str) -> None:
    with pytest.raises(PlanError) as error:
        _read(script)
    assert said in str(error.value)


def test_words_around_a_fenced_script_are_no_part_of_it() -> None:
    assert _calls('The correct script is:\n\n```python\nread_file("a.txt")\n```\n\nIt reads the file.') == [
        ("read_file", {"path": "a.txt"})
    ]


def test_a_result_may_have_the_name_of_a_keyword() -> None:
    script = (
        'text = read_file("a.txt")\n'
        'from = analyze("Does it return, from when?", text)\nreturn = analyze("When is the return?", text)\n'
        "days = calculate(f\"days('{from}', '{return}')\")\ntell(return)"
    )
    assert [given for _, given in _calls(script)[1:]] == [
        {"question": "Does it return, from when?", "data": "{{1}}"},
        {"question": "When is the return?", "data": "{{1}}"},
        {"expression": "days('{{2}}', '{{3}}')"},
        {"text": "{{3}}"},
    ]


def test_several_materials_of_one_text_are_a_list() -> None:
    assert _calls('a = read_file("a.txt")\nb = read_file("b.txt")\nwrite("Both in short", a, b)')[2] == (
        "write",
        {"brief": "Both in short", "material": ["{{1}}", "{{2}}"]},
    )


def test_a_tool_by_the_name_that_models_of_code_give_it_is_meant() -> None:
    assert _calls('rename_file("a.txt", "b.txt")\nremove_file("c.txt")\nmkdir("d")') == [
        ("move_file", {"source": "a.txt", "destination": "b.txt"}),
        ("delete_file", {"path": "c.txt"}),
        ("make_folder", {"path": "d"}),
    ]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ('list_files("media/*", recursive=True)', {"pattern": "media/**/*"}),
        ('list_files("media", recursive=True)', {"pattern": "media/**/*"}),
        ('list_files("*.log", recursive=False)', {"pattern": "*.log"}),
        ('read_file("a.txt", strip=True)', {"path": "a.txt"}),
    ],
)
def test_flags_that_a_tool_does_not_know_are_left_out_and_recursive_is_said_by_the_pattern(
    call: str, arguments: dict[str, Any]
) -> None:
    assert [given for _, given in _calls(call)] == [arguments]


def test_any_other_argument_that_a_tool_does_not_know_stays_a_fault() -> None:
    assert _calls('read_file("a.txt", encoding="latin-1")') == [("read_file", {"path": "a.txt", "encoding": "latin-1"})]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(PlanError) as error:
        _read('foo(1)\nread_file("a.txt")\ntell(bar)')
    assert [fault.where for fault in error.value.faults] == ["line 1", "line 3"]


PIECES = st.sampled_from(
    [
        'x = read_file("a")',
        'tell(f"{x}")',
        "for f in list_files():\n    delete_file(f)",
        "y = x * 2",
        "(",
        "x.y[0].z",
        "'\\",
        "{{1}}",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=8).map("\n".join)))
def test_whatever_a_model_writes_becomes_a_plan_or_faults(text: str) -> None:
    try:
        parse_plan("g", read_script(text, TOOLS, lambda _: FILES), TOOLS)
    except PlanError as error:
        assert error.faults


def test_a_script_says_which_tools_an_agent_is_given() -> None:
    """Small planners are not shown `delegate`, as they do worse with more to choose from; whoever writes it is read."""
    script = 'word = delegate("find the word", tools=["read_file", "search_files"], writes=["a.txt"])\ntell(word)'
    named = {"task": "find the word", "tools": ["read_file", "search_files"], "writes": ["a.txt"]}
    assert _calls(script)[0] == ("delegate", named)
