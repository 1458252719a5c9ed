"""Standing rules: what a person has allowed once and for all, in the folders of the run where they said so."""

__all__ = ["made", "rule_for"]

from collections.abc import Mapping

from forethought.journal.codec import workspace_of
from forethought.journal.database import new_id
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, RuleRow, RunRow
from forethought_patterns import Decision, Gate
from forethought_tools import JSON, Registry


def made(gate: Gate, decision: Decision, run: RunRow, tools: Registry) -> list[Fact]:
    """The fact of the rule that a person has made by a decision, if they have."""
    if not decision.rule:
        return []
    body: Mapping[str, JSON] = {
        "files": dict((gate.offers or {})[decision.rule]),
        "fingerprint": tools.fingerprint(gate.tool),
    }
    about: dict[str, JSON] = {"id": new_id("rule"), "workspace": workspace_of(run.folders), "tool": gate.tool}
    return [Fact("rule_made", {**about, "rule": decision.rule, "body": body, "channel": decision.channel})]


async def rule_for(gate: Gate, run: RunRow, queries: Queries, tools: Registry) -> RuleRow | None:
    """The rule by which this call may pass, as it and what the rule rests on are now."""
    if gate.offers is None:
        return None
    for row in queries.rules(workspace_of(run.folders), gate.tool):
        if tools.covered(row.rule, gate.tool, gate.details) and row.body["fingerprint"] == tools.fingerprint(gate.tool):
            files = await tools.bound_to(row.rule, gate.tool, gate.details)
            if row.body["files"] == files:
                return row
    return None
