"""Whole runs over the protocol with endpoints that are odd: what succeeds is right, and what fails says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.endpoints.fake import Body, Endpoint, Reply, event, refused, said
from tests.server.asking import text, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

TEXT = "The report is short."


def _plan() -> str:
    rest: dict[str, Any] = {"description": "", "expected_output": "", "confidence": 1, "strategy": "direct"}
    brief = [{"name": "brief", "value": "a report"}, {"name": "material", "value": "none"}]
    file = [{"name": "path", "value": "report.md"}, {"name": "content", "value": "{{1}}"}]
    steps = [
        {"id": 1, "tool": "write", "arguments": brief, "depends_on": [], **rest},
        {"id": 2, "tool": "write_file", "arguments": file, "depends_on": [1], **rest},
    ]
    return json.dumps({"reasoning": "", "steps": steps})


def _answer(body: Body) -> str:
    """What a model would say to this question."""
    told = json.dumps(body["messages"][:2])
    if "You are the planner" in told:
        return _plan()
    if "You are the joiner" in told:
        return json.dumps({"done": True, "answer": "It is written.", "missing": ""})
    return TEXT


async def _ran(make_settings: Callable[..., Settings], endpoint: Endpoint) -> tuple[dict[str, Any], str]:
    settings = make_settings(model="m", base_url=endpoint.base_url, silence=60)
    async with Client(build_server(settings)) as client:
        result = await client.call_tool("execute_plan", {"goal": "Write a report to report.md"})
    return view(result), text(result)


def _parts(body: Body) -> Reply:
    return 200, {"choices": [{"message": {"content": [{"type": "text", "text": _answer(body)}]}}]}


def _gemma(body: Body) -> Reply:
    return said(_answer(body)) if body["messages"][0]["role"] == "user" else refused("System role not supported")


def _bare(body: Body) -> Reply:
    plain = set(body) == {"model", "messages"} and body["messages"][0]["role"] == "user"
    return said(_answer(body)) if plain else refused("Bad Request")


def _reasons(body: Body) -> Reply:
    return said(f'I had better {{"n": 1}} think.\n</think>\n\n{_answer(body)}')


def _never_ends(body: Body) -> Reply:
    return said(f"{_answer(body)}\n<think>Was that {{right?")


def _field(body: Body) -> Reply:
    return 200, {"choices": [{"message": {"content": "", "reasoning_content": _answer(body)}, "finish_reason": "stop"}]}


def _odd_stream(body: Body) -> Reply:
    if "stream" not in body:
        return said(_answer(body))
    whole = _answer(body)
    pieces = ["<think>Hm {", "</thi", "nk>", whole[:9], whole[9:]]
    events = [event({"delta": {"content": piece}}) for piece in pieces]
    odd = ['data: {"choices": null}\n\n', ": ping\n\n", event({"delta": {}, "finish_reason": "eos_token"})]
    return 200, "".join([*events, *odd])


def _breaks_off(body: Body) -> Reply:
    if "stream" not in body:
        return said(_answer(body))
    return 200, event({"delta": {"content": _answer(body)[:40]}}) + 'data: {"error": {"message": "overloaded"}}\n\n'


def _loose(body: Body) -> Reply:
    whole = _answer(body)
    return said(f"```json\n{whole[:-1]},}}\n```" if whole.startswith("{") else whole)


def _list(body: Body) -> Reply:
    whole = _answer(body)
    return said(json.dumps(json.loads(whole)["steps"]) if "steps" in whole else whole)


@pytest.mark.parametrize(
    "reply", [_parts, _gemma, _bare, _reasons, _never_ends, _field, _odd_stream, _breaks_off, _loose, _list]
)
async def test_what_an_odd_endpoint_says_is_what_is_written(
    make_settings: Callable[..., Settings], endpoint: Endpoint, work: Path, reply: Callable[[Body], Reply]
) -> None:
    endpoint.reply = reply
    done, _ = await _ran(make_settings, endpoint)
    assert (done["status"], done.get("answer")) == ("succeeded", "It is written."), done
    assert (work / "report.md").read_text(encoding="utf-8") == TEXT


USELESS: list[tuple[Callable[[Body], Reply], str]] = [
    (lambda _: refused("no such model", 404), "FORETHOUGHT_MODEL"),
    (lambda _: refused("who are you?", 401), "FORETHOUGHT_API_KEY"),
    (lambda _: (200, {"choices": [{"message": None}]}), "its answers were empty"),
    (lambda _: (200, {"choices": [{"message": {"content": 7.5}}]}), "no answer that fits"),
    (lambda _: (200, [[["?"]]]), "FORETHOUGHT_BASE_URL"),
    (lambda _: (200, "<html><title>Welcome</title></html>"), "FORETHOUGHT_BASE_URL"),
    (lambda body: said(_answer(body)[:-20]), "it is cut off"),
    (lambda body: said("<think>" + _answer(body)), "its answers were empty"),
]


@pytest.mark.parametrize(("reply", "words"), USELESS)
async def test_what_no_plan_can_be_made_of_fails_with_what_mends_it(
    make_settings: Callable[..., Settings], endpoint: Endpoint, work: Path, reply: Callable[[Body], Reply], words: str
) -> None:
    endpoint.reply = reply
    done, told = await _ran(make_settings, endpoint)
    assert done["status"] == "failed", done
    assert words in told
    assert "Internal error" not in told
    assert "Shorten" not in told
    assert not (work / "report.md").exists()
