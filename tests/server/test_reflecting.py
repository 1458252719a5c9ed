"""Reflection as a run: the same journal, budgets, work orders and resumption as any other run."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import ended, view
from tests.server.thinking import judged, read
from tests.stores import owned

from forethought.engine.kinds.reflection import rounds
from forethought.journal.rows import Fact
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns.author import CUT_OFF, round_body
from forethought_patterns.reflection import Critique, Round

pytestmark = pytest.mark.anyio


async def test_a_draft_is_written_judged_and_revised(scripted: Callable[..., Settings], era: str) -> None:
    written = ["a very long one", "a long one", "short"]
    script = {"executor": written, "critic": [judged(4, "too long"), judged(9, approved=True)]}
    wanted = {"task": "a word", "criteria": ["It is one word"], "checks": [{"expression": "words(text) == 1"}]}
    async with Client(build_server(scripted(script)), mode=era) as client:
        done = await ended(client, view(await client.call_tool("reflect", wanted)))
        rounds = json.loads(await read(client, f"run://{done['run_id']}/rounds"))
        journal = await read(client, f"run://{done['run_id']}/journal")
        whole = json.loads(await read(client, f"run://{done['run_id']}"))
    assert (done["status"], done["draft"], done["score"], done["stopped"]) == ("succeeded", "short", 9, "approved")
    assert "plan_id" not in done
    assert done["rounds"] == [
        "draft 1: not judged, 0 of 1 checks pass",
        "draft 2: 4.0 of 10, 0 of 1 checks pass, too long",
        "draft 3: 9.0 of 10, 1 of 1 checks pass",
    ]
    assert [each["score"] for each in rounds] == [None, 4, 9]
    assert rounds[2]["diff"].endswith("-a long one\n+short")
    assert rounds[1]["lessons"] == ["say it short"]
    assert "model calls: 5" in done["usage"]
    assert '"key": "critique/2"' in journal
    assert whole["draft"] == "short"


async def test_what_cannot_be_checked_is_an_error_that_names_every_fault(
    make_settings: Callable[..., Settings],
) -> None:
    checks = [{"matches": "("}, {"tool": "calcuate"}, {"expression": "import os"}]
    invented = {"expression": "words(text) <= 6 and contains(text, 'bread')"}
    async with Client(build_server(make_settings())) as client:
        refused = await client.call_tool("reflect", {"task": "t", "checks": checks})
        wrong = await client.call_tool("lats_search", {"goal": "g", "verifier": {"equal": 1}})
        unknown = await client.call_tool("lats_search", {"goal": "g", "verifier": invented})
        bound = await client.call_tool("lats_search", {"goal": "g", "iterations": 0})
    assert refused.is_error
    told = str(refused.content)
    for part in ("check 1", "check 2", "calculate", "check 3"):
        assert part in told, part
    assert "verifier" in str(wrong.content)
    assert "no name 'contains'" in str(unknown.content)
    assert "'part' in text" in str(unknown.content)
    assert "iterations" in str(bound.content)


async def test_a_budget_that_is_spent_gives_the_best_draft_so_far(scripted: Callable[..., Settings]) -> None:
    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"decision": "reject"})

    script = {"executor": ["first", "second", "third"], "critic": [judged(4, "bad"), judged(5, "still bad")]}
    wanted = {"task": "t", "criteria": ["good"], "budget": {"model_calls": 3}}
    async with Client(build_server(scripted(script)), elicitation_callback=refuse) as client:
        done = await ended(client, view(await client.call_tool("reflect", wanted)))
    assert (done["status"], done["draft"], done["stopped"]) == ("failed", "second", "refused")
    assert "no critic has judged this draft" in done["unjudged"]
    assert "score" not in done
    assert done["rounds"] == ["draft 1: 4.0 of 10, bad", "draft 2: not judged"]
    assert "3 model calls is used up" in done["error"]


async def test_a_round_that_was_judged_after_all_is_shown_once(make_settings: Callable[..., Settings]) -> None:
    configured = make_settings()
    async with Client(build_server(configured)) as client:
        step = await ended(client, view(await client.call_tool("reflect", {"task": "t", "draft": "one"})))
        run = step["run_id"]

    def noted(key: str, number: int, score: int) -> Fact:
        body = round_body(Round(number, "one", (), Critique({"good": score})))
        return Fact("noted", {"id": f"note_{key}", "key": key, "step": None, "body": body})

    with owned(configured) as store:
        store.commit(run, noted("round/1", 1, 4), noted(f"round/2{CUT_OFF}", 2, 5))
        store.commit(run, noted("round/2", 2, 8), noted(f"round/3{CUT_OFF}", 3, 6))
        assert [(each["round"], each["score"]) for each in rounds(store.queries, run)] == [(1, 4), (2, 8), (3, 6)]


async def test_without_a_model_the_calling_agent_reflects_by_work_orders(
    make_settings: Callable[..., Settings], era: str
) -> None:
    answers: list[Any] = ["draft one", judged(3, "dull"), "draft two", judged(9, approved=True)]
    async with Client(build_server(make_settings()), mode=era) as client:
        step = await ended(client, view(await client.call_tool("reflect", {"task": "t", "criteria": ["good"]})))
        for answer in answers:
            (order,) = step["waiting_on"]
            told = {"order": order["order"], "answer": answer}
            step = await ended(
                client, view(await client.call_tool("report", {"run_id": step["run_id"], "answers": [told]}))
            )
    assert (step["status"], step["draft"]) == ("succeeded", "draft two")


async def test_what_is_stopped_shows_the_draft_that_was_the_best_so_far(make_settings: Callable[..., Settings]) -> None:
    answers: list[Any] = ["one", judged(6, "dull"), "two", judged(6.5, "dull"), "three", judged(2, "dull")]
    wanted = {"task": "t", "criteria": ["good"], "max_iterations": 9}
    async with Client(build_server(make_settings())) as client:
        step = await ended(client, view(await client.call_tool("reflect", wanted)))
        for answer in answers:
            (order,) = step["waiting_on"]
            told = {"order": order["order"], "answer": answer}
            step = await ended(
                client, view(await client.call_tool("report", {"run_id": step["run_id"], "answers": [told]}))
            )
        await client.call_tool("stop", {"run_id": step["run_id"]})
        over = await ended(client, view(await client.call_tool("report", {"run_id": step["run_id"], "answers": []})))
    assert (over["status"], over["draft"], over["score"]) == ("cancelled", "two", 6.5)
