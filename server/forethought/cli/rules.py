"""`forethought rules`: list what a person has allowed once and for all, and take it back. Needs no server."""

__all__ = ["forget", "rules"]

import json
from datetime import UTC, datetime

from rich.markup import escape

from forethought.app import open_journal
from forethought.cli.forgetting import forgotten
from forethought.cli.terminal import PROGRAM, console, print_json
from forethought.journal.rows import RuleRow
from forethought.settings import Settings
from forethought_tools import JSON
from forethought_tools.visible import visible

_NONE = "No rules yet. `always` at a question in the terminal or on the page makes one."
_TOLD = 10  # rules that are named before they are forgotten


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
        told = ", ".join(visible(row.rule) for row in gone[:_TOLD]) + (" and more" if len(gone) > _TOLD else "")
        asking = f"{len(gone)} of your rules ({told})"
        ids = [row.id for row in gone]
        return forgotten(journal.store, "rule", rule_id, ids, asking=asking, yes=yes, as_json=as_json)


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
