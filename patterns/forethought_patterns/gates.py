"""Which calls wait for a person, and what that person is shown.

The gate judges the concrete call, after references are filled in. An approval is bound to the digest of tool and
arguments and is good for one call. Silence is not consent.
"""

__all__ = ["Decision", "Gate", "digest", "gate_for", "visible"]

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forethought_patterns.plan import Step
from forethought_tools import JSON, Registry, Risk

_SHOWN = 4000  # characters of all arguments that a form shows in full


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one gate, and how we know."""

    approved: bool
    reason: str = ""
    by: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A call that waits for a person."""

    step: int
    tool: str
    arguments: Mapping[str, JSON]
    risk: Risk
    reason: str
    digest: str

    @property
    def fits_a_form(self) -> bool:
        """Whether a form can show all of the call. If not, only a terminal may take the decision."""
        return sum(len(_plain(value)) for value in self.arguments.values()) <= _SHOWN

    def text(self, goal: str, folders: Sequence[str] = ()) -> str:
        """What the person reads before deciding: all of it. Nothing in it can hide or reorder anything else."""
        lines = [f"{visible(name)}: {_plain(value)}" for name, value in self.arguments.items()] or ["(no arguments)"]
        return "\n".join(
            [
                f"Step {self.step} wants to call {visible(self.tool)}.",
                *lines,
                f"Risk: {self.risk}. {self.reason}",
                f"Folders: {', '.join(map(visible, folders)) or 'none'}",
                f"Goal: {visible(goal)[:300]}",
            ]
        )


def gate_for(step: Step, arguments: Mapping[str, JSON], tools: Registry, *, threshold: Risk = Risk.HIGH) -> Gate | None:
    """The gate that this call has to pass, or none. Unknown tools count as HIGH."""
    risk = tools.risk(step.tool)
    if risk < threshold:
        return None
    known = step.tool in tools
    reason = _REASONS[risk] if known else "Nobody knows what this tool does, so it counts as high."
    return Gate(step.id, step.tool, arguments, risk, reason, digest(step.tool, arguments))


def digest(tool: str, arguments: Mapping[str, JSON]) -> str:
    """What an approval is bound to: SHA-256 of tool and arguments in a canonical form."""
    canonical = json.dumps([tool, arguments], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def visible(text: str) -> str:
    """The text with control, format and bidirectional characters spelled out, so that what is read is what is there."""
    return "".join(f"\\u{ord(char):04x}" if _deceives(char) else char for char in text)


def _deceives(char: str) -> bool:
    hidden = unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
    blank = char != " " and (unicodedata.category(char) == "Zs" or char in _BLANKS)
    return hidden or blank or 0xFE00 <= ord(char) <= 0xFE0F


def _plain(value: JSON) -> str:
    return visible(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=True)


_BLANKS = "\u034f\u115f\u1160\u2800\u3164\uffa0"  # look like a space, or like nothing

_REASONS = {
    Risk.LOW: "It only reads.",
    Risk.MEDIUM: "It changes something.",
    Risk.HIGH: "What it does cannot be undone.",
}
