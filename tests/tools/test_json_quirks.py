"""JSON as it comes, a row a quirk: what its table is, and what is said of how it was read."""

from pathlib import Path

import pytest
from tests.tools.asking_tables import rows_and_assumed

from forethought_tools import JSON, ToolError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("name", "content", "expected", "said"),
    [
        ("x.json", '{"a": 1}{"a": 2}', [{"a": 1}, {"a": 2}], "it holds 2 documents, one after the other"),
        ("x.jsonl", '{\n"a": 1\n}\n{\n"a": 2\n}\n', [{"a": 1}, {"a": 2}], "it holds 2 documents"),
        ("x.jsonl", '\x1e{"a": 1}\n\x1e{"a": 2}\n', [{"a": 1}, {"a": 2}], "it holds 2 documents"),
        ("x.csv", '{\n"a": 1\n}\n{\n"a": 2\n}\n', [{"a": 1}, {"a": 2}], "it holds JSON"),
        ("x.json", '[{"a": NaN}, {"a": 1}]', [{"a": None}, {"a": 1}], "NaN is read as no value"),
        ("x.jsonl", '{"a": -Infinity}\n{"a": 1}\n', [{"a": None}, {"a": 1}], "-Infinity is read as no value"),
        ("x.json", '[{"a": 1e400}, {"a": 1.5}]', [{"a": None}, {"a": 1.5}], "1e400 is read as no value"),
        ("x.json", '[{"A": 1, "a": 2}]', [{"A": 1, "a_2": 2}], "names are changed: 'a' is now a_2"),
        ("x.json", '[{"": 1, "a": 2}]', [{"column": 1, "a": 2}], "names are changed: '' is now column"),
        ("x.json", r'[{"a": "x\ud800"}, {"a": "\ud83d\ude00"}]', [{"a": "x\ufffd"}, {"a": "\U0001f600"}], "halves of"),
        ("x.json", '{"a": NaN, "b": 1, "b": 2}', [{"a": None, "b": 2}], "'b' stands twice in one object"),
    ],
)  # fmt: skip # a quirk a line
async def test_json_is_read_as_it_is_meant_and_what_was_assumed_is_said(
    tmp_path: Path, name: str, content: str, expected: JSON, said: str
) -> None:
    rows, assumed = await rows_and_assumed(tmp_path, name, content)
    assert rows == expected
    assert said in assumed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{\n"a": 1\n}\n{\n"a": 2,\n}\n', "line 6, column 1"),
        ('{"a": 1}\nthat is all', "line 2, column 1: Expecting value. Mend it."),
        ('{"a": 1} and so on', "line 1, column 10: Extra data. Mend it."),
    ],
)
async def test_json_that_cannot_be_read_is_told_with_its_one_place(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ToolError) as refused:
        await rows_and_assumed(tmp_path, "x.json", content)
    assert said in str(refused.value)
