"""The only place that wires: settings to store, models, tools and runs; and those to an MCP server."""

__all__ = [
    "App",
    "Journal",
    "open_app",
    "open_journal",
    "open_store",
    "pruned",
    "seal_key",
    "servers_for",
    "tools_for",
    "unfinished",
]

import json
import logging
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote

from anyio import sleep, to_thread

from forethought import installing
from forethought.briefing import brief_of
from forethought.configured import INPUT
from forethought.engine import Engine
from forethought.engine.records import Records
from forethought.engine.runs import Runs
from forethought.engine.supervisor import Supervisor
from forethought.gates.desk import Desk
from forethought.gates.open_forms import OpenForms
from forethought.journal.database import Database
from forethought.journal.queries import Queries
from forethought.journal.sqlite import SQLite
from forethought.journal.store import Store
from forethought.models import Models
from forethought.servers import Servers
from forethought.settings import Settings
from forethought.variables import SECRET_VARIABLES
from forethought_patterns import Brief
from forethought_tools import WITHHELD, Registry, SettingsError, StoreError
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.inherited import is_inherited
from forethought_tools.seen import looking
from forethought_tools.undo import Vault

if TYPE_CHECKING:
    from forethought.engine.cluster import Cluster
    from forethought.journal.postgres import Postgres

logger = logging.getLogger(__name__)

_KEY = 32  # bytes


@dataclass(frozen=True)
class App:
    """Everything that one serving process holds."""

    settings: Settings
    runs: Runs
    models: Models
    desk: Desk
    forms: OpenForms
    servers: Servers
    told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Which work orders went out in full: the client, and the order."""


@dataclass(frozen=True)
class Journal:
    """The journal and what can be read in it, for commands that need no server."""

    store: Store
    records: Records

    @property
    def queries(self) -> Queries:
        return self.records.queries


def _names(settings: Settings) -> list[str]:
    return [str(folder) for folder in settings.folders]


def _records(settings: Settings, store: Store) -> Records:
    folders = _folders(settings)
    look = looking(folders) if len(folders) else None
    return Records(store.queries, tools_for(settings, store), _names(settings), look)


def servers_for(settings: Settings, tools: Registry) -> Servers:
    """The MCP servers of the settings, whose tools go into these."""
    redact = _redaction(settings)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if is_inherited(name, value, hidden=_hidden_variables(), shown=settings.command_variables, redact=redact)
    }
    return Servers(
        settings.servers,
        tools,
        home=settings.home,
        trusted=settings.trusted_servers,
        inherited=inherited,
        redact=redact,
        sampling=settings.sampling,
        patience=settings.servers_seconds,
    )


def _hidden_variables() -> frozenset[str]:
    return SECRET_VARIABLES | {name for name in os.environ if name.startswith(INPUT)}


def tools_for(settings: Settings, store: Store | None = None) -> Registry:
    """The tools that plans may use. With the store of their runs, what they write can be undone."""
    tools = builtin(
        _folders(settings),
        mailbox=settings.mailbox,
        searxng_url=settings.searxng_url,
        allow_private=settings.allow_private,
        hidden_variables=_hidden_variables(),
        shown_variables=settings.command_variables,
        risks=settings.risks,
        vault=_vault(settings, store) if store else None,
        redact=_redaction(settings) if settings.secrets else None,
        agent_seconds=settings.agent_seconds,
    )
    servers_for(settings, tools)  # what they have offered the last time; nobody is connected
    return tools


def _folders(settings: Settings) -> Folders:
    """What tools may use. Never the home: codes for a person lie there, and the key that seals their answers."""
    forms = {form for secret in settings.secrets for form in _spelled(secret)}
    return Folders(settings.folders, apart=[settings.home], secrets=forms)


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncGenerator[App]:
    """Open the journal and drive runs, until left."""
    async with AsyncExitStack() as stack:
        store = await to_thread.run_sync(open_store, settings)  # another process may keep it locked for a while
        stack.callback(store.close)
        models = Models(settings)
        stack.push_async_callback(models.aclose)
        cluster = _cluster(settings, store)
        store.database.hold()
        records = _records(settings, store)
        servers = servers_for(settings, records.tools)
        await stack.enter_async_context(servers.running())

        async def brief(goal: str) -> Brief:
            await servers.met()
            return await brief_of(
                goal,
                folders=_folders(settings),
                records=records,
                lessons=settings.lessons,
                recipes=settings.recipes,
            )

        engine = Engine(
            store,
            records,
            models,
            brief=brief,
            decision_seconds=settings.decision_seconds,
            lessons=settings.lessons,
            recipes=settings.recipes,
            lease_seconds=settings.lease_seconds,
            shown=unfinished(settings),
        )
        supervisor = Supervisor(engine, offer=cluster.offer if cluster else None)
        runs = Runs(engine, supervisor, terms=settings.terms)
        tasks = await stack.enter_async_context(supervisor.serving())
        if cluster:
            await stack.enter_async_context(cluster.joined(supervisor.activate))
        if settings.keep_days:
            tasks.start_soon(_prune_daily, store, settings)
        desk = Desk(settings.home, store, tasks, record=runs.decide, seconds=settings.decision_seconds)
        yield App(settings, runs, models, desk, OpenForms(tasks), servers)


async def _prune_daily(store: Store, settings: Settings) -> None:
    while True:
        try:
            await to_thread.run_sync(pruned, store, settings, settings.keep_days)
        except (StoreError, OSError) as error:
            logger.warning("what is old could not be forgotten: %s", error)
        await sleep(86_400)


def _cluster(settings: Settings, store: Store) -> "Cluster | None":
    """The servers that share this journal, where it is one that servers can share."""
    if not settings.store:
        return None
    try:
        from forethought.engine.cluster import Cluster  # here, because it is optional and slow to load
    except ImportError:
        raise _not_distributed() from None
    cluster = Cluster(settings.store, cast("Postgres", store.database), _names(settings))
    cluster.owner.share_home(seal_key(settings.home))
    return cluster


def seal_key(home: Path) -> bytes:
    """The key that seals questions on their way through the client; kept, so that a restart can read the answers."""
    file = _made(home) / "state.key"
    if not file.exists():
        # Some hosts start a server twice at once: the key must be whole before it has its name.
        fresh = home / f"state.key.{secrets.token_hex(4)}"
        fresh.touch(mode=0o600)
        with fresh.open("wb") as whole:
            whole.write(secrets.token_bytes(_KEY))
            whole.flush()
            os.fsync(whole.fileno())
        with suppress(FileExistsError):
            os.link(fresh, file)
        fresh.unlink()
    key = file.read_bytes()
    if len(key) < _KEY:
        raise SettingsError(
            f"FORETHOUGHT_HOME: {file} is damaged. Delete it: questions that were asked are asked again."
        )
    return key


def _made(home: Path) -> Path:
    """The home, created where it is not there. Raises SettingsError where it cannot be used."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"FORETHOUGHT_HOME: {home} is no folder ({error.strerror}). Name another one.") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise SettingsError(f"FORETHOUGHT_HOME: {home} cannot be written to. Name another folder.")
    return home


