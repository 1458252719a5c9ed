"""Which files of the granted folders a command names: what it does depends on what is in them."""

__all__ = ["named_files"]

import glob
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from forethought_tools.errors import ToolError
from forethought_tools.folders import MAX_PARTS, Folders

_WORD = re.compile(r"[^\s'\"`;&|<>()${}=,:]+")
_QUOTED = re.compile(r"""[\\'"`$#(){}*?\[~]""")
_OUTPUT = re.compile(r"(?<![<>])>{1,2}\|?\s*[^\s;&|<>]+")
_BASES = 20  # folders that a command may enter
_MATCHES = 100  # files of one pattern
_DEPTH = 3  # folders that a pattern may go down: each takes longer than the one before


def named_files(folders: Folders, folder: str, command: str) -> Mapping[str, str]:
    """The files that words of a command name, by what they are called, with their SHA-256.

    It rather finds too many: a word counts from its command's folder and from every folder that another word names, and
    so does each end of it, as of `$PWD/build.sh`.
    """
    try:
        start = folders.resolve(folder)
    except ToolError:
        return {}
    words = _words(command)
    bases = list(dict.fromkeys([start, *islice(_inside(folders, start, words, os.path.isdir), _BASES)]))
    found = {real for base in bases for real in _inside(folders, base, words, os.path.isfile)}
    return {folders.name(real): _sum(real) for real in sorted(found)}


def _words(command: str) -> list[str]:
    command = _without_outputs(command)
    try:
        whole = shlex.split(command)
    except ValueError:  # a quote is left open
        whole = []
    parts = [part for word in (*whole, *_WORD.findall(command)) for part in (word, *_WORD.findall(word))]
    return list(dict.fromkeys(end for part in parts for end in _ends(part)))


def _without_outputs(command: str) -> str:
    """The command without the files that it only sends its output to: what stands in them changes nothing of what it
    does. A command with anything quoted or expanded is left whole: there a `>` need not be one."""
    return command if _QUOTED.search(command) else _OUTPUT.sub(" ", command)


def _ends(word: str) -> Iterator[str]:
    word = word if word.count("/") < MAX_PARTS else "/".join(word.split("/")[-MAX_PARTS:])
    yield word
    while "/" in word:
        word = word.partition("/")[2]
        yield word


def _inside(folders: Folders, base: Path, words: list[str], is_kind: Callable[[Path], bool]) -> Iterator[Path]:
    """What words name inside the granted folders, seen from one folder."""
    for word in filter(None, words):
        is_pattern = glob.has_magic(word) and word.count("/") <= _DEPTH
        matches = islice(glob.iglob(word, root_dir=base), _MATCHES) if is_pattern else ()  # noqa: PTH207 - absolute too
        for name in (word, *matches):
            try:
                path = os.path.join(base, name)  # noqa: PTH118 - a Path of each would take most of the time
                if not os.path.lexists(path):
                    continue  # most words are no files, and looking where they lead takes much longer
                real = Path(os.path.realpath(path))
                if is_kind(real) and folders.holds(real):
                    yield real
            except (OSError, ValueError):  # too long, or no path at all
                continue


def _sum(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
