"""Files that other programs obey: agents, editors and version control run what stands in them, or do as it says."""

__all__ = ["in_repository", "obeyed"]

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path, PurePath

from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders

_NAMES = frozenset(
    {"agent.md", "agents.md", "agents.override.md", "claude.md", "claude.local.md", "gemini.md", "qwen.md", "warp.md"}
    | {"skill.md", "copilot-instructions.md", "mcp.json", "mcp.yaml", "mcp.yml", "mcp.toml", "mcp_config.json"}
    | {"mcp_settings.json", "cline_mcp_settings.json", "claude_desktop_config.json", "gemini-extension.json"}
    | {"opencode.json", "opencode.jsonc", "crush.json", "devcontainer.json"}
)
_ENDINGS = (".code-workspace", ".sublime-project", ".mcp.json", ".instructions.md", ".prompt.md", ".chatmode.md")
_SHORT = re.compile(r"~\d+(\.|$)")  # what Windows calls a file in eight letters: it can stand for any other name


def obeyed(folders: Folders, path: str) -> str:
    """Why writing this path is HIGH: it leads to what agents, editors or version control obey. Nothing, if not.

    Every name that begins with a dot counts: what is hidden configures some program, and nobody knows them all.
    """
    try:
        real = folders.resolve(path, new=True)
    except ToolError:
        return ""  # the call itself fails
    grants = [folder.name for folder in folders if real.is_relative_to(folder)]
    names = [*folders.passed(path), *folders.passed(str(real)), *grants, *_links_to(real, folders)]
    name = next((name for name in names if _configures(name)), ".git" if in_repository(path, real) else "")
    return f"It changes {name}, which agents, editors or version control may obey." if name else ""


def in_repository(path: str, real: Path) -> bool:
    """Whether version control keeps its own there, or takes the folder for such a place once this file is in it."""
    names = (*PurePath(path).parts, *real.parts)
    return any(re.fullmatch(r"\.git|git~\d+", _folded(name)) for name in names) or any(
        _is_repository(folder, real) for folder in real.parents
    )


def _is_repository(folder: Path, real: Path) -> bool:
    """Told as git tells it, because `.git` may be a link or a file that leads to a folder of any name."""
    there = {name.lower() for name in ("HEAD", "commondir", "objects", "refs") if os.path.lexists(folder / name)}
    there.add(_folded(real.relative_to(folder).parts[0]))
    return there >= {"head", "objects", "refs"} or there >= {"head", "commondir"}


def _links_to(real: Path, folders: Folders) -> list[str]:
    """The names of links beside a file, or beside the folders that it is in, that lead to it."""
    found: list[str] = []
    for folder in real.parents:
        with suppress(OSError):  # not made yet, or not ours to read
            links = [entry for entry in os.scandir(folder) if entry.is_symlink()] if folders.holds(folder) else []
            found += [link.name for link in links if real.is_relative_to(os.path.realpath(link.path))]
    return found


def _configures(name: str) -> bool:
    folded = _folded(name)
    return folded.startswith(".") or folded in _NAMES or folded.endswith(_ENDINGS) or bool(_SHORT.search(folded))


def _folded(name: str) -> str:
    """A name as disks may take it: whatever its case, without what is invisible, and without what Windows drops."""
    plain = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return plain.casefold().partition(":")[0].rstrip(". ")
