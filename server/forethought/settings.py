"""Settings: environment and flags in, one frozen value out. Every error names its key."""

__all__ = ["Settings", "folder_named"]

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from platformdirs import user_data_path

from forethought.address import read_address
from forethought.configured import INPUT, Configured, read_servers
from forethought.options import ModelOptions, read_options
from forethought.terms import REPLANS, Terms, read_agent_limits, read_budget, read_risks
from forethought.variables import HUB, VARIABLES
from forethought_patterns.agent import Bounds
from forethought_tools import Risk, Role, SettingsError
from forethought_tools.mail import Mailbox

C = TypeVar("C", bound=str)

_DAY = 86_400.0  # seconds

_YES = {"1", "true", "yes", "on"}
_NO = {"", "0", "false", "no", "off"}
_OPTIONS = "FORETHOUGHT_MODEL_OPTIONS"
_ROLE_OPTIONS = {role: f"{_OPTIONS}_{role.upper()}" for role in Role}


"""Everything that the environment can set, in the order in which the docs list it."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `Settings.read` is the usual way to make one."""

    home: Path
    """Where the journal and fetched models live."""
    store: str | None = field(default=None, repr=False)
    """The address of a PostgreSQL where the journal lives instead."""
    folders: tuple[Path, ...] = ()
    """What the file tools may touch."""
    model: str = ""
    """`host`, `local`, `local:NAME`, `scripted:FILE`, or the name of a model at the endpoint; empty: chosen."""
    role_models: Mapping[Role, str] = field(default_factory=dict[Role, str])
    """The same, for single roles."""
    base_url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    model_options: ModelOptions = field(default_factory=ModelOptions)
    """What is sent along to the endpoint."""
    role_options: Mapping[Role, ModelOptions] = field(default_factory=dict[Role, ModelOptions])
    """The same, for single roles; it wins where both set something."""
    model_hub: str | None = field(default=HUB, repr=False)
    searxng_url: str | None = field(default=None, repr=False)
    allow_private: bool = False
    mailbox: Mailbox | None = None
    command_variables: Sequence[str] = ()
    server_files: tuple[Path, ...] = ()
    """The files that list MCP servers whose tools steps may call."""
    servers: tuple[Configured, ...] = ()
    """Those servers."""
    trusted_servers: Sequence[str] = ()
    """Those of them whose word on their tools counts, by name."""
    sampling: bool = False
    """Whether models of a run answer servers that ask for that in the middle of a call."""
    servers_seconds: float = 20.0
    """How long planning waits for a server that was never seen."""
    risks: Mapping[str, Risk] = field(default_factory=dict[str, Risk])
    """Risks by rule, as the user judges them."""
    terms: Terms = field(default_factory=Terms)
    """What holds for every run, unless whoever starts it wants stricter terms."""
    lessons: bool = True
    """Whether what runs teach is kept, and told to planners."""
    recipes: bool = True
    """Whether plans that have reached their goals are kept, and told to planners."""
    keep_days: float = 0.0
    """Days after its end for which a run is kept; 0 is for ever."""
    decision_seconds: float = 3600.0
    """How long a question to a person, and an approval that was not used yet, are good for."""
    silence: float = 20.0
    """Seconds after which a tool call returns in which its client hears nothing."""
    longest_call: float = 45.0
    """Seconds after which a tool call returns whatever happens, also while a form is open."""
    agent: str = ""
    """Who does the steps of agents: `caller` or `model`; empty: a model where one plays the role."""
    agent_seconds: float = 600.0
    """How long a model may work on one of them."""
    lease_seconds: float = 600.0
    """How long a piece of work stays with the calling agent that has taken it."""
    go_on: bool = True
    """Whether runs go on in a process of their own when the client ends its server."""
    heartbeat: float = 5.0
    """Seconds between progress notices while nothing happens."""

    @property
    def database(self) -> Path:
        return self.home / "journal.sqlite"

    @property
    def journal(self) -> str:
        """Where the journal is, as people may know it."""
        if not self.store:
            return str(self.database)
        parts = urlsplit(self.store)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def secrets(self) -> frozenset[str]:
        """Values that must never be written anywhere."""
        urls = (self.store, self.searxng_url, self.model_hub)
        options = [secret for each in (self.model_options, *self.role_options.values()) for secret in each.secrets]
        in_urls = [urlsplit(url).password for url in urls if url]
        in_servers = [secret for server in self.servers for secret in server.secrets]
        in_queries = [value for url in urls if url for value in parse_qs(urlsplit(url).query).get("password", ())]
        candidates = (self.api_key, self.mailbox.password if self.mailbox else None, *in_urls, *in_queries, *options)
        return frozenset(
            secret
            for secret in (*candidates, *read_address(self.base_url).secrets, *in_servers)
            if secret and len(secret) >= 8
        )

    @classmethod
    def read(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        folders: Sequence[str] = (),
        model: str | None = None,
        servers: Sequence[str] = (),
    ) -> "Settings":
        """Settings from the environment; flags win over it.

        Raises:
            SettingsError: a value cannot be used; the message names its key.
        """
        env = _Environment(os.environ if environment is None else environment)
        named = env["FORETHOUGHT_MODEL"]
        where = env["FORETHOUGHT_HOME"]
        home = (
            _expanded("FORETHOUGHT_HOME", where).resolve() if where else user_data_path("forethought", appauthor=False)
        )
        limits = read_agent_limits(env["FORETHOUGHT_AGENT_LIMITS"], "FORETHOUGHT_AGENT_LIMITS")
        files = _server_files(servers, env["FORETHOUGHT_SERVERS"])
        granted = _folders(folders, env["FORETHOUGHT_FOLDERS"], home)
        listed = read_servers(files, env.all, "--servers" if servers else "FORETHOUGHT_SERVERS", granted)
        settings = cls(
            home=home,
            store=_store(env),
            folders=granted,
            model=named if model is None else model,
            role_models={role: spec for role in Role if (spec := env[f"FORETHOUGHT_MODEL_{role.upper()}"])},
            base_url=_endpoint(env, "FORETHOUGHT_BASE_URL") or _endpoint(env, "OPENAI_BASE_URL"),
            api_key=env["FORETHOUGHT_API_KEY"] or env["OPENAI_API_KEY"] or None,
            model_options=read_options(env[_OPTIONS], _OPTIONS),
            role_options={role: read_options(text, key) for role, key in _ROLE_OPTIONS.items() if (text := env[key])},
            model_hub=_hub(env),
            searxng_url=_address(env, "FORETHOUGHT_SEARXNG_URL"),
            allow_private=_flag(env, "FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES"),
            mailbox=_mailbox(env),
            command_variables=env["FORETHOUGHT_COMMAND_VARIABLES"].replace(",", " ").split(),
            server_files=files,
            servers=listed,
            trusted_servers=_trusted(env, listed),
            sampling=_choice(env, "FORETHOUGHT_SAMPLING", ("refuse", "allow")) == "allow",
            risks=read_risks(env["FORETHOUGHT_RISKS"], "FORETHOUGHT_RISKS"),
            terms=replace(_terms(env), agent=Bounds(int(limits["calls"]), int(limits["tokens"]))),
            agent=_choice(env, "FORETHOUGHT_AGENT", ("", "caller", "model")),
            agent_seconds=limits["seconds"],
            lease_seconds=_number(env, "FORETHOUGHT_LEASE_SECONDS", least=1),
            lessons=_flag(env, "FORETHOUGHT_LESSONS"),
            recipes=_flag(env, "FORETHOUGHT_RECIPES"),
            keep_days=_number(env, "FORETHOUGHT_KEEP_DAYS", least=0),
            servers_seconds=_number(env, "FORETHOUGHT_SERVERS_SECONDS", least=0, most=_DAY),
            decision_seconds=_number(env, "FORETHOUGHT_DECISION_SECONDS", least=1),
            silence=_number(env, "FORETHOUGHT_SILENCE_SECONDS", least=0.1, most=_DAY),
            go_on=_flag(env, "FORETHOUGHT_GO_ON"),
            longest_call=_number(env, "FORETHOUGHT_CALL_SECONDS", least=0.1, most=_DAY),
        )
        env.refuse_others()
        return settings


