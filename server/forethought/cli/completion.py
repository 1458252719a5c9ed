"""`forethought completion`: what a shell needs to complete commands, options, and the ids and names that are known."""

__all__ = ["completion", "offer", "plans_and_runs", "recipe_names", "rule_ids", "run_ids"]

import sys
from argparse import Action, ArgumentParser
from collections.abc import Callable, Collection
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from forethought.journal.queries import Queries
    from forethought.settings import Settings

Completer: TypeAlias = Callable[..., Collection[str]]

_MOST = 100


def completion(settings: "Settings", shell: str) -> int:
    """Print the code with which a shell completes what is typed."""
    import argcomplete

    del settings
    sys.stdout.write(argcomplete.shell_integration.shellcode(["forethought"], shell=shell))
    return 0


def offer(parser: ArgumentParser) -> None:
    """Answer a shell that wants to complete a command, and end the program."""
    import argcomplete

    argcomplete.autocomplete(parser)


def completed(action: Action, by: Completer) -> None:
    """Have an argument completed by what is known of it."""
    action.completer = by  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] # where argcomplete looks


def run_ids(**_: object) -> Collection[str]:
    """The latest runs."""
    return _known(lambda queries: [row.id for row in queries.runs(limit=_MOST)])


def plans_and_runs(**_: object) -> Collection[str]:
    """The latest runs and plans."""
    return [*run_ids(), *_known(lambda queries: [row.id for row in queries.plans(limit=_MOST)])]


def recipe_names(**_: object) -> Collection[str]:
    """The recipes that were kept, and ours."""
    from forethought_patterns.recipe import library

    kept = _known(lambda queries: [row.name or row.id for row in queries.recipes()])
    return [*kept, *(ours.name for ours in library())]


def rule_ids(**_: object) -> Collection[str]:
    """What people have allowed once and for all."""
    return _known(lambda queries: [row.id for row in queries.rules()])


def _known(look: "Callable[[Queries], list[str]]") -> list[str]:
    """What the journal knows; nothing, where there is none: completing a word creates no home."""
    from forethought.app import open_store
    from forethought.settings import Settings
    from forethought_tools import ForethoughtError

    try:
        settings = Settings.read()
        if not settings.store and not settings.database.exists():
            return []
        with closing(open_store(settings)) as store:
            return [name for name in look(store.queries) if name.isprintable()]
    except (ForethoughtError, OSError):  # a shell that completes shows no errors
        return []
