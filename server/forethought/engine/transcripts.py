"""What the agent of a step did: every call with its result, what it has told on the way, and how it ended."""

__all__ = ["in_lines", "transcript"]

from collections.abc import Mapping, Sequence

from forethought.journal.queries import Queries
from forethought.journal.rows import MessageKind, MessageRow
from forethought_patterns.worlds import ANSWER
from forethought_tools import JSON, NotFoundError
from forethought_tools.text import as_text, clipped, one_line, shortened

_KINDS: Sequence[MessageKind] = ("order", "question", "call", "note")
_TASK = 4_000  # characters
_SHOWN = 8_000
_LINE = 300


def transcript(queries: Queries, run_id: str, step: int) -> list[JSON]:
    """Turn by turn, in order; each attempt begins with what its agent was told. Raises NotFoundError."""
    run = queries.run(run_id)
    messages = [message for kind in _KINDS for message in queries.messages(run.id, kind)]
    of_step = [message for message in messages if _is_of(message, step)]
    if not of_step:
        raise NotFoundError(f"No agent has worked on step {step} of {run.id}.")
    attempts = {message.key.split("/")[2] for message in of_step}
    calls = {message.key: message for message in of_step if message.kind == "call"}
    turns: list[JSON] = []
    begun: set[str] = set()
    for message in sorted(of_step, key=lambda each: each.number):
        attempt = message.key.split("/")[2]
        if attempt not in begun and message.kind in ("order", "question"):
            begun.add(attempt)
            more: dict[str, JSON] = {"attempt": int(attempt)} if len(attempts) > 1 else {}
            turns.append({**more, "told": shortened(message.body.get("context"), _TASK)})
        turns += _turn(message, calls)
    return turns


def in_lines(queries: Queries, run_id: str, step: int) -> list[str]:
    """The same for a terminal, a line for each turn; none where no agent has worked on the step."""
    try:
        turns = transcript(queries, run_id, step)
    except NotFoundError:
        return []
    return [line for turn in turns if isinstance(turn, Mapping) and (line := _line(turn))]


def _line(turn: Mapping[str, JSON]) -> str:
    if "tool" in turn:
        came = turn.get("value", turn.get("error"))
        return clipped(one_line(f"{turn['tool']} {as_text(turn['arguments'])} -> {as_text(came)}"), _LINE)
    told = [name for name in ("note", "answer") if name in turn]
    return clipped(one_line(f"{told[0]}: {as_text(turn[told[0]])}"), _LINE) if told else ""


def _is_of(message: MessageRow, step: int) -> bool:
    parts = message.key.split("/")
    return parts[:2] == ["step", str(step)] and parts[3:4] == ["agent"]


def _turn(message: MessageRow, calls: Mapping[str, MessageRow]) -> list[JSON]:
    if message.kind == "note":
        return [{"note": message.body.get("note")}]
    said = message.answer
    if message.kind == "call" or said is None:
        return []
    if message.kind == "order" or not isinstance(said, Mapping) or "tool" not in said:
        return [{"answer": said, "by": message.by}]
    if said["tool"] == ANSWER:
        return [{"answer": said.get("answer"), "by": message.by}]
    call = calls.get(f"{message.key}/call")
    given = call.body.get("arguments") if call else said.get("arguments")
    came: JSON = None if call is None else call.answer
    outcome = came if isinstance(came, Mapping) else {"error": "it was not made" if call is None else "it is not over"}
    shown = {name: shortened(value, _SHOWN) for name, value in outcome.items()}
    return [{"thought": said.get("thought", ""), "tool": said["tool"], "arguments": given, **shown}]