class _Environment:
    """What is set, and for the rest the defaults of the table. A name that is not in the table cannot be read."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._defaults = {variable.name: variable.default for variable in VARIABLES}
        self._defaults |= {variable.also: variable.default for variable in VARIABLES if variable.also}

    @property
    def all(self) -> Mapping[str, str]:
        """Everything that is set, of whatever program."""
        return self._environment

    def __getitem__(self, name: str) -> str:
        """What somebody has set, though it be empty; else the default."""
        default = self._defaults[name]
        return self._environment.get(name, default)

    def filled(self, name: str) -> str:
        """The same, where nothing is as good as not set."""
        return self[name] or self._defaults[name]

    def refuse_others(self) -> None:
        """Raise SettingsError where something is set that no setting is called: a slip of the pen must not leave a
        gate open that somebody believes to be shut."""
        for name in self._environment:
            if name.startswith("FORETHOUGHT_") and name not in self._defaults and not name.startswith(INPUT):
                near = difflib.get_close_matches(name, self._defaults, n=1)
                meant = f" Did you mean {near[0]}?" if near else ""
                raise SettingsError(f"{name}: there is no such setting.{meant}")


_SECURITY: Mapping[str, tuple[Literal["starttls", "tls", "none"], int]] = {
    "smtp": ("starttls", 587),
    "smtps": ("tls", 465),
    "smtp+plain": ("none", 25),
}
_NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|\s")


def _address(env: _Environment, key: str) -> str | None:
    url = env[key].strip()
    return _checked(key, url) if url else None


def _endpoint(env: _Environment, key: str) -> str | None:
    url = env[key].strip()
    return url if read_address(url, key=key).url else None


def _hub(env: _Environment) -> str | None:
    key = "FORETHOUGHT_MODEL_HUB"
    hub = env[key].strip()
    return None if hub.lower() in _NO else _checked(key, hub.rstrip("/"))


def _checked(key: str, url: str) -> str:
    """An address that can be taken apart by everybody in the same way: nobody may tell of it to complain."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.scheme) and parts.netloc.count("@") < 2
    except ValueError:
        whole = False
    if not whole or _NOT_ENCODED.search(url):
        raise SettingsError(
            f"{key}: not an address. What is special in a user or a password is percent-encoded: @ as %40, % as %25."
        )
    return url


