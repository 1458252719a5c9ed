"""Built in: a piece of work for an agent with tools. Who plays the agent, and how, the run decides: see the patterns'
`agent`. Here is what such a call looks like, what it claims, and how what its agent writes is taken back.
"""

__all__ = [
    "DELEGATE",
    "MAX_FILES",
    "AgentUndo",
    "changes_within",
    "delegating_tool",
    "left_by",
    "may_call",
    "may_write",
]

import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os.path import normpath
from pathlib import Path, PurePath

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Answerer, Kept, Limits, Stands, Tool
from forethought_tools.undo import ANYTHING, MAX_KEPT, FileUndo, Vault

DELEGATE = "delegate"
SECONDS = 600.0
MAX_FILES = 1_000
"""So many files and folders of a folder are kept at the most."""
_MOST = 50
_NOTHING: Kept = {}
_TASK: JSON = {"type": "string", "minLength": 1, "maxLength": 4000, "description": "For one who knows nothing else"}
_MATERIAL: JSON = {"description": "What to work with, such as {{1}}"}
_TOOLS: JSON = {"type": "array", "items": {"type": "string"}, "maxItems": _MOST, "description": "Else those that read"}
_WRITES: JSON = {"type": "array", "items": {"type": "string"}, "maxItems": _MOST, "description": "Paths it may write"}
_PARAMETERS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"task": _TASK, "material": _MATERIAL, "tools": _TOOLS, "writes": _WRITES},
    "required": ["task"],
    "additionalProperties": False,
}


def may_call(arguments: Mapping[str, JSON]) -> Sequence[str]:
    """The tools that a call of `delegate` names for its agent; nothing where it leaves that open."""
    return _texts(arguments.get("tools"))


def may_write(arguments: Mapping[str, JSON]) -> Sequence[str]:
    """The paths that the agent of a call of `delegate` may write; nothing where it does not say."""
    return _texts(arguments.get("writes"))


def _texts(value: JSON) -> Sequence[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def delegating_tool(folders: Folders, vault: Vault | None = None, *, seconds: float = SECONDS) -> Tool:
    """`delegate`. A model of ours may work on it for so many seconds."""

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=frozenset(place for path in may_write(arguments) for place in _places(folders, path)))

    return Tool(
        name=DELEGATE,
        description="Have an agent with tools do what one call cannot. Returns what it reports.",
        parameters=_PARAMETERS,
        run=_alone,
        risk=Risk.LOW,  # what its agent calls is judged call by call
        repeatable=True,  # over what is recorded: what its agent has done is not done again
        limits=Limits(timeout=seconds),
        trusted=True,
        asks=True,  # a model has worded its result, whoever plays the agent
        undo=AgentUndo(folders, vault) if vault else None,
        claims=writes,
    )


async def _alone(_: Mapping[str, JSON], __: Answerer) -> JSON:
    raise ToolError("delegate is a step of a plan: nothing else can call it. Call the tools themselves.")


def _places(folders: Folders, path: str) -> frozenset[tuple[str, ...]]:
    """Where a path is. Outside of the granted folders two calls still do not write the same at once."""
    return folders.parts(path) or frozenset({("", *PurePath(normpath(path)).parts)})


