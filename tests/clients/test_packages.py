"""The plugin, the bundle and the registry's entry, judged by those who take them: Claude Code, `mcpb` and a linter that
brings the registry's schema. What is installed from them starts the server.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.clients.environments import AS_OF, node, node_with, python_with, with_node
from tests.pages import ROOT
from tests.server.asking import view
from tests.stores import COMMAND

_PLUGIN = ROOT / "integrations/claude-code"
_PROCESSOR = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x64"
_CLAUDE_CODE = f"claude-code-{sys.platform}-{_PROCESSOR}"
_MCPB = "@anthropic-ai/mcpb@2.1.2"
_LINTER = "skillsaw==0.22.0"
_UV = "uv==0.13.9"
_SECONDS = 300  # for one program, on a machine that others use too


def run(
    *command: str | Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT, status: int = 0
) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class ClaudeCode:
    """Claude Code of somebody who has just installed it, and has no account."""

    def __init__(self, home: Path) -> None:
        folder = node_with(f"@anthropic-ai/{_CLAUDE_CODE}@2.1.332") / "node_modules/@anthropic-ai"
        self._program = folder / _CLAUDE_CODE / "claude"
        self._environment = {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(COMMAND).parent), os.defpath]),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "FORETHOUGHT_HOME": str(home / "journal"),
        }

    def __call__(self, *words: str | Path, status: int = 0) -> str:
        return run(self._program, *words, environment=self._environment, status=status)


@pytest.fixture
def claude(tmp_path: Path) -> ClaudeCode:
    (home := tmp_path / "home").mkdir()
    return ClaudeCode(home)


@pytest.mark.takes(20)
def test_claude_code_finds_no_fault_with_the_plugin_nor_with_where_it_is_offered(
    claude: ClaudeCode, tmp_path: Path
) -> None:
    report = claude("plugin", "validate", "--strict", _PLUGIN)
    assert "skills: forethought:forethought" in report
    assert 'mcpServers: forethought stdio forethought ["serve"]' in report
    claude("plugin", "validate", "--strict", ROOT)
    shutil.copytree(_PLUGIN, broken := tmp_path / "broken")
    (broken / ".claude-plugin/plugin.json").write_text('{"version": 1}', encoding="utf-8")
    claude("plugin", "validate", "--strict", broken, status=1)


@pytest.mark.takes(20)
def test_the_plugin_is_installed_in_claude_code_and_its_server_answers(claude: ClaudeCode) -> None:
    claude("plugin", "marketplace", "add", "./")
    claude("plugin", "install", "forethought@forethought")
    (line,) = [line for line in claude("mcp", "list").splitlines() if "forethought serve" in line]
    assert line.startswith("plugin:forethought:forethought:")
    assert line.endswith("Connected")


def mcpb(*words: str | Path, folder: Path = ROOT) -> str:
    return run(node_with(_MCPB) / "node_modules/.bin/mcpb", *words, environment=with_node(), folder=folder)


@pytest.mark.takes(30)
@pytest.mark.anyio
async def test_the_bundle_is_packed_by_one_command_and_starts_a_server_that_runs_a_plan(tmp_path: Path) -> None:
    mcpb("validate", "manifest.json")
    mcpb("pack", ".", bundle := tmp_path / "forethought.mcpb")
    (work := tmp_path / "work").mkdir()
    (work / "a.txt").write_text("alpha", encoding="utf-8")
    server = _as_a_host_starts_it(bundle, tmp_path / "unpacked", work)
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
        {"id": 2, "tool": "write_file", "arguments": {"path": "b.txt", "content": "{{1}}"}},
    ]
    async with Client(server) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded"
    assert (work / "b.txt").read_text(encoding="utf-8") == "alpha"


def _as_a_host_starts_it(bundle: Path, unpacked: Path, granted: Path) -> StdioServerParameters:
    """What `mcpb` itself makes of the bundle, for a person who only chose a folder."""
    module = node_with(_MCPB) / "node_modules/@anthropic-ai/mcpb/dist/index.js"
    program = Path(__file__).parent / "programs/unpack.mjs"
    told = json.loads(run(node(), program, module, bundle, unpacked, granted).splitlines()[-1])
    uv = python_with(_UV).parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FORETHOUGHT_", "VIRTUAL_ENV"))},
        **told["env"],
        "FORETHOUGHT_HOME": str(unpacked.parent / "home"),
        "PATH": f"{uv}{os.pathsep}{os.environ['PATH']}",
        "UV_CACHE_DIR": str(uv.parent / "cache"),
        "UV_EXCLUDE_NEWER": AS_OF,
        "UV_PYTHON": sys.executable,
    }
    run(uv / "uv", "sync", "--quiet", "--project", unpacked, environment=environment)  # a host waits for it, a test not
    return StdioServerParameters(command=str(uv / told["command"]), args=told["args"], env=environment)


def test_nothing_private_that_lies_in_the_folder_gets_into_the_bundle(tmp_path: Path) -> None:
    (folder := tmp_path / "checkout").mkdir()
    for name in (".mcpbignore", "manifest.json", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    kept = ["server/forethought/__main__.py", "tools/a/b.py", "patterns/recipes/c.md"]
    private = [".env", "demo/a.csv", "journal.sqlite", "tools/.env", "server/__pycache__/a.pyc", "id_rsa", ".git/x"]
    for name in (*kept, *private):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    mcpb("pack", ".", tmp_path / "out.mcpb", folder=folder)
    with zipfile.ZipFile(tmp_path / "out.mcpb") as bundle:
        assert set(bundle.namelist()) == {*kept, "manifest.json", "pyproject.toml", "README.md", "LICENSE"}


def test_the_entry_for_the_registry_is_as_its_schema_wants_it(tmp_path: Path) -> None:
    def lint(entry: Path, status: int = 0) -> str:
        linter = python_with(_LINTER).parent / "skillsaw"
        return run(linter, "lint", "--strict", "--no-plugins", "--type", "mcp-registry", entry, status=status)

    entry = ROOT / "server.json"
    assert "All checks passed" in lint(entry)
    broken = tmp_path / "server.json"
    broken.write_text(entry.read_text(encoding="utf-8").replace('"0.1.0"', '"latest"'), encoding="utf-8")
    assert "one exact release" in lint(broken, status=1)