def _store(env: _Environment) -> str | None:
    key = "FORETHOUGHT_STORE"
    url = _address(env, key)
    if url is None:
        return None
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise SettingsError(f"{key}: not an address of a PostgreSQL. Use postgresql://user:password@host/name")
    return f"postgresql://{rest}"


def _folders(flags: Sequence[str], variable: str, home: Path) -> tuple[Path, ...]:
    key = "--folder" if flags else "FORETHOUGHT_FOLDERS"
    named = list(flags) or [part for part in variable.split(os.pathsep) if part]
    home = home.resolve()
    folders: list[Path] = []
    for name in named:
        folders.append(folder_named(key, name).resolve())
        if folders[-1].is_relative_to(home):
            raise SettingsError(f"{key}: {name!r} lies in FORETHOUGHT_HOME, which no tool may touch. Name another one.")
    if folders:
        return tuple(folders)
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError:  # it was deleted
        return ()
    # Hosts start servers anywhere; the home folder or the root must never be granted by accident.
    return () if here in (Path.home().resolve(), Path(here.anchor)) or here.is_relative_to(home) else (here,)


def _server_files(flags: Sequence[str], variable: str) -> tuple[Path, ...]:
    key = "--servers" if flags else "FORETHOUGHT_SERVERS"
    return tuple(_expanded(key, part) for part in flags or variable.split(os.pathsep) if part)


