"""What agents, editors and version control obey is not written unasked, whatever it is called."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.security.calling import said
from tests.server.asking import in_full, person, run_steps
from tests.server.undoing import ran, tree, write
from tests.serving import NEVER

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns.tool_calls import Admitted, look_again
from forethought_tools import JSON, Registry, Risk, ToolError
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio


# Version control


def repository(folder: Path) -> Path:
    for name in ("objects", "refs", "hooks"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        ".GIT/hooks/pre-commit",
        ".git./hooks/pre-commit",
        ".git /config",
        ".g\u200cit/config",
        "GIT~1/config",
        ".git::$INDEX_ALLOCATION/config",
        "store/hooks/pre-commit",
        "store/config",
        "link/hooks/pre-commit",
        "bare.git/config",
        "tree/config",
        "nearly/HEAD",
        "half/HEAD",
        "nearly/head",
    ],
)
async def test_nothing_is_written_where_version_control_keeps_programs(tmp_path: Path, path: str) -> None:
    (tmp_path / ".git").symlink_to(repository(tmp_path / "store"))
    (tmp_path / "link").symlink_to(tmp_path / ".git")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".git").write_text("gitdir: ../tree\n", encoding="utf-8")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "commondir").write_text("../store\n", encoding="utf-8")
    (tmp_path / "tree" / "HEAD").touch()
    repository(tmp_path / "bare.git")
    (repository(tmp_path / "nearly") / "HEAD").unlink()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "commondir").write_text("../store\n", encoding="utf-8")
    before, registry = tree(tmp_path), Registry(file_tools(Folders([tmp_path])), {"*": Risk.LOW})
    assert "where files are programs" in await said(registry, "write_file", path=path, content="x")
    assert tree(tmp_path) == before
    assert registry.risk("write_file", {"path": path, "content": "x"}) is Risk.HIGH


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("write_file", {"path": ".git/hooks/pre-commit", "content": "x"}, "where files are programs"),
        ("write_file", {"path": "../outside.txt", "content": "x"}, "outside the granted folders"),
        ("delete_file", {"path": "../outside.txt"}, "outside the granted folders"),
        ("append_file", {"path": ".git/config", "content": "x"}, "where files are programs"),
        ("copy_file", {"source": "a.txt", "destination": ".git/config"}, "where files are programs"),
        ("move_file", {"source": "../outside.txt", "destination": "b.txt"}, "outside the granted folders"),
        ("make_folder", {"path": ".git/hooks"}, "where files are programs"),
        ("write_table", {"path": ".git/a.csv", "rows": [{"a": 1}]}, "where files are programs"),
        ("run_command", {"command": "true", "folder": ".."}, "outside the granted folders"),
        ("run_command", {"command": "true\0"}, "NUL"),
        ("send_email", {"to": ["a@example.org"], "subject": "s", "body": "b"}, "No mailbox is configured"),
    ],
)
async def test_nobody_is_asked_about_a_call_that_is_refused_anyway(
    make_settings: Callable[..., Settings], tool: str, arguments: dict[str, JSON], why: str
) -> None:
    asked: list[str] = []
    settings = make_settings(risks={"*": Risk.HIGH}, terms=NEVER)
    async with Client(
        build_server(settings), elicitation_callback=person({"decision": "approve"}, seen=asked)
    ) as client:
        done = await run_steps(client, [{"id": 1, "tool": tool, "arguments": arguments}])
        (step,) = (await in_full(client, done))["steps"]
    assert asked == []
    assert step["state"] == "failed"
    assert why in step["error"]


# What other programs obey


@pytest.mark.parametrize(
    "path",
    [
        ".mcp.json",
        "sub/.mcp.json",
        "sub/../.mcp.json",
        ".MCP.json",
        ".mcp.json. ",
        "MCP~1.JSO",
        ".claude/settings.json",
        ".cursor/rules/a.mdc",
        ".vscode/tasks.json",
        ".gitattributes",
        ".github/workflows/a.yml",
        ".idea/x.xml",
        "CLAUDE.md",
        "sub/agents.md",
        "all.code-workspace",
        "notes.txt",
        "conf/settings.json",
        "conf/deep/new.json",
        "link/settings.json",
    ],
)
def test_writing_what_other_programs_obey_is_high_whatever_is_set(tmp_path: Path, path: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / ".claude").symlink_to(tmp_path / "conf")
    (tmp_path / "link").symlink_to(".claude")
    (tmp_path / "notes.txt").symlink_to(".mcp.json")
    registry = Registry(file_tools(Folders([tmp_path])), {"write_file": Risk.LOW, "delete_file": Risk.LOW})
    for arguments in ({"path": path, "content": "x"}, {"path": str(tmp_path / path), "content": "x"}):
        assert registry.risk("write_file", arguments) is registry.risk("delete_file", arguments) is Risk.HIGH


@pytest.mark.parametrize("path", ["a.txt", "sub/Makefile", "report.md", "b.", "new/deep/c.json", "{{1}}", "", "a\0b"])
def test_writing_anything_else_keeps_the_risk_that_is_set(tmp_path: Path, path: str) -> None:
    hidden = tmp_path / ".hidden" / "work"
    hidden.mkdir(parents=True)
    (tmp_path / ".vscode").mkdir()
    (hidden / ".elsewhere").symlink_to("nowhere")
    for risk in (Risk.LOW, Risk.MEDIUM):
        registry = Registry(file_tools(Folders([hidden, tmp_path / ".vscode"])), {"write_file": risk})
        assert registry.risk("write_file", {"path": path, "content": "x"}) is risk
        assert registry.risk("write_file", {"path": str(hidden / path), "content": "x"}) is risk


def test_a_grant_of_what_is_obeyed_is_high_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / ".vscode").mkdir()
    registry = Registry(file_tools(Folders([tmp_path / ".vscode"])))
    assert registry.risk("write_file", {"path": "tasks.json", "content": "x"}) is Risk.HIGH


@pytest.mark.parametrize("path", [".mcp.json", "{{1}}"])
async def test_a_run_that_writes_what_is_obeyed_waits_for_a_person_who_is_told(
    make_settings: Callable[..., Settings], work: Path, path: str
) -> None:
    asked: list[str] = []

    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"decision": "reject"})

    (work / "a.txt").write_text(".mcp.json", encoding="utf-8")
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
        write(2, path, "FORETHOUGHT_RISKS=run_command=medium", after=1),
    ]
    settings = make_settings(risks={"write_file": Risk.LOW}, terms=NEVER)
    async with Client(build_server(settings), elicitation_callback=refuse) as client:
        await ran(client, steps, "failed")
    assert "It changes .mcp.json, which agents, editors or version control may obey." in asked[0]
    assert not (work / ".mcp.json").exists()


async def test_a_call_whose_risk_rose_since_nobody_was_asked_is_not_made(tmp_path: Path) -> None:
    tools = Registry(file_tools(Folders([tmp_path])))
    write, call = tools.known("write_file"), {"path": "a.txt", "content": "x"}
    await look_again(write, Admitted(call), tools)
    (tmp_path / "a.txt").symlink_to(".mcp.json")
    await look_again(write, Admitted(call, {}), tools)  # a person was asked
    with pytest.raises(ToolError, match=r"It changes \.mcp\.json"):
        await look_again(write, Admitted(call), tools)
