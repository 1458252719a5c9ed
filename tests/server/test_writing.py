"""What a model writes is seen while it writes: by clients, as progress, and at a terminal. It is never recorded."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from tests.endpoints.fake import Body, Endpoint, Reply, event, pieces
from tests.server.asking import view

from forethought.app import open_store, unfinished
from forethought.engine.watchers import Watchers
from forethought.engine.writing import overheard
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import Role

pytestmark = pytest.mark.anyio

KEY = "sk-0123456789abcdef"
PLAN = {
    "reasoning": f"A plan\u202e with {KEY} in it.",
    "steps": [
        {
            "id": 1,
            "description": "",
            "tool": "calculate",
            "arguments": [{"name": "expression", "value": "6 * 7"}],
            "depends_on": [],
            "expected_output": "",
            "confidence": 1,
            "strategy": "direct",
        }
    ],
}
VERDICT = {"done": True, "answer": "It is forty-two.", "missing": ""}


class World:
    """An endpoint that says the first half of each answer, and the rest once somebody has seen that."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.address = endpoint.base_url
        self.seen = threading.Semaphore(0)
        self.in_time: list[bool] = []
        endpoint.reply = self.reply

    def reply(self, body: Body) -> Reply:
        assert body["stream"], "every question is streamed"
        text = json.dumps(PLAN if "planner" in body["messages"][0]["content"] else VERDICT, ensure_ascii=False)
        return 200, self.halves(text, text.index(KEY) + 8 if KEY in text else text.index("two"))

    def halves(self, text: str, cut: int) -> Iterator[str]:
        yield event({"delta": {"content": text[:cut]}})
        self.in_time.append(self.seen.acquire(timeout=60))
        yield from pieces(text[cut:])


@pytest.fixture
def world(endpoint: Endpoint) -> Iterator[World]:
    there = World(endpoint)
    yield there
    for _ in range(9):
        there.seen.release()


async def test_what_a_model_writes_is_told_as_progress_while_it_writes(
    make_settings: Callable[..., Settings], world: World
) -> None:
    settings = make_settings(model="m", base_url=world.address, api_key=KEY, folders=(), silence=60)
    told: list[str] = []

    async def follow(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        if "writes" in str(message) and message not in told:
            told.append(str(message))
            world.seen.release()

    async with Client(build_server(settings)) as client:
        with anyio.fail_after(120):
            done = view(await client.call_tool("execute_plan", {"goal": "6 * 7"}, progress_callback=follow))
    assert (done["status"], done.get("answer")) == ("succeeded", "It is forty-two."), done
    assert world.in_time == [True, True], "each was still being written when it was told"
    assert told == [
        'making the plan; the planner writes: {"reasoning": "A plan\\u202e with',
        '1 of 1 steps done; the joiner writes: {"done": true, "answer": "It is forty-',
    ]
    store = open_store(settings)
    assert all("writes" not in entry.kind for entry in store.queries.journal(done["run_id"]))
    store.close()


async def test_many_pieces_are_told_as_few_lines_which_are_short_and_cannot_hide_anything() -> None:
    watchers, lines, heard = Watchers(), list[str](), list[str | None]()
    wake, watchers.wake = watchers.wake, lambda run_id: lines.append(watchers.writing(run_id))  # type: ignore[method-assign]  # to hear of each
    with overheard("run_1", Role.JOINER, watchers, shown=str, also=heard.append) as hear:
        hear("a long\n\n text\x1b[2J " * 50)
        for _ in range(1000):
            hear("piece ")
    watchers.wake = wake  # type: ignore[method-assign]
    assert len(heard) == 1001
    assert 1 <= len(lines) < 100
    assert lines[0].startswith("the joiner writes: ... ")
    assert "\\u001b" in lines[0]
    assert "\x1b" not in lines[0]
    assert len(lines[0]) < 300
    assert watchers.writing("run_1") == "", "it is over"


@given(secret=st.text("ab", min_size=8, max_size=12), other=st.text("abc", min_size=8, max_size=12), data=st.data())
def test_no_secret_is_told_while_a_text_is_being_written_and_no_beginning_of_one(
    secret: str, other: str, data: st.DataObject
) -> None:
    pieces = st.sampled_from([secret, secret[:5], other, other[:-1], secret[3:], "x"])
    text = "".join(data.draw(st.lists(pieces, max_size=6)))
    settings = Settings(home=Path("nowhere"), api_key=secret, base_url=f"http://me:{other}@example.org/v1")
    shown = unfinished(settings)(text)
    for each in (secret, other):
        assert each not in shown
        assert not any(shown.endswith(each[:size]) for size in range(1, len(each) + 1))
