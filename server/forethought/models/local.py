"""The embedded model: a child process serves it, and an `OpenAIModel` asks it, like any other endpoint.

A child, because standard output belongs to MCP, and because native code that crashes must crash alone.
"""

__all__ = ["LocalModel"]

import importlib.util
import json
import math
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import anyio
import httpx2
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from forethought import installing
from forethought.models.child import KEY_VARIABLE
from forethought.models.fetch import catalogue
from forethought.models.gguf import trouble
from forethought.models.openai import OpenAIModel
from forethought.models.prompts import Prompts
from forethought.variables import SECRET_VARIABLES
from forethought_patterns.ports import Answer, Charge, Free, Heard, Meter, Usage
from forethought_tools import ModelError, Question, Role
from forethought_tools.child import end_group
from forethought_tools.inherited import is_inherited

_FREE = Free()
_GRACE = 5.0  # seconds from terminate to kill
_LAST_WORDS = 5.0  # seconds in which a process that has closed its output may end


@dataclass(frozen=True)
class _Child:
    process: Process
    model: OpenAIModel
    prompts: Prompts | None
    log: IO[bytes]


@dataclass(frozen=True)
class _Stopwatch:
    """A meter that stops a clock while it waits for a person."""

    meter: Meter
    scope: anyio.CancelScope

    @asynccontextmanager
    async def request(self, input_tokens: int) -> AsyncGenerator[Charge]:
        left, self.scope.deadline = self.scope.deadline - anyio.current_time(), math.inf
        async with self.meter.request(input_tokens) as charge:
            self.scope.deadline = anyio.current_time() + left
            yield charge


