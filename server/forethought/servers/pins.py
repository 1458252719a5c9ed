"""What each server has said of its tools: what a person has come to know, and what it says now.

Kept in the home, for this user's eyes only. A tool that is another one now counts as HIGH until a person has seen that.
"""

__all__ = ["Pins", "Said", "differences", "fingerprint"]

import hashlib
import json
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

from filelock import FileLock

from forethought_tools import JSON
from forethought_tools.text import clipped

Said: TypeAlias = Mapping[str, JSON]
"""What makes a tool what it is: name, description, schema, annotations, and how its server is started."""

_SHOWN = 400  # characters of what was said, and of what is said now
_BEFORE = 40  # of those before the first that differs


class Pins:
    """The pins of one home."""

    def __init__(self, home: Path) -> None:
        self._file = home / "servers.json"
        self._known = self._read()

    def now(self, server: str) -> Mapping[str, Said]:
        """The tools of a server as it listed them last, by their own names; none where it never has."""
        return self._part(server, "now")

    def is_known(self, server: str) -> bool:
        return server in self._known

    def accepted(self, server: str, tool: str) -> Said | None:
        """What a tool was when it was seen first, or when a person has last agreed to what it had become."""
        return self._part(server, "accepted").get(tool)

    def listed(self, server: str, tools: Mapping[str, Said]) -> None:
        """A server has listed its tools. What is new to us is pinned; what we know stays pinned as we know it."""
        with self._changing():
            accepted = {**tools, **self._part(server, "accepted")}
            self._known = {**self._known, server: {"now": tools, "accepted": accepted}}

    def accept(self, server: str, tool: str, said: Said) -> None:
        """A person has agreed to a call though the tool had become this."""
        with self._changing():
            accepted = {**self._part(server, "accepted"), tool: said}
            self._known = {**self._known, server: {"now": self._part(server, "now"), "accepted": accepted}}

    def _part(self, server: str, part: str) -> Mapping[str, Said]:
        return cast("Mapping[str, Mapping[str, Said]]", self._known.get(server, {})).get(part, {})

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Around a change: other processes change other parts of the same file."""
        with FileLock(self._file.with_suffix(".lock"), timeout=10):
            self._known = self._read()
            yield
            self._write()

    def _read(self) -> Mapping[str, JSON]:
        """What is on file. One that is damaged says nothing: then all is seen for the first time."""
        try:
            known: JSON = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, Mapping) else {}

    def _write(self) -> None:
        fresh = self._file.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(self._known, file)
        fresh.replace(self._file)


def differences(before: Said, now: Said) -> list[str]:
    """What a tool says of itself differently now, in a line each, as data in quotes."""
    return [
        f"its {part} {_told(_written(before.get(part)), _written(now.get(part)))}" for part in _changed(before, now)
    ]


def _changed(before: Said, now: Said) -> list[str]:
    return [part for part in dict.fromkeys([*before, *now]) if before.get(part) != now.get(part)]


def _told(before: str, now: str) -> str:
    """What a text was and is, from shortly before the place on where that begins to differ."""
    same = next((at for at, (one, other) in enumerate(zip(before, now, strict=False)) if one != other), 0)
    begin = same - _BEFORE if max(len(before), len(now)) > _SHOWN and same > _BEFORE else 0
    dots = "..." if begin else ""
    return f"was {dots}{clipped(before[begin:], _SHOWN)} and is {dots}{clipped(now[begin:], _SHOWN)}"


def _written(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def fingerprint(said: Said) -> str:
    """SHA-256 of what makes a tool what it is."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
