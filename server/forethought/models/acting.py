"""What an agent is asked and answers where an endpoint has calls of tools of its own: functions, turns, the next call.

Which form it was had in, the caller cannot tell: the value is that of the schema that is asked for elsewhere.
"""

__all__ = ["Functions", "acting"]

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forethought.models.lenient import values
from forethought.models.replies import Reply
from forethought.models.thoughts import spoken
from forethought.models.ways import Body
from forethought_patterns.worlds import ANSWER
from forethought_tools import JSON, Question, Tool
from forethought_tools.text import as_text

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64  # characters of a name
_LAYERS = 2  # JSON text in JSON text
_TAG = re.compile(r"</?(?:tool_call|function_call|tool_code)>")
_CALL = frozenset({"name", "tool", "arguments", "parameters", "id", "type"})


@dataclass(frozen=True, slots=True)
class Functions:
    """Tools under names that every endpoint takes."""

    tools: Mapping[str, Tool]

    @classmethod
    def of(cls, tools: Sequence[Tool]) -> "Functions":
        named: dict[str, Tool] = {}
        for tool in tools:
            name = _UNFIT.sub("_", tool.name)[:_LONGEST]
            named[name if name not in named else f"{name[: _LONGEST - 4]}_{len(named)}"] = tool
        return cls(named)

    def body(self) -> Body:
        """The part of a request that offers them."""
        offered: list[JSON] = [
            {
                "type": "function",
                "function": {"name": name, "description": tool.description, "parameters": _plain(tool.parameters)},
            }
            for name, tool in self.tools.items()
        ]
        return {"tools": offered}

    def messages(self, question: Question) -> list[JSON]:
        """The task, and every call so far as one of the model's own."""
        names = {tool.name: name for name, tool in self.tools.items()}
        said: list[JSON] = [
            {"role": "system", "content": f"You are the {question.role}.\n\n{question.instructions}"},
            {"role": "user", "content": question.task},
        ]
        for number, turn in enumerate(question.turns, 1):
            call: dict[str, JSON] = {"name": names.get(turn.tool, turn.tool), "arguments": json.dumps(turn.arguments)}
            ours = f"call_{number}"
            said.append(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": ours, "type": "function", "function": call}],
                }
            )
            said.append({"role": "tool", "tool_call_id": ours, "content": turn.result})
        return said


def acting(reply: Reply, functions: Functions) -> Mapping[str, JSON] | None:
    """The next call, or the answer, as the schema of the question has it. None: there is neither."""
    name, written = reply.call or _written(spoken(reply.text), functions) or ("", "")
    if not name:
        answer = spoken(reply.text)
        return {"thought": "", "tool": ANSWER, "arguments": {}, "answer": answer} if answer else None
    tool, arguments = functions.tools.get(name), _read(written)
    said = spoken(reply.text) if reply.call and reply.text != written else ""
    if tool is None and name == ANSWER and isinstance(arguments, Mapping):  # it takes the answer for a tool
        return {"thought": said, "tool": ANSWER, "arguments": {}, "answer": as_text(_one(arguments) or said)}
    return {"thought": said, "tool": tool.name if tool else name, "arguments": arguments, "answer": ""}


def _written(said: str, functions: Functions) -> tuple[str, str] | None:
    """A call of a tool that there is, written as text: by a model whose endpoint does not know how it calls."""
    call = _read(_TAG.sub("", said)) if said.startswith(("{", "<", "```")) else None
    if not isinstance(call, Mapping) or not call.keys() <= _CALL:
        return None
    name, arguments = call.get("name", call.get("tool")), call.get("arguments", call.get("parameters"))
    known = isinstance(name, str) and name in functions.tools
    return (str(name), as_text(arguments)) if known and isinstance(arguments, Mapping | str) else None


def _one(arguments: Mapping[str, JSON]) -> JSON:
    """The answer among the arguments of a call that is one."""
    return arguments.get(ANSWER) or (next(iter(arguments.values())) if len(arguments) == 1 else None)


def _read(arguments: str) -> JSON:
    """The object that is written there, or, where none is to be read, the text: the caller says what is wrong."""
    read: JSON = arguments or "{}"
    for _ in range(_LAYERS):
        if not isinstance(read, str):
            break
        try:
            found = values(read)
        except ValueError:
            return arguments
        read = found[0] if len(found) == 1 or isinstance(found[0], Mapping) else arguments
    return read if isinstance(read, Mapping) else {} if read is None else arguments


def _plain(schema: JSON) -> JSON:
    """A schema without hints of our own."""
    if isinstance(schema, Mapping):
        return {name: _plain(part) for name, part in schema.items() if not name.startswith("x-")}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
