"""The plan of last resort, where a small planner has brought no valid one: texts are read, and a model says or writes
what the goal wants of them, a letter with the facts of a small data file too. Of tables there is none: what would have
to be worked out there, a model would make up."""

__all__ = ["PROSE", "last_resort"]

from forethought_patterns.drafts import Brief
from forethought_patterns.goal import Goal
from forethought_patterns.goal_files import wishes_of

PROSE = (".txt", ".md", ".rst", ".eml", ".html", ".htm", ".pdf", ".docx")
"""How the names of texts end that are read, and not computed with."""
_FACTS = (".json", ".yaml", ".yml", ".toml", ".ini")
_WORDING = frozenset({"write", "draft", "compose"})
_WRITTEN = (".txt", ".md", ".rst")
_MOST = 4  # texts


def last_resort(brief: Brief) -> str | None:
    """A script for a goal that is about a few texts only, and wants to be told something or one new text."""
    files, new, goal = list(brief.files), list(brief.new_files), Goal(brief)
    readable = (*PROSE, *_FACTS) if new and goal.does(_WORDING) else PROSE
    if not 0 < len(files) <= _MOST or not all(name.lower().endswith(readable) for name in files):
        return None
    wishes = wishes_of(brief.goal)
    if wishes.gone or wishes.moved:
        return None
    lines = [f"text{number} = read_file({name!r})" for number, name in enumerate(files, 1)]
    texts = "\\n\\n".join(f"{{text{number}}}" for number in range(1, len(files) + 1))
    if len(new) == 1 and new[0].lower().endswith(_WRITTEN):
        return "\n".join([*lines, f'written = write({brief.goal!r}, f"{texts}")', f"write_file({new[0]!r}, written)"])
    if not new and goal.told:
        return "\n".join([*lines, f'answer = analyze({brief.goal!r}, f"{texts}")', "tell(answer)"])
    return None
