"""Every command: its options, and the function that runs it, which is imported when it runs and not before.

A command's function takes the settings, and each option by the name that it has here.
"""

__all__ = ["SERVE", "STATES", "parser", "run_command", "secret_variables"]

import argparse
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from forethought import __version__
from forethought.cli.completion import completed, plans_and_runs, recipe_names, rule_ids, run_ids
from forethought.cli.options import budget, count, days, share, step, steps_at_once

STATES = (
    "running",
    "stale",
    "waiting",
    "pausing",
    "paused",
    "ending",
    "succeeded",
    "failed",
    "cancelled",
    "not resumed",
)
"""What `runs` says of a run. A stale one was running when its server died."""

if TYPE_CHECKING:
    from forethought.settings import Settings

SERVE = "forethought.cli.serve:serve"
"""The function that reads the settings itself: what is wrong with them is for the client to hear."""


def run_command(options: Mapping[str, Any]) -> int:
    """Run the command that these options were given to. Returns its exit status."""
    given = dict(options)
    name = given.pop("run")
    command: Callable[..., int] = resolve_name(name)
    read = partial(_settings, given.pop("folder", ()), given.pop("model", None), given.pop("servers", ()))
    return command(read if name == SERVE else read(), **given)


def _settings(folders: Sequence[str], model: str | None, servers: Sequence[str]) -> "Settings":
    """The settings; once they are read, no other program reads what is secret of them."""
    from forethought.privacy import keep_private
    from forethought.settings import Settings

    settings = Settings.read(folders=folders, model=model, servers=servers)
    keep_private(secret_variables(settings.secrets))
    return settings


def secret_variables(secrets: Collection[str]) -> list[str]:
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
    _add_plan(add, working)
    _add_looking(add)
    _add_tools(add, working)
    _add_rollback(add, working)
    _add_steering(add)
    _add_keeping(add)
    _add_decide(add)
    doctor = add("doctor", "doctor:doctor", "say what was found, and how to mend what is missing")
    _add_json(doctor, "what was found")
    _add_servers(doctor)
    _add_install(add("install", "install:install", "write the entry for this server into the settings of a client"))
    _add_fetch(commands.add_parser("model", help="the embedded model"))
    shell = add("completion", "completion:completion", "print what a shell needs to complete commands, options and ids")
    shell.add_argument("shell", choices=["bash", "zsh", "fish"], help="your shell")
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
    _add_servers(working)
    return working


def _add_servers(command: argparse.ArgumentParser) -> None:
    servers = "a file that lists MCP servers whose tools steps may call; may be given again"
    command.add_argument("--servers", action="append", default=[], metavar="FILE", help=servers)


def _add_goal(command: argparse.ArgumentParser) -> None:
    command.add_argument("goal", nargs="*", help="what you want, in your words")
    again = "make the plan from a kept recipe, with its parameters"
    recipe = command.add_argument("--recipe", nargs="+", metavar=("NAME", "KEY=VALUE"), help=again)
    completed(recipe, recipe_names)


