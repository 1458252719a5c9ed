"""The Inspector's command line, which starts a server for each call: what a person tries a server with."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.clients.environments import node_with, with_node
from tests.clients.scene import GOAL, KNOWN_ONLY_TO_THE_FILE, STEPS, TOOLS, Scene

pytestmark = pytest.mark.takes(30)

_INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
Inspect: TypeAlias = Callable[..., Any]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "work", tmp_path / "home")


@pytest.fixture
def inspect(scene: Scene, tmp_path: Path) -> Inspect:
    """Ask something of the server with the Inspector, which must find nothing to complain of. Returns the answer."""
    configuration = tmp_path / "mcp.json"
    configuration.write_text(json.dumps({"mcpServers": {"forethought": scene.server}}), encoding="utf-8")
    program = node_with(_INSPECTOR) / "node_modules/.bin/mcp-inspector"
    command = [
        str(program),
        "--cli",
        "--config",
        str(configuration),
        "--server",
        "forethought",
        "--connect-timeout",
        "0",
    ]

    def ask(method: str, *more: str) -> Any:
        done = subprocess.run(
            [*command, "--method", method, *more],
            env={**with_node(), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return ask


def test_the_inspector_finds_no_fault_with_the_tools(inspect: Inspect) -> None:
    tools = inspect("tools/list", "--strict")["tools"]
    assert {tool["name"] for tool in tools} == TOOLS


def test_a_prompt_is_listed_and_filled_in_with_a_persons_words(inspect: Inspect) -> None:
    assert "plan" in {prompt["name"] for prompt in inspect("prompts/list")["prompts"]}
    (message,) = inspect("prompts/get", "--prompt-name", "plan", "--prompt-args", "goal=tidy up")["messages"]
    assert "create_plan" in message["content"]["text"]
    assert "tidy up" in message["content"]["text"]


def test_a_plan_is_run_from_the_command_line_a_server_for_each_call(inspect: Inspect, scene: Scene) -> None:
    def call(name: str, **arguments: object) -> Mapping[str, Any]:
        given = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in arguments.items()]
        result = inspect("tools/call", "--tool-name", name, *[word for pair in given for word in ("--tool-arg", pair)])
        return dict(result["structuredContent"])

    plan_id = call("create_plan", goal=GOAL, steps=STEPS)["plan_id"]
    assert call("execute_plan", plan_id=plan_id)["status"] == "waiting"
    scene.approve()
    done = call("execute_plan", plan_id=plan_id)
    assert done["status"] == "succeeded"
    assert KNOWN_ONLY_TO_THE_FILE in json.dumps(done)
    scene.check_that_it_is_done_once()
