"""A model whose answers are kept by question, so that a benchmark asks once, goes on where it was cut off, and prints
the same table anywhere.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from forethought.models import child
from forethought.models.local import LocalModel
from forethought.models.openai import OpenAIModel, messages
from forethought.options import ModelOptions
from forethought_patterns.ports import Answer, Free, Heard, Meter, Usage
from forethought_tools import JSON, BudgetError, ModelError, Question

FREE = Free()


SLOTS = 4  # questions at the same time: that many together take a small machine little longer than one
CONTEXT = 3072  # tokens of each
SEED: ContextVar[int] = ContextVar("seed", default=0)


class Seeded(OpenAIModel):
    """Sends a seed with each request."""

    def _body(self, asked: Any, wanted: dict[str, JSON], heard: Heard | None = None) -> dict[str, JSON]:
        return {**super()._body(asked, wanted, heard), "seed": SEED.get()}


class Local(LocalModel):
    """The embedded model, which answers several questions at a time, each in little room."""

    def __init__(self, *, name: str, file: Path, max_tokens: int) -> None:
        super().__init__(name=name, file=file, start_timeout=600)
        self._most = max_tokens
        self._starting = anyio.Lock()

    def _client(self, address: str, key: str) -> OpenAIModel:
        options = ModelOptions({"max_tokens": self._most})
        return Seeded(
            model=self.name, base_url=address, api_key=key, lean=True, timeout=3600, retries=0, options=options
        )

    def _command(self) -> list[str]:
        python, *_, module = super()._command()[:4]
        assert module == child.__name__, "the command of the child has changed"
        return [python, __file__, *super()._command()[4:]]

    async def _ask(
        self, question: Question, meter: Meter, ask: Callable[[OpenAIModel, Meter], Awaitable[Answer]]
    ) -> Answer:
        async with self._starting:
            running = await self._running()
        return await ask(running.model, meter)


def widen(params: Any) -> None:
    """Give llama.cpp its slots, and one thread: on a machine that others use, two wait for each other."""
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1


class MissingError(Exception):
    """Nobody has asked this yet, and nobody is there to be asked."""


@dataclass
class Records:
    """Answers by question, one a line, each written as soon as it is there."""

    file: Path
    model: Local | None
    """None: only what is recorded counts."""
    seed: int
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def __post_init__(self) -> None:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        self.known = {each["key"]: each for each in map(json.loads, lines)}

    async def answer(self, question: Question, occurrence: int, what: str) -> Answer:
        """Raises MissingError, and the ModelError that was recorded."""
        key = digest(question, self.seed, occurrence)
        if key not in self.known:
            self._keep({"key": key, "for": what, **await self._asked(question, self.seed + occurrence)})
        said = self.known[key]
        if "error" in said:
            raise ModelError(said["error"])
        return Answer(said["value"], Usage(1, *said["tokens"]), "recorded")

    async def _asked(self, question: Question, seed: int) -> Mapping[str, Any]:
        if self.model is None:
            raise MissingError
        token = SEED.set(seed)
        try:
            answer = await self.model.answer(question)
        except ModelError as error:
            if error.transient:
                raise
            return {"role": str(question.role), "error": str(error)}
        finally:
            SEED.reset(token)
        usage = answer.usage
        tokens = [usage.input_tokens, usage.output_tokens]
        return {"role": str(question.role), "value": answer.value, "tokens": tokens}

    def _keep(self, said: Mapping[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
        self.known[said["key"]] = said


def digest(question: Question, seed: int, occurrence: int) -> str:
    """What tells one question from all others, and the same one asked again."""
    asked: Sequence[object] = (messages(question), question.schema, question.variety, seed, occurrence)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:20]


@dataclass
class Recorded:
    """A `Model` for one method on one problem, which may ask so many times."""

    records: Records
    what: str
    most: int
    name: str = "recorded"
    lean: bool = True
    calls: int = 0
    tokens: int = 0
    """Written by the model."""
    asked: Counter[str] = field(default_factory=Counter[str])

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def answer(self, question: Question, *, meter: Meter = FREE, heard: Heard | None = None) -> Answer:
        if self.calls >= self.most:
            raise BudgetError("no calls are left")
        self.calls += 1
        same = digest(question, 0, 0)
        self.asked[same] += 1
        answer = await self.records.answer(question, self.asked[same], self.what)
        self.tokens += answer.usage.output_tokens
        return answer

    async def verdict(self, question: Question, *, meter: Meter = FREE) -> Answer:
        raise ModelError("No method here asks for a verdict.")


if __name__ == "__main__":
    child.main(widen)
