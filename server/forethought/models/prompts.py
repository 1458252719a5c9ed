"""What the embedded model has made of the beginning of a planner's prompt, kept from one process of it to the next.

To read the rules and the tools takes a small machine longer than to write a plan. Only these are kept: they are our own
text, and never what a run is about.
"""

__all__ = ["Prompts"]

import hashlib
import logging
from importlib.metadata import version
from pathlib import Path

import httpx2

from forethought.models.openai import messages
from forethought_tools import Question, Role

logger = logging.getLogger(__name__)

_MOST = 8  # files, of some 10 to 30 MB each: other tools, another prompt


class Prompts:
    """The beginnings that one process of the model knows."""

    def __init__(self, client: httpx2.AsyncClient, *, name: str, file: Path, kept: Path) -> None:
        """`client` asks the process that serves the model `name` from `file`; it writes into the folder `kept`."""
        self._client = client
        self._name = name
        stat = file.stat()
        self._made_by = (name, stat.st_size, stat.st_mtime_ns, version("xllamacpp"))
        self._kept = kept
        self._known: set[str] = set()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def prepare(self, question: Question) -> None:
        """Have the process know how this question begins. Where that fails it reads all of it, as it would have."""
        if question.role is not Role.PLANNER:
            return
        begins = messages(Question(question.role, question.instructions, "", {}))
        name = hashlib.sha256(repr((self._made_by, begins)).encode()).hexdigest()
        if name in self._known:
            return
        self._known.add(name)
        try:
            if not (self._kept / name).exists() or not await self._slot("restore", name):
                request = {"model": self._name, "messages": begins, "max_tokens": 1}
                await self._client.post("/v1/chat/completions", json=request)
                await self._keep(name)
        except (httpx2.HTTPError, OSError) as error:
            logger.info("the beginning of the prompt is not kept: %s", error)

    async def _keep(self, name: str) -> None:
        fresh = f"{name}.new"
        if await self._slot("save", fresh):
            (self._kept / fresh).replace(self._kept / name)  # whole before it has its name
        for old in sorted(self._kept.iterdir(), key=lambda file: file.stat().st_mtime)[:-_MOST]:
            old.unlink()

    async def _slot(self, action: str, name: str) -> bool:
        answer = await self._client.post("/slots/0", params={"action": action}, json={"filename": name})
        return answer.is_success
