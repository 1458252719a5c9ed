"""What is handed to clients and to the registry agrees with the project: versions, settings, commands, tools."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.pages import ROOT

from forethought.cli import parser
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.variables import VARIABLES
from forethought_tools import schema_faults

_PLUGIN = ROOT / "integrations/claude-code"
_SKILL = _PLUGIN / "skills/forethought/SKILL.md"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


_BUNDLE, _ENTRY = read(ROOT / "manifest.json"), read(ROOT / "server.json")
_PACKAGE = _ENTRY["packages"][0]


def test_the_versions_of_all_packages_are_that_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    plugin = read(_PLUGIN / ".claude-plugin/plugin.json")
    assert {plugin["version"], _BUNDLE["version"], _ENTRY["version"], _PACKAGE["version"]} == {version}


def test_the_plugin_starts_the_server_as_every_client_is_told_to() -> None:
    assert read(_PLUGIN / ".mcp.json") == read(ROOT / "mcp.json")


def test_what_the_packages_set_are_settings_and_their_commands_are_ours() -> None:
    started = _BUNDLE["server"]["mcp_config"]
    known = {variable.name for variable in VARIABLES}
    assert {*started["env"], *(each["name"] for each in _PACKAGE["environmentVariables"])} <= known
    words = started["args"][started["args"].index("forethought") + 1 :]
    assert parser().parse_args(words).folder == ["${user_config.folder}"]
    positional, named = _PACKAGE["packageArguments"]
    assert parser().parse_args([positional["value"], named["name"], "x"]).folder == ["x"]


def test_nothing_that_a_bundle_refers_to_is_left_without_a_value() -> None:
    """Hosts leave a reference as it stands where a person has entered nothing and there is no default."""
    referred = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(_BUNDLE["server"])))
    assert referred == set(_BUNDLE["user_config"])
    assert all("default" in each or each.get("required") for each in _BUNDLE["user_config"].values())


def test_the_readme_proves_to_the_registry_whose_package_it_is() -> None:
    assert f"<!-- mcp-name: {_ENTRY['name']} -->" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_every_call_that_the_skill_names_is_one_that_the_server_takes(tmp_path: Path) -> None:
    skill = _SKILL.read_text(encoding="utf-8")
    async with Client(build_server(Settings(home=tmp_path))) as client:
        schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
    calls = re.findall(r"`(\w+)\((.*?)\)`", skill)
    assert {name for name, _ in calls} >= {"create_plan", "execute_plan", "get_plan", "report"}
    for name, written in calls:
        taken = schemas[name]["properties"]
        given = dict(re.findall(r"(\w+)(?:=([^,]+))?", re.sub(r"\[.*?\]", "", written)))
        assert set(given) <= set(taken), name
        quoted = {key: value.strip('"') for key, value in given.items() if value.startswith('"')}
        assert not schema_faults({"properties": taken}, quoted), written


def test_the_skill_is_short_and_says_that_only_a_person_approves() -> None:
    skill = _SKILL.read_text(encoding="utf-8")
    (said,) = re.findall(r"^description: (.+)$", skill, re.MULTILINE)
    assert len(said) <= 1024, "clients cut it off there"
    assert len(skill.split()) < 600, "it is read whenever it is used"
    assert "Never run `forethought decide`" in skill
