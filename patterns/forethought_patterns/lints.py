"""What makes a valid plan a pretence: steps that look like work and bring nothing towards the goal.

Every lint is narrow: a false alarm costs a small model a round of repair, and a reader the trust in all the others.
"""

__all__ = ["lints"]

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from forethought_patterns.drafts import Brief
from forethought_patterns.goal import Goal
from forethought_patterns.goal_files import word_set
from forethought_patterns.last_resort import PROSE
from forethought_patterns.looks import looked_at
from forethought_patterns.plan import Plan, Step
from forethought_patterns.references import find, in_turns, tokens, unknown, whole
from forethought_patterns.saved import saved
from forethought_patterns.setting_lines import SETTINGS
from forethought_patterns.sight import Sight
from forethought_patterns.wishes import unmet
from forethought_tools import Fault, Registry, ToolError
from forethought_tools.arithmetic import FUNCTIONS, NAMES, checked
from forethought_tools.text import clipped

_MOST = 200  # steps of a plan that is looked at: of a longer one nobody reads this
_TEXT = r"'(?:[^']|'')*'(?:\s+AS\s+\w+)?"
_ONLY_TEXTS = re.compile(
    rf"\s*SELECT\s+(?:DISTINCT\s+)?(?:{_TEXT}\s*,\s*)*{_TEXT}\s*(?:\bFROM\b|;?\s*\Z)", re.IGNORECASE
)
_LEFT_JOIN = re.compile(r"\bleft (?:outer )?join (?:'[^']*'|[\w.\"]+) (?:as )?(\w+) (?:on|using)\b")
_PIECES = re.compile(r"[a-z]{3,}|\d+")
_OF_FILES = ("delete_file", "move_file", "copy_file")
_CONDITION = re.compile(r"(?<![\w.\"])[\w.\"]+ ?= ?'(?P<value>[^\W\d][^'\n]{3,60})'")
_READ = 4_000  # characters of a query
_SECTION = re.compile(r"^[ \t]*(\[{1,2}[^\]=\n]+\]{1,2})[ \t]*$", re.MULTILINE)
_TAKES_ALL = re.compile(r"\*(?![\w.*/])")
"""A pattern without an ending."""
_COPYING = frozenset({"copy", "duplicate", "rename", "move"})
_PASSING_ON = _COPYING | word_set(
    "save convert turn append add join merge combine put back export archive keep store restore clone transfer replace"
)


async def lints(plan: Plan, brief: Brief, tools: Registry) -> list[Fault]:
    """What looks like a pretence in a valid plan: faults for a small model, advice for everybody else."""
    if len(plan.steps) > _MOST:
        return []
    sight = Sight(plan, Goal(brief), tools)
    calls = [
        fault
        for step in plan.steps
        for fault in (
            *_calculation(step, sight),
            *_of_query(step, sight.goal.brief),
            *_overwritten(step),
            *_broken(step, sight.goal.brief),
            *saved(step, sight),
        )
    ]
    found = [
        *_idle(sight),
        *calls,
        *_copied_too_late(plan),
        *_passed_on(sight),
        *_left_beside(sight),
        *_beyond(sight),
        *await looked_at(sight),
        *_forgotten(sight),
    ]
    return [*found, *unmet(sight.goal, plan, tools)]


def _copied_too_late(plan: Plan) -> Iterator[Fault]:
    """A file that is changed and then copied: the original was to stay as it is."""
    changed: dict[str, int] = {}
    for step in plan.steps:
        if step.tool == "edit_file":
            changed.setdefault(str(step.arguments.get("path")), step.id)
        elif step.tool == "copy_file" and (first := changed.get(str(step.arguments.get("source")))):
            problem = f"step {first} changes this file before, so the original and the copy are the same"
            yield Fault(f"step {step.id}", problem, "Copy first, and change the copy")


def _passed_on(sight: Sight) -> Iterator[Fault]:
    """A text that is saved under another name as it was read, where the goal wants something of it."""
    if sight.idle or sight.goal.does(_PASSING_ON):
        return
    for saving in sight.changing:
        for source in filter(None, map(whole, saving.arguments.values())):
            read = sight.plan.by_id[source.step]
            path = str(read.arguments.get("path") or str(read.arguments.get("sql")).rstrip("; \n'\"")).lower()
            if saving.tool in ("write_file", "write_table") and sight.is_raw(source) and path.endswith(PROSE):
                mend = "Use analyze or write for what the goal wants of it, or select lines with query_table"
                yield Fault(f"step {saving.id}", f"it saves {source}, a text as it was read", mend)


