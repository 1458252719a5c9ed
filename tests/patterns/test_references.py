"""References keep types, are read once, and say what is wrong when they lead nowhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forethought_patterns.references import Reference, fill, find, mistaken, numbered
from forethought_tools import JSON, ToolError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("value", [1, 2.5, True, None, [1, 2], {"a": [1]}, "text"])
def test_an_argument_that_is_exactly_one_reference_keeps_the_type(value: JSON) -> None:
    assert fill({"x": "{{3}}"}, {3: value}) == {"x": value}


def test_a_path_leads_into_objects_and_lists() -> None:
    result: JSON = {"items": [{"name": "ann"}, {"name": "bob"}]}
    assert fill("{{3.items.1.name}}", {3: result}) == "bob"


def test_inside_a_longer_text_a_value_is_rendered() -> None:
    assert fill("n={{1}}, t={{2}}, o={{3}}", {1: 5, 2: "x", 3: {"a": None}}) == 'n=5, t=x, o={"a": null}'


def test_step_one_does_not_eat_the_start_of_step_ten() -> None:
    assert fill("{{1}} {{10}}", {1: "one", 10: "ten"}) == "one ten"


@given(json_values)
def test_what_a_reference_brings_in_is_never_read_again(value: JSON) -> None:
    results: dict[int, JSON] = {1: {"nested": ["{{2}}", value]}, 2: "SECRET"}
    assert fill({"x": "{{1}}"}, results) == {"x": results[1]}
    assert fill("<{{1}}>", results) == f"<{json.dumps(results[1], ensure_ascii=False)}>"


def test_dollars_and_escapes_are_plain_text() -> None:
    assert find(["$5", "\\{{3}}", "{{name}}", "{ {3} }"]) == set()
    assert fill("costs $5, \\{{3}}", {}) == "costs $5, {{3}}"


@given(st.text())
def test_text_without_references_stays_as_it_is(text: str) -> None:
    if not find(text) and "\\{{" not in text:
        assert fill(text, {}) == text


def test_references_are_found_wherever_they_stand() -> None:
    assert find({"a": ["x {{1}} {{2.b}}", {"c": "{{ 3 }}"}]}) == {
        Reference(1),
        Reference(2, ("b",)),
        Reference(3),
    }


TABLE: JSON = {"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "count": 2}
ONE_ROW: JSON = {"rows": [{"a": 1, "count": 7}], "count": 1}


@pytest.mark.parametrize(
    ("text", "value", "meant"),
    [
        ("{{1.a}}", ONE_ROW, 1),
        ("{{1.count}}", ONE_ROW, 1),
        ("{{1.0.a}}", ONE_ROW, 1),
        ("{{1.1.b}}", TABLE, "y"),
        ("{{1.rows.0.b}}", TABLE, "x"),
    ],
)
def test_a_table_may_be_taken_for_its_rows_and_for_its_only_row(text: str, value: JSON, meant: JSON) -> None:
    assert fill(text, {1: value}) == meant


@pytest.mark.parametrize("text", ["{{1.a}}", "{{1.rows.a}}", "{{1.2.a}}", "{{1.x}}"])
def test_which_of_several_rows_is_meant_is_never_guessed(text: str) -> None:
    with pytest.raises(ToolError, match="leads nowhere"):
        fill(text, {1: TABLE})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{1.nope}}", "'rows'"),
        ("{{1.rows.7}}", "list of 1"),
        ("{{1.rows.0.x}}", "plain value"),
        ("{{1.rows.x}}", "list"),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_there_is(text: str, named: str) -> None:
    with pytest.raises(ToolError, match=r"leads nowhere") as caught:
        fill(text, {1: {"rows": [5]}})
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("{{step_3}}", "{{3}}"),
        ("{{#E10}}", "{{10}}"),
        ("{{$2}}", "{{2}}"),
        ("{{step_1.rows.0.x}}", "{{1.rows.0.x}}"),
        ("{{1[0].total}}", "{{1.0.total}}"),
        ("{{1.rows[0]['total']}}", "{{1.rows.0.total}}"),
        ("{{steps[1].x}}", "{{1}}"),
        ("{{1|json}}", "{{1}}"),
        ("{{output of step 1}}", "{{1}}"),
        ("{{1.}}", "{{1}}"),
        ("{{result_1}}", "{{1}}"),
        ("{{2[index]}}", "{{2.index}}"),
        ("{{2[index].path}}", "{{2.index}}"),
        ("{{2.{{index}}}}", "{{2.index}}"),
        ("{{ 2[{{ item.n }}].path }}", "{{2.index}}"),
    ],
)
def test_near_misses_are_told_with_the_right_form(wrong: str, right: str) -> None:
    assert mistaken(f"a {wrong} b \\{wrong}") == [(wrong, right)]


@pytest.mark.parametrize(
    "written",
    ["{{step1}}", "{{ step 1 }}", "{{step_1}}", "{{Step-1}}", "{{STEP #1}}", "{{#1}}", "{{step1 }}", "{{1}}"],
)
def test_a_step_in_words_is_its_number(written: str) -> None:
    assert {str(each) for each in find(numbered({"a": [written]}))} == {"{{1}}"}
    longer = numbered(f"a {written.replace('1', '1.rows.0.Total Sales', 1)} b")
    assert fill(longer, {1: {"rows": [{"Total Sales": 5}]}}) == "a 5 b"


@pytest.mark.parametrize(
    "text", ["\\{{step1}}", "{{steps}}", "{{step one}}", "{{step1 and 2}}", "{{misstep1}}", "step1"]
)
def test_what_only_looks_like_a_step_in_words_stays_as_it_is(text: str) -> None:
    assert numbered(text) == text
    assert find(text) == set()


def test_names_with_spaces_can_be_referred_to() -> None:
    assert fill("{{ 1.rows.0.Total Sales }}", {1: {"rows": [{"Total Sales": 5}]}}) == 5
    assert mistaken("{{1.rows.0.Total Sales}}") == []


def test_space_around_a_whole_reference_does_not_make_it_text() -> None:
    assert fill(" {{1}}\n", {1: 5}) == 5


def test_a_number_of_any_length_is_no_crash() -> None:
    assert find("{{" + "9" * 5000 + "}}") == set()
    assert mistaken("{{" + "9" * 5000 + "}}")


@pytest.mark.parametrize("value", ["{{1}}" * 300, ["{{1}}"] * 300, {str(n): "<{{1}}>" for n in range(300)}])
def test_results_that_would_fill_the_memory_are_refused(value: JSON) -> None:
    with pytest.raises(ToolError, match="Refer to less"):
        fill(value, {1: "x" * 190_000})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"rows": [{"a": 1, "b": "x"}], "count": 1, "truncated": False}, "| a | b |\n| --- | --- |\n| 1 | x |"),
        ({"rows": [{"total": 4.5}], "count": 1, "truncated": False}, "4.5"),
        ({"files": [{"path": "a", "size": 1}], "truncated": False}, "| path | size |\n| --- | --- |\n| a | 1 |"),
        (["b", "a"], "b\na"),
        ([1, 2], "[1, 2]"),
        ({"path": "x.md", "bytes": 3}, '{"path": "x.md", "bytes": 3}'),
    ],
)
def test_a_table_goes_into_a_text_as_a_table(value: JSON, expected: str) -> None:
    assert fill("Result: {{1}}", {1: value}) == f"Result: {expected}"
    assert fill("{{1}}", {1: value}) == value


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{{1.rows.0["a.b"]}}', "a.b"),
        ("{{1.rows.0['a.b']}}", "a.b"),
        ('{{ 1.rows.0["a [x] | y"] }}', "a [x] | y"),
        (r'{{1.rows.0["say \"hi\""]}}', 'say "hi"'),
        ("{{1.rows.0.a.b}}", "a.b"),
        ("{{1.rows.0.v1.2.3}}", "v1.2.3"),
    ],
)
def test_a_column_with_dots_or_brackets_can_be_referred_to(text: str, name: str) -> None:
    assert fill(text, {1: {"rows": [{name: 5, "b": 6}]}}) == 5
    assert mistaken(text) == []
    (reference,) = find(text)
    assert fill(str(reference), {1: {"rows": [{name: 5}]}}) == 5


def test_a_part_of_a_part_comes_before_a_name_with_dots() -> None:
    assert fill("{{1.a.b}}", {1: {"a": {"b": 1}, "a.b": 2}}) == 1
    assert fill('{{1["a.b"]}}', {1: {"a": {"b": 1}, "a.b": 2}}) == 2
    assert fill('{{1["a.b"].c}} and {{1["a.b"]["c"]}}', {1: {"a.b": {"c": 3}}}) == "3 and 3"
