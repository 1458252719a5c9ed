"""A chat endpoint on loopback for agents of any framework: a model that makes a plan, runs it and reads the answer.

It goes by the texts that its client puts before it, and by nothing else: what a client drops or refuses, it never sees.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from forethought_tools import JSON

_PLAN = re.compile(r"plan_[0-9a-f]{12}")
_STATUS = re.compile(r"status\W{1,8}(\w+)")
_GOES_ON = ("ready", "waiting", "running")
_PATIENCE = 25  # calls
_END = "final_answer"  # the tool with which agents of some frameworks say that they are done


@dataclass
class Brain:
    """What the model is asked, what it is offered, and what it says next."""

    goal: str
    steps: Sequence[Mapping[str, Any]]
    approve: Callable[[], None]
    offered: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: list[str] = field(default_factory=list[str])

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The next message of the model: a call of a tool, or code that makes it, where no tools are offered."""
        self.offered |= {tool["function"]["name"]: tool["function"] for tool in asked.get("tools", [])}
        news = _since_last_answer(asked["messages"])
        if news is None:
            return self._call("create_plan", goal=self.goal, steps=list(self.steps))
        self.seen.append(news)
        plan, status = _PLAN.search(news), _STATUS.findall(news)
        if plan is None or not status or status[0] not in _GOES_ON or len(self.seen) > _PATIENCE:
            return self._end(news)
        if status[0] == "waiting":
            self.approve()
        return self._call("execute_plan", plan_id=plan[0])

    def _end(self, text: str) -> dict[str, Any]:
        """The last word: by a tool of the client's that is there for it, or as it is."""
        return self._call(_END, answer=text) if _END in self.offered or not self.offered else _said(text)

    def _call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """A call of a tool by the name that the client has given it: some put the server's before it."""
        if not self.offered:
            return _said(_code(name, arguments))
        (offered,) = [other for other in self.offered if other.endswith(name)]
        function = {"name": offered, "arguments": json.dumps(arguments)}
        call = {"id": f"call_{len(self.seen)}", "type": "function", "function": function}
        return {**_said(None), "tool_calls": [call]}


def _said(text: str | None) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _code(name: str, arguments: Mapping[str, Any]) -> str:
    """The call as an agent wants it that has code written."""
    call = f"{name}(**{arguments!r})"
    return f"<code>\n{call if name == _END else f'print({call})'}\n</code>"


def _since_last_answer(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The texts that came after the model's last message, if it has said anything."""
    said = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    return "\n".join(_text(message) for message in messages[said[-1] + 1 :]) if said else None


def _text(message: Mapping[str, Any]) -> str:
    """What a chat endpoint reads of a message. It takes no files: where one is sent, it refuses the request."""
    content = message["content"]
    if isinstance(content, str):
        return content
    assert all(part["type"] == "text" for part in content), f"not supported by this endpoint: {content}"
    return "\n".join(part["text"] for part in content)


@contextmanager
def thinking(brain: Brain) -> Generator[str]:
    """The address of an OpenAI-compatible endpoint behind which this model is."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self._reply(200, _streamed if asked.get("stream") else _whole, brain.answer(asked))
            except (AssertionError, KeyError, ValueError) as error:
                self._reply(400, _whole, _said(repr(error)), error={"message": repr(error)})

        def _reply(self, status: int, form: Callable[..., str], message: Mapping[str, Any], **more: Any) -> None:
            body = form(message, **more).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if form is _whole else "text/event-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
            """Nothing: standard error is the test's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def _whole(message: Mapping[str, Any], **more: Any) -> str:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "finish_reason": finish, "message": message}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    about = {"id": "1", "object": "chat.completion", "created": 1, "model": "scripted"}
    return json.dumps({**about, "choices": [choice], "usage": usage, **more})


def _streamed(message: Mapping[str, Any]) -> str:
    calls: list[JSON] = [{"index": at, **call} for at, call in enumerate(message.get("tool_calls", []))]
    finish = "tool_calls" if calls else "stop"
    delta = {**message, "tool_calls": calls} if calls else dict(message)
    about: dict[str, JSON] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    chunks: list[JSON] = [
        {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
