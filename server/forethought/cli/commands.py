"""Every command: its options, and the function that runs it, which is imported when it runs and not before.

A command's function takes the settings, and each option by the name that it has here.
"""

__all__ = ["SERVE", "parser", "run_command"]

import argparse
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from forethought import __version__

if TYPE_CHECKING:
    from forethought.settings import Settings

SERVE = "forethought.cli.serve:serve"
"""The function that reads the settings itself: what is wrong with them is for the client to hear."""


def run_command(options: Mapping[str, Any]) -> int:
    """Run the command that these options were given to. Returns its exit status."""
    given = dict(options)
    name = given.pop("run")
    command: Callable[..., int] = resolve_name(name)
    read = partial(_settings, given.pop("folder", ()), given.pop("model", None))
    return command(read if name == SERVE else read(), **given)


def _settings(folders: Sequence[str], model: str | None) -> "Settings":
    """The settings; once they are read, no other program reads what is secret of them."""
    from forethought.privacy import keep_private
    from forethought.settings import Settings

    settings = Settings.read(folders=folders, model=model)
    keep_private(_secret_variables(settings.secrets))
    return settings


def _secret_variables(secrets: Collection[str]) -> list[str]:
    """Which variables of our environment hold a secret: one of these, or one of another service."""
    from forethought.variables import SECRET_VARIABLES
    from forethought_tools.inherited import is_inherited

    return [
        name
        for name, value in os.environ.items()
        if not is_inherited(name, value, hidden=SECRET_VARIABLES) or any(secret in value for secret in secrets)
    ]


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="forethought",
        description="A planning engine for MCP clients: plans, parallel execution, human approval.",
    )
    top.add_argument("--version", action="version", version=f"forethought {__version__}")
    commands = top.add_subparsers(metavar="COMMAND")

    def add(
        name: str, function: str, meaning: str, parents: Sequence[argparse.ArgumentParser] = ()
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=meaning, parents=parents)
        command.set_defaults(run=f"forethought.cli.{function}")
        return command

    working = _working()
    add("serve", "serve:serve", "serve MCP on standard input and output", [working])
    _add_run(add, working)
    _add_looking(add)
    _add_rollback(add, working)
    _add_steering(add)
    _add_keeping(add)
    _add_decide(add)
    add("doctor", "doctor:doctor", "say what was found, and how to mend what is missing")
    _add_fetch(commands.add_parser("model", help="the embedded model"))
    return top


class _Add(Protocol):
    """Adds a command that a function of this package runs, given as `module:name`."""

    def __call__(
        self, name: str, function: str, meaning: str, parents: Sequence[argparse.ArgumentParser] = ()
    ) -> argparse.ArgumentParser: ...


def _working() -> argparse.ArgumentParser:
    """The options of all commands that may work with tools and models."""
    working = argparse.ArgumentParser(add_help=False)
    folder = "a folder that tools may use; may be given again"
    working.add_argument("--folder", action="append", default=[], metavar="DIR", help=folder)
    working.add_argument("--model", metavar="MODEL", help="host, local, local:NAME, or a model name at the endpoint")
    return working


def _add_run(add: _Add, working: argparse.ArgumentParser) -> None:
    run = add("run", "run:run", "plan a goal, run the plan, ask before anything risky", [working])
    run.add_argument("goal", nargs="?", help="what you want, in your words")
    resume = "go on with a run instead; of one that failed or was cancelled, with what has not succeeded"
    run.add_argument("--resume", metavar="ID", help=resume)
    run.add_argument("--anew", action="store_true", help="with --resume: run all of the plan once more")
    again = "make the plan from a kept recipe, with its parameters"
    run.add_argument("--recipe", nargs="+", metavar=("NAME", "KEY=VALUE"), help=again)
    run.add_argument("--yes", action="store_true", help="run the plan without asking; risky steps still ask")
    run.add_argument("--max-parallel", type=int, metavar="N", help="steps at once (default 8)")
    run.add_argument("--replan", choices=["on_failure", "every_step", "never"], help="when the rest is planned anew")
    run.add_argument("--approve-plan", action="store_true", help="approve, edit or reject the whole plan first")
    run.add_argument("--ask-from", choices=["low", "medium", "high"], help="risk from which you are asked")
    run.add_argument("--ask-below", type=float, metavar="P", help="confidence, 0 to 1, below which you are asked")
    run.add_argument("--budget", metavar="LIMITS", help="such as dollars=0.5,model_calls=50")


