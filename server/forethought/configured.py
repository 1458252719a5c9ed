"""MCP servers as clients configure them: files of the `mcpServers` form, and VS Code's `servers` form, as they are.

Nothing is started here. A file that cannot be used is a SettingsError; what a single server lacks is told of that one.
"""

__all__ = ["INPUT", "TOKEN", "Configured", "read_servers", "without_comments"]

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Literal, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from forethought.options import ModelOptions, secret_values
from forethought_tools import JSON, SettingsError
from forethought_tools.inherited import is_inherited

INPUT = "FORETHOUGHT_INPUT_"
"""What begins the name of the variable that answers a `${input:..}`."""
Transport: TypeAlias = Literal["stdio", "http", "sse", "http or sse"]

# What is left open goes on to the end: else it is looked for again from each quote in it.
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*(?:.*?\*/|.*)|[{}\[\],:]|[^\s{}\[\],:"/]+|\S', re.DOTALL)
"""The signs of JSON as editors keep it, comments among them."""
_PLACE = re.compile(r"\$\{([^{}]*)\}")
_TYPES: Mapping[str, Transport] = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "streamablehttp": "http",
    "sse": "sse",
    "remote": "http or sse",
}
_ADDRESSES = ("url", "serverUrl", "httpUrl")
"""Under which clients keep an address."""
_OF_EDITORS = (".vscode", ".cursor", ".claude")
"""Folders in that of a project in which clients keep its files."""
_OF_USERS = ("Library", "AppData")
"""Folders of a home in which clients keep files of their user, beside those whose names begin with a dot."""
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*?)\s*", re.ASCII)
"""A variable in a file of variables."""
_MOST = 1_000_000  # characters of a file
_NAME = 40  # characters of a server's name


@dataclass(frozen=True)
class Configured:
    """One server: how it is started, or where it is."""

    name: str
    """Made of letters, digits, `_`, `-` and `.`: the first part of the names of its tools."""
    transport: Transport
    command: str = ""
    arguments: Sequence[str] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    folder: str | None = None
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What must be kept out of everything that is written."""
    problem: str = ""
    """What is wrong with its entry, and how to mend that. It is known by its name only, and never reached."""
    missing: Sequence[str] = ()
    """Variables that it needs, and that are not set."""
    written: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Its environment as the file has it, without what is called like a key."""

    @property
    def told(self) -> str:
        """How it is reached, for people and for comparing; it may hold secrets."""
        return self.url or " ".join([self.command, *self.arguments])

    @property
    def started(self) -> str:
        """Everything that makes it the server that it is; it may hold secrets."""
        place = f" in {self.folder}" if self.folder else ""
        variables = "".join(f" {name}={value}" for name, value in sorted(self.written.items()))
        return f"{self.told}{place}{f' with{variables}' if variables else ''}"


def read_servers(
    files: Sequence[Path], environment: Mapping[str, str], key: str, folders: Sequence[Path] = ()
) -> tuple[Configured, ...]:
    """Every server of these files that is not disabled and not ours, each once, each with a name of its own. One whose
    entry cannot be used is among them, with its problem. `folders` are granted: where there is one, it is the workspace
    of files that belong to no project.

    Raises:
        SettingsError: a file cannot be used; the message names `key` and the file.
    """
    servers: list[Configured] = []
    for file in files:
        for found in _servers_of(file, environment, key, folders):
            if all(_reached(found) != _reached(known) for known in servers):
                servers.append(_named_apart(found, [known.name for known in servers]))
    return tuple(servers)


def _reached(server: Configured) -> tuple[object, ...]:
    """What tells servers apart."""
    about = (tuple(server.environment.items()), tuple(server.headers.items()), server.folder)
    return server.command, tuple(server.arguments), server.url, about, server.problem


def _named_apart(server: Configured, taken: Sequence[str]) -> Configured:
    number, name = 1, server.name
    while name.casefold() in map(str.casefold, taken):
        number += 1
        name = f"{server.name}-{number}"
    return replace(server, name=name)


def _servers_of(file: Path, environment: Mapping[str, str], key: str, folders: Sequence[Path]) -> Iterator[Configured]:
    document = _document(file, key)
    inner = document.get("mcp")  # in settings of an editor
    within = inner if isinstance(inner, Mapping) else document
    servers = document.get("mcpServers", within.get("servers"))
    if not isinstance(servers, Mapping):
        raise SettingsError(
            f"{key}: {file} has no object under 'mcpServers' or 'servers'. Name a file that lists them."
        )
    given = _Given(file, environment, within.get("inputs"), folders)
    for name, entry in servers.items():
        if isinstance(entry, Mapping) and (entry.get("disabled") is True or entry.get("enabled") is False):
            continue
        try:
            if not isinstance(entry, Mapping):
                raise ValueError("it is no object")  # noqa: TRY004, TRY301 - what a file says, not a type of ours
            if not _is_ours(entry):
                yield _configured(name, entry, given)
        except ValueError as error:  # the others work all the same
            problem = f"its entry {name[:_NAME]!r} in {file} cannot be used: {error}. Mend it there"
            yield Configured(_clean(name), "stdio", problem=problem)


