"""A small server of our own, configured as clients configure theirs, and settings that name it."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from forethought.settings import Settings

PROGRAM = Path(__file__).parent / "program.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of the small server."""
    folder = tmp_path / "small"
    folder.mkdir()
    return folder


@pytest.fixture
def small(place: Path) -> Mapping[str, Any]:
    """The entry of the small server."""
    return {"command": sys.executable, "args": [str(PROGRAM), str(place)]}


@pytest.fixture
def evil(place: Path) -> Mapping[str, Any]:
    """The entry of the hostile server."""
    return {"command": sys.executable, "args": [str(PROGRAM.with_name("hostile.py")), str(place)]}


@pytest.fixture
def with_servers(tmp_path: Path, work: Path) -> Callable[..., Settings]:
    """Settings of a home with these servers, by name; capital names are variables."""

    def make(servers: Mapping[str, Any], **variables: str) -> Settings:
        file = tmp_path / "mcp.json"
        file.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        told = {"FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
        told["FORETHOUGHT_SERVERS_SECONDS"] = "120"  # on a busy machine
        told |= {f"FORETHOUGHT_{name}": value for name, value in variables.items()}
        return Settings.read(told, folders=[str(work)], servers=[str(file)])

    return make
