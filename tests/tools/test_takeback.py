"""Whatever the tools that write have done is taken back, and never over what others did since."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.undoing import tree

from forethought_tools import JSON, Kept, Question, Registry, ToolError, Undo
from forethought_tools.editing import editing_tools
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders
from forethought_tools.moving import moving_tools
from forethought_tools.undo import Vault

pytestmark = pytest.mark.anyio

Call: TypeAlias = tuple[str, dict[str, JSON]]


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


def over(folder: Path, *more: Path) -> Registry:
    folders, vault = Folders([folder, *more]), Vault(folder.parent / "vault")
    return Registry([*file_tools(folders, vault), *editing_tools(folders, vault), *moving_tools(folders, vault)])


async def kept_and_made(registry: Registry, call: Call) -> tuple[Undo, Kept] | None:
    """Make a call as a run does: what it takes to undo it is kept first. Nothing, where it cannot be made."""
    name, arguments = call
    undo = registry.known(name).undo
    assert undo is not None
    with anyio.fail_after(60):
        try:
            kept = await undo.before(arguments)
        except ToolError:
            return None
        with suppress(ToolError):
            await registry.call(name, arguments, nobody)
    return undo, kept


PATHS = st.sampled_from(["a", "b", "d/c", "d/e/f", "g/", "d", "h/i/"])
TEXTS = st.sampled_from(["", "1", "2\n", "1\r\n2"])
CALLS = st.one_of(
    st.tuples(st.just("write_file"), st.fixed_dictionaries({"path": PATHS, "content": TEXTS})),
    st.tuples(st.just("append_file"), st.fixed_dictionaries({"path": PATHS, "content": TEXTS})),
    st.tuples(
        st.just("edit_file"),
        st.fixed_dictionaries({"path": PATHS, "old": st.sampled_from(["1", "2"]), "new": TEXTS, "all": st.booleans()}),
    ),
    st.tuples(
        st.sampled_from(["move_file", "copy_file"]), st.fixed_dictionaries({"source": PATHS, "destination": PATHS})
    ),
    st.tuples(st.just("make_folder"), st.fixed_dictionaries({"path": PATHS})),
)


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=8), there=st.dictionaries(st.sampled_from(["a", "d/c"]), TEXTS))
@pytest.mark.takes(20)
async def test_whatever_was_done_the_tree_is_as_before(calls: Sequence[Call], there: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "work"
        folder.mkdir()
        for name, text in there.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(text.encode())
            (folder / name).chmod(0o640)
        before, registry = tree(folder), over(folder)
        made = [await kept_and_made(registry, call) for call in calls]
        for undo, kept in [each for each in reversed(made) if each]:
            assert await undo.stands(kept) != "changed"
            for _ in range(2):  # doing it twice is the same as once
                await undo.back(kept)
            assert await undo.stands(kept) == "as before"
        assert tree(folder) == before


async def moved(folder: Path) -> tuple[Undo, Kept]:
    (folder / "a.txt").write_bytes(b"alpha")
    done = await kept_and_made(over(folder), ("move_file", {"source": "a.txt", "destination": "new/deep/"}))
    assert done is not None
    return done


async def test_the_very_file_goes_back_and_nothing_of_it_was_kept(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").touch()
    first = (work / "a.txt").stat()
    undo, kept = await moved(work)
    assert undo.described(kept) == "move new/deep/a.txt back to a.txt"
    places = {(*work.parts, "a.txt"), (*work.parts, "new", "deep", "a.txt")}
    assert undo.touches(kept).writes == places
    await undo.back(kept)
    assert tree(work) == {"a.txt": ((work / "a.txt").stat().st_mode & 0o777, b"alpha")}
    assert (work / "a.txt").stat().st_ino == first.st_ino
    assert not (tmp_path / "vault").exists()


@pytest.mark.parametrize("meddle", ["changed", "replaced", "taken", "gone"])
async def test_what_others_did_since_is_a_conflict_and_stays(tmp_path: Path, meddle: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    undo, kept = await moved(work)
    if meddle == "changed":
        (work / "new/deep/a.txt").write_bytes(b"others")
    elif meddle == "replaced":
        (work / "a.txt").write_bytes(b"others")
    elif meddle == "taken":
        (work / "a.txt").mkdir()
    else:
        (work / "new/deep/a.txt").unlink()
    before = tree(work)
    with suppress(ToolError):
        assert await undo.stands(kept) == "changed"
    with pytest.raises(ToolError):
        await undo.back(kept)
    assert tree(work) == before


async def test_a_move_that_was_cut_off_with_the_file_in_both_places_is_taken_back(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    undo, kept = await moved(work)
    os.link(work / "new/deep/a.txt", work / "a.txt")
    assert await undo.stands(kept) == "as left"
    await undo.back(kept)
    assert list(tree(work)) == ["a.txt"]


async def test_a_folder_in_which_others_have_put_something_stays(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    done = await kept_and_made(over(work), ("make_folder", {"path": "new/deep"}))
    assert done is not None
    undo, kept = done
    (work / "new" / "mine.txt").touch()
    (work / "new" / "deep" / "mine.txt").touch()
    with pytest.raises(ToolError, match="not empty"):
        await undo.back(kept)
    (work / "new" / "deep" / "mine.txt").unlink()
    await undo.back(kept)
    assert sorted(tree(work)) == ["new", "new/mine.txt"]
    assert undo.described(kept) == "remove the folder new/deep"


async def test_a_move_between_disks_is_taken_back(tmp_path: Path, other_disk: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_bytes(b"alpha")
    before = tree(work)
    call: Call = ("move_file", {"source": "a.txt", "destination": f"{other_disk}/new/"})
    done = await kept_and_made(over(work, other_disk), call)
    assert done is not None
    assert tree(work) == {}
    await done[0].back(done[1])
    assert (tree(work), tree(other_disk)) == (before, {})
