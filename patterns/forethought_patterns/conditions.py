"""Conditions: whether the expression of a step's `when` is true of results. They are bound as names, never pasted as
text, and it is worked out apart, in a process that can be killed.
"""

__all__ = ["check_condition", "held", "left_out", "not_held"]

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forethought_patterns.plan import Step
from forethought_patterns.references import Turn, fill, fitted, part, tokens, whole
from forethought_patterns.watcher import Outcome
from forethought_tools import JSON, ToolError
from forethought_tools.apart import apart
from forethought_tools.arithmetic import checked, unknown_name
from forethought_tools.text import as_text, in_short

_NAME = re.compile(r"_given[0-9]+_")
_SIGNS = {"&&": " and ", "||": " or ", "===": "==", "!==": "!=", "<>": "!=", "=": "=="}
_MEANS = _SIGNS | {word: word for word in ("and", "or", "not", "true", "false", "null")}
_MARKS = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|&&|\|\||===|!==|<>|(?<![=!<>])=(?!=)"""
    r"|(?<![\w.])(?:and|or|not|true|false|null)(?!\w)",
    re.IGNORECASE,
)
_SHOWN = 40  # characters of a value that is told
_TOLD = 4  # values
_MOST = 4_000_000  # characters of what a condition refers to in all items


@dataclass(frozen=True, slots=True)
class _Condition:
    expression: str
    names: Mapping[str, str]
    """What each name in it stands for: a reference, or the item of a turn."""


def _read(when: str) -> _Condition:
    names: dict[str, str] = {}

    def named(token: str) -> str:
        return names.setdefault(token, f"_given{len(names)}_")

    expression = _MARKS.sub(_as_python, tokens(when, named))
    return _Condition(expression, {name: token for token, name in names.items()})


def _as_python(found: re.Match[str]) -> str:
    """A word or sign of SQL or JavaScript as it is called here. Texts in quotes stay."""
    return found[0] if found["text"] else _MEANS[found[0].lower()]


def _checked(condition: _Condition) -> ast.expr:
    try:
        return checked(condition.expression, on_text=True)
    except ToolError as error:
        told = _NAME.sub(lambda name: condition.names.get(name[0], name[0]), str(error))
        raise ToolError(f'{told} Write such as {{{{1.count}}}} > 0 and {{{{2}}}} != "".') from None


def check_condition(when: str) -> None:
    """Raises ToolError where an expression cannot be a condition, and says how to mend it."""
    condition = _read(when)
    tree = _checked(condition)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.search(node.value):
            raise ToolError('A reference stands in quotes there. Write it without: {{1.status}} == "ok".')
    if unknown := unknown_name(tree, condition.names):
        raise ToolError(f'There is no name {unknown!r} here. Write texts in quotes, such as {{{{1}}}} == "ok".')
    if not condition.names:
        raise ToolError("It refers to no result. Write such as {{1.count}} > 0.")


async def held(when: str, results: Mapping[int, JSON], turns: Sequence[Turn] = ()) -> list[bool | str]:
    """Whether it is true, once or for each turn; a text says why that cannot be told.

    Raises:
        ToolError: it cannot be worked out at all, or takes too long.
    """
    condition = _read(when)
    shared = {name: token for name, token in condition.names.items() if whole(token)}
    own = {name: token for name, token in condition.names.items() if name not in shared}
    given, room = list[Mapping[str, JSON] | str](), _MOST
    for turn in turns:
        given.append(_given(own, results, turn))
        room -= len(as_text(given[-1]))
        if room < 0:
            raise ToolError(f"What its condition refers to has over {_MOST:,} characters in all items. Refer to less.")
    known = [each for each in given if not isinstance(each, str)]
    found: list[bool | str] = await apart(
        "held", expression=condition.expression, names=fill(shared, results), turns=known if turns else [{}]
    )
    verdicts = iter(found)
    return [each if isinstance(each, str) else next(verdicts) for each in given] if turns else found


def _given(names: Mapping[str, str], results: Mapping[int, JSON], turn: Turn) -> Mapping[str, JSON] | str:
    """What names stand for in a turn, or why one stands for nothing."""
    try:
        filled = fill(names, results, turn)
    except ToolError as error:
        return str(error)
    assert isinstance(filled, Mapping)
    return filled


async def left_out(step: Step, results: Mapping[int, JSON]) -> Outcome | None:
    """How a step ends that is not done, because its condition does not hold. None: it does, or each item has its own.

    Raises:
        ToolError: whether it holds cannot be told.
    """
    if not step.when or step.asks_each:
        return None
    (found,) = await held(step.when, results)
    if isinstance(found, str):
        raise ToolError(f"whether its condition holds cannot be told: {step.when}: {found}")
    return None if found else not_held(step.when, results)


def not_held(when: str, results: Mapping[int, JSON], turn: Turn | None = None) -> Outcome:
    """The outcome of a step or an item that is left out, with what its condition was about."""
    about = [f"{token} is {_value(token, results, turn)}" for token in list(_read(when).names.values())[:_TOLD]]
    told = f" ({', '.join(about)})"
    return Outcome("skipped", value={"condition": when}, error=f"its condition does not hold: {when}{told}")


def _value(token: str, results: Mapping[int, JSON], turn: Turn | None) -> JSON:
    """The beginning of what a reference stands for."""
    if reference := whole(token):
        return in_short(part(reference, results[reference.step]), _SHOWN)
    return fitted(token, turn, lambda value: in_short(value, _SHOWN)) if turn else token
