"""The `forethought` command and its parts, each imported when it is used."""

__all__ = ["main", "parser"]

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import cast

from forethought import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 not done, 2 wrong usage or setting, 3 a person is needed."""
    from forethought_tools import ForethoughtError, SettingsError

    options = (known := parser()).parse_args(arguments)
    if options.command is None:
        known.print_help(sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        return _command(options)
    except SettingsError as error:
        print(f"forethought: {error}", file=sys.stderr)
        return 2
    except ForethoughtError as error:
        print(f"forethought: {error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:  # from inside a server
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = cast("BaseExceptionGroup[BaseException]", failure).exceptions[0]
        if not isinstance(failure, ForethoughtError):
            raise
        print(f"forethought: {failure}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read this has seen enough; what is left must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("forethought: interrupted", file=sys.stderr, flush=True)
        # A thread may still wait for a line from the terminal, and an ordinary exit would wait for the thread.
        os._exit(130)


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


def _command(options: argparse.Namespace) -> int:
    from forethought.settings import Settings

    settings = Settings.read(folders=getattr(options, "folder", ()), model=getattr(options, "model", None))
    match options.command:
        case "serve":
            from forethought.surface.server import build_server

            build_server(settings).run("stdio")
            return 0
        case "run":
            from forethought.cli.run import run

            return run(
                settings,
                options.goal,
                resume=options.resume,
                yes=options.yes,
                wishes=_wishes(options),
            )
        case "runs":
            from forethought.cli.records import runs

            return runs(settings)
        case "show":
            from forethought.cli.records import show

            return show(settings, options.id, journal=options.journal)
        case "rollback":
            from forethought.cli.run import rollback

            return rollback(settings, options.id, step=options.step, dry_run=options.dry_run)
        case "pause" | "resume" | "cancel":
            from forethought.cli import control

            steer = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}
            return steer[options.command](settings, options.id)
        case "verify":
            from forethought.cli.records import verify

            return verify(settings, options.id)
        case "export":
            from forethought.cli.records import export

            return export(settings, options.id)
        case "prune":
            from forethought.cli.records import prune

            return prune(settings, options.older_than)
        case "lessons":
            from forethought.cli.records import lessons

            return lessons(settings, forget=options.forget)
        case "decide":
            from forethought.cli.decide import decide

            return decide(settings, options.id, page=options.page, code=options.code)
        case "doctor":
            from forethought.cli.doctor import doctor

            return doctor(settings)
        case _:
            from forethought.cli.fetch import fetch

            return fetch(settings, options.name, source=options.file)


def _wishes(options: argparse.Namespace) -> dict[str, object]:
    """The terms of this run that were given as flags."""
    from forethought.terms import read_budget

    wishes: dict[str, object] = {
        "max_parallel": options.max_parallel,
        "replan": options.replan,
        "ask_from": options.ask_from,
        "ask_below": options.ask_below,
        "approve_plan": options.approve_plan or None,
        "budget": read_budget(options.budget, "--budget") if options.budget else None,
    }
    return {name: wish for name, wish in wishes.items() if wish is not None}


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="forethought",
        description="A planning engine for MCP clients: plans, parallel execution, human approval.",
    )
    top.add_argument("--version", action="version", version=f"forethought {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    working = argparse.ArgumentParser(add_help=False)
    working.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="DIR",
        help="a folder that tools may use; may be given again",
    )
    working.add_argument("--model", metavar="MODEL", help="host, local, local:NAME, or a model name at the endpoint")

    commands.add_parser("serve", parents=[working], help="serve MCP on standard input and output")

    run = commands.add_parser("run", parents=[working], help="plan a goal, run the plan, ask before anything risky")
    run.add_argument("goal", nargs="?", help="what you want, in your words")
    run.add_argument("--resume", metavar="ID", help="go on with a run instead")
    run.add_argument("--yes", action="store_true", help="run the plan without asking; risky steps still ask")
    run.add_argument("--max-parallel", type=int, metavar="N", help="steps at once (default 8)")
    run.add_argument("--replan", choices=["on_failure", "every_step", "never"], help="when the rest is planned anew")
    run.add_argument("--approve-plan", action="store_true", help="approve, edit or reject the whole plan first")
    run.add_argument("--ask-from", choices=["low", "medium", "high"], help="risk from which you are asked")
    run.add_argument("--ask-below", type=float, metavar="P", help="confidence, 0 to 1, below which you are asked")
    run.add_argument("--budget", metavar="LIMITS", help="such as dollars=0.5,model_calls=50")

    commands.add_parser("runs", help="list recent runs")

    show = commands.add_parser("show", help="show a plan or a run")
    show.add_argument("id", help="a plan's or a run's id")
    show.add_argument("--journal", action="store_true", help="everything the run did, one JSON object a line")

    rollback = commands.add_parser("rollback", parents=[working], help="undo what a run has written; asks first")
    rollback.add_argument("id", help="a run's id")
    rollback.add_argument("--step", type=_step, metavar="N", help="only this step")
    rollback.add_argument("--dry-run", action="store_true", help="only show what would be done")

    for name, meaning in (
        ("pause", "start nothing more of a run for now; what is in flight ends"),
        ("resume", "let a paused run go on"),
        ("cancel", "end a run for good"),
    ):
        commands.add_parser(name, help=meaning).add_argument("id", help="a run's id")

    verify = commands.add_parser("verify", help="check that the journal was not changed since it was written")
    verify.add_argument("id", nargs="?", help="a run's or a plan's id; without it, everything")
    export = commands.add_parser("export", help="print the journal as JSON Lines")
    export.add_argument("id", nargs="?", help="a run's or a plan's id; without it, everything")
    prune = commands.add_parser("prune", help="forget runs that ended long ago")
    prune.add_argument("--older-than", type=_days, required=True, metavar="DAYS", help="days since they ended")

    lessons = commands.add_parser("lessons", help="what failed runs and rejections have taught")
    lessons.add_argument("--forget", metavar="ID", help="forget this lesson, or all")

    decide = commands.add_parser("decide", help="approve or reject what waits for a person")
    decide.add_argument("id", nargs="?", help="a run's id; without it, all runs")
    decide.add_argument("--code", action="store_true", help="show the code of the page that a server has opened")
    decide.add_argument("--page", action="store_true", help="on a page in the browser, with a code from the terminal")

    commands.add_parser("doctor", help="say what was found, and how to mend what is missing")

    model = commands.add_parser("model", help="the embedded model").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    fetch = model.add_parser("fetch", help="bring the embedded model's file, once")
    fetch.add_argument("name", nargs="?", help="which model (default: qwen2.5-coder-1.5b)")
    fetch.add_argument("--file", metavar="PATH", help="a file that you have already")
    return top
