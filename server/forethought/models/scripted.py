"""A model that gives the answers of a script: for tests and demonstrations, without a network.

An answer that does not fit its question is an error, so that a script that is out of date is found at once.
"""

__all__ = ["ScriptedModel"]

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import anyio.lowlevel

from forethought.models.shaping import nulled
from forethought.models.structured import faults
from forethought_patterns.ports import Answer, Free, Heard, Meter, Usage
from forethought_tools import JSON, ModelError, Question
from forethought_tools.text import as_text

Script: TypeAlias = Mapping[str, Sequence[JSON]] | Callable[[Question], JSON]

_FREE = Free()
_PROBABILITY: Mapping[str, JSON] = {"type": "number", "minimum": 0, "maximum": 1}


class ScriptedModel:
    """Answers from a script: for each role its answers in order, or a function of the question.

    An entry `{"always": value}` is the answer to that role from there on. Verdicts are those of the role "verdict";
    without one they are 1.0.
    """

    def __init__(
        self, answers: Script, *, name: str = "scripted", lean: bool = False, price: float | None = 0.0, pieces: int = 0
    ) -> None:
        """`price` is in dollars a token. With `pieces` the answers are streamed, so many characters at a time."""
        self._price = price
        self._pieces = pieces
        self.questions: list[Question] = []
        self._answers = answers
        self._given: dict[str, int] = {}
        self._name = name
        self._lean = lean

    @classmethod
    def from_file(cls, path: Path) -> "ScriptedModel":
        """Read the answers from a JSON file: an object of roles, each with its list of answers."""
        try:
            script: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"The script {path} cannot be read: {error}. Give a JSON file of answers by role."
            ) from None
        if not isinstance(script, dict) or not all(
            isinstance(v, list) for v in cast("dict[str, object]", script).values()
        ):
            raise ModelError(f'The script {path} must be an object of lists, such as {{"planner": [...]}}.')
        return cls(cast("Mapping[str, Sequence[JSON]]", script))

    @property
    def name(self) -> str:
        return self._name

    @property
    def lean(self) -> bool:
        return self._lean

    def cost(self, usage: Usage) -> float | None:
        return None if self._price is None else self._price * (usage.input_tokens + usage.output_tokens)

    async def answer(self, question: Question, *, meter: Meter = _FREE, heard: Heard | None = None) -> Answer:
        return await self._say(question, str(question.role), question.schema, meter, heard)

    async def verdict(self, question: Question, *, meter: Meter = _FREE) -> Answer:
        return await self._say(question, "verdict", _PROBABILITY, meter, None)

    async def _say(
        self, question: Question, role: str, schema: Mapping[str, JSON], meter: Meter, heard: Heard | None
    ) -> Answer:
        async with meter.request(_usage(question, None).input_tokens) as charge:
            answer = await self._said(question, role, schema, heard)
            charge.settle(answer.usage)
        return answer

    async def _said(self, question: Question, role: str, schema: Mapping[str, JSON], heard: Heard | None) -> Answer:
        await anyio.lowlevel.checkpoint()
        self.questions.append(question)
        value = self._answers(question) if callable(self._answers) else self._next(self._answers, role)
        value = nulled(value, schema)
        if found := faults(value, schema):
            raise ModelError(
                f"The scripted answer for {role!r} does not fit its schema: {'; '.join(found)}. Mend the script."
            )
        if heard is not None and self._pieces:
            heard(None)
            text = json.dumps(value)
            for start in range(0, len(text), self._pieces):
                heard(text[start : start + self._pieces])
                await anyio.lowlevel.checkpoint()
        return Answer(value=value, usage=_usage(question, value), model=self._name)

    def _next(self, answers: Mapping[str, Sequence[JSON]], role: str) -> JSON:
        if role == "verdict" and role not in answers:
            return 1.0
        script = answers.get(role, ())
        position = self._given.get(role, 0)
        if position >= len(script):
            raise ModelError(f"The script has {len(script)} answers for {role!r} and one more was asked for. Add it.")
        entry = script[position]
        if isinstance(entry, Mapping) and set(entry) == {"always"}:
            return entry["always"]
        self._given[role] = position + 1
        return entry


def _usage(question: Question, value: JSON) -> Usage:
    return Usage(
        calls=1,
        input_tokens=len(f"{question.instructions} {question.context}".split()),
        output_tokens=len(as_text(value).split()),
    )