def _add_looking(add: _Add) -> None:
    add("runs", "records:runs", "list recent runs")
    show = add("show", "records:show", "show a plan or a run")
    show.add_argument("some_id", metavar="id", help="a plan's or a run's id")
    show.add_argument("--journal", action="store_true", help="everything the run did, one JSON object a line")


def _add_rollback(add: _Add, working: argparse.ArgumentParser) -> None:
    rollback = add("rollback", "run:rollback", "undo what a run has written; asks first", [working])
    rollback.add_argument("run_id", metavar="id", help="a run's id")
    rollback.add_argument("--step", type=_step, metavar="N", help="only this step")
    rollback.add_argument("--dry-run", action="store_true", help="only show what would be done")


def _add_steering(add: _Add) -> None:
    pause = add("pause", "control:pause", "start nothing more of a run for now; what is in flight ends")
    resume = add("resume", "control:resume", "let a paused run go on")
    cancel = add("cancel", "control:cancel", "end a run for good")
    for command in (pause, resume, cancel):
        command.add_argument("run_id", metavar="id", help="a run's id")


def _add_keeping(add: _Add) -> None:
    verify = add("verify", "records:verify", "check that the journal was not changed since it was written")
    export = add("export", "records:export", "print the journal as JSON Lines")
    for command in (verify, export):
        command.add_argument("some_id", metavar="id", nargs="?", help="a run's or a plan's id; without it, everything")
    prune = add("prune", "records:prune", "forget runs that ended long ago")
    older = "days since they ended"
    prune.add_argument("--older-than", dest="days", type=_days, required=True, metavar="DAYS", help=older)
    lessons = add("lessons", "records:lessons", "what failed runs and rejections have taught")
    lessons.add_argument("--forget", metavar="ID", help="forget this lesson, or all")
    _add_recipes(add("recipes", "recipes:recipes", "plans that reached their goals: ours, and those of your runs"))


def _add_recipes(recipes: argparse.ArgumentParser) -> None:
    as_json = "forethought.cli.recipes:as_json"
    recipes.add_argument("--json", action="store_const", const=as_json, dest="run", help="list them as JSON")
    actions = recipes.add_subparsers(metavar="ACTION")

    def add(name: str, meaning: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=meaning)
        action.set_defaults(run=f"forethought.cli.recipes:{name}")
        return action

    add("show", "show one as planners see it").add_argument("name", help="its name or id")
    add("forget", "forget one that was kept").add_argument("name", help="its name or id, or all")
    name = add("name", "give the plan of a run a name, to run it again")
    name.add_argument("run_id", metavar="id", help="the run's id")
    name.add_argument("name", help="such as monthly-report")
    name.add_argument("values", nargs="*", metavar="KEY=VALUE", help="a value that may differ next time, and its name")


def _add_decide(add: _Add) -> None:
    decide = add("decide", "decide:decide", "approve or reject what waits for a person")
    decide.add_argument("some_id", metavar="id", nargs="?", help="a run's id; without it, all runs")
    decide.add_argument("--code", action="store_true", help="show the code of the page that a server has opened")
    decide.add_argument("--page", action="store_true", help="on a page in the browser, with a code from the terminal")


def _add_fetch(model: argparse.ArgumentParser) -> None:
    fetch = model.add_subparsers(required=True, metavar="ACTION").add_parser(
        "fetch", help="bring the embedded model's file, once"
    )
    fetch.set_defaults(run="forethought.cli.fetch:fetch")
    fetch.add_argument("name", nargs="?", help="which model (default: qwen2.5-coder-1.5b)")
    fetch.add_argument("--file", dest="source", metavar="PATH", help="a file that you have already")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError("a number of days is needed, 0 or more")
    return days


def _step(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("the number of a step is needed, 1 or more")
    return int(text)
