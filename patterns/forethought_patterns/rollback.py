"""Taking back what a run has done: the latest first, once a person agrees, and never over what others did since."""

__all__ = ["Taken", "UndoableCall", "looked_at", "places", "roll_back"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

from forethought_patterns.gates import Gate, digest
from forethought_patterns.ports import Approver, Journal
from forethought_patterns.problem import Problem
from forethought_patterns.slots import Slot
from forethought_tools import JSON, Claim, Kept, Registry, Risk, ToolError, Undo
from forethought_tools.undo import ANYTHING

Verdict: TypeAlias = Literal["undone", "would be undone", "nothing to undo", "conflict", "failed"]
_LEFT = ("conflict", "failed")  # alone


@dataclass(frozen=True, slots=True)
class UndoableCall:
    """One call that was made, and what was kept before it."""

    key: str
    """Names the call: what it was for."""
    step: int | None
    tool: str
    kept: Kept
    over: str = ""
    """The run that has written over it since, if one has."""

    @property
    def changes(self) -> Mapping[str, Kept]:
        """What it has changed, by place: others of the same place come one after the other."""
        return places(self.kept) or {self.key: self.kept}


def places(kept: Kept) -> dict[str, Kept]:
    """The files and folders that a call has changed, each with what was kept of it. A move changes two."""
    also = cast("Sequence[Kept]", kept.get("also", ()))
    alone: Kept = {name: value for name, value in kept.items() if name != "also"}
    return {str(each["real"]): each for each in (alone, *also) if "real" in each}


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking one call back."""

    call: UndoableCall
    verdict: Verdict
    what: str
    """What taking it back does, or why it was not done."""

    def body(self) -> Mapping[str, JSON]:
        """The same as JSON."""
        return {"step": self.call.step, "tool": self.call.tool, "verdict": self.verdict, "what": self.what}


async def looked_at(calls: Sequence[UndoableCall], tools: Registry) -> list[Taken]:
    """What taking calls back, the latest first, would do as the world stands. Changes nothing."""
    found: list[Taken] = []
    put_back: dict[str, Kept] = {}
    for call in calls:
        undo = _undo(call, tools)
        if isinstance(undo, Problem):
            found.append(Taken(call, "failed", undo.text))
            continue
        # What a later call of the same run has left is put back first: then the world is as the earlier has left it.
        later = {place: put_back[place] for place in call.changes if place in put_back}
        taken = await (_judged_after(call, undo, later) if later else _judged(call, undo, "would be undone"))
        found.append(taken)
        if taken.verdict == "would be undone":
            put_back |= call.changes
    return found


async def _judged_after(call: UndoableCall, undo: Undo, later: Mapping[str, Kept]) -> Taken:
    """What becomes of a call once later ones of the same run have put back what was there before them."""
    what = undo.described(call.kept)
    if any(
        change.get("left") not in (later[place].get("content"), ANYTHING)
        for place, change in call.changes.items()
        if place in later
    ):
        return Taken(call, "conflict", f"{what}: others had changed it before the run wrote it again")
    for place in call.changes.keys() - later.keys():
        alone = await _judged(replace(call, kept=call.changes[place]), undo, "would be undone")
        if alone.verdict != "would be undone":
            return Taken(call, "conflict", f"{what}: it was changed since, so it is left as it is")
    return Taken(call, "would be undone", what)


async def roll_back(
    calls: Sequence[UndoableCall],
    tools: Registry,
    journal: Journal,
    approver: Approver,
    *,
    slot: Slot,
    of: str,
    lasting: Sequence[str],
) -> list[Taken] | Problem:
    """Take calls back, the latest first. Returns what came of each, or why a person did not want it.

    Args:
        calls: The latest first.
        tools: Know how their calls are taken back.
        journal: Remembers what was taken back, so that a resumed rollback goes on.
        approver: A person has to agree first.
        slot: Of the run that rolls back.
        of: What is rolled back, for the person.
        lasting: What the run has also done and cannot be undone, for the person.
    """
    if not calls:
        return Problem("What it takes to undo this was forgotten meanwhile.")

    seen = await _shown(calls, tools, journal, slot)
    if any(taken.verdict not in _LEFT for taken in seen):
        gate = _gate(seen, of, lasting)
        decision = await approver.decide(gate, key=f"gate/rollback/{gate.digest}", slot=slot)
        if not decision.approved:
            return Problem(f"Rejected by a person: {decision.reason or 'no reason given'}")
    done: list[Taken] = []
    for before in seen:
        # What the person was told will be left alone is left alone.
        taken = before if before.verdict in _LEFT else await _taken(before, tools, journal, slot)
        await journal.note(f"undone/{taken.call.key}", taken.body())
        done.append(taken)
    return done


async def _shown(calls: Sequence[UndoableCall], tools: Registry, journal: Journal, slot: Slot) -> list[Taken]:
    """What taking these calls back would do as the world stood when the rollback began."""

    async def look() -> JSON:
        return [[taken.verdict, taken.what] for taken in await looked_at(calls, tools)]

    found = await journal.once("shown", {}, tools.place_for(Claim()), look, slot=slot)
    shown = cast("Sequence[tuple[Verdict, str]]", found)
    return [Taken(call, verdict, what) for call, (verdict, what) in zip(calls, shown, strict=True)]


async def _taken(before: Taken, tools: Registry, journal: Journal, slot: Slot) -> Taken:
    call = before.call
    undo = _undo(call, tools)
    if isinstance(undo, Problem):
        return Taken(call, "failed", undo.text)

    async def act() -> JSON:
        judged = await _judged(call, undo, "undone")
        if before.verdict == "nothing to undo" and judged.verdict == "undone":
            judged = Taken(call, "conflict", f"{before.what}: it was written meanwhile, so it is left as it is")
        if judged.verdict != "conflict":
            await undo.back(call.kept)
        return [judged.verdict, judged.what]

    place = tools.place_for(undo.touches(call.kept))
    try:
        came = await journal.once(f"undo/{call.key}", {"undo": undo.described(call.kept)}, place, act, slot=slot)
        verdict, what = cast("tuple[Verdict, str]", came)
    except ToolError as error:
        return Taken(call, "failed", str(error))
    return Taken(call, verdict, what)


async def _judged(call: UndoableCall, undo: Undo, done: Verdict) -> Taken:
    what = undo.described(call.kept)
    if call.over:
        return Taken(call, "conflict", f"{what}: {call.over} has written over it since. Roll that back first")
    try:
        stands = await undo.stands(call.kept)
    except ToolError as error:
        return Taken(call, "conflict", f"{what}: {error}")
    if stands == "changed":
        return Taken(call, "conflict", f"{what}: it was changed since, so it is left as it is")
    return Taken(call, "nothing to undo" if stands == "as before" else done, what)


def _undo(call: UndoableCall, tools: Registry) -> Undo | Problem:
    known = tools.get(call.tool)
    if known is None or known.undo is None:
        return Problem(f"{call.tool} does not know here how its calls are undone")
    return known.undo


def _gate(plan: Sequence[Taken], of: str, lasting: Sequence[str]) -> Gate:
    details: dict[str, JSON] = {
        f"{number}. step {taken.call.step or '-'}": f"{taken.verdict}: {taken.what}"
        for number, taken in enumerate(plan, 1)
    }
    if lasting:
        details["stays done, and cannot be undone"] = "; ".join(lasting)
    return Gate(
        kind="call",
        subject=f"A rollback of {of} wants to put back what it changed.",
        details=details,
        reason="What was written since then by others is not touched: that is a conflict, and is reported.",
        digest=digest("rollback", details),
        tool="rollback",
        risk=Risk.HIGH,
        undo="none",
        choices=("approve", "reject", "cancel"),
    )