class AgentUndo(FileUndo):
    """Takes back what an agent has written where it said that it would. Each path is kept by itself, as the only one
    of a call; what the agent will leave there nobody knows before. Of a folder each file that is in it is kept."""

    def __init__(self, folders: Folders, vault: Vault) -> None:
        super().__init__(folders, vault, lambda _: ANYTHING, lambda arguments: may_write(arguments)[0])

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        return all(self._keeps(path) for path in may_write(arguments))

    def touches(self, kept: Kept) -> Claim:
        return super().touches(kept) if "real" in kept else Claim()

    def described(self, kept: Kept) -> str:
        return super().described(kept) if "real" in kept else f"leave {kept['path']}: {kept['why']}"

    def _keeps(self, path: str) -> bool:
        if (folder := _folder(self._folders, path)) is None:
            return super().keeps({"writes": [path]})
        try:
            _within(self._folders, folder)
        except ToolError:
            return False
        return True

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        path = may_write(arguments)[0]
        folder = _folder(self._folders, path)
        try:
            return super()._before(arguments) if folder is None else self._all_of(folder)
        except ToolError as error:  # outside of what is granted, say: its agent may write there all the same
            lost: dict[str, JSON] = {"lost": "folder"} if folder else {}
            return {"path": path, "content": None, "why": f"nothing of it was kept ({error})", **lost}

    def _all_of(self, folder: Path) -> Kept:
        files, inside = _within(self._folders, folder)
        kept: list[JSON] = []
        for file in files:
            with suppress(ToolError):  # deleted, or exchanged for something else, since its name was read
                kept.append(super()._before({"writes": [str(file)]}))
        return {"path": self._folders.name(folder), "content": None, "also": kept, "there": list(map(str, inside))}

    def _stands(self, kept: Kept) -> Stands:
        return super()._stands(kept) if "real" in kept else "as before"

    def _back(self, kept: Kept) -> None:
        if "real" in kept:
            super()._back(kept)


def left_by(now: Kept) -> Mapping[str, JSON]:
    """What an agent has left at a path, by what would be kept of it now; in a folder, file by file."""
    left: dict[str, JSON] = {"left": now.get("lost") or now["content"], "left_mode": now.get("mode")}
    return {**left, "files": now["also"]} if "also" in now else left


def changes_within(kept: Kept, left: Kept) -> Sequence[Kept]:
    """What was kept before an agent wrote at a path, with what it has left there. Where that was a folder, or is one
    by now, file by file: those that it has not touched are left out."""
    if "there" not in kept and ("real" not in kept or "files" not in left):
        return [{**kept, **left} if "real" in kept else kept]
    before = _by_place(kept["also"] if "there" in kept else [kept])
    if not left:  # nobody has said that it is done: whatever is there now it has left
        return list(before.values())
    after, found = _by_place(left.get("files")), list[Kept]()
    for real in {**before, **after}:
        now = after.get(real, _NOTHING)
        digest, mode = now.get("lost") or now.get("content"), now.get("mode")
        old = before.get(real) or {**now, "content": None, "mode": None, "made": _made(real, kept)}
        if (digest, mode) != (old.get("lost") or old["content"], old["mode"]):
            found.append({**old, "left": digest, "left_mode": mode})
    return found


def _by_place(changes: JSON) -> dict[str, Kept]:
    each = [change for change in changes if isinstance(change, Mapping)] if isinstance(changes, list | tuple) else []
    return {str(change["real"]): change for change in each}


def _made(real: str, kept: Kept) -> list[JSON]:
    """The folders that an agent has made for a new file, the innermost first."""
    there = _texts(kept.get("there"))
    root = Path(str(kept["real"] if "real" in kept else there[0]))
    below = [str(folder) for folder in Path(real).parents if folder.is_relative_to(root) and str(folder) not in there]
    return [*below, *_texts(kept.get("made"))]


def _folder(folders: Folders, path: str) -> Path | None:
    try:
        real = folders.resolve(path)
    except ToolError:
        return None
    return real if real.is_dir() else None


def _within(folders: Folders, root: Path) -> tuple[list[Path], list[Path]]:
    """The regular files in a folder and below it, and the folders. Raises ToolError where that is more than is kept."""
    files, inside, entries, size = list[Path](), [root], 0, 0
    for parent in inside:  # which grows meanwhile
        with suppress(OSError), folders.held(parent) as folder:  # gone since, or nobody's to look into
            for name in folder.names(MAX_FILES + 1):
                status, entries = folder.look(name), entries + 1
                if status and stat.S_ISDIR(status.st_mode) and folders.holds(parent / name):
                    inside.append(parent / name)
                elif status and stat.S_ISREG(status.st_mode):
                    files.append(parent / name)
                    size += status.st_size
                if entries > MAX_FILES or size > MAX_KEPT:
                    raise ToolError(f"{folders.name(root)} holds more than {MAX_FILES:,} files, or {MAX_KEPT:,} bytes")
    return files, inside
