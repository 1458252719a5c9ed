"""A real HTTP server on loopback, which can be told what it is able to do."""

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import pytest

from forethought.models.openai import OpenAIModel
from forethought_tools import JSON, ModelError, Question, Role

KEY = "sk-secret-0123456789"
STRICT: dict[str, JSON] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
LOOSE: dict[str, JSON] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TEXT: dict[str, JSON] = {"type": "string"}
Body: TypeAlias = dict[str, Any]
Reply: TypeAlias = tuple[int, Any]


@dataclass
class Endpoint:
    base_url: str
    reply: Callable[[Body], Reply] = lambda _: (500, {})
    asked: list[Body] = field(default_factory=list[Body])
    released: threading.Event = field(default_factory=threading.Event)

    def forms(self) -> list[str]:
        """What each request wanted as its form."""
        return [_form(body) for body in self.asked]


def _form(body: Body) -> str:
    form = body.get("response_format", {"type": "text"})
    if form["type"] == "json_schema":
        return "strict" if form["json_schema"]["strict"] else "schema"
    return str(form["type"])


def said(content: str | None, *, finish: str = "stop", **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": more.pop("refusal", None)}
    choice = {"index": 0, "finish_reason": finish, "message": message, **more}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def refused(message: str, status: int = 400, **more: Any) -> Reply:
    return status, {"error": {"message": message, **more}}


def in_turn(*replies: Reply) -> Callable[[Body], Reply]:
    left = iter(replies)
    return lambda _: next(left)


def able(*forms: str, content: str = '{"n": 1}') -> Callable[[Body], Reply]:
    """An endpoint that knows these forms only."""
    return lambda body: said(content) if _form(body) in forms else refused("response_format is not supported")


def asked(schema: dict[str, JSON]) -> Question:
    return Question(Role.CRITIC, "The instructions.", "The context.", schema)


@asynccontextmanager
async def model_at(base_url: str, **options: Any) -> AsyncGenerator[OpenAIModel]:
    model = OpenAIModel(model="m", base_url=base_url, api_key=KEY, **options)
    try:
        with anyio.fail_after(20):
            yield model
    finally:
        await model.aclose()


async def failure(endpoint: Endpoint, schema: dict[str, JSON] = TEXT, **options: Any) -> ModelError:
    async with model_at(endpoint.base_url, **options) as model:
        with pytest.raises(ModelError) as caught:
            await model.answer(asked(schema))
    assert KEY not in str(caught.value)
    return caught.value
