"""Steps as they were meant, before anything is judged: their shape, their ids as text or from 0, a check that is none.

`forethought_tools.meant` reads the shape; what is told of ids here is what a plan's own schema cannot say.
"""

__all__ = ["COUNTS_FROM_0", "counts_from_0", "ids_as_meant", "step_as_meant", "steps_as_meant"]

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast

from forethought_patterns.plan import Step
from forethought_patterns.references import numbered, shifted, turned
from forethought_tools import JSON
from forethought_tools.meant import as_meant

COUNTS_FROM_0 = "Ids begin at 1: the step that was given as 0 is step 1 here, 1 is 2, and so on, in references too"
_ID = re.compile(r"\s*(?:\{\{\s*)?(?:(?:step|task|s|t)[\s_-]*)?#?([0-9]{1,15})(?:\.0)?(?:\s*\}\})?\s*", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;]+")
_OF_TURNS = ("arguments", "when", "check", "expected_output")
_NONE = ("null", "none")  # texts that are neither a list nor a condition


def steps_as_meant(steps: Sequence[JSON]) -> list[JSON]:
    """All steps of a plan in the wire format, where they have that meaning. Ids from 0 become ids from 1, with all that
    refers to them."""
    read = [step_as_meant(raw) for raw in steps]
    return [_one_on(step) for step in read] if counts_from_0(read) else read


def counts_from_0(steps: Sequence[JSON]) -> bool:
    """Whether the ids of all these steps are one lower than ours."""
    ids = [_number(step.get("id")) for step in steps if isinstance(step, Mapping)]
    whole = [number for number in ids if isinstance(number, int) and not isinstance(number, bool)]
    return bool(whole) and min(whole) == 0


@cache
def _schema() -> Mapping[str, JSON]:
    return cast("Mapping[str, JSON]", Step.model_json_schema())


def step_as_meant(raw: JSON) -> JSON:
    """One step in the wire format, where it has that meaning. Its id stays the same number."""
    worded = _with_numbers(as_meant({"type": "object"}, raw))
    read = as_meant(_schema(), worded)
    if not isinstance(read, Mapping):
        return read
    given: dict[str, JSON] = {name: value for name, value in read.items() if value is not None}
    given |= {name: numbered(given[name]) for name in ("arguments", "for_each", "when") if name in given}
    if "for_each" in given:
        given |= {name: turned(given[name]) for name in _OF_TURNS if name in given}
    check = given.get("check")
    if isinstance(check, Mapping) and all(value is None for value in check.values()):
        del given["check"]
    return given


def _with_numbers(step: JSON) -> JSON:
    """A step whose ids are numbers, where they were given as words or in one text."""
    if not isinstance(step, Mapping):
        return step
    changed: dict[str, JSON] = {"id": _number(step["id"])} if "id" in step else {}
    after = step.get("depends_on")
    if isinstance(after, str) and (ids := _ids(after)):
        changed["depends_on"] = ids
    elif isinstance(after, int) and not isinstance(after, bool):
        changed["depends_on"] = [after]
    elif isinstance(after, Sequence) and not isinstance(after, str):
        changed["depends_on"] = [_number(each) for each in after]
    if isinstance(over := step.get("for_each"), list):  # clients are told of one type: `Step` reads the text again
        changed["for_each"] = json.dumps(over)
    changed |= {name: None for name in ("for_each", "when") if str(step.get(name, "")).strip().lower() in _NONE}
    return {**step, **changed}


def ids_as_meant(given: JSON) -> JSON:
    """Ids of steps, or one of them, as numbers, where they were given as words or in one text."""
    if isinstance(given, str):
        found = _ids(given)
        return found[0] if len(found) == 1 else found or given
    return [_number(each) for each in given] if isinstance(given, list) else given


def _ids(text: str) -> list[JSON]:
    """The ids in a text; none, where anything else stands in it."""
    found = [_number(each) for each in ([text] if _ID.fullmatch(text) else _BETWEEN.split(text.strip(" ,;")))]
    return [] if any(isinstance(each, str) for each in found) else found


def _number(given: JSON) -> JSON:
    found = _ID.fullmatch(given) if isinstance(given, str) else None
    return int(found[1]) if found else given


def _one_on(step: JSON) -> JSON:
    if not isinstance(step, Mapping):
        return step
    after = step.get("depends_on")
    changed: dict[str, JSON] = {"id": _next(step.get("id"))}
    if isinstance(after, Sequence) and not isinstance(after, str):
        changed["depends_on"] = [_next(each) for each in after]
    changed |= {name: shifted(step[name], 1) for name in ("arguments", "for_each", "when") if name in step}
    return {**step, **{name: value for name, value in changed.items() if name in step}}


def _next(number: JSON) -> JSON:
    return number + 1 if isinstance(number, int) and not isinstance(number, bool) else number
