"""Built in: move and copy files inside the granted folders, and make folders. Nothing is ever written over."""

__all__ = ["moving_tools"]

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Annotated

from anyio import to_thread
from pydantic import Field

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.files import FilePath, refuse_repository, writable
from forethought_tools.folders import Folders, mended
from forethought_tools.obeyed import obeyed
from forethought_tools.risk import Risk
from forethought_tools.takeback import FolderUndo, MoveUndo
from forethought_tools.tool import JSON, Limits, Tool, tool
from forethought_tools.undo import FileUndo, Vault, not_there
from forethought_tools.writing import MAX_COPIED, digested, replace, shift

Destination = Annotated[
    str, Field(description="New path; a folder, or a name that ends in /, keeps the file's name", min_length=1)
]


def moving_tools(folders: Folders, vault: Vault | None = None) -> list[Tool]:
    """copy_file, move_file and make_folder over these folders. With a vault, they can be undone."""
    return [copy_tool(folders, vault), move_tool(folders, vault), folder_tool(folders, vault)]


def named(arguments: Mapping[str, JSON]) -> tuple[str, str]:
    return str(arguments.get("source")), str(arguments.get("destination"))


def copy_tool(folders: Folders, vault: Vault | None) -> Tool:
    def to(arguments: Mapping[str, JSON]) -> str:
        return str(landing(folders, *named(arguments)))

    def copied(arguments: Mapping[str, JSON]) -> str:
        with folders.open(named(arguments)[0], shown=0) as file:
            return digested(file)

    async def copy_file(source: FilePath, destination: Destination) -> JSON:
        """Copy a file; never writes over another. Returns {source, destination}."""
        return await to_thread.run_sync(copy, folders, source, destination)

    def claims(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(reads=folders.parts(named(arguments)[0]), writes=place(folders, *named(arguments)))

    return tool(
        copy_file,
        risk=Risk.MEDIUM,
        repeatable=False,
        limits=Limits(timeout=60),
        undo=FileUndo(folders, vault, copied, to) if vault else None,
        claims=claims,
        raised=lambda arguments: destination_obeyed(folders, *named(arguments)),
        refuse=lambda arguments: refuse_copy(folders, *named(arguments)),
        ready=lambda arguments: (folders.resolve(named(arguments)[0]), landing(folders, *named(arguments))),
    )


def move_tool(folders: Folders, vault: Vault | None) -> Tool:
    async def move_file(source: FilePath, destination: Destination) -> JSON:
        """Move or rename a file; never writes over another. Returns {source, destination}."""
        return await to_thread.run_sync(move, folders, source, destination)

    def claims(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=folders.parts(named(arguments)[0]) | place(folders, *named(arguments)))

    def raised(arguments: Mapping[str, JSON]) -> str:
        return obeyed(folders, named(arguments)[0]) or destination_obeyed(folders, *named(arguments))

    def refuse(arguments: Mapping[str, JSON]) -> None:
        refuse_copy(folders, *named(arguments))
        writable(folders, named(arguments)[0])

    return tool(
        move_file,
        risk=Risk.MEDIUM,
        repeatable=False,
        limits=Limits(timeout=60),
        undo=MoveUndo(folders, lambda arguments: ends(folders, *named(arguments))) if vault else None,
        claims=claims,
        raised=raised,
        refuse=refuse,
        ready=lambda arguments: ends(folders, *named(arguments)),
    )


def folder_tool(folders: Folders, vault: Vault | None) -> Tool:
    async def make_folder(
        path: Annotated[str, Field(description="Folder inside a granted folder", min_length=1)],
    ) -> JSON:
        """Make a folder, and those it lies in, where they are not there. Returns {path}."""
        return await to_thread.run_sync(make, folders, path)

    def refuse(arguments: Mapping[str, JSON]) -> None:
        writable(folders, str(arguments["path"]))

    return tool(
        make_folder,
        risk=Risk.MEDIUM,
        repeatable=True,
        limits=Limits(timeout=60),
        undo=FolderUndo(folders) if vault else None,
        claims=lambda arguments: Claim(writes=folders.parts(str(arguments["path"]))),
        raised=lambda arguments: obeyed(folders, str(arguments.get("path"))),
        refuse=refuse,
    )


def refuse_copy(folders: Folders, source: str, destination: str) -> None:
    """Refuse what can never be done. What is not there yet may be there by then."""
    folders.resolve(source, new=True)
    writable(folders, destination)


def landing(folders: Folders, source: str, destination: str) -> Path:
    """Where a file comes to lie: the destination, or its own name in it where that is a folder, there or to be made."""
    real = folders.resolve(destination, new=True)
    if real.is_dir() or destination.endswith(("/", os.sep)):
        real = folders.resolve(str(real / PurePath(source).name), new=True)
    if not not_there(real):
        raise ToolError(f"There is already {folders.name(real)!r}, and nothing is written over. Choose another name.")
    return real


def ends(folders: Folders, source: str, destination: str) -> tuple[Path, Path]:
    """The file that is moved, and where it comes to lie."""
    real = folders.resolve(source, follow=False)
    with mended(source):
        if not stat.S_ISREG(real.lstat().st_mode):
            raise ToolError(f"{source!r} is a folder or a link. move_file moves one regular file.")
    return real, landing(folders, source, destination)


def place(folders: Folders, source: str, destination: str) -> frozenset[tuple[str, ...]]:
    """What is claimed of the destination, also where the call will fail by now."""
    with suppress(ToolError):
        return frozenset({landing(folders, source, destination).parts})
    return folders.parts(destination)


def destination_obeyed(folders: Folders, source: str, destination: str) -> str:
    """Why it is HIGH to put a file there: as it is written, and where it really comes to lie."""
    inside = f"{destination}/{PurePath(source).name}"
    with suppress(ToolError):
        if why := obeyed(folders, str(landing(folders, source, destination))):
            return why
        if folders.resolve(destination, new=True).is_dir() or destination.endswith(("/", os.sep)):
            return obeyed(folders, inside)
    return obeyed(folders, destination)


def copy(folders: Folders, source: str, destination: str) -> JSON:
    to = landing(folders, source, destination)
    refuse_repository(destination, to)
    with folders.open(source, shown=0) as file, mended(source):
        status = os.fstat(file.fileno())
        if status.st_size > MAX_COPIED:
            raise ToolError(f"{source!r} has more than {MAX_COPIED:,} bytes, too many to copy. Move it, or split it.")
        digest = digested(file)
        file.seek(0)
        with mended(folders.name(to)), folders.held(to.parent, make=True) as folder:
            replace(folder, to.name, file, digest, status.st_mode & 0o777, over=False)
    return {"source": source, "destination": folders.name(to)}


def move(folders: Folders, source: str, destination: str) -> JSON:
    real, to = ends(folders, source, destination)
    name = folders.name(real)
    refuse_repository(source, real)
    refuse_repository(destination, to)
    folders.open(str(real), shown=0).close()  # as for reading: nothing of forethought's own home under another name
    with (
        mended(source),
        folders.held(real.parent) as folder,
        mended(folders.name(to)),  # what happens in here is about the destination
        folders.held(to.parent, make=True) as target,
    ):
        shift(folder, real.name, target, to.name)
    return {"source": name, "destination": folders.name(to)}


def make(folders: Folders, path: str) -> JSON:
    real = writable(folders, path)
    with mended(path):
        if not not_there(real) and not real.is_dir():
            raise ToolError(f"{path!r} is a file. Choose another name.")
        with folders.held(real, make=True):
            return {"path": folders.name(real)}
