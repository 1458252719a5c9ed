"""What a planner is told of a goal: the files that it names, what else lies there, what earlier runs have taught,
recipes for goals like it, and which tools of other servers have to do with it."""

__all__ = ["brief_of", "look_at"]

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from anyio import to_thread

from forethought.catalogue import nearest_tools
from forethought.engine.lessons import with_lessons
from forethought.engine.recipes import with_recipes
from forethought.engine.records import Records
from forethought_patterns import Brief
from forethought_patterns.setting_lines import SETTINGS, SHOWN
from forethought_tools import ToolError
from forethought_tools.files import MAX_LISTED, matching
from forethought_tools.folders import Folders
from forethought_tools.loading import SHEETS
from forethought_tools.sources import BASES
from forethought_tools.tables import shape_of

# Two expressions, because one that looks for a name anywhere is quadratic: the first cuts a goal into what may hold one
# name each, and the second is tried at the beginning of each.
_WORD = re.compile(r"[\w./@:-]+")
_FILE_NAME = re.compile(r"(?:\./|/)?(?:[\w-]+/)*[\w-]+(?:\.[\w-]+)*\.[A-Za-z]\w{0,7}(?![\w/])")
_NEW_ENDINGS = frozenset(
    {"cfg", "conf", "css", "csv", "htm", "html", "ini", "json", "jsonl", "log", "md", "py", "rst", "sh", "sql"}
    | {"svg", "tex", "toml", "tsv", "txt", "xlsx", "xml", "yaml", "yml"}
)
_SHAPED = (".parquet", ".json", ".jsonl", ".ndjson", *SHEETS, *BASES)
_PREVIEW_LINES = 3
_PREVIEW_CHARACTERS = 400
_SHORT = 300  # characters of a file that is shown whole
_ROWS = (".csv", ".tsv", ".log")
_NEAR = 100  # tools of other servers, in the order in which they are told
_NAMED = 100  # files that are looked at for one goal


async def brief_of(goal: str, folders: Folders, records: Records, *, lessons: bool, recipes: bool) -> Brief:
    """What a planner is told, with lessons, and with recipes of earlier runs beside ours, if they are wanted."""
    brief = await to_thread.run_sync(_brief, goal, folders, records, lessons, recipes)
    # The first lines of these tell nobody what columns they have.
    shaped = await shape_of(folders, [path for path in brief.files if path.lower().endswith(_SHAPED)])
    one_row = [path for path, shape in shaped.items() if "\n" not in shape and "), 1 rows: " in shape]
    texts = {path: await to_thread.run_sync(_document, folders, path) for path in one_row}
    told = {path: "\n".join(filter(None, [shape, texts.get(path)])) for path, shape in shaped.items()}
    return replace(brief, files={**brief.files, **told})


def _document(folders: Folders, path: str) -> str:
    """The text of a short JSON document, as settings are: a change of it is a change of that. Empty: it is none."""
    try:
        with folders.open(path, shown=SHOWN) as file:
            head = file.read(SHOWN)
    except (ToolError, OSError):  # it has gone in the meantime
        return ""
    text = head.decode("utf-8", "replace")
    return text if len(head) < SHOWN and text.rstrip().endswith("}") else ""


def _brief(goal: str, folders: Folders, records: Records, lessons: bool, recipes: bool) -> Brief:
    near = [tool.name for tool in nearest_tools(goal, records.tools, _NEAR, ours=False)]
    brief = replace(with_recipes(look_at(goal, folders), records, also_kept=recipes), tools=near)
    return with_lessons(brief, records.queries, records.folders) if lessons else brief


def look_at(goal: str, folders: Folders) -> Brief:
    """A goal with the first lines of the files that it names, the names that do not exist yet, and what else there is.
    It takes a moment, and looks whether it was cancelled: call it in a worker thread."""
    previews: dict[str, str] = {}
    new: list[str] = []
    for name in islice(dict.fromkeys(_file_names(goal)), _NAMED):
        try:
            # Any line of settings may be the one to change; of a table the first lines say what the others are like.
            sets = name.lower().endswith(SETTINGS)
            most = SHOWN if sets else _PREVIEW_CHARACTERS
            with folders.open(name, shown=most) as file:
                head = file.read(most)
        except (ToolError, OSError):
            # example.org is no file to be written; neither is "e.g".
            if name.rpartition(".")[2].lower() in _NEW_ENDINGS:
                new.append(name)
        else:
            text = "" if b"\0" in head else head.decode("utf-8", "replace")
            whole = sets or (len(head) <= _SHORT and not name.lower().endswith(_ROWS))
            previews[name] = "".join(text.splitlines(keepends=True)[: None if whole else _PREVIEW_LINES])
    return Brief(goal, files=previews, new_files=new, names=_names(folders))


def _names(folders: Folders) -> list[str]:
    try:
        return [name for _, name, _ in islice(matching(folders, "**/*", "."), MAX_LISTED)]
    except ToolError:  # there are too many to look at
        return []


def _file_names(goal: str) -> Iterator[str]:
    """What in a goal looks like the name of a file. Its work is linear in the goal, whatever that holds."""
    return (found[0] for word in _WORD.finditer(goal) if (found := _FILE_NAME.match(word[0])))
