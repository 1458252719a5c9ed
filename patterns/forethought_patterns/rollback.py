"""Taking back what a run has done: the latest first, once a person agrees, and never over what others did since."""

__all__ = ["Effect", "Taken", "looked_at", "roll_back"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from forethought_patterns.gates import Gate, digest
from forethought_patterns.ports import Approver, Journal
from forethought_tools import JSON, Claim, Kept, Registry, Risk, ToolError, Undo

Verdict: TypeAlias = Literal["undone", "would be undone", "nothing to undo", "conflict", "failed"]
_LEFT = ("conflict", "failed")  # alone


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that was made, and what was kept before it."""

    key: str
    """Names the call: what it was for."""
    step: int | None
    tool: str
    kept: Kept
    over: str = ""
    """The run that has written over it since, if one has."""

    @property
    def place(self) -> str:
        """What it has changed: others of the same place come one after the other."""
        return str(self.kept.get("real", self.key))


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking one effect back."""

    effect: Effect
    verdict: Verdict
    told: str
    """What taking it back does, or why it was not done."""

    def body(self) -> Mapping[str, JSON]:
        """The same as JSON."""
        return {"step": self.effect.step, "tool": self.effect.tool, "verdict": self.verdict, "what": self.told}


async def looked_at(effects: Sequence[Effect], tools: Registry) -> list[Taken]:
    """What taking effects back, the latest first, would do as the world stands. Changes nothing."""
    found: list[Taken] = []
    put_back: dict[str, Effect] = {}
    for effect in effects:
        undo = _undo(effect, tools)
        if isinstance(undo, str):
            found.append(Taken(effect, "failed", undo))
            continue
        # What a later call of the same run has left is put back first: then the world is as the earlier has left it.
        told, later = undo.told(effect.kept), put_back.get(effect.place)
        if later is None:
            taken = await _judged(effect, undo, "would be undone")
        elif later.kept.get("content") == effect.kept.get("left"):
            taken = Taken(effect, "would be undone", told)
        else:
            taken = Taken(effect, "conflict", f"{told}: others had changed it before the run wrote it again")
        found.append(taken)
        if taken.verdict == "would be undone":
            put_back[effect.place] = effect
    return found


async def roll_back(
    effects: Sequence[Effect], tools: Registry, journal: Journal, approver: Approver, *, of: str, lasting: Sequence[str]
) -> list[Taken] | str:
    """Take effects back, the latest first. Returns what came of each, or why a person did not want it.

    Args:
        effects: The latest first.
        tools: Know how their calls are taken back.
        journal: Remembers what was taken back, so that a resumed rollback goes on.
        approver: A person has to agree first.
        of: What is rolled back, for the person.
        lasting: What the run has also done and cannot be undone, for the person.
    """
    if not effects:
        return "What it takes to undo this was forgotten meanwhile."

    async def look() -> JSON:
        return [[taken.verdict, taken.told] for taken in await looked_at(effects, tools)]

    shown = cast("Sequence[tuple[Verdict, str]]", await journal.once("shown", None, {}, tools.place_for(Claim()), look))
    seen = [Taken(effect, verdict, told) for effect, (verdict, told) in zip(effects, shown, strict=True)]
    if any(taken.verdict not in _LEFT for taken in seen):
        gate = _gate(seen, of, lasting)
        decision = await approver.decide(gate, key=f"gate/rollback/{gate.digest}")
        if not decision.approved:
            return f"Rejected by a person: {decision.reason or 'no reason given'}"
    done: list[Taken] = []
    for effect, before in zip(effects, seen, strict=True):
        # What the person was told will be left alone is left alone.
        taken = before if before.verdict in _LEFT else await _taken(effect, before, tools, journal)
        await journal.note(f"undone/{effect.key}", taken.body())
        done.append(taken)
    return done


async def _taken(effect: Effect, before: Taken, tools: Registry, journal: Journal) -> Taken:
    undo = _undo(effect, tools)
    if isinstance(undo, str):
        return Taken(effect, "failed", undo)

    async def act() -> JSON:
        judged = await _judged(effect, undo, "undone")
        if before.verdict == "nothing to undo" and judged.verdict == "undone":
            judged = Taken(effect, "conflict", f"{before.told}: it was written meanwhile, so it is left as it is")
        if judged.verdict != "conflict":
            await undo.back(effect.kept)
        return [judged.verdict, judged.told]

    place = tools.place_for(undo.touches(effect.kept))
    try:
        verdict, told = cast(
            "tuple[Verdict, str]",
            await journal.once(f"undo/{effect.key}", None, {"undo": undo.told(effect.kept)}, place, act),
        )
    except ToolError as error:
        return Taken(effect, "failed", str(error))
    return Taken(effect, verdict, told)


async def _judged(effect: Effect, undo: Undo, done: Verdict) -> Taken:
    told = undo.told(effect.kept)
    if effect.over:
        return Taken(effect, "conflict", f"{told}: {effect.over} has written over it since. Roll that back first")
    try:
        stands = await undo.stands(effect.kept)
    except ToolError as error:
        return Taken(effect, "conflict", f"{told}: {error}")
    if stands == "changed":
        return Taken(effect, "conflict", f"{told}: it was changed since, so it is left as it is")
    return Taken(effect, "nothing to undo" if stands == "as before" else done, told)


def _undo(effect: Effect, tools: Registry) -> Undo | str:
    known = tools.get(effect.tool)
    return known.undo if known and known.undo else f"{effect.tool} does not know here how its calls are undone"


def _gate(plan: Sequence[Taken], of: str, lasting: Sequence[str]) -> Gate:
    details: dict[str, JSON] = {
        f"{number}. step {taken.effect.step or '-'}": f"{taken.verdict}: {taken.told}"
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
