"""What small planners forget, or word otherwise than the goal, mended in a script's steps before they are judged."""

__all__ = ["mended"]

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from forethought_patterns.column_names import (
    with_said_names,
    with_text_of_lines,
    with_wanted_names,
    without_line_numbers,
)
from forethought_patterns.drafts import Brief
from forethought_patterns.goal import Goal
from forethought_patterns.references import Reference
from forethought_patterns.roundings import with_decimals_of_files
from forethought_patterns.script_values import GIVES_ROWS, TABLES, TEXTS
from forethought_patterns.script_values import written as escaped
from forethought_patterns.setting_lines import with_lines_that_are_there
from forethought_patterns.wishes import judges
from forethought_tools import JSON, Registry
from forethought_tools.lengths import length_of
from forethought_tools.text import as_text

_MAKES_TEXT = ("write", "analyze")
_SAVES = ("write_file", "write_table")
_QUOTED = '["“«]([^"”»\n]{1,80})["”»]'
_COUNT = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|[0-9]+)\b")
_ALL_OF = re.compile(r"\s*SELECT\s+(?:\*|[\w\s,.\"]+)\s+FROM\s+'([^']+)'\s*;?\s*", re.IGNORECASE)
_HEADED = r"(?:heading|headline|title)\b"
_HEADING = re.compile(
    rf"\b(?:titled|headed|{_HEADED})[^\"“«.\n]{{0,20}}{_QUOTED}|{_QUOTED} as (?:the |a |its )?{_HEADED}", re.IGNORECASE
)

Steps: TypeAlias = Sequence[Mapping[str, JSON]]
"""In the wire format."""


def mended(steps: Steps, brief: Brief, tools: Registry) -> Steps:
    """The steps as their planner has meant them, as far as that is beyond doubt."""
    if not steps:
        return steps
    steps = _without_idle_reads(steps)
    steps = with_said_names(steps, brief.goal, [*brief.files.values()])
    steps = with_wanted_names(steps, brief.goal, [*brief.files.values()])
    steps = without_line_numbers(with_text_of_lines(steps), brief.goal)
    steps = with_decimals_of_files(steps, brief)
    steps = with_lines_that_are_there(steps, brief)
    steps = [_with_the_prefix_before_the_name(step, brief) for step in steps]
    steps = _with_rows_as_they_are(steps, brief)
    steps = _with_one_text(steps, brief.goal)
    steps = _with_the_whole_wish(steps, brief.goal)
    steps = _with_what_is_saved(steps, brief, tools)
    steps = _with_the_heading(steps, brief.goal)
    return _with_what_is_told(steps, brief)


def _with_the_prefix_before_the_name(step: Mapping[str, JSON], brief: Brief) -> Mapping[str, JSON]:
    """What is put in front of a path as a whole, such as `2026_docs/a.md`, is meant for the name of the file, unless
    somebody has named such a folder."""
    given = cast("Mapping[str, JSON]", step["arguments"])
    source, wanted = given.get("source"), given.get("destination")
    if step["tool"] not in ("move_file", "copy_file") or not isinstance(source, str) or not isinstance(wanted, str):
        return step
    folder, slash, name = source.rpartition("/")
    prefix = wanted.removesuffix(source)
    if not slash or not prefix or prefix == wanted or "/" in prefix:
        return step
    if any(f"{prefix}{folder}" in text for text in (brief.goal, *brief.names)):
        return step
    return {**step, "arguments": {**given, "destination": f"{folder}/{prefix}{name}"}}


def _without_idle_reads(steps: Steps) -> Steps:
    """The steps without those that only read what a later query reads itself: a habit of those who write programs."""
    texts = {str(step["id"]): as_text({**step, "depends_on": None}) for step in steps}
    idle: set[str] = set()
    for step in steps:
        given = cast("Mapping[str, JSON]", step["arguments"])
        read = _ALL_OF.fullmatch(str(given.get("sql")))
        others = " ".join(text for number, text in texts.items() if number != str(step["id"]))
        reference = Reference(int(str(step["id"])))
        if step["tool"] == "query_table" and read and read[1] in others and str(reference)[:-2] not in others:
            idle.add(str(reference))
    return _without(steps, idle)


def _with_rows_as_they_are(steps: Steps, brief: Brief) -> Steps:
    """Rows that a model is to write down as data are saved as they are, unless it is to judge or word anything."""
    if judges(Goal(brief)):
        return steps
    rows = {str(Reference(int(str(step["id"])))) for step in steps if step["tool"] == "query_table"}
    written = {
        str(Reference(int(str(step["id"])))): given["material"]
        for step in steps
        if step["tool"] == "write" and (given := cast("Mapping[str, JSON]", step["arguments"])).get("material") in rows
    }
    found: list[Mapping[str, JSON]] = []
    copied: set[str] = set()
    for step in steps:
        given = cast("Mapping[str, JSON]", step["arguments"])
        path, content = str(given.get("path")), str(given.get("content"))
        if step["tool"] == "write_file" and content in written and path.lower().endswith(TABLES):
            copied.add(content)
            step = {**step, "tool": "write_table", "arguments": {"path": path, "rows": written[content]}}
        found.append(step)
    return _without(found, copied)


