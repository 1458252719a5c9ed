"""What a server asks in the middle of a call reaches the person through the same gate, whatever the eras."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import journal_of, person, run_steps

from forethought.settings import Settings
from forethought.surface.server import build_server

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


async def test_what_is_needed_and_not_filled_in_is_asked_again_and_never_made_up(
    with_servers: Callable[..., Settings], small: Mapping[str, Any], place: Path
) -> None:
    says = person({"decision": "answer"}, {"decision": "answer", "answer_name": "Ada"})
    async with Client(build_server(with_servers({"small": small})), elicitation_callback=says) as client:
        run = await run_steps(client, GREET, replan="never")
    assert "hello" not in str(run) or "hello Ada" in str(run)
