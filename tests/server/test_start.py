"""What a client meets when it starts the server, whatever is wrong with it: an answer, and not a closed connection."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from forethought.settings import Settings
from forethought.surface.front import Front
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
PLAN: Mapping[str, Any] = {"goal": "g", "steps": [{"id": 1, "tool": "calculate", "arguments": {"expression": "1"}}]}


def _environment(home: Path, **more: str) -> dict[str, str]:
    return {"FORETHOUGHT_HOME": str(home), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"], **more}


def _without(folder: Path, *modules: str) -> dict[str, str]:
    """An environment in which these are not installed."""
    folder.mkdir()
    lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in modules)]
    (folder / "sitecustomize.py").write_text("\n".join(lines), encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def _nothing(_: Path) -> Mapping[str, str]:
    return {}


def _damaged(home: Path) -> Mapping[str, str]:
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"no database at all, " * 400)
    return {}


def _foreign(home: Path) -> Mapping[str, str]:
    home.mkdir()
    with closing(sqlite3.connect(home / "journal.sqlite")) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    return {}


def _newer(home: Path) -> Mapping[str, str]:
    home.mkdir()
    with closing(sqlite3.connect(home / "journal.sqlite")) as later:
        later.execute("PRAGMA application_id=1179603525")
        later.execute("PRAGMA user_version=99")
    return {}


def _file(home: Path) -> Mapping[str, str]:
    home.write_text("not a folder", encoding="utf-8")
    return {}


def _short_key(home: Path) -> Mapping[str, str]:
    home.mkdir()
    (home / "state.key").write_bytes(b"short")
    return {}


def _folder_for_a_journal(home: Path) -> Mapping[str, str]:
    (home / "journal.sqlite").mkdir(parents=True)
    return {}


def _file_for_the_owners(home: Path) -> Mapping[str, str]:
    home.mkdir()
    (home / "owners").touch()
    return {}


def _no_distributed(home: Path) -> Mapping[str, str]:
    return {**_without(home.parent / "site", "psycopg"), "FORETHOUGHT_STORE": "postgresql://me:sesame-open@h/n"}


def _no_local(home: Path) -> Mapping[str, str]:
    return {**_without(home.parent / "site", "xllamacpp"), "FORETHOUGHT_MODEL": "local"}


def _unfetched(_: Path) -> Mapping[str, str]:
    return {"FORETHOUGHT_MODEL": "local"}


@pytest.mark.parametrize(
    ("make", "env", "flags", "told"),
    [
        (_nothing, {"FORETHOUGHT_MAX_PARALLEL": "many"}, [], "FORETHOUGHT_MAX_PARALLEL: 'many'"),
        (_nothing, {"FORETHOUGHT_FOLDER": "/tmp"}, [], "Did you mean FORETHOUGHT_FOLDERS?"),  # noqa: S108 - a name
        (_nothing, {"FORETHOUGHT_ASK_FROM": "never"}, [], "FORETHOUGHT_ASK_FROM"),
        (_nothing, {"FORETHOUGHT_STORE": "mysql://u:sesame-open@h/n"}, [], "FORETHOUGHT_STORE"),
        (_nothing, {"FORETHOUGHT_MODEL": "local:nobody"}, [], "no embedded model 'nobody'"),
        (_nothing, {"FORETHOUGHT_MODEL_CRITIC": "scripted:/not/there.json"}, [], "/not/there.json cannot be read"),
        (_nothing, {"FORETHOUGHT_HOME": "/proc/nowhere"}, [], "FORETHOUGHT_HOME: /proc/nowhere"),
        (_nothing, {"FORETHOUGHT_HOME": "~nobody-known/here"}, [], "a user that is not known here"),
        (_nothing, {"FORETHOUGHT_MAX_REPLANS": "\udcff\x1b[31m"}, [], "FORETHOUGHT_MAX_REPLANS: "),
        (_nothing, {}, ["--folder", "/not/there"], "'/not/there' is not a folder. Name one"),
        (_nothing, {}, ["--foldr", "/not/there"], "unrecognized arguments: --foldr"),
        (_nothing, {}, ["--model"], "--model: expected one argument"),
        (_damaged, {}, [], "Move it away to start anew"),
        (_foreign, {}, [], "a database of another program"),
        (_newer, {}, [], "Update forethought"),
        (_file, {}, [], "FORETHOUGHT_HOME"),
        (_short_key, {}, [], "state.key is damaged. Delete it"),
        (_folder_for_a_journal, {}, [], "journal.sqlite"),
        (_file_for_the_owners, {}, [], "Mend that, or set FORETHOUGHT_HOME"),
        (_nothing, {"FORETHOUGHT_STORE": "postgresql://me:sesame-open@127.0.0.1:1/n"}, [], "FORETHOUGHT_STORE"),
        (_no_distributed, {}, [], "pip install '.[distributed]'"),
        (_no_local, {}, [], "pip install '.[local]'"),
        (_unfetched, {}, [], "forethought model fetch"),
    ],
)
async def test_what_is_wrong_is_told_by_every_tool(
    tmp_path: Path,
    make: Callable[[Path], Mapping[str, str]],
    env: Mapping[str, str],
    flags: Sequence[str],
    told: str,
) -> None:
    home = tmp_path / "home"
    parameters = StdioServerParameters(
        command=COMMAND, args=["serve", *flags], env=_environment(home, **{**make(home), **env}), cwd=tmp_path
    )
    with anyio.fail_after(120):
        async with Client(parameters) as client:
            tools = (await client.list_tools()).tools
            assert {"create_plan", "execute_plan", "get_plan"} <= {tool.name for tool in tools}
            assert (await client.list_resource_templates()).resource_templates
            for tool in tools:
                answer = await client.call_tool(tool.name, {})
                said: Any = answer.structured_content
                assert answer.is_error, tool.name
                assert told in said["error"], tool.name
                assert "sesame" not in answer.model_dump_json()
            with pytest.raises(MCPError) as refused:
                await client.read_resource("forethought://index")
            assert told in str(refused.value)
            with pytest.raises(MCPError) as unprompted:
                await client.get_prompt("any")
            assert told in str(unprompted.value)


async def test_what_was_mended_meanwhile_works_without_a_new_start(tmp_path: Path, era: str) -> None:
    home = tmp_path / "home"
    _damaged(home)
    parameters = StdioServerParameters(command=COMMAND, args=["serve"], env=_environment(home), cwd=tmp_path)
    with anyio.fail_after(120):
        async with Client(parameters, mode=era) as client:
            assert (await client.call_tool("create_plan", dict(PLAN))).is_error
            (home / "journal.sqlite").unlink()
            answer = await client.call_tool("create_plan", dict(PLAN))
            assert (answer.structured_content or {})["status"] == "ready"


async def test_a_place_that_nobody_has_named_is_not_told(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "somebody"), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    (tmp_path / "somebody" / ".local" / "share").mkdir(parents=True)
    _damaged(tmp_path / "somebody" / ".local" / "share" / "forethought")
    parameters = StdioServerParameters(command=COMMAND, args=["serve"], env=env, cwd=tmp_path)
    with anyio.fail_after(120):
        async with Client(parameters) as client:
            answer = await client.call_tool("get_plan", {})
    assert "FORETHOUGHT_HOME" in answer.model_dump_json()
    assert "somebody" not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("make", "env", "flags", "status"),
    [
        (_nothing, {"FORETHOUGHT_MAX_PARALLEL": "many"}, [], 2),
        (_nothing, {}, ["--foldr"], 2),
        (_damaged, {}, [], 1),
        (_no_local, {}, [], 2),
    ],
)
def test_in_a_terminal_it_ends_with_the_message(
    tmp_path: Path,
    make: Callable[[Path], Mapping[str, str]],
    env: Mapping[str, str],
    flags: Sequence[str],
    status: int,
) -> None:
    home = tmp_path / "home"
    ours, theirs = pty.openpty()
    environment = _environment(home, **{**make(home), **env})
    with os.fdopen(ours, "wb", buffering=0), os.fdopen(theirs, "rb") as terminal:
        ended = subprocess.run(
            [COMMAND, "serve", *flags],
            stdin=terminal,
            capture_output=True,
            env=environment,
            cwd=tmp_path,
            text=True,
            timeout=120,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert "forethought" in ended.stderr
    assert "Traceback" not in ended.stderr


@asynccontextmanager
async def _front(settings: Settings) -> AsyncGenerator[Server[Any]]:
    front = Front(lambda: build_server(settings)._lowlevel_server, told=str)  # pyright: ignore[reportPrivateUsage]
    async with front.opening():
        yield front.server


async def test_what_is_said_at_once_is_what_the_whole_server_says(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async def said(client: Client) -> list[Any]:
        return [
            client.server_capabilities,
            client.server_info,
            client.instructions,
            await client.list_tools(),
            await client.list_resources(),
            await client.list_resource_templates(),
            await client.list_prompts(),
        ]

    settings = make_settings()
    async with Client(build_server(settings), mode=era) as whole:
        expected = await said(whole)
    async with _front(settings) as front, Client(front, mode=era) as client:
        assert await said(client) == expected


# What a client sends first

_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_INITIALIZE: Mapping[str, Any] = {
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}
_INITIALIZED: Mapping[str, Any] = {"method": "notifications/initialized"}
_CALL: Mapping[str, Any] = {"method": "tools/call", "params": {"name": "get_plan", "arguments": {}}}


def _modern(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": {**params, "_meta": _META}}


def _spoken(home: Path, *messages: Mapping[str, Any], at_once: bool) -> list[Mapping[str, Any]]:
    """The answers of a server, in the order of the requests, which come at once or each after the last answer."""
    server = subprocess.Popen(
        [COMMAND, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(home),
        cwd=home.parent,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    answers: dict[int, Mapping[str, Any]] = {}
    wanted: set[int] = set()
    for number, message in enumerate(messages):
        named = {} if message["method"].startswith("notifications/") else {"id": number}
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **named, **message}) + "\n")
        server.stdin.flush()
        wanted |= set(named.values())
        while wanted - set(answers) and not (at_once and number < len(messages) - 1):
            answer = json.loads(server.stdout.readline())
            answers[answer["id"]] = answer
    server.stdin.close()
    assert server.stdout.read() == ""
    assert server.wait(timeout=60) == 0
    server.stdout.close()
    return [answers[number] for number in sorted(answers)]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "before",
    [
        [_modern("server/discover")],
        [_modern("server/discover"), _modern("server/discover")],
        [_modern("server/discover"), _modern("tools/list")],
        [{"method": "server/discover"}],
        [{"method": "ping"}, _modern("server/discover")],
        [],
    ],
)
def test_a_client_that_looked_for_the_newer_era_may_take_the_older_one(
    tmp_path: Path, before: Sequence[Mapping[str, Any]], at_once: bool
) -> None:
    later = [_INITIALIZE, _INITIALIZED, {"method": "tools/list"}, _CALL]
    answers = _spoken(tmp_path / "home", *before, *later, at_once=at_once)
    assert len(answers) == len(before) + 3
    initialized, listed, called = (answer["result"] for answer in answers[len(before) :])
    assert initialized["protocolVersion"] == "2025-11-25"
    assert listed["tools"]
    assert called["structuredContent"]["status"] == "ok"


def test_a_discover_that_comes_after_the_handshake_harms_nobody(tmp_path: Path) -> None:
    messages = [_INITIALIZE, _INITIALIZED, _modern("server/discover"), {"method": "tools/list"}, _CALL]
    answers = _spoken(tmp_path / "home", *messages, at_once=False)
    assert "error" in answers[1]
    assert answers[2]["result"]["tools"]
    assert answers[3]["result"]["structuredContent"]["status"] == "ok"


def test_the_newer_era_goes_on_after_discover(tmp_path: Path) -> None:
    call = _modern("tools/call", name="get_plan", arguments={})
    answers = _spoken(tmp_path / "home", _modern("server/discover"), _modern("tools/list"), call, at_once=True)
    assert answers[0]["result"]["supportedVersions"]
    assert answers[1]["result"]["tools"]
    assert answers[2]["result"]["structuredContent"]["status"] == "ok"


def test_until_the_first_answer_nothing_slow_is_loaded() -> None:
    """Nothing but what a server of the same SDK loads, and the few modules that answer."""

    def loaded(script: str) -> set[str]:
        shown = f"import sys; {script}; print('\\n'.join(sys.modules))"
        done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
        return set(done.stdout.split()) - sys.stdlib_module_names

    def packages(names: set[str]) -> set[str]:
        return {name.partition(".")[0] for name in names} - sys.stdlib_module_names

    ours = loaded(
        "from forethought.cli import main; import forethought.cli.serve as s, forethought.surface.front as f;"
        " f.Front(lambda: None, told=str)"
    )
    assert packages(ours) - packages(loaded("import mcp.server.mcpserver")) == {"forethought"}
    assert {name for name in ours if name.startswith("forethought")} == {
        "forethought",
        "forethought.cli",
        "forethought.cli.commands",
        "forethought.cli.completion",
        "forethought.cli.options",
        "forethought.cli.serve",
        "forethought.surface",
        "forethought.surface.front",
        "forethought.surface.unread",
    }
