"""`forethought rules`: list what a person has allowed once and for all, and take it back. Needs no server."""

__all__ = ["forget", "rules"]

import json
from datetime import UTC, datetime

from rich.markup import escape

from forethought.app import open_journal
from forethought.cli.terminal import PROGRAM, agreed, console, errors, is_person, print_json
from forethought.journal.rows import Fact, RuleRow
from forethought.settings import Settings
from forethought_tools import JSON, NotFoundError
from forethought_tools.visible import visible

_NONE = "No rules yet. `always` at a question in the terminal or on the page makes one."


def rules(settings: Settings, *, as_json: bool) -> int:
    """List the rules that people have made, the latest first."""
    with open_journal(settings) as journal:
        known = journal.queries.rules()
    if as_json:
        print_json([_body(row) for row in known])
        return 0
    for row in known:
        _show(row)
    if known:
        console.print(f"[dim]{PROGRAM} rules forget ID takes one back.[/]", soft_wrap=True)
    else:
        console.print(_NONE)
    return 0


def forget(settings: Settings, *, rule_id: str, yes: bool, as_json: bool) -> int:
    """Take a rule back, or all of them: from then on a person is asked again."""
    with open_journal(settings) as journal:
        gone = [row for row in journal.queries.rules() if rule_id in ("all", row.id)]
        if not gone:
            raise NotFoundError(f"There is no rule {rule_id!r}. `forethought rules` lists them.")
        if not yes:
            if as_json or not is_person():
                errors.print("Nobody can be asked here; --yes takes them back without asking.")
                return 3
            for row in gone:
                _show(row)
            if not agreed("Take this back, so that you are asked again? [y/N] "):
                console.print("Nothing was taken back.")
                return 1
        ids: list[JSON] = [row.id for row in gone]
        journal.store.commit("", Fact("rules_forgotten", {"rules": ids}))
    if as_json:
        print_json({"forgotten": ids})
    else:
        console.print(f"Taken back: {len(gone)}.")
    return 0


def _show(row: RuleRow) -> None:
    folders = ", ".join(json.loads(row.workspace)) or "no folders"
    console.print(f"[bold]{row.id}[/] {escape(visible(row.rule))} (low)", soft_wrap=True)
    where = f"  made {_moment(row)} in {row.run} through the {row.channel}; holds in {visible(folders)}"
    console.print(f"[dim]{escape(where)}[/]", soft_wrap=True)


def _body(row: RuleRow) -> dict[str, JSON]:
    return {
        "rule_id": row.id,
        "rule": row.rule,
        "risk": "low",
        "run_id": row.run,
        "channel": row.channel,
        "folders": json.loads(row.workspace),
        "files": row.body["files"],
        "created": _moment(row),
    }


def _moment(row: RuleRow) -> str:
    return datetime.fromtimestamp(row.created, UTC).isoformat(timespec="seconds")
