"""What the tests of the server share: models that say what they are told."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from forethought.settings import Settings
from forethought_tools import JSON


@pytest.fixture
def scripted_model(tmp_path: Path) -> Callable[..., str]:
    """The name of a model that says what it is told, by role."""

    def script(**roles: Sequence[JSON]) -> str:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(roles), encoding="utf-8")
        return f"scripted:{file}"

    return script


@pytest.fixture
def scripted(make_settings: Callable[..., Settings], tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a model that says what each role is told to say."""

    def make(script: Mapping[str, Any], **more: Any) -> Settings:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(script), encoding="utf-8")
        return make_settings(model=f"scripted:{file}", **more)

    return make
