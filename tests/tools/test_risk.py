"""A risk is written by its name, wherever it is kept or sent."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from forethought_tools import Risk


@dataclass(frozen=True)
class Rated:
    risk: Risk
    others: Mapping[str, Risk]


RATED = TypeAdapter(Rated)


def test_a_value_that_holds_a_risk_is_written_with_its_name_and_read_again() -> None:
    rated = Rated(Risk.HIGH, {"read_file": Risk.LOW})
    body = RATED.dump_python(rated, mode="json")
    assert body == {"risk": "high", "others": {"read_file": "low"}}
    assert RATED.validate_python(body) == RATED.validate_python(rated) == RATED.validate_json(RATED.dump_json(rated))
    assert RATED.validate_python(body).risk is Risk.HIGH


@pytest.mark.parametrize("wrong", ["HIGH", "none", 3, None])
def test_anything_but_one_of_the_names_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="'low', 'medium' or 'high'"):
        RATED.validate_python({"risk": wrong, "others": {}})


def test_a_schema_shows_the_names() -> None:
    assert TypeAdapter(Risk).json_schema() == {"enum": ["low", "medium", "high"], "type": "string"}
