"""Files that clients keep are read as they are; what cannot be used is told by its key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forethought.configured import Configured, read_servers
from forethought.settings import Settings
from forethought_tools import SettingsError

Read = Callable[..., tuple[Configured, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(document: Any, **environment: str) -> tuple[Configured, ...]:
        text = document if isinstance(document, str) else json.dumps(document)
        (file := tmp_path / "mcp.json").write_text(text, encoding="utf-8")
        return read_servers([file], environment, "FORETHOUGHT_SERVERS")

    return reading


def test_both_forms_are_read_with_comments_and_what_is_disabled_is_left_out(read: Read) -> None:
    (one,) = read('{// mine\n"mcpServers": {"fs": {"command": "npx", "args": ["-y", "x"],},}}')
    assert (one.name, one.transport, one.command, one.arguments) == ("fs", "stdio", "npx", ["-y", "x"])
    servers = read(
        {
            "servers": {
                "web": {"type": "http", "url": "https://x.example/mcp"},
                "old": {"type": "sse", "url": "https://x.example/sse"},
                "any": {"url": "https://y.example/mcp"},
                "off": {"command": "x", "disabled": True},
            }
        }
    )
    assert [(each.name, each.transport) for each in servers] == [
        ("web", "http"),
        ("old", "sse"),
        ("any", "http or sse"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "forethought", "args": ["serve"]},
        {"command": "/x/.venv/bin/forethought", "args": ["serve", "--folder", "."]},
        {"command": "uvx", "args": ["--from", "forethought[local]", "forethought", "serve"]},
        {"command": "python3", "args": ["-m", "forethought", "serve"]},
        {"command": "C:\\bin\\forethought.exe", "args": ["serve"]},
    ],
)
def test_our_own_entry_is_left_out_whatever_it_is_called(read: Read, entry: dict[str, Any]) -> None:
    fs = {"command": "npx", "args": ["server-filesystem", "/home/ada/forethought"]}
    (kept,) = read({"mcpServers": {"planner": entry, "fs": fs}})
    assert kept.name == "fs"


def test_places_are_filled_in_and_what_is_not_set_is_told(read: Read, tmp_path: Path) -> None:
    entry = {
        "command": "${TOOLS:-/opt}/run",
        "args": ["${workspaceFolder}", "${env:WHO}", "${input:api-key}"],
        "env": {"A": "${NOT_SET}"},
    }
    (one,) = read({"mcpServers": {"a": entry}}, WHO="ada", FORETHOUGHT_INPUT_API_KEY="abc-123-def")
    assert (one.command, list(one.arguments)) == ("/opt/run", [str(tmp_path), "ada", "abc-123-def"])
    assert one.missing == ("NOT_SET",)
    assert "abc-123-def" in one.secrets


def test_keys_are_kept_out_of_everything_and_plain_words_are_not(read: Read) -> None:
    web = {
        "url": "https://u:pass-word-1@x.example/mcp?api_key=in-the-query",
        "headers": {"Authorization": "Bearer of-header"},
    }
    local = {
        "command": "x",
        "args": ["--token", "of-an-option"],
        "env": {"GITHUB_TOKEN": "of-env", "MODE": "production"},
    }
    found = {secret for each in read({"mcpServers": {"web": web, "local": local}}) for secret in each.secrets}
    assert {"pass-word-1", "in-the-query", "of-header", "of-an-option", "of-env"} <= found
    assert "production" not in found
    assert "of-header" not in repr(read({"mcpServers": {"web": web}}))


def test_names_that_look_alike_are_told_apart(read: Read) -> None:
    names = [each.name for each in read({"mcpServers": {n: {"command": n} for n in ("fs", "FS", "f\u0455", "a b")}})]
    assert names == ["fs", "FS-2", "f", "a-b"]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"other": {}}',
        '{"mcpServers": {"a": 1}}',
        '{"mcpServers": {"a": {}}}',
        '{"mcpServers": {"a": {"url": "file:///etc/passwd"}}}',
        '{"mcpServers": {"a": {"type": "smoke", "url": "https://x"}}}',
        '{"mcpServers": {"a": {"command": "x", "args": "y"}}}',
        '{"mcpServers": {"a": {"type": ["stdio"], "command": "x"}}}',
        '{"mcpServers": {"a": {"url": "http://["}}}',
        '"' + '\\"' * 400_000,
        "/*" * 400_000,
        "[" * 400_000,
    ],
    ids=range(13),
)
def test_what_cannot_be_used_is_an_error_that_names_the_setting_and_the_file(read: Read, text: str) -> None:
    with pytest.raises(SettingsError, match=r"FORETHOUGHT_SERVERS: .*mcp\.json"):
        read(text)


def test_a_server_that_is_trusted_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FORETHOUGHT_TRUST_SERVERS: there is no server 'githbu'"):
        Settings.read({"FORETHOUGHT_HOME": str(tmp_path), "FORETHOUGHT_TRUST_SERVERS": "githbu"})
