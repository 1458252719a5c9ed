"""Which files a query reads: those in `paths`, those that its SQL names, and those that fit a pattern in either."""

__all__ = ["BASES", "TEXTS", "checked", "claimed", "found"]

import json
import os
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from forethought_tools.errors import ToolError
from forethought_tools.files import matching
from forethought_tools.filling import quoted
from forethought_tools.folders import Folders
from forethought_tools.given import DataFile, Source
from forethought_tools.grids import unique
from forethought_tools.loading import READERS
from forethought_tools.packed import PACKED, without_packing
from forethought_tools.reader_options import reader_options
from forethought_tools.sql_names import TableName, replaced, table_names
from forethought_tools.tool import JSON

BASES = (".sqlite", ".sqlite3", ".db")
TEXTS = (".txt", ".log", ".md")
MAX_MATCHED = 300  # files of one pattern: each is held open
WILD = re.compile(r"[*?\[]")


def claimed(folders: Folders, sql: str, paths: Sequence[str], known: Collection[str]) -> frozenset[tuple[str, ...]]:
    """Every place that such a query may read, told by its arguments alone."""
    names = table_names(sql)
    places = {*paths, *(place for each in names if each.is_quoted for place in (each.name, *each.more))}
    if _bare(folders, names, paths, known) or any(map(_is_stem_only, paths)):
        return folders.everything()
    return frozenset(part for place in places for part in folders.parts(_root(place)))


def found(
    folders: Folders, sql: str, paths: Sequence[str], known: Collection[str], held: ExitStack
) -> tuple[str, list[Source]]:
    """The SQL as the database understands it, and every file that it reads, held open.

    Raises:
        ToolError: a file of `paths` is not there or may not be read, or a pattern fits too many.
    """
    names = [_of_folder(folders, each) for each in table_names(sql) if each.name.lower() not in _lower(known)]
    paths = [_meant(folders, path) for path in paths]
    sources: dict[str, Source] = {}
    stems = unique([*known, *map(_stem, paths)])[len(known) :]
    for path, stem in zip(paths, stems, strict=True):
        _add(sources, folders, path, [stem, path, PurePosixPath(path).name], held)
    named = {name.lower() for source in sources.values() for name in source.names}
    files = [
        each
        for each in names
        if each.is_quoted and (each.reader or each.name.lower() not in named) and _exists(folders, each.name)
    ]
    for each in files:
        _add(sources, folders, each.name, [_table(each)], held, each)
    beside = dict(_beside(folders, bare)) if (bare := _bare(folders, names, paths, known)) else dict[str, str]()
    for name, path in beside.items():
        _add(sources, folders, path, [name, path], held)
    odd = [
        each
        for each in names
        if not each.name.isidentifier()
        and (each.name in beside or sql[each.start : each.end].lower() in named)  # as it stands there: without quotes
    ]
    return _rewritten(sql, [*files, *_inner(names, files), *odd], known), list(sources.values())


def _of_folder(folders: Folders, name: TableName) -> TableName:
    """The files of a folder, where a folder is named in quotes: they are one table."""
    return replace(name, name=f"{name.name.rstrip('/')}/*") if name.is_quoted and _is_folder(folders, name) else name


def _is_folder(folders: Folders, name: TableName) -> bool:
    try:
        return not (name.reader or WILD.search(name.name)) and folders.resolve(name.name).is_dir()
    except ToolError:
        return False


def _table(name: TableName) -> str:
    """The name of the table of a file: its own, and what it is read with."""
    return " ".join(filter(None, (name.name, *name.more, name.options.strip(" ,"))))


def _inner(names: Sequence[TableName], files: Sequence[TableName]) -> list[TableName]:
    """Tables in files that are in `paths`."""
    return [each for each in names if each.inner and each not in files]


def checked(folders: Folders, path: str, held: ExitStack) -> DataFile:
    """A file that can be queried, held open: whatever its path leads to later, this is the file."""
    real, opened = folders.resolve(path), held.enter_context(folders.open(path))
    file = DataFile(real, opened.fileno(), path)
    for beside in (f"{file.real}-wal", f"{file.real}-journal"):  # SQLite reads these too, by itself
        if file.is_sqlite and os.path.lexists(beside):
            folders.open(beside).close()
    return file


def _add(
    sources: dict[str, Source],
    folders: Folders,
    path: str,
    names: Sequence[str],
    held: ExitStack,
    named: TableName | None = None,
) -> None:
    """A file or a pattern as a source, under these names too where it is one already, read in the same way."""
    options = reader_options(named.options, named.reader) if named and named.reader else dict[str, JSON]()
    key = json.dumps([_key(folders, path), named.more if named else (), options])
    if key not in sources:
        more = named.more if named else ()
        source = _source(folders, path, held) if not more else _several(folders, [path, *more], held)
        sources[key] = replace(source, options=options)
    all_names = {name.lower(): name for name in reversed([*sources[key].names, *names])}
    sources[key] = replace(sources[key], names=list(reversed(all_names.values())))