def _add_json(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--json", action="store_true", dest="as_json", help=f"{what}, as JSON")


def _add_run(add: _Add, working: argparse.ArgumentParser) -> None:
    run = add("run", "run:run", "plan a goal, run the plan, ask before anything risky", [working])
    _add_goal(run)
    resume = "go on with a run instead; of one that failed or was cancelled, with what has not succeeded"
    completed(run.add_argument("--resume", metavar="ID", help=resume), plans_and_runs)
    run.add_argument("--anew", action="store_true", help="with --resume: run all of the plan once more")
    run.add_argument("--yes", action="store_true", help="run the plan without asking; risky steps still ask")
    run.add_argument("--max-parallel", type=steps_at_once, metavar="N", help="steps at once, 1 to 64 (default 8)")
    run.add_argument("--replan", choices=["on_failure", "every_step", "never"], help="when the rest is planned anew")
    run.add_argument("--approve-plan", action="store_true", help="approve, edit or reject the whole plan first")
    run.add_argument("--ask-from", choices=["low", "medium", "high"], help="risk from which you are asked")
    run.add_argument("--ask-below", type=share, metavar="P", help="confidence, 0 to 1, below which you are asked")
    run.add_argument("--budget", type=budget, metavar="LIMITS", help="such as dollars=0.5,model_calls=50")


def _add_plan(add: _Add, working: argparse.ArgumentParser) -> None:
    _add_goal(add("plan", "run:plan", "make a plan and show it; nothing of it is run", [working]))


def _add_looking(add: _Add) -> None:
    runs = add("runs", "records:runs", "list recent runs, newest first")
    runs.add_argument(
        "--state", action="append", type=str.lower, choices=STATES, help="only runs in this state, or in these"
    )
    runs.add_argument("--limit", type=count, default=20, metavar="N", help="how many (default 20)")
    _add_json(runs, "the list")
    show = add("show", "records:show", "show a plan or a run")
    completed(show.add_argument("some_id", metavar="id", help="a plan's or a run's id"), plans_and_runs)
    show.add_argument("--journal", action="store_true", help="everything the run did, one JSON object a line")
    show.add_argument("--diff", action="store_true", help="what the latest revision of the plan has changed")
    _add_json(show, "the plan or the run")


def _add_tools(add: _Add, working: argparse.ArgumentParser) -> None:
    tools = add("tools", "tools:tools", "list what steps can call: from where, at what risk, and why", [working])
    tools.add_argument("words", nargs="*", metavar="WORDS", help="only those nearest to these words")
    _add_json(tools, "the list")


def _add_rollback(add: _Add, working: argparse.ArgumentParser) -> None:
    rollback = add("rollback", "run:rollback", "undo what a run has written; asks first", [working])
    completed(rollback.add_argument("run_id", metavar="id", help="a run's id"), run_ids)
    rollback.add_argument("--step", type=step, metavar="N", help="only this step")
    rollback.add_argument("--dry-run", action="store_true", help="only show what would be done")


def _add_steering(add: _Add) -> None:
    pause = add("pause", "control:pause", "start nothing more of a run for now; what is in flight ends")
    resume = add("resume", "control:resume", "let a paused run go on")
    cancel = add("cancel", "control:cancel", "end a run for good")
    for command in (pause, resume, cancel):
        completed(command.add_argument("run_id", metavar="id", help="a run's id"), run_ids)


def _add_keeping(add: _Add) -> None:
    verify = add("verify", "records:verify", "check that the journal was not changed since it was written")
    export = add("export", "records:export", "print the journal as JSON Lines")
    for command in (verify, export):
        whole = command.add_argument(
            "some_id", metavar="id", nargs="?", help="a run's or a plan's id; without it, everything"
        )
        completed(whole, plans_and_runs)
    prune = add("prune", "records:prune", "forget runs that ended long ago; asks first")
    older = "days since they ended"
    prune.add_argument("--older-than", dest="days", type=days, required=True, metavar="DAYS", help=older)
    prune.add_argument("--yes", action="store_true", help="forget them without asking")
    lessons = add("lessons", "records:lessons", "what failed runs and rejections have taught")
    lessons.add_argument("--forget", metavar="ID", help="forget this lesson, or all")
    lessons.add_argument("--yes", action="store_true", help="forget all without asking")
    _add_json(lessons, "the list")
    _add_rules(add("rules", "rules:rules", "what you have allowed once and for all"))
    _add_recipes(add("recipes", "recipes:recipes", "plans that reached their goals: ours, and those of your runs"))


def _add_rules(rules: argparse.ArgumentParser) -> None:
    _add_json(rules, "the list")
    forget = rules.add_subparsers(metavar="ACTION").add_parser("forget", help="take one back, or all; asks first")
    forget.set_defaults(run="forethought.cli.rules:forget")
    completed(forget.add_argument("rule_id", metavar="ID", help="its id, or all"), rule_ids)
    forget.add_argument("--yes", action="store_true", help="take it back without asking")
    _add_json(forget, "what was taken back")


def _add_recipes(recipes: argparse.ArgumentParser) -> None:
    as_json = "forethought.cli.recipes:as_json"
    recipes.add_argument("--json", action="store_const", const=as_json, dest="run", help="list them as JSON")
    actions = recipes.add_subparsers(metavar="ACTION")

    def add(name: str, meaning: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=meaning)
        action.set_defaults(run=f"forethought.cli.recipes:{name}")
        return action

    completed(add("show", "show one as planners see it").add_argument("name", help="its name or id"), recipe_names)
    forget = add("forget", "forget one that was kept")
    completed(forget.add_argument("name", help="its name or id, or all"), recipe_names)
    forget.add_argument("--yes", action="store_true", help="forget all without asking")
    name = add("name", "give the plan of a run a name, to run it again")
    completed(name.add_argument("run_id", metavar="id", help="the run's id"), run_ids)
    name.add_argument("name", help="such as monthly-report")
    name.add_argument("values", nargs="*", metavar="KEY=VALUE", help="a value that may differ next time, and its name")


def _add_decide(add: _Add) -> None:
    decide = add("decide", "decide:decide", "approve or reject what waits for a person")
    completed(decide.add_argument("some_id", metavar="id", nargs="?", help="a run's id; without it, all runs"), run_ids)
    decide.add_argument("--code", action="store_true", help="show the code of the page that a server has opened")
    decide.add_argument("--page", action="store_true", help="on a page in the browser, with a code from the terminal")


def _add_fetch(model: argparse.ArgumentParser) -> None:
    fetch = model.add_subparsers(required=True, metavar="ACTION").add_parser(
        "fetch", help="bring the embedded model's file, once"
    )
    fetch.set_defaults(run="forethought.cli.fetch:fetch")
    fetch.add_argument("name", nargs="?", help="which model (default: qwen2.5-coder-1.5b)")
    fetch.add_argument("--file", dest="source", metavar="PATH", help="a file that you have already")


def _add_install(install: argparse.ArgumentParser) -> None:
    from forethought.cli.clients import CLIENTS

    install.add_argument("name", metavar="CLIENT", choices=[*CLIENTS], help=", ".join(CLIENTS))
    install.add_argument("--print", dest="only_print", action="store_true", help="only show what belongs there")
    install.add_argument("--yes", action="store_true", help="write it without asking")
    allowed = "a folder that its tools may use; may be given again (default: where the client starts it)"
    install.add_argument("--folder", dest="folders", action="append", default=[], metavar="DIR", help=allowed)
