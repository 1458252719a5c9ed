"""What came of a whole run, judged without a model: what its goal names, and what its answer and its files say.

A problem is what is certainly not as the goal has it: another plan is made. A doubt is what nobody could judge: it is
told with the answer. What a goal asks for beyond its plain words is not judged here (see `goal_files`).
"""

__all__ = ["doubted", "misdone"]

import re
from collections.abc import Mapping, Sequence
from typing import cast

from anyio import to_thread

from forethought_patterns.figures import Figures
from forethought_patterns.fitting import too_long, unfit
from forethought_patterns.goal_files import file_names, wishes_of
from forethought_patterns.plan import Plan, Step
from forethought_patterns.problem import Problem
from forethought_patterns.watcher import Outcome
from forethought_tools import JSON, Look, Registry, Seen, ToolError
from forethought_tools.text import as_text, clipped

_COPIES = re.compile(
    r"\b(?:cop(?:y|ies|ied)|duplicate|back ?up|same|unchanged|identical|renamed?|moved?)\b", re.IGNORECASE
)
_SHOWN = 5
_MATERIAL = 1_000_000  # characters
_TEXTS = ("md", "txt", "html", "htm")


async def misdone(plan: Plan, outcomes: Mapping[int, Outcome], tools: Registry, look: Look) -> Problem | None:
    """What of the goal is certainly not done, if anything is. Asked when all steps have succeeded."""
    wishes = wishes_of(plan.goal)
    found = [f"{name} is still there, and the goal wants it gone" for name in wishes.gone if await _stays(look, name)]
    for old, new in wishes.moved:
        found += [f"{old} is still there, and the goal wants it to be {new}"] if await _stays(look, old) else []
        if await _moved_to(look, old, new) is None:
            found.append(f"{new} is not there, and the goal wants {old} to be moved to it")
    written = _written(plan, outcomes, tools)
    material = _material(plan, outcomes, tools)
    names = dict.fromkeys([*wishes.there, *(written if plan.planned else ())])
    for name in names:
        at = name if await _seen(look, name) else next((path for path in written if _ends_with(path, name)), name)
        seen = await _seen(look, at)
        if seen is None:
            found += [f"{name} is not there, and the goal names it"] if name in wishes.there else []
        elif not seen.is_folder and (wrong := await to_thread.run_sync(unfit, at, seen, plan.goal, material)):
            found.append(f"{at} {wrong}")
        elif len(names) == 1 and (wrong := too_long(at, seen, plan.goal)):
            found.append(f"{at} {wrong}, and the goal does not allow that")
        elif name in wishes.there and (source := await _copied(look, at, seen, plan, tools)):
            found.append(f"{at} is the same as {source}, byte for byte, and the goal does not ask for a copy")
    return Problem("The result is not what the goal asks for: " + "; ".join(found[:_SHOWN])) if found else None


async def doubted(
    plan: Plan,
    outcomes: Mapping[int, Outcome],
    answer: str,
    tools: Registry,
    look: Look,
    *,
    unjudged: Sequence[Step],
) -> list[str]:
    """What nobody could judge, each in a sentence. `unjudged` are the steps whose words of a model nobody has seen."""
    found = [f"step {step.id}: nobody has judged what a model wrote there" for step in unjudged]
    for step in plan.steps:
        empty = outcomes[step.id].value
        used = [other.id for other in plan.steps if not tools.reads_only(other.tool) and _rests_on(other, step, plan)]
        if used and isinstance(empty, Mapping) and empty.get("rows") == []:
            found.append(f"step {step.id} found no rows, and step {used[0]} writes what came of it")
    figures = await to_thread.run_sync(_figures, plan, outcomes, tools)
    if not figures.is_whole or not plan.planned:
        return found
    texts = {"the answer": answer}
    for path in _written(plan, outcomes, tools):
        seen = await _seen(look, path)
        if seen and seen.is_whole and path.rpartition(".")[2].lower() in _TEXTS:
            texts[path] = seen.content.decode("utf-8", "replace")
    for name, text in texts.items():
        if foreign := await to_thread.run_sync(figures.foreign, text):
            listed = clipped(", ".join(foreign[:_SHOWN]), 100)
            found.append(f"{name} says {listed}, which stands in no result and no file that was read")
    return found


async def _seen(look: Look, path: str) -> Seen | None:
    """What is there. Where one may not look, it counts as something: nothing is claimed of it."""
    try:
        return await look(path)
    except ToolError:
        return Seen(is_folder=True)


async def _stays(look: Look, path: str) -> bool:
    """Whether a file is certainly there."""
    try:
        return await look(path) is not None
    except ToolError:
        return False


async def _moved_to(look: Look, old: str, new: str) -> Seen | None:
    seen = await _seen(look, new)
    inside = f"{new.rstrip('/')}/{old.rpartition('/')[2]}"
    return await _seen(look, inside) if seen is None or (seen.is_folder and new.endswith("/")) else seen


async def _copied(look: Look, path: str, seen: Seen, plan: Plan, tools: Registry) -> str:
    """The other file that the goal names, or that the plan reads, of which this is a copy."""
    if _COPIES.search(plan.goal) or not seen.is_whole:
        return ""
    read = [str(step.arguments.get("path", "")) for step in plan.steps if tools.reads_only(step.tool)]
    for source in dict.fromkeys([*file_names(plan.goal), *read]):
        if source and not _ends_with(source, path) and not _ends_with(path, source):
            other = await _seen(look, source)
            if other and not other.is_folder and other.is_whole and other.content == seen.content:
                return source
    return ""


def _ends_with(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def _written(plan: Plan, outcomes: Mapping[int, Outcome], tools: Registry) -> list[str]:
    """The files that steps have written, as their results name them."""
    writing = [step for step in plan.steps if not tools.reads_only(step.tool)]
    values = [value for step in writing for value in _values(step, outcomes)]
    paths = [value.get("path") for value in values if isinstance(value, Mapping) and "bytes" in value]
    return [path for path in dict.fromkeys(paths) if isinstance(path, str)]


def _rests_on(step: Step, needed: Step, plan: Plan) -> bool:
    """Whether a step uses another's result, or what a step that asks for words has made of it."""
    referred = step.refers
    return needed.id in referred or any(
        needed.id in plan.by_id[between].refers for between in referred if between in plan.by_id
    )


def _brought(plan: Plan, outcomes: Mapping[int, Outcome], tools: Registry) -> list[JSON]:
    """What steps have brought that no model has worded, and that is not what the plan itself says."""
    bringing = [step for step in plan.steps if not tools.asks(step.tool) and step.tool != "tell"]
    return [value for step in bringing for value in _values(step, outcomes)]


def _values(step: Step, outcomes: Mapping[int, Outcome]) -> list[JSON]:
    """What a step has brought: nothing where it was left out, and a loop something for each item."""
    outcome = outcomes[step.id]
    if outcome.left_out:
        return []
    return list(outcome.value) if step.is_loop and isinstance(outcome.value, list) else [outcome.value]


def _material(plan: Plan, outcomes: Mapping[int, Outcome], tools: Registry) -> str:
    texts = [plan.goal, plan.context, *map(as_text, _brought(plan, outcomes, tools))]
    return "\n".join(texts)[:_MATERIAL]


def _figures(plan: Plan, outcomes: Mapping[int, Outcome], tools: Registry) -> Figures:
    figures = Figures()
    figures.learn([plan.goal, plan.context, *(step.id for step in plan.steps)])
    for value in _brought(plan, outcomes, tools):
        figures.learn(value)
    figures.learn([cast("JSON", len(as_text(value).split())) for value in _brought(plan, outcomes, tools)])
    return figures