def _several(folders: Folders, paths: Sequence[str], held: ExitStack) -> Source:
    """The files of a list, as one table."""
    files = [file for path in paths for file in _source(folders, path, held).files]
    return Source((), files, united=True)


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
            is_book = not each.name.lower().endswith(BASES)
            inner = quoted(f"{each.name}.{each.inner}" if is_book else each.inner)
            return f"{inner} AS {quoted(each.inner)}" if is_book and not each.has_alias else inner
        stem = _stem(each.name)
        if each.has_alias or stems.count(stem.lower()) > 1 or f"{quoted(each.name)}." in sql:
            return quoted(_table(each))
        return f"{quoted(_table(each))} AS {quoted(stem)}"

    return replaced(sql, files, write)


def _bare(folders: Folders, names: Iterable[TableName], paths: Sequence[str], known: Collection[str]) -> list[str]:
    """Names that no file and no result has: each may be the stem of a file. Not beside a database, whose tables they
    may be."""
    names = list(names)
    places = [*paths, *(each.name for each in names if each.is_quoted)]
    if any(place.lower().endswith(BASES) for place in places):
        return []
    taken = _lower([*known, *map(_stem, paths), *paths, *(PurePosixPath(path).name for path in paths)])
    free = [each for each in names if each.name.lower() not in taken and not each.reader]
    return [each.name for each in free if not (each.is_quoted and _may_be(folders, each.name))]


def _may_be(folders: Folders, path: str) -> bool:
    """Whether a name in quotes is that of a file, by what it looks like or by what is there."""
    endings = (*READERS, *BASES, *TEXTS, *PACKED)
    return path.lower().endswith(endings) or _is_pattern(folders, path) or _is_file(folders, path)


def _beside(folders: Folders, names: Sequence[str]) -> list[tuple[str, str]]:
    """Of these names, those that are the stem of a table in the granted folders, with its path.

    Raises:
        ToolError: several have the same one.
    """
    there = [path for _, path, _ in matching(folders, "*", ".") if _is_table(path)]
    there += [
        path
        for folder in {name.rpartition("/")[0] for name in names if "/" in name}
        for _, path, _ in matching(folders, f"{folder}/*", ".")
        if _is_table(path)
    ]
    found: list[tuple[str, str]] = []
    for name in dict.fromkeys(names):
        exact = [path for path in there if path.lower().startswith(f"{name.lower()}.") and _is_stem(name, path)]
        like = exact or [path for path in there if "/" not in path and _stem(path).lower() == _identifier(name).lower()]
        if len(like) > 1:
            listed = " or ".join(f"FROM '{path}'" for path in like[:4])
            raise ToolError(f"{name} may be {' or '.join(like[:4])}. Name the file itself: {listed}.")
        found += [(name, path) for path in like]
    return found


def _is_table(path: str) -> bool:
    """Whether a file is a table, by its name; what is in an archive only that tells."""
    return without_packing(path.lower()).endswith(READERS) or path.lower().endswith(".zip")


def _meant(folders: Folders, path: str) -> str:
    """A path, or the file that it is the stem of, where that is said instead."""
    if not _is_stem_only(path) or _is_pattern(folders, path) or _is_file(folders, path):
        return path
    return dict(_beside(folders, [path])).get(path, path)


def _is_stem_only(path: str) -> bool:
    return not PurePosixPath(path).suffix


def _is_stem(name: str, path: str) -> bool:
    return str(PurePosixPath(path).with_suffix("")).lower() == name.lower()


def _is_pattern(folders: Folders, path: str) -> bool:
    return WILD.search(path) is not None and not _is_file(folders, path)


def _exists(folders: Folders, path: str) -> bool:
    """Whether a name in the SQL is that of a file. Where it looks like one, it has to be."""
    if path.lower().endswith((*READERS, *BASES, *TEXTS, *PACKED)):
        try:
            _key(folders, path)
        except ToolError as error:
            raise ToolError(f"{error}{_elsewhere(folders, path)}") from None
    return _is_pattern(folders, path) or _is_file(folders, path)


def _elsewhere(folders: Folders, path: str) -> str:
    """Where a file of this name is, in whatever case and folder."""
    name = PurePosixPath(path).name.lower()
    try:
        found = [each for real, each, _ in matching(folders, "**/*", ".") if real.name.lower() == name]
    except ToolError:
        return ""
    return f" Is it {' or '.join(map(repr, found[:3]))}?" if found else ""


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
    return _identifier(PurePosixPath(without_packing(path)).stem)


def _identifier(text: str) -> str:
    name = re.sub(r"\W", "_", text) or "table"
    return f"t_{name}" if name[0].isdigit() else name


def _lower(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}
