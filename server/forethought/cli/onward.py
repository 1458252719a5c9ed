"""How a run stands for a person at a terminal, and the commands by which they go on: no calls of a client's tools."""

__all__ = ["onward", "state_of", "waited_for"]

from forethought.cli.terminal import PROGRAM
from forethought.engine.deaths import died_twice
from forethought.engine.records import resuming
from forethought.journal.codec import gate_of
from forethought.journal.queries import Queries
from forethought.journal.rows import OPEN, MessageRow, Pausing, RunRow
from forethought_patterns.gate_lines import in_brief
from forethought_tools import JSON
from forethought_tools.visible import visible


def state_of(queries: Queries, run: RunRow) -> str:
    """The state of a run, or the one that a person has asked for and that it will soon have."""
    if run.ended is None and run.stopping:
        return "ending"
    if run.state == "running" and run.owner and not queries.alive(run.owner):
        return "not resumed" if died_twice(queries, run) else "stale"
    return "pausing" if run.state == "running" and run.pausing == Pausing.ASKED else run.state


def waited_for(queries: Queries, run: RunRow) -> list[JSON]:
    """Who has to decide or answer what, in a line each."""
    return [_waits(message) for message in queries.open_messages(run.id) if message.kind in ("gate", "order")]


def _waits(message: MessageRow) -> str:
    if message.kind == "order":
        return f"the agent of an MCP client: {message.body['role']}, {message.id}"
    gate = gate_of(message)
    return f"you: {visible(gate.subject)} {in_brief(gate.details)}"


def onward(queries: Queries, run: RunRow) -> str:
    """What a person can do about a run."""
    resume = f"{PROGRAM} {resuming(run.id, run.folders)}"
    state = state_of(queries, run)
    if run.state in OPEN and state not in ("ending", "not resumed"):
        if queries.open_ids(run.id, "gate"):
            return f"It waits for you: {PROGRAM} decide {run.id}, then {resume}"
        if queries.open_ids(run.id, "order"):
            return f"It waits for the agent of an MCP client to answer work orders. Have that go on with {run.id}"
    return {
        "ending": f"It is being ended by the server that drives it; where none does, {PROGRAM} cancel {run.id} ends it",
        "not resumed": (
            f"Only a person can let it go on: {PROGRAM} resume {run.id}. It may be what hung or killed its server:"
            f" look at {PROGRAM} show {run.id} --journal. {PROGRAM} cancel {run.id} ends it"
        ),
        "stale": f"Its server is gone. The next one that starts goes on with it, or: {resume}",
        "running": f"A server is at work on it. To watch: {resume}",
        "pausing": f"It pauses once what is in flight has ended. {PROGRAM} resume {run.id} lets it go on",
        "waiting": f"It was answered, and goes on with the next server that starts, or: {resume}",
        "paused": f"{PROGRAM} resume {run.id} lets it go on",
        "succeeded": "nothing is left to do",
        "failed": f"{PROGRAM} show {run.id} shows what failed",
        "cancelled": f"{PROGRAM} show {run.id} shows what was done until then",
    }[state]
