"""What the tests of the server share: models that say what they are told."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from forethought_tools import JSON


@pytest.fixture
def scripted_model(tmp_path: Path) -> Callable[..., str]:
    """The name of a model that says what it is told, by role."""

    def script(**roles: Sequence[JSON]) -> str:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(roles), encoding="utf-8")
        return f"scripted:{file}"

    return script
