"""Which files a query reads: those in `paths`, those that its SQL names, and those that fit a pattern in either."""

__all__ = ["BASES", "TEXTS", "checked", "claimed", "found"]

import os
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from forethought_tools.errors import ToolError
from forethought_tools.files import matching
from forethought_tools.folders import Folders
from forethought_tools.given import DataFile, Source
from forethought_tools.grids import unique
from forethought_tools.loading import READERS, quoted
from forethought_tools.sql_names import TableName, replaced, table_names

BASES = (".sqlite", ".sqlite3", ".db")
TEXTS = (".txt", ".log", ".md")
MAX_MATCHED = 300  # files of one pattern: each is held open
WILD = re.compile(r"[*?\[]")


def claimed(folders: Folders, sql: str, paths: Sequence[str], known: Collection[str]) -> frozenset[tuple[str, ...]]:
    """Every place that such a query may read, told by its arguments alone."""
    names = table_names(sql)
    places = {*paths, *(each.name for each in names if each.is_quoted)}
    if _bare(names, paths, known):
        return folders.everything()
    return frozenset(part for place in places for part in folders.parts(_root(place)))


def found(
    folders: Folders, sql: str, paths: Sequence[str], known: Collection[str], held: ExitStack
) -> tuple[str, list[Source]]:
    """The SQL as the database understands it, and every file that it reads, held open.

    Raises:
        ToolError: a file of `paths` is not there or may not be read, or a pattern fits too many.
    """
    names = [each for each in table_names(sql) if each.is_quoted and each.name.lower() not in _lower(known)]
    sources: dict[str, Source] = {}
    stems = unique([*known, *map(_stem, paths)])[len(known) :]
    for path, stem in zip(paths, stems, strict=True):
        _add(sources, folders, path, [stem, path, PurePosixPath(path).name], held)
    named = {name.lower() for source in sources.values() for name in source.names}
    files = [each for each in names if each.name.lower() not in named and _exists(folders, each.name)]
    for each in files:
        _add(sources, folders, each.name, [each.name], held)
    if bare := _bare(table_names(sql), paths, known):
        for name, path in _beside(folders, bare):
            _add(sources, folders, path, [name, path], held)
    return _rewritten(sql, files, known), list(sources.values())


def checked(folders: Folders, path: str, held: ExitStack) -> DataFile:
    """A file that can be queried, held open: whatever its path leads to later, this is the file."""
    real, opened = folders.resolve(path), held.enter_context(folders.open(path))
    file = DataFile(real, opened.fileno(), path)
    for beside in (f"{file.real}-wal", f"{file.real}-journal"):  # SQLite reads these too, by itself
        if file.is_sqlite and os.path.lexists(beside):
            folders.open(beside).close()
    return file


def _add(sources: dict[str, Source], folders: Folders, path: str, names: Sequence[str], held: ExitStack) -> None:
    """A file or a pattern as a source, under these names too where it is one already."""
    key = _key(folders, path)
    if key not in sources:
        sources[key] = _source(folders, path, held)
    all_names = {name.lower(): name for name in reversed([*sources[key].names, *names])}
    sources[key] = replace(sources[key], names=list(reversed(all_names.values())))


def _source(folders: Folders, path: str, held: ExitStack) -> Source:
    if not _is_pattern(folders, path):
        return Source((), [checked(folders, path, held)])
    names = [name for _, name, _ in matching(folders, path.removeprefix("./"), ".")]
    if not names:
        raise ToolError(f"No file fits {path!r}. list_files shows what is there; ** stands for any number of folders.")
    if len(names) > MAX_MATCHED:
        raise ToolError(f"{len(names)} files fit {path!r}, more than {MAX_MATCHED}. Give a narrower pattern.")
    return Source((), [checked(folders, name, held) for name in names], united=True)


def _rewritten(sql: str, files: Sequence[TableName], known: Collection[str]) -> str:
    """Each file in quotes as the table that it is now, under its stem where it has no name of its own."""
    stems = [*_lower(known), *(_stem(each.name).lower() for each in files)]

    def write(each: TableName) -> str:
        if each.inner:
            return quoted(each.inner)
        stem = _stem(each.name)
        if each.has_alias or stems.count(stem.lower()) > 1 or f"{quoted(each.name)}." in sql:
            return quoted(each.name)
        return f"{quoted(each.name)} AS {quoted(stem)}"

    return replaced(sql, files, write)


def _bare(names: Iterable[TableName], paths: Sequence[str], known: Collection[str]) -> list[str]:
    """Names that no file and no result has: each may be the stem of a file. Not beside a database, whose tables they
    may be."""
    names = list(names)
    places = [*paths, *(each.name for each in names if each.is_quoted)]
    if any(place.lower().endswith(BASES) for place in places):
        return []
    taken = _lower([*known, *map(_stem, paths)])
    return [each.name for each in names if not each.is_quoted and each.name.lower() not in taken]


def _beside(folders: Folders, names: Sequence[str]) -> list[tuple[str, str]]:
    """Of these names, those that are the stem of exactly one table in the granted folders, with its path."""
    there: dict[str, list[str]] = {}
    for _, path, _ in matching(folders, "*", "."):
        if path.lower().endswith(READERS):
            there.setdefault(_stem(path).lower(), []).append(path)
    wanted = {name.lower(): name for name in names}
    return [(wanted[stem], paths[0]) for stem, paths in there.items() if stem in wanted and len(paths) == 1]


def _is_pattern(folders: Folders, path: str) -> bool:
    return WILD.search(path) is not None and not _is_file(folders, path)


def _exists(folders: Folders, path: str) -> bool:
    """Whether a name in the SQL is that of a file. Where it looks like one, it has to be."""
    if path.lower().endswith((*READERS, *BASES, *TEXTS)):
        _key(folders, path)
    return _is_pattern(folders, path) or _is_file(folders, path)


def _is_file(folders: Folders, path: str) -> bool:
    try:
        return folders.resolve(path).is_file()
    except ToolError:
        return False


def _key(folders: Folders, path: str) -> str:
    return path if _is_pattern(folders, path) else str(folders.resolve(path))


def _root(path: str) -> str:
    """The folder in which everything lies that fits a pattern."""
    kept = list(takewhile(lambda part: not WILD.search(part), PurePosixPath(path).parts))
    return str(Path(*kept)) if kept else "."


def _stem(path: str) -> str:
    """The name of a file's table: its stem as an identifier."""
    stem = re.sub(r"\W", "_", PurePosixPath(path).stem) or "table"
    return f"t_{stem}" if stem[0].isdigit() else stem


def _lower(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}
