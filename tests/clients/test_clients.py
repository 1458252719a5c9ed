"""Real clients from the package registries list the tools, make a plan, run a risky step of it, and read the answer."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.clients.brain import Brain, thinking
from tests.clients.clients import CLIENTS, Client
from tests.clients.scene import KNOWN_ONLY_TO_THE_FILE, TOOLS, Scene, tools_among
from tests.pages import ROOT


def run(client: Client, scene: Scene, brain: Brain, folder: Path) -> Mapping[str, Any]:
    """Have a client do it all. Returns what it tells of it."""
    (program := folder / "program").mkdir()
    with thinking(brain) as model:
        printed = client.run(scene.told(model), program, scene.environment["PATH"])
    told: Mapping[str, Any] = json.loads(printed.splitlines()[-1])
    return told


@pytest.mark.takes(30)
def test_a_real_client_plans_has_the_risky_step_approved_and_reads_the_answer(client: Client, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "work", tmp_path / "home")
    brain = Brain(scene.goal, scene.steps, scene.approve)
    told = run(client, scene, brain, tmp_path)
    assert tools_among(told["tools"]) == TOOLS
    assert KNOWN_ONLY_TO_THE_FILE in told["said"], told["said"]
    scene.check_that_it_is_done_once()
    if client.thinks == "in calls":
        assert tools_among(brain.offered) == TOOLS, "the model is offered every tool"
    shown = told["asked"] if client.forms else scene.screens
    assert len(shown) == 1, "a person is asked once"
    assert "delete_file" in shown[0]
    assert "old.txt" in shown[0]


@pytest.mark.takes(30)
def test_a_step_that_takes_longer_than_a_call_ends_though_each_call_starts_a_server(tmp_path: Path) -> None:
    """As LangChain does by default. Where the step ended with the server, it would begin anew for ever."""
    _ends_and_is_told(tmp_path, "LangChain")


@pytest.mark.takes(30)
def test_a_client_that_waits_for_five_seconds_at_most_gets_its_answer_of_a_longer_step(tmp_path: Path) -> None:
    """As the OpenAI Agents SDK and others do by default, with the setting that docs/clients.md names."""
    _ends_and_is_told(tmp_path, "OpenAI Agents", patience=5)


def _ends_and_is_told(tmp_path: Path, name: str, patience: float = Scene.patience) -> None:
    """A client runs a plan whose first step takes 12 seconds, and is told what the second has read."""
    steps = [
        {"id": 1, "tool": "wait", "arguments": {"seconds": 12}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "notes.txt"}, "depends_on": [1]},
    ]
    scene = Scene(
        tmp_path / "work",
        tmp_path / "home",
        goal="Wait a while, then tell what notes.txt says.",
        steps=steps,
        more={"FORETHOUGHT_SILENCE_SECONDS": "2"},
        patience=patience,
    )
    (client,) = [client for client in CLIENTS if client.name == name]
    brain = Brain(scene.goal, scene.steps, scene.approve)
    told = run(client, scene, brain, tmp_path)
    assert KNOWN_ONLY_TO_THE_FILE in told["said"], told["said"]
    assert any("status: running" in text for text in brain.seen), "a call came back while the step went on"
    scene.check_that_one_run_succeeded()


def test_the_page_tells_of_each_client_what_was_tried_and_how_it_asks() -> None:
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    for client in CLIENTS:
        (row,) = re.findall(rf"^\| {client.name} \|.*", page, re.MULTILINE)
        for package in client.packages:
            name, version = re.split(r"==|(?<!^)@", package)
            assert f"`{name.partition('[')[0]}` {version}" in row
        assert ("by a form" if client.forms else "in a terminal") in row
