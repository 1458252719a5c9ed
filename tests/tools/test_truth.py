"""What a condition takes for true, equal and less: what can be read in one way is read, and nobody guesses else."""

import pytest

from forethought_tools import JSON, ToolError
from forethought_tools.truth import condition, truth


@pytest.mark.parametrize(
    ("expression", "a", "b", "true"),
    [
        # a number, a flag or a moment that came as text
        ("a == 5", "5", None, True),
        ("a != 5", " 5.0 ", None, False),
        ("a == true", "true", None, True),
        ("a == true", "False", None, False),
        ("a > 100", "1200", None, True),
        ("a < b", "9", "10", True),
        ("0 < a < 10", "5", None, True),
        ("a in b", "5", [5, 6], True),
        ("a not in b", "7", ["5", 6], True),
        ("a < b", "2026-01-31", "2026-03-01", True),
        ("a < b", "2026-01-31T10:00:00", "2026-01-31 11:00", True),
        ("a < b", "2026-01-31T10:00:00+02:00", "2026-01-31T09:00:00Z", True),
        ("not a", "false", None, True),
        ("a and b", "false", True, False),
        ("a or b", "false", "true", True),
        ("a", "true", None, True),
        # what is plainly another thing
        ("a == 5", "n/a", None, False),
        ("a == 5", None, None, False),
        ("a == null", None, None, True),
        ("a != null and a > 1", None, None, False),
        ("a == b", "1,200", "1,200", True),
        ("a == b", [1], [1], True),
        ("a < b", "anna", "bert", True),
        ("a in b", "k", {"k": 1}, True),
        # numbers and lists that decide
        ("not a", 0, None, True),
        ("not a", [], None, True),
        ("a and b == 1", 1, 1, True),
        ("a > 5 and (b == 1 or b == 2)", 9, 2, True),
        ("(a if b else 0) > 1", 3, True, True),
    ],
)
def test_what_can_be_read_in_one_way_is_read_so(expression: str, a: JSON, b: JSON, true: bool) -> None:
    node = condition(expression)
    assert [truth(node, {"a": a, "b": b}) for _ in range(3)] == [true] * 3


@pytest.mark.parametrize(
    ("expression", "a", "b", "told"),
    [
        ("a > 100", "1,200", None, "'1,200' is no plain number and no date"),
        ("a == 1200", "1,200", None, "'1,200' is no plain number"),
        ("a < b", "31.01.2026", "01.03.2026", "days(..) reads dates"),
        ("a < b", "2026-01-31", "soon", "no date"),
        ("a < b", "2026-13-41", "2026-01-01", "no date"),
        ("a < b", "x", 3, "'x' is no plain number"),
        ("a > 1", None, None, "begin with x != null"),
        ("a > 1", [1], None, "compare its len"),
        ("not a", "no", None, "'no' is neither true nor false"),
        ("a and b", "yes", True, "'yes' is neither true nor false"),
        ("not a", None, None, "null is neither true nor false"),
        ("1 == 1 if a else 2 == 2", "x", None, "'x' is neither true nor false"),
        ("a == true", "yes", None, "'yes' is neither true nor false"),
        ("a", "yes", None, "neither true nor false"),
        ("a", [1], None, "neither true nor false"),
        ("5 in a", "x5", None, "write it in quotes"),
        ("5 in a", 5, None, "cannot be worked out"),
    ],
)
def test_what_could_be_meant_in_several_ways_is_refused(expression: str, a: JSON, b: JSON, told: str) -> None:
    with pytest.raises(ToolError) as error:
        truth(condition(expression), {"a": a, "b": b})
    assert told in str(error.value)


def test_a_condition_has_no_operators_of_its_own() -> None:
    with pytest.raises(ToolError):
        condition("~a")
