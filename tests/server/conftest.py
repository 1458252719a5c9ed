"""What the tests of the server share: models that say what they are told."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from forethought.models.fetch import catalogue, fetch
from forethought_tools import JSON, ModelError


@pytest.fixture(scope="session")
def models() -> Path:
    """A data folder that holds the 1.5B model, kept between runs."""
    home = Path(os.environ.get("FORETHOUGHT_TEST_MODELS", "~/.cache/forethought-test-models")).expanduser()
    try:
        fetch(catalogue()["qwen2.5-coder-1.5b"], home, hub=os.environ.get("FORETHOUGHT_MODEL_HUB", "off"))
    except ModelError as error:
        if not error.transient or "CI" in os.environ:
            raise
        pytest.skip(f"the model cannot be fetched here: {error}")
    return home


@pytest.fixture
def scripted_model(tmp_path: Path) -> Callable[..., str]:
    """The name of a model that says what it is told, by role."""

    def script(**roles: Sequence[JSON]) -> str:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(roles), encoding="utf-8")
        return f"scripted:{file}"

    return script
