"""The clients that `forethought install` knows: where each keeps its configuration, and what an entry looks like."""

__all__ = ["CLIENTS", "NAME", "Client", "Entry"]

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from forethought.cli.entries import Form
from forethought_tools import JSON

NAME = "forethought"
"""What the entry is called."""
Entry: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True)
class Client:
    """A client, and how a server gets into its configuration."""

    title: str
    place: Callable[[], Path]
    """The file, in the user's home or in the present folder."""
    form: Form
    key: str
    """Under which all servers stand in it."""
    entry: Callable[[str, Sequence[str]], Entry]
    """What stands there for a command with its arguments."""
    afterwards: str
    names_folder: bool = False
    """Whether it starts servers somewhere else than in the project, so that the folder has to be named."""


def _plain(command: str, arguments: Sequence[str]) -> Entry:
    return {"command": command, "args": [*arguments]}


def _stdio(command: str, arguments: Sequence[str]) -> Entry:
    return {"type": "stdio", **_plain(command, arguments)}


def _extension(command: str, arguments: Sequence[str]) -> Entry:
    more: Entry = {"enabled": True, "timeout": 300, "description": "Plans, parallel execution, human approval"}
    return {"name": NAME, "type": "stdio", "cmd": command, "args": [*arguments], **more}


def _home(*parts: str) -> Callable[[], Path]:
    return lambda: Path.home().joinpath(*parts)


def _here(*parts: str) -> Callable[[], Path]:
    return lambda: Path.cwd().joinpath(*parts)


def _configuration(*parts: str) -> Callable[[], Path]:
    """In the folder for configuration of this user, as it is called where no platform of its own is meant."""
    return lambda: Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", *parts)


def _roaming() -> Path:
    return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")


def _claude_desktop() -> Path:
    name = ("Claude", "claude_desktop_config.json")
    if sys.platform == "darwin":
        return Path.home().joinpath("Library", "Application Support", *name)
    return _roaming().joinpath(*name) if sys.platform == "win32" else _configuration(*name)()


def _zed() -> Path:
    return _roaming() / "Zed" / "settings.json" if sys.platform == "win32" else _configuration("zed", "settings.json")()


def _goose() -> Path:
    if sys.platform == "win32":
        return _roaming().joinpath("Block", "goose", "config", "config.yaml")
    return _configuration("goose", "config.yaml")()


def _codex() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex", "config.toml")


CLIENTS: Mapping[str, Client] = {
    "claude-desktop": Client(
        "Claude Desktop", _claude_desktop, "json", "mcpServers", _plain, "Quit it, and start it anew", names_folder=True
    ),
    "claude-code": Client("Claude Code", _here(".mcp.json"), "json", "mcpServers", _stdio, "Start claude here"),
    "cursor": Client("Cursor", _here(".cursor", "mcp.json"), "json", "mcpServers", _plain, "Switch it on under MCP"),
    "vscode": Client("VS Code", _here(".vscode", "mcp.json"), "json", "servers", _stdio, "Start it above its entry"),
    "zed": Client("Zed", _zed, "json", "context_servers", _plain, "It is there at once"),
    "codex": Client("Codex", _codex, "toml", "mcp_servers", _plain, "Start it anew"),
    "gemini": Client("Gemini CLI", _home(".gemini", "settings.json"), "json", "mcpServers", _plain, "Start it anew"),
    "goose": Client("Goose", _goose, "yaml", "extensions", _extension, "Start a new session"),
}
