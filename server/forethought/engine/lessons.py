"""What runs teach: failures and refusals become lessons of a line, for whoever plans in the same folders later."""

__all__ = ["learned", "workspace_of"]

import json
from collections.abc import Sequence

from forethought.journal.database import new_id
from forethought.journal.rows import Fact, RunRow
from forethought.journal.store import Store

_MOST = 3  # lessons of one run's end
_TEXT = 400  # characters of one


def workspace_of(folders: object) -> str:
    """Lessons hold where they were learned: for the very same folders."""
    return json.dumps(folders, ensure_ascii=False)


def learned(store: Store, run: RunRow, texts: Sequence[str]) -> list[Fact]:
    """The lessons that are new, as facts to be recorded with what taught them."""
    workspace = workspace_of(run.options["folders"])
    known = {lesson.text for lesson in store.queries.lessons(workspace, limit=1000)}
    lines = list(dict.fromkeys(" ".join(text.split())[:_TEXT] for text in texts))
    return [
        Fact(
            "lesson_learned",
            {"id": new_id("lesson"), "workspace": workspace, "goal": str(run.options["goal"])[:300], "text": line},
        )
        for line in lines
        if line and line not in known
    ][:_MOST]
