"""Runs whose servers die: a run that hangs or kills its server must not do the same to every server that starts.

What a new server records of such a run is what it takes up again. Only what is new counts as getting further.
"""

__all__ = ["ASIDE", "Deaths", "died_twice"]

import json

from forethought.journal.queries import Queries
from forethought.journal.rows import Entry, RunRow

ASIDE = "not resumed: its server died twice while driving it, and nothing new was recorded in between"
_AGAIN = frozenset({"step_started", "step_resumed", "call_started"})
"""What is recorded once more where a call is made once more."""
_BESIDE = frozenset({"claimed", "freed", "spent", "budget_nearly_spent", "pause_asked"})
"""What is no step forward, even if it is new."""


class Deaths:
    """Which runs this process leaves alone. Each is looked at once for every entry that is added to it."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._aside: dict[str, int] = {}  # runs, and their latest entries

    def are_too_many(self, run: RunRow) -> bool:
        """Whether a person has to say that a run whose server is gone goes on."""
        latest = self._queries.latest_entry(run.id)
        if self._aside.get(run.id) == latest:
            return True
        self._aside.pop(run.id, None)
        if died_twice(self._queries, run):
            self._aside[run.id] = latest
        return run.id in self._aside


def died_twice(queries: Queries, run: RunRow) -> bool:
    """Whether a server has died that had taken a run over from a dead one, and nothing new was recorded in between."""
    if run.state != "running" or run.owner is None or queries.alive(run.owner):
        return False
    recorded = queries.since_claim(run.id)
    if not recorded or recorded[0].body["previous"] in (None, recorded[0].body["owner"]):
        return False
    claim, *since = recorded
    left = [entry for entry in since if not _is_beside(entry)]
    if any(entry.kind not in _AGAIN for entry in left):
        return False
    earlier = {_said(entry) for entry in queries.entries_before(run.id, claim.seq, _AGAIN)} if left else set[str]()
    return all(_said(entry) in earlier for entry in left)


def _is_beside(entry: Entry) -> bool:
    return entry.kind in _BESIDE or (entry.kind == "asked" and str(entry.body["key"]).startswith("again/"))


def _said(entry: Entry) -> str:
    body = {name: value for name, value in entry.body.items() if name != "epoch"}
    return json.dumps([entry.kind, body], sort_keys=True)
