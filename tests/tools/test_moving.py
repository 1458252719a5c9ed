"""Files are moved and copied, and folders made, inside the granted folders, and nothing is ever written over."""

import os
from pathlib import Path

import anyio
import pytest
from tests.server.undoing import tree

from forethought_tools import JSON, Question, Registry, Risk, ToolError
from forethought_tools.claims import Claim
from forethought_tools.folders import Folders
from forethought_tools.moving import moving_tools

pytestmark = pytest.mark.anyio


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def call(registry: Registry, name: str, **arguments: JSON) -> JSON:
    with anyio.fail_after(60):
        return await registry.call(name, arguments, nobody)


async def refusal(registry: Registry, name: str, **arguments: JSON) -> str:
    with pytest.raises(ToolError) as raised:
        await call(registry, name, **arguments)
    return str(raised.value)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Over a folder with a file and another folder."""
    (tmp_path / "a.txt").write_bytes(b"alpha")
    (tmp_path / "a.txt").chmod(0o640)
    (tmp_path / "sub").mkdir()
    return Registry(moving_tools(Folders([tmp_path])))


@pytest.mark.parametrize(
    ("destination", "lands"),
    [
        ("b.txt", "b.txt"),
        ("sub", "sub/a.txt"),
        ("sub/", "sub/a.txt"),
        ("new/", "new/a.txt"),
        ("new/deep/b.txt", "new/deep/b.txt"),
        ("sub/../c.txt", "c.txt"),
    ],
)
@pytest.mark.parametrize("name", ["move_file", "copy_file"])
async def test_a_file_comes_to_lie_where_one_expects(
    registry: Registry, tmp_path: Path, name: str, destination: str, lands: str
) -> None:
    done = await call(registry, name, source="a.txt", destination=destination)
    assert done == {"source": "a.txt", "destination": lands}
    assert (tmp_path / lands).read_bytes() == b"alpha"
    assert (tmp_path / lands).stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "a.txt").exists() == (name == "copy_file")
    assert not any(".forethought" in each for each in tree(tmp_path))


@pytest.mark.parametrize("name", ["move_file", "copy_file"])
async def test_nothing_is_written_over(registry: Registry, tmp_path: Path, name: str) -> None:
    (tmp_path / "b.txt").write_bytes(b"beta")
    (tmp_path / "sub" / "a.txt").write_bytes(b"other")
    (tmp_path / "link.txt").symlink_to("b.txt")
    before = tree(tmp_path)
    for destination in ("b.txt", "sub", "link.txt", "a.txt", ".", ""):
        await refusal(registry, name, source="a.txt", destination=destination)
    assert "already 'b.txt'" in await refusal(registry, name, source="a.txt", destination="b.txt")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["move_file", "copy_file"])
async def test_no_way_leads_out_of_the_granted_folders(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (home / "a.txt").write_bytes(b"alpha")
    (home / "out").symlink_to(tmp_path)
    before, registry = tree(tmp_path), Registry(moving_tools(Folders([home])))
    for source in ("../secret.txt", "out/secret.txt", str(tmp_path / "secret.txt")):
        assert "outside" in await refusal(registry, name, source=source, destination="b.txt")
    for destination in ("../b.txt", "out", "out/", "out/b.txt", str(tmp_path) + "/"):
        assert "outside" in await refusal(registry, name, source="a.txt", destination=destination)
    assert "outside" in await refusal(registry, "make_folder", path="../new")
    assert tree(tmp_path) == before


async def test_only_a_regular_file_is_moved(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("a.txt")
    for source in ("sub", "link.txt"):
        assert "one regular file" in await refusal(registry, "move_file", source=source, destination="b")
    assert "folder" in await refusal(registry, "copy_file", source="sub", destination="b")
    await call(registry, "copy_file", source="link.txt", destination="b")
    assert (tmp_path / "b").read_bytes() == b"alpha"


async def test_a_file_goes_to_a_folder_that_another_grant_holds(tmp_path: Path) -> None:
    for name in ("one", "two/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one" / "a.txt").write_bytes(b"alpha")
    registry = Registry(moving_tools(Folders([tmp_path / "one", tmp_path / "two"])))
    assert await call(registry, "move_file", source="a.txt", destination="sub") == {
        "source": "a.txt",
        "destination": "sub/a.txt",
    }
    assert (tmp_path / "two" / "sub" / "a.txt").exists()


async def test_a_file_is_moved_to_another_disk_whole(tmp_path: Path, other_disk: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"alpha")
    (tmp_path / "a.txt").chmod(0o640)
    (other_disk / "b.txt").write_bytes(b"beta")
    (other_disk / "b.txt").chmod(0o644)
    registry = Registry(moving_tools(Folders([tmp_path, other_disk])))
    await refusal(registry, "move_file", source="a.txt", destination=str(other_disk / "b.txt"))
    await call(registry, "move_file", source="a.txt", destination=str(other_disk) + "/")
    assert tree(tmp_path) == {}
    assert tree(other_disk) == {"a.txt": (0o640, b"alpha"), "b.txt": (0o644, b"beta")}
    os.truncate(other_disk / "b.txt", 1_000_000_001)
    assert "another disk" in await refusal(
        registry, "move_file", source=str(other_disk / "b.txt"), destination=str(tmp_path / "b.txt")
    )


async def test_a_folder_is_made_with_those_that_it_lies_in(registry: Registry, tmp_path: Path) -> None:
    for _ in range(2):
        assert await call(registry, "make_folder", path="new/deep") == {"path": "new/deep"}
    assert (tmp_path / "new" / "deep").is_dir()
    assert "is a file" in await refusal(registry, "make_folder", path="a.txt")
    await refusal(registry, "make_folder", path="a.txt/sub")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("move_file", {"source": "a.txt", "destination": ".mcp.json"}),
        ("move_file", {"source": "a.txt", "destination": "sub/CLAUDE.md"}),
        ("move_file", {"source": ".vscode/tasks.json", "destination": "b.json"}),
        ("move_file", {"source": "agents.md", "destination": "sub"}),
        ("move_file", {"source": "agents.md", "destination": "new/"}),
        ("move_file", {"source": "a.txt", "destination": "link"}),
        ("copy_file", {"source": "a.txt", "destination": ".vscode"}),
        ("copy_file", {"source": "agents.md", "destination": "sub/"}),
        ("copy_file", {"source": "a.txt", "destination": "x/.github/"}),
        ("make_folder", {"path": ".cursor/rules"}),
    ],
)
async def test_what_other_programs_obey_is_high_whatever_is_set(
    registry: Registry, tmp_path: Path, name: str, arguments: dict[str, JSON]
) -> None:
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode" / "tasks.json").touch()
    (tmp_path / "link").symlink_to(".vscode")
    (tmp_path / "agents.md").touch()
    lowered = Registry(registry, {"*": Risk.LOW})
    assert lowered.risk(name, arguments) is Risk.HIGH
    assert lowered.risk("copy_file", {"source": ".vscode/tasks.json", "destination": "b.json"}) is Risk.LOW
    assert lowered.risk("move_file", {"source": "a.txt", "destination": "sub"}) is Risk.LOW
    assert lowered.risk("make_folder", {"path": "b"}) is Risk.LOW


async def test_nothing_comes_or_goes_where_version_control_keeps_programs(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / ".git" / "config").write_bytes(b"[core]")
    for name in ("objects", "refs"):
        (tmp_path / "bare" / name).mkdir(parents=True)
    before = tree(tmp_path)
    programs = "where files are programs"
    for name in ("move_file", "copy_file"):
        for destination in (".git/hooks/pre-commit", ".git/hooks/", ".git", "bare/HEAD"):
            assert programs in await refusal(registry, name, source="a.txt", destination=destination)
    assert programs in await refusal(registry, "move_file", source=".git/config", destination="b")
    assert programs in await refusal(registry, "make_folder", path=".git/new")
    assert tree(tmp_path) == before


async def test_both_places_are_claimed(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path.parts

    def claim(name: str, **arguments: JSON) -> Claim:
        claims = registry.known(name).claims
        assert claims is not None
        return claims(arguments)

    a, b = (*folder, "a.txt"), (*folder, "sub", "a.txt")
    assert claim("move_file", source="a.txt", destination="sub") == Claim(writes=frozenset({a, b}))
    assert claim("copy_file", source="a.txt", destination="sub/") == Claim(reads=frozenset({a}), writes=frozenset({b}))
    assert claim("make_folder", path="sub/new") == Claim(writes=frozenset({(*folder, "sub", "new")}))
    assert claim("move_file", source="../x", destination="../y") == Claim()
    assert claim("move_file", source="none", destination="a.txt") == Claim(writes=frozenset({(*folder, "none"), a}))