def _document(file: Path, key: str) -> Mapping[str, JSON]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{key}: {file} cannot be read ({why}). Name a file that is there.") from None
    if len(text) > _MOST:
        raise SettingsError(f"{key}: {file} is too large. A file that lists servers has under {_MOST:,} characters.")
    try:
        document: JSON = json.loads(without_comments(text))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{key}: {file} is no JSON ({str(error)[:100]}). Mend it, or name another one.") from None
    if not isinstance(document, Mapping):
        raise SettingsError(f"{key}: {file} holds no object. Name a file that lists servers.")
    return document


def without_comments(text: str) -> str:
    """JSON as it is in files of editors, without comments and without a comma after the last of a list."""
    tokens = [token[0] for token in TOKEN.finditer(text) if not token[0].startswith(("//", "/*"))]
    pairs = zip(tokens, [*tokens, ""][1:], strict=True)
    kept = [sign for sign, after in pairs if sign != "," or after not in ("}", "]")]
    return " ".join(kept)


def _is_ours(entry: Mapping[str, JSON]) -> bool:
    """Whether an entry starts this very program, whatever it is called: nothing calls itself."""
    arguments = entry.get("args")
    listed: Sequence[JSON] = arguments if isinstance(arguments, list) else ()
    # Whole, for paths with blanks in them, and in parts, for what a shell is told.
    said = [str(entry.get("command", "")), *map(str, listed)]
    return _names_us(said) or _names_us([word for each in said for word in each.split()])


def _names_us(words: Sequence[str]) -> bool:
    for place, word in enumerate(words):
        program = re.split(r"[\[@=<>~:]", PurePath(word.replace("\\", "/")).name)[0].removesuffix(".exe")
        before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
        if program == "forethought" and (not place or after == "serve" or before in ("-m", "--from")):
            return True
    return False


class _Given:
    """What stands for the places in a file such as `${VAR}`; what was asked for and is not there; what is secret."""

    def __init__(self, file: Path, environment: Mapping[str, str], inputs: JSON, folders: Sequence[Path]) -> None:
        self._environment = environment
        self._workspace = _project_of(file) or (folders[0] if len(folders) == 1 else None)
        listed: Sequence[JSON] = inputs if isinstance(inputs, list) else ()
        self._defaults = {
            str(each["id"]): each.get("default") for each in listed if isinstance(each, Mapping) and "id" in each
        }
        self.missing: list[str] = []
        self.secret: set[str] = set()

    def filled(self, text: str) -> str:
        return _PLACE.sub(lambda place: self._value(place[1]), text)

    def _value(self, name: str) -> str:
        kind, colon, rest = name.partition(":")
        if name in ("workspaceFolder", "userHome", "pathSeparator", "/", "workspaceFolderBasename"):
            return self._place(name)
        if colon and kind == "input":
            variable = INPUT + re.sub(r"\W", "_", rest, flags=re.ASCII).upper()
            default = self._defaults.get(rest)
            value = self._variable(variable, default if isinstance(default, str) else None)
            self.secret.add(value)
            return value
        if colon and kind == "env":
            return self._variable(rest, None)
        variable, has_default, default = name.partition(":-")
        return self._variable(variable, default if has_default else None)

    def _place(self, name: str) -> str:
        places = {"userHome": str(Path.home()), "pathSeparator": "/", "/": "/"}
        if name in places:
            return places[name]
        if self._workspace is None:
            self.missing.append(f"{name} (its file belongs to no project: grant exactly one folder, or write the path)")
            return ""
        return self._workspace.name if name.endswith("Basename") else str(self._workspace)

    def _variable(self, name: str, default: str | None) -> str:
        value = self._environment.get(name) or default
        if value is None:
            self.missing.append(name)
            return ""
        if not is_inherited(name, value):
            self.secret.add(value)
        return value


def _project_of(file: Path) -> Path | None:
    """The folder of the project that a file belongs to. None for a file that its user has for whatever they work on."""
    folder, home = file.absolute().parent.resolve(), Path.home().resolve()
    of_project = folder.name in _OF_EDITORS or file.name == ".mcp.json"
    project = folder.parent if folder.name in _OF_EDITORS else folder
    inside = project.relative_to(home).parts if project.is_relative_to(home) else ("elsewhere",)
    of_user = not inside or (not of_project and (inside[0].startswith(".") or inside[0] in _OF_USERS))
    return None if of_user else project


