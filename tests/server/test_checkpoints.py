"""The four checkpoints (plan, risk, confidence, budget) and the decisions at them, as an MCP client meets them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import Form, delete, flat, in_full, journal_of, person, run_steps, view, write

from forethought.app import open_store
from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_a_person_approves_rejects_with_a_reason_or_edits_the_whole_plan(
    make_settings: Callable[..., Settings], scripted_model: Callable[..., str], era: str, work: Path
) -> None:
    seen: list[str] = []
    forms: list[Form] = [
        {"decision": "reject", "reason": "not old.txt"},
        {"decision": "edit", "drop": "3"},
    ]
    model = scripted_model(planner=[flat(write(2, "b.txt"), write(3, "c.txt"))])
    settings = make_settings(model=model)
    async with Client(build_server(settings), mode=era, elicitation_callback=person(*forms, seen=seen)) as client:
        done = await run_steps(client, [delete(1, "old.txt")], approve_plan=True)
    assert done["status"] == "succeeded"
    assert (work / "old.txt").exists()
    assert (work / "b.txt").exists()
    assert not (work / "c.txt").exists()
    assert "Revision 1 of the plan wants to run: 1 step," in seen[0]
    assert "1. delete_file (high)" in seen[0]
    assert "Estimated: no model calls" in seen[0]
    assert "Revision 2" in seen[1]
    bodies: list[Any] = [entry.body["body"] for entry in journal_of(settings, done, "plan_revised")]
    assert [body["why"] for body in bodies] == [
        "A person rejected the plan: not old.txt",
        "a person edited the plan",
    ]


async def test_a_tool_can_be_approved_for_the_rest_of_the_run_but_never_a_high_one(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    for name in ("d1.txt", "d2.txt"):
        (work / name).write_text("x", encoding="utf-8")
    steps = [
        write(1, "w1.txt"),
        write(2, "w2.txt", depends_on=[1]),
        write(3, "w3.txt", depends_on=[2]),
        delete(4, "d1.txt", depends_on=[3]),
        delete(5, "d2.txt", depends_on=[4]),
    ]
    forms: list[Form] = [{"decision": "approve_tool"}, {"decision": "approve"}]
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=person(*forms, seen=seen)) as client:
        done = await run_steps(client, steps, ask_from="medium")
    assert done["status"] == "succeeded"
    assert [text.split("\n")[0] for text in seen] == [
        "Step 1 wants to call write_file.",
        "Step 4 wants to call delete_file.",
        "Step 5 wants to call delete_file.",
    ]
    assert [entry.body["step"] for entry in journal_of(settings, done, "step_allowed")] == [2, 3]
    store = open_store(settings)
    gates = [gate.body["choices"] for gate in store.queries.messages(done["run_id"], "gate")]
    store.close()
    assert gates[0] == ["approve", "approve_tool", "edit", "reject", "cancel"]
    assert gates[1] == gates[2] == ["approve", "edit", "reject", "cancel"]


async def test_high_is_not_approved_for_the_rest_though_the_form_says_so(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    forged = person({"decision": "approve_tool"})
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=forged) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")])
    assert waiting["status"] == "waiting"
    assert (work / "old.txt").exists()


async def test_arguments_can_be_edited_and_what_is_wrong_with_them_is_said(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    (work / "older.txt").write_text("x", encoding="utf-8")
    forms: list[Form] = [
        {"decision": "edit", "arguments": "{not json"},
        {"decision": "edit", "arguments": '{"file": "older.txt"}'},
        {"decision": "edit", "arguments": '{"path": "older.txt"}'},
    ]
    settings = make_settings()
    async with Client(build_server(settings), mode=era, elicitation_callback=person(*forms, seen=seen)) as client:
        done = await run_steps(client, [delete(1, "old.txt")])
        full = await in_full(client, done)
    assert done["status"] == "succeeded"
    assert (work / "old.txt").exists()
    assert not (work / "older.txt").exists()
    assert "this is not JSON" in seen[1]
    assert "'path' is a required property" in seen[2]
    assert full["steps"][0]["result"]["path"] == "older.txt"


async def test_cancel_stops_the_whole_run(make_settings: Callable[..., Settings], era: str, work: Path) -> None:
    cancel = person({"decision": "cancel", "reason": "wrong folder"})
    steps = [delete(1, "old.txt"), {"id": 2, "tool": "wait", "arguments": {"seconds": 3000}}]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=cancel) as client:
        with anyio.fail_after(60):
            done = await run_steps(client, steps)
            while done["status"] == "running":
                done = view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    assert done["status"] == "cancelled"
    assert done["error"] == "Cancelled by a person. wrong folder"
    assert (work / "old.txt").exists()


async def test_steps_the_planner_is_unsure_of_wait(make_settings: Callable[..., Settings], era: str) -> None:
    seen: list[str] = []
    approve = person({"decision": "approve"}, seen=seen)
    steps = [write(1, "w.txt", confidence=0.3), write(2, "v.txt", confidence=0.9)]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        done = await run_steps(client, steps, ask_below=0.5)
    assert done["status"] == "succeeded"
    assert len(seen) == 1
    assert "only 30% sure" in seen[0]


async def test_the_text_tells_all_that_a_person_needs(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    approve = person({"decision": "approve"}, seen=seen)
    steps = [{**write(1, "w.txt", description="Keep the list"), "arguments": {"path": "w.txt", "content": "y" * 9000}}]
    async with Client(build_server(make_settings()), mode=era, elicitation_callback=approve) as client:
        await run_steps(client, steps, ask_from="medium")
    (text,) = seen
    for told in (
        "Step 1 wants to call write_file.",
        "path: w.txt",
        "[... 9000 characters in all, SHA-256 ",
        "Risk: medium. It changes something. It is meant to: Keep the list",
        "Undo: ",
        f"Folders: {work}",
        "Spent so far: 0 dollars, 0 tokens, 0 model calls, 0 tool calls",
        "Goal: tidy up",
    ):
        assert told in text, told
    assert len(text) < 2500
