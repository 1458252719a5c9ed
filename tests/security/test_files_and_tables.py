"""Files and tables: nothing leaves the granted folders, and nothing is lost or shown on the way."""

import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from io import BytesIO
from pathlib import Path
from sqlite3 import connect

import pytest
from anyio import to_thread
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.security.calling import said
from tests.server.asking import approve, view
from tests.server.undoing import ran, tree, verdicts, write
from tests.serving import NEVER

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import JSON, Registry, ToolError
from forethought_tools.builtin import builtin
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders
from forethought_tools.given import Source
from forethought_tools.held import held
from forethought_tools.sources import checked
from forethought_tools.tables import queried
from forethought_tools.undo import MAX_KEPT, FileUndo, Vault
from forethought_tools.writing import replace

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-1"
CALLS: dict[str, dict[str, JSON]] = {
    "read_file": {"path": "sub/note.txt"},
    "write_file": {"path": "sub/note.txt", "content": "x"},
    "delete_file": {"path": "sub/note.txt"},
    "list_files": {"folder": "sub"},
    "query_table": {"sql": "SELECT * FROM rows", "paths": ["sub/rows.csv"]},
}


# Folders that change meanwhile


class Exchanging(Folders):
    """Folders in which, right after a tool has looked a path up, its folder is exchanged for a link to another one."""

    armed = True
    lookups = 1

    def resolve(self, path: str, *, new: bool = False, follow: bool = True) -> Path:
        real = super().resolve(path, new=new, follow=follow)
        works = threading.current_thread() is not threading.main_thread()  # claims are told by the main thread
        self.lookups -= works
        if self.armed and works and self.lookups == 0:
            self.armed = False
            sub = next(part for part in (real, *real.parents) if part.name == "sub")
            sub.rename(sub.with_name("was"))
            sub.symlink_to(sub.parent.parent / "outside")
        return real


def exchanged(granted: Path) -> None:
    (granted / "sub").rename(granted / "was")
    (granted / "sub").symlink_to(granted.parent / "outside")


def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder to be granted, with a folder in it, and one outside that has the same files."""
    inside, outside = tmp_path / "granted" / "sub", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text(folder.name, encoding="utf-8")
        (folder / "rows.csv").write_text(f"a\n{folder.name}\n", encoding="utf-8")
        with closing(connect(folder / "rows.db")) as base, base:
            base.execute("CREATE TABLE rows AS SELECT ? AS a", [folder.name])
    (outside / "only-there.txt").touch()
    return inside.parent, outside


@pytest.mark.parametrize(
    ("name", "arguments", "lookups"),
    [
        *((name, arguments, 1) for name, arguments in CALLS.items()),
        ("write_file", {"path": "sub/new.txt", "content": "x"}, 1),
        ("write_file", {"path": "sub/new/deep.txt", "content": "x"}, 1),
        ("delete_file", CALLS["delete_file"], 2),
        ("query_table", CALLS["query_table"], 2),
        ("query_table", {"sql": "SELECT * FROM rows", "paths": ["sub/rows.db"]}, 1),
        ("query_table", {"sql": "SELECT * FROM rows", "paths": ["sub/rows.db"]}, 2),
    ],
)
async def test_no_call_leaves_the_grant_through_a_folder_that_became_a_link_meanwhile(
    tmp_path: Path, name: str, arguments: dict[str, JSON], lookups: int
) -> None:
    granted, outside = two_folders(tmp_path)
    before, folders = tree(outside), Exchanging([granted])
    folders.lookups = lookups
    answer = await said(builtin(folders), name, **arguments)
    assert (granted / "sub").is_symlink(), "it was exchanged in the middle of the call"
    assert "outside" not in answer.replace("outside the granted folders", "")
    assert "only-there" not in answer
    assert tree(outside) == before


async def test_a_table_is_read_from_the_file_that_was_checked_or_not_at_all(tmp_path: Path) -> None:
    granted, _ = two_folders(tmp_path)
    folders = Folders([granted])
    with ExitStack() as opened:
        rows, base = (checked(folders, f"sub/{name}", opened) for name in ("rows.csv", "rows.db"))
        exchanged(granted)
        with pytest.raises(ToolError, match="was exchanged just now"):
            await queried("SELECT * FROM rows", [Source(["rows"], [base])])
        if sys.platform == "linux":
            assert "'sub'" in str(await queried("SELECT * FROM rows", [Source(["rows"], [rows])]))


@pytest.mark.parametrize("lookups", [1, 2, 3])
async def test_no_rollback_leaves_the_grant_through_a_folder_that_became_a_link_meanwhile(
    tmp_path: Path, lookups: int
) -> None:
    granted, outside = two_folders(tmp_path)
    folders = Exchanging([granted])
    folders.armed = False
    undo = FileUndo(folders, Vault(tmp_path / "vault"), lambda _: hashlib.sha256(b"outside").hexdigest())
    for name in ("note.txt", "new.txt"):
        kept = await undo.before({"path": f"sub/{name}"})
        for folder in (granted / "sub", outside):
            (folder / name).write_text("outside", encoding="utf-8")
        before = tree(outside)
        folders.armed, folders.lookups = True, lookups
        with pytest.raises(ToolError):
            await undo.back(kept)
        assert tree(outside) == before
        (granted / "sub").unlink()
        (granted / "was").rename(granted / "sub")


SWAPPING = """
import os, shutil, sys
folder, target = sys.argv[1:]
aside = folder + "-aside"
while True:
    for change, *names in (
        (os.rename, folder, aside),
        (os.symlink, target, folder),
        (os.unlink, folder),
        (shutil.rmtree, folder),  # which a call has made meanwhile
        (os.rename, aside, folder),
    ):
        try:
            change(*names)
        except OSError:
            pass
