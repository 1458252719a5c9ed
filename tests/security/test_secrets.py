"""A command that a person has approved for what it says gets at no key, neither ours nor another service's."""

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view

from forethought.app import tools_for
from forethought.settings import Settings
from forethought_tools import JSON, Question
from forethought_tools.variables import is_told

pytestmark = pytest.mark.anyio

OURS = {
    "OPENAI_API_KEY": "hush-openai-key",
    "FORETHOUGHT_SMTP_URL": "smtp://user:hush-smtp@mail.example.org:587",
    "FORETHOUGHT_SMTP_FROM": "me@example.org",
    "PGPASSWORD": "hush-pg",
}
THEIRS = {
    "GITHUB_TOKEN": "hush-github",
    "AWS_ACCESS_KEY_ID": "hush-aws-id",
    "AWS_SECRET_ACCESS_KEY": "hush-aws",
    "ANTHROPIC_API_KEY": "hush-anthropic",
    "NPM_CONFIG__AUTH": "hush-npm",
    "npm_config_authToken": "hush-npm-2",
    "MYSQL_PWD": "hush-mysql",
    "GH_PAT": "hush-pat",
    "SENTRY_DSN": "hush-dsn",
    "DB_PASSWORD_FILE": "hush-file",
    "DATABASE_URL": "postgres://me:hush-database@db.example.org/shop",
    "HTTPS_PROXY": "http://me:hush-proxy@proxy.example.org:8080",
    "MY_COPY": "a copy of hush-openai-key",
}
ORDINARY = ("PATH", "PWD", "OLDPWD", "HOME", "LANG", "TOKENIZERS_PARALLELISM", "KEYBOARD", "XDG_SESSION_ID", "EDITOR")


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


def _content(file: Path) -> bytes:
    return file.read_bytes()


@pytest.mark.parametrize("name", ORDINARY)
def test_what_looks_like_no_secret_is_told_to_commands(name: str) -> None:
    assert is_told(name, "https://example.org/a:b@c")


async def test_commands_inherit_no_secret_of_any_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (OURS | THEIRS).items():
        monkeypatch.setenv(name, value)
    settings = Settings.read({**OURS, "FORETHOUGHT_HOME": str(tmp_path / "home")}, folders=[str(tmp_path)])
    await tools_for(settings).call("run_command", {"command": "env > seen"}, nobody)
    seen = _content(tmp_path / "seen")
    assert b"hush" not in seen
    assert b"PATH=" in seen


async def test_a_setting_lists_what_commands_see_and_never_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (OURS | THEIRS).items():
        monkeypatch.setenv(name, value)
    shown = {"FORETHOUGHT_COMMAND_VARIABLES": "GITHUB_TOKEN,*_PROXY, OPENAI_API_KEY,MY_COPY"}
    settings = Settings.read({**OURS, **shown, "FORETHOUGHT_HOME": str(tmp_path / "home")}, folders=[str(tmp_path)])
    await tools_for(settings).call("run_command", {"command": "env > seen"}, nobody)
    seen = [line.partition(b"=")[0] for line in _content(tmp_path / "seen").splitlines() if b"hush" in line]
    assert sorted(seen) == [b"GITHUB_TOKEN", b"HTTPS_PROXY"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_an_approved_command_reads_no_key_out_of_the_server(tmp_path: Path, work: Path) -> None:
    settings = {"FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    server = StdioServerParameters(
        command=str(Path(sys.executable).parent / "forethought"),
        args=["serve", "--folder", str(work)],
        env=OURS | THEIRS | settings,
    )
    steal = "for each in /proc/[0-9]*/environ; do cat $each >> seen; done; env >> seen; :"
    steps: list[dict[str, Any]] = [{"id": 1, "tool": "run_command", "arguments": {"command": f"({steal}) 2>&1"}}]
    async with Client(server, mode="legacy", elicitation_callback=approve) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.fail_after(120):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert done["status"] == "succeeded"
    seen = _content(work / "seen")
    assert b"FORETHOUGHT_HOME" in seen or os.getuid(), "root sees that there is a server"
    assert b"hush" not in seen


@pytest.mark.skipif(sys.platform != "linux", reason="the platform has no such switch")
async def test_the_memory_of_a_process_that_keeps_private_is_closed(tmp_path: Path) -> None:
    script = (
        "import ctypes, os; from forethought.privacy import keep_private; keep_private(['SOME_KEY']);"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0;"  # PR_GET_DUMPABLE
        "assert os.environ['SOME_KEY'] == 'quiet'; getenv = ctypes.CDLL(None).getenv;"
        "getenv.restype = ctypes.c_char_p; assert getenv(b'SOME_KEY') == b'quiet'"
    )
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, "-c", script], env={**os.environ, "SOME_KEY": "quiet"}, check=False, cwd=tmp_path
        )
    assert (done.returncode, done.stderr) == (0, b"")
