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
        {"command": "cmd", "args": ["/c", "forethought", "serve"]},
        {"command": "sh", "args": ["-c", "exec /x/.venv/bin/forethought serve --folder ."]},
        {"command": "docker", "args": ["run", "-i", "registry/ada/forethought:latest", "serve"]},
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


def test_values_that_are_no_texts_are_told_as_the_file_has_them(read: Read) -> None:
    entry = {"command": "x", "args": ["--port", 8080, True, None], "env": {"A": 1, "B": True, "C": None, "D": 1.5}}
    (one,) = read({"mcpServers": {"a": entry}})
    assert list(one.arguments) == ["--port", "8080", "true"]
    assert one.environment == {"A": "1", "B": "true", "D": "1.5"}


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"type": "streamable_http", "url": "https://x.example/mcp"}, "http"),
        ({"type": "streamableHttp", "url": "https://x.example/mcp"}, "http"),
        ({"type": "SSE", "url": "https://x.example/mcp"}, "sse"),
        ({"type": "remote", "url": "https://x.example/mcp"}, "http or sse"),
        ({"serverUrl": "https://x.example/mcp"}, "http or sse"),
        ({"httpUrl": "https://x.example/mcp"}, "http or sse"),
    ],
)
def test_addresses_are_read_as_clients_keep_them(read: Read, entry: dict[str, Any], transport: str) -> None:
    (one,) = read({"mcpServers": {"a": entry}})
    assert (one.url, one.transport) == ("https://x.example/mcp", transport)


def test_the_settings_of_an_editor_are_read_with_their_inputs(read: Read) -> None:
    inputs = [{"id": "who", "default": "ada"}]
    servers = {"a": {"command": "x", "args": ["${input:who}"]}}
    (one,) = read({"editor.fontSize": 12, "mcp": {"inputs": inputs, "servers": servers}})
    assert list(one.arguments) == ["ada"]


def test_a_comment_that_is_never_closed_is_an_error_at_once(read: Read) -> None:
    with pytest.raises(SettingsError):
        read("/*" * 400_000)


def test_a_file_of_variables_is_read_its_keys_are_secret_and_the_entry_wins(read: Read, tmp_path: Path) -> None:
    text = "# mine\nexport API_KEY='of-the-file-1'\nMODE = production\nPLAIN=a # b\n\nno variable\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    entry = {"command": "x", "envFile": "${workspaceFolder}/.env", "env": {"MODE": "test"}}
    (one,) = read({"servers": {"a": entry}})
    assert one.environment == {"API_KEY": "of-the-file-1", "MODE": "test", "PLAIN": "a # b"}
    assert "of-the-file-1" in one.secrets
    assert "of-the-file-1" not in one.started + repr(one)
    assert not one.missing


def test_a_file_of_variables_that_is_not_there_is_told_and_one_that_is_no_plain_file_is_refused(read: Read) -> None:
    (one,) = read({"servers": {"a": {"command": "x", "envFile": "/no/such/.env"}}})
    assert one.missing == ("envFile /no/such/.env",)
    (one,) = read({"servers": {"a": {"command": "x", "envFile": "/dev/zero"}}})
    assert "its 'envFile' /dev/zero is no file of yours, or too large" in one.problem


def test_what_makes_a_server_what_it_is_holds_its_folder_and_variables_and_no_key(read: Read) -> None:
    entry = {"command": "x", "cwd": "/one", "env": {"NODE_OPTIONS": "-r ${HERE}/a.js", "TOKEN": "short"}}
    (one,) = read({"mcpServers": {"a": entry}}, HERE="/somewhere")
    assert one.started == "x in /one with NODE_OPTIONS=-r ${HERE}/a.js TOKEN=(kept out)"


