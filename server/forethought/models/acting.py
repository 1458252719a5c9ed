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
from forethought_tools import JSON, Question, Tool

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64  # characters of a name


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
    if reply.call is not None:
        name, arguments = reply.call
        tool = functions.tools.get(name)
        said = spoken(reply.text) if reply.text != arguments else ""
        return {"thought": said, "tool": tool.name if tool else name, "arguments": _read(arguments), "answer": ""}
    answer = spoken(reply.text)
    return {"thought": "", "tool": "answer", "arguments": {}, "answer": answer} if answer else None


def _read(arguments: str) -> Mapping[str, JSON]:
    """What cannot be read is nothing: the call says what it lacks."""
    try:
        found = values(arguments)
    except ValueError:
        return {}
    objects = [value for value in found if isinstance(value, Mapping)]
    return objects[0] if objects else {}


def _plain(schema: JSON) -> JSON:
    """A schema without hints of our own."""
    if isinstance(schema, Mapping):
        return {name: _plain(part) for name, part in schema.items() if not name.startswith("x-")}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
