"""The README says what is there: every command, setting, tool and dependency, and its Python example runs."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from forethought.cli import parser
from forethought.surface.tools import tools
from forethought_tools import Risk
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "server/forethought").rglob("*.py"))
    inside = {"FORETHOUGHT_CHILD_KEY", "FORETHOUGHT_MODEL_"}  # between our own processes; a prefix
    for name in set(re.findall(r"FORETHOUGHT_[A-Z_]+", sources)) - inside:
        assert f"`{name}`" in README, name


def test_every_command_is_documented() -> None:
    commands = re.search(r"\{(.*?)\}", parser().format_help().replace("\n", "").replace("COMMAND", ""))
    listed = commands[1].split(",") if commands else []
    listed = listed or ["serve", "run", "runs", "show", "lessons", "decide", "doctor", "model"]
    for command in listed:
        assert f"`forethought {command}" in README, command


def test_every_tool_is_documented_with_its_risk_and_parameters() -> None:
    for tool in tools():
        assert f"| `{tool.name}({', '.join(tool.parameters['properties'])})` |" in README, tool.name
    for callable_by_steps in builtin(Folders([])):
        row = next(line for line in README.splitlines() if line.startswith(f"| {callable_by_steps.risk} |"))
        assert f"`{callable_by_steps.name}`" in row, callable_by_steps.name
    assert len(Risk) == 3


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in [
        *project["dependencies"],
        *(r for extra in ("local", "distributed", "benchmarks") for r in project["optional-dependencies"][extra]),
    ]:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert re.search(rf"^\| .*`{re.escape(name)}`.* \| \w", README, re.MULTILINE), name


def test_the_client_configuration_in_the_readme_is_the_one_that_ships() -> None:
    shipped = json.loads((ROOT / "mcp.json").read_text(encoding="utf-8"))
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    assert shipped in blocks
    (server,) = shipped["mcpServers"].values()
    assert (Path(sys.executable).parent / server["command"]).exists()


def test_the_python_examples_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    said = [
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True, timeout=60).stdout
        for each in examples
    ]
    assert said == ["42\n", "True [3, 3, 4]\n"]


@pytest.mark.parametrize(
    "file", ["benchmarks/README.md", "benchmarks/plots/search.png", "LICENSE", "CHANGELOG.md", "examples/shop"]
)
def test_what_the_readme_leads_to_is_there(file: str) -> None:
    assert (ROOT / file).exists()
