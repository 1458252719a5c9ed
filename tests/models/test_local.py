"""Against a real small model: the protocol and the life of its process, never the wording."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from forethought.models.fetch import catalogue, fetch, present
from forethought.models.local import LocalModel
from forethought_patterns.ports import Model
from forethought_tools import JSON, ModelError, Question, Role

pytest.importorskip("xllamacpp", reason="the local extra is not installed")

NAME = "smollm2-135m"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
PLAN: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 2,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "tool": {"enum": ["search", "write"]},
                    "why": {"type": "string", "maxLength": 40},
                },
                "required": ["tool", "why"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["steps"],
    "additionalProperties": False,
}
# More than a thousand tokens: far more than can be generated while a test looks on.
ENDLESS: dict[str, JSON] = {
    "type": "array",
    "items": {"type": "string", "minLength": 60, "maxLength": 60},
    "minItems": 60,
    "maxItems": 60,
}


@pytest.fixture(scope="session")
def file() -> Path:
    home = Path(os.environ.get("FORETHOUGHT_TEST_MODELS", "~/.cache/forethought-test-models")).expanduser()
    model = catalogue()[NAME]
    try:
        return fetch(model, home, hub=os.environ.get("FORETHOUGHT_MODEL_HUB", "off"))
    except ModelError as error:
        if present(home, model) or not error.transient or "CI" in os.environ:
            raise
        pytest.skip(f"{NAME} cannot be fetched here: {error}")


def asked(schema: dict[str, JSON], instructions: str = "Plan the work.") -> Question:
    return Question(Role.PLANNER, instructions, "The goal: tidy the room.", schema)


@asynccontextmanager
async def local(file: Path, **options: Any) -> AsyncGenerator[LocalModel]:
    model = LocalModel(name=NAME, file=file, **options)
    try:
        with anyio.fail_after(240):
            yield model
    finally:
        await model.aclose()


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8").split())


@pytest.mark.anyio
async def test_its_answers_fit_their_schema_and_are_counted(file: Path) -> None:
    async with local(file) as model:
        port: Model = model
        assert (port.name, port.lean, model.pid) == (NAME, True, None)
        answer = await port.answer(asked(PLAN))
        steps: Any = answer.value
        assert [step["tool"] in ("search", "write") for step in steps["steps"]] in ([True] * 2, [True] * 3)
        assert (answer.model, answer.note, answer.usage.calls) == (NAME, "", 1)
        assert answer.usage.input_tokens > 10
        assert answer.usage.output_tokens > 5
        pid = model.pid
        text = await port.answer(asked({"type": "string"}, "Answer with one word: Hello."))
        assert isinstance(text.value, str)
        assert (await port.answer(asked({"type": "boolean"}))).value in (True, False)
        assert model.pid == pid is not None


@pytest.mark.anyio
async def test_a_verdict_is_a_probability_had_with_one_token(file: Path) -> None:
    async with local(file) as model:
        answer = await model.verdict(asked({}, "Judge the goal."))
        assert isinstance(answer.value, float)
        assert 0 < answer.value < 1
        assert (answer.usage.output_tokens, answer.note) == (1, "")


@pytest.mark.anyio
async def test_the_same_question_has_the_same_answer(file: Path) -> None:
    async with local(file) as model:
        await model.answer(asked(PLAN))
        assert (await model.answer(asked(PLAN))).value == (await model.answer(asked(PLAN))).value


@pytest.mark.anyio
async def test_callers_at_the_same_time_share_one_process(file: Path) -> None:
    async with local(file) as model:
        values: list[JSON] = []

        async def ask() -> None:
            values.append((await model.answer(asked({"enum": ["one", "two"]}))).value)
            pids.add(model.pid)

        pids: set[int | None] = set()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert len(values) == 3
        assert len(pids) == 1


@pytest.mark.anyio
async def test_an_answer_without_end_is_cut_off_with_advice(file: Path) -> None:
    async with local(file, max_tokens=30) as model:
        with pytest.raises(ModelError, match=r"cut off after 30 tokens\. Ask for less"):
            await model.answer(asked(ENDLESS))


@pytest.mark.anyio
async def test_a_cancelled_question_makes_room_for_the_next(file: Path) -> None:
    async with local(file, max_tokens=4000) as model:
        await model.verdict(asked({}))
        with anyio.move_on_after(1) as scope:
            await model.answer(asked(ENDLESS))
        assert scope.cancelled_caught
        # The endless answer would have kept the only slot for longer.
        with anyio.fail_after(60):
            assert (await model.answer(asked({"enum": ["one", "two"]}))).value in ("one", "two")


@pytest.mark.anyio
async def test_a_question_that_takes_too_long_is_a_transient_error(file: Path) -> None:
    async with local(file, max_tokens=4000, timeout=1) as model:
        with pytest.raises(ModelError, match="did not answer within 1 s") as caught:
            await model.answer(asked(ENDLESS))
        assert caught.value.transient
        assert model.pid is not None


@pytest.mark.anyio
async def test_a_process_that_dies_is_told_and_started_again(file: Path) -> None:
    async with local(file, max_tokens=4000) as model:
        await model.verdict(asked({}))
        first = model.pid
        assert first is not None
        errors: list[ModelError] = []

        async def ask() -> None:
            with pytest.raises(ModelError) as caught:
                await model.answer(asked(ENDLESS))
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            os.kill(first, signal.SIGKILL)
        assert errors[0].transient
        assert "ended in the middle" in str(errors[0])
        await model.verdict(asked({}))
        assert model.pid not in (None, first)


@pytest.mark.anyio
@LINUX
async def test_nothing_is_left_after_closing(file: Path) -> None:
    async with local(file) as model:
        await model.verdict(asked({}))
        pid = model.pid
        assert pid is not None
        await model.aclose()
        assert str(pid) not in children()
        with pytest.raises(ModelError, match="has been closed"):
            await model.verdict(asked({}))


@pytest.mark.anyio
async def test_closing_ends_the_question_that_is_being_answered(file: Path) -> None:
    async with local(file, max_tokens=4000) as model:
        await model.verdict(asked({}))
        errors: list[str] = []

        async def ask() -> None:
            with pytest.raises(ModelError) as caught:
                await model.answer(asked(ENDLESS))
            errors.append(str(caught.value))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            await model.aclose()
        assert "has been closed" in errors[0]


@pytest.mark.anyio
@LINUX
async def test_a_start_that_is_cancelled_leaves_nothing(file: Path) -> None:
    before = children()
    async with local(file) as model:
        with anyio.move_on_after(0.1):
            await model.verdict(asked({}))
        with anyio.fail_after(60):  # one that was begun just then ends by itself, since nobody holds its input
            while children() != before:  # noqa: ASYNC110 - nothing tells when a process is gone
                await anyio.sleep(0.05)
        await model.verdict(asked({}))


@pytest.mark.anyio
async def test_a_file_that_is_no_model_or_not_there_says_what_to_do(tmp_path: Path) -> None:
    async with local(tmp_path / "none.gguf") as model:
        with pytest.raises(ModelError, match="run `forethought model fetch`"):
            await model.verdict(asked({}))
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"no model at all")
    async with local(wrong) as model:
        with pytest.raises(ModelError, match="is not a GGUF file"):
            await model.verdict(asked({}))
    wrong.write_bytes(b"GGUF and then no model")
    async with local(wrong) as model:
        with pytest.raises(ModelError, match=r"(?s)could not start.*failed to load model") as caught:
            await model.verdict(asked({}))
        assert not caught.value.transient
        assert model.pid is None


@pytest.mark.anyio
async def test_a_start_has_a_limit(file: Path) -> None:
    async with local(file, start_timeout=0.01) as model:
        with pytest.raises(ModelError, match=r"did not start within 0\.01 s"):
            await model.verdict(asked({}))
        assert model.pid is None


PARENT = """
import anyio, json, sys
from pathlib import Path
from forethought.models.local import LocalModel
from forethought_tools import Question, Role

