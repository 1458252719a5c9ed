"""`forethought doctor`: what was found, and how to mend what is missing."""

__all__ = ["doctor"]

import os
import platform
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from typing import TypeAlias
from urllib.parse import urlsplit

import anyio
from rich.markup import escape

from forethought import __version__, installing
from forethought.app import open_store, servers_for, tools_for
from forethought.cli.terminal import console, print_json
from forethought.models import Models
from forethought.models.fetch import catalogue, present
from forethought.servers.connection import Connection
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_patterns import Model
from forethought_patterns.drafts import closed_object
from forethought_tools import (
    JSON,
    ForethoughtError,
    Question,
    Registry,
    Risk,
    Role,
    SettingsError,
    StoreError,
    ToolError,
)

_PATIENCE = 120  # seconds for one model
_EVEN = closed_object({"even": {"type": "boolean"}})
_Line: TypeAlias = Callable[[str, str], None]
"""Tells what was found, and what it is of."""


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print the state of everything that forethought needs. Returns 1 if something must be mended."""
    found: list[JSON] = []

    def line(name: str, text: str) -> None:
        if as_json:
            found.append({"name": name, "text": text})
        else:
            console.print(f"[bold]{name:<12}[/] {escape(text)}", soft_wrap=True)

    fine = _all_fine(settings, line)
    if as_json:
        print_json({"ok": fine, "found": found})
    return 0 if fine else 1


def _all_fine(settings: Settings, line: _Line) -> bool:
    line("forethought", f"{__version__}, Python {platform.python_version()}, mcp {version('mcp')}")
    fine = [_models(settings, line), _folders(settings, line), _journal(settings, line)]
    registry = tools_for(settings)
    fine.append(anyio.run(_servers, settings, registry, line))
    for risk in Risk:
        line(f"tools {risk}", ", ".join(tool.name for tool in registry if tool.risk == risk))
    line("you are asked", _asked(settings.terms))
    searxng = settings.searxng_url
    line("web search", f"SearXNG at {urlsplit(searxng).hostname}" if searxng else "public engines (ddgs)")
    mail = settings.mailbox
    line("mail", f"{mail.sender} through {mail.host}" if mail else "none: send_email needs FORETHOUGHT_SMTP_URL")
    return all(fine)


def _models(settings: Settings, line: _Line) -> bool:
    models = Models(settings)
    spec, why = models.chosen
    line("model", f"{spec}: {why}")
    for role, name in settings.role_models.items():
        line("", f"{role}: {name}")
    problems = [problem for problem in dict.fromkeys(_trouble(models, role) for role in Role) if problem]
    for problem in problems:
        line("", problem)
    problems += [] if problems else anyio.run(_unanswered, models, line)
    line("embedded", _embedded(settings))
    return not problems


async def _unanswered(models: Models, line: _Line) -> list[str]:
    """Ask each model one real question, and one with a schema. What keeps it from answering, said already."""
    problems: list[str] = []
    asked: set[int] = set()
    for role in Role:
        model = models.for_role(role)
        # A script has answers for its own questions only.
        if model is None or id(model) in asked or models.spec_of(role).startswith("scripted:"):
            continue
        asked.add(id(model))
        try:
            with anyio.fail_after(_PATIENCE):
                line("answers", await _answers(model))
        except TimeoutError:
            problems.append(f"{model.name} did not answer within {_PATIENCE} s. Mend: a faster FORETHOUGHT_MODEL")
        except ForethoughtError as error:
            problems.append(str(error))
        if problems:
            line("", problems[-1])
    await models.aclose()
    return problems


async def _answers(model: Model) -> str:
    begun = time.monotonic()
    await model.answer(Question(Role.EXECUTOR, "Answer with the word: ready", "Are you there?", {"type": "string"}))
    structured = await model.answer(Question(Role.EVALUATOR, "Say whether six is even.", "6", _EVEN))
    note = f" ({structured.note})" if structured.note else ""
    where = getattr(model, "where", "this machine")
    return f"{model.name} at {where}, in words and as JSON, in {time.monotonic() - begun:.1f} s{note}"


def _folders(settings: Settings, line: _Line) -> bool:
    for folder in settings.folders:
        line("folder", f"{folder}{'' if os.access(folder, os.W_OK) else ' (read only)'}")
    if not settings.folders:
        line("folder", "none: file tools can do nothing. Mend: --folder DIR, or FORETHOUGHT_FOLDERS")
    return bool(settings.folders)


def _journal(settings: Settings, line: _Line) -> bool:
    try:
        with closing(open_store(settings)) as store:
            line("journal", store.name)
    except SettingsError as error:
        line("journal", str(error))
    except (StoreError, OSError) as error:
        elsewhere = "let FORETHOUGHT_STORE name one that is there"
        line("journal", f"{error} Mend: {elsewhere if settings.store else 'set FORETHOUGHT_HOME to another folder'}")
    else:
        return True
    return False


async def _servers(settings: Settings, tools: Registry, line: _Line) -> bool:
    """Connect every server, all at once. Returns whether each could be reached."""
    servers = servers_for(settings, tools)
    problems = dict[str, str]()

    async def look(connection: Connection) -> None:
        try:
            await connection.reached()
        except ToolError as error:
            problems[connection.server.name] = str(error)

    async with servers.running(), anyio.create_task_group() as tasks:
        for connection in servers.connections.values():
            tasks.start_soon(look, connection)
    for name in servers.connections:
        trusted = ", trusted" if name in settings.trusted_servers else ""
        count = sum(tool.source == name for tool in tools)
        line("server", problems.get(name) or f"{name}: {count} tools{trusted}")
    return not problems


def _asked(terms: Terms) -> str:
    plans = " and before every plan" if terms.approve_plan else ""
    limits = ", ".join(f"{limit:g} {measure}" for measure, limit in terms.budget.items()) or "none"
    return f"from {terms.ask_from} risk on{plans}; budget of a run: {limits}; plans change {terms.replan}"


def _trouble(models: Models, role: Role) -> str:
    """Why the model of a role could not answer, as far as can be known without asking it. Empty: it could."""
    try:
        models.for_role(role)
    except ForethoughtError as error:
        return f"{error}"
    return models.missing(role)


def _embedded(settings: Settings) -> str:
    if find_spec("xllamacpp") is None:
        return f"not installed. {installing('local')} brings a model that needs no key"
    fetched = [name for name, model in catalogue().items() if present(settings.home, model)]
    return f"fetched: {', '.join(fetched)}" if fetched else "installed, no model fetched. Mend: forethought model fetch"