class LocalModel:
    """A model file on this machine. Its process starts with the first question, and again if it has died.

    It answers one question at a time, because one takes all cores. `timeout` does not count the wait for others.
    """

    def __init__(
        self,
        *,
        name: str,
        file: Path,
        kept: Path | None = None,
        timeout: float = 300,
        max_tokens: int = 1024,
        start_timeout: float = 120,
    ) -> None:
        """`kept` is a folder, closed to others, for what the next process need not read again (see `prompts.py`)."""
        self._name = name
        self._file = file
        self._kept = kept
        self._timeout = timeout
        self._max_tokens = max_tokens
        self._start_timeout = start_timeout
        self._child: _Child | None = None
        self._closed = False
        self._asking = anyio.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def lean(self) -> bool:
        return True

    @property
    def pid(self) -> int | None:
        """The process that serves the model, while there is one."""
        return self._child.process.pid if self._child else None

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def answer(self, question: Question, *, meter: Meter = _FREE, heard: Heard | None = None) -> Answer:
        asked = _reminded(question)
        return await self._ask(asked, meter, lambda model, metered: model.answer(asked, meter=metered, heard=heard))

    async def verdict(self, question: Question, *, meter: Meter = _FREE) -> Answer:
        return await self._ask(question, meter, lambda model, metered: model.verdict(question, meter=metered))

    async def aclose(self) -> None:
        """End the child for good: no question is answered after this."""
        self._closed = True
        child, self._child = self._child, None
        if child is not None:
            await _end(child)

    async def _ask(
        self, question: Question, meter: Meter, ask: Callable[[OpenAIModel, Meter], Awaitable[Answer]]
    ) -> Answer:
        async with self._asking:
            child = await self._running()
            try:
                with anyio.fail_after(self._timeout) as scope:
                    if child.prompts is not None:
                        await child.prompts.prepare(question)
                    return await ask(child.model, _Stopwatch(meter, scope))
            except TimeoutError:
                raise ModelError(
                    f"{self._name} did not answer within {self._timeout:g} s on this machine."
                    " Ask for less, or set FORETHOUGHT_BASE_URL and FORETHOUGHT_MODEL to a faster endpoint.",
                    transient=True,
                ) from None
            except ModelError as error:
                if self._closed:
                    raise self._over() from None
                if error.transient and await _is_gone(child):
                    raise self._failed("ended in the middle of a question", child.log) from None
                raise

    async def _running(self) -> _Child:
        if self._child is not None and self._child.process.returncode is not None:
            dead, self._child = self._child, None
            await _end(dead)
        if self._closed:
            raise self._over()
        if self._child is None:
            self._check()
            child = await self._start()
            if self._closed:  # while it was starting
                await _end(child)
                raise self._over()
            self._child = child
        return self._child

    def _check(self) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelError(f"{self._name} needs the local extra: {installing('local')}.")
        if not self._file.is_file() and self._name in catalogue():
            raise ModelError(f"The file of {self._name} is not at {self._file}: run `forethought model fetch`.")
        if problem := trouble(self._file):
            raise ModelError(problem)
        if self._kept is not None:
            self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _start(self) -> _Child:
        key = secrets.token_urlsafe(24)
        # A file, not a pipe: nobody has to read it for the child to go on.
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        try:
            process = await anyio.open_process(
                self._command(),
                stderr=log,
                env=_environment(key),
                start_new_session=True,  # Ctrl-C is for us; the child ends when its standard input does
            )
        except BaseException:
            log.close()
            raise
        try:
            address = await self._address(process, log)
            return _Child(process, self._client(address, key), self._prompts(address, key), log)
        except BaseException:
            await _stop(process)
            log.close()
            raise

    def _client(self, address: str, key: str) -> OpenAIModel:
        # No retries: a time-out would only put the same work behind itself in the queue.
        return OpenAIModel(
            model=self._name,
            base_url=address,
            api_key=key,
            lean=True,
            timeout=self._timeout + 5,  # the limit is kept in `_ask`, with better advice
            max_tokens=self._max_tokens,
            retries=0,
        )

    def _prompts(self, address: str, key: str) -> Prompts | None:
        if self._kept is None:
            return None
        client = httpx2.AsyncClient(
            base_url=address.removesuffix("/v1"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=self._timeout + 5,
            trust_env=False,
        )
        return Prompts(client, name=self._name, file=self._file, kept=self._kept)

    def _command(self) -> list[str]:
        threads = ["--threads", str(_cores())]
        # -P: a json.py in the user's folder must not be imported.
        child = [sys.executable, "-P", "-m", "forethought.models.child"]
        kept = ["--kept", str(self._kept)] if self._kept else []
        return [*child, "--model", str(self._file), "--name", self._name, *threads, *kept]

    async def _address(self, process: Process, log: IO[bytes]) -> str:
        assert process.stdout is not None
        try:
            with anyio.fail_after(self._start_timeout):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 65536)
        except TimeoutError:
            raise self._failed(f"did not start within {self._start_timeout:g} s", log) from None
        except (anyio.EndOfStream, anyio.IncompleteRead):
            with anyio.move_on_after(_LAST_WORDS):
                await process.wait()  # what it has to say of its end may come after its output is closed
            raise self._failed("could not start", log, transient=False) from None
        said: dict[str, Any] = json.loads(line)
        return str(said["base_url"])

    def _over(self) -> ModelError:
        return ModelError(f"{self._name} has been closed: this server is shutting down.")

    def _failed(self, what: str, log: IO[bytes], *, transient: bool = True) -> ModelError:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 1500))
        tail = log.read().decode(errors="replace").strip()
        mend = "Run `forethought model fetch` to check its file"
        if self._name not in catalogue():
            mend = f"{self._file} may be damaged, or of a kind that llama.cpp does not know: get it anew"
        return ModelError(
            f"The process of {self._name} {what}. {mend}, or set FORETHOUGHT_MODEL to another model."
            f" It last said:\n{tail or '(nothing)'}",
            transient=transient,
        )


def _environment(key: str) -> dict[str, str]:
    """What the child is told: its own key, and nobody else's."""
    told = {name: value for name, value in os.environ.items() if is_inherited(name, value, hidden=SECRET_VARIABLES)}
    # Threads that wait busily for each other make a shared machine several times slower; those that sleep do not, and
    # then one for each core is the most, whether the machine is shared or not. A user's own setting wins.
    return {"OMP_WAIT_POLICY": "passive", **told, KEY_VARIABLE: key}


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reminded(question: Question) -> Question:
    """Whoever does a step is told once more behind its material what it is for: a small model does what it has read
    last, and copies the beginning of a long text where that is the text."""
    asked = question.instructions.partition("\n\n")[2]
    if question.role is not Role.EXECUTOR or not (asked and question.context):
        return question
    return replace(question, context=f"{question.context}\n\n{asked}")


async def _is_gone(child: _Child) -> bool:
    # The connection breaks a moment before the process is known to be dead.
    with anyio.move_on_after(1):
        await child.process.wait()
    return child.process.returncode is not None


async def _end(child: _Child) -> None:
    await _stop(child.process)
    with anyio.CancelScope(shield=True):
        await child.model.aclose()
        if child.prompts is not None:
            await child.prompts.aclose()
    child.log.close()


async def _stop(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)  # not `process.terminate()`: see end_group
            with anyio.move_on_after(_GRACE):
                await process.wait()
        end_group(process)
        await process.aclose()
