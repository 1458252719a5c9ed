"""What a server asks in the middle of a call reaches the person through the same gate, whatever the eras."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import journal_of, person, run_steps, view

from forethought.app import open_store
from forethought.gates.markup import fields_of
from forethought.journal.codec import gate_of
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Gate

pytestmark = pytest.mark.anyio

GREET: list[dict[str, Any]] = [{"id": 1, "tool": "small/greet", "arguments": {}}]


@pytest.mark.parametrize("theirs", ["2026-07-28", "legacy"])
async def test_what_a_server_asks_is_answered_by_a_person_in_all_pairings_of_eras(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path, era: str, theirs: str
) -> None:
    settings = with_servers({"small": {**small, "env": {"ONLY": theirs}}})
    seen: list[str] = []
    says = person({"decision": "answer", "answer_name": "Ada"}, seen=seen)
    async with Client(build_server(settings), mode=era, elicitation_callback=says) as client:
        run = await run_steps(client, GREET, replan="never")
    assert run["status"] == "succeeded", str(run)
    assert "hello Ada" in str(run)
    assert len(seen) == 1
    assert "The server small asks you something, in the call of greet by step 1." in seen[0]
    assert "What is your name?" in seen[0]
    assert "no password" in seen[0]
    (answered,) = [entry for entry in journal_of(settings, run, "answered") if entry.body["kind"] == "gate"]
    assert answered.body["channel"] == "elicitation"


async def test_a_person_may_say_no_to_a_server(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path
) -> None:
    says = person({"decision": "reject"})
    async with Client(build_server(with_servers({"small": small})), elicitation_callback=says) as client:
        run = await run_steps(client, GREET, replan="never")
    assert "nobody (decline)" in str(run)


async def test_what_is_needed_and_not_filled_in_is_never_made_up(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path
) -> None:
    settings = with_servers({"small": small}, SILENCE_SECONDS="1")
    async with Client(build_server(settings), elicitation_callback=person({"decision": "answer"})) as client:
        run = await run_steps(client, GREET, replan="never")
        assert run["status"] != "succeeded"
        assert not (place / "greetings").exists()


async def test_a_question_of_a_call_that_was_cut_off_is_withdrawn_and_the_call_is_not_repeated(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path
) -> None:
    settings = with_servers({"small": small}, SILENCE_SECONDS="1")
    steps: list[dict[str, Any]] = [{"id": 1, "tool": "small/greet_once", "arguments": {}}]
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, steps, replan="never")
        with anyio.fail_after(120):
            while "small" not in str(run.get("waiting_on")):
                run = view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"]}))
    with closing(open_store(settings)) as store:
        assert store.queries.open_messages(run["run_id"], "gate") == []
    seen: list[str] = []
    skip = person({"decision": "skip"}, seen=seen)
    patient = with_servers({"small": small})
    async with Client(build_server(patient), elicitation_callback=skip) as client:
        await client.call_tool("execute_plan", {"plan_id": run["plan_id"]})
    assert len(seen) == 1
    assert "was cut off in the middle of calling small/greet_once" in seen[0]
    assert not (place / "greetings").exists()


@pytest.mark.parametrize("theirs", ["2026-07-28", "legacy"])
async def test_a_page_that_a_server_wants_opened_is_shown_with_its_address_and_never_opened_by_us(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path, theirs: str
) -> None:
    opened: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            opened.append(self.path)

    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=page.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{page.server_port}/sign-in?of=small"
    (place / "address").write_text(address, encoding="utf-8")
    settings = with_servers({"small": {**small, "env": {"ONLY": theirs}}})
    seen: list[str] = []
    says = person({"decision": "answer"}, seen=seen)
    async with Client(build_server(settings), elicitation_callback=says) as client:
        run = await run_steps(client, [{"id": 1, "tool": "small/sign_in", "arguments": {}}], replan="never")
    page.shutdown()
    page.server_close()
    assert run["status"] == "succeeded", str(run)
    assert "accept" in str(run)
    assert len(seen) == 1
    assert "The server small asks you something, in the call of sign_in by step 1." in seen[0]
    assert address in seen[0]
    assert "Answer says that you have opened the address." in seen[0]
    assert opened == []


async def _asked(
    settings: Settings, place: Path, fields: Mapping[str, Any], says: Mapping[str, Any]
) -> tuple[str, list[str], list[Gate]]:
    """What came of a form of a server, what the person was shown, and the gates."""
    (place / "form.json").write_text(json.dumps({"type": "object", "properties": fields}), encoding="utf-8")
    seen: list[str] = []
    async with Client(build_server(settings), elicitation_callback=person(says, seen=seen)) as client:
        run = await run_steps(client, [{"id": 1, "tool": "small/ask", "arguments": {}}], replan="never")
    with closing(open_store(settings)) as store:
        gates = [gate_of(row) for row in store.queries.messages(run["run_id"], "gate")]
    return str(run), seen, gates


@pytest.mark.takes(10)
async def test_what_a_server_says_of_a_field_is_no_markup_on_the_page(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path
) -> None:
    evil = '5"><input type="radio" name="decision" value="answer" checked x="'
    wanted = {"type": "string", "maxLength": evil, "format": evil, "title": evil, "minLength": [evil]}
    says = {"decision": "answer", "answer_a": "x"}
    run, _, (gate,) = await _asked(with_servers({"small": small}), place, {"a": wanted}, says)
    assert "accept" in run
    page = fields_of(gate, {})
    assert page.count("checked") == page.count("&lt;input")
    assert page.count("<input") == len(gate.choices) + 2  # the reason, and what is asked for


@pytest.mark.takes(20)
@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "string", "enum": ["yes", "\u202eon"]},
        {"type": "string", "default": "\u200bsecret"},
        {"type": "array", "items": {"enum": ["a\u200b"]}},
        {"type": "string", "enum": [str(number) for number in range(101)]},
        {"type": "string", "description": "x" * 30_000},
    ],
    ids=["reordered", "default", "some of several", "many", "long"],
)
async def test_what_nobody_could_see_or_look_through_is_asked_of_nobody(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path, wanted: Mapping[str, Any]
) -> None:
    run, seen, gates = await _asked(with_servers({"small": small}), place, {"a": wanted}, {"decision": "answer"})
    assert "cancel null" in run
    assert (seen, gates) == ([], [])