def open_store(settings: Settings) -> Store:
    """The journal, with every secret kept out of it."""
    _made(settings.home)
    redact = _redaction(settings)
    try:
        return Store(_database(settings), redact=redact)
    except StoreError as error:
        raise StoreError(redact(str(error))) from None


def _redaction(settings: Settings) -> Callable[[str], str]:
    """What takes every secret of the settings out of a text."""
    forms = _forms(settings)

    def redact(text: str) -> str:
        for form in forms:
            text = text.replace(form, WITHHELD)
        return text

    return redact


def unfinished(settings: Settings) -> Callable[[str], str]:
    """What takes secrets out of a text that is still being written, and its end where that may become one."""
    redact, forms = _redaction(settings), _forms(settings)

    def shown(text: str) -> str:
        # Until nothing is left at its end: a cut may go through a secret.
        while begun := max((_overlap(text, form) for form in forms), default=0):
            text = text[:-begun]
        return redact(text)

    return shown


def _overlap(text: str, form: str) -> int:
    """How much of the end of a text is a beginning of this."""
    return next((size for size in range(min(len(form), len(text)), 0, -1) if text.endswith(form[:size])), 0)


def _forms(settings: Settings) -> Sequence[str]:
    """Every secret of the settings in all its spellings, longest first."""
    return sorted({form for secret in settings.secrets for form in _spelled(secret)}, key=len, reverse=True)


def _spelled(secret: str) -> set[str]:
    """A secret as it is, in addresses, in tables, and inside JSON, also where that is a text inside JSON, and so on."""
    forms = {secret, unquote(secret)}
    forms |= {form.replace(quote_mark, quote_mark * 2) for form in forms for quote_mark in "'\""}
    forms |= {quote(form, safe="") for form in forms}
    for _ in range(4):
        forms |= {json.dumps(form, ensure_ascii=plain)[1:-1] for form in forms for plain in (False, True)}
    return forms


def _database(settings: Settings) -> Database:
    if not settings.store:
        return SQLite(settings.database)
    try:
        from forethought.journal.postgres import Postgres  # here, because it is optional
    except ImportError:
        raise _not_distributed() from None
    return Postgres(settings.store, settings.journal)


def _not_distributed() -> SettingsError:
    return SettingsError(f"FORETHOUGHT_STORE: PostgreSQL needs what is not installed: {installing('distributed')}")


def pruned(store: Store, settings: Settings, days: float) -> int:
    """Forget runs that ended so many days ago, and what was kept to undo them. Returns how many."""
    gone = store.prune(time.time() - days * 86_400)
    _vault(settings, store).forget(store.queries.kept_contents())
    return gone


def _vault(settings: Settings, store: Store) -> Vault:
    return Vault(settings.home / "undo" / store.database.vault)


@contextmanager
def open_journal(settings: Settings) -> Generator[Journal]:
    """The journal and the tools' risks, for looking only."""
    store = open_store(settings)
    try:
        yield Journal(store, _records(settings, store))
    finally:
        store.close()
