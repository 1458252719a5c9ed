"""Real clients from the package registries list the tools, make a plan, run a risky step of it, and read the answer."""

import json
import re
from pathlib import Path

import pytest
from tests.clients.brain import Brain, thinking
from tests.clients.clients import CLIENTS, Client
from tests.clients.scene import GOAL, KNOWN_ONLY_TO_THE_FILE, STEPS, TOOLS, Scene, tools_among
from tests.pages import ROOT


@pytest.mark.takes(30)
def test_a_real_client_plans_has_the_risky_step_approved_and_reads_the_answer(client: Client, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "work", tmp_path / "home")
    brain = Brain(GOAL, STEPS, scene.approve)
    program = tmp_path / "program"
    program.mkdir()
    with thinking(brain) as model:
        printed = client.run(scene.told(model), program, scene.environment["PATH"])
    told = json.loads(printed.splitlines()[-1])
    assert tools_among(told["tools"]) == TOOLS
    assert KNOWN_ONLY_TO_THE_FILE in told["said"], told["said"]
    scene.check_that_it_is_done_once()
    if client.thinks == "in calls":
        assert tools_among(brain.offered) == TOOLS, "the model is offered every tool"
    shown = told["asked"] if client.forms else scene.screens
    assert len(shown) == 1, "a person is asked once"
    assert "delete_file" in shown[0]
    assert "old.txt" in shown[0]


def test_the_page_tells_of_each_client_what_was_tried_and_how_it_asks() -> None:
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    for client in CLIENTS:
        (row,) = re.findall(rf"^\| {client.name} \|.*", page, re.MULTILINE)
        for package in client.packages:
            name, version = re.split(r"==|(?<!^)@", package)
            assert f"`{name.partition('[')[0]}` {version}" in row
        assert ("by a form" if client.forms else "in a terminal") in row
