"""Ordinary goals on the embedded model itself: most come out right, and none is wrong and does not say so."""

from pathlib import Path

import pytest
from tests.goals import GOALS, Outcome, attempt

pytestmark = pytest.mark.anyio

KINDS = ("trips", "sensors", "failed", "old", "plants")


@pytest.mark.takes(120)
async def test_ordinary_goals_come_out_right_or_are_not_called_right(models: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(models / "models")
    outcomes: list[Outcome] = [await attempt(goal, tmp_path) for goal in GOALS if goal.name in KINDS]
    told = {each.goal: f"{each.verdict}: {each.said}" for each in outcomes}
    assert not [each for each in outcomes if each.verdict == "WRONG"], told
    assert sum(each.verdict == "RIGHT" for each in outcomes) >= 4, told
