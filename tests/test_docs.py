"""The documentation is true: its tables are as the code has them, its links lead somewhere, and every block is run."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from tests.pages import ROOT, Reader, blocks, commands

from forethought.variables import VARIABLES
from forethought_patterns.checks import read_checks
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]),
]
_INSTALLS = "it installs from a package index"
_DEPLOYS = "it needs Docker; tests/server/test_deployment.py starts the same commands without it"
_PACKAGES = "tests/clients/test_packages.py runs it, with programs from a package index"
NOT_RUN = {
    "python3 -m venv .venv && ": ".ci/run and tests/server/test_main_job.py run what begins so in the README",
    "pip install ": _INSTALLS,
    ".venv/bin/pip install ": _INSTALLS,
    "forethought model fetch": "it fetches 1.1 GB",
    "forethought install claude-code": "it asks a person before it writes; its tests have it without one",
    "forethought decide --page": "it waits for a browser; tests/server/test_page.py plays one",
    "scripts/check": "it runs all tests, this one included",
    ".venv/bin/pytest tests/clients": "they are tests of their own",
    "claude ": _PACKAGES,
    "npx ": _PACKAGES,
    "cd examples/cluster": _DEPLOYS,
    'echo "POSTGRES_PASSWORD=': _DEPLOYS,
    "docker compose ": _DEPLOYS,
    ".venv/bin/python benchmarks/": "it takes minutes, and tells nothing on a machine that is shared",
    "strace ": "the same",
}
"""How the commands begin that cannot be run here, and why not. Those of ours are parsed all the same."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_is_as_it_says(page: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path, not_run=tuple(NOT_RUN))
    for block in blocks(page):
        reader.follow(block)


def test_no_command_is_excused_that_nobody_is_told_to_run() -> None:
    told = {
        line.removeprefix("$ ")
        for page in PAGES
        for block in blocks(page)
        if block.language in ("bash", "console")
        for line in commands(block.text)
    }
    assert [each for each in NOT_RUN if not any(line.startswith(each) for line in told)] == []


def test_the_tables_are_as_the_code_has_them() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "tables.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    named = {name for page in PAGES for name in re.findall(r"<!-- table: ([\w-]+) -->", page.read_text("utf-8"))}
    assert named == {"tools", "parameters", "step-tools", "step-parameters", "settings", "commands"}


def test_every_variable_of_ours_is_in_the_table_of_settings() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "server/forethought").rglob("*.py"))
    # Between our own processes; prefixes.
    inside = {
        "FORETHOUGHT_CHILD_KEY",
        "FORETHOUGHT_MODEL_",
        "FORETHOUGHT_MODEL_OPTIONS_",
        "FORETHOUGHT_INPUT_",
        "FORETHOUGHT_",
    }
    assert set(re.findall(r"\bFORETHOUGHT_[A-Z_]*", sources)) - inside <= {variable.name for variable in VARIABLES}


def test_every_check_in_the_table_of_checks_is_one() -> None:
    page = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    shown = [json.loads(check) for check in re.findall(r"^\| `(\{.*?\})` \|", page, re.MULTILINE)]
    assert len(shown) == len(anyio.run(read_checks, shown, "check", builtin(Folders([])))) == 7


def test_nobody_is_told_to_install_what_no_package_index_has() -> None:
    sources = [*(ROOT / "server").rglob("*.py"), *(ROOT / "tools").rglob("*.py"), *(ROOT / "patterns").rglob("*.py")]
    texts = {str(file): file.read_text(encoding="utf-8") for file in [*PAGES, *sources]}
    told = re.compile(r"((?<!plugin )install|uvx|pipx run|uv add)\s+(-\S+\s+)*[\"'`]?forethought\b(?!-)", re.IGNORECASE)
    assert [name for name, text in texts.items() if told.search(text)] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


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
    assert shipped in [json.loads(block.text) for block in blocks(ROOT / "README.md") if block.language == "json"]
    (server,) = shipped["mcpServers"].values()
    assert (Path(sys.executable).parent / server["command"]).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", text):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), f"{target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    there = {file.name for folder in ("server", "patterns", "tools", "tests") for file in (ROOT / folder).rglob("*")}
    named = re.findall(r"`(?:[\w./-]+/)?(\w+\.(?:py|sql))`", (ROOT / page).read_text(encoding="utf-8"))
    assert sorted({*named} - there - {"tables.py"}) == []