def _idle(sight: Sight) -> Iterator[Fault]:
    """Results that nothing uses. Mostly another step uses the wrong one in its place."""
    nothing = _asked_of_nothing(sight)
    for number, source in nothing.items():
        problem = f"a model is asked about nothing: it is given no result, and nothing uses that of step {source}"
        yield Fault(f"step {number}", problem, f"Give it {{{{{source}}}}}")
    if sight.answered:
        return
    for step in sight.idle:
        if step.id not in (*nothing, *nothing.values()):
            yield _taken_for(step, sight) or Fault(
                f"step {step.id}",
                f"nothing uses the result of this {step.tool}",
                f"Use {{{{{step.id}}}}} where it is meant, or leave the step out",
            )


def _asked_of_nothing(sight: Sight) -> Mapping[int, int]:
    """The questions to a model that are given nothing, each with the step whose result was read for it."""
    found: dict[int, int] = {}
    source = 0
    idle = {step.id for step in sight.idle}
    for step in sight.plan.steps:
        if not sight.asks(step):
            source = step.id if step.id in idle else source
        elif source and (step.id not in sight.used or not sight.answered) and _is_given_nothing(step):
            found[step.id] = source
    return found


def _is_given_nothing(step: Step) -> bool:
    material = any(step.arguments.get(name) for name in ("data", "material"))
    return not (material or find(step.arguments) or in_turns(step.arguments) or unknown(step.arguments))


def _taken_for(step: Step, sight: Sight) -> Fault | None:
    """A file that is saved as it was read, most probably in the place of this step's result."""
    if step.tool == "read_file" or sight.goal.does(_COPYING):
        return None
    for saving in sight.changing:
        for source in filter(None, map(whole, saving.arguments.values())):
            if sight.is_raw(source):
                problem = f"it saves {source}, a file as it was read, and nothing uses the result of step {step.id}"
                return Fault(f"step {saving.id}", problem, f"Most probably {{{{{step.id}}}}} is meant in its place")
    return None


