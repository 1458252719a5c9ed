"""`forethought install CLIENT`: its entry gets into the client's file, and everything else there stays as it is."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from forethought.cli.clients import CLIENTS
from forethought.cli.entries import Form, with_entry
from forethought_tools import SettingsError

ENTRY = {"command": "/bin/forethought", "args": ["serve"]}
PLACES = {
    "claude-desktop": "home/.config/Claude/claude_desktop_config.json",
    "claude-code": "project/.mcp.json",
    "cursor": "project/.cursor/mcp.json",
    "vscode": "project/.vscode/mcp.json",
    "zed": "home/.config/zed/settings.json",
    "codex": "home/.codex/config.toml",
    "gemini": "home/.gemini/settings.json",
    "goose": "home/.config/goose/config.yaml",
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files of configuration lie elsewhere there")


def _install(tmp_path: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir(exist_ok=True)
    project.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    environment = {**kept, "HOME": str(home), "FORETHOUGHT_HOME": str(tmp_path / "state"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "forethought", "install", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, input=typed, capture_output=True, text=True, timeout=60, check=False
    )


def _servers(file: Path, name: str) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    yaml: Any = YAML()  # its types are partial
    readers: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": yaml.load, ".json": json.loads}
    return dict(readers[file.suffix](text)[CLIENTS[name].key])


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_without_a_file_gets_one_with_the_full_path_of_the_program(name: str, tmp_path: Path) -> None:
    done = _install(tmp_path, name, "--yes")
    assert done.returncode == 0, done.stderr
    entry = _servers(tmp_path / PLACES[name], name)["forethought"]
    assert Path(str(entry.get("command") or entry.get("cmd"))).is_absolute()
    arguments = entry["args"]
    assert arguments == (["serve", "--folder", str(tmp_path / "project")] if name == "claude-desktop" else ["serve"])
    again = _install(tmp_path, name, "--yes")
    assert "It is there already" in again.stdout


def test_the_difference_is_shown_and_without_a_person_nothing_is_written(tmp_path: Path) -> None:
    asked = _install(tmp_path, "cursor")
    assert asked.returncode == 1
    assert '+    "forethought": {' in asked.stdout
    assert "Add --yes to write it." in asked.stdout
    assert not (tmp_path / PLACES["cursor"]).exists()


def test_print_shows_what_belongs_there_and_touches_nothing(tmp_path: Path) -> None:
    shown = _install(tmp_path, "codex", "--print")
    assert "[mcp_servers.forethought]" in shown.stdout
    assert not (tmp_path / PLACES["codex"]).exists()


@pytest.mark.parametrize("asked", ["--print", "--yes"])
def test_a_folder_that_is_not_there_is_refused_before_it_is_shown_or_written(asked: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder in (str(tmp_path / "nowhere"), str(tmp_path / "file"), "~nobody-here/x"):
        done = _install(tmp_path, "cursor", asked, "--folder", folder)
        assert (done.returncode != 0, done.stdout) == (True, "")
        assert f"--folder: {folder!r}" in done.stderr
    assert not (tmp_path / PLACES["cursor"]).exists()


def test_what_was_there_is_kept_beside_it_each_time_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / PLACES["cursor"]
    file.parent.mkdir(parents=True)
    old = '{\n\t// mine\n\t"mcpServers": {\n\t\t"other": {"command": "x"}, /* why */\n\t},\n\t"theme": "dark"\n}\n'
    file.write_text(old, encoding="utf-8")
    file.chmod(0o600)
    assert "kept as mcp.json.bak." in _install(tmp_path, "cursor", "--yes").stdout
    assert "kept as mcp.json.bak1." in _install(tmp_path, "cursor", "--yes", "--folder", str(tmp_path)).stdout
    text = file.read_text(encoding="utf-8")
    for line in old.splitlines():
        assert line in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.with_name("mcp.json.bak").read_text(encoding="utf-8") == old


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"mcpServers": ', "it is no JSON that can be read"),
        ("[]", "holds no servers"),
        ('{"mcpServers": []}', "holds no servers"),
        ("\x00", "it is no JSON"),
    ],
)
def test_a_file_that_is_not_what_its_client_reads_stays_as_it_is(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / PLACES["cursor"]
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    done = _install(tmp_path, "cursor", "--yes")
    assert done.returncode != 0
    assert said in done.stderr
    assert "Nothing was changed" in done.stderr
    assert [each.read_text(encoding="utf-8") for each in file.parent.iterdir()] == [text]


def test_a_link_to_a_file_kept_elsewhere_stays_a_link(tmp_path: Path) -> None:
    real, file = tmp_path / "dotfiles.json", tmp_path / PLACES["cursor"]
    real.write_text("{}", encoding="utf-8")
    file.parent.mkdir(parents=True)
    file.symlink_to(real)
    assert _install(tmp_path, "cursor", "--yes").returncode == 0
    assert file.is_symlink()
    assert "forethought" in real.read_text(encoding="utf-8")


def test_a_desktop_client_is_told_a_folder_and_never_all_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "project").symlink_to(tmp_path / "home")
    done = _install(tmp_path, "claude-desktop", "--yes")
    assert done.returncode != 0
    assert "--folder DIR" in done.stderr


def test_comments_and_order_of_toml_and_yaml_stay() -> None:
    toml = '# mine\nmodel = "o3"  # best\n\n[mcp_servers.other]\ncommand = "x"\n'
    written = with_entry(toml, "toml", "mcp_servers", "forethought", ENTRY)
    assert written.startswith(toml)
    assert tomllib.loads(written)["mcp_servers"] == {"other": {"command": "x"}, "forethought": ENTRY}
    yaml = "# mine\nextensions:\n  other:  # why\n    cmd: 'x'\nGOOSE_MODEL: y\n"
    written = with_entry(yaml, "yaml", "extensions", "forethought", ENTRY)
    for line in yaml.splitlines():
        assert line in written


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("yaml", "# mine"),
        ("yaml", "extensions:\n"),
        ("yaml", "extensions:\n  forethought:\n"),
        ("yaml", "extensions:\n    other:\n        args:\n            - a\n            - b\nTHEME: x\n"),
        ("yaml", "list:\n  - a\nextensions:\n  other:\n    args:\n      - a\n"),
        ("yaml", "list:\n- a\nextensions:\n  other:\n    args: [a]\n"),
        ("yaml", "extensions:\r\n  other:\r\n    enabled: true\r\n"),
        ("toml", 'model = "x"\r\n\r\n[extensions.other]\r\ncommand = "y"\r\n'),
        ("json", '{\r\n  "extensions": {\r\n    "other": {}\r\n  }\r\n}\r\n'),
    ],
)
def test_each_line_stays_with_its_indent_and_its_end(form: Form, text: str) -> None:
    written = with_entry(text, form, "extensions", "forethought", ENTRY)
    assert set(text.splitlines()) <= set(written.splitlines())
    assert ("\r\n" in text) == ("\r\n" in written) == ("\n" not in written.replace("\r\n", ""))
    assert with_entry(written, form, "extensions", "forethought", ENTRY) == written


def test_a_table_of_toml_in_one_line_takes_the_entry_into_this_line() -> None:
    text = 'extensions = { other = { command = "y" } }\n\n[model]\nname = "x"\n'
    written = with_entry(text, "toml", "extensions", "forethought", ENTRY)
    assert tomllib.loads(written) == {
        "extensions": {"other": {"command": "y"}, "forethought": ENTRY},
        "model": {"name": "x"},
    }
    assert written.startswith("extensions = { other = { command = ")


def test_a_file_of_yaml_that_holds_nothing_is_one_that_can_be_read_afterwards() -> None:
    yaml: Any = YAML()
    for text in ("~\n", "# mine\nnull\n", "---\n"):
        written = with_entry(text, "yaml", "extensions", "forethought", ENTRY)
        assert yaml.load(written)["extensions"]["forethought"] == ENTRY
        assert ("# mine" in text) == ("# mine" in written)


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("json", '{"extensions": null}', "holds no servers: write {} in the place of null"),
        ("json", '{"extensions": {"forethought": "x"}}', "'forethought' under 'extensions' in it is no entry"),
        ("json", '{"extensions": {"forethought": null}}', "take it out first"),
        ("toml", '[extensions]\nforethought = "x"\n', "take it out first"),
        ("yaml", "extensions:\n  forethought: x\n", "take it out first"),
    ],
)
def test_what_is_no_entry_in_the_place_of_one_is_told_as_that(form: Form, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        with_entry(text, form, "extensions", "forethought", ENTRY)
    assert says in str(refused.value)


def test_the_line_ends_of_a_file_stay_on_the_disk(tmp_path: Path) -> None:
    file = tmp_path / PLACES["cursor"]
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{\r\n  "theme": "dark"\r\n}\r\n')
    assert _install(tmp_path, "cursor", "--yes").returncode == 0
    written = file.read_bytes()
    assert written.startswith(b"{\r\n")
    assert written.count(b"\n") == written.count(b"\r\n") > 3


@pytest.mark.parametrize("form", ["json", "toml", "yaml"])
def test_an_entry_of_the_same_name_keeps_what_else_stands_in_it(form: str) -> None:
    old = with_entry("", form, "servers", "forethought", {"command": "old", "env": {"FORETHOUGHT_MODEL": "local"}})  # type: ignore[arg-type]
    new = with_entry(old, form, "servers", "forethought", ENTRY)  # type: ignore[arg-type]
    assert "FORETHOUGHT_MODEL" in new
    assert "old" not in new
    assert with_entry(new, form, "servers", "forethought", ENTRY) == new  # type: ignore[arg-type]


PLAIN = st.none() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans())
def test_whatever_json_is_there_says_the_same_afterwards(
    there: dict[str, object], indent: int | str | None, with_servers: bool
) -> None:
    there = {**there, **({"mcpServers": {"a": {"x": [1, {"y": "}"}]}}} if with_servers else {})}
    text = json.dumps(there, indent=indent)
    try:
        written = with_entry(text, "json", "mcpServers", "forethought", ENTRY)
    except SettingsError:
        assert not isinstance(there.get("mcpServers", {}), dict)
        return
    servers = there.get("mcpServers", {})
    assert isinstance(servers, dict)
    assert json.loads(written) == {**there, "mcpServers": {**servers, "forethought": ENTRY}}