def _with_one_text(steps: Steps, goal: str) -> Steps:
    """Several texts of one material that are to be one of a certain length are written as one: nobody could tell how
    long each may be."""
    writing = {str(Reference(int(str(step["id"])))): step for step in steps if step["tool"] == "write"}
    materials = {as_text(cast("Mapping[str, JSON]", step["arguments"]).get("material")) for step in writing.values()}
    saving = [step for step in steps if step["tool"] == "write_file"]
    if length_of(goal) is None or len(writing) < 2 or len(materials) != 1 or len(saving) != 1:
        return steps
    given = cast("Mapping[str, JSON]", saving[0]["arguments"])
    if not all(reference in str(given.get("content")) for reference in writing):
        return steps
    first, *others = writing
    briefs = "; ".join(str(cast("Mapping[str, JSON]", step["arguments"]).get("brief")) for step in writing.values())
    found = [
        {**step, "arguments": {**cast("Mapping[str, JSON]", step["arguments"]), "brief": briefs}}
        if step is writing[first]
        else {**step, "arguments": {**given, "content": first}}
        if step is saving[0]
        else step
        for step in steps
    ]
    return _without(found, {*others})


def _without(steps: Steps, results: set[str]) -> Steps:
    """The steps without those whose results nothing needs any more."""
    gone = [step["id"] for step in steps if str(Reference(int(str(step["id"])))) in results]
    kept = [step for step in steps if step["id"] not in gone]
    return [
        {**step, "depends_on": [n for n in cast("Sequence[JSON]", step["depends_on"]) if n not in gone]}
        for step in kept
    ]


def _with_the_whole_wish(steps: Steps, goal: str) -> Steps:
    """The one text that a plan has written, or the one thing that it asks, is told the goal as well: a small planner
    leaves out half of it. A number that the goal does not have is one of a recipe."""
    asking = [step for step in steps if step["tool"] in _MAKES_TEXT]
    if len(asking) != 1:
        return steps
    given = cast("Mapping[str, JSON]", asking[0]["arguments"])
    name = "brief" if asking[0]["tool"] == "write" else "question"
    wish = str(given.get(name))
    if goal in wish:
        return steps
    strange = {*_COUNT.findall(wish.lower())} - {*_COUNT.findall(goal.lower())}
    told = escaped(goal) if strange else f"{wish}. It is for this goal: {escaped(goal)}"
    return [{**step, "arguments": {**given, name: told}} if step is asking[0] else step for step in steps]


def _with_what_is_saved(steps: Steps, brief: Brief, tools: Registry) -> Steps:
    """The last result is for the file that the goal wants and nothing writes: small models forget to say so."""
    last = steps[-1]
    changing = [as_text(step["arguments"]) for step in steps if not tools.reads_only(str(step["tool"]))]
    left = [name for name in brief.new_files if not any(name in arguments for arguments in changing)]
    if len(left) != 1 or str(last["tool"]) not in GIVES_ROWS + _MAKES_TEXT:
        return steps
    tool, argument = ("write_table", "rows") if last["tool"] in GIVES_ROWS else ("write_file", "content")
    number = int(str(last["id"]))
    arguments: dict[str, JSON] = {"path": left[0], argument: str(Reference(number))}
    after: list[JSON] = [step["id"] for step in steps]
    return [*steps, {"id": number + 1, "tool": tool, "arguments": arguments, "depends_on": after}]


def _with_the_heading(steps: Steps, goal: str) -> Steps:
    """The one table in a text gets the heading that the goal has for it, where nothing writes that."""
    found = _HEADING.search(goal)
    heading = (found[1] or found[2]) if found else ""
    saving = [step for step in steps if step["tool"] == "write_table"]
    given = cast("Mapping[str, JSON]", saving[0]["arguments"] if len(saving) == 1 else {})
    headed = str(given.get("path")).lower().endswith(TEXTS)
    if not heading or not headed or any(heading.lower() in as_text(step["arguments"]).lower() for step in steps):
        return steps
    return [
        {**step, "arguments": {**given, "heading": escaped(heading)}} if step is saving[0] else step for step in steps
    ]


def _with_what_is_told(steps: Steps, brief: Brief) -> Steps:
    """The answer to a question is told: small models save it to a file that nobody has asked for."""
    last = steps[-1]
    given = cast("Mapping[str, JSON]", last["arguments"])
    result = given.get("content", given.get("rows"))
    if last["tool"] not in _SAVES or brief.new_files or not isinstance(result, str) or not Goal(brief).told:
        return steps
    if str(given.get("path")) in brief.goal or str(given.get("path")) in brief.names:
        return steps
    if last.get("for_each"):
        return steps  # a file for each item is no answer to a question
    return [*steps[:-1], {**last, "tool": "tell", "arguments": {"text": result}}]
