"""Files are read and written inside the granted folders, and nowhere else."""

import json
import os
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.files import MAX_LISTED, file_tools
from forethought_tools.folders import Folders
from forethought_tools.reading import MAX_READ

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


def tools(*folders: Path) -> Registry:
    return Registry(file_tools(Folders(folders)))


async def call(registry: Registry, name: str, **arguments: JSON) -> JSON:
    with anyio.fail_after(60):
        return await registry.call(name, arguments, nobody)


async def refusal(registry: Registry, name: str, **arguments: JSON) -> str:
    with pytest.raises(ToolError) as raised:
        await call(registry, name, **arguments)
    return str(raised.value)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_a_file_is_read_by_relative_and_by_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("one\ntwo\n", encoding="utf-8")
    registry = tools(tmp_path)
    assert await call(registry, "read_file", path="note.txt") == "one\ntwo\n"
    assert await call(registry, "read_file", path=str(tmp_path / "note.txt")) == "one\ntwo\n"


async def test_a_relative_path_is_looked_up_in_every_granted_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "note.txt").write_text("from b", encoding="utf-8")
    registry = tools(tmp_path / "a", tmp_path / "b")
    assert await call(registry, "read_file", path="note.txt") == "from b"
    await call(registry, "write_file", path="new.txt", content="x")
    assert (tmp_path / "a" / "new.txt").exists()
    await call(registry, "write_file", path="note.txt", content="changed")
    assert (tmp_path / "b" / "note.txt").read_text(encoding="utf-8") == "changed"


@pytest.mark.parametrize("path", ["../secret.txt", "sub/../../secret.txt", "link.txt", "out/secret.txt", "/etc/passwd"])
@pytest.mark.parametrize("name", ["read_file", "write_file", "delete_file"])
async def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str, path: str) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "link.txt").symlink_to(tmp_path / "secret.txt")
    (home / "out").symlink_to(tmp_path)
    more: dict[str, JSON] = {"content": "x"} if name == "write_file" else {}
    said = await refusal(tools(home), name, path=path, **more)
    assert "link" in said if (name, path) == ("delete_file", "link.txt") else "'home'" in said
    assert str(tmp_path) not in said.replace(path, ""), "no error tells where this machine keeps things"
    assert (tmp_path / "secret.txt").read_text(encoding="utf-8") == "secret"


async def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("here", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert await call(tools(tmp_path), "read_file", path="link.txt") == "here"


async def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    registry = tools(tmp_path, Path("/dev"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in ("pipe", "socket", "/dev/null"):
            assert "neither a regular file nor a folder" in await refusal(registry, "read_file", path=path)
            assert "neither" in await refusal(registry, "write_file", path=path, content="x")


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000])
async def test_what_is_no_path_is_told_as_a_tool_error(tmp_path: Path, path: str) -> None:
    await refusal(tools(tmp_path), "read_file", path=path)
    await refusal(tools(tmp_path), "write_file", path=path, content="x")


async def test_without_a_grant_the_message_says_how_to_grant() -> None:
    said = await refusal(tools(), "list_files")
    assert "--folder" in said
    assert "FORETHOUGHT_FOLDERS" in said


async def test_a_missing_file_is_told_with_the_granted_folders(tmp_path: Path) -> None:
    assert f"'{tmp_path.name}'" in await refusal(tools(tmp_path), "read_file", path="nothing.txt")


async def test_a_long_file_is_read_in_parts_that_say_where_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"{n}\n" for n in range(1, 11)), encoding="utf-8")
    registry = tools(tmp_path)
    first = await call(registry, "read_file", path="long.txt", max_lines=4)
    assert first == "1\n2\n3\n4\n[lines 1 to 4 shown; there is more: go on with start_line=5]"
    assert await call(registry, "read_file", path="long.txt", start_line=8, max_lines=3) == "8\n9\n10\n"
    assert "only 10 lines" in await refusal(registry, "read_file", path="long.txt", start_line=12)


async def test_what_is_read_is_bounded_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_text("x" * 500_000, encoding="utf-8")
    (tmp_path / "many.txt").write_text(("y" * 999 + "\n") * 500, encoding="utf-8")
    registry = tools(tmp_path)
    wide = await call(registry, "read_file", path="wide.txt")
    assert isinstance(wide, str)
    assert wide.startswith("x" * MAX_READ + "\n[line 1 is cut")
    many = await call(registry, "read_file", path="many.txt")
    assert isinstance(many, str)
    assert many.endswith("[lines 1 to 200 shown; there is more: go on with start_line=201]")


async def test_binary_is_refused_and_a_mark_of_the_encoding_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbfhello")
    registry = tools(tmp_path)
    assert "binary" in await refusal(registry, "read_file", path="image.png")
    assert await call(registry, "read_file", path="bom.txt") == "hello"
    assert "folder" in await refusal(registry, "read_file", path=".")