async def main():
    model = LocalModel(name="smollm2-135m", file=Path(sys.argv[1]))
    answer = await model.verdict(Question(Role.CRITIC, "Judge.", "All is well.", {}))
    print(json.dumps({"pid": model.pid, "value": answer.value}), flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""


@LINUX
def test_it_ends_with_a_parent_that_is_killed_and_never_writes_to_its_output(file: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        said = json.loads(parent.stdout.readline())
        child = os.pidfd_open(said["pid"])
        parent.kill()
        assert parent.stdout.read() == b""
    with os.fdopen(child):
        ended, _, _ = select.select([child], [], [], 20)
    assert ended == [child]


def test_the_next_process_need_not_read_the_beginning_of_a_planners_prompt_again(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "home" / "prompts"
    question = replace(asked(PLAN), instructions="Plan it. " * 100)
    first = _answer(file, kept, question)
    assert kept.stat().st_mode & 0o77 == 0, "nobody else may look"
    (only,) = kept.iterdir()
    inode = only.stat().st_ino
    second = _answer(file, kept, question)
    assert only.stat().st_ino == inode, "what was kept was of use, else it would have been made anew"
    only.write_bytes(only.read_bytes()[:1000])
    third = _answer(file, kept, question)
    assert only.stat().st_size > 1000, "what is damaged is made anew"
    assert first == second == third


def test_few_beginnings_are_kept_and_only_those_of_planners(file: Path, tmp_path: Path) -> None:
    boolean = asked({"type": "boolean"})
    _answer(file, tmp_path, replace(boolean, role=Role.CRITIC))
    assert not list(tmp_path.iterdir())
    _answer(file, tmp_path, *(replace(boolean, instructions=f"Plan {number} of ten.") for number in range(10)))
    assert len(list(tmp_path.iterdir())) == 8


def _answer(file: Path, kept: Path, *questions: Question) -> list[JSON]:
    """What a fresh process answers."""

    async def ask() -> list[JSON]:
        async with local(file, kept=kept) as model:
            return [(await model.answer(question)).value for question in questions]

    return anyio.run(ask)
