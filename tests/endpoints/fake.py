"""The one endpoint of all tests: a real HTTP server on loopback, which can be told what it is able to do."""

import json
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias, cast

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
"""A status, and what is said: a value is JSON; a text is events where it begins so, else a web page; pieces are events,
each sent as soon as it is there; bytes are sent as they are."""


@dataclass
class Endpoint:
    base_url: str
    reply: Callable[[Body], Reply] = lambda _: (500, {})
    page: Callable[[], bytes] = lambda: b""
    """What a GET brings."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Sent with every reply, and winning over what is sent anyway."""
    asked: list[Body] = field(default_factory=list[Body])
    paths: list[str] = field(default_factory=list[str])
    heads: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    """The headers of each request."""
    released: threading.Event = field(default_factory=threading.Event)

    def forms(self) -> list[str]:
        """What each request wanted as its form."""
        return [_form(body) for body in self.asked]


@contextmanager
def serving() -> Generator[Endpoint]:
    """An endpoint, until left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, "text/html", [there.page()])

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            there.asked.append(body)
            there.paths.append(self.path)
            there.heads.append({name.lower(): value for name, value in self.headers.items()})
            status, what = there.reply(body)
            if isinstance(what, Iterator):
                self._send(
                    status, "text/event-stream", (piece.encode() for piece in cast("Iterator[str]", what)), whole=False
                )
            elif isinstance(what, str | bytes):
                content = what.encode() if isinstance(what, str) else what
                self._send(status, "text/event-stream" if content.startswith(b"data:") else "text/html", [content])
            else:
                self._send(status, "application/json", [json.dumps(what).encode()])

        def _send(self, status: int, kind: str, pieces: Any, *, whole: bool = True) -> None:
            length = {"Content-Length": str(len(pieces[0]))} if whole else {}
            self.send_response(status)
            for name, value in ({"Content-Type": kind, **length, "retry-after-ms": "1"} | there.headers).items():
                self.send_header(name, value)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
        threading.Thread(target=server.serve_forever).start()
        yield there
        there.released.set()
        server.shutdown()


def event(choice: Mapping[str, Any] | None, **more: Any) -> str:
    """One event of a stream. Without a choice it has none."""
    choices = [] if choice is None else [{"index": 0, "finish_reason": None, **choice}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return f"data: {json.dumps(chunk)}\n\n"


def pieces(*texts: str, finish: str | None = "stop") -> Iterator[str]:
    """An answer as a stream of events, with what it cost."""
    yield from (event({"delta": {"content": text}}) for text in texts)
    yield event({"delta": {}, "finish_reason": finish})
    yield event(None, usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    yield "data: [DONE]\n\n"


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
        with anyio.fail_after(60):
            yield model
    finally:
        await model.aclose()


async def failure(endpoint: Endpoint, schema: dict[str, JSON] = TEXT, **options: Any) -> ModelError:
    async with model_at(endpoint.base_url, **options) as model:
        with pytest.raises(ModelError) as caught:
            await model.answer(asked(schema))
    assert KEY not in str(caught.value)
    return caught.value
