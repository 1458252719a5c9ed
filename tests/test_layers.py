"""Imports point one way, and a folder full of other people's code does not shadow ours."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import forethought_patterns
import forethought_tools

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "server/forethought"
EDGE = {"mcp", "mcp_types", "openai", "sqlite3", "httpx2", "rich", "xllamacpp"}
FORBIDDEN = {
    "tools/forethought_tools": {"forethought", "forethought_patterns", "mcp", "mcp_types", "openai"},
    "patterns/forethought_patterns": {"forethought", *EDGE},
}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_from_server_to_patterns_to_tools(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute"
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & FORBIDDEN[folder], file


# Inside the server each room may know those of lower floors, and those of its own where nobody looks back.
FLOORS = {
    "cli": 8,
    "surface": 7,
    "app": 6,
    "briefing": 5,
    "engine": 4,
    "catalogue": 3,
    "models": 2,
    "gates": 2,
    "servers": 2,
    "recipes": 2,
    "journal": 1,
    "settings": 1,
    "privacy": 0,
    "terms": 0,
    "address": 0,
    "configured": 0,
    "options": -1,
    "variables": 0,
}
KINDS = "engine.kinds"


def test_arrows_inside_the_server_only_go_down() -> None:
    arrows = {(room, below, file.name) for room, below, file in _arrows()}
    assert {room for room, _, _ in arrows} <= {*FLOORS, "__main__"}, "a new room has no floor yet"
    up = {arrow for arrow in arrows if arrow[0] in FLOORS and FLOORS[arrow[0]] <= FLOORS[arrow[1]]}
    assert not up


def test_a_kind_of_run_is_known_to_the_table_and_to_nothing_below() -> None:
    """All parts of the engine treat runs alike: those that a kind is made of know no kind."""
    engine = SERVER / "engine"
    below = {"kind", "look"} | {name for kind in (engine / "kinds").glob("*.py") for name in _imported(kind, "engine")}
    for name in below - {"kinds"}:
        for file in [*engine.glob(f"{name}.py"), *(engine / "kinds").glob(f"{name}.py")]:
            assert not {known for known in _imported(file, KINDS) if known not in ("kind", "look")}, file


def _arrows() -> Iterator[tuple[str, str, Path]]:
    """Which room of the server imports which other one, and where."""
    for file in SERVER.rglob("*.py"):
        room = file.relative_to(SERVER).parts[0].removesuffix(".py")
        for below in _imported(file, ""):
            if below != room and room != "__init__":
                yield room, below, file


def _imported(file: Path, room: str) -> set[str]:
    """The modules or folders of the server, or of one room of it, that a file imports."""
    prefix = ".".join(filter(None, ["forethought", room]))
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == prefix:
            found |= {alias.name for alias in node.names if _is_module(prefix, alias.name)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{prefix}."):
            found.add(str(node.module).removeprefix(f"{prefix}.").split(".")[0])
    return found


def _is_module(package: str, name: str) -> bool:
    folder = SERVER.parent.joinpath(*package.split("."))
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()


@pytest.mark.parametrize(
    ("package", "home"), [("sqlite3", "sqlite.py"), ("psycopg", "postgres.py"), ("dbos", "cluster.py")]
)
def test_each_database_and_engine_is_known_to_one_module(package: str, home: str) -> None:
    for file in (ROOT / "server").rglob("*.py"):
        found = re.search(rf"^\s*(import|from) {package}\b", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert bool(found) == (file.name == home), file


@pytest.mark.parametrize("package", [forethought_patterns, forethought_tools])
def test_every_public_name_is_listed(package: ModuleType) -> None:
    public = {name for name, value in vars(package).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert set(package.__all__) == public


def test_a_hostile_folder_does_not_shadow_us(tmp_path: Path) -> None:
    for name in ("server", "patterns", "tools", "json", "logging", "forethought_tools_x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    command = Path(sys.executable).parent / "forethought"
    done = subprocess.run(
        [command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("forethought ")
    # All of us, with the hostile folder on the path: the names of the standard library would shadow anybody.
    for name in ("json", "logging"):
        shutil.rmtree(tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "FORETHOUGHT_HOME": str(tmp_path / "home")}
    served = subprocess.run(
        [sys.executable, "-m", "forethought", "serve"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (served.returncode, served.stdout, served.stderr) == (0, "", "")


def test_every_direct_dependency_is_capped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in [
        *project["dependencies"],
        *(r for extra in ("local", "distributed", "benchmarks") for r in project["optional-dependencies"][extra]),
    ]:
        assert "<" in requirement or "==" in requirement, requirement


def test_start_up_does_not_load_what_only_some_calls_need() -> None:
    script = (
        "import sys; from forethought.surface.server import build_server; from forethought.settings import Settings;"
        "from pathlib import Path; import tempfile; build_server(Settings(home=Path(tempfile.mkdtemp())));"
        "print([n for n in ('openai', 'duckdb', 'trafilatura', 'ddgs', 'simpleeval', 'xllamacpp', 'psycopg', 'dbos')"
        " if n in sys.modules])"
    )
    environment = {**os.environ, "FORETHOUGHT_MODEL": "host"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