"""


@contextmanager
def swapped_all_the_time(folder: Path, target: Path) -> Generator[None]:
    with subprocess.Popen([sys.executable, "-c", SWAPPING, str(folder), str(target)]) as swapping:
        try:
            yield
        finally:
            swapping.kill()


@pytest.mark.parametrize("name", ["read_file", "write_file", "delete_file", "list_files"])
async def test_however_often_a_folder_is_swapped_no_call_leaves_the_grant(tmp_path: Path, name: str) -> None:
    granted, outside = two_folders(tmp_path)
    registry, before = builtin(Folders([granted])), tree(outside)
    with swapped_all_the_time(granted / "sub", outside):
        answers = [await said(registry, name, **CALLS[name]) for _ in range(300)]
    assert tree(outside) == before
    assert not [answer for answer in answers if answer == "outside" or "only-there" in answer]


async def test_where_folders_cannot_be_held_the_tools_work_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forethought_tools.held._HOLDS", False)
    registry = Registry(file_tools(Folders([tmp_path])))
    await said(registry, "write_file", path="new/a.txt", content="x")
    assert await said(registry, "read_file", path="new/a.txt") == "x"
    assert "new/a.txt" in await said(registry, "list_files")
    await said(registry, "delete_file", path="new/a.txt")
    assert "outside the granted folders" in await said(registry, "delete_file", path=".")
    assert await said(registry, "list_files") == "{'files': [], 'count': 0, 'truncated': False}"


# Other names of the same file


async def test_a_hard_link_to_a_file_of_the_home_is_not_followed_and_others_are(tmp_path: Path) -> None:
    home, granted = tmp_path / "home", tmp_path / "granted"
    (home / "undo").mkdir(parents=True)
    granted.mkdir()
    (home / "undo" / "kept").write_text("a\nJ6BG\n", encoding="utf-8")
    (granted / "plain.csv").write_text("a\nfine\n", encoding="utf-8")
    os.link(home / "undo" / "kept", granted / "linked.csv")
    os.link(granted / "plain.csv", granted / "other.csv")
    registry = builtin(Folders([granted], apart=[home]), vault=Vault(home / "undo"))
    assert "another name" in await said(registry, "read_file", path="linked.csv")
    assert "another name" in await said(registry, "query_table", sql="SELECT * FROM linked", paths=["linked.csv"])
    assert "linked" not in await said(registry, "search_files", text="J6BG")
    await said(registry, "write_file", path="linked.csv", content="x")
    assert (home / "undo" / "kept").read_text(encoding="utf-8") == "a\nJ6BG\n"
    assert await said(registry, "read_file", path="other.csv") == "a\nfine\n"


async def test_the_home_is_not_entered_under_another_spelling(tmp_path: Path) -> None:
    (tmp_path / "Home").mkdir()
    (tmp_path / "Home" / "code").write_text("J6BG", encoding="utf-8")
    if not (tmp_path / "hOME").exists():
        pytest.skip("names on this disk have one spelling")
    registry = Registry(file_tools(Folders([tmp_path], apart=[tmp_path / "Home"])))
    assert "J6BG" not in await said(registry, "read_file", path="hOME/code")


async def test_a_folder_that_is_apart_is_told_by_itself_and_not_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    status = (tmp_path / "home").stat()
    with pytest.raises(PermissionError), held(tmp_path / "home", apart=[(status.st_dev, status.st_ino)]):
        pass


# What is kept to undo


async def test_a_file_that_is_too_large_to_be_kept_is_written_over_only_if_a_person_agrees(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"decision": "approve"})

    os.truncate(work / "a.txt", MAX_KEPT + 1)
    settings = make_settings()
    async with Client(build_server(settings), elicitation_callback=agree) as client:
        run = await ran(client, [write(1, "a.txt", "small"), write(2, "b.txt", "two", after=1)])
        dry = view(await client.call_tool("rollback", {"run_id": run, "dry_run": True}))
        done = view(await client.call_tool("rollback", {"run_id": run}))
    assert "What it replaces is too large to be kept: it cannot be undone." in asked[0]
    assert "Undo: none: it cannot be undone" in asked[0]
    assert not [kept for kept in (settings.home / "undo").rglob("*") if kept.is_file()]
    assert verdicts(dry, "would_do") == [(2, "would be undone")]
    assert verdicts(done) == [(2, "undone")]
    assert "step 1 write_file" in str(dry)
    assert (work / "a.txt").read_text(encoding="utf-8") == "small"


async def test_what_is_kept_and_put_back_is_never_whole_in_memory(tmp_path: Path) -> None:
    size = 60_000_000
    (tmp_path / "big").write_bytes(b"x" * size)
    undo = FileUndo(Folders([tmp_path]), Vault(tmp_path / "vault"), lambda _: hashlib.sha256(b"new").hexdigest())
    tracemalloc.start()
    try:
        kept = await undo.before({"path": "big"})
        (tmp_path / "big").write_bytes(b"new")
        await undo.back(kept)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "big").stat().st_size == size
    assert peak < size / 4


async def test_a_call_that_was_cut_off_knows_what_was_too_large_to_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.touch()
    os.truncate(file, MAX_KEPT + 1)
    undo = FileUndo(Folders([tmp_path]), Vault(tmp_path / "vault"), lambda _: hashlib.sha256(b"new").hexdigest())
    kept = await undo.before({"path": "big"})
    assert await undo.stands(kept) == "as before"
    file.write_bytes(b"new")
    assert await undo.stands(kept) == "as left"
    with pytest.raises(ToolError, match="too large to be kept"):
        await undo.back(kept)
    assert file.read_bytes() == b"new"


async def test_a_file_that_grows_while_it_is_kept_is_not_kept_without_end(tmp_path: Path) -> None:
    class Growing(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b"x" * (size or 0)

    with pytest.raises(ToolError, match="has grown"):
        await to_thread.run_sync(Vault(tmp_path / "vault").keep, Growing())
    assert list((tmp_path / "vault").iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_draft_is_never_more_readable_than_its_file(tmp_path: Path, mode: int) -> None:
    seen: list[int] = []

    class Watched(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.extend(file.stat().st_mode & 0o777 for file in tmp_path.glob(".forethought-*"))
            return super().read(size)

    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    digest = hashlib.sha256(b"new").hexdigest()
    with held(tmp_path) as folder:
        replace(folder, "key", Watched(b"new"), digest)
        assert set(seen) == {0o600}
        assert (tmp_path / "key").stat().st_mode & 0o777 == mode
        (tmp_path / "key").unlink()
        replace(folder, "key", BytesIO(b"new"), digest, 0o600)
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


# Keys and passwords


@pytest.mark.parametrize("form", [KEY.encode(), KEY.encode("utf-16-le"), KEY.encode("utf-16-be"), b"," * (1 << 20)])
async def test_a_file_that_holds_a_key_of_ours_is_refused_as_a_whole(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b\nplain,x" + form + b"\n" + (KEY.encode() if form[:1] == b"," else b""))
    (tmp_path / "other.csv").write_text("a\nplain\n", encoding="utf-8")
    registry = builtin(Folders([tmp_path], secrets=[KEY]))
    for sql in ("SELECT reverse(b) FROM rows", "SELECT a FROM rows", "SELECT substr(b, 1, 4) FROM rows"):
        assert "holds a key or password" in await said(registry, "query_table", sql=sql, paths=["rows.csv"])
    assert "holds a key or password" in await said(registry, "read_file", path="rows.csv")
    assert "rows.csv" not in await said(registry, "search_files", text="plain")
    assert "other.csv" in await said(registry, "search_files", text="plain")
    assert await said(registry, "read_file", path="other.csv") == "a\nplain\n"


async def test_what_sqlite_reads_beside_a_database_is_looked_at_like_the_database(tmp_path: Path) -> None:
    granted = tmp_path / "granted"
    granted.mkdir()
    registry = builtin(Folders([granted], secrets=[KEY]))
    asked = {"sql": "SELECT reverse(a) FROM t", "paths": ["t.db"]}
    with closing(connect(granted / "t.db")) as base:
        base.execute("PRAGMA journal_mode = WAL")
        with base:
            base.execute("CREATE TABLE t AS SELECT ? AS a", [KEY])
        assert KEY.encode() not in (granted / "t.db").read_bytes()
        assert "holds a key or password" in await said(registry, "query_table", **asked)
    (tmp_path / "elsewhere").touch()
    with closing(connect(granted / "plain.db")) as base, base:
        base.execute("CREATE TABLE t (a)")
    (granted / "plain.db-wal").symlink_to(tmp_path / "elsewhere")
    asked = {"sql": "SELECT * FROM t", "paths": ["plain.db"]}
    assert "outside the granted folders" in await said(registry, "query_table", **asked)


async def test_a_password_with_quotation_marks_is_known_in_a_table(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "t.csv").write_text('a\n"pass""word""1"\n', encoding="utf-8")
    step = {"id": 1, "tool": "query_table", "arguments": {"sql": "SELECT upper(a) FROM t", "paths": ["t.csv"]}}
    async with Client(
        build_server(make_settings(api_key='pass"word"1', terms=NEVER)), elicitation_callback=approve
    ) as client:
        await ran(client, [step], "failed")