def _calculation(step: Step, sight: Sight) -> Iterator[Fault]:
    """What is no arithmetic, such as `mean(hours)` or `size DESC`."""
    given = step.arguments.get("expression")
    if step.tool != "calculate" or not isinstance(given, str) or unknown(step.arguments):
        return
    where, mend = f"step {step.id}", "Work on rows with query_table; calculate takes numbers and {{references}} to them"
    if rows := [each for each in find(given) if sight.is_table(each)]:
        yield Fault(where, f"{rows[0]} are rows, and calculate takes numbers", f"Refer to one, as {_one(rows[0].step)}")
        return
    try:
        tree = checked(tokens(given, lambda _: "1"))
    except ToolError:
        yield Fault(where, f"{clipped(given, 80)!r} is no arithmetic", mend)
        return
    nodes = list(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    strange = [node.id for node in names if node.id not in (FUNCTIONS if id(node) in called else NAMES)]
    if strange:
        yield Fault(where, f"calculate knows no {clipped(strange[0], 60)!r}", mend)
    elif isinstance(tree, ast.Constant) and not (find(given) or in_turns(given)):
        yield Fault(where, f"there is nothing to work out in {clipped(given, 80)!r}", mend)


def _of_query(step: Step, brief: Brief) -> Iterator[Fault]:
    """A query that selects nothing but texts of its own: what it says of the file is made up. One that keeps rows
    without a partner by its LEFT JOIN, and leaves them out by its WHERE."""
    sql = str(step.arguments.get("sql"))[:_READ]
    if step.tool != "query_table":
        return
    if _ONLY_TEXTS.match(sql):
        mend = "Select columns; to have a text read or written, use analyze or write"
        yield Fault(f"step {step.id}", "it selects only texts of its own, and reads nothing", mend)
    yield from (
        Fault(f"step {step.id}", f"nobody has asked for {condition}", "Leave this condition out")
        for condition in _made_up_conditions(sql, brief)
    )
    _, _, where = sql.lower().rpartition(" where ")
    for joined in _LEFT_JOIN.finditer(sql.lower()):
        if partner := re.search(rf"(?:^|\band ){re.escape(joined[1])}\.\w+ is not null", where):
            problem = "its LEFT JOIN keeps rows without a partner, and its WHERE leaves them out again"
            yield Fault(f"step {step.id}", problem, f"Leave {partner[0].removeprefix('and ')} out, or write JOIN")


def _made_up_conditions(sql: str, brief: Brief) -> Iterator[str]:
    """Conditions for a value that only the first lines of a file have, beside one for a value of the goal: small models
    take the row that they are shown for the one that is meant."""
    goal, shown = brief.goal.lower(), "\n".join(brief.files.values()).lower()
    conditions = [(found[0], found["value"].lower()) for found in _CONDITION.finditer(sql)]
    if any(value in goal for _, value in conditions):
        for condition, value in conditions:
            if value in shown and not any(word in goal for word in re.findall(r"\w{3,}", value)):
                yield condition


def _left_beside(sight: Sight) -> Iterator[Fault]:
    """A file that has in its name what the goal says of those which are deleted, moved or copied, beside which these
    have a word in common that nobody has said: it was taken from the first names that were shown."""
    goal = sight.goal.brief.goal.lower()
    for tool in _OF_FILES:
        given = [step.arguments for step in sight.changing if step.tool == tool]
        taken = [str(each.get("path", each.get("source"))) for each in given]
        names = [_in_name(path) for path in taken]
        common = frozenset[str].intersection(*names) if len(names) > 1 else frozenset[str]()
        said = {piece for piece in common if piece in goal}
        strange = {piece for piece in common - said if piece.isalpha()}
        if len(said) < 2 or not strange or any(path.lower() in goal for path in taken):
            continue
        for other in sight.goal.brief.names:
            if other not in taken and said <= _in_name(other):
                problem = f"{other} has {' and '.join(sorted(said))} in its name too, and no step takes it up"
                yield Fault("plan", problem, f"Nobody has asked for {' '.join(sorted(strange))}: take all that fit")
                break


def _beyond(sight: Sight) -> Iterator[Fault]:
    """All files of a folder are deleted or moved, where the goal speaks of those of one ending."""
    endings, goal = sight.goal.endings, sight.goal
    listed = [step for step in sight.plan.steps if step.tool == "list_files"]
    risked = [step for step in sight.changing if step.tool in ("delete_file", "move_file")]
    if len(endings) != 1 or len(listed) != 1 or not risked or any(map(goal.spares, endings)):
        return
    pattern = str(listed[0].arguments.get("pattern"))
    folder = pattern.rpartition("/")[0]
    there = [name for name in goal.brief.names if name.rpartition("/")[0] == folder.rstrip("/*")]
    others = [name for name in there if not name.lower().endswith(endings[0])]
    if _TAKES_ALL.search(pattern) and others and len(others) < len(there):
        problem = f"the goal speaks of {endings[0]} files, and {pattern} takes {others[0]} too"
        yield Fault(f"step {listed[0].id}", problem, f"Say {pattern.rpartition('*')[0]}*{endings[0]}")


def _broken(step: Step, brief: Brief) -> Iterator[Fault]:
    """An edit that writes into the line of a section what should stand below it."""
    path, old, new = (str(step.arguments.get(name)) for name in ("path", "old", "new"))
    text = brief.files.get(path, "")
    if step.tool != "edit_file" or not path.lower().endswith(SETTINGS) or text.count(old) != 1:
        return
    before, after = _SECTION.findall(text), _SECTION.findall(text.replace(old, new))
    lost = [line for line in before if line not in after]
    if lost and len(after) < len(before):
        mend = "Let old be the line that sets it, with the line above it if that line is there more than once"
        yield Fault(f"step {step.id}", f"it breaks the line {lost[0]} of {path}", mend)


def _in_name(path: str) -> frozenset[str]:
    return frozenset(map(str, _PIECES.findall(PurePosixPath(path).name.lower())))


def _overwritten(step: Step) -> Iterator[Fault]:
    """A loop whose turns all write the same file."""
    path = step.arguments.get("path")
    if step.for_each and step.tool in ("write_file", "write_table") and path and not in_turns(path):
        problem = f"every turn of the loop writes {path}, and only the last one stays"
        mend = "Write once, after the loop, or take the name of the file from the row"
        yield Fault(f"step {step.id}", problem, mend)


def _one(step: int) -> str:
    return f"{{{{{step}.rows.0.NAME}}}}"


def _forgotten(sight: Sight) -> Iterator[Fault]:
    """Files that the goal names and the plan forgets: new ones that no step writes, others that no step uses."""
    brief, plan = sight.goal.brief, sight.plan
    for name in brief.new_files:
        if not any(sight.makes(step, name) for step in sight.changing) and not sight.goal.spares(name):
            yield Fault("plan", f"the goal names {name}, and no step writes it", f"Add a step that writes {name}")
    for name in sight.goal.folders:
        if not any(name.lower() in sight.texts[step.id].lower() for step in sight.changing):
            mend = f"Use paths such as {name}/NAME"
            yield Fault("plan", f"the goal wants something in {name}, and no step puts anything there", mend)
    if any(step.tool == "search_files" and "pattern" not in step.arguments for step in plan.steps):
        return  # it goes through all there are
    for name in brief.files:
        if not any(sight.uses(step, name) for step in plan.steps) and not sight.goal.spares(name):
            mend = f"Add a step that does with {name} what the goal says"
            yield Fault("plan", f"the goal names {name}, and no step uses it", mend)
    texts = " ".join(sight.texts.values()).lower()
    for ending in sight.goal.endings:
        there = next((name for name in brief.names if name.lower().endswith(ending)), None)
        if there and ending not in texts and not _TAKES_ALL.search(texts):
            mend = f"Take up files such as {there} too"
            yield Fault("plan", f"the goal names {ending}, and no step takes up such a file", mend)
