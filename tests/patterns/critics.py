"""Drafts that are judged by a script."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from forethought_patterns import Problem
from forethought_patterns.reflection import Critique, Evidence, Issue, Round

DEFECT = Issue("line 1", "it is wrong", "right it")
WORSE = (DEFECT, Issue("line 2", "it is wrong too", "right it"))
TASTE = Issue("line 1", "it could be prettier", "prettify it", taste=True)


def critique(score: float, *issues: Issue, approved: bool = False, lessons: Sequence[str] = ()) -> Critique:
    return Critique({"good": score}, issues, approved, lessons)


@dataclass
class Scripted:
    """Judges by a script, one critique after the other; `failing` are the drafts that a check refuses."""

    critiques: list[Critique]
    failing: Sequence[str] = ()
    checked: bool = False
    doubts: list[str] = field(default_factory=list[str])
    known: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    revised: list[str] = field(default_factory=list[str])
    """The drafts that were revised."""
    named: list[Sequence[Issue]] = field(default_factory=list[Sequence[Issue]])
    """What was to be mended in them, beside what fails."""
    texts: list[str] = field(default_factory=list[str])
    """What they are revised to; a new draft where that is at its end."""
    asked: list[str] = field(default_factory=list[str])
    """What was wrong with the last revision."""

    async def write(self) -> str:
        return "draft 1"

    async def check(self, draft: str, number: int) -> Sequence[Evidence]:
        if not self.failing and not self.checked:
            return []
        return [Evidence("a check", Problem("it does not hold") if draft in self.failing else None)]

    async def critique(
        self,
        draft: str,
        evidence: Sequence[Evidence],
        past: Sequence[Round],
        lessons: Sequence[str],
        doubt: Problem | None,
    ) -> Critique:
        self.doubts.append(str(doubt or ""))
        self.known.append(tuple(lessons))
        return self.critiques.pop(0)

    async def revise(self, base: Round, past: Sequence[Round], lessons: Sequence[str], doubt: Problem | None) -> str:
        self.revised.append(base.draft)
        self.named.append([*base.critique.issues])
        self.asked.append(str(doubt or ""))
        return self.texts.pop(0) if self.texts else f"draft {len(past) + 1}"
