"""The gate at which the items of a loop wait together: one look, and all, some or none are approved."""

__all__ = ["calls_gate"]

from collections.abc import Mapping

from forethought_patterns.gates import Gate, digest
from forethought_patterns.plan import Step
from forethought_tools import Risk


def calls_gate(loop: Step, gates: Mapping[int, Gate], items: int) -> Gate:
    """One gate for the calls of several items of a loop, by their places in its list. Each is shown as it would be
    made, and the decision is bound to exactly these."""
    together = list(gates.values())
    risk = max(gate.risk for gate in together)
    reasons = list(dict.fromkeys(gate.reason for gate in together))
    return Gate(
        kind="calls",
        subject=f"Step {loop.id} wants to call {loop.tool}.",
        details={f"Item {index + 1} of {items} ({gate.risk})": gate.details for index, gate in gates.items()},
        reason=reasons[0] if len(reasons) == 1 else f"{reasons[0]} The other items have reasons of their own.",
        digest=digest(loop.tool, {"calls": [gate.digest for gate in together]}),
        step=loop.id,
        tool=loop.tool,
        risk=risk,
        undo="; ".join(dict.fromkeys(gate.undo for gate in together if gate.undo)),
        choices=("approve", "edit", "reject", "cancel")
        if risk >= Risk.HIGH
        else ("approve", "approve_tool", "edit", "reject", "cancel"),
        rests_on={name: sha for gate in together for name, sha in gate.rests_on.items()},
    )