def _trusted(env: _Environment, servers: Sequence[Configured]) -> Sequence[str]:
    key = "FORETHOUGHT_TRUST_SERVERS"
    names = env[key].replace(",", " ").split()
    for name in names:
        if name not in (known := [server.name for server in servers]):
            raise SettingsError(f"{key}: there is no server {name!r}. Known: {', '.join(known) or 'none'}.")
    return names


def folder_named(key: str, name: str) -> Path:
    """The folder that a person names. Raises SettingsError where it is none."""
    folder = _expanded(key, name)
    if not folder.is_dir():
        raise SettingsError(f"{key}: {name!r} is not a folder. Name one that is there.")
    return folder


def _expanded(key: str, name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise SettingsError(f"{key}: {name!r} begins with a user that is not known here. Write it out.") from None


def _terms(env: _Environment) -> Terms:
    return Terms(
        replan=_choice(env, "FORETHOUGHT_REPLAN", REPLANS),
        max_replans=_whole(env, "FORETHOUGHT_MAX_REPLANS", least=0),
        max_parallel=_whole(env, "FORETHOUGHT_MAX_PARALLEL", least=1, most=64),
        max_items=_whole(env, "FORETHOUGHT_MAX_ITEMS", least=1, most=10_000),
        approve_plan=_flag(env, "FORETHOUGHT_APPROVE_PLAN"),
        ask_from=Risk.named(_choice(env, "FORETHOUGHT_ASK_FROM", ("low", "medium", "high"))),
        ask_below=_number(env, "FORETHOUGHT_ASK_BELOW", least=0, most=1),
        budget=read_budget(env["FORETHOUGHT_BUDGET"], "FORETHOUGHT_BUDGET"),
    )


def _choice(env: _Environment, key: str, choices: Sequence[C]) -> C:
    value = env.filled(key).lower()
    for choice in choices:
        if choice == value:
            return choice
    raise SettingsError(f"{key}: {value!r} is none of {', '.join(choices)}.")


def _number(env: _Environment, key: str, *, least: float, most: float = 1e12) -> float:
    text = env.filled(key)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise SettingsError(f"{key}: {text!r} is not a number from {least:g} to {most:g}.")
    return number


def _whole(env: _Environment, key: str, *, least: int, most: float = 1e12) -> int:
    number = _number(env, key, least=least, most=most)
    if not number.is_integer():
        raise SettingsError(f"{key}: {env.filled(key)!r} is no whole number. Write one from {least} to {most:g}.")
    return int(number)


def _flag(env: _Environment, key: str) -> bool:
    value = env.filled(key).lower()
    if value not in _YES | _NO:
        raise SettingsError(f"{key}: {value!r} is neither yes nor no.")
    return value in _YES


def _mailbox(env: _Environment) -> Mailbox | None:
    key = "FORETHOUGHT_SMTP_URL"
    url, sender = env[key], env["FORETHOUGHT_SMTP_FROM"]
    if not url:
        return None
    if not sender:
        raise SettingsError("FORETHOUGHT_SMTP_FROM: the sender's address is missing.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{key}: not an address. Use smtp://user:password@host:port") from None
    if parts.scheme not in _SECURITY or not parts.hostname:
        raise SettingsError(f"{key}: use smtp:// (STARTTLS), smtps:// (TLS) or smtp+plain:// (neither).")
    security, default_port = _SECURITY[parts.scheme]
    return Mailbox(
        host=parts.hostname,
        port=port or default_port,
        sender=sender,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        security=security,
    )