async def test_files_are_listed_by_glob_without_hidden_and_foreign_folders(tmp_path: Path) -> None:
    for name in (
        "a.csv",
        "sub/b.csv",
        "sub/deep/c.csv",
        ".git/d.csv",
        "node_modules/e.csv",
        ".venv/f.csv",
        "g.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "passwd.csv").symlink_to("/etc/passwd")
    registry = tools(tmp_path)

    async def names(pattern: str, folder: str = ".") -> list[str]:
        listed = await call(registry, "list_files", pattern=pattern, folder=folder)
        return [each["path"] for each in json.loads(json.dumps(listed))["files"]]

    assert await names("**/*.csv") == ["a.csv", "sub/b.csv", "sub/deep/c.csv"]
    assert await names("*.csv") == ["a.csv"]
    assert await names("sub/*") == ["sub/b.csv"]
    assert await names("**/deep/**") == ["sub/deep/c.csv"]
    assert await names("*.csv", "sub") == ["sub/b.csv"]
    os.utime(tmp_path / "g.txt", (0, 1_000_000_000.5))
    when = datetime.fromtimestamp(1_000_000_000).isoformat()  # noqa: DTZ006 - local time is what is shown
    assert await call(registry, "list_files", pattern="**/g.*") == {
        "files": [{"path": "g.txt", "name": "g.txt", "size": 5, "modified": f"{when}.500"}],
        "count": 1,
        "truncated": False,
    }


async def test_a_listed_path_can_be_read_whatever_folder_it_is_in(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text(folder, encoding="utf-8")
    registry = tools(tmp_path / "a", tmp_path / "b")
    listed = json.loads(json.dumps(await call(registry, "list_files")))["files"]
    assert [await call(registry, "read_file", path=each["path"]) for each in listed] == ["a", "b"]


async def test_a_listing_is_bounded(tmp_path: Path) -> None:
    for number in range(MAX_LISTED + 1):
        (tmp_path / f"{number}").touch()
    listed = json.loads(json.dumps(await call(tools(tmp_path), "list_files")))
    assert (len(listed["files"]), listed["count"], listed["truncated"]) == (MAX_LISTED, MAX_LISTED + 1, True)


async def test_text_is_found_whatever_its_case(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\r\n  The C++ (x) Needle\r\n", encoding="utf-8")
    (tmp_path / "b.bin").write_bytes(b"c++ (x)\0")
    assert await call(tools(tmp_path), "search_files", text="c++ (X)") == {
        "matches": [{"path": "a.txt", "line": 2, "text": "The C++ (x) Needle"}],
        "truncated": False,
    }


async def test_a_regular_expression_is_matched_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x1\nx22\n", encoding="utf-8")
    registry = tools(tmp_path)
    found = await call(registry, "search_files", text=r"^x\d{2}$", regex=True)
    assert found == {"matches": [{"path": "a.txt", "line": 2, "text": "x22"}], "truncated": False}
    assert "not a regular expression" in await refusal(registry, "search_files", text="(", regex=True)


async def test_a_hard_regular_expression_is_given_up_while_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 5000 + "!", encoding="utf-8")
    registry = tools(tmp_path)
    alive, said = 0, ""

    async def beat() -> None:
        nonlocal alive
        while True:
            await anyio.sleep(0.01)
            alive += 1

    async with anyio.create_task_group() as group:
        group.start_soon(beat)
        said = await refusal(registry, "search_files", text=r"(a|aa|a?)*(a|aa)*(b|c)+(?=d)\1\2$", regex=True)
        group.cancel_scope.cancel()
    assert "simpler" in said
    assert alive > 10


async def test_many_files_are_matched_each_by_its_own_lines(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.txt").write_text("é" * 20_000 * (number % 3) + f"\nhit {number}\n", encoding="utf-8")
    (tmp_path / "odd.txt").write_bytes(b"\x01" * 1_500_000)
    found = json.loads(json.dumps(await call(tools(tmp_path), "search_files", text=r"^hit \d+$", regex=True)))
    assert [(each["path"], each["line"], each["text"]) for each in found["matches"]] == [
        (f"{number:02}.txt", 2, f"hit {number}") for number in range(30)
    ]
    assert found["truncated"], "the odd one is too long to be searched"


async def test_matches_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hit\n" * 1000, encoding="utf-8")
    for is_regex in (False, True):
        found = json.loads(json.dumps(await call(tools(tmp_path), "search_files", text="hit", regex=is_regex)))
        assert (len(found["matches"]), found["truncated"]) == (200, True)


async def test_text_is_written_as_it_is_and_other_values_as_json(tmp_path: Path) -> None:
    registry = tools(tmp_path)
    assert await call(registry, "write_file", path="new/deep/a.txt", content="é\n") == {
        "path": "new/deep/a.txt",
        "bytes": 3,
    }
    await call(registry, "write_file", path="b.json", content={"a": [1, "é"]})
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == '{\n  "a": [\n    1,\n    "é"\n  ]\n}\n'


async def test_writing_keeps_the_mode_and_leaves_no_draft(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("old", encoding="utf-8")
    script.chmod(0o750)
    await call(tools(tmp_path), "write_file", path="run.sh", content="new")
    assert script.read_text(encoding="utf-8") == "new"
    assert script.stat().st_mode & 0o777 == 0o750
    assert names_in(tmp_path) == ["run.sh"]


async def test_writing_through_a_link_inside_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").touch()
    (tmp_path / "link.txt").symlink_to("real.txt")
    await call(tools(tmp_path), "write_file", path="link.txt", content="x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text(encoding="utf-8") == "x"


async def test_a_folder_is_neither_written_over_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    registry = tools(tmp_path)
    await refusal(registry, "write_file", path="sub", content="x")
    await refusal(registry, "write_file", path="file/below", content="x")
    await refusal(registry, "delete_file", path="sub")
    assert (tmp_path / "sub").is_dir()


async def test_only_the_named_file_is_deleted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert await call(tools(tmp_path), "delete_file", path="a") == {"path": "a"}
    assert names_in(tmp_path) == ["b"]


def test_the_risk_says_what_can_be_undone(tmp_path: Path) -> None:
    known = {each.name: (each.risk, each.repeatable) for each in file_tools(Folders([tmp_path]))}
    assert known["read_file"] == known["list_files"] == known["search_files"] == (Risk.LOW, True)
    assert known["write_file"] == (Risk.MEDIUM, True)
    assert known["delete_file"] == (Risk.HIGH, False)


def test_all_tools_stand_in_order_with_plain_schemas(tmp_path: Path) -> None:
    registry = builtin(Folders([tmp_path]))
    assert [each.name for each in registry] == [
        "read_file",
        "list_files",
        "search_files",
        "query_table",
        "calculate",
        "compare",
        "text_stats",
        "fill_template",
        "fetch_url",
        "web_search",
        "analyze",
        "write",
        "tell",
        "wait",
        "write_file",
        "write_table",
        "edit_file",
        "append_file",
        "copy_file",
        "move_file",
        "make_folder",
        "delete_file",
        "run_command",
        "send_email",
        "delegate",
    ]
    for each in registry:
        assert 20 < len(each.description) < 160, each.name
        properties = json.loads(json.dumps(each.parameters))["properties"]
        assert all(details["description"] for details in properties.values()), each.name
        assert not any(word in json.dumps(each.parameters) for word in ("$ref", "$defs", "anyOf")), each.name


async def test_nothing_is_written_where_files_are_programs(tmp_path: Path) -> None:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    said = await refusal(tools(tmp_path), "write_file", path=".git/hooks/pre-commit", content="echo hi")
    assert ".git" in said
    assert list((tmp_path / ".git" / "hooks").iterdir()) == []


FULL = """
import resource, sys
from io import BytesIO
from pathlib import Path
from forethought_tools.held import held
from forethought_tools.writing import replace
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
file = Path(sys.argv[1])
with held(file.parent) as folder:
    replace(folder, file.name, BytesIO(b"x" * 100), "digest")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there that a test could set")
def test_a_disk_that_refuses_leaves_the_file_as_it_was_and_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before", encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", FULL, str(file)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert names_in(tmp_path) == ["a.txt"]
    assert file.read_text(encoding="utf-8") == "before"


async def test_a_folder_that_is_set_apart_is_no_part_of_the_grant_it_lies_in(tmp_path: Path) -> None:
    (tmp_path / "home" / "pages").mkdir(parents=True)
    (tmp_path / "home" / "pages" / "code").write_text("J6BG-FQNK", encoding="utf-8")
    (tmp_path / "note.txt").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    registry = Registry(file_tools(Folders([tmp_path], apart=[tmp_path / "home"])))
    for path in ("home/pages/code", "link/pages/code", str(tmp_path / "home/pages/code")):
        for name in ("read_file", "delete_file"):
            assert "outside the granted folders" in await refusal(registry, name, path=path)
    assert "outside" in await refusal(registry, "write_file", path="home/state.key", content="x")
    assert "outside" in await refusal(registry, "list_files", folder="home")
    listed = json.loads(json.dumps(await call(registry, "list_files", pattern="**")))
    assert [each["path"] for each in listed["files"]] == ["note.txt"]
    assert "J6BG" not in str(await call(registry, "search_files", text="J6BG"))
    assert (tmp_path / "home" / "pages" / "code").exists()
