"""What reflections and searches have noted on their way, read back, and how much of it is shown."""

__all__ = ["Note", "bounded", "notes"]

from collections.abc import Mapping
from dataclasses import dataclass

from forethought.journal.queries import Queries
from forethought_patterns.author import CUT_OFF
from forethought_tools import JSON
from forethought_tools.text import shortened

_SHOWN = 6000  # characters of a draft, or of an answer, that a result shows


@dataclass(frozen=True)
class Note:
    """One note. Its key in the journal is `step/3/1/round/2`, or `round/2` where the run itself has noted it."""

    purpose: str
    """The step and attempt that it is for, or nothing."""
    kind: str
    body: Mapping[str, JSON]


def notes(queries: Queries, run_id: str) -> list[Note]:
    """Every note of a run, in order; of a round that was cut off only until it was judged after all."""
    messages = queries.messages(run_id, "note")
    judged = {f"{message.key}{CUT_OFF}" for message in messages}
    found: list[Note] = []
    for message in (each for each in messages if each.key not in judged):
        parts = message.key.split("/")
        at = 3 if parts[0] == "step" else 0
        found.append(Note("/".join(parts[:at]), parts[at], message.body))
    return found


def bounded(text: str) -> str:
    """A long text without its end, and where the whole is."""
    return shortened(text, _SHOWN, "... ({whole} characters; `details` has the whole)")
