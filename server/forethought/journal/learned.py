"""What stays of runs for those that come: lessons, recipes and rules, as rows."""

__all__ = ["JSON_COLUMNS", "Learned", "decoded"]

import json
import re
from collections.abc import Sequence
from typing import Any

from forethought.journal.database import BrokenError, DamagedError, Database, Row, Value
from forethought.journal.rows import LessonRow, RecipeRow, RuleRow
from forethought_tools import StoreError

JSON_COLUMNS = frozenset({"body", "options", "budget", "arguments", "result", "answer", "claim"})


class Learned:
    """The part of the queries of one journal that is about what was learned."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def name(self) -> str:
        """Where the journal is."""
        return self.database.name

    def lessons(self, workspace: str | None = None, *, about: str | None = None, limit: int = 100) -> list[LessonRow]:
        """What runs have taught, the latest first; with `about` only what shares words with it, the nearest first."""
        if about is None:
            rows = self._select(
                "SELECT * FROM lesson WHERE workspace = coalesce(:workspace, workspace)"
                " ORDER BY created DESC, id LIMIT :most",
                workspace=workspace,
                most=limit,
            )
        else:
            found = sorted(set(re.findall(r"\w{3,}", about)))[:64]
            words = " OR ".join(f'"{word}"' for word in found) or '""'
            rows = self._select(self.database.near, words=words, workspace=workspace, most=limit)
        return [LessonRow(**decoded(row)) for row in rows]

    def recipes(self, workspace: str | None = None) -> list[RecipeRow]:
        """What was kept of runs that ended well, those with a name first, then the latest first."""
        rows = self._select(
            "SELECT * FROM recipe WHERE workspace = coalesce(:workspace, workspace)"
            " ORDER BY name = '', name, created DESC, id",
            workspace=workspace,
        )
        return [RecipeRow(**decoded(row)) for row in rows]

    def rules(self, workspace: str | None = None, tool: str | None = None) -> list[RuleRow]:
        """What people have allowed once and for all, the latest first."""
        rows = self._select(
            "SELECT * FROM rule WHERE workspace = coalesce(:workspace, workspace) AND tool = coalesce(:tool, tool)"
            " ORDER BY created DESC, id",
            workspace=workspace,
            tool=tool,
        )
        return [RuleRow(**decoded(row)) for row in rows]

    def rules_used(self, run_id: str) -> dict[int, str]:
        """The rules that have let calls of steps pass in a run, by step."""
        return {step: rule for step, (rule, _) in self.calls_ruled(run_id).items()}

    def calls_ruled(self, run_id: str) -> dict[int, tuple[str, str]]:
        """The same, each with the digest of the latest such call."""
        rows = self._select("SELECT body FROM journal WHERE run = :run AND kind = 'rule_used' ORDER BY seq", run=run_id)
        used = [json.loads(row["body"]) for row in rows]
        return {body["step"]: (body["rule"], body["digest"]) for body in used if body["step"] is not None}

    def _select(self, sql: str, **values: Value) -> Sequence[Row]:
        try:
            return self.database.select(sql, values)
        except BrokenError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: BrokenError) -> StoreError:
        return StoreError(f"The journal {self.name} could not be read: {error}.")


def decoded(row: Row) -> dict[str, Any]:
    """A row with its JSON read. Raises DamagedError where it is none."""
    names = list(row.keys())  # iterating a row of SQLite gives its values
    try:
        return {
            name: json.loads(row[name]) if name in JSON_COLUMNS and row[name] is not None else row[name]
            for name in names
        }
    except (ValueError, TypeError):
        of = next(row[name] for name in ("run", "id") if name in names)
        raise DamagedError(f"The records of {of} were changed from outside. `forethought verify` tells more.") from None
