"""What runs teach: failures and refusals become lessons of a line, for whoever plans in the same folders later."""

__all__ = ["learned", "with_lessons"]

from collections.abc import Sequence
from dataclasses import replace

from forethought.journal.codec import workspace_of
from forethought.journal.database import new_id
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, RunRow
from forethought_patterns import Brief

_MOST = 3  # lessons of one run's end
_CITED = 3  # lessons that a planner is told
_TEXT = 400  # characters of one


def learned(queries: Queries, run: RunRow, texts: Sequence[str]) -> list[Fact]:
    """The lessons that are new, as facts to be recorded with what taught them."""
    if not texts:
        return []
    workspace = workspace_of(run.folders)
    known = {lesson.text for lesson in queries.lessons(workspace, limit=1000)}
    lines = list(dict.fromkeys(" ".join(text.split())[:_TEXT] for text in texts))
    return [
        Fact("lesson_learned", {"id": new_id("lesson"), "workspace": workspace, "goal": run.goal[:300], "text": line})
        for line in lines
        if line and line not in known
    ][:_MOST]


def with_lessons(brief: Brief, queries: Queries, folders: Sequence[str]) -> Brief:
    """What a planner is told, with what runs in these folders have taught about such goals."""
    near = queries.lessons(workspace_of(folders), about=brief.goal, limit=_CITED)
    return replace(brief, lessons=[lesson.text for lesson in near])