def _configured(name: str, entry: Mapping[str, JSON], given: _Given) -> Configured:
    given.missing, given.secret = [], set()
    transport = _transport(entry)
    headers = _texts(entry, "headers", given)
    environment = {**_of_file(entry.get("envFile"), given), **_texts(entry, "env", given)}
    arguments = entry.get("args", [])
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        raise ValueError("its 'args' is no list")  # noqa: TRY004 - what a file says, not a type of ours
    folder, url = entry.get("cwd"), given.filled(_address(entry))
    if transport != "stdio":
        _refuse_unusable(url, given)
    options = ModelOptions(headers=headers)
    named = [value for name, value in environment.items() if not is_inherited(name, value)]
    filled = [given.filled(_told(argument)) for argument in arguments if argument is not None]
    return Configured(
        name=_clean(name),
        transport=transport,
        command=given.filled(str(entry.get("command", ""))),
        arguments=filled,
        environment=environment,
        folder=given.filled(folder) if isinstance(folder, str) else None,
        url=url,
        headers=headers,
        secrets=frozenset([*options.secrets, *named, *given.secret, *_in_address(url), *_in_arguments(filled)]) - {""},
        missing=tuple(dict.fromkeys(given.missing)),
        written=_written(entry),
    )


def _transport(entry: Mapping[str, JSON]) -> Transport:
    for key in ("command", "cwd", "envFile", *_ADDRESSES):
        if not isinstance(entry.get(key) or "", str):
            raise ValueError(f"its {key!r} is no text")  # noqa: TRY004 - what a file says, not a type of ours
    kind = entry.get("type", entry.get("transport"))
    spelled = re.sub(r"[-_ ]", "", kind).lower() if isinstance(kind, str) else ""
    if kind is not None and spelled not in _TYPES:
        raise ValueError(f"its type {str(kind)[:40]!r} is not known. Use stdio, http or sse")
    has_command = isinstance(entry.get("command"), str) and bool(entry["command"])
    has_url = bool(_address(entry))
    transport: Transport = _TYPES[spelled] if kind is not None else "stdio" if has_command else "http or sse"
    if not (has_command if transport == "stdio" else has_url):
        raise ValueError(
            "it has no 'command' that starts it"
            if transport == "stdio"
            else "it has no 'command' that starts it and no 'url'"
        )
    return transport


def _refuse_unusable(url: str, given: _Given) -> None:
    parts = urlsplit(url)
    if not given.missing and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("its 'url' is not an address. Use http:// or https://")


def _texts(entry: Mapping[str, JSON], key: str, given: _Given) -> dict[str, str]:
    texts = entry.get(key) or {}
    if not isinstance(texts, Mapping):
        raise ValueError(f"its {key!r} is no object")  # noqa: TRY004 - what a file says, not a type of ours
    return {name: given.filled(_told(value)) for name, value in texts.items() if value is not None}


def _told(value: JSON) -> str:
    """A value as it stands in the file."""
    return value if isinstance(value, str) else json.dumps(value)


def _address(entry: Mapping[str, JSON]) -> str:
    return next((address for key in _ADDRESSES if isinstance(address := entry.get(key), str)), "")


def _written(entry: Mapping[str, JSON]) -> dict[str, str]:
    """The environment as the file has it, places and all: it is the same in every terminal."""
    variables = entry.get("env")
    listed: Mapping[str, JSON] = variables if isinstance(variables, Mapping) else {}
    written = {name: _told(value) for name, value in listed.items()}
    kept = {name: value if is_inherited(name, value) else "(kept out)" for name, value in written.items()}
    return {**kept, **({"envFile": _told(entry["envFile"])} if entry.get("envFile") else {})}


def _of_file(named: JSON, given: _Given) -> dict[str, str]:
    """The variables of a file that an entry names, as `.env` files have them: a plain file of this user."""
    if not isinstance(named, str) or not named:
        return {}
    file = Path(given.filled(named))
    try:
        about = file.stat()
        ours = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        if not stat.S_ISREG(about.st_mode) or not ours or about.st_size > _MOST:
            raise ValueError(f"its 'envFile' {file} is no file of yours, or too large")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        given.missing.append(f"envFile {file}")
        return {}
    found = [match.groups() for line in lines if (match := _LINE.fullmatch(line))]
    return {name: value[1:-1] if value[:1] in "'\"" and value[:1] == value[-1:] else value for name, value in found}


def _in_address(url: str) -> list[str]:
    parts = urlsplit(url)
    return [unquote(parts.password or ""), *secret_values(dict(parse_qsl(parts.query)))]


def _in_arguments(arguments: Sequence[str]) -> list[str]:
    """What follows an option that is called like a key, as in `--api-key X` and `--api-key=X`."""
    pairs = [(word.partition("=")[0], word.partition("=")[2]) for word in arguments if "=" in word]
    pairs += pairwise(arguments)
    return [
        secret
        for option, value in pairs
        if option.startswith("-") and not value.startswith("-")
        for secret in secret_values(cast("JSON", {option: value}))
    ]


def _clean(name: str) -> str:
    """A name that can be part of a tool's name: one that is written to look like another one does not any more."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:_NAME] or "server"