def test_names_that_look_alike_are_told_apart(read: Read) -> None:
    names = [each.name for each in read({"mcpServers": {n: {"command": n} for n in ("fs", "FS", "f\u0455", "a b")}})]
    assert names == ["fs", "FS-2", "f", "a-b"]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"other": {}}',
        '{"mcpServers": [{"command": "x"}]}',
        '"' + '\\"' * 400_000,
        "/*" * 400_000,
        "[" * 400_000,
    ],
    ids=range(7),
)
def test_what_cannot_be_used_is_an_error_that_names_the_setting_and_the_file(read: Read, text: str) -> None:
    with pytest.raises(SettingsError, match=r"FORETHOUGHT_SERVERS: .*mcp\.json"):
        read(text)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (1, "it is no object"),
        (None, "it is no object"),
        ("npx", "it is no object"),
        ({}, "it has no 'command' that starts it and no 'url'"),
        ({"command": ""}, "it has no 'command' that starts it and no 'url'"),
        ({"type": "stdio", "url": "https://x.example/mcp"}, "it has no 'command' that starts it"),
        ({"url": "file:///etc/passwd"}, "its 'url' is not an address. Use http:// or https://"),
        ({"url": "http://["}, "Invalid IPv6 URL"),
        ({"url": 8080}, "its 'url' is no text"),
        ({"type": "smoke", "url": "https://x"}, "its type 'smoke' is not known. Use stdio, http or sse"),
        ({"type": ["stdio"], "command": "x"}, "is not known. Use stdio, http or sse"),
        ({"command": ["npx", "-y", "x"]}, "its 'command' is no text"),
        ({"command": "x", "args": "y"}, "its 'args' is no list"),
        ({"command": "x", "args": {"a": "b"}}, "its 'args' is no list"),
        ({"command": "x", "env": ["A=b"]}, "its 'env' is no object"),
        ({"command": "x", "cwd": 1}, "its 'cwd' is no text"),
        ({"url": "https://x.example/mcp", "headers": "A: b"}, "its 'headers' is no object"),
    ],
    ids=range(17),
)
def test_an_entry_that_cannot_be_used_is_told_by_its_name_and_the_others_are_used(
    read: Read, entry: Any, problem: str
) -> None:
    one, wrong, other = read({"mcpServers": {"one": {"command": "x"}, "wrong": entry, "other": {"command": "y"}}})
    assert (one.name, one.command, other.name, other.command) == ("one", "x", "other", "y")
    assert not one.problem + other.problem
    assert wrong.name == "wrong"
    assert "its entry 'wrong' in " in wrong.problem
    assert "mcp.json cannot be used: " in wrong.problem
    assert problem in wrong.problem
    assert wrong.problem.endswith("Mend it there")


def test_several_entries_that_cannot_be_used_keep_their_names(read: Read) -> None:
    found = read({"mcpServers": {"a": 1, "b": 1, "A": {}, "off": {"disabled": True, "command": 3}}})
    assert [each.name for each in found] == ["a", "b", "A-2"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "ada").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def the_workspace(file: Path, *granted: Path) -> Configured:
    file.parent.mkdir(parents=True, exist_ok=True)
    entry = {"command": "x", "args": ["${workspaceFolder}", "${workspaceFolderBasename}"]}
    file.write_text(json.dumps({"mcpServers": {"a": entry, "b": {"command": "y"}}}), encoding="utf-8")
    one, other = read_servers([file], {}, "FORETHOUGHT_SERVERS", granted)
    assert not other.missing
    return one


@pytest.mark.parametrize(
    "name",
    [
        ".cursor/mcp.json",
        ".claude.json",
        ".mcp.json",
        ".vscode/mcp.json",
        ".config/Code/User/mcp.json",
        ".codeium/windsurf/mcp_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
    ],
)
def test_the_workspace_of_a_file_of_a_user_is_the_one_folder_that_is_granted(home: Path, name: str) -> None:
    project = home / "src" / "shop"
    one = the_workspace(home / name, project)
    assert list(one.arguments) == [str(project), "shop"]
    for granted in ((), (project, home / "other")):
        one = the_workspace(home / name, *granted)
        assert one.missing[0].startswith("workspaceFolder (its file belongs to no project: grant exactly one folder")


@pytest.mark.parametrize(
    "name", ["src/shop/.cursor/mcp.json", "src/shop/.vscode/mcp.json", "src/shop/.mcp.json", "src/shop/mcp.json"]
)
def test_the_workspace_of_a_file_of_a_project_is_that_project_whatever_is_granted(home: Path, name: str) -> None:
    one = the_workspace(home / name, home / "other")
    assert list(one.arguments) == [str(home / "src" / "shop"), "shop"]


def test_a_project_may_lie_in_a_hidden_folder_and_its_file_elsewhere(home: Path) -> None:
    assert the_workspace(home / ".dotfiles" / ".mcp.json").arguments[0] == str(home / ".dotfiles")
    assert the_workspace(home / ".dotfiles" / ".vscode" / "mcp.json").arguments[0] == str(home / ".dotfiles")
    (link := home / "src" / "shop" / ".mcp.json").parent.mkdir(parents=True)
    link.symlink_to(home / ".dotfiles" / ".mcp.json")
    assert the_workspace(link).arguments[0] == str(home / "src" / "shop")


def test_a_server_that_is_trusted_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FORETHOUGHT_TRUST_SERVERS: there is no server 'githbu'"):
        Settings.read({"FORETHOUGHT_HOME": str(tmp_path), "FORETHOUGHT_TRUST_SERVERS": "githbu"})
