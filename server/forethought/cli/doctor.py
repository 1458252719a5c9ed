"""`forethought doctor`: what was found, and how to mend what is missing."""

__all__ = ["doctor"]

import os
import platform
import time
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from rich.markup import escape

from forethought import __version__
from forethought.app import open_store, tools_for
from forethought.cli.terminal import console
from forethought.models import DEFAULT_EMBEDDED, Models
from forethought.models.fetch import catalogue, present
from forethought.models.gguf import is_file, trouble
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_patterns import Model
from forethought_patterns.drafts import closed_object
from forethought_tools import ForethoughtError, Question, Risk, Role, SettingsError, StoreError

_PATIENCE = 120  # seconds for one model
_EVEN = closed_object({"even": {"type": "boolean"}})


def doctor(settings: Settings) -> int:
    """Print the state of everything that forethought needs. Returns 1 if something must be mended."""
    _line("forethought", f"{__version__}, Python {platform.python_version()}, mcp {version('mcp')}")
    fine = [_models(settings), _folders(settings), _journal(settings)]
    registry = tools_for(settings)
    for risk in Risk:
        _line(f"tools {risk}", ", ".join(tool.name for tool in registry if tool.risk == risk))
    _line("you are asked", _asked(settings.terms))
    searxng = settings.searxng_url
    _line("web search", f"SearXNG at {urlsplit(searxng).hostname}" if searxng else "public engines (ddgs)")
    mail = settings.mailbox
    _line("mail", f"{mail.sender} through {mail.host}" if mail else "none: send_email needs FORETHOUGHT_SMTP_URL")
    return 0 if all(fine) else 1


def _models(settings: Settings) -> bool:
    models = Models(settings)
    spec, why = models.chosen
    _line("model", f"{spec}: {why}")
    for role, name in settings.role_models.items():
        _line("", f"{role}: {name}")
    problems = [problem for problem in dict.fromkeys(_trouble(models, settings, role) for role in Role) if problem]
    for problem in problems:
        _line("", problem)
    problems += [] if problems else anyio.run(_unanswered, models)
    _line("embedded", _embedded(settings))
    return not problems


async def _unanswered(models: Models) -> list[str]:
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
                _line("answers", await _answers(model))
        except TimeoutError:
            problems.append(f"{model.name} did not answer within {_PATIENCE} s. Mend: a faster FORETHOUGHT_MODEL")
        except ForethoughtError as error:
            problems.append(str(error))
        if problems:
            _line("", problems[-1])
    await models.aclose()
    return problems


async def _answers(model: Model) -> str:
    begun = time.monotonic()
    await model.answer(Question(Role.EXECUTOR, "Answer with the word: ready", "Are you there?", {"type": "string"}))
    structured = await model.answer(Question(Role.EVALUATOR, "Say whether six is even.", "6", _EVEN))
    note = f" ({structured.note})" if structured.note else ""
    where = getattr(model, "where", "this machine")
    return f"{model.name} at {where}, in words and as JSON, in {time.monotonic() - begun:.1f} s{note}"


def _folders(settings: Settings) -> bool:
    for folder in settings.folders:
        _line("folder", f"{folder}{'' if os.access(folder, os.W_OK) else ' (read only)'}")
    if not settings.folders:
        _line("folder", "none: file tools can do nothing. Mend: --folder DIR, or FORETHOUGHT_FOLDERS")
    return bool(settings.folders)


def _journal(settings: Settings) -> bool:
    try:
        with closing(open_store(settings)) as store:
            _line("journal", store.name)
    except SettingsError as error:
        _line("journal", str(error))
    except (StoreError, OSError) as error:
        elsewhere = "let FORETHOUGHT_STORE name one that is there"
        _line("journal", f"{error} Mend: {elsewhere if settings.store else 'set FORETHOUGHT_HOME to another folder'}")
    else:
        return True
    return False


def _asked(terms: Terms) -> str:
    plans = " and before every plan" if terms.approve_plan else ""
    limits = ", ".join(f"{limit:g} {measure}" for measure, limit in terms.budget.items()) or "none"
    return f"from {terms.ask_from} risk on{plans}; budget of a run: {limits}; plans change {terms.replan}"


def _trouble(models: Models, settings: Settings, role: Role) -> str:
    """Why the model of a role could not answer, as far as can be known without asking it. Empty: it could."""
    try:
        models.for_role(role)
    except ForethoughtError as error:
        return f"{error}"
    spec = models.spec_of(role)
    if spec.startswith("local:") and is_file(spec.removeprefix("local:")):
        return trouble(Path(spec.removeprefix("local:")).expanduser())
    name = spec.removeprefix("local:") if spec.startswith("local:") else DEFAULT_EMBEDDED if spec == "local" else ""
    if name and find_spec("xllamacpp") is None:
        return f"{name} is not installed. Mend: pip install 'forethought[local]'"
    if name and not present(settings.home, catalogue()[name]):
        return f"the file of {name} is not here. Mend: forethought model fetch {name}"
    return ""


def _embedded(settings: Settings) -> str:
    if find_spec("xllamacpp") is None:
        return "not installed. pip install 'forethought[local]' brings a model that needs no key"
    fetched = [name for name, model in catalogue().items() if present(settings.home, model)]
    return f"fetched: {', '.join(fetched)}" if fetched else "installed, no model fetched. Mend: forethought model fetch"


def _line(name: str, text: str) -> None:
    console.print(f"[bold]{name:<12}[/] {escape(text)}", soft_wrap=True)
