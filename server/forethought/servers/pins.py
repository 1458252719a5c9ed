"""What each server has said of its tools: what a person has come to know, and what it says now.

Kept in the home, for this user's eyes only. A tool that is another one now counts as HIGH until a person has seen that.
"""

__all__ = ["Pins", "Said", "differences", "fingerprint"]

import hashlib
import json
import os
import secrets
from collections.abc import Generator, Iterable, Mapping
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
_MOST = 500  # tools that a server offers at once
_EVER = 2000  # tools that it has ever offered: a pin that is pushed out would be no pin
_ROOM = 4_000_000  # characters of what they say together


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

    def ever(self, server: str) -> Iterable[str]:
        """The own names of all tools of a server that were seen, the first one first."""
        return self._part(server, "accepted")

    def listed(self, server: str, tools: Mapping[str, Said]) -> int:
        """A server has listed its tools. What is new to us is pinned; what we know stays pinned as we know it, also
        when it is not listed any more. Returns how many are left out: they are too many, or they say too much."""
        if self._with(server, tools) != self._known.get(server):
            with self._changing():
                self._known = {**self._known, server: self._with(server, tools)}
        return len(tools) - len(self.now(server))

    def _with(self, server: str, tools: Mapping[str, Said]) -> dict[str, JSON]:
        known = self._part(server, "accepted")
        new = {tool: said for tool, said in tools.items() if tool not in known}
        accepted = {**known, **_fitting(new, _EVER - len(known), 2 * _ROOM - _size(known))}
        now = _fitting({tool: said for tool, said in tools.items() if tool in accepted}, _MOST, _ROOM)
        return {"now": now, "accepted": accepted}

    def accept(self, server: str, tool: str, said: Said) -> None:
        """A person has agreed to a call though the tool had become this."""
        with self._changing():
            accepted = {**self._part(server, "accepted"), tool: said}  # in its place: names go by the order
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


def _fitting(tools: Mapping[str, Said], most: int, room: int) -> dict[str, Said]:
    """The first of these, as many as there is room for."""
    fitting: dict[str, Said] = {}
    for tool, said in tools.items():
        room -= _size({tool: said})
        if room < 0 or len(fitting) >= most:
            break
        fitting[tool] = said
    return fitting


def _size(tools: Mapping[str, Said]) -> int:
    return len(json.dumps(tools))


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
